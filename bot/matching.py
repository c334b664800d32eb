"""Finds the entries that a question means.  Pure: no clock, file or network.

Three kinds of evidence: how similar the question is to the phrasings of an entry, what kernel
ridge regression learned from all phrasings, and how much of the question the entry covers.
`bot.confidence` turns the evidence into a probability.  Of a long text the best sentence counts.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bot.confidence import Evidence, confidence
from bot.knowledge import Entry, Kind, KnowledgeBase
from bot.language import MAX_CHARACTERS, sentences, stem, words
from bot.vectors import STOPWORD, Encoded, Encoder, Floats, Found, Ints, Rows, Vector

# How far a phrasing is trusted when the weights are learned: the smaller, the more.
RIDGE = 0.5
RIDGE_OF_TEXT = 3.0  # keywords, answers and passages say less than a question does

LEARNED = 2_000
"""So many examples at the most are learned from (the effort grows with their cube): where there
are more phrasings, neighbouring ones of an entry are merged into one example.  A base with more
entries than that is searched without learning."""

POOL, POOL_OF_GAPS = 8, 3  # entries that are looked at closely
LONG = 16  # words; longer questions are also read sentence by sentence
SENTENCE = 3  # words; shorter sentences are no question
MOST_SENTENCES = 12  # of a long text are looked at by themselves
STOPWORD_COVERAGE = 0.1

CERTAIN = 0.99  # at least, for a question that stands literally in one entry
MAX_LITERAL = 400  # characters; no written question is longer


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
    stems: frozenset[str]
    known: float  # squared length of its vector: the share that the base knows
    strength: Floats  # by entry: what was learned, else the density of similar phrasings
    nearest: Floats  # by entry: the most similar phrasing
    length: int  # words


class Index:
    """The searchable form of one knowledge base; immutable once built."""

    def __init__(self, base: KnowledgeBase) -> None:
        self._language = base.language
        self._ids = sorted(base.entries)
        entries = [base.entries[i] for i in self._ids]
        self._gaps = np.array([e.kind is Kind.GAP for e in entries], np.bool_)
        rows = [(owner, *p) for owner, entry in enumerate(entries) for p in _phrasings(entry)]
        self._owners = np.array([owner for owner, _, _ in rows], np.int32)
        spoken = [words(text, base.language) for _, text, _ in rows]
        self._encoder = Encoder(spoken, base.language, base.synonyms)
        self._starts = np.searchsorted(self._owners, np.arange(len(self._ids)))
        self._postings = _Postings(self._encoder.rows, self._encoder.size)
        self._terms = self._terms_of_entries()
        self._telling = self._how_telling()
        self._unwanted = [[self._stems(phrase) for phrase in e.not_for] for e in entries]
        self._rarest = math.log1p(len(entries))
        self._lesson = self._learn(np.array([r for _, _, r in rows], np.float32))
        asked = [ridge == RIDGE for _, _, ridge in rows]
        self._literal = self._literals(
            itertools.compress(zip(spoken, self._owners, strict=True), asked)
        )

    def match(self, question: str, limit: int = 5) -> list[Match]:
        """The best entries, best first; ties in the order of their ids."""
        pool, evidence = self.evidence(question)
        scores = dict(
            zip(pool, confidence(evidence, learned=self._lesson is not None), strict=True)
        )
        literal = self._literal.get(" ".join(words(question[:MAX_LITERAL], self._language)))
        if literal:
            scores[literal] = max(CERTAIN, *scores.values())
        best = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0] != literal, pair[0]))
        return [Match(entry, score) for entry, score in best[:limit]]

    def evidence(self, question: str) -> tuple[list[str], list[Evidence]]:
        """The entries that were looked at closely, and what speaks for each."""
        readings = self._readings(question)
        pool = self._pool(readings)
        return [self._ids[o] for o in pool], [self._evidence(o, readings) for o in pool]

    def unlearned(self) -> Index:
        """The same index as a base too large to learn from has it."""
        index = copy.copy(self)
        index._lesson = None
        return index

    def explain(self, question: str, entry: str) -> Explanation:
        """Which words of the question were found in the entry, and how."""
        terms = self._terms[self._ids.index(entry)]
        encoded = self._encoder.encode(question)
        matched: list[WordMatch] = []
        for found in encoded.found:
            there = [r for r in found.relations if r.term in terms]
            if there:
                best = max(there, key=lambda r: r.similarity)
                term = self._encoder.vocabulary.terms[best.term]
                matched.append(WordMatch(found.word, term, best.how))
        seen = {word for match in matched for word in match.word.split()}
        return Explanation(entry, tuple(matched), tuple(w for w in encoded.words if w not in seen))

    # --- reading the question ---------------------------------------------------

    def _readings(self, question: str) -> list[_Reading]:
        question = question[:MAX_CHARACTERS]
        whole = self._encoder.encode(question)
        texts = [whole]
        if len(whole.words) > LONG:
            parts = sentences(question, self._language)
            likely = [p for p in parts if "?" in p] or parts
            read = [self._encoder.encode(p) for p in likely[:MOST_SENTENCES]]
            texts += [encoded for encoded in read if len(encoded.words) >= SENTENCE]
        return [self._reading(text) for text in texts]

    def _reading(self, text: Encoded) -> _Reading:
        similarity = self._postings.similarities(text.vector, len(self._owners))
        nearest = np.maximum.reduceat(similarity, self._starts)
        if self._lesson:
            strength = self._lesson.apply(similarity)
        else:
            density = np.bincount(self._owners, similarity * similarity, len(self._ids))
            strength = density.astype(np.float32)
        return _Reading(
            found=[(found, self._tellingness(found)) for found in text.found],
            stems=frozenset(text.stems),
            known=float(text.vector.weights @ text.vector.weights),
            strength=strength,
            nearest=nearest,
            length=len(text.words),
        )

    def _pool(self, readings: Sequence[_Reading]) -> list[int]:
        """The likeliest entries, then the likeliest gaps."""
        order = np.argsort(-np.max([r.strength for r in readings], axis=0), kind="stable")
        gaps = self._gaps[order]
        likely: list[int] = order[~gaps][:POOL].tolist()
        likely += order[gaps][:POOL_OF_GAPS].tolist()
        return likely

    def _evidence(self, owner: int, readings: Sequence[_Reading]) -> Evidence:
        reading = max(readings, key=lambda r: float(r.strength[owner]))
        return Evidence(
            gap=bool(self._gaps[owner]),
            strength=float(reading.strength[owner]),
            nearest=float(reading.nearest[owner]),
            known=reading.known,
            length=reading.length,
            coverage=self._coverage(owner, reading.found),
            unwanted=any(said <= reading.stems for said in self._unwanted[owner]),
        )

    def _coverage(self, owner: int, found: Sequence[tuple[Found, float]]) -> float:
        """The share of the question that the entry's words cover, by how telling they are."""
        terms = self._terms[owner]
        covered: dict[str, float] = {}
        total = 0.0
        for one, weight in found:
            near = max((r.similarity for r in one.relations if r.term in terms), default=0.0)
            for word in one.parts:
                covered[word] = max(covered.get(word, 0.0), near)
            total += weight if one.single else 0.0
        got = sum(weight * covered[one.word] for one, weight in found if one.single)
        return got / total if total else 0.0

    # --- building ---------------------------------------------------------------

    def _terms_of_entries(self) -> list[frozenset[int]]:
        rows = self._encoder.rows
        of_words = rows.ids < len(self._encoder.vocabulary.terms)
        ids, owners = rows.ids[of_words], self._owners[rows.numbers[of_words]]
        cuts = np.searchsorted(owners, np.arange(1, len(self._ids)))
        return [frozenset(terms.tolist()) for terms in np.split(ids, cuts)]

    def _literals(self, asked: Iterable[tuple[Sequence[str], int]]) -> dict[str, str]:
        """The entry of every title and question that an editor wrote for it alone."""
        owners: dict[str, set[int]] = defaultdict(set)
        for said, owner in asked:
            owners[" ".join(said)].add(owner)
        return {t: self._ids[ids.pop()] for t, ids in owners.items() if t and len(ids) == 1}

    def _stems(self, text: str) -> frozenset[str]:
        return frozenset(stem(word, self._language) for word in words(text, self._language))

    def _how_telling(self) -> dict[int, float]:
        """The rarer among the entries, the more a term says."""
        spread = Counter(term for terms in self._terms for term in terms)
        return {term: math.log1p(len(self._ids) / count) for term, count in spread.items()}

    def _tellingness(self, found: Found) -> float:
        scale = STOPWORD_COVERAGE if found.weight == STOPWORD else found.weight
        if found.relations:
            return scale * max(self._telling[r.term] * r.similarity for r in found.relations)
        return scale * self._rarest * self._encoder.strangeness(found.word)

    def _learn(self, ridges: Floats) -> _Lesson | None:
        size = len(self._ids)
        if not 0 < size <= LEARNED:
            return None
        examples = _examples(self._owners, LEARNED)
        merged, lengths = _merged(self._encoder.rows, examples, self._encoder.size)
        count = len(lengths)
        kernel = _bend(_Postings(merged, self._encoder.size).gram_matrix(count))
        kernel[np.diag_indices(count)] += np.maximum.reduceat(ridges, _starts(examples))
        targets = np.zeros((count, size), np.float32)
        targets[np.arange(count), self._owners[_starts(examples)]] = 1
        return _Lesson(examples, lengths, np.linalg.solve(kernel, targets))


@dataclass(frozen=True, slots=True)
class _Lesson:
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

    def __init__(self, rows: Rows, features: int) -> None:
        order = np.argsort(rows.ids, kind="stable")
        self._starts = np.searchsorted(rows.ids[order], np.arange(features + 1))
        self._rows = rows.numbers[order]
        self._weights = rows.weights[order]

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
