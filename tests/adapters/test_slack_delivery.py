"""Delivering without the rest of the bot: split answers, repeats, replacing, withdrawing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.slack import Slack
from adapters.slack_render import escape
from bot.chat import (
    Conversation,
    Delivery,
    DeliveryFailed,
    Message,
    Outcome,
    Posted,
    Purpose,
    Reply,
    Source,
)
from bot.markup import plain
from tests.slack_standin import ASKER, TEAM, Fault, StandIn
from tests.slack_town import bot, settings, stand_in

LONG = Reply(
    Outcome.ANSWER,
    "\n\n".join(f"Absatz {n}: " + "Wort & Satz. " * 60 for n in range(30)),
    title="Ein langer Text",
    sources=(Source("Folien", "https://example.org/f"),),
)
SHORT = Reply(Outcome.ANSWER, "Kurz.", title="Ein kurzer Text")


@asynccontextmanager
async def courier(folder: Path) -> AsyncIterator[tuple[StandIn, Slack, Delivery]]:
    """A connected adapter and a question waiting for the answer that the test gives."""
    async with stand_in().running() as slack, bot(slack, folder) as lotse:
        ts = await slack.say("C0AMT", "Eine Frage", quietly=True)
        where = Conversation("slack", TEAM, "C0AMT", ts)
        asked = Message(where, ts, ASKER, "", datetime.now(UTC), context={"thread": ts})
        yield slack, lotse.adapter, Delivery("ab" * 20, asked, LONG)


def _texts(slack: StandIn, posted: Posted) -> str:
    messages = slack.rooms["C0AMT"].messages
    return " ".join(" ".join(messages[ts]["text"] for ts in posted.ids).split())


def _whole(reply: Reply) -> str:
    return " ".join(escape(plain(reply)).split())


async def test_a_long_answer_comes_whole_in_parts(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        posted = await adapter.deliver(delivery)
        assert len(posted.ids) > 3
        assert _texts(slack, posted) == _whole(LONG)
        last = slack.rooms["C0AMT"].messages[posted.ids[-1]]
        assert any(b["type"] == "actions" for b in last["blocks"])
        assert slack.refusals == []


@pytest.mark.parametrize("kind", ["lost", "status", "reset"])
async def test_a_repeat_posts_only_the_parts_that_are_missing(kind: str, tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        third = _after(2)
        slack.faults.append(Fault("chat.postMessage", kind, where=third))
        with pytest.raises(DeliveryFailed) as failed:
            await adapter.deliver(delivery)
        assert not failed.value.permanent
        assert failed.value.retry_after_s > 0
        posted = await adapter.deliver(replace(delivery, attempt=2))
        assert list(posted.ids) == [m["ts"] for m in slack.answers("C0AMT")]
        assert _texts(slack, posted) == _whole(LONG)
        again = await adapter.deliver(replace(delivery, attempt=3))
        assert again == posted


def _after(calls: int) -> Any:
    """True for every call but the first `calls`."""
    seen = iter(range(1_000))
    return lambda args: next(seen) >= calls


async def test_an_answer_without_blocks_is_found_by_its_metadata(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        slack.faults += [
            Fault("chat.postMessage", "error", error="invalid_blocks"),
            Fault("chat.postMessage", "lost"),
        ]
        short = replace(delivery, reply=SHORT)
        with pytest.raises(DeliveryFailed):
            await adapter.deliver(short)
        posted = await adapter.deliver(replace(short, attempt=2))
        assert [m["ts"] for m in slack.answers("C0AMT")] == list(posted.ids)


@pytest.mark.parametrize(("before", "after"), [(SHORT, LONG), (LONG, SHORT), (LONG, LONG)])
async def test_replacing_keeps_adds_and_removes_parts(
    before: Reply, after: Reply, tmp_path: Path
) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        old = await adapter.deliver(replace(delivery, reply=before))
        edit = replace(
            delivery, key="cd" * 20, reply=replace(after, title="Neu"), replaces=old.ids[0],
            also_replaces=old.ids[1:],
        )  # fmt: skip
        new = await adapter.deliver(edit)
        assert new.ids[0] == old.ids[0]
        assert [m["ts"] for m in slack.answers("C0AMT")] == list(new.ids)
        assert _texts(slack, new) == _whole(edit.reply)
        assert await adapter.deliver(replace(edit, attempt=2)) == new
        assert len(slack.answers("C0AMT")) == len(new.ids)


async def test_an_answer_that_somebody_removed_is_posted_anew(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        edit = replace(delivery, reply=SHORT, replaces="1700000000.000001")
        posted = await adapter.deliver(edit)
        assert [m["ts"] for m in slack.answers("C0AMT")] == list(posted.ids)


async def test_withdrawing_removes_all_parts_and_may_be_repeated(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        posted = await adapter.deliver(delivery)
        where = delivery.message.conversation
        for _ in range(2):
            await adapter.withdraw(where, posted)
        assert slack.answers("C0AMT") == []
        await adapter.withdraw(where, Posted((delivery.key,)))  # seen by its asker only
        slack.faults.append(Fault("chat.delete", "status"))
        with pytest.raises(DeliveryFailed):
            await adapter.withdraw(where, posted)


async def test_an_answer_said_elsewhere_is_found_again(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        slack.rooms["C0AMT"].archived = True
        slack.faults.append(Fault("chat.postMessage", "lost", where=_after(1)))
        short = replace(delivery, reply=SHORT)
        with pytest.raises(DeliveryFailed):
            await adapter.deliver(short)
        posted = await adapter.deliver(replace(short, attempt=2))
        room = slack.direct(ASKER)
        [said] = slack.answers(room)
        assert posted.ids == (f"{room}/{said['ts']}",)
        await adapter.withdraw(delivery.message.conversation, posted)
        assert slack.answers(room) == []


@pytest.mark.parametrize("purpose", [Purpose.HANDOVER, Purpose.GREETING])
async def test_what_is_not_for_the_asker_goes_nowhere_else(
    purpose: Purpose, tmp_path: Path
) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        slack.rooms["C0AMT"].archived = True
        with pytest.raises(DeliveryFailed) as failed:
            await adapter.deliver(replace(delivery, reply=SHORT, purpose=purpose))
        assert failed.value.permanent
        assert slack.direct(ASKER) not in slack.rooms or slack.answers(slack.direct(ASKER)) == []


async def test_a_missing_scope_for_looking_up_means_no_second_post(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        slack.scopes.discard("channels:history")
        with pytest.raises(DeliveryFailed) as failed:
            await adapter.deliver(replace(delivery, reply=SHORT, attempt=2))
        assert failed.value.permanent
        assert slack.answers("C0AMT") == []


async def test_the_teams_answer_to_a_private_question_comes_directly(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        asked = replace(delivery.message, context={"private": "1", "respond": ""})
        posted = await adapter.deliver(
            replace(delivery, message=asked, reply=SHORT, purpose=Purpose.TEAM_ANSWER)
        )
        [answer] = slack.answers(slack.direct(ASKER))
        assert posted.ids[0].endswith(answer["ts"])
        assert "<#C0AMT>" in answer["text"]


async def test_a_response_url_that_ran_out_is_no_reason_for_silence(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        url = f"http://127.0.0.1:{slack.port}/respond/999"
        asked = replace(delivery.message, context={"private": "1", "respond": url})
        private = replace(delivery, message=asked, reply=SHORT)
        assert (await adapter.deliver(private)).ids == (delivery.key,)
        assert [m["to"] for m in slack.ephemeral] == [ASKER]
        slack.rooms["C0AMT"].member = False
        await adapter.deliver(private)
        assert len(slack.answers(slack.direct(ASKER))) == 1
        with pytest.raises(DeliveryFailed) as failed:
            await adapter.deliver(replace(private, attempt=2))
        assert failed.value.permanent


async def test_a_private_answer_may_outlast_its_response_url(tmp_path: Path) -> None:
    async with courier(tmp_path) as (slack, adapter, delivery):
        url = slack._response_url("C0AMT", ASKER)
        asked = replace(delivery.message, context={"private": "1", "respond": url})
        await adapter.deliver(replace(delivery, message=asked))
        said = " ".join(" ".join(m["text"] for m in slack.ephemeral).split())
        assert len(slack.ephemeral) > 5
        assert said == _whole(LONG)


async def test_before_it_is_connected_nothing_is_sent() -> None:
    slack = stand_in()
    configured = settings(slack)
    adapter = Slack(configured, configured.installations[0])
    where = Conversation("slack", TEAM, "C0AMT")
    with pytest.raises(DeliveryFailed) as failed:
        await adapter.withdraw(where, Posted(("1.0",)))
    assert failed.value.unsent


# --- lotse doctor -------------------------------------------------------------------------


async def _examined(slack: StandIn, **more: object) -> dict[str, str]:
    configured = settings(slack, **more)
    adapter = Slack(configured, configured.installations[0])
    async with asyncio.timeout(10):
        return {finding.what: finding.remedy for finding in await adapter.examine()}


async def test_the_doctor_finds_everything_in_order() -> None:
    async with stand_in().running() as slack:
        found = await _examined(slack)
        assert len(found) == 3
        assert set(found.values()) == {""}


async def test_the_doctor_names_every_remedy() -> None:
    async with stand_in().running() as slack:
        slack.scopes -= {"chat:write", "users:read"}
        slack.sockets_allowed = False
        remedies = " ".join((await _examined(slack, team_channel="C0NIRGENDS")).values())
        for word in ("chat:write, users:read", "dorthin einladen", "später"):
            assert word in remedies
        slack.tokens.clear()
        [remedy] = (await _examined(slack)).values()
        assert "LOTSE_SLACK_BOT_TOKEN" in remedy


async def test_the_doctor_says_when_slack_cannot_be_reached() -> None:
    slack = stand_in()
    slack.port = 9
    [(what, remedy)] = (await _examined(slack)).items()
    assert "antwortet nicht" in what
    assert "LOTSE_SLACK_API_URL" in remedy
