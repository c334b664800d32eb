"""`lotse run` from the inside: starting, stopping, health, adapters that break or are refused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.chat import CredentialRefused, Desk
from bot.config import Settings
from bot.serve.journal import Journal
from bot.serve.seat import Seat, made_once, occupied
from bot.serve.service import NothingLeft, Service, open_journal, serve
from tests.crash_process import FixedLibrary
from tests.fakes import FakeAdapter, eventually, message


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", http_port=free_port())


class Running:
    """A service under test and the questions one may put to it."""

    def __init__(self, settings: Settings, *adapters: FakeAdapter) -> None:
        library: Any = FixedLibrary()
        self.settings = settings
        self.adapters = adapters
        self.task = asyncio.ensure_future(serve(settings, library, list(adapters)))

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.settings.http_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def ready(self, expected: int = 200) -> str:
        body = ""

        async def is_so() -> bool:
            nonlocal body
            try:
                status, body = await self.get("/readyz")
            except aiohttp.ClientError:
                return False
            return status == expected

        await eventually(is_so)
        return body

    async def stop(self) -> None:
        """As systemd does it."""
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(self.task, 10)


@pytest.fixture
async def running(settings: Settings) -> AsyncIterator[Running]:
    service = Running(settings, FakeAdapter())
    await service.ready()
    yield service
    if not service.task.done():
        await service.stop()


async def test_it_answers_and_shows_figures(running: Running) -> None:
    (adapter,) = running.adapters
    assert adapter.desk is not None
    await adapter.desk.receive([message("m1", "Was ist EfA?")])
    await adapter.until(lambda: len(adapter.posts) == 1)
    assert (await running.get("/healthz"))[0] == 200

    async def counted() -> bool:
        return 'lotse_questions_total{outcome="answer"} 1.0' in (await running.get("/metrics"))[1]

    await eventually(counted)
    _, metrics = await running.get("/metrics")
    for name in (
        'lotse_adapter_connected{adapter="fake"} 1.0',
        "lotse_inbox_depth 0.0",
        "lotse_oldest_open_seconds 0.0",
        "lotse_dead 0.0",
        "lotse_answer_seconds_count 1.0",
    ):
        assert name in metrics
    assert "EfA" not in metrics
    assert "anna" not in metrics


async def test_it_is_not_ready_while_an_adapter_is_not_connected(running: Running) -> None:
    running.adapters[0].on = False
    assert '"fake": false' in await running.ready(503)
    running.adapters[0].on = True
    await running.ready(200)


async def test_sigterm_ends_it_soon_and_an_unfinished_question_waits(
    running: Running, settings: Settings
) -> None:
    (adapter,) = running.adapters
    adapter.on = False
    assert adapter.desk is not None
    await adapter.desk.receive([message("m1")])
    began = asyncio.get_running_loop().time()
    await running.stop()
    assert asyncio.get_running_loop().time() - began < 10
    next_one = Running(settings, FakeAdapter())
    await next_one.adapters[0].until(lambda: len(next_one.adapters[0].posts) == 1)
    await next_one.stop()


async def test_a_hanging_delivery_does_not_hold_up_the_end(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.serve.service.FINISH_S", 0.3)
    (adapter,) = running.adapters

    async def hangs(_delivery: object) -> object:
        adapter._changed.set()
        adapter.tries.append(_delivery)  # type: ignore[arg-type]
        await asyncio.Event().wait()
        raise AssertionError

    adapter.deliver = hangs  # type: ignore[method-assign, assignment]
    assert adapter.desk is not None
    await adapter.desk.receive([message("m1")])
    await adapter.until(lambda: bool(adapter.tries))
    await running.stop()
    journal = await open_journal(running.settings)
    assert (await journal.stats()).open == 1
    await journal.store.close()


class Refused(FakeAdapter):
    async def run(self, desk: Desk) -> None:
        raise CredentialRefused("LOTSE_FAKE_TOKEN: abgelehnt. Bitte neu ausstellen.")


async def test_a_refused_adapter_stops_alone(settings: Settings) -> None:
    refused = Refused(name="refused", on=False)
    service = Running(settings, FakeAdapter(), refused)
    (adapter, _) = service.adapters
    await eventually(lambda: adapter.desk is not None)
    assert adapter.desk is not None
    assert '"refused": false' in await service.ready(503)
    await adapter.desk.receive([message("m1")])
    await adapter.until(lambda: len(adapter.posts) == 1)
    await service.stop()


async def test_without_any_adapter_left_it_ends_with_the_reason(settings: Settings) -> None:
    service = Running(settings, Refused())
    with pytest.raises(NothingLeft, match="LOTSE_FAKE_TOKEN"):
        await asyncio.wait_for(service.task, 10)


async def test_an_adapter_that_breaks_is_started_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.serve.service.back_off", lambda _failures: 0.01)
    began = 0

    class Breaking(FakeAdapter):
        async def run(self, desk: Desk) -> None:
            nonlocal began
            began += 1
            if began < 3:
                raise RuntimeError("Was ist EfA?")
            await super().run(desk)

    service = Running(settings, Breaking())
    await eventually(lambda: service.adapters[0].desk is not None)
    assert began == 3
    await service.stop()


async def test_a_taken_port_ends_it(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.http_port or 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            await Running(settings, FakeAdapter()).task


async def test_systemd_hears_that_it_is_ready_alive_and_stopping(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        service = Running(settings, FakeAdapter())
        await service.ready()
        await service.stop()
        heard = set()
        while True:
            try:
                heard.add(systemd.recv(100).decode())
            except BlockingIOError:
                break
    assert heard == {"READY=1", "WATCHDOG=1", "STOPPING=1"}


# --- the data folder ------------------------------------------------------------


def test_seats_are_taken_in_turn_and_freed(tmp_path: Path) -> None:
    first, second = Seat.take(tmp_path), Seat.take(tmp_path)
    assert first.owner != second.owner
    assert first.newly_dead() == []
    second.leave()
    assert first.newly_dead() == [second.owner]
    assert first.newly_dead() == []
    assert occupied(tmp_path)
    third = Seat.take(tmp_path)
    assert third.owner == second.owner
    assert first.newly_dead() == []
    third.leave()
    assert first.newly_dead() == [second.owner]
    first.leave()
    assert not occupied(tmp_path)
    assert tmp_path.joinpath("seats").stat().st_mode & 0o777 == 0o700


def test_another_folder_is_another_owner(tmp_path: Path) -> None:
    seats = [Seat.take(tmp_path / name) for name in "ab"]
    assert seats[0].owner != seats[1].owner
    for seat in seats:
        seat.leave()


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    key = made_once(tmp_path / "hash-key")
    assert len(key) == 64
    assert made_once(tmp_path / "hash-key") == key
    assert (tmp_path / "hash-key").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["hash-key"]


async def test_a_dead_process_s_rows_are_taken_over_at_once(settings: Settings) -> None:
    dead = Seat.take(settings.data_dir)
    other = Seat.take(settings.data_dir)
    journal = await open_journal(settings)
    await journal.receive([message("m1")], None, 0)
    assert await journal.claim(dead.owner, [("fake", "")], 5)
    dead.leave()
    adapter = FakeAdapter()
    library: Any = FixedLibrary()
    service = Service(settings, library, [adapter], journal, other)
    running = asyncio.ensure_future(service.run())
    await adapter.until(lambda: len(adapter.posts) == 1, seconds=8)
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    other.leave()
    await closed(journal)


async def closed(journal: Journal) -> None:
    await journal.store.close()
