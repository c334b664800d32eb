"""What Slack sends, read from samples of its wire format and from hostile input."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack_intake import (
    Said,
    Self,
    addressed_before,
    conversation,
    follows_up,
    mentioned,
    message,
    moment,
    rating,
    removed,
    said,
    spoken,
)
from bot.chat import Audience, Conversation, Person, Rating
from tests.slack_standin import ASKER, BOT, BOT_ID, TEAM

ME = Self(TEAM, BOT, BOT_ID)
SAMPLES = Path(__file__).parent / "slack_samples"


def sample(name: str) -> dict[str, Any]:
    payload = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return payload["event"]  # type: ignore[no-any-return]


def test_the_two_events_of_a_mention_are_one_message() -> None:
    mention, channel = said(sample("app_mention"), ME), said(sample("message_channel"), ME)
    assert mention is not None
    assert mention == channel
    question = message(mention, ME, {}, guest=False)
    assert question.text == "Was ist #bau & das <da>?"
    assert question.conversation == Conversation("slack", TEAM, "C0AMT", mention.ts)
    assert question.id == mention.ts
    assert question.context == {"thread": mention.ts}
    assert question.audience is Audience.INTERNAL
    assert not question.direct


def test_a_direct_message() -> None:
    heard = said(sample("message_im"), ME)
    assert heard is not None
    question = message(heard, ME, {}, guest=True)
    assert question.direct
    assert question.text == "Was ist EfA? 👍"
    assert question.conversation.thread == ""
    assert question.context == {"thread": heard.ts}
    assert question.audience is Audience.PUBLIC


def test_a_message_in_a_thread_belongs_to_its_root() -> None:
    heard = said(sample("message_in_thread"), ME)
    assert heard is not None
    assert heard.thread != heard.ts
    assert message(heard, ME, {}, guest=False).conversation.thread == heard.thread


def test_an_edit_has_an_id_of_its_own_and_names_what_it_replaces() -> None:
    event = sample("message_changed")
    heard = said(event, ME)
    assert heard is not None
    assert addressed_before(event, ME)
    edit = message(heard, ME, {}, guest=False)
    assert edit.id == f"{heard.ts}/{heard.edit}"
    assert edit.replaces == heard.ts
    assert edit.text == "Was ist FIM?"
    assert message(heard, ME, {}, guest=False, known=False).replaces == ""


@pytest.mark.parametrize("change", [
    {"text": "<@U0LOTSE> Was ist <#C0BAU|bau> &amp; <https://example.org/a?b=1|das &lt;da&gt;>?"},
    {"bot_id": "B1"}, {"user": BOT}, {"user": "USLACKBOT"}, {"subtype": "bot_message"},
])  # fmt: skip
def test_changes_that_are_no_edits_of_a_person(change: dict[str, str]) -> None:
    event = sample("message_changed")
    event["message"] |= change
    assert said(event, ME) is None


def test_a_deletion_and_a_tombstone() -> None:
    event = sample("message_deleted")
    gone = removed(event, ME)
    assert gone is not None
    assert (gone.room, gone.ts) == ("C0AMT", event["deleted_ts"])
    tombstone = {
        **event, "subtype": "message_changed", "message": {"subtype": "tombstone"},
        "deleted_ts": None,
    }  # fmt: skip
    assert removed(tombstone, ME) == gone
    assert removed({**event, "previous_message": {"user": BOT, "ts": "1.0"}}, ME) is None


@pytest.mark.parametrize(("text", "read"), [
    ("<@U0LOTSE> hallo", "hallo"),
    ("<@U0LOTSE|lotse>: hallo", "hallo"),
    ("Frag mal <@U0LOTSE> bitte", "Frag mal bitte"),
    ("<@U0ERIKA> und <@U0UNBEKANNT>", "@Erika und @U0UNBEKANNT"),
    ("<#C0BAU|bau> <#C0BAU>", "#bau #C0BAU"),
    ("<https://a.de|Text> <https://a.de> <mailto:a@b.de|a@b.de> <mailto:a@b.de>",
     "Text https://a.de a@b.de a@b.de"),
    ("<!channel> <!here|here> <!subteam^S1|@alle> <!date^1^{date}|gestern>",
     "@channel here @alle gestern"),
    ("&lt;!channel&gt; &amp;amp; &amp;lt;", "<!channel> &amp; &lt;"),
    (":+1: :thumbsdown::skin-tone-6: :tada:", "👍 👎 :tada:"),
    ("a < b > c", "a < b > c"),
    ("Zeile 1\nZeile  2", "Zeile 1\nZeile 2"),
    ("", ""),
])  # fmt: skip
def test_what_a_person_reads(text: str, read: str) -> None:
    assert spoken(text, ME, {"U0ERIKA": "Erika"}) == read


@given(st.text(alphabet=st.sampled_from(list("<>@|#!&;UC0a1 \n\u202e")), max_size=60))
def test_reading_never_fails(text: str) -> None:
    spoken(text, ME, {})
    mentioned(text)


def test_the_people_mentioned_are_named_and_the_bot_is_not() -> None:
    heard = Said("C0AMT", "1.0", ASKER, f"<@{BOT}> zeige EfA <@U0ERIKA> <@U0ERIKA>")
    question = message(heard, ME, {"U0ERIKA": "Erika"}, guest=False)
    assert question.people == (Person("U0ERIKA", "Erika"),)
    assert question.text == "zeige EfA @Erika @Erika"


@pytest.mark.parametrize(("name", "given_"), [
    ("+1", Rating.UP), ("thumbsup::skin-tone-2", Rating.UP), ("-1", Rating.DOWN),
    ("thumbsdown", Rating.DOWN), ("tada", None), ("", None),
])  # fmt: skip
def test_reactions(name: str, given_: Rating | None) -> None:
    assert rating(name) is given_


def test_a_conversation_of_two_is_one_conversation() -> None:
    assert conversation(ME, "D1", "1.0", direct=True) == conversation(ME, "D1", "", direct=True)


# --- follow-ups ---------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _at(minutes: float) -> str:
    return f"{(NOW + timedelta(minutes=minutes)).timestamp():.6f}"


QUESTION = {"user": ASKER, "text": f"<@{BOT}> Was ist EfA?", "ts": _at(-10)}
ANSWER = {"user": BOT, "bot_id": BOT_ID, "text": "Einer für Alle", "ts": _at(-9)}
BY_KAI = {"user": "U0KAI", "text": "Ich weiß es.", "ts": _at(-5)}
ASKED_BY_KAI = {"user": "U0KAI", "text": f"<@{BOT}> und FIM?", "ts": _at(-20)}


@pytest.mark.parametrize(("thread", "user", "expected"), [
    ([QUESTION, ANSWER], ASKER, True),
    ([QUESTION, ANSWER, BY_KAI], ASKER, False),
    ([QUESTION, ANSWER], "U0KAI", False),
    ([ASKED_BY_KAI, QUESTION, ANSWER], "U0KAI", True),
    ([BY_KAI | {"ts": _at(-30)}, QUESTION, ANSWER], ASKER, True),
    ([QUESTION], ASKER, True),
    ([QUESTION, BY_KAI], ASKER, False),
    ([BY_KAI], ASKER, False),
    ([], ASKER, False),
    ([QUESTION | {"ts": _at(-20_000)}, ANSWER | {"ts": _at(-19_999)}], ASKER, False),
    ([QUESTION, ANSWER, {"user": "U0LATER", "text": "später", "ts": _at(5)}], ASKER, True),
])  # fmt: skip
def test_who_is_meant_by_an_unmentioned_message(
    thread: list[dict[str, str]], user: str, expected: bool
) -> None:
    heard = Said("C0AMT", _at(0), user, "und danach?", thread=QUESTION["ts"])
    assert follows_up(heard, thread, ME, now=NOW) is expected


def test_a_timestamp_that_is_none_is_now() -> None:
    assert moment("1700000000.000100").year == 2023
    assert moment("kaputt").tzinfo is UTC
