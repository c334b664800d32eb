"""What is worked out once from the phrasings of a base, so that questions are matched fast.  Pure.

The vectors of the phrasings by feature, and by kernel ridge regression what tells the entries
apart.  It depends on the base alone and is kept on disk by `bot.search.shelf`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bot.content.knowledge import Entry, KnowledgeBase
from bot.search.language import words
from bot.search.vectors import Floats, Ints, Lexicon, Rows, Vector, learn

# How far a phrasing is trusted when the weights are learned: the smaller, the more.
RIDGE = 0.5
RIDGE_OF_TEXT = 3.0  # keywords, answers and passages say less than a question does

LEARNED = 2_000
"""So many examples at the most are learned from (the effort grows with their cube): where there
are more phrasings, neighbouring ones of an entry are merged into one example.  A base with more
entries than that is searched without learning."""

LIGHT = 32  # features in at most so many phrasings are multiplied pair by pair


@dataclass(frozen=True, slots=True)
class Learned:
    """All of a base that a search needs beside the entries themselves."""

    owners: Ints  # by phrasing its entry, in the order of the sorted ids
    lexicon: Lexicon
    postings: Postings
    terms: tuple[Ints, ...]  # by entry the stems that occur in it
    lesson: Lesson | None
    literal: dict[str, int]  # the words of a title or question of one entry alone -> entry


def learned(base: KnowledgeBase) -> Learned:
    """Takes about a second for 10,000 phrasings."""
    entries = [base.entries[i] for i in sorted(base.entries)]
    rows = [(owner, *p) for owner, entry in enumerate(entries) for p in _phrasings(entry)]
    owners = np.array([owner for owner, _, _ in rows], np.int32)
    spoken = [words(text, base.language) for _, text, _ in rows]
    lexicon, vectors = learn(spoken, base.language)
    asked = [ridge == RIDGE for _, _, ridge in rows]
    return Learned(
        owners,
        lexicon,
        Postings.of(vectors, lexicon.size),
        _terms(vectors, owners, len(entries), len(lexicon.stems)),
        _lesson(vectors, owners, np.array([r for _, _, r in rows], np.float32), lexicon.size),
        _literals(itertools.compress(zip(spoken, owners.tolist(), strict=True), asked)),
    )


def _phrasings(entry: Entry) -> list[tuple[str, float]]:
    """Everything that is searched of an entry, with its ridge, the most telling first."""
    texts = [" ".join(entry.keywords), entry.answer, entry.passage or ""]
    return [
        (entry.title, RIDGE),
        *((text, RIDGE_OF_TEXT) for text in texts if text),
        *((question, RIDGE) for question in entry.questions),
    ]


def _terms(vectors: Rows, owners: Ints, entries: int, stems: int) -> tuple[Ints, ...]:
    of_words = vectors.ids < stems
    ids, places = vectors.ids[of_words], owners[vectors.numbers[of_words]]
    cuts = np.searchsorted(places, np.arange(1, entries))
    return tuple(np.unique(terms) for terms in np.split(ids, cuts))


def _literals(asked: Iterable[tuple[Sequence[str], int]]) -> dict[str, int]:
    """The entry of every title and question that an editor wrote for it alone."""
    owners: dict[str, set[int]] = defaultdict(set)
    for said, owner in asked:
        owners[" ".join(said)].add(owner)
    return {text: those.pop() for text, those in owners.items() if text and len(those) == 1}


def _lesson(vectors: Rows, owners: Ints, ridges: Floats, features: int) -> Lesson | None:
    entries = int(owners[-1]) + 1 if len(owners) else 0
    if not 0 < entries <= LEARNED:
        return None
    examples = _examples(owners, LEARNED)
    merged, lengths = _merged(vectors, examples, features)
    count = len(lengths)
    kernel = _bend(Postings.of(merged, features).gram_matrix(count))
    kernel[np.diag_indices(count)] += np.maximum.reduceat(ridges, _starts(examples))
    targets = np.zeros((count, entries), np.float32)
    targets[np.arange(count), owners[_starts(examples)]] = 1
    return Lesson(examples, lengths, np.linalg.solve(kernel, targets))


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learned: by phrasing its example; by example its length and its weights."""

    examples: Ints
    lengths: Floats
    weights: Floats

    def apply(self, similarity: Floats) -> Floats:
        """By entry: about 1 where it is meant, about 0 elsewhere."""
        near = np.bincount(self.examples, similarity, len(self.lengths)) / self.lengths
        # No BLAS: its threads cost more than so small a product.
        learned: Floats = np.einsum("i,ij->j", _bend(near.astype(np.float32)), self.weights)
        return learned


def _examples(owners: Ints, most: int) -> Ints:
    """By phrasing the number of its example: as few phrasings to one as `most` allows."""
    place = np.arange(len(owners)) - np.searchsorted(owners, owners)
    for together in itertools.count(1):
        key = owners.astype(np.int64) * len(owners) + place // together
        examples = np.unique(key, return_inverse=True)[1]
        if examples[-1] < most:
            return examples.astype(np.int32)
    raise AssertionError("one example an entry always fits")


def _starts(examples: Ints) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.diff(examples, prepend=-1))


def _merged(rows: Rows, examples: Ints, features: int) -> tuple[Rows, Floats]:
    """The unit vector of each example, and how long the sum of its phrasings was."""
    keys = examples[rows.numbers] * np.int64(features) + rows.ids
    keys, inverse = np.unique(keys, return_inverse=True)
    weights = np.bincount(inverse, rows.weights).astype(np.float32)
    owners = keys // features
    lengths = np.sqrt(np.bincount(owners, weights * weights)).astype(np.float32)
    starts = np.searchsorted(owners, np.arange(len(lengths) + 1))
    return Rows(starts, (keys % features).astype(np.int32), weights / lengths[owners]), lengths


def _bend(similarity: Floats) -> Floats:
    """A polynomial kernel: two features together say more than each alone."""
    return similarity + similarity * similarity


@dataclass(frozen=True, slots=True)
class Postings:
    """Vectors by feature: where its phrasings start, which they are, its weight in each."""

    starts: npt.NDArray[np.int64]
    rows: Ints
    weights: Floats

    @classmethod
    def of(cls, rows: Rows, features: int) -> Postings:
        order = np.argsort(rows.ids, kind="stable")
        starts = np.searchsorted(rows.ids[order], np.arange(features + 1))
        return cls(starts, rows.numbers[order], rows.weights[order])

    def similarities(self, vector: Vector, size: int) -> Floats:
        """The similarity of a vector to each of the `size` phrasings."""
        if not len(vector.ids):
            return np.zeros(size, np.float32)
        spans = [slice(self.starts[i], self.starts[i + 1]) for i in vector.ids]
        counts = [span.stop - span.start for span in spans]
        rows = np.concatenate([self.rows[span] for span in spans])
        products = np.concatenate([self.weights[span] for span in spans])
        products *= np.repeat(vector.weights, counts)
        return np.bincount(rows, products, size).astype(np.float32)

    def gram_matrix(self, size: int) -> Floats:
        """The similarity of every two phrasings: common features as one dense product, rare ones
        pair by pair (one dense matrix of all features would be a hundred times larger)."""
        counts = np.diff(self.starts)
        common = np.flatnonzero(counts > LIGHT)
        dense = np.zeros((size, len(common)), np.float32)
        for column, feature in enumerate(common):
            span = slice(self.starts[feature], self.starts[feature + 1])
            dense[self.rows[span], column] = self.weights[span]
        places, products = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for count in range(1, LIGHT + 1):
            spans = self.starts[np.flatnonzero(counts == count)][:, None] + np.arange(count)
            near, weight = self.rows[spans].astype(np.int64), self.weights[spans]
            places.append((near[:, :, None] * size + near[:, None, :]).ravel())
            products.append((weight[:, :, None] * weight[:, None, :]).ravel())
        rest = np.bincount(np.concatenate(places), np.concatenate(products), size * size)
        return dense @ dense.T + rest.reshape(size, size).astype(np.float32)
