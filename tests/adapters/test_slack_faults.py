"""Whatever goes wrong on the way, the asker sees exactly one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.slack_standin import BOT, Fault, StandIn
from tests.slack_town import Bot, bot, stand_in

QUESTION = f"<@{BOT}> Was ist EfA?"

Trouble = Callable[[StandIn], Awaitable[None]]


def _posting(**fault: object) -> Trouble:
    async def trouble(slack: StandIn) -> None:
        slack.faults.append(Fault("chat.postMessage", **fault))  # type: ignore[arg-type]

    return trouble


async def _ack_lost(slack: StandIn) -> None:
    slack.ack_losses = 2


async def _refresh(slack: StandIn) -> None:
    await slack.disconnect("refresh_requested")


async def _warning(slack: StandIn) -> None:
    await slack.disconnect("warning")


async def _reset(slack: StandIn) -> None:
    slack.retry_gaps_s = (0.0, 0.3, 0.6)
    slack.reset_sockets()


async def _look_up_refused(slack: StandIn) -> None:
    slack.faults.append(Fault("chat.postMessage", "lost"))
    slack.faults.append(Fault("conversations.replies", "status", status=503, times=2))


FAULTS: dict[str, Trouble] = {
    "nothing": lambda slack: asyncio.sleep(0),
    "ack lost twice": _ack_lost,
    "429 on the post": _posting(kind="ratelimited"),
    "429 three times": _posting(kind="ratelimited", times=3),
    "500 on the post": _posting(kind="status", status=500),
    "503 twice": _posting(kind="status", status=503, times=2),
    "internal_error": _posting(kind="error", error="internal_error"),
    "reply lost after the post": _posting(kind="lost"),
    "reply lost twice": _posting(kind="lost", times=2),
    "reset before the post": _posting(kind="reset"),
    "look-up refused after a lost reply": _look_up_refused,
    "refresh_requested": _refresh,
    "warning": _warning,
    "socket reset": _reset,
}


@pytest.fixture(autouse=True)
def _settle_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in shows a post at once: no need to wait for it as for Slack."""
    monkeypatch.setattr("adapters.slack_delivery.SETTLE_S", 0.2)
    monkeypatch.setattr("adapters.slack_wire.backoff_s", lambda failures: 0.1)


@pytest.mark.parametrize("name", FAULTS)
async def test_exactly_one_answer(name: str, tmp_path: Path) -> None:
    async with stand_in(hurry=10.0).running() as slack, bot(slack, tmp_path) as lotse:
        await FAULTS[name](slack)
        ts = await slack.say("C0AMT", QUESTION)
        await _answered_and_quiet(slack, lotse, ts)
        assert len(slack.answers("C0AMT", ts)) == 1
        assert len(slack.answers("C0AMT")) == 1


async def test_a_post_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.slack_wire.TIMEOUT_S", 0.5)
    async with stand_in(hurry=10.0).running() as slack, bot(slack, tmp_path) as lotse:
        slack.faults.append(Fault("chat.postMessage", "hang"))
        ts = await slack.say("C0AMT", QUESTION)
        await _answered_and_quiet(slack, lotse, ts)
        assert len(slack.answers("C0AMT")) == 1


async def test_a_post_that_arrives_after_the_time_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack_wire.TIMEOUT_S", 0.5)
    monkeypatch.setattr("adapters.slack_delivery.SETTLE_S", 1.0)
    async with stand_in(hurry=10.0).running() as slack, bot(slack, tmp_path) as lotse:
        slack.faults.append(Fault("chat.postMessage", "late", slow_s=0.8))
        ts = await slack.say("C0AMT", QUESTION)
        await _answered_and_quiet(slack, lotse, ts)
        assert len(slack.answers("C0AMT")) == 1


async def test_twenty_mentions_that_arrive_as_forty_events(tmp_path: Path) -> None:
    async with (
        stand_in(hurry=10.0).running() as slack,
        bot(slack, tmp_path),
        bot(slack, tmp_path),
    ):
        asked = [await slack.say("C0AMT", QUESTION) for _ in range(20)]
        await slack.until(lambda: all(slack.answers("C0AMT", ts) for ts in asked), 15)
        await slack.quiet()
        assert len(slack.envelopes) >= 40
        assert [len(slack.answers("C0AMT", ts)) for ts in asked] == [1] * 20


async def _answered_and_quiet(slack: StandIn, lotse: Bot, ts: str) -> None:
    """Until the journal has nothing left to do, so that a second answer would be there."""
    await slack.until(lambda: bool(slack.answers("C0AMT", ts)), 15)
    await slack.quiet(10)
    await lotse.idle()
