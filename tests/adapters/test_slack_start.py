"""Starting, wrong tokens, refused sockets, and what was asked while the bot was away."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.slack_manifest import wanted_scopes
from bot.chat import CredentialRefused, StoreUnavailable
from tests.fakes import eventually
from tests.slack_standin import APP_TOKEN, BOT, BOT_TOKEN, Fault, StandIn
from tests.slack_town import Bot, bot, settings, stand_in

EFA = f"<@{BOT}> Was ist EfA?"


async def _refusal(slack: StandIn, folder: Path, **wrong: object) -> str:
    configured = settings(slack, **wrong)
    async with bot(slack, folder, configured, connected=False) as lotse:
        with pytest.raises(CredentialRefused) as refused:
            async with asyncio.timeout(5):
                await lotse.running
        return str(refused.value)


# --- credentials --------------------------------------------------------------------------


async def test_a_wrong_bot_token_names_the_setting_and_the_remedy(tmp_path: Path) -> None:
    async with stand_in().running() as slack:
        text = await _refusal(slack, tmp_path, bot_token=SecretStr("xoxb-wrong"))
        assert "LOTSE_SLACK_BOT_TOKEN" in text
        assert "OAuth & Permissions" in text
        assert "wrong" not in text


async def test_a_wrong_app_token_names_the_setting_and_the_remedy(tmp_path: Path) -> None:
    async with stand_in().running() as slack:
        for wrong in ("xapp-wrong", BOT_TOKEN):
            text = await _refusal(slack, tmp_path, app_token=SecretStr(wrong))
            assert "LOTSE_SLACK_APP_TOKEN" in text
            assert "connections:write" in text
            assert wrong not in text


async def test_a_missing_scope_is_named(tmp_path: Path) -> None:
    async with stand_in().running() as slack:
        slack.scopes.discard("chat:write")
        text = await _refusal(slack, tmp_path)
        assert "chat:write" in text
        assert "lotse slack manifest" in text


async def test_a_scope_it_can_do_without_is_only_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stand_in().running() as slack:
        slack.scopes -= {"users:read", "reactions:write"}
        async with bot(slack, tmp_path):
            ts = await slack.say("C0AMT", EFA)
            await slack.until(lambda: bool(slack.answers("C0AMT", ts)))
        assert "reactions:write, users:read" in caplog.text


async def test_a_workspace_that_does_not_tell_its_scopes_is_fine(tmp_path: Path) -> None:
    async with stand_in().running() as slack:
        slack.show_scopes = False
        async with bot(slack, tmp_path) as lotse:
            assert lotse.adapter.connected()
            assert wanted_scopes() == slack.scopes


@pytest.mark.parametrize("where", ["answering", "asking"])
async def test_a_token_revoked_later_ends_the_adapter(where: str, tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        del slack.tokens[BOT_TOKEN]
        if where == "answering":
            with pytest.raises(CredentialRefused, match="LOTSE_SLACK_BOT_TOKEN"):
                await lotse.adapter.deliver(_any_delivery())
        else:
            await slack.open_home()
            with pytest.raises(CredentialRefused, match="LOTSE_SLACK_BOT_TOKEN"):
                async with asyncio.timeout(5):
                    await lotse.running


def _any_delivery():  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    from bot.chat import Conversation, Delivery, Message, Outcome, Reply

    where = Conversation("slack", "T0TOWN", "C0AMT", "1.0")
    asked = Message(where, "1.0", "U0PETRA", "", datetime.now(UTC))
    return Delivery("0123456789abcdef", asked, Reply(Outcome.ANSWER, "Text"))


# --- sockets ------------------------------------------------------------------------------


async def _until(lotse: Bot, *, connected: bool) -> None:
    async with asyncio.timeout(5):
        while lotse.adapter.connected() is not connected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_slack_that_does_not_answer_at_the_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack_wire.backoff_s", lambda failures: 0.05)
    async with stand_in().running() as slack:
        slack.sockets_allowed = False
        slack.faults.append(Fault("auth.test", "status", status=503, times=3))
        async with bot(slack, tmp_path, connected=False) as lotse:
            await slack.until(lambda: len(slack.called("apps.connections.open")) >= 3)
            assert not lotse.adapter.connected()
            slack.sockets_allowed = True
            await _until(lotse, connected=True)


async def test_a_refused_socket_never_ends_it_and_loses_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[int] = []

    def backoff(failures: int) -> float:
        waits.append(failures)
        return 0.05

    monkeypatch.setattr("adapters.slack_wire.backoff_s", backoff)
    async with stand_in(hurry=100.0).running() as slack, bot(slack, tmp_path) as lotse:
        slack.retry_gaps_s = (0.0, 0.0, 0.0)  # Slack gives up before the socket is back
        slack.sockets_allowed = False
        await slack.disconnect("link_disabled")
        await _until(lotse, connected=False)
        ts = await slack.say("C0AMT", EFA)
        await slack.until(lambda: all(e.dropped for e in slack.envelopes))
        await slack.until(lambda: len(slack.called("apps.connections.open", "internal_error")) > 3)
        del slack.tokens[APP_TOKEN]  # even this: it was right once
        await slack.until(lambda: bool(slack.called("apps.connections.open", "invalid_auth")))
        assert not lotse.running.done()
        slack.tokens[APP_TOKEN] = "app"
        slack.sockets_allowed = True
        await _until(lotse, connected=True)
        await slack.until(lambda: len(slack.answers("C0AMT", ts)) == 1)
        assert waits[:4] == [0, 1, 2, 3]
        assert "Socket Mode" in caplog.text


def test_the_back_off_grows_to_a_minute() -> None:
    from adapters.slack_wire import backoff_s

    for failures, most in ((0, 1.0), (3, 8.0), (6, 60.0), (500, 60.0)):
        assert most / 2 <= backoff_s(failures) <= most


async def test_a_socket_that_answers_no_ping_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack_sockets.PING_S", 0.2)
    monkeypatch.setattr("adapters.slack_wire.backoff_s", lambda failures: 0.05)
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        slack.frozen = True
        await slack.until(lambda: len(slack.called("apps.connections.open")) >= 2)
        slack.frozen = False
        await _until(lotse, connected=True)
        ts = await slack.say("C0AMT", EFA)
        await slack.until(lambda: bool(slack.answers("C0AMT", ts)))


async def test_sockets_are_renewed_before_they_grow_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack_sockets.ROTATE_S", 0.3)
    async with stand_in(hurry=10.0).running() as slack, bot(slack, tmp_path) as lotse:
        asked = []
        while len(slack.called("apps.connections.open")) < 4:
            assert lotse.adapter.connected()
            asked.append(await slack.say("C0AMT", EFA))
            await asyncio.sleep(0.1)
        await slack.until(lambda: all(slack.answers("C0AMT", ts) for ts in asked))
        await slack.quiet()
        assert [len(slack.answers("C0AMT", ts)) for ts in asked] == [1] * len(asked)
        assert all(len(e.sent) == 1 for e in slack.envelopes)


async def test_two_sockets_carry_each_envelope_once(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path, settings(slack, sockets=2)):
        await slack.connected(sockets=2)
        asked = [await slack.say("C0AMT", EFA) for _ in range(6)]
        await slack.until(lambda: all(slack.answers("C0AMT", ts) for ts in asked))
        await slack.quiet()
        assert [len(slack.answers("C0AMT", ts)) for ts in asked] == [1] * 6


# --- the store ----------------------------------------------------------------------------


async def test_what_cannot_be_stored_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stand_in(hurry=10.0).running() as slack, bot(slack, tmp_path) as lotse:
        slack.retry_gaps_s = (0.2, 0.4, 0.6)
        receive, failures = lotse.desk.receive, [1, 1, 1]

        async def failing(*args: object, **more: object) -> None:
            if failures:
                failures.pop()
                raise StoreUnavailable("full")
            await receive(*args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(lotse.desk, "receive", failing)
        sent = await slack.slash("C0AMT", "Was ist EfA?")
        assert sent.response is not None
        assert "noch einmal" in sent.response["text"]
        ts = await slack.say("C0AMT", EFA)
        await slack.until(lambda: bool(slack.answers("C0AMT", ts)))
        await slack.quiet()
        await lotse.idle()
        assert len(slack.answers("C0AMT", ts)) == 1
        assert any(len(e.sent) > 1 for e in slack.envelopes if e.kind == "events_api")


# --- what was missed ----------------------------------------------------------------------


async def test_questions_asked_while_it_was_away_are_answered_once(tmp_path: Path) -> None:
    async with stand_in(hurry=100.0).running() as slack:
        slack.retry_gaps_s = (0.0, 0.0, 0.0)
        room = slack.direct()
        old = await slack.say("C0AMT", EFA, quietly=True)
        async with bot(slack, tmp_path) as lotse:
            thread = await slack.say("C0AMT", f"<@{BOT}> Was passiert in Phase 2?")
            await slack.until(lambda: bool(slack.answers("C0AMT", thread)))
            await _caught_up(slack, lotse)
        asked = [await slack.say("C0AMT", EFA), await slack.say(room, "Was ist EfA?")]
        await slack.say("C0AMT", "Was ist eigentlich EfA?")
        await slack.say("C0AMT", "und danach?", thread=thread)
        other = await slack.say("C0AMT", "Ein anderer Faden")
        await slack.say("C0AMT", EFA, thread=other)
        await slack.until(lambda: all(e.acked or e.dropped for e in slack.envelopes))
        for _ in range(2):
            async with bot(slack, tmp_path) as lotse:
                await slack.until(lambda: len(slack.answers("C0AMT", thread)) == 2)
                await slack.until(lambda: bool(slack.answers("C0AMT", other)))
                await slack.until(lambda: bool(slack.answers(room)))
                await _caught_up(slack, lotse)
                await lotse.idle()
        assert len(slack.answers("C0AMT", asked[0])) == len(slack.answers(room, asked[1])) == 1
        assert slack.answers("C0AMT", old) == []
        assert len(slack.answers("C0AMT")) == 4
        assert len(slack.answers(room)) == 1


async def _caught_up(slack: StandIn, lotse: Bot) -> None:
    """The first look through the rooms after a start is over."""
    async with asyncio.timeout(5):
        while lotse.adapter._missed.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_is_too_old_stays_unanswered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stand_in().running() as slack:
        async with bot(slack, tmp_path) as lotse:
            await _caught_up(slack, lotse)
        ts = await slack.say("C0AMT", EFA, quietly=True)
        message = slack.rooms["C0AMT"].messages.pop(ts)
        message["ts"] = f"{float(ts) - 73 * 3600:.6f}"
        slack.rooms["C0AMT"].messages[message["ts"]] = message
        monkeypatch.setattr("adapters.slack.MARGIN_S", 80 * 3600)
        recent = await slack.say("C0AMT", EFA, quietly=True)
        async with bot(slack, tmp_path) as lotse:
            await slack.until(lambda: bool(slack.answers("C0AMT", recent)))
            await lotse.idle()
        assert len(slack.answers("C0AMT")) == 1


async def test_a_room_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with stand_in().running() as slack:
        slack.add_room("C0AKTEN")
        async with bot(slack, tmp_path) as lotse:
            await _caught_up(slack, lotse)
        ts = await slack.say("C0AMT", EFA, quietly=True)
        slack.faults.append(Fault(
            "conversations.history", "error", error="not_in_channel",
            where=lambda args: args["channel"] == "C0AKTEN",
        ))  # fmt: skip
        slack.faults.append(Fault("conversations.history", "ratelimited"))
        async with bot(slack, tmp_path):
            await slack.until(lambda: bool(slack.answers("C0AMT", ts)), 10)
            await eventually(lambda: "cannot be looked through" in caplog.text)


# --- pace ---------------------------------------------------------------------------------


async def test_one_refusal_per_room_teaches_the_pace(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        slack.add_room("C0BAU")
        slack.per_room_s = 1.0
        asked = [(r, await slack.say(r, EFA)) for _ in range(4) for r in ("C0AMT", "C0BAU")]
        await slack.until(lambda: all(slack.answers(r, ts) for r, ts in asked), 20)
        await lotse.idle()
        assert [len(slack.answers(r, ts)) for r, ts in asked] == [1] * 8
        refused = [c.args["channel"] for c in slack.called("chat.postMessage", "ratelimited")]
        assert all(refused.count(room) <= 1 for room in ("C0AMT", "C0BAU"))
        assert slack.called("conversations.replies") == []
