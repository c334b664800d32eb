"""Finds the entries that a question means.  Pure: no clock, file or network."""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz import fuzz

from bot.knowledge import KnowledgeBase


@dataclass(frozen=True, slots=True)
class Match:
    entry: str
    score: float  # confidence that this entry is meant, 0 to 1


@dataclass(frozen=True, slots=True)
class WordMatch:
    """How one word of the question was found."""

    word: str
    found: str  # the word of the entry
    how: str  # exact, stem, typo, compound, synonym


@dataclass(frozen=True, slots=True)
class Explanation:
    entry: str
    words: tuple[WordMatch, ...]
    unmatched: tuple[str, ...]


class Index:
    """The searchable form of one knowledge base; immutable once built."""

    def __init__(self, base: KnowledgeBase) -> None:
        self._base = base

    def match(self, question: str, limit: int = 5) -> list[Match]:
        """The best entries, best first; ties in the order of their ids."""
        scored = [
            Match(
                e.id,
                max(
                    fuzz.token_sort_ratio(question.lower(), p.lower()) / 100
                    for p in (e.title, *e.questions)
                ),
            )
            for e in self._base.entries.values()
        ]
        return sorted(scored, key=lambda m: (-m.score, m.entry))[:limit]

    def explain(self, question: str, entry: str) -> Explanation:
        return Explanation(entry, (), tuple(question.split()))
