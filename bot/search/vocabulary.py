"""The words of a knowledge base, and how a word of a question relates to them.

A word may be there itself, misspelt, or as a part of a compound (Servicekonto, Konto).
"""

from __future__ import annotations

import functools
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from bot.content.knowledge import Language
from bot.search.language import allowed_edits, spoken, stem

SHORTEST_PART = 4
SHORTEST_SOUND = 3
BY_EAR = 0.85  # similarity of a word that only sounds like a term
MOST_CANDIDATES = 120
CACHED_WORDS = 20_000


@dataclass(frozen=True, slots=True)
class Relation:
    """A term of the base that a word stands for."""

    term: int
    similarity: float  # 1 is the same word
    how: str  # exact, typo, compound, synonym


class Vocabulary:
    """The stems ("terms") of a base; immutable once built."""

    def __init__(self, counts: Mapping[str, int], language: Language) -> None:
        """`counts` says how often each stem occurs."""
        self._language: Language = language
        self.terms = sorted(counts)
        self._ids = {term: i for i, term in enumerate(self.terms)}
        self._lengths = np.array([len(term) for term in self.terms], np.int32)
        grams: dict[str, list[int]] = defaultdict(list)
        for i, term in enumerate(self.terms):
            for gram in _bigrams(term):
                grams[gram].append(i)
        self._backwards = sorted(term[::-1] for term in self.terms)
        self._counts = counts
        self._grams = {gram: np.array(ids, np.int32) for gram, ids in grams.items()}
        self.relate = functools.lru_cache(maxsize=CACHED_WORDS)(self._relate)
        self.abbreviated = functools.lru_cache(maxsize=CACHED_WORDS)(self._abbreviated)

    def id(self, word: str) -> int | None:
        """The term of a word of the base, None for any other word."""
        return self._ids.get(stem(word, self._language))

    def _relate(self, word: str) -> tuple[Relation, ...]:
        """Every term that the folded `word` stands for, in the order of their ids."""
        term = stem(word, self._language)
        exact = self._ids.get(term)
        found: dict[int, Relation] = {}
        if exact is not None:
            found[exact] = Relation(exact, 1.0, "exact")
        if term.isalpha():
            near = self._parts(term) if exact is not None else self._parts_and_misspelt(term)
            for relation in near:
                known = found.get(relation.term)
                if known is None or known.similarity < relation.similarity:
                    found[relation.term] = relation
        return tuple(sorted(found.values(), key=lambda r: r.term))

    def _abbreviated(self, short: str) -> tuple[Relation, ...]:
        """The commonest terms that "Aufg." or "Prfg." may stand for."""
        if not short.isalpha():
            return ()
        longer = [
            term
            for term in _beginning(self.terms, short[0])
            if term.startswith(short) or (len(short) > 2 and _skeleton(short, term))
        ]
        likely = sorted(longer, key=lambda term: -self._counts[term])[:4]
        most = max((self._counts[term] for term in likely), default=1)
        return tuple(
            Relation(self._ids[term], 0.85 * (self._counts[term] / most) ** 0.5, "abbreviation")
            for term in likely
        )

    def _parts_and_misspelt(self, term: str) -> Iterator[Relation]:
        yield from self._parts(term)
        yield from self._misspelt(term)
        if self._language == "de" and len(sound := spoken(term)) >= SHORTEST_SOUND:
            for i in self._by_sound.get(sound, ()):
                yield Relation(i, BY_EAR, "typo")

    @functools.cached_property
    def _by_sound(self) -> dict[str, list[int]]:
        """The terms that sound alike; worked out when a word is first not known."""
        alike: dict[str, list[int]] = defaultdict(list)
        for i, term in enumerate(self.terms):
            alike[spoken(term)].append(i)
        return alike

    def _parts(self, term: str) -> Iterator[Relation]:
        """Terms inside this one, and terms that begin or end with it."""
        length = len(term)
        for start in range(length - SHORTEST_PART + 1):
            for end in range(start + SHORTEST_PART, length + 1):
                i = self._ids.get(term[start:end])
                if i is not None and end - start < length:
                    place = 0.55 if start == 0 else 0.5 if end == length else 0.3
                    yield Relation(i, place + 0.35 * (end - start) / length, "compound")
        if length >= SHORTEST_PART:
            longer = _beginning(self.terms, term)
            longer += [name[::-1] for name in _beginning(self._backwards, term[::-1])]
            for name in filter(str.isalpha, longer):
                yield Relation(self._ids[name], 0.5 + 0.35 * length / len(name), "compound")

    def _misspelt(self, term: str) -> Iterator[Relation]:
        """Terms within the allowed distance (OSA); the rest of the base is never compared."""
        edits = allowed_edits(len(term))
        postings = [self._grams[g] for g in _bigrams(term) if g in self._grams]
        if not edits or not postings:
            return
        shared = np.bincount(np.concatenate(postings), minlength=len(self.terms))
        likely = (shared > len(term) - 2 * edits) & (abs(self._lengths - len(term)) <= edits)
        near = np.flatnonzero(likely)
        if len(near) > MOST_CANDIDATES:
            near = near[np.argsort(-shared[near], kind="stable")[:MOST_CANDIDATES]]
        names = [self.terms[i] for i in near]
        if not names:
            return
        for i, distance in zip(near, cdist([term], names, scorer=OSA.distance)[0], strict=True):
            allowed = min(edits, allowed_edits(int(self._lengths[i])))
            same_start = self.terms[i][0] == term[0]
            if distance <= allowed and (distance <= 1 or same_start):
                yield Relation(int(i), 0.92 - 0.9 * float(distance) / max(len(term), 4), "typo")


def _beginning(names: list[str], start: str) -> list[str]:
    """Of sorted names the longer ones that begin with `start`."""
    return names[bisect_right(names, start) : bisect_left(names, start + chr(sys.maxunicode))]


def _bigrams(term: str) -> set[str]:
    framed = f"^{term}$"
    return {framed[i : i + 2] for i in range(len(framed) - 1)}


def _skeleton(short: str, term: str) -> bool:
    """Whether `short` keeps the first letter of `term` and further ones in their order."""
    if not short or short[0] != term[0] or len(short) >= len(term):
        return False
    rest = iter(term)
    return all(letter in rest for letter in short)
