"""Resolves "2", "die zweite", a title or "0" against the last list of the thread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rapidfuzz.distance import OSA

from bot.chat import HandedOver, Outcome, Rated, Rating, Reply, Unanswered
from bot.search.language import allowed_edits
from bot.talk.browsing import topic
from bot.talk.members import numbers_of
from bot.talk.replies import BROWSE, REASONS, TEAM, TEAM_CALLBACK, options
from bot.talk.turn import Answered, Turn

MAX_DIGITS = 2
"""Longer numbers are no choice: no list is that long, and the source has such numbers."""

_ENUMERATED = re.compile(r"\w+tens\W*$", re.IGNORECASE)  # zweitens


def choice(turn: Turn) -> Answered | None:
    """The reply to a choice; None where the message is none."""
    offers = turn.state.offers
    numbers = _numbers(turn)
    if numbers and (step := _step(turn, numbers)):
        return take(turn, step)
    if numbers is not None:
        if not offers:
            return turn.chat("no_list"), turn.state
        if len(numbers) > 1:
            return turn.chat("one_number"), turn.state
        number = len(offers) if numbers == [_LAST] else numbers[0]
        if number == 0:
            return nothing(turn)
        if number > len(offers):
            return _not_offered(turn), turn.state
        return take(turn, offers[number - 1])
    if offers and (none := turn.cue(["none"])) and not none.own:
        return nothing(turn)
    target = _by_title(turn)
    return take(turn, target) if target else None


def _step(turn: Turn, numbers: Sequence[int]) -> str | None:
    """„Zweitens?“ beside a series, not below a list of choices: the member of that number."""
    topic, base = turn.state.topic, turn.view.base
    series = next((s for s in base.series if topic == s.id or topic in s.entries), None)
    if series is None or len(numbers) != 1 or not _ENUMERATED.search(turn.text):
        return None
    return next((i for i in series.entries if numbers[0] in numbers_of(base, i)), None)


def nothing(turn: Turn) -> Answered:
    """ "0": nothing of the list; counts as unanswered."""
    nearest = tuple(t for t in turn.state.offers if not t.startswith("@"))
    targets = (TEAM, TEAM_CALLBACK) if turn.state.question else ()
    reply = Reply(
        Outcome.UNKNOWN,
        turn.say("nothing"),
        options=options(turn.view, targets),
        events=(Unanswered(turn.state.question, nearest),) if turn.state.question else (),
    )
    return reply, replace(turn.state, offers=targets)


def take(turn: Turn, target: str) -> Answered:
    """What a chosen target leads to."""
    if entry := turn.view.entry(target):
        return turn.show(entry)
    if target in REASONS:
        rated = Rated(Rating.DOWN, turn.state.shown, REASONS[target])
        reply = replace(turn.chat("reason_noted", reason=turn.view.title(target)), events=(rated,))
        return reply, replace(turn.state, offers=())
    if target in (TEAM, TEAM_CALLBACK):
        return hand_over(turn, callback=target == TEAM_CALLBACK)
    if target.startswith(BROWSE) and (page := topic(turn, target)):
        return page
    return turn.chat("list_outdated"), replace(turn.state, offers=())


def hand_over(turn: Turn, *, callback: bool) -> Answered:
    """Give the last question to the team."""
    question = turn.state.question
    if not question:
        return turn.chat("team_no_question"), turn.state
    key = "team_callback_done" if callback else "team_done"
    reply = replace(turn.chat(key, question=question), events=(HandedOver(question, callback),))
    return reply, replace(turn.state, offers=())


_LAST = -1
_SECOND, _ONE = "second", "one"  # no numbers among German words


def _numbers(turn: Turn) -> list[int] | None:
    """The numbers that the message is made of, beside words like „die“ or „Nummer“."""
    numbers, others = [], []
    for word in turn.said:
        if word.isdecimal() and len(word) <= MAX_DIGITS:
            numbers.append(int(word))
        elif word == _SECOND:
            numbers.append(2)
        else:
            others.append(word)
    if not numbers and _ONE in others:  # in „the second one“ it is no number
        numbers.append(1)
    last = turn.cue(["last_choice"])
    if not numbers and last and turn.cues.only("choice", last.rest):
        return [_LAST]
    return numbers if numbers and turn.cues.only("choice", others) else None


def _not_offered(turn: Turn) -> Reply:
    shown = options(turn.view, turn.state.offers)
    numbers = f"1 bis {len(shown)}" if len(shown) > 1 else "1"
    return replace(turn.chat("not_offered", numbers=numbers), options=shown)


def _by_title(turn: Turn) -> str | None:
    """The one offer whose title the message is, whole or for the most part."""
    said = [w for w in turn.said if not turn.cues.only("choice", [w])]
    if not said:
        return None
    titles = {t: turn.cues.tokens(turn.view.title(t)) for t in turn.view.known(turn.state.offers)}
    fitting = [t for t, title in titles.items() if _is_title(said, title)]
    return fitting[0] if len(fitting) == 1 else None


def _is_title(said: Sequence[str], title: Sequence[str]) -> bool:
    """Whether all words stand in the title and make up half of it, typing errors allowed."""
    if 2 * sum(map(len, said)) < sum(map(len, title)):
        return False
    return all(any(_same(word, other) for other in title) for word in said)


def _same(word: str, other: str) -> bool:
    if word == other:
        return True
    edits = 0 if word.isdecimal() else allowed_edits(len(word))
    return edits > 0 and OSA.distance(word, other, score_cutoff=edits) <= edits
