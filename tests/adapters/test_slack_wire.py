"""Pacing and what the outcome of a request is."""

from __future__ import annotations

import asyncio

import pytest

from adapters.slack_pace import Pace
from adapters.slack_wire import (
    Limited,
    Refused,
    Unknown,
    Unsent,
    call,
    client,
    proxy_for,
    session,
)
from tests.slack_standin import BOT_TOKEN, Fault
from tests.slack_town import stand_in


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_room_is_free_until_slack_insists() -> None:
    pace = Pace(Clock())
    assert [pace.wait_s("C1", key) for key in "abc"] == [0, 0, 0]


def test_from_then_on_every_post_has_its_second_and_keeps_its_place() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.limited("C1", "a", 1.0) == 1.0
    waits = [pace.wait_s("C1", key) for key in "bcd"]
    assert waits == pytest.approx([2.05, 3.1, 4.15])
    clock.now += 2.0
    assert pace.wait_s("C1", "a") == 0
    assert pace.wait_s("C1", "c") == pytest.approx(1.1)
    assert pace.wait_s("C2", "x") == 0


def test_a_post_that_went_late_pushes_the_next_one_back() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.limited("C1", "a", 1.0)
    pace.wait_s("C1", "b")
    clock.now += 2.0
    pace.sent("C1")  # "a", a second late
    clock.now += 0.1
    assert pace.wait_s("C1", "b") == pytest.approx(0.95)


async def test_posts_of_a_room_go_in_order() -> None:
    pace, done = Pace(), []

    async def post(number: int) -> None:
        async with pace.turn("C1"):
            await asyncio.sleep(0.01 if number % 2 else 0)
            done.append(number)

    async with asyncio.timeout(2):
        await asyncio.gather(*(post(n) for n in range(9)))
    assert done == list(range(9))


def test_after_a_while_the_room_is_free_again() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.limited("C1", "a", 30.0)
    clock.now += 30 + 2 * Pace.REMEMBERED_S
    assert pace.wait_s("C1", "b") == 0
    assert pace.wait_s("C1", "c") == 0


async def test_a_post_that_hangs_holds_up_the_room_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pace, "PATIENCE_S", 0.05)
    pace, done = Pace(), []
    hanging = asyncio.Event()

    async def post(name: str) -> None:
        async with pace.turn("C1"):
            if name == "first":
                await hanging.wait()
            done.append(name)

    tasks = [asyncio.ensure_future(post(n)) for n in ("first", "second", "third")]
    await asyncio.wait(tasks[1:], timeout=2)
    assert sorted(done) == ["second", "third"]
    hanging.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(("fault", "outcome"), [
    (Fault("auth.test", "status", status=500), Unknown),
    (Fault("auth.test", "status", status=404), Unknown),
    (Fault("auth.test", "error", error="internal_error"), Unknown),
    (Fault("auth.test", "reset"), Unknown),
    (Fault("auth.test", "lost"), Unknown),
    (Fault("auth.test", "hang"), Unknown),
    (Fault("auth.test", "ratelimited", retry_after_s=7), Limited),
    (Fault("auth.test", "error", error="ratelimited"), Limited),
    (Fault("auth.test", "error", error="invalid_auth"), Refused),
])  # fmt: skip
async def test_outcomes_are_told_apart(
    fault: Fault, outcome: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack_wire.TIMEOUT_S", 0.3)
    async with stand_in().running() as slack, session() as pool:
        slack.faults.append(fault)
        with pytest.raises(outcome) as raised:
            await call(client(pool, slack.url, BOT_TOKEN).auth_test)
        if fault.kind == "ratelimited":
            assert isinstance(raised.value, Limited)
            assert raised.value.retry_after_s == 7
        assert len(slack.calls) == 1  # never repeated by itself


@pytest.mark.parametrize(("url", "proxy"), [
    ("https://slack.com/api/", "http://proxy.ort.de:3128"),
    ("wss://wss-primary.slack.com/link", "http://proxy.ort.de:3128"),
    ("http://127.0.0.1:9/api/", None), ("https://intern.ort.de/", None),
])  # fmt: skip
def test_the_towns_proxy_is_used(
    url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.ort.de:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1,intern.ort.de")
    assert proxy_for(url) == proxy


async def test_no_connection_is_no_attempt() -> None:
    async with session() as pool:
        with pytest.raises(Unsent):
            await call(client(pool, "http://127.0.0.1:9/api/", BOT_TOKEN).auth_test)
