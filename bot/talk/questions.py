"""Answers what is asked: one question, several in one message, the one in a long mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.chat import Outcome, Reply, Unanswered
from bot.content.knowledge import Entry, Kind
from bot.talk.conversation import question_kept
from bot.talk.deciding import Decision, decide
from bot.talk.followups import nearest
from bot.talk.parts import Part, parts_of
from bot.talk.replies import CONTACT, TEAM, TEAM_CALLBACK, options, shortened, together
from bot.talk.turn import Answered, Turn

MAX_PARTS = 3
UNMISTAKABLE = 0.9  # confidence that a message needs which hardly has content of its own
TITLE_WORDS = 3  # so many words of a title, however common, name the entry
OF_TOPIC = 0.6
"""Confidence that a message needs which is read together with the question before it."""


def ask(turn: Turn) -> Answered:
    """The reply to a message that is one or several questions of its own."""
    topic = turn.view.entry(turn.state.topic)
    parts = parts_of(turn)
    if len(parts) > 1:
        return _several(turn, parts)
    part = parts[0]
    unsure = part.decision.score < UNMISTAKABLE and not _says_title(turn, part.decision.entry)
    if topic and _only_points_back(turn):
        if holds_for := _holds_for(turn, topic):
            return reply_to(turn, Decision(holds_for), turn.text)
        if unsure:
            return _of_topic(turn, topic)
    return reply_to(turn, part.decision, part.text)


def _only_points_back(turn: Turn) -> bool:
    """Whether hardly a word says anything without what was said before."""
    own = turn.cues.own(turn.said)
    return not own or (len(own) == 1 and turn.cues.has("adverb", turn.said))


def _says_title(turn: Turn, entry: Entry | None) -> bool:
    """Whether the message is words of the title, which may all be common („Einer für Alle“)."""
    title = turn.cues.tokens(entry.title) if entry else []
    return len(turn.said) >= TITLE_WORDS and set(turn.said) <= set(title)


def _holds_for(turn: Turn, topic: Entry) -> Entry | None:
    """„Für welches Modell?“ asks what the topic holds for, where an entry says that."""
    return turn.view.entry(topic.links.also) if turn.cues.has("at", turn.said[:2]) else None


def _of_topic(turn: Turn, topic: Entry) -> Answered:
    """A message without content of its own that no phrase explains („welches ist besser?“).

    Read together with the question before it, it may ask for something else that is known.
    """
    question = question_kept(turn.text)
    read = decide(turn, f"{turn.state.question or topic.title} {turn.text}")
    if read.entry and read.entry.id != topic.id and read.score >= OF_TOPIC:
        return reply_to(turn, read, turn.text)
    reply, state = nearest(turn, topic, turn.say("points_nowhere", title=topic.title))
    event = Unanswered(question, (topic.id,))
    return replace(reply, events=(event,)), replace(state, question=question)


def reply_to(turn: Turn, decision: Decision, text: str) -> Answered:
    """Show the entry, let choose, or decline."""
    question = question_kept(text)
    if decision.entry:
        reply, state = turn.show(decision.entry, question=question)
        if decision.entry.kind is Kind.GAP:
            reply = replace(reply, events=(Unanswered(question, (decision.entry.id,)),))
        return reply, state
    if decision.choices:
        reply = Reply(
            Outcome.CHOICES,
            turn.say("choose"),
            options=options(turn.view, decision.choices, none=True),
        )
        return reply, replace(turn.state, question=question, offers=decision.choices)
    return _declined(turn, decision, question)


def _declined(turn: Turn, decision: Decision, question: str) -> Answered:
    """Nothing to answer with: what is nearest and whom to ask; the topic stays."""
    event = Unanswered(question, decision.near)
    state = replace(turn.state, question=question)
    if not decision.near:
        reply = replace(turn.chat("off_field", Outcome.UNKNOWN), events=(event,))
        return reply, replace(state, offers=())
    near = turn.view.known((*decision.near, CONTACT))
    targets = (*near, TEAM, TEAM_CALLBACK)
    reply = Reply(
        Outcome.UNKNOWN,
        turn.say("decline"),
        prompt=turn.say("nearest"),
        options=options(turn.view, targets),
        events=(event,),
    )
    return reply, replace(state, offers=targets)


def _several(turn: Turn, parts: Sequence[Part]) -> Answered:
    """Short answers to at most three questions; what else was asked is named."""
    first, others = parts[:MAX_PARTS], parts[MAX_PARTS:]
    entries = [p.decision.entry for p in first if p.decision.entry]
    unknown = [p for p in first if not p.decision.entry]
    if not entries:
        best = max(parts, key=lambda p: p.decision.score)
        return reply_to(turn, best.decision, best.text)
    said = [turn.say("part_unknown", question=shortened(p.text, 80)) for p in unknown]
    if others:
        named = ", ".join(f"„{shortened(p.text, 60)}“" for p in others[:3])
        said.append(turn.say("parts_left", questions=named))
    reply = together(turn.view, entries)
    gaps = [(p.text, p.decision.entry) for p in first if p.decision.entry]
    events = (
        *(Unanswered(question_kept(t), (e.id,)) for t, e in gaps if e.kind is Kind.GAP),
        *(Unanswered(question_kept(p.text), p.decision.near) for p in unknown),
    )
    reply = replace(reply, notices=(*said, *reply.notices), events=events)
    own = [p.decision.entry for p in first if p.decision.entry and p.moves]
    answered = [e.id for e in own if e.kind is Kind.ANSWER]
    topic = answered[-1] if answered else turn.state.topic
    state = replace(
        turn.state,
        topic=topic,
        shown=entries[0].id,
        question=question_kept(turn.text),
        offers=tuple(e.id for e in entries),
        page=0,
        aspect="",
    )
    return reply, state
