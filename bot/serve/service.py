"""What `lotse run` runs: adapters, worker, health, knowledge and purging, until SIGTERM.

An adapter that breaks is started again; one whose credential is refused stops, and with the
last one the process ends.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import structlog

from bot.chat import Adapter, CredentialRefused, StoreUnavailable
from bot.config import Settings
from bot.search.library import Library
from bot.serve.desk import Desk
from bot.serve.health import Health, Readiness, tell_systemd
from bot.serve.journal import Journal
from bot.serve.metrics import Metrics
from bot.serve.seat import KEY_FILE, Seat, made_once
from bot.serve.store import open_store
from bot.serve.worker import Worker, back_off

FINISH_S = 7.0  # for what is under way when the process must end
CLOSE_S = 2.0
REFRESH_S = 2.0  # how soon changed knowledge is noticed
DEAD_S = 1.0  # how soon another process's end is noticed
PURGE_S = 60.0

log = structlog.get_logger("lotse.service")


class NothingLeft(Exception):
    """No adapter can go on; the German text says why."""


def hash_key(settings: Settings) -> bytes:
    """The key of the askers' hashes: the operator's, or made once into the data folder."""
    if settings.hash_key is not None:
        return settings.hash_key.get_secret_value().encode()
    return made_once(settings.data_dir / KEY_FILE).encode()


async def open_journal(settings: Settings) -> Journal:
    """The journal in its present form.  Raises `StoreUnavailable`."""
    journal = Journal(open_store(settings.store_url), hash_key(settings))
    try:
        await journal.open()
    except BaseException:
        await journal.store.close()
        raise
    return journal


class Service:
    """One process; `run` ends at SIGTERM or SIGINT, or when nothing is left to do."""

    def __init__(
        self,
        settings: Settings,
        library: Library,
        adapters: Sequence[Adapter],
        journal: Journal,
        seat: Seat,
    ) -> None:
        self._settings = settings
        self._library = library
        self._journal = journal
        self._seat = seat
        self._metrics = Metrics()
        self._running = dict.fromkeys(adapters, False)
        self._refusals: list[str] = []
        self._tasks: dict[Adapter, asyncio.Task[None]] = {}
        self._end = asyncio.Event()
        self._worker = Worker(
            journal,
            adapters,
            lambda: library.edition,
            owner=seat.owner,
            context=timedelta(minutes=settings.context_minutes),
            metrics=self._metrics,
            alive=lambda: tell_systemd("WATCHDOG=1"),
            refused=self._stop_adapter,
        )
        self._desk = Desk(
            journal,
            lambda: library.edition,
            self._worker,
            limit_per_minute=settings.limit_per_minute,
        )
        self._health = Health(journal, self._metrics, self._readiness)

    async def run(self) -> None:
        """Raises `NothingLeft`, and `OSError` where the HTTP port is taken."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._end.set)
        if self._settings.http_port is not None:
            await self._health.start(self._settings.http_host, self._settings.http_port)
        await self._journal.inherit(self._seat.owner)  # of whoever had this seat and died
        worker = asyncio.ensure_future(self._worker.run())
        chores = [
            asyncio.ensure_future(self._every(REFRESH_S, self._refresh)),
            asyncio.ensure_future(self._every(DEAD_S, self._take_over)),
            asyncio.ensure_future(self._every(PURGE_S, self._purge)),
        ]
        self._tasks = {a: asyncio.ensure_future(self._kept_running(a)) for a in self._running}
        tell_systemd("READY=1")
        log.info("started", adapters=[a.name for a in self._tasks], owner=self._seat.owner)
        try:
            await self._until_end(worker)
        finally:
            tell_systemd("STOPPING=1")
            log.info("stopping")
            await self._stopped(worker, chores)
        if self._refusals and len(self._refusals) == len(self._running):
            raise NothingLeft("\n".join(self._refusals))

    async def _until_end(self, worker: asyncio.Future[None]) -> None:
        worker.add_done_callback(lambda _: self._end.set())
        await self._end.wait()
        if worker.done():
            worker.result()

    async def _stopped(
        self, worker: asyncio.Future[None], chores: Sequence[asyncio.Future[None]]
    ) -> None:
        """Finish what is under way while the adapters still deliver, then let all go."""
        self._worker.stop()
        await asyncio.wait({worker}, timeout=FINISH_S)
        others: list[asyncio.Future[None]] = [worker, *chores, *self._tasks.values()]
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=CLOSE_S)
        await self._health.stop()

    # --- adapters ---

    async def _kept_running(self, adapter: Adapter) -> None:
        failures = 0
        while True:
            self._running[adapter] = True
            began = asyncio.get_running_loop().time()
            try:
                await adapter.run(self._desk)
                log.warning("adapter_ended", adapter=adapter.name)
            except CredentialRefused as error:
                self._stop_adapter(adapter, error)
                return
            except Exception as error:
                # The text of a foreign exception may hold anything.
                log.error("adapter_broke", adapter=adapter.name, error=type(error).__name__)
            finally:
                self._running[adapter] = False
            lasted = asyncio.get_running_loop().time() - began
            failures = 0 if lasted > 60 else failures + 1
            await asyncio.sleep(back_off(failures))

    def _stop_adapter(self, adapter: Adapter, error: CredentialRefused) -> None:
        if f"{adapter.name}: {error}" in self._refusals:
            return
        log.error("credential_refused", adapter=adapter.name, reason=str(error))
        self._refusals.append(f"{adapter.name}: {error}")
        task = self._tasks.get(adapter)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if len(self._refusals) == len(self._running):
            self._end.set()

    def _readiness(self) -> Readiness:
        names = [a.name for a in self._running]
        return Readiness(
            store=self._worker.store_works,
            knowledge=self._library.edition.base.revision,
            adapters={
                a.name if names.count(a.name) == 1 else f"{a.name} {a.workspace}": on
                and a.connected()
                for a, on in self._running.items()
            },
        )

    # --- chores ---

    async def _every(self, seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            with suppress(StoreUnavailable):  # the worker says so, and the next turn does it
                await chore()
            await asyncio.sleep(seconds)

    async def _refresh(self) -> None:
        before = self._library.problems
        if await asyncio.to_thread(self._library.refresh):
            log.info("knowledge_in_force", revision=self._library.edition.base.revision)
        if self._library.problems and self._library.problems != before:
            log.error("knowledge_refused", problems=[str(p) for p in self._library.problems])

    async def _take_over(self) -> None:
        for owner in self._seat.newly_dead():
            if taken := await self._journal.inherit(owner):
                log.info("taken_over", owner=owner, rows=taken)
                self._worker.wake()

    async def _purge(self) -> None:
        lost = await self._journal.purge(
            self._settings.retention_days, self._settings.retention_days_handed_over
        )
        await self._journal.store.tidy()
        if lost:
            log.info("purged", rows=lost)


async def serve(settings: Settings, library: Library, adapters: Sequence[Adapter]) -> None:
    """Run until a signal.  Raises `StoreUnavailable`, `OSError` or `NothingLeft`."""
    seat = Seat.take(Path(settings.data_dir))
    try:
        journal = await open_journal(settings)
        try:
            await Service(settings, library, adapters, journal, seat).run()
        finally:
            await journal.store.close()
    finally:
        seat.leave()
