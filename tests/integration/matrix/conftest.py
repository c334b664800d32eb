"""One homeserver and one Node process for the whole session; each test has rooms of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.matrix.asker import Asker, Driver
from tests.integration.matrix.bot import Bot, direct, group
from tests.integration.matrix.homeserver import Homeserver


@pytest.fixture(scope="session")
def homeserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    server = Homeserver(tmp_path_factory.mktemp("synapse"))
    server.start()
    for name in ("lotse", "anna", "bert"):
        server.register(name)
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def driver() -> AsyncIterator[Driver]:
    driver = await Driver.start()
    yield driver
    await driver.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def anna(homeserver: Homeserver, driver: Driver) -> Asker:
    """An asker whose program shares keys with signed devices only."""
    return await driver.login("anna", homeserver.url, signed_only=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bert(homeserver: Homeserver, driver: Driver) -> Asker:
    """A second asker, with a program that takes every device."""
    return await driver.login("bert", homeserver.url)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bot(
    homeserver: Homeserver, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bot]:
    """The bot that most tests talk to; those that stop or break one make their own."""
    bot = Bot(homeserver.url, Path(tmp_path_factory.mktemp("bot")))
    await bot.start()
    yield bot
    await bot.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rooms(anna: Asker, bot: Bot) -> dict[str, str]:
    """Rooms that tests share where they need none of their own."""
    return {
        "amt": await group(anna, bot),
        "direct": await direct(anna, bot),
        "encrypted": await direct(anna, bot, encrypted=True),
    }
