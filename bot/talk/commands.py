"""The commands: hilfe, themen, datenschutz, sprechstunde, für die Sprechstunde merken …"""

from __future__ import annotations

import re
from dataclasses import replace

from bot.chat import Marked, Outcome, Reply
from bot.talk.browsing import overview, topics
from bot.talk.choices import hand_over
from bot.talk.conversation import question_kept
from bot.talk.cues import Cue
from bot.talk.feedback import ask_erase
from bot.talk.replies import CONSULTATION, USED_SOURCES
from bot.talk.turn import Answered, Turn

LIST, ENTRY = "list:", "entry:"
"""Prefixes of cues that lead to the list or the entry with the id that follows."""

WISHES = ("help", "mark", "team", "team_callback")
"""Commands in whole sentences („ich brauche Hilfe“), which a question is not („was stand auf der
Agenda?“)."""

_NAMED = re.compile(r"\b(?:name|namens|im\s+namen\s+von)\b\s?:?\s?(?P<name>[^\n:;,]{2,60})", re.I)
_MARK_TEXT = re.compile(
    r"(?:merken|vormerken|agenda|tagesordnung|aufnehmen)\s?:\s?(?P<text>.+)", re.I
)


def is_command(turn: Turn, cue: Cue) -> bool:
    """Whether a message with this phrase is the command, not a question about its topic."""
    leads_to_entry = cue.kind.startswith((LIST, ENTRY))
    if not leads_to_entry and cue.kind not in _COMMANDS:
        return False
    if cue.kind in WISHES:
        return not cue.own and not turn.cues.has("asking", cue.rest)
    one_word = len(cue.phrase) == 1
    return turn.cues.is_polite(cue.rest) if leads_to_entry or one_word else not cue.own


def marked(turn: Turn) -> Answered | None:
    """„für die Sprechstunde merken: …“ with the question behind the colon."""
    head, colon, _ = turn.text.partition(":")
    cue = turn.saying(head).cue(["mark"]) if colon else None
    return _mark(turn) if cue and not cue.own else None


def command(turn: Turn, kind: str) -> Answered | None:
    """The reply to a command; None where this knowledge has nothing for it."""
    if kind.startswith(LIST):
        return overview(turn, kind.removeprefix(LIST))
    if kind.startswith(ENTRY):
        entry = turn.view.entry(kind.removeprefix(ENTRY))
        return turn.show(entry, question=question_kept(turn.text)) if entry else None
    return _COMMANDS[kind](turn)


def _privacy(turn: Turn) -> Answered:
    return turn.chat("privacy"), turn.state


def _help(turn: Turn) -> Answered:
    return turn.chat("help"), turn.state


def _consultation(turn: Turn) -> Answered:
    """What the Sprechstunde is, and how to bring a question into it."""
    entry = turn.view.entry(CONSULTATION)
    if entry is None:
        return turn.chat("mark_hint"), turn.state
    reply, state = turn.show(entry)
    return replace(reply, notices=(*reply.notices, turn.say("mark_hint"))), state


def _source(turn: Turn) -> Answered:
    """„quelle“ where nothing was answered yet: the sources used."""
    entry = turn.view.entry(USED_SOURCES)
    return turn.show(entry) if entry else (turn.chat("no_source", Outcome.UNKNOWN), turn.state)


def _mark(turn: Turn) -> Answered:
    """Put a question on the agenda: the one behind the colon, else the last one asked."""
    named = _NAMED.search(turn.text)
    name = named["name"].strip(" .!") if named else ""
    text = turn.text.replace(named.group(), "") if named else turn.text
    written = _MARK_TEXT.search(text)
    question = question_kept(written["text"].strip(" ,;")) if written else turn.state.question
    if not question:
        return turn.chat("mark_what"), turn.state
    reply = Reply(
        Outcome.SMALLTALK,
        turn.say("marked_named" if name else "marked", question=question, name=name),
        events=(Marked(question, "" if written else turn.state.shown, name),),
    )
    return reply, turn.state


def _team(turn: Turn) -> Answered:
    return hand_over(turn, callback=False)


def _team_callback(turn: Turn) -> Answered:
    return hand_over(turn, callback=True)


_COMMANDS = {
    "help": _help,
    "topics": topics,
    "consultation": _consultation,
    "source_alone": _source,
    "privacy": _privacy,
    "erase": ask_erase,
    "mark": _mark,
    "team": _team,
    "team_callback": _team_callback,
}
