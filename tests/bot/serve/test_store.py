"""Faults of the two databases: clear errors, nothing half written, recovery by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.event import listen, remove

from bot.chat import StoreUnavailable
from bot.serve.journal import Journal
from bot.serve.statements import claiming, purge
from bot.serve.store import SqliteStore, Store, now, open_store
from bot.serve.tables import inbox
from tests.conftest import new_database
from tests.fakes import eventually, message
from tests.postgres import Postgres

CLAIM = {"the_lease": "l", "the_owner": "o", "most": 5}
QUESTION = "Was kostet das Geheimnis?"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = open_store(store_url)
    yield opened
    await opened.close()


async def count(journal: Journal) -> int:
    query = select(inbox.c.id)
    return len(await journal.store.read(lambda c: c.execute(query).all()))


async def test_the_databases_clock_is_used(store: Store) -> None:
    first, second = [await store.read(lambda c: c.execute(select(now())).scalar_one())] * 2
    assert abs(first - asyncio.get_running_loop().time()) > 1  # no monotonic clock
    assert second - first < 5
    assert first % 1 != 0  # with fractions of a second


async def test_what_fails_leaves_nothing_and_spoils_nothing_beside_it(store: Store) -> None:
    await store.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER)")).rowcount)

    def good(connection: object, number: int = 1) -> int:
        connection.execute(text(f"INSERT INTO t VALUES ({number})"))  # type: ignore[attr-defined]
        return number

    def bad(connection: object) -> None:
        good(connection, 99)
        raise ValueError("mine")

    results = await asyncio.gather(
        store.write(good), store.write(bad), store.write(good), return_exceptions=True
    )
    assert [results[0], results[2]] == [1, 1]
    assert isinstance(results[1], ValueError)
    stored = await store.read(lambda c: c.execute(text("SELECT n FROM t")).scalars().all())
    assert stored == [1, 1]


async def test_errors_show_no_values(store: Store) -> None:
    statement = text("INSERT INTO nowhere VALUES (:question)")
    with pytest.raises(StoreUnavailable) as error:
        await store.write(lambda c: c.execute(statement, {"question": QUESTION}).rowcount)
    assert QUESTION not in str(error.value)
    assert error.value.__suppress_context__


async def test_a_cancelled_writer_writes_all_the_same(store: Store) -> None:
    await store.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER)")).rowcount)
    insert = text("INSERT INTO t VALUES (1)")
    task = asyncio.ensure_future(store.write(lambda c: c.execute(insert).rowcount))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async def written() -> bool:
        found = await store.read(lambda c: c.execute(text("SELECT n FROM t")).all())
        return len(found) == 1

    await eventually(written)


# --- SQLite ---------------------------------------------------------------------


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = Journal(open_store(f"sqlite:///{tmp_path / 'lotse.db'}"), b"key")
    await opened.open()
    yield opened
    await opened.store.close()


async def test_the_file_is_for_its_owner_only(journal: Journal, tmp_path: Path) -> None:
    await journal.receive([message("m1")], None, 0)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(tmp_path)}
    assert modes == {"lotse.db": 0o600, "lotse.db-wal": 0o600, "lotse.db-shm": 0o600}


async def test_a_locked_file_is_waited_for_then_refused_then_works_again(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(journal.store, SqliteStore)
    with closing(sqlite3.connect(tmp_path / "lotse.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(journal.receive([message("m1")], None, 0))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        other.execute("COMMIT")
        await waiting
        assert await count(journal) == 1
    monkeypatch.setattr("bot.serve.store.BUSY_S", 0.05)
    impatient = Journal(open_store(f"sqlite:///{tmp_path / 'lotse.db'}"), b"key")
    with closing(sqlite3.connect(tmp_path / "lotse.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await impatient.receive([message("m2")], None, 0)
    await impatient.receive([message("m2")], None, 0)
    assert await count(impatient) == 2
    await impatient.store.close()


async def test_what_waits_for_a_lock_is_written_in_its_order(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'lotse.db'}")
    await store.write(lambda c: c.exec_driver_sql("CREATE TABLE t (n)").rowcount, much=True)
    other = sqlite3.connect(tmp_path / "lotse.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def put(number: int) -> None:
        insert = text("INSERT INTO t VALUES (:n)").bindparams(n=number)
        await store.write(lambda c: c.execute(insert).rowcount, soon=number % 2 == 1)

    waiting = [asyncio.ensure_future(put(number)) for number in range(5)]
    await asyncio.sleep(0.05)
    assert not any(w.done() for w in waiting)
    other.execute("COMMIT")
    other.close()
    waiting += [asyncio.ensure_future(put(number)) for number in range(5, 10)]
    await asyncio.gather(*waiting)
    query = text("SELECT n FROM t ORDER BY rowid")
    assert await store.read(lambda c: c.execute(query).scalars().all()) == list(range(10))
    await store.close()


async def test_the_disk_is_waited_for_and_its_refusal_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'lotse.db'}")
    await store.write(lambda c: c.exec_driver_sql("CREATE TABLE t (n)").rowcount)
    forced: list[str] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        forced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr("bot.serve.store.os.fdatasync", fdatasync)
    await asyncio.gather(*(store.sync() for _ in range(3)))
    assert set(forced) == {str(tmp_path / "lotse.db-wal")}

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("bot.serve.store.os.fdatasync", broken)
    with pytest.raises(StoreUnavailable):
        await store.sync()
    await store.close()


async def test_two_processes_on_one_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lotse.db'}"
    journals = [Journal(open_store(url), b"key") for _ in range(4)]
    await journals[0].open()

    async def fill(number: int) -> None:
        for n in range(50):
            await journals[number].receive([message(f"{number}-{n}")], None, 0)

    await asyncio.gather(*(fill(n) for n in range(4)))
    assert await count(journals[0]) == 200
    await asyncio.gather(*(j.store.close() for j in journals))


async def test_who_reads_before_he_writes_is_not_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that begins by reading would fail at once when another one writes."""
    monkeypatch.setattr("bot.serve.store.TRIES", 1)
    stores = [open_store(f"sqlite:///{tmp_path / 'lotse.db'}") for _ in range(3)]
    await stores[0].write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER)")).rowcount)

    def one_more(connection: Connection) -> None:
        highest = connection.execute(text("SELECT coalesce(max(n), 0) FROM t")).scalar_one()
        connection.execute(text(f"INSERT INTO t VALUES ({highest + 1})"))

    async def count_on(store: Store) -> None:
        for _ in range(40):
            await store.write(one_more)

    await asyncio.gather(*(count_on(store) for store in stores))
    highest = await stores[0].read(lambda c: c.execute(text("SELECT max(n) FROM t")).scalar_one())
    assert highest == 120
    await asyncio.gather(*(store.close() for store in stores))


ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.mark.parametrize("fault", ["full", pytest.param("read-only", marks=ONLY_ROOT)])
def test_a_full_or_read_only_store_refuses_and_recovers_by_itself(fault: str) -> None:
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.store_fault_process", fault, folder]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["stored", "refused", "stored", "2"], ran.stderr


async def test_what_is_done_costs_a_claim_nothing(journal: Journal) -> None:
    """Claiming and purging read by index; a scan would grow with every answer ever given."""
    statements: list[tuple[str, tuple[object, ...]]] = []

    def explain(connection: Connection) -> list[str]:
        listen(connection.engine, "before_cursor_execute", note)
        connection.execute(claiming("sqlite", (("fake", ""),)), CLAIM)
        purge(connection, 30, 90)
        remove(connection.engine, "before_cursor_execute", note)
        raw = connection.connection.dbapi_connection
        plans = [raw.execute(f"EXPLAIN QUERY PLAN {s}", p) for s, p in statements]  # type: ignore[union-attr]
        return [step[3] for plan in plans for step in plan]

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        statements.append((statement, parameters))

    steps = await journal.store.write(explain)
    assert "SCAN inbox USING INDEX inbox_next" in steps
    assert [step for step in steps if step == "SCAN inbox"] == []


async def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'lotse.db'}")


async def test_what_is_deleted_is_gone_from_the_files(journal: Journal, tmp_path: Path) -> None:
    async def found(words: str) -> bool:
        await journal.store.tidy()
        return any(words.encode() in file.read_bytes() for file in files)

    files = [Path(entry.path) for entry in os.scandir(tmp_path)]
    await journal.receive([message("m1", QUESTION)], None, 0)
    assert await found(QUESTION)
    assert await found("@anna:ort.de")
    await journal.retracted(message("m1").conversation, "m1")
    assert not await found(QUESTION)
    assert not await found("@anna:ort.de")


@pytest.mark.parametrize("url", ["postgresql://h:port/d", "postgresql://[::1/d"])
def test_an_address_with_mistakes_is_refused(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="Adresse"):
        open_store(url)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lotse.db").write_text("kein Speicher " * 100)
    journal = Journal(open_store(f"sqlite:///{tmp_path / 'lotse.db'}"), b"key")
    with pytest.raises(StoreUnavailable, match="not a database"):
        await journal.open()
    await journal.store.close()


async def test_a_backup_is_taken_beside_writers_and_holds_everything(
    journal: Journal, tmp_path: Path
) -> None:
    for number in range(20):
        await journal.receive([message(f"m{number}")], None, 0)
    writing = asyncio.ensure_future(journal.receive([message("meanwhile")], None, 0))
    await journal.store.backup(tmp_path / "copy.db")
    await writing
    copy = Journal(open_store(f"sqlite:///{tmp_path / 'copy.db'}"), b"key")
    assert await count(copy) in (20, 21)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    await copy.store.close()


# --- PostgreSQL -----------------------------------------------------------------


async def test_postgresql_restarted_in_between(postgres: Postgres) -> None:
    journal = Journal(open_store(await new_database(postgres)), b"key")
    await journal.open()
    await journal.receive([message("before")], None, 0)
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailable):
            await journal.receive([message("meanwhile", QUESTION)], None, 0)
    finally:
        postgres.start()
    await journal.receive([message("after")], None, 0)
    assert await count(journal) == 2
    await journal.store.close()


async def test_postgresql_restarted_unnoticed(postgres: Postgres) -> None:
    """Connections that died while nobody used them cost no error."""
    journal = Journal(open_store(await new_database(postgres)), b"key")
    await journal.open()
    await journal.receive([message("before")], None, 0)
    postgres.stop()
    postgres.start()
    await journal.receive([message("after")], None, 0)
    assert await count(journal) == 2
    await journal.store.close()
