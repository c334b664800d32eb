"""The core: a message, the state of its thread and an edition give a reply and a new state.

Pure and total: no clock (time comes with the message), no file, no network, no exception.
What is tried first wins: a choice, a phrase (small talk, command, follow-up), a question.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from bot.chat import Message, Reply
from bot.content.knowledge import Kind
from bot.search.language import clean
from bot.search.library import Edition
from bot.talk import feedback, smalltalk
from bot.talk.choices import choice
from bot.talk.commands import command, is_command, marked
from bot.talk.conversation import CONTEXT, State
from bot.talk.cues import Cue, cues_of
from bot.talk.deciding import ANSWER, CHOICE, decide
from bot.talk.followups import NEED_TOPIC, beside, follow, is_followup, of_named, refers_back
from bot.talk.parts import several_followups
from bot.talk.pointing import pointed, without_command
from bot.talk.privacy import mask, without_masks
from bot.talk.questions import ask
from bot.talk.replies import View, within_limits
from bot.talk.splitting import sentences
from bot.talk.turn import Answered, Turn

__all__ = ["ANSWER", "CHOICE", "State", "answer", "greeting"]

MAX_CHARACTERS = 20_000
"""What is longer is cut before anything is looked up."""


PIECE = 1_000

ABOUT_THE_BOT = ("help", "privacy", "who_are_you", "how_are_you")


def answer(
    message: Message, state: State, edition: Edition, *, context: timedelta = CONTEXT
) -> tuple[Reply, State]:
    """Answer one message of a thread; `context` is how long a thread is remembered."""
    view = View(edition.base, message.at, message.audience)
    cues = cues_of(edition.base)
    masked = mask(_tidied(message.text), _public(view))
    said = tuple(cues.tokens(without_masks(masked.text)))
    turn = Turn(
        message=message,
        text=masked.text,
        state=state.forgotten(message.at, context),
        view=view,
        index=edition.index,
        cues=cues,
        said=said,
        found=tuple(cues.find(said)),
    )
    reply, after = _answered(turn)
    if turn.state.asked:  # only the message after the question can confirm
        after = replace(after, asked="")
    reply = within_limits(_framed(turn, reply, masked.kinds))
    numbers = max((o.number for o in reply.options), default=None)
    offers = after.offers if numbers is None else after.offers[:numbers]
    return reply, after.after(message.at, offers=offers, greeted=True)


def greeting(edition: Edition, message: Message) -> Reply:
    """What the bot says when somebody opens a conversation with it."""
    return smalltalk.greeting(View(edition.base, message.at, message.audience))


def _answered(turn: Turn) -> Answered:
    if not turn.said:
        return turn.chat("empty"), turn.state
    if turn.cues.has("show", turn.said[:1]):
        if shown := pointed(turn):
            return shown
        turn = turn.saying(without_command(turn.text) or turn.text)
    if chosen := choice(turn):
        return chosen
    if noted := marked(turn):
        return noted
    if named := beside(turn) or of_named(turn):
        return named
    for cue in turn.found:
        if reply := _phrase(turn, cue):
            return reply
    if turn.cues.is_polite(turn.said):
        return turn.chat("thanks"), turn.state
    return _about_the_bot(turn) or ask(turn)


def _about_the_bot(turn: Turn) -> Answered | None:
    """The reply to several sentences of which the only question is one to the bot itself."""
    read = sentences(turn.text, turn.cues)
    asking = [s.text for s in read if s.asks]
    if not asking:
        return _said_politely(turn.saying(" ".join(s.text for s in read)))
    if len(read) < 2 or len(asking) != 1:
        return None
    alone = turn.saying(asking[0])
    cue = next(iter(alone.found), None)
    if cue is None or cue.own or cue.kind not in ABOUT_THE_BOT:
        return None
    if cue.kind == "help" and decide(turn).entry:  # „Können Sie mir helfen?“ ends a question
        return None
    return _phrase(alone, cue)


def _said_politely(alone: Turn) -> Answered | None:
    """The reply to praise, thanks or a rating between a salutation and a name."""
    cue = next(iter(alone.found), None)
    chat = cue and not cue.own and cue.kind in (*smalltalk.KINDS, *feedback.KINDS)
    return _phrase(alone, cue) if cue and chat else None


def _phrase(turn: Turn, cue: Cue) -> Answered | None:
    """The reply to a phrase, where the rest of the message leaves it to be meant."""
    if cue.kind in smalltalk.KINDS and smalltalk.is_meant(turn, cue):
        return smalltalk.smalltalk(turn, cue.kind)
    if cue.kind in feedback.KINDS and feedback.is_meant(turn, cue):
        return feedback.feedback(turn, cue.kind)
    if cue.kind == "complete":
        return ask(turn)
    if cue.kind == "spelled_out" and len(cue.own) == 1:  # the abbreviation alone is asked for
        return ask(turn.saying(cue.own[0]))
    if is_command(turn, cue):
        return command(turn, cue.kind)
    if is_followup(cue.kind) and (several_followups(turn) or _begins(turn, cue)):
        return ask(turn)
    if cue.kind == "source" and not cue.own and not turn.state.shown and not _known(turn):
        return command(turn, "source_alone")
    if is_followup(cue.kind) and (turn.state.shown or _needs_topic(turn, cue)):
        return follow(turn, cue) if refers_back(turn, cue) else None
    return None


def _known(turn: Turn) -> bool:
    """Whether the message by itself finds something that the source says."""
    entry = decide(turn).entry
    return entry is not None and entry.kind is Kind.ANSWER


def _begins(turn: Turn, cue: Cue) -> bool:
    """„Wie geht’s los?“ where nothing was said before is a question."""
    return cue.kind == "first" and not cue.own and not turn.state.shown


def _needs_topic(turn: Turn, cue: Cue) -> bool:
    """Whether a follow-up without anything before it must be asked back."""
    if cue.own or cue.kind in ("also", "elliptical"):
        return False
    return cue.kind in NEED_TOPIC or not decide(turn).entry


_MENTION = re.compile(r"@[\w-]{0,20}(?:lotse|bot)\b[,:]?", re.IGNORECASE)


def _tidied(text: str) -> str:
    """What can be read of a text: capped, one space between words, line ends kept.

    The bot's own name is left out, where somebody typed it without the platform's help.
    """
    text = _MENTION.sub(" ", text[:MAX_CHARACTERS])
    lines = (" ".join(_cleaned(line).split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _cleaned(line: str) -> str:
    """`clean` by the piece: it is made for questions and would cut a long line."""
    return "".join(clean(line[n : n + PIECE]) for n in range(0, len(line), PIECE))


def _public(view: View) -> list[str]:
    """Addresses and numbers of the knowledge itself, which are nobody's secret."""
    return [way for c in view.base.contacts.values() for way in (c.email, c.phone) if way]


def _framed(turn: Turn, reply: Reply, masked: tuple[str, ...]) -> Reply:
    """The reply with what stands around any: a line for English readers, notices."""
    notices = list(reply.notices)
    if masked:
        kinds = ", ".join(turn.say(f"personal_{kind}") for kind in masked)
        notices.append(turn.say("personal_data", kinds=kinds))
    first = not turn.state.greeted and turn.message.direct
    if first and reply.body != turn.say("greeting"):
        notices.append(turn.say("introduction"))
    lead = reply.lead
    if turn.view.base.language == "de" and turn.cues.is_english(turn.said):
        lead = f"{turn.say(f'english_{reply.outcome.value}')}\n{lead}".strip()
    return replace(reply, notices=tuple(notices), lead=lead)
