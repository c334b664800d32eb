"""Buttons, forms, the Home tab, the slash command and the shortcut, and handing over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from adapters.slack_manifest import SHORTCUT
from adapters.slack_render import BROWSE, CHOOSE, HOME, NOTE, RATE, REPLY, SHOW
from bot.serve.tables import Kind, feedback, inbox
from tests.slack_standin import BOT, Envelope, Fault, StandIn
from tests.slack_town import TEAM_ROOM, Bot, bot, stand_in

LOTSE = f"<@{BOT}>"
EFA = f"{LOTSE} Was ist EfA?"


async def answer_to(slack: StandIn, room: str, text: str) -> dict[str, Any]:
    ts = await slack.say(room, text)
    await slack.until(lambda: bool(slack.answers(room, ts)))
    return slack.answers(room, ts)[0]


async def whispered(slack: StandIn, times: int = 1) -> dict[str, Any]:
    await slack.until(lambda: len(slack.ephemeral) >= times)
    return slack.ephemeral[times - 1]


def buttons(message: dict[str, Any]) -> dict[str, str]:
    """action_id to label."""
    return {
        e["action_id"]: e["text"]["text"]
        for b in message["blocks"]
        if b["type"] == "actions"
        for e in b["elements"]
    }


# --- options ------------------------------------------------------------------------------


async def test_a_choice_comes_as_buttons_with_the_same_numbers(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        question = await answer_to(slack, "C0AMT", f"{LOTSE} modelle")
        shown = {a.removeprefix(CHOOSE): t for a, t in buttons(question).items()}
        assert all(label.startswith(number + " ") for number, label in shown.items())
        for number, label in shown.items():
            assert f"{number}. {label.removeprefix(number + ' ')}" in question["text"]
        await slack.click(question, f"{CHOOSE}2")
        thread = question["thread_ts"]
        await slack.until(lambda: len(slack.answers("C0AMT", thread)) == 2)
        chosen = slack.answers("C0AMT", thread)[1]
        assert chosen["text"].startswith(shown["2"].removeprefix("2 "))


async def test_a_button_of_an_older_list_leads_where_it_says(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        room = slack.direct()
        older = await answer_to(slack, room, "Was passiert in Phase 2?")
        await answer_to(slack, room, "Was ist EfA?")
        label = buttons(older)[f"{CHOOSE}1"].removeprefix("1 ")
        await slack.click(older, f"{CHOOSE}1")
        await slack.until(lambda: len(slack.answers(room)) == 3)
        assert slack.answers(room)[2]["text"].startswith(label)


async def test_whatever_is_pressed_is_acknowledged(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        answer = await answer_to(slack, "C0AMT", EFA)
        link = next(
            e for b in answer["blocks"] for e in b.get("elements", []) if e.get("url")
        )  # fmt: skip
        foreign = {**link, "action_id": "somebody_elses"}
        answer["blocks"].append({"type": "actions", "elements": [foreign]})
        for action in (link["action_id"], "somebody_elses"):
            assert (await slack.click(answer, action)).acked
        assert (await slack.slash("C0AMT", "x", command="/anderes")).acked
        await slack.shortcut("C0AMT", answer["ts"], "anderes")
        for event in ("team_join", "channel_rename", "nie_gehoert"):
            slack.subscribed.add(event)
            slack._event("C0AMT", {"type": event})
        await slack.quiet()
        assert all(len(e.sent) == 1 and e.acked for e in slack.envelopes)


async def test_two_topics_in_a_few_words_bring_a_choice(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        question = await answer_to(slack, "C0AMT", f"{LOTSE} Planung Prüfung?")
        shown = " ".join(buttons(question).values())
        assert "Planung" in shown
        assert "Prüfung" in shown


# --- feedback -----------------------------------------------------------------------------


async def _ratings(lotse: Bot) -> list[tuple[str, str]]:
    query = select(feedback.c.rating, feedback.c.reason)
    rows = await lotse.journal.store.read(lambda c: c.execute(query).all())
    return [(row.rating, row.reason) for row in rows]


async def test_feedback_buttons_count_once_per_person_and_can_change(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        answer = await answer_to(slack, "C0AMT", EFA)
        await lotse.idle()
        up, down = (_thumb(answer, name) for name in ("positive_button", "negative_button"))
        for value in (up, up):
            await slack.click(answer, RATE, value=value)
        assert await _ratings(lotse) == [("up", "")]
        assert "Danke" in (await whispered(slack))["text"]
        await slack.click(answer, RATE, value=down)
        assert await _ratings(lotse) == [("down", "")]
        await slack.until(lambda: bool(slack.views))
        [form] = slack.views
        option = {"selected_option": {"value": "outdated"}}
        assert (await slack.submit(form, {"lotse_reason": option})).acked
        assert await _ratings(lotse) == [("down", "outdated")]
        await slack.click(answer, RATE, value=up, user=slack.add_user("U0KAI", "Kai"))
        assert sorted(await _ratings(lotse)) == [("down", "outdated"), ("up", "")]


async def test_feedback_counts_where_the_answer_had_to_come_elsewhere(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        slack.rooms["C0AMT"].archived = True
        await slack.say("C0AMT", EFA)
        room = slack.direct()
        await slack.until(lambda: bool(slack.answers(room)))
        await lotse.idle()
        [answer] = slack.answers(room)
        await slack.click(answer, RATE, value=_thumb(answer, "positive_button"))
        assert await _ratings(lotse) == [("up", "")]
        await slack.react(room, answer["ts"], "-1")
        await slack.quiet()
        assert await _ratings(lotse) == [("down", "")]


def _thumb(message: dict[str, Any], name: str) -> str:
    [block] = [b for b in message["blocks"] if b["type"] == "context_actions"]
    return str(block["elements"][0][name]["value"])


# --- visible to the asker only --------------------------------------------------------------


async def test_the_slash_command_answers_the_asker_only_until_it_is_shown(
    tmp_path: Path,
) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        assert (await slack.slash("C0AMT", "Was ist EfA?")).acked
        answer = await whispered(slack)
        assert answer["to"] == "U0PETRA"
        assert "Einer für Alle" in answer["text"]
        assert slack.answers("C0AMT") == []
        await lotse.idle()
        assert buttons(answer)[SHOW] == "Im Kanal zeigen"
        await slack.click(answer, SHOW)
        await slack.until(lambda: bool(slack.answers("C0AMT")))
        [shown] = slack.answers("C0AMT")
        assert shown["text"] == answer["text"]
        assert SHOW not in buttons(shown)
        assert "thread_ts" not in shown


async def test_what_was_shown_to_a_person_can_be_shown_in_the_channel(tmp_path: Path) -> None:
    """The store forgets who it was; the button knows."""
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        slack.add_user("U0ERIKA", "Erika")
        await slack.slash("C0AMT", "zeige EfA <@U0ERIKA|erika>")
        answer = await whispered(slack)
        assert "<@U0ERIKA>" in answer["text"]
        await lotse.idle()
        kept = select(inbox.c.reply)
        assert "ERIKA" not in await lotse.journal.store.read(lambda c: c.execute(kept).scalar())
        await slack.click(answer, SHOW)
        await slack.until(lambda: bool(slack.answers("C0AMT")))
        [shown] = slack.answers("C0AMT")
        assert shown["text"].count("<@") == 1
        assert "Einer für Alle" in shown["text"]
        assert slack.pinged == {"@U0ERIKA"}


async def test_an_empty_command_gets_help_and_buttons_stay_private(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        await slack.slash("C0AMT", "")
        assert len((await whispered(slack))["text"]) > 20
        await slack.slash("C0AMT", "Was passiert in Phase 2?")
        answer = await whispered(slack, 2)
        await slack.click(answer, f"{CHOOSE}1")
        chosen = await whispered(slack, 3)
        assert "Phase 3" in chosen["text"]
        assert slack.answers("C0AMT") == []


async def test_a_private_answer_comes_at_most_once(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        slack.faults.append(Fault("response_url", "lost"))
        await slack.slash("C0AMT", "Was ist EfA?")
        await whispered(slack)
        await lotse.idle()
        assert len(slack.ephemeral) == 1
        slack.faults.append(Fault("response_url", "ratelimited"))
        await slack.slash("C0AMT", "Was ist EfA?")
        await whispered(slack, 2)
        await lotse.idle()
        assert len(slack.ephemeral) == 2


async def test_feedback_on_a_private_answer_counts(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        await slack.slash("C0AMT", "Was ist EfA?")
        answer = await whispered(slack)
        await lotse.idle()
        await slack.click(answer, RATE, value=_thumb(answer, "positive_button"))
        assert await _ratings(lotse) == [("up", "")]


async def test_the_shortcut_asks_about_somebody_elses_message(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        kai = slack.add_user("U0KAI", "Kai")
        ts = await slack.say("C0AMT", "Was ist EfA?", user=kai)
        await slack.shortcut("C0AMT", ts, SHORTCUT)
        answer = await whispered(slack)
        assert answer["to"] == "U0PETRA"
        assert "Einer für Alle" in answer["text"]


# --- Home -----------------------------------------------------------------------------------


async def test_the_home_tab_shows_topics_and_leads_there_and_back(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        await slack.open_home()
        await slack.until(lambda: bool(slack.homes))
        home = slack.homes["U0PETRA"]
        shown = str(home)
        for word in ("Themen", "Datenschutz", "Kontakt", "Wissensstand"):
            assert word in shown
        topics = [a for a in buttons(home) if a.startswith(BROWSE)]
        assert topics
        await slack.click(home, topics[0])
        await slack.until(lambda: slack.homes["U0PETRA"] != home)
        page = slack.homes["U0PETRA"]
        assert HOME in buttons(page)
        await slack.click(page, HOME)
        await slack.until(lambda: slack.homes["U0PETRA"]["id"] != page["id"])
        assert slack.homes["U0PETRA"]["blocks"] == home["blocks"]
        assert slack.refusals == []


async def test_examples_are_offered_where_the_workspace_takes_them(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path):
        await slack.open_home(tab="messages")
        await slack.until(lambda: bool(slack.prompts))
        slack.prompts.clear()
        slack.subscribed.add("assistant_thread_started")
        await slack.start_assistant()
        await slack.until(lambda: bool(slack.prompts))
        assert 1 <= len(slack.prompts[0]["prompts"]) <= 4
        slack.scopes.discard("assistant:write")
        await slack.open_home(tab="messages")
        await slack.until(lambda: bool(slack.answers(slack.direct())))
        await slack.quiet()


# --- handing over ---------------------------------------------------------------------------


async def _hand_over(slack: StandIn, label: str) -> tuple[str, dict[str, Any]]:
    """Ask what nobody knows, give it to the team; the thread and the team's message."""
    declined = await answer_to(slack, "C0AMT", f"{LOTSE} Was kostet die Nachnutzung?")
    offered = {label: a for a, label in buttons(declined).items()}
    [action] = [offered[found] for found in offered if label in found]
    await slack.click(declined, action)
    await slack.until(lambda: bool(slack.answers(TEAM_ROOM)))
    return declined["thread_ts"], slack.answers(TEAM_ROOM)[0]


async def test_the_teams_answer_comes_back_into_the_askers_thread(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        thread, question = await _hand_over(slack, "mit Rückmeldung")
        await lotse.idle()
        before = len(slack.answers("C0AMT", thread))
        assert "Was kostet die Nachnutzung?" in question["text"]
        assert "U0PETRA" not in str(question)
        await slack.click(question, REPLY)
        await slack.until(lambda: bool(slack.views))
        [form] = slack.views
        text = {"value": "Das sagen wir nicht. <!channel> *fett*"}
        assert (await slack.submit(form, {"lotse_answer": text})).response is None
        await slack.until(lambda: len(slack.answers("C0AMT", thread)) == before + 1)
        answer = slack.answers("C0AMT", thread)[-1]
        assert "&lt;!channel&gt; *fett*" in answer["text"]
        assert "Team" in answer["text"]
        assert slack.pinged == set()
        await slack.until(lambda: bool(slack.reactions))
        assert {name for *_, name in slack.reactions} == {"white_check_mark"}


async def test_an_empty_answer_keeps_the_form_open(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        _, question = await _hand_over(slack, "mit Rückmeldung")
        await lotse.idle()
        await slack.click(question, REPLY)
        await slack.until(lambda: bool(slack.views))
        sent: Envelope = await slack.submit(slack.views[0], {"lotse_answer": {"value": "  "}})
        assert sent.response is not None
        assert sent.response["response_action"] == "errors"


async def test_taking_into_the_knowledge_is_an_open_item(tmp_path: Path) -> None:
    async with stand_in().running() as slack, bot(slack, tmp_path) as lotse:
        _, question = await _hand_over(slack, "anonym")
        await lotse.idle()
        await slack.click(question, NOTE)
        [item] = await lotse.journal.items(Kind.HANDED_OVER)
        assert item.noted
        assert "nicht von selbst" in (await whispered(slack))["text"]
