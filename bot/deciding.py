"""From confidences to a decision: answer, let choose, or decline.  The thresholds stand here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.knowledge import Entry
from bot.matching import Match
from bot.turn import Turn

ANSWER = 0.55  # from this confidence on the best entry is the answer
CHOICE = 0.55  # from this confidence of the best few together on, they are offered
LEAST_CHOICE = 0.15  # an entry below is no choice
NEAR = 0.08  # an entry below is not near enough to be named
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
    return decided(turn, turn.match(text))


def decided(turn: Turn, matches: Sequence[Match]) -> Decision:
    """What matches, best first, say."""
    if not matches:
        return Decision()
    score = matches[0].score
    if score >= ANSWER:
        return Decision(turn.view.entry(matches[0].entry), score=score)
    likely = [m for m in matches[:MAX_CHOICES] if m.score >= LEAST_CHOICE]
    if len(likely) > 1 and sum(m.score for m in likely) >= CHOICE:
        return Decision(choices=tuple(m.entry for m in likely), score=score)
    near = tuple(m.entry for m in matches[:MAX_NEAR] if m.score >= NEAR)
    return Decision(near=near, score=score)
