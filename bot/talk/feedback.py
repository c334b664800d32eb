"""Rating an answer in words, and the yes or no to a question of the bot."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from bot.chat import Erase, Outcome, Rated, Rating, Reply
from bot.talk.conversation import State
from bot.talk.cues import Cue
from bot.talk.replies import REASONS, options
from bot.talk.turn import Answered, Turn

KINDS = ("yes", "no", "helpful", "unhelpful", "wrong", "outdated", "unclear", "off_topic")


def is_meant(turn: Turn, cue: Cue) -> bool:
    """Whether a message is a yes, a no or a rating, and no question („Stimmt das so?“)."""
    asks = turn.text.endswith("?") and not turn.cues.is_polite(cue.rest)
    return not cue.own and not asks and not turn.cues.has("asking", cue.rest)


def feedback(turn: Turn, kind: str) -> Answered:
    """The reply to a yes, a no or a rating."""
    if kind in ("yes", "no") and turn.state.asked:
        return _confirmed(turn, yes=kind == "yes")
    if not turn.state.shown:
        return turn.chat("thanks" if kind == "helpful" else "nothing_to_rate"), turn.state
    if kind in ("yes", "helpful"):
        rated = Rated(Rating.UP, turn.state.shown)
        return replace(turn.chat("rated_up"), events=(rated,)), turn.state
    if kind in ("no", "unhelpful"):
        rated = Rated(Rating.DOWN, turn.state.shown)
        targets = tuple(REASONS)
        reply = Reply(
            Outcome.SMALLTALK,
            turn.say("rated_down"),
            options=options(turn.view, targets),
            events=(rated,),
        )
        return reply, replace(turn.state, offers=targets)
    rated = Rated(Rating.DOWN, turn.state.shown, kind)
    reply = turn.chat("reason_noted", reason=turn.say(f"option_{kind}"))
    return replace(reply, events=(rated,)), turn.state


def ask_erase(turn: Turn) -> Answered:
    """„meine daten löschen“ is asked back once."""
    return turn.chat("erase_sure"), replace(turn.state, asked=_mark(turn))


def _confirmed(turn: Turn, *, yes: bool) -> Answered:
    if turn.state.asked != _mark(turn):  # somebody else's question
        return turn.chat("erase_not_yours"), turn.state
    if not yes:
        return turn.chat("erase_kept"), replace(turn.state, asked="")
    return replace(turn.chat("erased"), events=(Erase(),)), State(greeted=True)


def _mark(turn: Turn) -> str:
    """Tells askers of one thread apart without naming them: 16 bits of a digest."""
    return hashlib.blake2s(turn.message.asker.encode(errors="replace"), digest_size=2).hexdigest()
