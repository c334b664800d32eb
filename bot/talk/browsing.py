"""Lists to choose from: all topics, the entries of one, the members of a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.chat import Outcome, Reply
from bot.content.knowledge import Kind
from bot.talk.conversation import MAX_OFFERS, question_kept
from bot.talk.replies import BROWSE, browsed, options
from bot.talk.turn import Answered, Turn

PAGE = 12
"""Entries listed at once, with one more number for the rest."""


def topics(turn: Turn) -> Answered:
    """The topics with numbers, those that only say what is unknown last."""
    known = [
        (place, {e.kind for e in topic.entries if turn.view.entry(e.id)})
        for place, topic in enumerate(turn.view.base.topics)
        if topic.title
    ]
    full = [place for place, kinds in known if Kind.ANSWER in kinds]
    gaps = [place for place, kinds in known if kinds == {Kind.GAP}]
    targets = [f"{BROWSE}{place}:0" for place in (*full, *gaps)[:MAX_OFFERS]]
    return listed(turn, turn.say("topics"), targets)


def topic(turn: Turn, target: str) -> Answered | None:
    """The entries of a topic from a place on; None where the knowledge has changed since."""
    place, start = browsed(target)
    if place >= len(turn.view.base.topics):
        return None
    chosen = turn.view.base.topics[place]
    entries = turn.view.known(e.id for e in chosen.entries)
    targets = list(entries[start : start + PAGE])
    if not targets:
        return None
    if len(entries) > start + PAGE:
        targets.append(f"{BROWSE}{place}:{start + PAGE}")
    return listed(turn, turn.say("topic", title=chosen.title), targets)


def overview(turn: Turn, entry_id: str) -> Answered | None:
    """What belongs to an overview: its series, else what its editor named beside it."""
    entry = turn.view.entry(entry_id)
    series = next((s for s in turn.view.base.series if s.id == entry_id), None)
    members = series.entries if series else entry.related if entry else ()
    targets = turn.view.known(members)
    title = series.title if series else entry.title if entry else ""
    return listed(turn, turn.say("topic", title=title), targets) if targets else None


def which(turn: Turn, cue: str) -> Answered:
    """Ask back what a follow-up refers to."""
    return listed(turn, turn.say("which", cue=cue), overviews(turn))


def overviews(turn: Turn) -> tuple[str, ...]:
    """The overview of each series, or its first entry."""
    view = turn.view
    return view.known(s.id if view.entry(s.id) else s.entries[0] for s in view.base.series)


def listed(turn: Turn, text: str, targets: Sequence[str], *, none: bool = False) -> Answered:
    """A list to choose from; without anything to choose it is only said."""
    outcome = Outcome.CHOICES if targets else Outcome.UNKNOWN
    reply = Reply(outcome, text, options=options(turn.view, targets, none=none and bool(targets)))
    return reply, replace(turn.state, offers=tuple(targets), question=question_kept(turn.text))
