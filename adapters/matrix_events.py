"""What a Matrix event says: raw JSON in, plain facts out.  Pure; knows no client and no desk.

Whether the bot is meant needs the journal too (replies to it, threads it is in): here stands
only what the event itself tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import unquote

from bot.chat import Person, Rating

TEAM_NOTES = "📌"  # the team's reaction: this belongs into the knowledge

_RATINGS = {"👍": Rating.UP, "👎": Rating.DOWN}
_VARIANTS = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")  # presentation, skin tones
# Bodies are hostile: every pattern is linear, the HTML is cut before it is looked at.
_MAX_HTML = 20_000
_QUOTE = re.compile(r"(?:>[^\n]*\n)+\n?")
_LINK = re.compile(r"<a\s[^<>]*>", re.IGNORECASE)
_PILL = re.compile(r"""href=["'](?:https://matrix\.to/\#/(@|%40)|matrix:u/)([^"'?]+)""")
_TAG = re.compile(r"<[^<>]*>")
_USER_ID = re.compile(r"@[a-z0-9._=/+-]+:[a-z0-9.-]+(?::\d+)?", re.IGNORECASE)
_TEXTS = {"m.text"}
_ATTACHMENTS = {"m.image", "m.file", "m.audio", "m.video", "m.location"}


@dataclass(frozen=True, slots=True)
class Me:
    """The bot's account, as others mention it."""

    user: str
    name: str = ""  # display name
    ignore: frozenset[str] = frozenset()  # other bots

    @property
    def server(self) -> str:
        return server_of(self.user)


@dataclass(frozen=True, slots=True)
class Said:
    """Somebody wrote something; `text` is free of the bot's mention and of quoted text."""

    id: str
    sender: str
    text: str
    at: datetime
    mentioned: bool
    thread: str = ""  # id of the thread's root
    reply_to: str = ""
    replaces: str = ""  # id of the event that this one edits
    people: tuple[Person, ...] = ()
    attachment: bool = False  # a file without words


@dataclass(frozen=True, slots=True)
class Redacted:
    id: str  # of the event that is gone


@dataclass(frozen=True, slots=True)
class Reacted:
    id: str
    target: str
    sender: str
    rating: Rating | None
    noted: bool = False


Fact = Said | Redacted | Reacted


def server_of(user: str) -> str:
    """The server part of a user id."""
    return user.partition(":")[2]


def read(event: Mapping[str, Any], me: Me) -> Fact | None:
    """What the event says to the bot, None where it says nothing.  Never raises."""
    sender, event_id = event.get("sender"), event.get("event_id")
    if not (isinstance(sender, str) and isinstance(event_id, str)):
        return None
    if sender == me.user or sender in me.ignore or "redacted_because" in _dict(event, "unsigned"):
        return None
    content = _dict(event, "content")
    match event.get("type"):
        case "m.room.message":
            return _said(event_id, sender, _at(event), content, me)
        case "m.room.redaction":
            redacted = event.get("redacts") or content.get("redacts")
            return Redacted(redacted) if isinstance(redacted, str) else None
        case "m.reaction":
            return _reacted(event_id, sender, _dict(content, "m.relates_to"))
    return None


def relation(content: Mapping[str, Any]) -> tuple[str, str, str]:
    """(thread, event replied to, event replaced) of a content; it is clear text even if
    the rest is encrypted."""
    relates = _dict(content, "m.relates_to")
    kind, target = relates.get("rel_type"), _text(relates, "event_id")
    reply_to = _text(_dict(relates, "m.in_reply_to"), "event_id")
    if kind == "m.replace":
        return "", "", target
    if kind == "m.thread":
        return target, "" if relates.get("is_falling_back") else reply_to, ""
    return "", reply_to, ""


def _said(
    event_id: str, sender: str, at: datetime, outer: Mapping[str, Any], me: Me
) -> Said | None:
    thread, reply_to, replaces = relation(outer)
    content = _dict(outer, "m.new_content") or outer if replaces else outer
    kind = _text(content, "msgtype")
    if kind not in _TEXTS and kind not in _ATTACHMENTS:
        return None  # notices are bots' talk
    body = _text(content, "body")
    caption = _text(content, "filename") not in ("", body)
    attachment = kind in _ATTACHMENTS and not caption
    text = "" if attachment else body
    html = _text(content, "formatted_body")
    if _dict(_dict(outer, "m.relates_to"), "m.in_reply_to"):
        text, html = _without_quote(text, html)
    mentions = _mentions(text, html, [*_listed(content), *_listed(outer)])
    mentioned = me.user in mentions
    stripped, named = _without_me(text, me, mentions.get(me.user))
    return Said(
        id=event_id,
        sender=sender,
        text=stripped.strip(),
        at=at,
        mentioned=mentioned or named,
        thread=thread,
        reply_to=reply_to,
        replaces=replaces,
        people=tuple(Person(u, n or u) for u, n in mentions.items() if u != me.user),
        attachment=attachment,
    )


def _without_quote(text: str, html: str) -> tuple[str, str]:
    """Old clients quote the event they reply to: that is not what the sender says."""
    quote = _QUOTE.match(text)
    end = html.rfind("</mx-reply>")
    return text[quote.end() :] if quote else text, html[end:] if end >= 0 else html


def _pills(html: str) -> Iterator[tuple[str, str]]:
    """(user, label) of every link to a user."""
    html = html[:_MAX_HTML]
    for link in _LINK.finditer(html):
        pill = _PILL.search(link[0])
        end = html.find("</a>", link.end())
        if pill and end >= 0:
            user = "@" + unquote(unescape(pill[2])).removeprefix("@")
            yield user, unescape(_TAG.sub("", html[link.end() : end])).strip()


def _mentions(text: str, html: str, listed: list[str]) -> dict[str, str]:
    """Mentioned users and the words that name them in the text ("" where it has none)."""
    found = dict.fromkeys(listed, "")
    for user, label in _pills(html):
        if _USER_ID.fullmatch(user):
            found[user] = label
    for user in _USER_ID.findall(text):
        found[user.rstrip(".")] = user.rstrip(".")
    return found


def _without_me(text: str, me: Me, label: str | None) -> tuple[str, bool]:
    """The text without the words that name the bot, and whether it begins with its name.

    Inside a text only what was surely a mention goes; a plain name counts at its start only.
    """
    names = [n for n in (me.name, me.user[1:].partition(":")[0]) if n]
    start = "|".join(re.escape(n) for n in sorted({me.user, *names}, key=len, reverse=True))
    match = re.match(rf"\s*@?(?:{start})(?!\w)(?!:\w)[\s,:;!–-]*", text, re.IGNORECASE)
    if match:
        return text[match.end() :], True
    for word in (me.user, label, *(f"@{n}" for n in names)):
        if word and word in text:
            before, _, after = text.partition(word)
            return f"{before.rstrip()} {after.lstrip(',:;').lstrip()}", label is not None
    return text, False


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The room goes on elsewhere."""

    replacement: str
    sender: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """`until` (seconds since the epoch): refused joins are tried again so long."""

    room: str
    inviter: str
    direct: bool
    until: float = 0.0


def tombstone(event: Mapping[str, Any]) -> Tombstone | None:
    """The room's replacement, where the event is a tombstone."""
    if event.get("type") != "m.room.tombstone":
        return None
    replacement = _text(_dict(event, "content"), "replacement_room")
    return Tombstone(replacement, _text(event, "sender")) if replacement else None


def invitation(room: str, state: list[Mapping[str, Any]], me: Me) -> Invitation:
    """Who invites the bot into `room`, by the stripped state that comes with an invitation."""
    for event in state:
        content = _dict(event, "content")
        if event.get("state_key") == me.user and content.get("membership") == "invite":
            return Invitation(room, _text(event, "sender"), bool(content.get("is_direct")))
    return Invitation(room, "", direct=False)


def may_invite(allowed: tuple[str, ...], me: Me, inviter: str, room: str = "") -> bool:
    """Whether `inviter` may bring the bot into `room`; an empty list is the own server."""
    names = {inviter, server_of(inviter), room, "*"} - {""}
    return bool(names & set(allowed or (me.server,)))


def _reacted(event_id: str, sender: str, relates: Mapping[str, Any]) -> Reacted | None:
    target, key = _text(relates, "event_id"), _VARIANTS.sub("", _text(relates, "key"))
    rating, noted = _RATINGS.get(key), key == TEAM_NOTES
    if not target or not (rating or noted):
        return None
    return Reacted(event_id, target, sender, rating, noted)


def _listed(content: Mapping[str, Any]) -> list[str]:
    users = _dict(content, "m.mentions").get("user_ids")
    return [u for u in users if isinstance(u, str)] if isinstance(users, list) else []


def _at(event: Mapping[str, Any]) -> datetime:
    milliseconds = event.get("origin_server_ts")
    seconds = milliseconds / 1000 if isinstance(milliseconds, int) else 0
    return datetime.fromtimestamp(min(max(seconds, 0), 4e9), UTC)


def _dict(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""
