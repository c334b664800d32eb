"""Finds the entries that a question means.  Pure: no clock, file or network.

From the phrasings of a base, kernel ridge regression learns in closed form how much
similarity to each of them speaks for each entry; the best sentence of a long text counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bot.knowledge import Entry, KnowledgeBase
from bot.language import abbreviations, is_stopword, sentences, words
from bot.vectors import Encoder, Floats, Vector

# How far a phrasing is trusted: the smaller, the closer it is fitted.
RIDGE = 0.6
RIDGE_OF_TEXT = 3.0  # keywords, answers and passages say less than a question does

LEARNABLE = 6_000
"""Up to so many phrasings the weights are learned (the effort grows with their cube);
beyond, the most similar phrasing of an entry decides."""

SHORT = 16  # words; longer questions are also read sentence by sentence


@dataclass(frozen=True, slots=True)
class Match:
    entry: str
    score: float  # confidence that this entry is meant, 0 to 1


@dataclass(frozen=True, slots=True)
class WordMatch:
    """How one word of the question was found."""

    word: str
    found: str  # the word of the entry
    how: str  # exact, typo, compound, abbreviation, synonym


@dataclass(frozen=True, slots=True)
class Explanation:
    entry: str
    words: tuple[WordMatch, ...]
    unmatched: tuple[str, ...]


class Index:
    """The searchable form of one knowledge base; immutable once built."""

    def __init__(self, base: KnowledgeBase) -> None:
        self._language = base.language
        self._ids = sorted(base.entries)
        phrasings: list[str] = []
        owners: list[int] = []
        ridges: list[float] = []
        for owner, entry_id in enumerate(self._ids):
            for phrasing, ridge in _phrasings(base.entries[entry_id]):
                phrasings.append(phrasing)
                owners.append(owner)
                ridges.append(ridge)
        self._encoder = Encoder(phrasings, base.language, base.synonyms)
        self._owners = np.array(owners, np.int32)
        self._postings = _postings(self._encoder.vectors, self._encoder.size)
        self._weights = self._learn(np.array(ridges, np.float32)) if len(owners) <= LEARNABLE else None

    def match(self, question: str, limit: int = 5) -> list[Match]:
        """The best entries, best first; ties in the order of their ids."""
        scores = self.scores(question)
        best = np.argsort(-scores, kind="stable")[:limit]
        return [Match(self._ids[i], float(scores[i])) for i in best]

    def scores(self, question: str) -> Floats:
        scores = self._score(question)
        if len(words(question, self._language)) > SHORT:
            for sentence in _candidates(question, self._language):
                scores = np.maximum(scores, self._score(sentence))
        return scores

    def _score(self, text: str) -> Floats:
        similarity = self._similarities(self._encoder.encode(text))
        if self._weights is None:
            return self._nearest(similarity)
        return _bend(similarity) @ self._weights

    def _nearest(self, similarity: Floats) -> Floats:
        nearest = np.zeros(len(self._ids), np.float32)
        np.maximum.at(nearest, self._owners, similarity)
        return nearest

    def _similarities(self, vector: Vector) -> Floats:
        """The similarity to every phrasing."""
        starts, rows, weights = self._postings
        slices = [slice(starts[i], starts[i + 1]) for i in vector.ids]
        if not slices:
            return np.zeros(len(self._owners), np.float32)
        touched = np.concatenate([rows[s] for s in slices])
        products = np.concatenate(
            [weights[s] * w for s, w in zip(slices, vector.weights, strict=True)]
        )
        return np.bincount(touched, products, len(self._owners)).astype(np.float32)

    def _learn(self, ridges: Floats) -> Floats:
        """The weight of each phrasing for each entry."""
        size = len(self._owners)
        kernel = _bend(_gram_matrix(self._postings, size))
        kernel[np.diag_indices(size)] += ridges
        targets = np.zeros((size, len(self._ids)), np.float32)
        targets[np.arange(size), self._owners] = 1
        return np.linalg.solve(kernel, targets)

    def explain(self, question: str, entry: str) -> Explanation:
        return Explanation(entry, (), tuple(question.split()))


Postings = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], Floats]
"""By feature: where its phrasings start, the phrasings, its weight in each."""

LIGHT = 32  # features in at most so many phrasings are multiplied pair by pair


def _phrasings(entry: Entry) -> list[tuple[str, float]]:
    asked = [entry.title, *entry.questions]
    texts = [" ".join(entry.keywords), entry.answer, entry.passage or ""]
    return [(t, RIDGE) for t in asked] + [(t, RIDGE_OF_TEXT) for t in texts if t]


def _candidates(question: str, language) -> list[str]:
    """The sentences of a long text that may be its question."""
    long_enough = [s for s in sentences(question) if len(words(s, language)) >= 3]
    return [s for s in long_enough if "?" in s] or long_enough


def _bend(similarity: Floats) -> Floats:
    """A polynomial kernel: two features together say more than each alone."""
    return similarity + similarity * similarity


def _postings(vectors: Sequence[Vector], size: int) -> Postings:
    features = np.concatenate([v.ids for v in vectors])
    rows = np.repeat(np.arange(len(vectors), dtype=np.int32), [len(v.ids) for v in vectors])
    weights = np.concatenate([v.weights for v in vectors])
    order = np.argsort(features, kind="stable")
    starts = np.searchsorted(features[order], np.arange(size + 1))
    return starts, rows[order], weights[order]


def _gram_matrix(postings: Postings, size: int) -> Floats:
    """The similarity of every two phrasings: common features as one dense product, rare ones
    pair by pair (a whole dense matrix would be a hundred times larger)."""
    starts, rows, weights = postings
    counts = np.diff(starts)
    common = np.flatnonzero(counts > LIGHT)
    dense = np.zeros((size, len(common)), np.float32)
    for column, feature in enumerate(common):
        span = slice(starts[feature], starts[feature + 1])
        dense[rows[span], column] = weights[span]
    matrix = dense @ dense.T
    places, products = [], []
    for count in range(1, LIGHT + 1):
        features = np.flatnonzero(counts == count)
        spans = starts[features][:, None] + np.arange(count)
        near, weight = rows[spans].astype(np.int64), weights[spans]
        places.append((near[:, :, None] * size + near[:, None, :]).ravel())
        products.append((weight[:, :, None] * weight[:, None, :]).ravel())
    rest = np.bincount(np.concatenate(places), np.concatenate(products), size * size)
    return matrix + rest.reshape(size, size).astype(np.float32)
