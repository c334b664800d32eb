"""The desk's holds and its answers about what is known."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from sqlalchemy import update

from bot.chat import Outcome, Person
from bot.serve.desk import Desk
from bot.serve.journal import Journal
from bot.serve.tables import holds
from bot.serve.worker import Worker
from tests.fakes import edition, eventually, message


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.serve.desk.HOLD_RENEWED_S", 0.02)


def desk(journal: Journal, owner: str = "") -> Desk:
    worker = Worker(journal, [], edition, owner=owner or uuid.uuid4().hex)
    return Desk(journal, edition, worker, limit_per_minute=0)


class Work:
    """Something only one may do: counts who does it now, and how often it began."""

    def __init__(self) -> None:
        self.now = 0
        self.began = asyncio.Semaphore(0)
        self.cancelled = 0
        self.end = asyncio.Event()

    async def __call__(self) -> None:
        self.now += 1
        assert self.now == 1
        self.began.release()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1


async def test_a_standby_takes_over_when_the_first_ends(journal: Journal) -> None:
    work = Work()
    first = asyncio.ensure_future(desk(journal).hold("account", work))
    await work.began.acquire()
    second = asyncio.ensure_future(desk(journal).hold("account", work))
    await asyncio.sleep(0.1)
    assert work.now == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.wait_for(work.began.acquire(), 5)
    work.end.set()
    await asyncio.wait_for(second, 5)


async def test_a_process_that_died_holds_up_no_successor(journal: Journal) -> None:
    """It has the same name where it has the same seat; another one frees a dead one's holds."""
    await journal.take("account", "seat-0", 15)
    work = Work()
    work.end.set()
    await asyncio.wait_for(desk(journal, "seat-0").hold("account", work), 2)
    await journal.take("account", "seat-0", 15)
    await journal.inherit("seat-0")
    await asyncio.wait_for(desk(journal).hold("account", work), 2)


async def test_a_lost_hold_cancels_the_work_and_waits_again(journal: Journal) -> None:
    work = Work()
    holding = asyncio.ensure_future(desk(journal).hold("account", work))
    await work.began.acquire()
    stolen = update(holds).values(token="thief")
    await journal.store.write(lambda c: c.execute(stolen).rowcount)
    await eventually(lambda: bool(work.cancelled))
    await journal.give_back("account", "thief")
    await asyncio.wait_for(work.began.acquire(), 5)
    work.end.set()
    await asyncio.wait_for(holding, 5)


async def test_what_the_work_raises_comes_out(journal: Journal) -> None:
    async def breaks() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await desk(journal).hold("account", breaks)
    assert await journal.take("account", "next", 1)


async def test_a_preview_leaves_no_trace(journal: Journal) -> None:
    reply = await desk(journal).preview("Was ist EfA?")
    assert reply.outcome is Outcome.ANSWER
    assert (await journal.stats()).outcomes == {}


async def test_the_edition_in_one_line(journal: Journal) -> None:
    assert await desk(journal).edition() == "Wissensstand probe: 2 Einträge"


HOSTILE = (
    "a\0b",
    "\ud800",
    "x\u202e\u200b\ufeff",
    "'; DROP TABLE inbox; --",
    "ß" * 60_000,
    "<script>alert(1)</script> <!channel> @room [x](javascript:y)",
)


async def test_no_message_is_refused_for_what_it_says(journal: Journal) -> None:
    """A message that cannot be stored would come again for ever."""
    counter = desk(journal)
    for number, words in enumerate(HOSTILE):
        people, context = (Person(words, words),), {"event": words}
        hostile = message(f"m{number}", words, people=people, context=context)
        await counter.receive([hostile])
    assert (await journal.stats()).open == len(HOSTILE)
    claimed = []
    while jobs := await journal.claim("worker", [("fake", "")], 10):
        for job in jobs:
            await journal.given_up(job)
            claimed.append(job.message.text)
    assert claimed[2:4] == list(HOSTILE[2:4])
    assert all(len(words) <= 20_000 for words in claimed)
