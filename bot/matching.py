"""Finds the entries that a question means.  Pure: no clock, file or network.

Three kinds of evidence: how similar the question is to the phrasings of an entry, what kernel
ridge regression learned from all phrasings, and how much of the question the entry covers.
`bot.confidence` turns the evidence into a probability.  Of a long text the best sentence counts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bot.confidence import Evidence, confidence
from bot.knowledge import Entry, Kind, KnowledgeBase
from bot.language import abbreviations, sentences, words
from bot.vectors import STOPWORD, Encoder, Floats, Found, Vector

# How far a phrasing is trusted when the weights are learned: the smaller, the more.
RIDGE = 1.0
RIDGE_OF_TEXT = 4.0  # keywords, answers and passages say less than a question does

LEARNED = 3_000
"""So many phrasings at the most are learned from (the effort grows with their cube): the first
ones of each entry.  A base with more entries than that is searched without learning."""

POOL = 8  # entries that are looked at closely
LONG = 16  # words; longer questions are also read sentence by sentence
SENTENCE = 3  # words; shorter sentences are no question
STOPWORD_COVERAGE = 0.1


@dataclass(frozen=True, slots=True)
class Match:
    entry: str
    score: float  # probability that this entry is right, 0 to 1


@dataclass(frozen=True, slots=True)
class WordMatch:
    """How one word of the question was found."""

    word: str
    found: str  # the stem in the entry
    how: str  # exact, typo, compound, abbreviation, synonym


@dataclass(frozen=True, slots=True)
class Explanation:
    entry: str
    words: tuple[WordMatch, ...]
    unmatched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One text that may be the question, and every entry's similarity to it."""

    found: Sequence[tuple[Found, float]]  # words and how telling each is
    known: float  # squared length of its vector: the share that the base knows
    density: Floats  # by entry: the sum of squared similarities
    nearest: Floats  # by entry: the most similar phrasing
    learned: Floats | None  # by entry: what the regression says
    length: int  # words


class Index:
    """The searchable form of one knowledge base; immutable once built."""

    def __init__(self, base: KnowledgeBase) -> None:
        self._language = base.language
        self._ids = sorted(base.entries)
        entries = [base.entries[i] for i in self._ids]
        self._gaps = np.array([e.kind is Kind.GAP for e in entries])
        rows = [(owner, *p) for owner, entry in enumerate(entries) for p in _phrasings(entry)]
        self._owners = np.array([owner for owner, _, _ in rows], np.int32)
        self._encoder = Encoder([text for _, text, _ in rows], base.language, base.synonyms)
        self._postings = _Postings(self._encoder.vectors, self._encoder.size)
        self._terms = self._terms_of_entries()
        self._telling = self._how_telling()
        self._rarest = math.log1p(len(entries))
        self._rows, self._weights = self._learn(np.array([r for _, _, r in rows], np.float32))

    def match(self, question: str, limit: int = 5) -> list[Match]:
        """The best entries, best first; ties in the order of their ids."""
        readings = self._readings(question)
        pool = self._pool(readings)
        evidence = [self._evidence(owner, readings) for owner in pool]
        scores = confidence(evidence)
        best = sorted(zip(pool, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
        return [Match(self._ids[owner], score) for owner, score in best[:limit]]

    def explain(self, question: str, entry: str) -> Explanation:
        """Which words of the question were found in the entry, and how."""
        owner = self._ids.index(entry)
        row = words(question, self._language)
        matched: list[WordMatch] = []
        for found in self._encoder.find(row, abbreviations(question)):
            there = [r for r in found.relations if r.term in self._terms[owner]]
            if there:
                best = max(there, key=lambda r: r.similarity)
                term = self._encoder.vocabulary.terms[best.term]
                matched.append(WordMatch(found.word, term, best.how))
        seen = {word for match in matched for word in match.word.split()}
        return Explanation(entry, tuple(matched), tuple(w for w in row if w not in seen))

    # --- reading the question ---------------------------------------------------

    def _readings(self, question: str) -> list[_Reading]:
        texts = [question]
        if len(words(question, self._language)) > LONG:
            parts = [p for p in sentences(question) if len(words(p, self._language)) >= SENTENCE]
            texts += [p for p in parts if "?" in p] or parts
        return [self._reading(text) for text in texts]

    def _reading(self, text: str) -> _Reading:
        vector = self._encoder.encode(text)
        similarity = self._postings.similarities(vector, len(self._owners))
        size = len(self._ids)
        nearest = np.zeros(size, np.float32)
        np.maximum.at(nearest, self._owners, similarity)
        learned = None if self._weights is None else _bend(similarity[self._rows]) @ self._weights
        row = words(text, self._language)
        return _Reading(
            found=[(f, self._tellingness(f)) for f in self._encoder.find(row, abbreviations(text))],
            known=float(vector.weights @ vector.weights),
            density=np.bincount(self._owners, similarity * similarity, size).astype(np.float32),
            nearest=nearest,
            learned=learned,
            length=len(row),
        )

    def _pool(self, readings: Sequence[_Reading]) -> list[int]:
        """The likeliest entries and the likeliest gaps."""
        strength = np.max([r.density if r.learned is None else r.learned for r in readings], axis=0)
        order = np.argsort(-strength, kind="stable")
        answers = [int(i) for i in order if not self._gaps[i]][: POOL]
        return answers + [int(i) for i in order if self._gaps[i]][:3]

    def _evidence(self, owner: int, readings: Sequence[_Reading]) -> Evidence:
        reading = max(readings, key=lambda r: (r.density if r.learned is None else r.learned)[owner])
        covered, missed, worst = self._coverage(owner, reading.found)
        return Evidence(
            gap=bool(self._gaps[owner]),
            learned=None if reading.learned is None else float(reading.learned[owner]),
            density=float(reading.density[owner]),
            share=float(reading.density[owner] / (reading.density.sum() + 1e-6)),
            nearest=float(reading.nearest[owner]),
            known=reading.known,
            length=reading.length,
            coverage=covered,
            missed=missed,
            worst_miss=worst,
        )

    def _coverage(
        self, owner: int, found: Sequence[tuple[Found, float]]
    ) -> tuple[float, float, float]:
        """The share of the question that the entry's words cover, what is missed, the worst miss."""
        terms = self._terms[owner]
        weights: dict[str, float] = {}
        covered: dict[str, float] = defaultdict(float)
        for one, weight in found:
            near = max((r.similarity for r in one.relations if r.term in terms), default=0.0)
            for word in one.parts:
                covered[word] = max(covered[word], near)
            if one.single:
                weights[one.word] = weight
        total = sum(weights.values())
        missed = {word: weight * (1 - covered[word]) for word, weight in weights.items()}
        share = 1 - sum(missed.values()) / total if total else 0.0
        return share, sum(missed.values()), max(missed.values(), default=0.0)

    # --- building ---------------------------------------------------------------

    def _terms_of_entries(self) -> list[frozenset[int]]:
        terms: list[set[int]] = [set() for _ in self._ids]
        count = len(self._encoder.vocabulary.terms)
        for owner, vector in zip(self._owners, self._encoder.vectors, strict=True):
            terms[owner].update(vector.ids[vector.ids < count].tolist())
        return [frozenset(t) for t in terms]

    def _how_telling(self) -> dict[int, float]:
        """The rarer among the entries, the more a term says."""
        spread = Counter(term for terms in self._terms for term in terms)
        return {term: math.log1p(len(self._ids) / count) for term, count in spread.items()}

    def _tellingness(self, found: Found) -> float:
        scale = STOPWORD_COVERAGE if found.weight == STOPWORD else found.weight
        if found.relations:
            return scale * max(self._telling[r.term] * r.similarity for r in found.relations)
        return scale * self._rarest * self._encoder.strangeness(found.word)

    def _learn(self, ridges: Floats) -> tuple[npt.NDArray[np.int64], Floats | None]:
        """The phrasings learned from, and the weight of each for each entry."""
        size = len(self._ids)
        if size > LEARNED:
            return np.arange(0), None
        place = np.concatenate([np.arange(n) for n in np.bincount(self._owners, minlength=size)])
        rows = np.sort(np.argsort(place, kind="stable")[:LEARNED])
        vectors = [self._encoder.vectors[i] for i in rows]
        kernel = _bend(_Postings(vectors, self._encoder.size).gram_matrix(len(rows)))
        kernel[np.diag_indices(len(rows))] += ridges[rows]
        targets = np.zeros((len(rows), size), np.float32)
        targets[np.arange(len(rows)), self._owners[rows]] = 1
        return rows, np.linalg.solve(kernel, targets)


def _phrasings(entry: Entry) -> list[tuple[str, float]]:
    """Everything that is searched of an entry, with its ridge, the most telling first."""
    texts = [" ".join(entry.keywords), entry.answer, entry.passage or ""]
    return [
        (entry.title, RIDGE),
        *((text, RIDGE_OF_TEXT) for text in texts if text),
        *((question, RIDGE) for question in entry.questions),
    ]


def _bend(similarity: Floats) -> Floats:
    """A polynomial kernel: two features together say more than each alone."""
    return similarity + similarity * similarity


class _Postings:
    """Vectors by feature: where its phrasings start, which they are, its weight in each."""

    LIGHT = 32  # features in at most so many phrasings are multiplied pair by pair

    def __init__(self, vectors: Sequence[Vector], features: int) -> None:
        ids = np.concatenate([v.ids for v in vectors])
        rows = np.repeat(np.arange(len(vectors), dtype=np.int32), [len(v.ids) for v in vectors])
        order = np.argsort(ids, kind="stable")
        self._starts = np.searchsorted(ids[order], np.arange(features + 1))
        self._rows = rows[order]
        self._weights = np.concatenate([v.weights for v in vectors])[order]

    def similarities(self, vector: Vector, size: int) -> Floats:
        """The similarity of a vector to each of the `size` phrasings."""
        if not len(vector.ids):
            return np.zeros(size, np.float32)
        spans = [slice(self._starts[i], self._starts[i + 1]) for i in vector.ids]
        counts = [span.stop - span.start for span in spans]
        rows = np.concatenate([self._rows[span] for span in spans])
        products = np.concatenate([self._weights[span] for span in spans])
        products *= np.repeat(vector.weights, counts)
        return np.bincount(rows, products, size).astype(np.float32)

    def gram_matrix(self, size: int) -> Floats:
        """The similarity of every two phrasings: common features as one dense product, rare ones
        pair by pair (one dense matrix of all features would be a hundred times larger)."""
        counts = np.diff(self._starts)
        common = np.flatnonzero(counts > self.LIGHT)
        dense = np.zeros((size, len(common)), np.float32)
        for column, feature in enumerate(common):
            span = slice(self._starts[feature], self._starts[feature + 1])
            dense[self._rows[span], column] = self._weights[span]
        places, products = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for count in range(1, self.LIGHT + 1):
            spans = self._starts[np.flatnonzero(counts == count)][:, None] + np.arange(count)
            near, weight = self._rows[spans].astype(np.int64), self._weights[spans]
            places.append((near[:, :, None] * size + near[:, None, :]).ravel())
            products.append((weight[:, :, None] * weight[:, None, :]).ravel())
        rest = np.bincount(np.concatenate(places), np.concatenate(products), size * size)
        return dense @ dense.T + rest.reshape(size, size).astype(np.float32)
