"""Fixtures that several modules share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from bot.serve.journal import Journal
from bot.serve.store import open_store
from tests.postgres import Postgres


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `bot.search.shelf` keeps, for the whole run and its subprocesses, away from home."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTSE_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run, started when first asked for."""
    with Postgres() as server:
        yield server


async def new_database(server: Postgres) -> str:
    """The URL of a fresh, empty database."""
    name = f"t{uuid4().hex}"
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return server.url.replace("/postgres", f"/{name}")


@pytest.fixture(params=["sqlite", "postgresql"])
async def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A fresh store on each of the two databases: what holds on one must hold on the other."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'lotse.db'}"
    else:
        yield await new_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def journal(store_url: str) -> AsyncIterator[Journal]:
    """An open journal on that store."""
    opened = Journal(open_store(store_url), b"key")
    await opened.open()
    yield opened
    await opened.store.close()
