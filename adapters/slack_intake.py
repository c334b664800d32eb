"""Reads what Slack sends: payloads into what was said, by whom, to whom.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any

from bot.chat import Audience, Conversation, Message, Person, Rating

Json = Mapping[str, Any]

_ENTITY = re.compile(r"<([@#!][^<>]*|[a-z][a-z0-9+.-]*:[^<>]*)>")
_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
# Slack sends the thumbs that people type as names; skin tones do not matter here.
_THUMB = re.compile(r":(\+1|thumbsup|-1|thumbsdown):(?::skin-tone-\d:)?")
_RATINGS = {
    "+1": Rating.UP, "thumbsup": Rating.UP, "-1": Rating.DOWN, "thumbsdown": Rating.DOWN,
}  # fmt: skip
_SAID = {None, "", "file_share", "me_message", "thread_broadcast"}  # subtypes a person writes with
SLACKBOT = "USLACKBOT"


@dataclass(frozen=True, slots=True)
class Self:
    """Who the bot is in its workspace."""

    team: str
    user: str
    bot: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a person, as Slack tells it."""

    room: str
    ts: str
    user: str
    text: str  # as sent: escaped, with entities
    thread: str = ""  # ts of the root; "" outside a thread
    direct: bool = False
    foreign: bool = False  # another organisation writes or reads here (Slack Connect)
    edit: str = ""  # the time of the edit; "" for a new message

    def mentions(self, user: str) -> bool:
        return user in mentioned(self.text)


@dataclass(frozen=True, slots=True)
class Removed:
    """Somebody deleted a message."""

    room: str
    ts: str
    thread: str = ""
    direct: bool = False


def said(event: Json, me: Self, *, foreign: bool = False) -> Said | None:
    """What a `message` or `app_mention` event says; None where no person says anything new.

    Bots, the bot itself and Slackbot are not heard.  An edit counts where the text changed.
    """
    room, direct = str(event.get("channel", "")), is_direct(event)
    if event.get("subtype") == "message_changed":
        new, old = event.get("message") or {}, event.get("previous_message") or {}
        if new.get("text") == old.get("text") or new.get("subtype") not in _SAID:
            return None  # a link preview, a thread's counter, a tombstone
        edit = str((new.get("edited") or {}).get("ts") or event.get("event_ts") or "")
    elif event.get("subtype") in _SAID and not event.get("edited"):
        new, edit = event, ""
    else:  # a mention that an edit brought: message_changed tells more about it
        return None
    if not is_person(new, me):
        return None
    teams = {str(new[k]) for k in ("user_team", "source_team") if new.get(k)}
    return Said(
        room=room,
        ts=str(new["ts"]),
        user=str(new["user"]),
        text=str(new.get("text") or ""),
        thread=str(new.get("thread_ts") or ""),
        direct=direct,
        foreign=foreign or bool(teams - {me.team}),
        edit=edit,
    )


def addressed_before(event: Json, me: Self) -> bool:
    """Whether an edited message mentioned the bot before the edit."""
    return me.user in mentioned(str((event.get("previous_message") or {}).get("text") or ""))


def removed(event: Json, me: Self) -> Removed | None:
    """Which message is gone; a root with replies only becomes a tombstone."""
    old = event.get("previous_message") or {}
    tombstone = (event.get("message") or {}).get("subtype") == "tombstone"
    if event.get("subtype") != "message_deleted" and not tombstone:
        return None
    if is_own(old, me):
        return None
    ts = str(event.get("deleted_ts") or old.get("ts") or "")
    return Removed(str(event["channel"]), ts, str(old.get("thread_ts") or ""), is_direct(event))


def is_direct(event: Json) -> bool:
    """A conversation of two; mention events do not carry the type of their room."""
    kind = event.get("channel_type")
    return kind == "im" if kind else str(event.get("channel", "")).startswith("D")


def is_person(message: Json, me: Self) -> bool:
    user = message.get("user")
    automatic = message.get("bot_id") or message.get("bot_profile")
    return bool(user) and not automatic and user not in (me.user, SLACKBOT)


def is_own(message: Json, me: Self) -> bool:
    """Whether the bot itself posted a message."""
    return message.get("user") == me.user or bool(me.bot and message.get("bot_id") == me.bot)


def mentioned(text: str) -> tuple[str, ...]:
    """Ids of the people mentioned in a text as sent, each once."""
    return tuple(dict.fromkeys(_USER.findall(text)))


def spoken(text: str, me: Self, names: Mapping[str, str]) -> str:
    """What a person reads in a text as sent: entities resolved, the bot's own mention gone."""
    bare = re.sub(rf"<@{re.escape(me.user)}(?:\|[^<>]*)?>[:,]?", " ", text)
    resolved = _ENTITY.sub(lambda match: _entity(match[1], names), bare)
    thumbs = _THUMB.sub(lambda m: "👍" if _RATINGS[m[1]] is Rating.UP else "👎", resolved)
    return re.sub(r"[ \t]{2,}", " ", unescape_slack(thumbs)).strip()


def _entity(inner: str, names: Mapping[str, str]) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        return "@" + names.get(target[1:], label or target[1:])
    if target.startswith("#"):
        return "#" + (label or target[1:])
    if target.startswith("!"):
        name = target[1:].partition("^")[0]
        return label or f"@{name}"
    return label or target.removeprefix("mailto:")


def unescape_slack(text: str) -> str:
    """Slack escapes exactly three characters, once."""
    return re.sub(r"&(amp|lt|gt);", lambda match: unescape(match[0]), text)


def rating(reaction: str) -> Rating | None:
    """What a reaction says about an answer; None where it says nothing."""
    return _RATINGS.get(reaction.partition("::")[0])


def moment(ts: str) -> datetime:
    """The time in a Slack timestamp."""
    try:
        return datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def conversation(me: Self, room: str, thread: str, *, direct: bool) -> Conversation:
    """Where a message belongs.  A conversation of two is one, whether threads are used or not."""
    return Conversation("slack", me.team, room, "" if direct else thread)


def message(
    heard: Said, me: Self, names: Mapping[str, str], *, guest: bool, known: bool = True
) -> Message:
    """The question in the bot's words; `names` are those of its writer and whom it mentions.

    `known`: an edit of a message that the bot has heard before, else it is a new question.
    """
    root = heard.thread or heard.ts
    people = (u for u in mentioned(heard.text) if u != me.user)
    edited = bool(heard.edit) and known
    return Message(
        conversation=conversation(me, heard.room, root, direct=heard.direct),
        id=f"{heard.ts}/{heard.edit}" if edited else heard.ts,
        asker=heard.user,
        asker_name=names.get(heard.user, ""),
        text=spoken(heard.text, me, names),
        at=moment(heard.edit or heard.ts),
        direct=heard.direct,
        audience=Audience.PUBLIC if heard.foreign or guest else Audience.INTERNAL,
        people=tuple(Person(u, names.get(u, u)) for u in people),
        replaces=heard.ts if edited else "",
        context={"thread": root},
    )


def follows_up(
    heard: Said, thread: Sequence[Json], me: Self, *, now: datetime, days: int = 7
) -> bool:
    """Whether an unmentioned message in a thread is meant for the bot.

    It is while the bot was asked or answered there recently, the writer has asked it in this
    thread, and nobody else has joined in since: then people talk to each other.
    """
    before = [m for m in thread if _at(m) < float(heard.ts)]
    turns = [m for m in before if is_own(m, me) or _asks(m, me)]
    if not turns or (now - moment(str(turns[-1]["ts"]))).days >= days:
        return False
    since = [m for m in before if _at(m) > _at(turns[-1])]
    return any(_asks(m, me) and m["user"] == heard.user for m in before) and all(
        m.get("user") == heard.user for m in since
    )


def _asks(message: Json, me: Self) -> bool:
    return is_person(message, me) and me.user in mentioned(str(message.get("text") or ""))


def _at(message: Json) -> float:
    return float(message.get("ts") or 0)
