"""Hand-written stand-ins: an adapter with a platform that honours keys, messages, an edition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from bot.chat import (
    Conversation,
    Delivery,
    DeliveryFailed,
    Desk,
    Message,
    Posted,
)
from bot.content.knowledge import Entry, KnowledgeFile, assemble, load, shipped
from bot.search.library import Edition
from bot.search.matching import Index

ROOM = Conversation("fake", "w", "room")
TEAM = Conversation("fake", "w", "team")
AT = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def message(id: str, text: str = "Was ist EfA?", **fields: Any) -> Message:  # noqa: A002
    defaults: dict[str, Any] = {"conversation": ROOM, "asker": "@anna:ort.de", "at": AT}
    return Message(id=id, text=text, **(defaults | fields))


@cache
def edition() -> Edition:
    """Two entries and the bot's own words: enough to answer, to decline and to rate."""
    entries = (
        Entry(id="efa", title="Was ist EfA?", answer="Einer für Alle.", questions=("EfA?",)),
        Entry(id="fim", title="Was ist FIM?", answer="Ein Baukasten.", questions=("FIM?",)),
    )
    words = load(shipped()).base
    assert words is not None
    base = assemble([KnowledgeFile(topic="Grundlagen", entries=entries)], revision="probe")
    base = replace(base, texts=words.texts, cues=words.cues)
    return Edition(base, Index(base))


@dataclass(eq=False)
class FakeAdapter:
    """Posts into a list.  Like a good platform it answers a known key with the same post."""

    name: str = "fake"
    workspace: str = ""
    team: Conversation | None = TEAM
    on: bool = True
    posts: dict[str, Delivery] = field(default_factory=dict)
    tries: list[Delivery] = field(default_factory=list)
    withdrawn: list[Posted] = field(default_factory=list)
    fail: Callable[[Delivery], DeliveryFailed | Exception | None] = lambda _delivery: None
    desk: Desk | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def connected(self) -> bool:
        return self.on

    async def run(self, desk: Desk) -> None:
        self.desk = desk
        await asyncio.Event().wait()

    async def deliver(self, delivery: Delivery) -> Posted:
        assert self.on, "nothing may be delivered while not connected"
        self.tries.append(delivery)
        self._changed.set()
        if error := self.fail(delivery):
            raise error
        self.posts.setdefault(delivery.key, delivery)
        return Posted((f"post-{list(self.posts).index(delivery.key) + 1}",))

    async def withdraw(self, conversation: Conversation, posted: Posted) -> None:
        self.withdrawn.append(posted)
        self._changed.set()

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until `condition` holds; looked at whenever something was posted."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


async def eventually(holds: Callable[[], Awaitable[bool] | bool], seconds: float = 10.0) -> None:
    """Wait for what has no event to wait for: the state of a store or of another process."""
    async with asyncio.timeout(seconds):
        while True:
            value = holds()
            if await value if isinstance(value, Awaitable) else value:
                return
            await asyncio.sleep(0.01)
