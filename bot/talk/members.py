"""Who names a member by its number („Phase 2“) means no other member.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from rapidfuzz.distance import OSA

from bot.content.knowledge import Kind, KnowledgeBase
from bot.search.language import allowed_edits, spoken, words
from bot.search.matching import Match

Name = tuple[str, int]  # „Phase 2“ is ("phase", 2)

BESIDE = frozenset(("nach", "vor", "ab", "bis", "after", "before"))
"""Words before a name that mean what is beside it."""

JOINING = frozenset(("und", "oder", "and", "or"))
RANGE = frozenset(("bis", "to"))

SURE = 0.99


def narrowed(base: KnowledgeBase, text: str, matches: Sequence[Match]) -> list[Match]:
    """The matches without other members of what is named and without its overview.

    Their share of the confidence goes to those that stay, unless a gap was found better:
    „Können Phase 1 und Phase 2 zugleich laufen?“ is not about either.
    """
    said = words(text, base.language)
    asked = frozenset((_noun(base, noun), n) for noun, n in _names(said, before=BESIDE))
    named = _named(base)
    meant = {m.entry for m in matches if named.get(m.entry, frozenset()) & asked}
    if not meant:
        return list(matches)
    nouns = {noun for noun, _ in asked}
    overviews = {s.id for s in base.series if meant & set(s.entries)}
    out = {
        m.entry
        for m in matches
        if m.entry not in meant
        and (m.entry in overviews or any(n in nouns for n, _ in named.get(m.entry, frozenset())))
    }
    left = max(0.1, 1.0 - sum(m.score for m in matches if m.entry in out))
    kept = [m for m in matches if m.entry not in out]
    gaps = [m.score for m in kept if base.entries[m.entry].kind is Kind.GAP]
    return [
        replace(m, score=min(SURE, m.score / left))
        if m.entry in meant and m.score >= max(gaps, default=0.0)
        else m
        for m in kept
    ]


def named_in(base: KnowledgeBase, text: str) -> list[str]:
    """Ids of the members that a text names, in its order; none for a range („1 bis 5“)."""
    said = words(text, base.language)
    if RANGE & set(said):
        return []
    names: list[Name] = []
    for place, word in enumerate(said):
        if not word.isdecimal() or place == 0:
            continue
        before = said[place - 1]
        if before.isalpha() and before not in JOINING:
            names.append((_noun(base, before), int(word)))
        elif before in JOINING and names and said[place - 2].isdecimal():
            names.append((names[-1][0], int(word)))
    owners = {n: [e for e, titled in _named(base).items() if n in titled] for n in names}
    return list(dict.fromkeys(ids[0] for ids in owners.values() if len(ids) == 1))


def numbers_of(base: KnowledgeBase, entry_id: str) -> frozenset[int]:
    """The numbers that the title of an entry names („Phase 2 – Prüfung“)."""
    return frozenset(number for _, number in _named(base).get(entry_id, ()))


def titled(base: KnowledgeBase, said: Sequence[str]) -> str | None:
    """The member of a series whose title, and no other title at all, has these words."""
    having = [_title_words(base).get(word, frozenset()) for word in said]
    ids = frozenset.intersection(*having) if having else frozenset()
    if len(ids) != 1:
        return None
    return next((i for s in base.series for i in s.entries if i in ids), None)


def subjects(base: KnowledgeBase, said: Sequence[str]) -> list[str]:
    """The members of series that bare words name („Planung Prüfung“), one by each word.

    None where a word is in the title of no member or of several.
    """
    members = {i for s in base.series for i in s.entries}
    owners = [members & _title_words(base).get(word, frozenset()) for word in said]
    if any(len(ids) != 1 for ids in owners):
        return []
    return list(dict.fromkeys(i for ids in owners for i in ids))


@lru_cache(maxsize=8)
def _title_words(base: KnowledgeBase) -> Mapping[str, frozenset[str]]:
    """Which entries have a word in their title."""
    found: dict[str, set[str]] = {}
    for entry in base.entries.values():
        for word in words(entry.title, base.language):
            found.setdefault(word, set()).add(entry.id)
    return {word: frozenset(ids) for word, ids in found.items()}


@lru_cache(maxsize=8)
def _named(base: KnowledgeBase) -> Mapping[str, frozenset[Name]]:
    """What the titles of the entries name."""
    titles = {e.id: _names(words(e.title, base.language)) for e in base.entries.values()}
    return {entry: names for entry, names in titles.items() if names}


def _noun(base: KnowledgeBase, word: str) -> str:
    """The noun of a name as it is written in the titles: „fase“ is „phase“."""
    nouns = {noun for names in _named(base).values() for noun, _ in names}
    if word in nouns:
        return word
    edits = allowed_edits(len(word))
    near = (n for n in sorted(nouns) if OSA.distance(word, n) <= edits)
    heard = (n for n in sorted(nouns) if spoken(n) == spoken(word))
    return next(heard, next(near, word)) if edits else word


def _names(said: Sequence[str], before: frozenset[str] = frozenset()) -> frozenset[Name]:
    found = set()
    for place, (noun, number) in enumerate(pairwise(said)):
        beside = place > 0 and said[place - 1] in before
        if number.isdecimal() and noun.isalpha() and not beside:
            found.add((noun, int(number)))
    return frozenset(found)
