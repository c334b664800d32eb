"""The terminal: lines in, plain replies out.  The smallest adapter, the one to copy.

`run` hands in what people say, `deliver` puts out what the bot answers; that is all.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from datetime import UTC, datetime
from typing import TextIO

from bot.chat import Conversation, Delivery, Desk, Message, Posted
from bot.markup import plain

CONVERSATION = Conversation(adapter="terminal", workspace="", room="terminal")
PROMPT = "> "


class Terminal:
    """One person at a keyboard, or a pipe; ends with the input."""

    name: str = "terminal"
    workspace: str = ""
    team: Conversation | None = None

    def __init__(self, lines: TextIO, out: TextIO, *, asker: str) -> None:
        self._lines = lines
        self._out = out
        self._asker = asker

    async def run(self, desk: Desk) -> None:
        await desk.joined(CONVERSATION, "0")
        for number in itertools.count(1):
            self._write(PROMPT if self._lines.isatty() else "")
            line = await self._line()
            if not line:
                return
            message = Message(
                conversation=CONVERSATION,
                id=str(number),
                asker=self._asker,
                asker_name=self._asker,
                text=line,
                at=datetime.now(UTC).astimezone(),
                direct=True,
            )
            await desk.receive([message])

    async def deliver(self, delivery: Delivery) -> Posted:
        self._write(f"\n{plain(delivery.reply)}\n\n")
        return Posted((delivery.key,))

    async def withdraw(self, conversation: Conversation, posted: Posted) -> None:
        """What stands on a terminal stays there."""

    def connected(self) -> bool:
        return not self._lines.closed

    async def _line(self) -> str:
        """The next line, empty at the end; a daemon reads, so Ctrl-C need not wait for it."""
        loop = asyncio.get_running_loop()
        read: asyncio.Future[str] = loop.create_future()

        def hand_over(line: str) -> None:
            if not read.cancelled():
                read.set_result(line)

        def wait_for_line() -> None:
            loop.call_soon_threadsafe(hand_over, self._lines.readline())

        threading.Thread(target=wait_for_line, daemon=True).start()
        return await read

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
