"""The core: a message, the state of its thread and an edition give a reply and a new state.

Pure and total: no clock (time comes with the message), no file, no network, no exception.
"""

from __future__ import annotations

from dataclasses import replace

from bot.chat import Message, Outcome, Reply, Unanswered
from bot.conversation import State, question_kept
from bot.knowledge import Kind
from bot.library import Edition
from bot.matching import Match
from bot.privacy import mask
from bot.replies import TEAM, TEAM_CALLBACK, View, next_steps, options, present

__all__ = ["State", "answer"]

ANSWER = 0.55  # from this confidence on the best entry is the answer
CHOICE = 0.55  # from this on, two or three entries together are offered
LEAST_CHOICE = 0.15  # an entry below is no choice
NEAR = 0.08  # an entry below is not near enough to be named


def answer(message: Message, state: State, edition: Edition) -> tuple[Reply, State]:
    view = View(edition.base, message.at, message.audience)
    text = mask(message.text).text
    state = state.forgotten(message.at)
    matches = [m for m in edition.index.match(text) if view.entry(m.entry)]
    reply, after = _decided(view, text, matches, state)
    return reply, after.after(message.at)


def _decided(view: View, text: str, matches: list[Match], state: State) -> tuple[Reply, State]:
    best = matches[0] if matches else None
    entry = view.entry(best.entry) if best and best.score >= ANSWER else None
    question = question_kept(text)
    if entry:
        gap = entry.kind is Kind.GAP
        targets = next_steps(view, entry)
        reply = replace(
            present(view, entry),
            options=options(view, targets),
            prompt=view.say("next") if targets else "",
            events=(Unanswered(question, (entry.id,)),) if gap else (),
        )
        return reply, replace(state, topic=entry.id, shown=entry.id, offers=targets, page=0)
    likely = tuple(m.entry for m in matches[:3] if m.score >= LEAST_CHOICE)
    if len(likely) > 1 and sum(m.score for m in matches[:3]) >= CHOICE:
        reply = Reply(Outcome.CHOICES, view.say("choose"), options=options(view, likely, none=True))
        return reply, replace(state, offers=likely, question=question)
    near = tuple(m.entry for m in matches[:2] if m.score >= NEAR)
    targets = (*near, TEAM, TEAM_CALLBACK)
    reply = Reply(
        Outcome.UNKNOWN,
        view.say("decline" if near else "off_field"),
        prompt=view.say("nearest"),
        options=options(view, targets),
        events=(Unanswered(question, near),),
    )
    return reply, replace(state, offers=targets, question=question)
