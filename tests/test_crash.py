"""kill -9 while questions are under way: none lost, none answered twice, order kept.

A few kills here; `SOAK=1` (make soak) kills until it hurts.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from bot.serve.journal import Journal
from bot.serve.store import open_store
from tests.conftest import new_database
from tests.fakes import AT, eventually
from tests.postgres import Postgres

SOAK = bool(os.environ.get("SOAK"))
KILLS = 40 if SOAK else 3
QUESTIONS = 800 if SOAK else 48
ROOMS = 8


@dataclass
class Platform:
    """Where people chat.  `honours_keys`: a known key gives the post that is already there."""

    honours_keys: bool
    events: list[dict[str, str]] = field(default_factory=list)
    posts: list[dict[str, str]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, number: int) -> None:
        self.events.append(
            {
                "room": f"r{number % ROOMS}",
                "id": f"q{number}",
                "asker": "@anna",
                "text": "Was ist EfA?",
                "at": AT.isoformat(),
            }
        )
        self._changed.set()

    async def until_posted(self, count: int) -> None:
        await eventually(lambda: len(self.posts) >= count, 60)

    def answered(self) -> set[str]:
        return {post["question"] for post in self.posts}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/events", self._show_events),
            web.get("/posts", self._look_up),
            web.post("/posts", self._post),
        ]

    async def _show_events(self, request: web.Request) -> web.Response:
        since = int(request.query["since"])
        if since == len(self.events):
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.5)
        # One event more than was missed: a platform that repeats itself is the usual one.
        fresh = self.events[max(0, since - 1) :]
        return web.json_response({"events": fresh, "next": str(len(self.events))})

    async def _look_up(self, request: web.Request) -> web.Response:
        known = (n for n, post in enumerate(self.posts) if post["key"] == request.query["key"])
        number = next(known, None)
        return web.json_response({"id": None if number is None else f"p{number}"})

    async def _post(self, request: web.Request) -> web.Response:
        post = await request.json()
        await asyncio.sleep(random.uniform(0, 0.03))
        keys = [p["key"] for p in self.posts]
        if self.honours_keys and post["key"] in keys:
            number = keys.index(post["key"])
        else:
            self.posts.append(post)
            number = len(self.posts) - 1
        await asyncio.sleep(random.uniform(0, 0.03))
        return web.json_response({"id": f"p{number}"})


Serve = Callable[[Platform], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def start(platform: Platform) -> str:
        app = web.Application()
        app.add_routes(platform.routes())
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


class Processes:
    """Bot processes that are killed and started again."""

    def __init__(self, platform: str, store: str, folders: list[Path]) -> None:
        self._arguments = [(platform, store, str(folder)) for folder in folders]
        self._folders = folders
        self._running: list[asyncio.subprocess.Process] = []

    async def start_all(self) -> None:
        for number in range(len(self._arguments)):
            self._running.append(await self._start(number))

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        self._folders[number].mkdir(exist_ok=True)
        with (self._folders[number] / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.crash_process", *self._arguments[number], stderr=log
            )

    async def kill_one(self) -> None:
        number = random.randrange(len(self._running))
        self._running[number].kill()
        await self._running[number].wait()
        self._running[number] = await self._start(number)

    async def stop_all(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        codes = await asyncio.wait_for(asyncio.gather(*(p.wait() for p in self._running)), 10)
        # One that was only just started again dies of it, before it has begun anything.
        assert set(codes) <= {0, -signal.SIGTERM}

    async def end(self) -> None:
        for process in self._running:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def logs(self) -> str:
        return "".join((folder / "log").read_text() for folder in self._folders)


async def torment(platform: Platform, processes: Processes) -> None:
    """Ask, and kill when questions are under way, until all is answered."""
    await processes.start_all()
    platform.ask(0)
    await platform.until_posted(1)
    asked = 1
    for kill in range(1, KILLS + 1):
        until = QUESTIONS * kill // KILLS
        while asked < until:
            platform.ask(asked)
            asked += 1
        before = len(platform.posts)
        enough = before + random.randint(1, max(1, (until - before) // 2))
        await platform.until_posted(enough)
        await asyncio.sleep(random.uniform(0, 0.05))
        await processes.kill_one()
    await eventually(lambda: len(platform.answered()) == asked, 120)


def judge(platform: Platform) -> None:
    """Every question exactly once, in the order of its room."""
    assert sorted(p["question"] for p in platform.posts) == sorted(e["id"] for e in platform.events)
    for room in range(ROOMS):
        order = [int(p["question"][1:]) for p in platform.posts if p["room"] == f"r{room}"]
        assert order == sorted(order)


@pytest.mark.parametrize(
    ("processes", "honours_keys"),
    [(1, False), (2, True), *([(1, True), (2, False)] if SOAK else [])],
    ids=lambda value: ["look-up", "key"][value] if isinstance(value, bool) else f"{value} at once",
)
async def test_killed_at_random_every_question_is_answered_once(
    tmp_path: Path,
    serve: Serve,
    processes: int,
    honours_keys: bool,
) -> None:
    store = f"sqlite:///{tmp_path / 'lotse.db'}"
    await run(Platform(honours_keys), serve, store, tmp_path, processes)


async def test_the_same_on_postgresql(tmp_path: Path, serve: Serve, postgres: Postgres) -> None:
    await run(Platform(honours_keys=True), serve, await new_database(postgres), tmp_path, 2)


async def run(
    platform: Platform,
    serve: Serve,
    store: str,
    tmp_path: Path,
    count: int,
) -> None:
    url = await serve(platform)
    processes = Processes(url, store, [tmp_path / f"data{n}" for n in range(count)])
    journal = Journal(open_store(store), b"")
    try:
        await torment(platform, processes)
        # What was posted just before a kill is looked at once more: that adds no post.
        await eventually(lambda: nothing_open(journal), 60)
        judge(platform)
        await processes.stop_all()
        stats = await journal.stats()
    finally:
        await processes.end()
        await journal.store.close()
    assert "EfA" not in processes.logs()
    assert stats.dead == 0
    assert stats.outcomes == {"answer": len(platform.events)}


async def nothing_open(journal: Journal) -> bool:
    return (await journal.stats()).open == 0
