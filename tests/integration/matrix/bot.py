"""The bot under test, in this process: the adapter on the real journal, worker and knowledge."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.matrix import Matrix
from bot.config import MatrixSettings
from bot.content.knowledge import shipped
from bot.search.library import Edition, publish
from bot.serve.desk import Desk
from bot.serve.journal import Journal
from bot.serve.store import open_store
from bot.serve.tasks import end
from bot.serve.worker import Worker
from tests.integration.matrix.asker import Asker
from tests.integration.matrix.homeserver import PASSWORD, SERVER_NAME, Homeserver

_editions: list[Edition] = []


def edition() -> Edition:
    """The shipped knowledge, built once for all bots of the session."""
    if not _editions:
        _editions.append(publish(shipped()))
    return _editions[0]


@dataclass
class Bot:
    """One instance; `stop()` and `start()` on the same folder is a restart."""

    homeserver: str
    folder: Path
    name: str = "lotse"
    settings: dict[str, Any] = field(default_factory=dict)
    database: str = ""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def user(self) -> str:
        return f"@{self.name}:{SERVER_NAME}"

    async def start(self, *, connected: bool = True) -> None:
        """Start; with `connected`, wait until it serves."""
        values = {"homeserver": self.homeserver, "user": self.user, "password": PASSWORD}
        self.adapter = Matrix(MatrixSettings.model_validate(values | self.settings), self.folder)
        self.store = open_store(self.database or f"sqlite:///{self.folder / 'lotse.db'}")
        self.journal = Journal(self.store, b"a key for the tests")
        await self.journal.open()
        self.worker = Worker(self.journal, [self.adapter], edition, owner=uuid.uuid4().hex)
        self.desk = Desk(self.journal, edition, self.worker, limit_per_minute=0)
        self.tasks = [
            asyncio.create_task(self.adapter.run(self.desk)),
            asyncio.create_task(self.worker.run()),
        ]
        if connected:
            await self.until_connected()

    async def until_connected(self, within_s: float = 30) -> None:
        async with asyncio.timeout(within_s):
            while not self.adapter.connected():  # the contract has no event
                if self.tasks[0].done():
                    await self.tasks[0]
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        await end(*self.tasks)
        await self.store.close()

    async def refused(self, within_s: float = 20) -> str:
        """The message of the `CredentialRefused` that ends the adapter."""
        done, _ = await asyncio.wait([self.tasks[0]], timeout=within_s)
        if not done:
            raise TimeoutError("the adapter goes on")
        return str(self.tasks[0].exception())


async def direct(asker: Asker, bot: Bot, **options: Any) -> str:
    """A conversation of two that the bot has joined; its room id."""
    room = await asker.room(bot.user, direct=True, **options)
    await asker.joined(room, bot.user)
    return room


async def group(asker: Asker, bot: Bot, **options: Any) -> str:
    """A named room that the bot has joined; its room id."""
    room = await asker.room(bot.user, name="Amtsstube", **options)
    await asker.joined(room, bot.user)
    return room


async def own(homeserver: Homeserver, folder: Path, name: str, **settings: object) -> Bot:
    """A bot of the test's own, on an account of its own."""
    homeserver.register(name)
    bot = Bot(homeserver.url, folder, name, dict(settings))
    await bot.start()
    return bot
