"""Greeting, thanks, goodbye and the like: answered calmly, from the texts of the bot."""

from __future__ import annotations

from bot.chat import Outcome, Reply
from bot.replies import View
from bot.turn import Answered, Turn

KINDS = ("greeting", "thanks", "goodbye", "who_are_you", "how_are_you", "insult", "joke")


def smalltalk(turn: Turn, kind: str) -> Answered:
    """The reply; the thread keeps its topic and its list."""
    return turn.chat(kind), turn.state


def greeting(view: View) -> Reply:
    """What the bot says first: who it is, what it knows, what not to enter."""
    return Reply(Outcome.SMALLTALK, view.say("greeting"))
