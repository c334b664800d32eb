"""Asks Slack who people are and what stands in rooms; remembers what rarely changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from slack_sdk.web.async_client import AsyncWebClient

from adapters import slack_wire as wire
from adapters.slack_intake import Self, mentioned
from adapters.slack_wire import Json, Limited, Refused, Unknown, Unsent
from bot.chat import Audience

LOOK_S = 2.0  # how long intake waits for what is good to know, well within Slack's 3 s
KEPT_S = 3_600.0
MOST_KEPT = 10_000
MOST_NAMES = 10  # looked up for one message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Colleague:
    name: str
    guest: bool  # a guest or a stranger: public entries only


NOBODY = Colleague("", guest=True)


class Lookup:
    """One workspace, seen by its bot."""

    def __init__(self, client: AsyncWebClient, me: Self) -> None:
        self._client, self._me = client, me
        self._people = _Memory(self._ask_person, default=NOBODY)
        self._shared = _Memory(self._ask_room, default=True)

    async def is_guest(self, user: str) -> bool:
        """Guests get public entries only, and so does who cannot be asked about."""
        return (await self._people.get(user)).guest

    async def is_foreign(self, room: str) -> bool:
        """Whether another organisation shares the room, or it cannot be known."""
        return not room.startswith("D") and await self._shared.get(room)

    async def audience(self, room: str, user: str) -> Audience:
        outside = await self.is_foreign(room) or await self.is_guest(user)
        return Audience.PUBLIC if outside else Audience.INTERNAL

    async def names(self, text: str, writer: str) -> dict[str, str]:
        """The names of who wrote a text and of the people whom it mentions, as sent."""
        others = [u for u in mentioned(text) if u != self._me.user]
        found = {u: (await self._people.get(u)).name for u in (writer, *others[:MOST_NAMES])}
        return {user: name for user, name in found.items() if name}

    async def rooms(self) -> AsyncIterator[str]:
        """The rooms that the bot is in."""
        kinds = "public_channel,private_channel,im,mpim"
        listing = partial(
            self._client.users_conversations, types=kinds, exclude_archived=True, limit=200
        )
        async for room in _pages(listing, "channels"):
            yield str(room["id"])

    async def history(self, room: str, *, oldest: float) -> AsyncIterator[Json]:
        """The room's messages outside threads since a time, the newest first."""
        method = partial(self._client.conversations_history, channel=room, **_since(oldest))
        async for message in _pages(method, "messages"):
            yield message

    async def message(self, room: str, ts: str) -> Json:
        """One message outside threads; empty where there is none."""
        found = await wire.call(
            self._client.conversations_history,
            channel=room,
            latest=ts,
            inclusive=True,
            limit=1,
            include_all_metadata=True,
        )
        newest: Json = next(iter(found.get("messages") or ()), {})
        return newest if newest.get("ts") == ts else {}

    async def thread(self, room: str, root: str, *, oldest: float = 0.0) -> AsyncIterator[Json]:
        """The messages of a thread since a time, the oldest first."""
        method = partial(
            self._client.conversations_replies, channel=room, ts=root, **_since(oldest)
        )
        async for message in _pages(method, "messages"):
            yield message

    async def _ask_person(self, user: str) -> Colleague:
        found = (await wire.call(self._client.users_info, user=user))["user"]
        profile = found.get("profile") or {}
        name = profile.get("display_name") or profile.get("real_name") or found.get("name") or ""
        kinds = ("is_restricted", "is_ultra_restricted", "is_stranger")
        foreign = found.get("team_id") not in (None, "", self._me.team)
        return Colleague(str(name), guest=foreign or any(found.get(k) for k in kinds))

    async def _ask_room(self, room: str) -> bool:
        found = (await wire.call(self._client.conversations_info, channel=room))["channel"]
        return bool(found.get("is_ext_shared") or found.get("is_pending_ext_shared"))


class _Memory(Generic[T]):
    """What Slack said, for an hour; `default` where it does not say it in time."""

    def __init__(self, ask: Callable[[str], Awaitable[T]], *, default: T) -> None:
        self._ask, self._default = ask, default
        self._known: dict[str, tuple[float, T]] = {}

    async def get(self, name: str) -> T:
        known = self._known.get(name)
        if known and time.monotonic() - known[0] < KEPT_S:
            return known[1]
        try:
            async with asyncio.timeout(LOOK_S):
                found = await self._ask(name)
        except (Refused, Limited, Unsent, Unknown, TimeoutError):
            return known[1] if known else self._default
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[name] = (time.monotonic(), found)
        return found


def _since(oldest: float) -> dict[str, Any]:
    return {"oldest": f"{oldest:.6f}", "limit": 200, "include_all_metadata": True}


async def _pages(method: Callable[..., Awaitable[Any]], name: str) -> AsyncIterator[Json]:
    """All items of a listing, page by page."""
    cursor = None
    while True:
        page = await wire.call(method, **({"cursor": cursor} if cursor else {}))
        for item in page.get(name) or ():
            yield item
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return
