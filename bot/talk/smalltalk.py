"""Greeting, thanks, goodbye and the like: answered calmly, from the texts of the bot."""

from __future__ import annotations

from bot.chat import Outcome, Reply
from bot.talk.cues import Cue
from bot.talk.deciding import decide, found_by
from bot.talk.replies import View
from bot.talk.turn import Answered, Turn

MAX_OWN = 4
"""Words beside a phrase that may be chat; more are a message of its own."""

KINDS = ("greeting", "thanks", "goodbye", "who_are_you", "how_are_you", "insult", "joke")


def is_meant(turn: Turn, cue: Cue) -> bool:
    """Whether a message is no more than this: other words may be there, but ask for nothing."""
    if not cue.own:
        return not turn.cues.has("asking", cue.rest) or cue.kind == "insult"
    asks = "?" in turn.text or turn.cues.has("question", cue.rest)
    if asks or len(cue.own) > MAX_OWN:
        return False
    return not decide(turn, " ".join(cue.rest)).entry or not found_by(turn, cue.own)


def smalltalk(turn: Turn, kind: str) -> Answered:
    """The reply; the thread keeps its topic and its list."""
    return turn.chat(kind), turn.state


def greeting(view: View) -> Reply:
    """What the bot says first: who it is, what it knows, what not to enter."""
    return Reply(Outcome.SMALLTALK, view.say("greeting"))
