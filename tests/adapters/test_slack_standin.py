"""The stand-in is an honest opponent: a naive Bolt bot fails in it as it does in real life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.slack_naive import naive_bot
from tests.slack_standin import APP_TOKEN, BOT, BOT_TOKEN, Fault, StandIn
from tests.slack_town import stand_in

QUESTION = f"<@{BOT}> Was ist EfA?"


@asynccontextmanager
async def naive(*, messages: bool = False, hurry: float = 10.0) -> AsyncIterator[StandIn]:
    async with (
        stand_in(hurry=hurry).running() as slack,
        naive_bot(
            slack.url, BOT_TOKEN, APP_TOKEN, lambda text: "Einer für alle.", messages=messages
        ),
    ):
        slack.subscribed -= {"message.channels"} if not messages else set()
        await slack.connected()
        yield slack


async def test_the_naive_bot_answers_where_nothing_goes_wrong() -> None:
    async with naive() as slack:
        ts = await slack.say("C0AMT", QUESTION)
        await slack.until(lambda: len(slack.answers("C0AMT", ts)) == 1)


async def test_a_lost_ack_makes_it_answer_twice() -> None:
    async with naive() as slack:
        slack.ack_losses = 1
        ts = await slack.say("C0AMT", QUESTION)
        await slack.until(lambda: len(slack.answers("C0AMT", ts)) == 2)


@pytest.mark.parametrize("fault", [
    Fault("chat.postMessage", "ratelimited"), Fault("chat.postMessage", "status", status=500),
])  # fmt: skip
async def test_a_refused_post_makes_it_say_nothing(fault: Fault) -> None:
    async with naive() as slack:
        slack.faults.append(fault)
        ts = await slack.say("C0AMT", QUESTION)
        await slack.until(lambda: fault.times == 0)
        await slack.quiet()
        later = await slack.say("C0AMT", QUESTION)
        await slack.until(lambda: len(slack.answers("C0AMT", later)) == 1)
        assert slack.answers("C0AMT", ts) == []


async def test_a_lost_reply_makes_it_post_twice() -> None:
    async with naive() as slack:
        slack.faults.append(Fault("chat.postMessage", "lost"))
        ts = await slack.say("C0AMT", QUESTION)
        await slack.until(lambda: len(slack.answers("C0AMT", ts)) == 2)


async def test_one_mention_that_arrives_as_two_events_makes_it_answer_twice() -> None:
    async with naive(messages=True) as slack:
        ts = await slack.say("C0AMT", QUESTION)
        await slack.until(lambda: len(slack.answers("C0AMT", ts)) == 2)


async def test_events_without_a_listener_come_four_times() -> None:
    async with naive(hurry=100.0) as slack:
        slack.retry_gaps_s = (0.0, 0.0, 0.0)
        await slack.open_home()
        await slack.until(lambda: any(e.dropped for e in slack.envelopes))
        assert [len(e.sent) for e in slack.envelopes] == [4]


# --- as strict as Slack ---------------------------------------------------------------


@pytest.mark.parametrize(("method", "token", "args", "error"), [
    ("auth.test", "", {}, "not_authed"),
    ("auth.test", "xoxb-wrong", {}, "invalid_auth"),
    ("apps.connections.open", BOT_TOKEN, {}, "not_allowed_token_type"),
    ("chat.postMessage", APP_TOKEN, {"channel": "C0AMT", "text": "x"}, "not_allowed_token_type"),
    ("chat.postMessage", BOT_TOKEN, {"channel": "C0AMT"}, "no_text"),
    ("chat.postMessage", BOT_TOKEN, {"channel": "C0NONE", "text": "x"}, "channel_not_found"),
    ("chat.postMessage", BOT_TOKEN, {"channel": "C0AMT", "text": "x" * 12_001}, "msg_too_long"),
    ("chat.postMessage", BOT_TOKEN, {
        "channel": "C0AMT", "text": "x", "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}} for _ in range(5)
        ]}, "msg_blocks_too_long"),
    ("chat.postMessage", BOT_TOKEN, {
        "channel": "C0AMT", "text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
    ("users.nothing", BOT_TOKEN, {}, "unknown_method"),
    ("reactions.add", BOT_TOKEN, {}, "missing_scope"),
])  # fmt: skip
async def test_it_refuses_with_slacks_words(
    method: str, token: str, args: dict[str, object], error: str
) -> None:
    async with stand_in().running() as slack, aiohttp.ClientSession() as session:
        slack.scopes.discard("reactions:write")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with session.post(slack.url + method, json=args, headers=headers) as response:
            assert (await response.json())["error"] == error


async def test_it_limits_a_room_to_one_message_per_second() -> None:
    async with stand_in().running() as slack, aiohttp.ClientSession() as session:
        slack.per_room_s = 1.0
        headers = {"authorization": f"Bearer {BOT_TOKEN}"}
        body = {"channel": "C0AMT", "text": "x"}
        url = slack.url + "chat.postMessage"
        statuses = []
        for _ in range(2):
            async with session.post(url, json=body, headers=headers) as response:
                statuses.append((response.status, response.headers.get("Retry-After")))
        assert statuses == [(200, None), (429, "1")]
