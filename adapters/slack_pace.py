"""Slack's limit of about one message per second and room, kept without asking too often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class Pace:
    """One post at a time per room, in order, and one per second once Slack has insisted on it."""

    GAP_S, REMEMBERED_S, PATIENCE_S, MOST_SLOTS = 1.05, 120.0, 2.0, 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at: dict[str, float] = {}  # rooms where Slack has insisted
        self._sent_at: dict[str, float] = {}  # the last post in those rooms
        self._slots: dict[tuple[str, str], float] = {}
        self._last: dict[str, _Turn] = {}

    def wait_s(self, room: str, key: str) -> float:
        """How long the post `key` has to wait; it keeps its place when asked again."""
        now = self._clock()
        if room not in self._free_at:
            return 0.0
        if now > self._free_at[room] + self.REMEMBERED_S:
            self._forget(room)
            return 0.0
        if (room, key) not in self._slots:
            if len(self._slots) > self.MOST_SLOTS:
                self._slots = {k: slot for k, slot in self._slots.items() if slot > now}
            slot = max(now, self._free_at[room])
            self._slots[room, key] = slot
            self._free_at[room] = slot + self.GAP_S
        earliest = self._sent_at.get(room, 0.0) + self.GAP_S  # a late one pushes the next back
        return max(0.0, self._slots[room, key] - now, earliest - now)

    def sent(self, room: str) -> None:
        """A post went out just now."""
        if room in self._free_at:
            self._sent_at[room] = self._clock()

    def limited(self, room: str, key: str, retry_after_s: float) -> float:
        """Slack refused the post `key`: keep the pace from now on.  Gives its new wait."""
        now = self._clock()
        self._slots.pop((room, key), None)
        self._free_at[room] = max(self._free_at.get(room, 0.0), now + retry_after_s)
        return self.wait_s(room, key)

    def _forget(self, room: str) -> None:
        del self._free_at[room]
        self._sent_at.pop(room, None)
        self._slots = {k: slot for k, slot in self._slots.items() if k[0] != room}

    @asynccontextmanager
    async def turn(self, room: str) -> AsyncIterator[None]:
        """Wait for the room's post before this one, but not long where that one hangs."""
        before, mine = self._last.get(room), _Turn()
        self._last[room] = mine
        try:
            if before is not None:
                await before.begun.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.PATIENCE_S):
                        await before.done.wait()
            mine.begun.set()
            yield
        finally:
            mine.begun.set()
            mine.done.set()
            if self._last.get(room) is mine:
                del self._last[room]


class _Turn:
    """One post's time in its room."""

    def __init__(self) -> None:
        self.begun, self.done = asyncio.Event(), asyncio.Event()
