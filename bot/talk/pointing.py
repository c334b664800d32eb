"""„zeige <Thema> @Person“: the answer, addressed to the one person who is named."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.chat import Outcome, Person, Reply
from bot.content.knowledge import Kind
from bot.talk.deciding import decide
from bot.talk.replies import options
from bot.talk.turn import Answered, Turn

_AT_NAME = re.compile(r"(?<![\w@])@(?P<name>[\w.\-]{1,60}(?::[\w.\-]{1,100})?)")


def pointed(turn: Turn) -> Answered | None:
    """The addressed reply; None where nobody is named or nothing is left to show."""
    person, text = _person(turn)
    if person is None:
        return None
    topic = without_command(text).strip(" ,:")
    if not turn.cues.own(turn.cues.tokens(topic)):
        return turn.chat("show_what", name=person.name), turn.state
    decision = decide(turn, topic)
    if decision.entry and decision.entry.kind is Kind.ANSWER:
        asker = turn.message.asker_name
        lead = turn.say("show_from" if asker else "show", name=person.name, asker=asker)
        reply, state = turn.show(decision.entry, lead=lead)
        return replace(reply, mention=person), state
    gap = (decision.entry.id,) if decision.entry else ()
    targets = gap or decision.choices or decision.near
    reply = Reply(
        Outcome.CHOICES if targets else Outcome.UNKNOWN,
        turn.say("show_unclear", name=person.name),
        options=options(turn.view, targets, none=bool(targets)),
    )
    return reply, replace(turn.state, offers=tuple(targets))


def without_command(text: str) -> str:
    """What follows „zeige“ or „zeig mir“."""
    return re.sub(r"^\W{0,5}\w+(?:\s(?:mir|mal|uns|bitte)\b){0,3}", "", text).strip()


def _person(turn: Turn) -> tuple[Person | None, str]:
    """Whom the message names first, and the text without any names."""
    text = turn.text
    for someone in turn.message.people:
        text = text.replace("@" + someone.name, " ").replace(someone.name, " ")
    written = _AT_NAME.search(text)
    text = _AT_NAME.sub(" ", text)
    if turn.message.people:
        return turn.message.people[0], text
    return (Person(written["name"], written["name"]), text) if written else (None, text)
