"""From confidences to a decision: answer, let choose, or decline.  The thresholds stand here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.content.knowledge import Entry, Kind
from bot.search.matching import Match
from bot.talk.members import SURE, named_in, narrowed, subjects, titled
from bot.talk.turn import Turn

ANSWER = 0.4  # from this confidence on the best entry is the answer
CHOICE = 0.5  # from this confidence of the best few together on, they are offered
LEAST_CHOICE = 0.1  # an entry below is no choice
GAP = 0.3  # from this confidence on an honest "the source does not say it" is shown
NEAR = 0.04  # an entry below is not near enough to be named
BY_WORDS_GAP = "gap:"
"""Prefix of cues that lead to the gap with the id that follows."""

MAX_WEIGHED = 5  # matches that are looked at
MAX_CHOICES = 3
MAX_NEAR = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry, or several to choose from, or neither with what is nearest."""

    entry: Entry | None = None
    choices: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    score: float = 0.0  # confidence of the best entry


def decide(turn: Turn, text: str | None = None) -> Decision:
    """What `text`, or all that was said, asks for."""
    asked = turn.text if text is None else text
    if named := _only_named(turn, asked):
        return Decision(named, score=SURE)
    if gap := _gap_by_words(turn, asked):
        return Decision(gap, score=SURE)
    own = turn.cues.own(turn.cues.tokens(asked))
    if len(beside := subjects(turn.view.base, own)) > 1:
        return Decision(choices=turn.view.known(beside)[:MAX_CHOICES], score=SURE)
    return decided(turn, narrowed(turn.view.base, asked, turn.match(asked))[:MAX_WEIGHED])


def _only_named(turn: Turn, text: str) -> Entry | None:
    """The member that a text names, where nothing else in it has content."""
    own = turn.cues.own(turn.cues.tokens(text))
    if not own:
        return None
    if not all(w.isdecimal() for w in own):
        return turn.view.entry(titled(turn.view.base, own))
    names = named_in(turn.view.base, text)
    return turn.view.entry(names[0]) if len(names) == 1 else None


def _gap_by_words(turn: Turn, text: str) -> Entry | None:
    """The honest gap that words which occur together ask for, whatever else is said."""
    found = turn.cues.find(turn.cues.tokens(text))
    kind = next((c.kind for c in found if c.kind.startswith(BY_WORDS_GAP)), "")
    return turn.view.entry(kind.removeprefix(BY_WORDS_GAP)) if kind else None


def decided(turn: Turn, matches: Sequence[Match]) -> Decision:
    """What matches say.  Only answers are offered: a gap is no choice."""
    matches = sorted(matches, key=lambda m: -m.score)
    entries = {m.entry: turn.view.entry(m.entry) for m in matches}
    gaps = [m for m in matches if (e := entries[m.entry]) and e.kind is Kind.GAP]
    answers = [m for m in matches if m not in gaps]
    score = max((m.score for m in matches), default=0.0)
    surest = answers[0].score if answers else 0.0
    if gaps and gaps[0].score >= max(GAP, surest):
        return Decision(entries[gaps[0].entry], score=score)
    if surest >= ANSWER:
        return Decision(entries[answers[0].entry], score=score)
    likely = [m for m in answers[:MAX_CHOICES] if m.score >= LEAST_CHOICE]
    if len(likely) > 1 and sum(m.score for m in likely) >= CHOICE:
        return Decision(choices=tuple(m.entry for m in likely), score=score)
    if gaps and gaps[0].score >= GAP:
        return Decision(entries[gaps[0].entry], score=score)
    near = tuple(m.entry for m in answers[:MAX_NEAR] if m.score >= NEAR)
    return Decision(near=near, score=score)


def found_by(turn: Turn, words: Sequence[str]) -> bool:
    """Whether these words are among what the message's answer is found by."""
    best = decide(turn).entry
    if best is None:
        return False
    matched = turn.index.explain(turn.text, best.id).words
    found = {word for w in matched if w.how != "typo" for word in w.word.split()}
    return not found.isdisjoint(words)
