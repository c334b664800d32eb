"""One database, SQLite or PostgreSQL, seen as two verbs: `read` and `write` a transaction.

Writes on SQLite begin with BEGIN IMMEDIATE, one at a time in a process.  Whatever the
database says, the caller hears `StoreUnavailable`, and no bound value ever shows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, FromClause, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import Float

from bot.chat import StoreUnavailable

BUSY_S = 5.0  # how long SQLite waits for another process's write
TRIES = 3  # a transaction that met a lock or a lost connection is repeated

T = TypeVar("T")
Work = Callable[[Connection], T]


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


class Store:
    """Transactions on the database at `url` (`sqlite:///path`, `postgresql://…`).

    Every `Work` must be safe to repeat: it is run again after a lock or a lost connection,
    when it is unknown whether the earlier commit went through.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.on_sqlite = parsed.get_backend_name() == "sqlite"
        self.path = Path(parsed.database or "") if self.on_sqlite else None
        self._engine = _sqlite(url) if self.on_sqlite else _postgresql(url)
        self._turn = asyncio.Lock()

    async def read(self, work: Work[T]) -> T:
        """Run `work` in a transaction that writes nothing.  Raises `StoreUnavailable`."""
        return await self._guarded(work, {})

    async def write(self, work: Work[T], *, durable: bool = False) -> T:
        """Run `work` in a transaction of its own and commit it.  Raises `StoreUnavailable`.

        Ends although the caller is cancelled: a cancelled commit may have gone through.
        `durable` waits for the disk on SQLite, so that a power cut loses nothing; all else
        survives the death of the process and, lost, is only done again.
        """
        return await asyncio.shield(self._written(work, durable))

    async def _written(self, work: Work[T], durable: bool) -> T:
        if not self.on_sqlite:
            return await self._guarded(work, {})
        async with self._turn:
            return await self._guarded(work, {"lotse_write": "FULL" if durable else "NORMAL"})

    async def _guarded(self, work: Work[T], options: dict[str, Any]) -> T:
        for tries_left in reversed(range(TRIES)):
            try:
                async with self._engine.connect() as connection:
                    await connection.execution_options(**options)
                    async with connection.begin():
                        return await connection.run_sync(work)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                if tries_left and _may_pass(error):
                    continue
                # A database that was read-only stays so for a connection opened meanwhile.
                await self._engine.dispose()
                raise StoreUnavailable(_without_values(error)) from None
        raise AssertionError("the last try returns or raises")

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of a SQLite store beside running processes, mode 0600."""

        def vacuum(connection: Connection) -> None:
            connection.exec_driver_sql("COMMIT")  # VACUUM runs in no transaction
            connection.exec_driver_sql("VACUUM INTO ?", (str(target),))
            connection.exec_driver_sql("BEGIN")

        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        await self._guarded(vacuum, {})

    async def close(self) -> None:
        await self._engine.dispose()


def _sqlite(url: str) -> AsyncEngine:
    path = Path(make_url(url).database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from None
    engine = create_async_engine(
        make_url(url).set(drivername="sqlite+aiosqlite"),
        hide_parameters=True,
        pool_reset_on_return=None,  # every transaction here ends by itself
        connect_args={"timeout": BUSY_S},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, see below
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA secure_delete=ON")  # purged text is overwritten, not only unlinked
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        synchronous = connection.get_execution_options().get("lotse_write")
        if synchronous is None:
            connection.exec_driver_sql("BEGIN")
            return
        if connection.info.get("synchronous") != synchronous:
            connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
            connection.info["synchronous"] = synchronous
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str) -> AsyncEngine:
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        hide_parameters=True,
        pool_size=8,
        connect_args={"timeout": 10, "command_timeout": 30},
    )


def _may_pass(error: Exception) -> bool:
    """A lost connection is made anew at once; a lock was waited for already, once more is due."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or "locked" in str(error.orig)
    return False


def _without_values(error: Exception) -> str:
    """What went wrong, without the statement and its values: they may hold a question."""
    reason = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return f"{type(reason).__name__}: {str(reason).splitlines()[0] if str(reason) else ''}"
