"""A bot process for the crash tests: `python -m tests.crash_process PLATFORM STORE FOLDER`.

The real service with an adapter for the tests' own platform (`tests.test_crash.Platform`).
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from bot.chat import (
    Conversation,
    Delivery,
    DeliveryFailed,
    Desk,
    Message,
    Posted,
    StoreUnavailable,
)
from bot.config import Settings
from bot.serve import logs
from bot.serve.service import serve
from tests.fakes import edition


class PlatformAdapter:
    """Takes events with a cursor, like a sync; posts under the key, or looks up first."""

    name = "platform"
    workspace = ""
    team: Conversation | None = None

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    def connected(self) -> bool:
        return self._session is not None

    async def run(self, desk: Desk) -> None:
        async with aiohttp.ClientSession(self._url) as self._session:
            while True:
                since = await desk.cursor("events") or "0"
                async with self._session.get("/events", params={"since": since}) as answer:
                    events = await answer.json()
                messages = [_message(event) for event in events["events"]]
                try:
                    await desk.receive(messages, cursor=("events", events["next"]))
                except StoreUnavailable:
                    await asyncio.sleep(0.1)

    async def deliver(self, delivery: Delivery) -> Posted:
        assert self._session is not None
        body = {
            "key": delivery.key,
            "room": delivery.message.conversation.room,
            "question": delivery.message.id,
            "text": delivery.reply.body,
        }
        try:
            if delivery.attempt > 1:
                async with self._session.get("/posts", params={"key": delivery.key}) as found:
                    if (known := (await found.json())["id"]) is not None:
                        return Posted((known,))
            async with self._session.post("/posts", json=body) as answer:
                answer.raise_for_status()
                return Posted(((await answer.json())["id"],))
        except aiohttp.ClientError as error:
            raise DeliveryFailed(type(error).__name__) from None

    async def withdraw(self, conversation: Conversation, posted: Posted) -> None:
        raise NotImplementedError("nothing is deleted on this platform")


class FixedLibrary:
    """The tests' knowledge; no files to watch."""

    problems = ()

    def __init__(self) -> None:
        self.edition = edition()

    def refresh(self) -> bool:
        return False


def _message(event: dict[str, Any]) -> Message:
    room = Conversation("platform", "", event["room"])
    at = datetime.fromisoformat(event["at"])
    return Message(room, event["id"], event["asker"], event["text"], at)


def main(platform: str, store: str, folder: str) -> None:
    logs.set_up(form="json", level="debug")
    settings = Settings.model_validate(
        {
            "data_dir": Path(folder),
            "database_url": store,
            "limit_per_minute": 0,
            "hash_key": "shared by all processes",
        }
    )
    library: Any = FixedLibrary()
    asyncio.run(serve(settings, library, [PlatformAdapter(platform)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
