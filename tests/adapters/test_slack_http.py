"""HTTP instead of Socket Mode: signatures, replays, retries."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.slack_standin import ASKER, BOT, TEAM, StandIn, signed
from tests.slack_town import bot, over_http, stand_in

EFA = f"<@{BOT}> Was ist EfA?"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _post(slack: StandIn, body: str, headers: dict[str, str]) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(slack.http_url, data=body.encode(), headers=headers) as response,
    ):
        return response.status, await response.text()


def _mention(slack: StandIn, text: str = EFA) -> tuple[str, str]:
    """A signed mention as Slack would send it: its ts and its body."""
    ts = slack.ts()
    message = {"type": "message", "user": ASKER, "text": text, "ts": ts, "team": TEAM}
    slack.rooms["C0AMT"].messages[ts] = message
    event: dict[str, Any] = {**message, "type": "app_mention", "channel": "C0AMT"}
    body = {"type": "event_callback", "team_id": TEAM, "event_id": "Ev1", "event": event}
    return ts, json.dumps(body)


async def test_everything_works_over_http(tmp_path: Path, port: int) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)) as lotse:
        ts = await slack.say("C0AMT", EFA)
        await slack.until(lambda: bool(slack.answers("C0AMT", ts)))
        assert (await slack.slash("C0AMT", "Was ist EfA?")).acked
        await slack.until(lambda: bool(slack.ephemeral))
        assert (await slack.click(slack.ephemeral[0], "lotse_show", room="C0AMT")).acked
        await slack.quiet()
        await lotse.idle()
        assert len(slack.answers("C0AMT", ts)) == 1


async def test_a_slow_reply_and_a_retry_are_one_question(tmp_path: Path, port: int) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)) as lotse:
        ts, body = _mention(slack)
        for number in range(4):
            retry = {"x-slack-retry-num": str(number), "x-slack-retry-reason": "http_timeout"}
            headers = {**signed(body), "content-type": "application/json", **retry}
            assert (await _post(slack, body, headers))[0] == 200
        await slack.until(lambda: bool(slack.answers("C0AMT", ts)))
        await lotse.idle()
        assert len(slack.answers("C0AMT", ts)) == 1


async def test_a_byte_identical_replay_never_brings_a_second_answer(
    tmp_path: Path, port: int
) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)) as lotse:
        ts, body = _mention(slack)
        headers = {**signed(body), "content-type": "application/json"}
        for _ in range(3):
            assert (await _post(slack, body, headers))[0] == 200
            await slack.until(lambda: bool(slack.answers("C0AMT", ts)))
        await lotse.idle()
        assert len(slack.answers("C0AMT")) == 1


@pytest.mark.parametrize("headers", [
    {},
    {"x-slack-signature": "v0=" + "0" * 64},
    {"x-slack-request-timestamp": "abc"},
    {"x-slack-request-timestamp": "1e9"},
    {"x-slack-request-timestamp": "9" * 400},
    {"x-slack-request-timestamp": ""},
    {"x-slack-signature": "v0=ü" + "0" * 63},
    {"x-slack-signature": "v1=" + "0" * 64},
    {"x-slack-signature": ""},
    {"x-slack-signature": "V0=" + "0" * 64},
])  # fmt: skip
async def test_a_wrong_signature_gets_401(
    headers: dict[str, str], tmp_path: Path, port: int
) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)):
        _, body = _mention(slack)
        sent = {**signed(body, secret="another"), "content-type": "application/json", **headers}
        assert (await _post(slack, body, sent))[0] == 401


async def test_unsigned_old_altered_and_early_requests_get_401(tmp_path: Path, port: int) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)) as lotse:
        _, body = _mention(slack)
        kind = {"content-type": "application/json"}
        assert (await _post(slack, body, kind))[0] == 401
        for at in (time.time() - 301, time.time() + 310):
            assert (await _post(slack, body, {**signed(body, at=at), **kind}))[0] == 401
        assert (await _post(slack, body + " ", {**signed(body), **kind}))[0] == 401
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert (await _post(slack, "ssl_check=1", form))[0] == 401
        await lotse.idle()
        assert slack.answers("C0AMT") == []


async def test_a_wrong_secret_is_reported_once(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)):
        _, body = _mention(slack)
        for _ in range(3):
            assert (await _post(slack, body, signed(body, secret="another")))[0] == 401
    assert caplog.text.count("LOTSE_SLACK_SIGNING_SECRET") == 1
    assert "EfA" not in caplog.text


async def test_junk_with_a_right_signature_breaks_nothing(tmp_path: Path, port: int) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)):
        for body in ("", "{", "[]", "null", "payload=%7B", '{"type":"event_callback"}', "ü" * 99):
            status, text = await _post(slack, body, signed(body))
            assert status < 600
            assert "Traceback" not in text
        ts = await slack.say("C0AMT", EFA)
        await slack.until(lambda: bool(slack.answers("C0AMT", ts)))


async def test_slack_may_verify_the_address(tmp_path: Path, port: int) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, over_http(slack, port)):
        body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "x"})
        headers = {**signed(body), "content-type": "application/json"}
        status, text = await _post(slack, body, headers)
        assert (status, "abc" in text) == (200, True)


async def test_a_taken_port_is_named(tmp_path: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with stand_in().running() as slack:
            configured = over_http(slack, port)
            with pytest.raises(Exception, match="LOTSE_SLACK_PORT"):
                async with bot(slack, tmp_path, configured, connected=False) as lotse:
                    await lotse.running
