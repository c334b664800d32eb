"""Desk and worker together: what an adapter hands in comes out answered, once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from bot.chat import (
    CredentialRefused,
    Delivery,
    DeliveryFailed,
    Outcome,
    Purpose,
    StoreUnavailable,
)
from bot.serve.desk import Desk
from bot.serve.journal import Journal
from bot.serve.store import now, open_store
from bot.serve.tables import inbox
from bot.serve.worker import BACK_OFF_S, LONGEST_BACK_OFF_S, Worker, back_off
from tests.conftest import new_database
from tests.fakes import ROOM, FakeAdapter, edition, eventually, message
from tests.postgres import Postgres


class House:
    """A journal with one adapter, its desk and its worker, started and stopped together."""

    def __init__(self, journal: Journal, *, limit: int = 0) -> None:
        self.journal = journal
        self.adapter = FakeAdapter()
        self.refused: list[CredentialRefused] = []
        self.worker = Worker(
            journal,
            [self.adapter],
            edition,
            owner="me",
            refused=lambda _adapter, error: self.refused.append(error),
        )
        self.desk = Desk(journal, edition, self.worker, limit_per_minute=limit)
        self.running = asyncio.ensure_future(self.worker.run())

    async def ask(self, id: str, text: str = "Was ist EfA?", **fields: object) -> None:  # noqa: A002
        await self.desk.receive([message(id, text, **fields)])

    async def posted(self, count: int) -> list[Delivery]:
        await self.adapter.until(lambda: len(self.adapter.posts) >= count)
        await self.settled()
        return list(self.adapter.posts.values())

    async def settled(self) -> None:
        async def nothing_open() -> bool:
            return not (await self.journal.stats()).open

        await eventually(nothing_open)

    async def stop(self) -> None:
        self.worker.stop()
        await self.running


@pytest.fixture
async def house(journal: Journal) -> AsyncIterator[House]:
    opened = House(journal)
    yield opened
    await opened.stop()


async def test_a_question_is_answered_once_though_it_comes_twice(house: House) -> None:
    await asyncio.gather(*(house.ask("m1") for _ in range(5)))
    (post,) = await house.posted(1)
    assert post.reply.outcome is Outcome.ANSWER
    assert (post.message.id, post.message.asker, post.attempt) == ("m1", "@anna:ort.de", 1)
    assert len(house.adapter.tries) == 1


async def test_a_new_question_needs_no_look_for_work(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.ask("m1")
    await house.posted(1)

    async def claim(*_arguments: object) -> object:
        raise StoreUnavailable("nobody may look")

    monkeypatch.setattr(house.journal, "claim", claim)
    await house.ask("m2")
    await house.posted(2)


async def test_nobody_is_overtaken_while_older_rows_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one worker takes in hand: who came later is answered later."""
    monkeypatch.setattr("bot.serve.worker.IN_HAND", 4)
    house.worker._slots = asyncio.Semaphore(1)
    go = asyncio.Event()
    inner = house.adapter.deliver

    async def slowly(delivery: Delivery) -> object:
        await go.wait()
        return await inner(delivery)

    house.adapter.deliver = slowly  # type: ignore[method-assign, assignment]
    asked = [f"m{number:02}" for number in range(20)]
    for id_ in asked:
        await house.ask(id_, conversation=replace(ROOM, room=id_))
    go.set()
    assert [p.message.id for p in await house.posted(len(asked))] == asked


async def test_what_is_in_hand_at_the_end_is_given_back(journal: Journal) -> None:
    house = House(journal)
    hanging = asyncio.Event()

    async def never(delivery: Delivery) -> object:
        house.adapter.tries.append(delivery)
        house.adapter._changed.set()
        await hanging.wait()
        raise DeliveryFailed("too late")

    house.adapter.deliver = never  # type: ignore[method-assign, assignment]
    house.worker._slots = asyncio.Semaphore(1)
    await house.ask("m1")
    await house.adapter.until(lambda: bool(house.adapter.tries))
    await house.ask("m2", conversation=replace(ROOM, room="next"))
    house.worker.stop()
    hanging.set()
    await house.running
    assert len(house.adapter.tries) == 1
    assert [j.message.id for j in await journal.claim("other", [("fake", "")], 5)] == ["m2"]


async def test_answers_come_in_the_order_of_the_questions(house: House) -> None:
    for number in range(10):
        await house.ask(f"m{number}")
    posts = await house.posted(10)
    assert [p.message.id for p in posts] == [f"m{n}" for n in range(10)]


async def test_a_slow_conversation_holds_up_no_other(house: House) -> None:
    house.adapter.fail = lambda d: (
        DeliveryFailed("slow", retry_after_s=60) if d.message.conversation == ROOM else None
    )
    await house.ask("slow")
    await house.adapter.until(lambda: bool(house.adapter.tries))
    for number in range(5):
        await house.ask("m", conversation=replace(ROOM, room=f"r{number}"))
    await house.adapter.until(lambda: len(house.adapter.posts) == 5)


async def test_the_same_reply_under_the_same_key_on_every_try(house: House) -> None:
    house.adapter.fail = lambda d: TimeoutError() if d.attempt < 3 else None
    await house.ask("m1")
    await house.posted(1)
    tries = house.adapter.tries
    assert [t.attempt for t in tries] == [1, 2, 3]
    assert len({(t.key, t.reply) for t in tries}) == 1
    assert tries[0].key.isascii()
    assert len(tries[0].key) <= 64


async def test_a_rate_limit_is_honoured_and_is_no_attempt(house: House) -> None:
    limited = [DeliveryFailed("429", retry_after_s=0.2, unsent=True)] * 2
    house.adapter.fail = lambda _: limited.pop() if limited else None
    began = asyncio.get_running_loop().time()
    await house.ask("m1")
    await house.posted(1)
    assert asyncio.get_running_loop().time() - began >= 0.4
    assert [t.attempt for t in house.adapter.tries] == [1, 1, 1]


async def test_a_rate_limit_never_makes_an_answer_dead(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.serve.worker.MOST_FAILURES", 2)
    limited = [DeliveryFailed("429", retry_after_s=0.01, unsent=True)] * 5
    house.adapter.fail = lambda _: limited.pop() if limited else None
    await house.ask("m1")
    await house.posted(1)


async def test_what_the_platform_never_takes_is_dead_and_the_next_one_passes(house: House) -> None:
    house.adapter.fail = lambda d: (
        DeliveryFailed("not_in_channel", permanent=True) if d.message.id == "m1" else None
    )
    await house.ask("m1")
    await house.ask("m2")
    (post,) = await house.posted(1)
    assert post.message.id == "m2"
    assert (await house.journal.stats()).dead == 1


async def test_after_the_last_try_a_row_is_dead(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.serve.worker.MOST_FAILURES", 3)
    monkeypatch.setattr("bot.serve.worker.BACK_OFF_S", 0.01)
    house.adapter.fail = lambda _: DeliveryFailed("500")
    await house.ask("m1")
    await house.adapter.until(lambda: len(house.adapter.tries) == 3)
    await house.settled()
    assert (await house.journal.stats()).dead == 1


async def test_what_comes_after_waits_for_no_poll(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next of a conversation, what follows a dead row, and what goes to the team."""
    monkeypatch.setattr("bot.serve.worker.POLL_S", 60.0)
    house.worker.wake()
    house.adapter.fail = lambda d: (
        DeliveryFailed("never", permanent=True) if d.message.id == "dead" else None
    )
    await house.ask("m1")
    await house.ask("dead")
    await house.ask("m2", "Wer genehmigt die Raumschiffe von EfA beim Bauantrag?")
    await house.posted(2)
    await house.ask("m3", str(option(house, "anonym")))
    posts = await house.posted(4)
    assert [p.purpose for p in posts][2:] == [Purpose.ANSWER, Purpose.HANDOVER]
    assert "Raumschiffe" in posts[3].reply.lead


def option(house: House, words: str) -> int:
    """The number of the offer with these words in the last answer."""
    last = list(house.adapter.posts.values())[-1]
    return next(o.number for o in last.reply.options if words in o.title)


async def test_a_refused_credential_stops_the_adapter_and_keeps_the_answer(house: House) -> None:
    house.adapter.fail = lambda _: CredentialRefused("LOTSE_FAKE_TOKEN: abgelehnt")
    await house.ask("m1")
    await house.adapter.until(lambda: bool(house.adapter.tries))
    await eventually(lambda: bool(house.refused))
    assert (await house.journal.stats()).open == 1


async def test_answers_wait_while_the_adapter_is_not_connected(house: House) -> None:
    house.adapter.on = False
    await house.ask("m1")
    house.worker.wake()
    assert (await house.journal.stats()).open == 1
    house.adapter.on = True
    house.worker.wake()
    (post,) = await house.posted(1)
    assert post.attempt == 1


async def test_an_edit_replaces_the_answer(house: House) -> None:
    await house.ask("m1", "Was ist EfA?")
    await house.posted(1)
    await house.ask("e1", "Was ist FIM?", replaces="m1")
    first, second = await house.posted(2)
    assert (second.replaces, second.reply.entry) == ("post-1", "fim")
    assert first.key != second.key


async def test_a_deleted_question_takes_its_answer_along(house: House) -> None:
    await house.ask("m1")
    await house.posted(1)
    await house.desk.retracted(ROOM, "m1")
    await house.adapter.until(lambda: bool(house.adapter.withdrawn))
    assert house.adapter.withdrawn[0].ids == ("post-1",)


async def test_a_conversation_of_two_is_greeted_once(house: House) -> None:
    for _ in range(2):
        await house.desk.joined(ROOM, "join-1")
    (post,) = await house.posted(1)
    assert post.purpose is Purpose.GREETING
    assert post.reply.body
    assert (await house.journal.stats()).outcomes == {}


async def test_who_asks_too_much_hears_it_once(journal: Journal) -> None:
    house = House(journal, limit=2)
    try:
        for number in range(6):
            await house.ask(f"m{number}")
        posts = await house.posted(3)
        purposes = [p.purpose for p in posts]
        assert purposes == [Purpose.ANSWER, Purpose.ANSWER, Purpose.NOTICE]
        assert "Pause" in posts[2].reply.body
    finally:
        await house.stop()


async def test_personal_data_is_masked_before_it_is_stored(house: House) -> None:
    house.adapter.on = False
    await house.ask("m1", "Rufen Sie Frau Schulze unter 0391 567 1234 an, mail@ort.de")
    query = select(inbox)
    stored = str(await house.journal.store.read(lambda c: c.execute(query).all()))
    for personal in ("Schulze", "567", "mail@ort.de"):
        assert personal not in stored


async def test_a_core_that_breaks_gives_a_reason_not_silence(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bot.serve.worker.answer", breaks)
    await house.ask("m1")
    (post,) = await house.posted(1)
    assert "Fehler" in post.reply.body


async def test_a_store_that_is_away_is_said_once_and_recovered_from(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = house.journal.claim
    failing = True

    async def claim(*arguments: object) -> object:
        if failing:
            raise StoreUnavailable("away")
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(house.journal, "claim", claim)
    monkeypatch.setattr("bot.serve.worker.STORE_RETRY_S", 0.05)
    house.worker.wake()
    await eventually(lambda: not house.worker.store_works)
    await house.ask("m1")
    failing = False
    await house.posted(1)
    assert house.worker.store_works


async def test_postgresql_restarted_under_a_running_worker(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.serve.worker.POLL_S", 0.05)
    monkeypatch.setattr("bot.serve.worker.STORE_RETRY_S", 0.05)
    journal = Journal(open_store(await new_database(postgres)), b"key")
    await journal.open()
    house = House(journal)
    await house.ask("before")
    await house.posted(1)
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailable):
            await house.ask("meanwhile")
        await eventually(lambda: not house.worker.store_works)
    finally:
        postgres.start()
    await house.ask("meanwhile")
    await house.posted(2)
    await house.stop()
    await journal.store.close()


async def test_a_posted_answer_is_recorded_once_the_store_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = house.journal.delivered
    failures = [StoreUnavailable("away")]

    async def delivered(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(house.journal, "delivered", delivered)
    await house.ask("m1")
    await house.posted(1)
    assert len(house.adapter.tries) == 1


async def test_stopping_finishes_what_is_under_way(journal: Journal) -> None:
    house = House(journal)
    leave = asyncio.Event()
    inner = house.adapter.deliver

    async def slowly(delivery: Delivery) -> object:
        house.adapter.tries.append(delivery)
        house.adapter._changed.set()
        await leave.wait()
        return await inner(delivery)

    house.adapter.deliver = slowly  # type: ignore[method-assign, assignment]
    await house.ask("m1")
    await house.adapter.until(lambda: bool(house.adapter.tries))
    house.worker.stop()
    await house.ask("m2", conversation=replace(ROOM, room="later"))
    leave.set()
    await house.running
    assert [p.message.id for p in house.adapter.posts.values()] == ["m1"]
    assert (await journal.stats()).open == 1


async def test_a_long_delivery_keeps_its_lease(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.serve.worker.RENEW_S", 0.0)
    monkeypatch.setattr("bot.serve.worker.POLL_S", 0.02)
    hanging = asyncio.Event()
    inner = house.adapter.deliver

    async def slowly(delivery: Delivery) -> object:
        house.adapter._changed.set()
        house.adapter.tries.append(delivery)
        await hanging.wait()
        return await inner(delivery)

    house.adapter.deliver = slowly  # type: ignore[method-assign, assignment]
    await house.ask("m1")
    await house.adapter.until(lambda: bool(house.adapter.tries))
    almost_over = update(inbox).values(leased_until=now() + 5)
    await house.journal.store.write(lambda c: c.execute(almost_over).rowcount)

    async def renewed() -> bool:
        left = select(inbox.c.leased_until - now())
        return await house.journal.store.read(lambda c: c.execute(left).scalar_one()) > 10

    await eventually(renewed)
    assert await house.journal.claim("other", [("fake", "")], 5) == []
    hanging.set()
    await house.posted(1)


def test_back_off_doubles_with_jitter_up_to_a_minute() -> None:
    for failures in range(30):
        longest = min(LONGEST_BACK_OFF_S, BACK_OFF_S * 2**failures)
        waits = {back_off(failures) for _ in range(20)}
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(waits) > 1
