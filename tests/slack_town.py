"""A bot at work in the stand-in: the real adapter, desk, journal, worker and knowledge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from adapters.slack import Slack
from adapters.slack_manifest import manifest
from bot.config import SlackSettings
from bot.content.knowledge import shipped
from bot.search.library import Edition, publish
from bot.serve.desk import Desk
from bot.serve.journal import Journal
from bot.serve.store import open_store
from bot.serve.tasks import end
from bot.serve.worker import Worker
from tests.slack_standin import APP_TOKEN, BOT_TOKEN, SECRET, StandIn

TEAM_ROOM = "C0TEAM"


@cache
def edition() -> Edition:
    return publish(shipped())


def stand_in(**options: Any) -> StandIn:
    """A workspace in which the shipped manifest is installed."""
    slack = StandIn(yaml.safe_load(manifest()), **options)
    slack.add_room(TEAM_ROOM)
    return slack


def settings(slack: StandIn, **more: Any) -> SlackSettings:
    values: dict[str, Any] = {
        "bot_token": SecretStr(BOT_TOKEN),
        "app_token": SecretStr(APP_TOKEN),
        "api_url": slack.url,
        "team_channel": TEAM_ROOM,
    }
    return SlackSettings(**(values | more))


def over_http(slack: StandIn, port: int, **more: Any) -> SlackSettings:
    slack.http_url = f"http://127.0.0.1:{port}/slack/events"
    return settings(slack, app_token=None, signing_secret=SecretStr(SECRET), port=port, **more)


@dataclass
class Bot:
    adapter: Slack
    desk: Desk
    journal: Journal
    running: asyncio.Future[None]

    async def idle(self, within_s: float = 10.0) -> None:
        """Until the journal has nothing left to do: a second answer would be there by now."""
        async with asyncio.timeout(within_s):
            while (await self.journal.stats()).open:  # noqa: ASYNC110  (a store has no event)
                await asyncio.sleep(0.02)


@asynccontextmanager
async def bot(
    slack: StandIn,
    folder: Path,
    configured: SlackSettings | None = None,
    *,
    limit_per_minute: int = 0,
    connected: bool = True,
) -> AsyncIterator[Bot]:
    """One process's worth of bot; several may share a folder."""
    edition()  # load it before the clock of the first question runs
    configured = configured or settings(slack)
    adapter = Slack(configured, configured.installations[0])
    journal = Journal(open_store(f"sqlite:///{folder / 'lotse.db'}"), b"key of the tests")
    await journal.open()
    worker = Worker(journal, [adapter], edition, owner=f"test-{id(adapter)}")
    desk = Desk(journal, edition, worker, limit_per_minute=limit_per_minute)
    working = asyncio.ensure_future(worker.run())
    running = asyncio.ensure_future(adapter.run(desk))
    try:
        if connected:
            await _until_connected(adapter, running)
        yield Bot(adapter, desk, journal, running)
    finally:
        worker.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await working
        await end(running)
        await journal.store.close()


async def _until_connected(adapter: Slack, running: asyncio.Future[None]) -> None:
    async with asyncio.timeout(5):
        while not adapter.connected():
            if running.done():
                await running
            await asyncio.sleep(0.01)
