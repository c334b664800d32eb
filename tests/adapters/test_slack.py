"""The Slack adapter in the stand-in: who is answered, where, and when it keeps silent."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.chat import Audience, Message
from bot.serve.tables import inbox
from tests.slack_standin import ASKER, BOT, BOT_TOKEN, Fault, StandIn
from tests.slack_town import Bot, bot, stand_in

LOTSE = f"<@{BOT}>"
EFA = f"{LOTSE} Was ist EfA?"


async def answered(slack: StandIn, room: str, ts: str, times: int = 1) -> str:
    """The text of the newest answer in the thread of `ts`, once there are so many."""
    await slack.until(lambda: len(slack.answers(room, ts)) >= times)
    return str(slack.answers(room, ts)[-1]["text"])


# --- where it answers -------------------------------------------------------------------


async def test_a_mention_is_answered_once_in_its_thread(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        ts = await slack.say("C0AMT", EFA)
        assert "Einer für Alle" in await answered(slack, "C0AMT", ts)
        await slack.quiet()
        await lotse.idle()
        [answer] = slack.answers("C0AMT")
        assert answer["thread_ts"] == ts
        assert answer["_unfurl_links"] is answer["_unfurl_media"] is False
        assert "_reply_broadcast" not in answer
        assert slack.refusals == []
        assert slack.pinged == set()


async def test_a_conversation_of_two_goes_on_with_and_without_threads(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        room = slack.direct()
        first = await slack.say(room, "Was passiert in Phase 2?")
        assert "Phase 2" in await answered(slack, room, first)
        flat = await slack.say(room, "und danach?")
        assert "Phase 3" in await answered(slack, room, flat)
        await slack.say(room, "und danach?", thread=flat)
        assert "Phase 4" in await answered(slack, room, flat, 2)


async def test_a_follow_up_in_its_thread_needs_no_mention(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        ts = await slack.say("C0AMT", f"{LOTSE} Was passiert in Phase 2?")
        await answered(slack, "C0AMT", ts)
        await slack.say("C0AMT", "und danach?", thread=ts)
        assert "Phase 3" in await answered(slack, "C0AMT", ts, 2)


async def test_a_follow_up_may_come_before_the_answer(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        slack.faults.append(Fault("chat.postMessage", "slow", slow_s=0.5))
        ts = await slack.say("C0AMT", f"{LOTSE} Was passiert in Phase 2?")
        await slack.quiet()
        await slack.say("C0AMT", "und danach?", thread=ts)
        assert "Phase 3" in await answered(slack, "C0AMT", ts, 2)


async def test_it_falls_silent_when_people_talk_and_answers_when_asked_again(
    tmp_path: Path,
) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        colleague = slack.add_user("U0KAI", "Kai")
        ts = await slack.say("C0AMT", EFA)
        await answered(slack, "C0AMT", ts)
        await slack.say("C0AMT", "Das sehe ich anders.", user=colleague, thread=ts)
        await slack.say("C0AMT", "Warum?", thread=ts)
        await slack.quiet()
        await lotse.idle()
        assert len(slack.answers("C0AMT")) == 1
        await slack.say("C0AMT", f"{LOTSE} und die Vorteile?", thread=ts)
        await answered(slack, "C0AMT", ts, 2)


async def test_what_is_not_said_to_it_stays_unanswered(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        await slack.say("C0AMT", "Was ist eigentlich EfA?")
        root = await slack.say("C0AMT", "Ein anderer Faden")
        await slack.say("C0AMT", "Was ist EfA?", thread=root)
        await slack.say("C0AMT", EFA, user="U0ANDERERBOT", bot_id="B0ANDERERBOT")
        await slack.say(slack.direct(), "Erinnerung", user="USLACKBOT")
        await slack.say("C0AMT", f"{LOTSE} ist beigetreten", subtype="channel_join")
        await slack.quiet()
        await lotse.idle()
        assert slack.answers("C0AMT") == slack.answers(slack.direct()) == []
        assert all(len(e.sent) == 1 for e in slack.envelopes)


@pytest.mark.parametrize("text", [LOTSE, f"{LOTSE}   ", f"Hallo {LOTSE}!"])
async def test_whoever_addresses_it_gets_an_answer(text: str, tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        ts = await slack.say("C0AMT", text)
        assert len(await answered(slack, "C0AMT", ts)) > 20


async def test_a_private_room_and_a_group_conversation(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        for room, kind in (("G0INTERN", "group"), ("G0RUNDE", "mpim")):
            slack.add_room(room, kind)
            ts = await slack.say(room, EFA)
            await answered(slack, room, ts)


async def test_the_greeting_comes_once(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        room = slack.direct()
        for _ in range(2):
            await slack.open_home(tab="messages")
        await slack.until(lambda: bool(slack.answers(room)))
        await slack.quiet()
        await lotse.idle()
        [greeting] = slack.answers(room)
        assert "keine KI" in greeting["text"]


# --- edits, deletions, reactions ----------------------------------------------------------


async def test_an_edited_question_gets_its_answer_changed(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        ts = await slack.say("C0AMT", EFA)
        await answered(slack, "C0AMT", ts)
        await slack.edit("C0AMT", ts, f"{LOTSE} Was passiert in Phase 2?")
        await slack.until(lambda: "Phase 2" in slack.answers("C0AMT", ts)[0]["text"])
        await slack.quiet()
        await lotse.idle()
        assert len(slack.answers("C0AMT")) == 1


async def test_a_mention_that_comes_with_an_edit_is_answered(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        ts = await slack.say("C0AMT", "Was ist EfA?")
        await slack.edit("C0AMT", ts, EFA)
        await answered(slack, "C0AMT", ts)


async def test_a_deleted_question_takes_its_answer_and_its_text_along(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        ts = await slack.say("C0AMT", EFA)
        await answered(slack, "C0AMT", ts)
        await lotse.idle()
        await slack.delete("C0AMT", ts)
        await slack.until(lambda: slack.answers("C0AMT") == [])
        rows = await lotse.journal.store.read(lambda c: c.execute(select(inbox.c.text)).all())
        assert [row.text for row in rows] == [None]


async def test_thumbs_count_can_change_and_be_taken_back(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        ts = await slack.say("C0AMT", EFA)
        await answered(slack, "C0AMT", ts)
        await lotse.idle()
        answer = slack.answers("C0AMT")[0]["ts"]
        for name, removed, ratings in (
            ("+1::skin-tone-3", False, {"up": 1}), ("tada", False, {"up": 1}),
            ("-1", False, {"down": 1}), ("-1", True, {}),
        ):  # fmt: skip
            await slack.react("C0AMT", answer, name, removed=removed)
            await slack.quiet()
            found = (await lotse.journal.stats()).ratings
            assert {k: n for k, n in found.items() if n} == ratings, name


# --- who may read what --------------------------------------------------------------------


async def _heard(lotse: Bot, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Everything that reaches the desk from now on."""
    heard: list[Message] = []
    receive = lotse.desk.receive

    async def recording(messages: list[Message], **more: object) -> None:
        heard.extend(messages)
        await receive(messages, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(lotse.desk, "receive", recording)
    return heard


async def test_guests_strangers_and_shared_rooms_get_public_entries_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        heard = await _heard(lotse, monkeypatch)
        guest = slack.add_user("U0GAST", "Gast", is_ultra_restricted=True)
        stranger = slack.add_user("U0FREMD", "Fremd", team_id="T0OTHER")
        slack.add_room("C0GETEILT", foreign=True)
        for room, user, more in (
            ("C0AMT", ASKER, {}), ("C0AMT", guest, {}), ("C0AMT", stranger, {}),
            ("C0AMT", ASKER, {"user_team": "T0OTHER"}), ("C0GETEILT", ASKER, {}),
            ("C0AMT", "U0UNBEKANNT", {}),
        ):  # fmt: skip
            ts = await slack.say(room, EFA, user=user, **more)
            await answered(slack, room, ts)
        audiences = {m.id: m.audience for m in heard}
        assert list(audiences.values()) == [Audience.INTERNAL, *[Audience.PUBLIC] * 5]


async def test_a_topic_is_shown_to_exactly_one_person(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        slack.add_user("U0ERIKA", "Erika")
        ts = await slack.say("C0AMT", f"{LOTSE} zeige EfA <@U0ERIKA>")
        text = await answered(slack, "C0AMT", ts)
        assert text.count("<@") == 1
        assert text.startswith("<@U0ERIKA>, für Sie von Petra")
        assert slack.pinged == {"@U0ERIKA"}
        typed = await slack.say("C0AMT", f"{LOTSE} zeige EfA @U0CHEF")
        assert "<@" not in await answered(slack, "C0AMT", typed)
        assert slack.pinged == {"@U0ERIKA"}


HOSTILE = [
    "<!channel> Was ist EfA?", "<!here|here> EfA", "<@U0CHEF> hallo", "&lt;!channel&gt;",
    "<javascript:alert(1)|EfA>", "\u202eneti\u202c EfA", "**<!everyone>**", "x" * 39_000,
    "<!subteam^S0ALLE|@alle>", "&amp;lt;!channel&amp;gt;",
]  # fmt: skip


async def test_hostile_text_pings_nobody_and_breaks_nothing(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        asked = [await slack.say("C0AMT", f"{LOTSE} {text}") for text in HOSTILE]
        for ts in asked:
            await answered(slack, "C0AMT", ts)
        assert slack.pinged == set()
        assert slack.refusals == []
        assert not any("\u202e" in m["text"] for m in slack.answers("C0AMT"))


async def test_no_question_and_no_secret_reaches_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with stand_in(hurry=10.0).running() as slack, bot(slack, tmp_path) as lotse:
        slack.faults += [Fault("chat.postMessage", "status"), Fault("users.info", "status")]
        slack.ack_losses = 1
        ts = await slack.say("C0AMT", f"{LOTSE} Was kostet die Zwergenpalastgebühr?")
        await answered(slack, "C0AMT", ts)
        await slack.slash("C0AMT", "Zwergenpalastgebühr")
        await slack.quiet()
        await lotse.idle()
    assert "Zwergenpalast" not in caplog.text
    assert BOT_TOKEN not in caplog.text
    assert ASKER not in caplog.text


# --- rooms that take no answer ------------------------------------------------------------


async def test_a_room_that_takes_no_answer_sends_the_bot_to_the_asker(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        slack.faults.append(Fault("chat.postMessage", "error", error="is_archived"))
        ts = await slack.say("C0AMT", EFA)
        room = slack.direct()
        await slack.until(lambda: bool(slack.answers(room)))
        [answer] = slack.answers(room)
        assert "archiviert" in answer["text"]
        assert "Einer für Alle" in answer["text"]
        assert slack.answers("C0AMT", ts) == []


async def test_blocks_that_slack_refuses_go_as_text(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        slack.faults.append(Fault("chat.postMessage", "error", error="invalid_blocks"))
        ts = await slack.say("C0AMT", EFA)
        assert "Einer für Alle" in await answered(slack, "C0AMT", ts)
        assert slack.answers("C0AMT", ts)[0]["blocks"] == []
