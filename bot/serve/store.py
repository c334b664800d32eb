"""One database, SQLite or PostgreSQL, seen as two verbs: `read` and `write` a transaction.

Whatever the database says, the caller hears `StoreUnavailable`, and no bound value ever
shows.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, FromClause, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import Float

from bot.chat import StoreUnavailable

BUSY_S = 5.0  # how long SQLite waits for another process's write
TRIES = 3  # a transaction that met a lock or a lost connection is repeated
LONGEST_LOG = 64 * 2**20  # bytes
CONNECT_S, COMMAND_S = 10.0, 30.0

T = TypeVar("T")
Work = Callable[[Connection], T]
"""Runs inside a transaction and must be safe to repeat: after a lost connection it is
unknown whether the commit went through."""


class now(FunctionElement[float]):  # noqa: N801  (an SQL function)
    """Seconds since 1970 on the database's clock, with milliseconds."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_on_sqlite(_element: FromClause, _compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_on_postgresql(_element: FromClause, _compiler: Any, **_: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


class Store(ABC):
    """Transactions on one database.  All verbs may raise `StoreUnavailable`."""

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """Run `work`, which writes nothing."""

    @abstractmethod
    async def write(self, work: Work[T], *, much: bool = False, soon: bool = False) -> T:
        """Run `work` and commit; goes on although the caller is cancelled.

        `much`: it may take longer than some milliseconds.  `soon`: nobody waits for it, it may
        share a commit with what comes meanwhile.  What is committed survives the death of the
        process, and after `sync` a power cut, too.
        """

    @abstractmethod
    async def sync(self) -> None:
        """Wait until everything committed so far is on the disk."""

    @abstractmethod
    async def backup(self, target: Path) -> None:
        """Write a consistent copy beside running processes.  `target` must not exist."""

    @abstractmethod
    async def tidy(self) -> None:
        """Let what was deleted vanish from the files, too, as far as that is ours to do."""

    @abstractmethod
    async def close(self) -> None: ...


def open_store(url: str) -> Store:
    """The store at `sqlite:///path` or `postgresql://…`.  Raises `StoreUnavailable`."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreUnavailable("Die Adresse ist unvollständig oder enthält Fehler.") from None
    return SqliteStore(parsed) if parsed.get_backend_name() == "sqlite" else PostgresStore(parsed)


class SqliteStore(Store):
    """A file, in WAL.

    What is short is written right on the event loop: that takes a fraction of a millisecond,
    while a thread has to be waited for, twice, on a busy machine for several.  What waits
    meanwhile shares the next commit.  Only while somebody else writes, or where much is to be
    written, a thread does it.  No commit waits for the disk: another thread forces the log to
    it, for whom that matters.
    """

    def __init__(self, url: URL) -> None:
        self.path = Path(url.database or "")
        _make_private(self.path)
        self._here = _Hand(url, "BEGIN IMMEDIATE", busy_s=0.0)
        self._writing = _Hand(url, "BEGIN IMMEDIATE")
        self._reading = _Hand(url, "BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lotse-store-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="lotse-store-read")
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="lotse-store-sync")
        self._pending: list[_Pending] = []
        self._waiting = 0  # of those who wrote and have not heard of it yet: none is overtaken
        self._thread_writes = False
        self._unsynced: deque[asyncio.Future[None]] = deque()
        self._known_log = 0  # the log's inode, once its name is on the disk, too

    async def read(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._reader, self._reading.run, work
        )

    async def write(self, work: Work[T], *, much: bool = False, soon: bool = False) -> T:
        loop = asyncio.get_running_loop()
        if much:
            written = loop.run_in_executor(self._writer, self._writing.run, work)
            return await asyncio.shield(written)
        if not (soon or self._waiting):
            with suppress(_Locked):
                return self._here.run(work)
        pending = _Pending(work, loop.create_future())
        self._pending.append(pending)
        if len(self._pending) == 1 and not self._thread_writes:
            loop.call_soon(self._write_pending)
        self._waiting += 1
        try:
            result: T = await asyncio.shield(pending.done)
        finally:
            self._waiting -= 1
        return result

    def _write_pending(self) -> None:
        """Write all that waits in one transaction, in the order in which it came."""
        batch, self._pending = self._pending, []
        if not batch:
            return
        try:
            _resolve([p.done for p in batch], _outcomes(self._here, batch))
        except _Locked:
            self._thread_writes = True
            loop = asyncio.get_running_loop()
            written = loop.run_in_executor(self._writer, _outcomes, self._writing, batch)
            written.add_done_callback(lambda done: self._written(batch, done.result()))

    def _written(self, batch: list[_Pending], outcomes: list[Any]) -> None:
        self._thread_writes = False
        _resolve([p.done for p in batch], outcomes)
        self._write_pending()

    async def sync(self) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._unsynced.append(done)
        if len(self._unsynced) == 1:  # else the thread has yet to come for those before
            # Not before the loop has done what is ready: the thread would take its time from it.
            loop.call_soon(self._syncer.submit, self._sync_waiting, loop)
        await done

    async def backup(self, target: Path) -> None:
        _make_private(target)

        def vacuum(connection: Connection) -> None:
            connection.exec_driver_sql("COMMIT")  # VACUUM runs in no transaction
            connection.exec_driver_sql("VACUUM INTO ?", (str(target),))
            connection.exec_driver_sql("BEGIN")

        await self.read(vacuum)

    async def tidy(self) -> None:
        # The log keeps old pages, with deleted text and raw ids, until it is cut off.
        await asyncio.get_running_loop().run_in_executor(self._writer, self._writing.cut_log)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        self._here.drop()
        await loop.run_in_executor(self._writer, self._writing.drop)
        await loop.run_in_executor(self._reader, self._reading.drop)
        for executor in (self._writer, self._reader, self._syncer):
            executor.shutdown(wait=False)

    def _sync_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting: list[asyncio.Future[None]] = []
        with suppress(IndexError):
            while True:
                waiting.append(self._unsynced.popleft())
        if not waiting:
            return
        failure: StoreUnavailable | None = None
        try:
            self._force_log_to_disk()
        except OSError as error:
            failure = StoreUnavailable(_reason(error))
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(_resolve, waiting, [failure] * len(waiting))

    def _force_log_to_disk(self) -> None:
        """What `synchronous=FULL` does at each commit, for all commits since the last time."""
        log = self.path.with_name(self.path.name + "-wal")
        with suppress(FileNotFoundError):  # then all of it is in the database already
            descriptor = os.open(log, os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
                found = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if found.st_ino != self._known_log:
                _sync_folder(self.path.parent)
                self._known_log = found.st_ino
            if found.st_size > LONGEST_LOG:
                self._writer.submit(self._writing.cut_log)


class _Locked(StoreUnavailable):
    """Somebody else is just writing."""


@dataclass(slots=True)
class _Pending:
    work: Work[Any]
    done: asyncio.Future[Any]


class _Hand:
    """One connection to the file, made when it is needed and made anew after an error.

    `begin` starts its transactions: a read that later writes would fail at once, however long
    others may be waited for.  Where nobody is waited for, it does not sync the log, either.
    """

    def __init__(self, url: URL, begin: str, *, busy_s: float = BUSY_S) -> None:
        self._engine = create_engine(
            url.set(drivername="sqlite+pysqlite"),
            hide_parameters=True,
            poolclass=NullPool,
            connect_args={"timeout": busy_s, "check_same_thread": False},
        )
        self._begin, self._waits = begin, busy_s > 0
        self._connection: Connection | None = None
        event.listen(self._engine, "connect", self._configure)
        event.listen(self._engine, "begin", self._start)

    def run(self, work: Work[T]) -> T:
        """Run `work` in a transaction.  Raises `_Locked` or `StoreUnavailable`."""
        for tries_left in reversed(range(TRIES)):
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                with self._connection.begin():
                    return work(self._connection)
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                if _is_locked(error) and not self._waits:
                    raise _Locked from None
                # After an error of the disk only a new connection is sure to see it mended.
                self.drop()
                if not (tries_left and _may_pass(error)):
                    raise StoreUnavailable(_reason(error)) from None
        raise AssertionError("the last try returns or raises")

    def cut_log(self) -> None:
        """Bring the log into the database and make it empty.  Raises `StoreUnavailable`."""
        if self._connection is None:
            return
        try:
            # Outside any transaction, so past SQLAlchemy, which would begin one.
            _raw(self._connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(_reason(error)) from None

    def drop(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.close()
        self._connection = None

    def _configure(self, connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # see `Store.sync`
        connection.execute("PRAGMA secure_delete=ON")  # purged text is overwritten
        if not self._waits:
            connection.execute("PRAGMA wal_autocheckpoint=0")  # it waits for the disk

    def _start(self, connection: Connection) -> None:
        _raw(connection).execute(self._begin)


def _outcomes(hand: _Hand, batch: list[_Pending]) -> list[Any]:
    """What the works return or raise, written in one transaction.  Raises `_Locked`."""
    try:
        return hand.run(lambda connection: [p.work(connection) for p in batch])
    except _Locked:
        raise
    except Exception as error:
        # One of them spoilt it for all: each gets a transaction of its own.
        return [error] if len(batch) == 1 else [o for p in batch for o in _outcomes(hand, [p])]


def _raw(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


class PostgresStore(Store):
    """A server that several workers and machines share."""

    def __init__(self, url: URL) -> None:
        try:
            self._engine = create_async_engine(
                url.set(drivername="postgresql+asyncpg"),
                hide_parameters=True,
                pool_size=8,
                connect_args={"timeout": CONNECT_S, "command_timeout": COMMAND_S},
            )
        except ModuleNotFoundError as missing:
            install = "pip install 'ozg-lotse[postgres]'"
            raise StoreUnavailable(f"Es fehlt „{missing.name}“: {install}") from None

    async def read(self, work: Work[T]) -> T:
        return await self._committed(work)

    async def write(self, work: Work[T], *, much: bool = False, soon: bool = False) -> T:
        del much, soon  # it waits for the server, and nothing waits for it
        return await asyncio.shield(asyncio.ensure_future(self._committed(work)))

    async def sync(self) -> None:
        """Nothing: the server's synchronous_commit, on by default, has done it."""

    async def backup(self, target: Path) -> None:
        del target
        raise StoreUnavailable("Eine PostgreSQL-Datenbank sichert „pg_dump“.")

    async def tidy(self) -> None:
        """Nothing: the server's own vacuuming does it."""

    async def close(self) -> None:
        await self._engine.dispose()

    async def _committed(self, work: Work[T]) -> T:
        for tries_left in reversed(range(TRIES)):
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                if not (tries_left and _may_pass(error)):
                    raise StoreUnavailable(_reason(error)) from None
        raise AssertionError("the last try returns or raises")


def _make_private(path: Path) -> None:
    """Create the file for its owner only, and its folder."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from None


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _resolve(waiting: list[asyncio.Future[Any]], outcomes: list[Any]) -> None:
    for done, outcome in zip(waiting, outcomes, strict=True):
        if done.done():
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)


def _is_locked(error: Exception) -> bool:
    return "locked" in str(error.orig if isinstance(error, DBAPIError) else error)


def _may_pass(error: Exception) -> bool:
    """A lost connection is made anew at once; a lock was waited for, once more is due."""
    return _is_locked(error) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _reason(error: Exception) -> str:
    """What went wrong, without the statement and its values: they may hold a question."""
    inner = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(inner).splitlines()
    return f"{type(inner).__name__}: {lines[0] if lines else ''}"
