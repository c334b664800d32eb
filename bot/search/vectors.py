"""Text becomes a sparse vector: fuzzy words, pairs of neighbouring words, character n-grams.

The product of two vectors is the similarity of their texts, 0 to 1.  What a question says
beyond the words of the base shortens its vector: unknown matter makes it less similar to
everything, which is how the bot notices that it was asked about something else.
"""

from __future__ import annotations

import functools
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bot.content.knowledge import Language
from bot.search.language import abbreviations, frequencies, is_stopword, stem, words
from bot.search.vocabulary import CACHED_WORDS, Relation, Vocabulary

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

# Shares and weights lie on flat optima: a step to either side moves the figures by less than
# a point on the golden questions and on HINT3.
WORDS_SHARE = 0.5  # of the squared length; the rest belongs to the n-grams
STOPWORD = 0.4
SYNONYM = 0.7
PAIR = 0.5
GRAM_SIZES = (3, 4, 5)
LONGEST_SYNONYM = 4  # words
BLOCK = 20_000  # phrasings whose n-grams are counted at once: more need more memory
MOST_WORDS = 60  # of a question; what follows is not read

# A word that the base lacks counts by how rare it is in the language (Zipf scale): everyday
# words say little about the subject, rare ones say that it is another one.
UNLISTED = 2.5
EVERYDAY, SPAN, LEAST = 6.5, 3.5, 0.1


@dataclass(frozen=True, slots=True)
class Vector:
    """Distinct ids of features and their weights: first words and pairs, then n-grams."""

    ids: Ints
    weights: Floats
    words: int  # so many of the features are words and pairs

    @property
    def blocks(self) -> tuple[Vector, Vector]:
        """Words and pairs, n-grams."""
        cut = self.words
        return (
            Vector(self.ids[:cut], self.weights[:cut], cut),
            Vector(self.ids[cut:], self.weights[cut:], 0),
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """The vectors of many texts in one: row i holds `starts[i]` to `starts[i + 1]`."""

    starts: npt.NDArray[np.int64]
    ids: Ints
    weights: Floats

    @property
    def numbers(self) -> Ints:
        """By value the number of its row."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class Found:
    """One word of a question and the terms of the base that it stands for."""

    word: str  # two where they were joined, more where a synonym has more
    relations: tuple[Relation, ...]
    weight: float  # below 1 for stopwords
    parts: tuple[str, ...]  # the words of the question that it is made of
    single: bool = True  # the word itself, not joined neighbours or a synonym


@dataclass(frozen=True, slots=True)
class Encoded:
    """A question: its words, what they stand for, and its vector."""

    words: Sequence[str]
    stems: Sequence[str]  # of the words, as far as possible those that were meant
    found: Sequence[Found]
    vector: Vector


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The features of a base's phrasings, and how telling each is."""

    stems: Mapping[str, int]  # how often each occurs
    pairs: Mapping[str, int]  # two neighbouring stems with a space between -> feature
    grams: Mapping[str, int]  # n-gram -> feature, counted from 0 after words and pairs
    word_rarity: Floats  # by stem (sorted) and pair, from 1 up
    gram_rarity: Floats
    phrasings: int

    @property
    def size(self) -> int:
        """The number of features."""
        return len(self.word_rarity) + len(self.gram_rarity)


def learn(phrasings: Sequence[Sequence[str]], language: Language) -> tuple[Lexicon, Rows]:
    """The features of phrasings, given as their words, and each as a vector of length 1."""
    stems = Counter(stem(word, language) for row in phrasings for word in row)
    terms = {term: i for i, term in enumerate(sorted(stems))}
    pairs: dict[str, int] = {}
    known = _stacked(_known_words(row, terms, pairs, language) for row in phrasings)
    word_rarity = _rarities(known, len(terms) + len(pairs))
    grams, ids = _known_grams(phrasings)
    gram_rarity = _rarities(grams, len(ids))
    rows = _side_by_side(
        replace(known, weights=_unit(known, word_rarity, WORDS_SHARE)),
        replace(
            grams,
            ids=grams.ids + np.int32(len(word_rarity)),
            weights=_unit(grams, gram_rarity, 1 - WORDS_SHARE),
        ),
    )
    return Lexicon(stems, pairs, ids, word_rarity, gram_rarity, len(phrasings)), rows


class Encoder:
    """Turns questions into vectors over the features of one lexicon; immutable once built."""

    def __init__(
        self, lexicon: Lexicon, language: Language, synonyms: Iterable[Sequence[str]] = ()
    ) -> None:
        self._language: Language = language
        self._lexicon = lexicon
        self.vocabulary = Vocabulary(lexicon.stems, language)
        self._synonyms = self._resolve(synonyms)
        self._rarest = 1 + math.log1p(lexicon.phrasings)
        self._grams_of = functools.lru_cache(maxsize=CACHED_WORDS)(self._split_grams)

    def encode(self, text: str) -> Encoded:
        row = words(text, self._language)[:MOST_WORDS]
        singles = self._singles(row, abbreviations(text))
        meant = [self._meant(one) for one in singles]
        found = [*singles, *self._joins(row), *self._phrases(row, meant)]
        pairs = [f"{left} {right}" for left, right in pairwise(meant)]
        grams, unknown_grams = self._question_grams(row)
        unknown = self._unknown(found, pairs)
        vector = self._joined(self._bag(found, pairs), unknown, grams, unknown_grams)
        return Encoded(row, meant, found, vector)

    def _singles(self, row: Sequence[str], dotted: frozenset[str]) -> list[Found]:
        """What the words stand for, one by one."""
        found = []
        for word in row:
            relations = self.vocabulary.relate(word)
            if word in dotted and not any(r.how == "exact" for r in relations):
                relations += self.vocabulary.abbreviated(word)
            found.append(Found(word, relations, self._weight(word), (word,)))
        return found

    def _meant(self, one: Found) -> str:
        """The stem of a word; where the base lacks it, the one it is most likely meant to be."""
        repaired = [r for r in one.relations if r.how in {"exact", "typo", "abbreviation"}]
        best = max(repaired, key=lambda r: r.similarity, default=None)
        return self.vocabulary.terms[best.term] if best else stem(one.word, self._language)

    def _joins(self, row: Sequence[str]) -> list[Found]:
        """Neighbours that are one word of the base ("Service Konto")."""
        found = []
        for left, right in pairwise(row):
            near = self.vocabulary.relate(left + right)
            whole = tuple(r for r in near if r.how in {"exact", "typo"})
            if whole:
                found.append(Found(left + right, whole, 1.0, (left, right), single=False))
        return found

    def _phrases(self, row: Sequence[str], meant: Sequence[str]) -> list[Found]:
        """Words and phrases that have synonyms in the base."""
        found = []
        for size in range(1, LONGEST_SYNONYM + 1):
            for start in range(len(row) - size + 1):
                span = slice(start, start + size)
                parts = tuple(row[span])
                for terms in self._synonyms.get(tuple(meant[span]), ()):
                    relations = tuple(Relation(term, SYNONYM, "synonym") for term in terms)
                    found.append(Found(" ".join(parts), relations, 1.0, parts, single=False))
        return found

    def strangeness(self, word: str) -> float:
        """How much a word that the base lacks says about the subject, 0.1 to 1."""
        zipf = frequencies(self._language).get(word, UNLISTED)
        return min(1.0, max(LEAST, (EVERYDAY - zipf) / SPAN))

    def _weight(self, word: str) -> float:
        return _weight(word, self._language)

    def _bag(self, found: Iterable[Found], pairs: Iterable[str]) -> dict[int, float]:
        bag: dict[int, float] = {}
        for one in found:
            for relation in one.relations:
                weight = one.weight * relation.similarity
                bag[relation.term] = max(bag.get(relation.term, 0.0), weight)
        for pair in pairs:
            if pair in self._lexicon.pairs:
                bag[self._lexicon.pairs[pair]] = PAIR
        return bag

    def _unknown(self, found: Iterable[Found], pairs: Iterable[str]) -> float:
        """The squared length of the words and pairs that the base lacks."""
        strange = [f.weight * self.strangeness(f.word) for f in found if not f.relations]
        unheard = sum(pair not in self._lexicon.pairs for pair in set(pairs))
        return (sum(w * w for w in strange) + unheard * PAIR**2) * self._rarest**2

    def _split_grams(self, word: str) -> tuple[tuple[int, ...], int]:
        """The ids of a word's n-grams, and how many the base lacks."""
        ids = [self._lexicon.grams.get(gram) for gram in _grams(word)]
        return tuple(i for i in ids if i is not None), ids.count(None)

    def _question_grams(self, row: Sequence[str]) -> tuple[dict[int, float], int]:
        counts: Counter[int] = Counter()
        unknown = 0
        for word in row:
            ids, missing = self._grams_of(word)
            counts.update(ids)
            unknown += missing
        return {i: 1 + math.log(n) for i, n in counts.items()}, unknown

    def _joined(
        self,
        known: Mapping[int, float],
        unknown_square: float,
        grams: Mapping[int, float],
        unknown_grams: int,
    ) -> Vector:
        """Both blocks, each scaled to its share of the length."""
        word_ids, word_weights = _scaled(
            known, self._lexicon.word_rarity, unknown_square, WORDS_SHARE
        )
        gram_square = unknown_grams * self._rarest**2
        gram_ids, gram_weights = _scaled(
            grams, self._lexicon.gram_rarity, gram_square, 1 - WORDS_SHARE
        )
        return Vector(
            np.concatenate([word_ids, gram_ids + np.int32(len(self._lexicon.word_rarity))]),
            np.concatenate([word_weights, gram_weights]),
            len(word_ids),
        )

    def _resolve(
        self, groups: Iterable[Sequence[str]]
    ) -> Mapping[tuple[str, ...], list[tuple[int, ...]]]:
        """Stems of one member of a group -> the terms of each other member that the base knows."""
        meaning: dict[tuple[str, ...], list[tuple[int, ...]]] = defaultdict(list)
        for group in groups:
            members = [words(member, self._language) for member in group]
            for member in members:
                key = tuple(stem(word, self._language) for word in member)
                for other in members:
                    terms = [self.vocabulary.id(w) for w in other if self._weight(w) == 1.0]
                    if other != member and terms and None not in terms:
                        meaning[key].append(tuple(t for t in terms if t is not None))
        return meaning


def _weight(word: str, language: Language) -> float:
    return STOPWORD if is_stopword(word, language) else 1.0


def _known_words(
    row: Sequence[str], terms: Mapping[str, int], pairs: dict[str, int], language: Language
) -> dict[int, float]:
    """The bag of a phrasing; its pairs become features."""
    bag: dict[int, float] = {}
    stems = [stem(word, language) for word in row]
    for word, term in zip(row, stems, strict=True):
        feature = terms[term]
        bag[feature] = max(bag.get(feature, 0.0), _weight(word, language))
    for left, right in pairwise(stems):
        bag[pairs.setdefault(f"{left} {right}", len(terms) + len(pairs))] = PAIR
    return bag


def _known_grams(rows: Sequence[Sequence[str]]) -> tuple[Rows, dict[str, int]]:
    """The n-grams of the phrasings, which become features; each word is cut once."""
    ids: dict[str, int] = {}
    of_word = {
        word: np.array([ids.setdefault(gram, len(ids)) for gram in _grams(word)], np.int64)
        for word in dict.fromkeys(word for row in rows for word in row)
    }
    blocks = [
        _counted([[of_word[word] for word in row] for row in rows[start : start + BLOCK]])
        for start in range(0, len(rows), BLOCK)
    ]
    counts = np.concatenate([np.zeros(1, np.int64), *(np.diff(b.starts) for b in blocks)])
    counted = Rows(
        np.cumsum(counts),
        np.concatenate([np.zeros(0, np.int32), *(b.ids for b in blocks)]),
        np.concatenate([np.zeros(0, np.float32), *(b.weights for b in blocks)]),
    )
    return counted, ids


def _counted(rows: Sequence[Sequence[npt.NDArray[np.int64]]]) -> Rows:
    """The n-grams of each row, with 1 + log of how often they stand in it."""
    lengths = [sum(map(len, pieces)) for pieces in rows]
    grams = np.concatenate([np.zeros(0, np.int64), *(p for pieces in rows for p in pieces)])
    size = int(grams.max(initial=0)) + 1
    keys, counts = np.unique(
        np.repeat(np.arange(len(rows)), lengths) * size + grams, return_counts=True
    )
    numbers, grams = np.divmod(keys, size)
    starts = np.searchsorted(numbers, np.arange(len(rows) + 1))
    return Rows(starts, grams.astype(np.int32), (1 + np.log(counts)).astype(np.float32))


def _grams(word: str) -> list[str]:
    framed = f" {word} "
    return [
        framed[start : start + size]
        for size in GRAM_SIZES
        for start in range(len(framed) - size + 1)
    ]


def _stacked(bags: Iterable[Mapping[int, float]]) -> Rows:
    ids, weights, counts = array("i"), array("f"), array("q", [0])
    for bag in bags:
        ids.extend(bag.keys())
        weights.extend(bag.values())
        counts.append(len(bag))
    return Rows(np.cumsum(counts), np.array(ids, np.int32), np.array(weights, np.float32))


def _rarities(rows: Rows, size: int) -> Floats:
    """Inverse document frequency of each feature, from 1 up."""
    occurrences = np.bincount(rows.ids, minlength=size)
    rarities = 1 + math.log1p(len(rows.starts) - 1) - np.log1p(occurrences)
    return rarities.astype(np.float32)


def _unit(rows: Rows, rarity: Floats, share: float) -> Floats:
    """The weights with their rarity, each row scaled to its share of a length of 1."""
    weights = rows.weights * rarity[rows.ids]
    numbers = rows.numbers
    squares = np.bincount(numbers, weights * weights, len(rows.starts) - 1)
    scales = np.sqrt(share / np.maximum(squares, 1e-12)).astype(np.float32)
    return weights * scales[numbers]


def _side_by_side(left: Rows, right: Rows) -> Rows:
    """Row by row the values of both."""
    order = np.argsort(np.concatenate([left.numbers, right.numbers]), kind="stable")
    ids = np.concatenate([left.ids, right.ids])[order]
    weights = np.concatenate([left.weights, right.weights])[order]
    return Rows(left.starts + right.starts, ids, weights)


def _scaled(
    bag: Mapping[int, float], rarity: Floats, unknown_square: float, share: float
) -> tuple[Ints, Floats]:
    ids = np.fromiter(bag.keys(), np.int32, len(bag))
    weights = np.fromiter(bag.values(), np.float32, len(bag)) * rarity[ids]
    square = float(weights @ weights) + unknown_square
    return ids, weights * np.float32(math.sqrt(share / square) if square else 0.0)
