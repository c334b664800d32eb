"""One database, SQLite or PostgreSQL, seen as two verbs: `read` and `write` a transaction.

Whatever the database says, the caller hears `StoreUnavailable`, and no bound value ever
shows.  SQLite has one writer a process, whose transactions begin with BEGIN IMMEDIATE.
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

from sqlalchemy import Connection, Engine, FromClause, create_engine, event
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
    async def write(self, work: Work[T], *, durable: bool = False) -> T:
        """Run `work` and commit; goes on although the caller is cancelled.

        `durable` waits for the disk, so that a power cut loses nothing.  Everything else
        survives the death of the process and, lost in a power cut, is only done again.
        """

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


@dataclass(slots=True)
class _Pending:
    work: Work[Any]
    durable: bool
    done: asyncio.Future[Any]


class SqliteStore(Store):
    """A file, in WAL.  One thread writes: what waits for it meanwhile shares one commit.

    A whole transaction is one visit to the thread, not one visit per statement as with an
    asynchronous driver: that is most of the speed.
    """

    def __init__(self, url: URL) -> None:
        self.path = Path(url.database or "")
        _make_private(self.path)
        self._engine = _sqlite_engine(url)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lotse-store-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="lotse-store-read")
        self._writing: Connection | None = None
        self._reading: Connection | None = None
        self._pending: deque[_Pending] = deque()

    async def read(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    async def write(self, work: Work[T], *, durable: bool = False) -> T:
        loop = asyncio.get_running_loop()
        pending = _Pending(work, durable, loop.create_future())
        self._pending.append(pending)
        self._writer.submit(self._write_pending, loop)
        result: T = await asyncio.shield(pending.done)
        return result

    async def backup(self, target: Path) -> None:
        _make_private(target)

        def vacuum(connection: Connection) -> None:
            connection.exec_driver_sql("COMMIT")  # VACUUM runs in no transaction
            connection.exec_driver_sql("VACUUM INTO ?", (str(target),))
            connection.exec_driver_sql("BEGIN")

        await self.read(vacuum)

    async def tidy(self) -> None:
        # The log keeps old pages, with deleted text and raw ids, until it is cut off.
        await asyncio.get_running_loop().run_in_executor(self._writer, self._cut_log)

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._drop_writing)
        await loop.run_in_executor(self._reader, self._drop_reading)
        self._writer.shutdown(wait=False)
        self._reader.shutdown(wait=False)

    # --- in the threads ---

    def _read(self, work: Work[T]) -> T:
        try:
            if self._reading is None:
                self._reading = self._engine.connect()
            with self._reading.begin():
                return work(self._reading)
        except (SQLAlchemyError, OSError) as error:
            self._drop_reading()
            raise StoreUnavailable(_reason(error)) from None

    def _write_pending(self, loop: asyncio.AbstractEventLoop) -> None:
        batch: list[_Pending] = []
        with suppress(IndexError):
            while True:
                batch.append(self._pending.popleft())
        if not batch:
            return
        try:
            outcomes: list[Any] = self._committed(batch)
        except Exception as error:
            # One of them spoilt it for all: each gets a transaction of its own.
            outcomes = [error] if len(batch) == 1 else [self._alone(p) for p in batch]
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(_resolve, batch, outcomes)

    def _alone(self, pending: _Pending) -> Any:
        try:
            return self._committed([pending])[0]
        except Exception as error:
            return error

    def _committed(self, batch: list[_Pending]) -> list[Any]:
        synchronous = "FULL" if any(p.durable for p in batch) else "NORMAL"
        for tries_left in reversed(range(TRIES)):
            try:
                if self._writing is None:
                    self._writing = self._engine.connect().execution_options(lotse_write=True)
                self._raw(self._writing, f"PRAGMA synchronous={synchronous}")
                with self._writing.begin():
                    return [p.work(self._writing) for p in batch]
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                # After an error of the disk only a new connection is sure to see it mended.
                self._drop_writing()
                if not (tries_left and _may_pass(error)):
                    raise StoreUnavailable(_reason(error)) from None
        raise AssertionError("the last try returns or raises")

    def _cut_log(self) -> None:
        if self._writing is None:
            return
        try:
            self._raw(self._writing, "PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreUnavailable(_reason(error)) from None

    @staticmethod
    def _raw(connection: Connection, statement: str) -> None:
        """Run a PRAGMA outside any transaction."""
        raw: Any = connection.connection.dbapi_connection
        raw.execute(statement).fetchall()

    def _drop_writing(self) -> None:
        _close(self._writing)
        self._writing = None

    def _drop_reading(self) -> None:
        _close(self._reading)
        self._reading = None


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

    async def write(self, work: Work[T], *, durable: bool = False) -> T:
        del durable  # the server's synchronous_commit decides, on by default
        return await asyncio.shield(asyncio.ensure_future(self._committed(work)))

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


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        hide_parameters=True,
        poolclass=NullPool,  # two connections for life, one a thread
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, see below
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA secure_delete=ON")  # purged text is overwritten

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read that later writes would fail at once, however long others may be waited for.
        writes = connection.get_execution_options().get("lotse_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _resolve(batch: list[_Pending], outcomes: list[Any]) -> None:
    for pending, outcome in zip(batch, outcomes, strict=True):
        if pending.done.done():
            continue
        if isinstance(outcome, Exception):
            pending.done.set_exception(outcome)
        else:
            pending.done.set_result(outcome)


def _close(connection: Connection | None) -> None:
    if connection is not None:
        with suppress(SQLAlchemyError):
            connection.close()


def _may_pass(error: Exception) -> bool:
    """A lost connection is made anew at once; a lock was waited for, once more is due."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or "locked" in str(error.orig)
    return False


def _reason(error: Exception) -> str:
    """What went wrong, without the statement and its values: they may hold a question."""
    inner = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(inner).splitlines()
    return f"{type(inner).__name__}: {lines[0] if lines else ''}"
