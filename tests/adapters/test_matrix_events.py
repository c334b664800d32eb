"""What an event says to the bot: mentions, quotes, threads, edits; never an exception."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.matrix_events import (
    Me,
    Reacted,
    Redacted,
    Said,
    may_invite,
    read,
    tombstone,
)
from bot.chat import Person, Rating

ME = Me("@lotse:ort.de", "OZG-Lotse", frozenset({"@bot:ort.de"}))
ANNA = "@anna:ort.de"


def event(content: dict[str, Any], kind: str = "m.room.message", **fields: Any) -> dict[str, Any]:
    base = {"type": kind, "event_id": "$1", "sender": ANNA, "origin_server_ts": 1_700_000_000_000}
    return base | {"content": content} | fields


def said(body: str, **content: Any) -> Said:
    fact = read(event({"msgtype": "m.text", "body": body} | content), ME)
    assert isinstance(fact, Said)
    return fact


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("@lotse:ort.de: Was ist EfA?", "Was ist EfA?"),
        ("Guten Tag @lotse:ort.de, was ist EfA?", "Guten Tag was ist EfA?"),
        ("OZG-Lotse: Was ist EfA?", "Was ist EfA?"),
        ("ozg-lotse was ist EfA?", "was ist EfA?"),
        ("@OZG-Lotse, was ist EfA?", "was ist EfA?"),
        ("lotse – was ist EfA?", "was ist EfA?"),
        ("@lotse:ort.de", ""),
        ("  Lotse!", ""),
        ("Lotse: Wer ist der Lotse?", "Wer ist der Lotse?"),
    ],
)
def test_mention_is_seen_and_taken_away(body: str, text: str) -> None:
    fact = said(body)
    assert fact.mentioned
    assert fact.text == text


@pytest.mark.parametrize(
    "body",
    [
        "Der Lotse hat recht",
        "Lotsenstation",
        "OZG-Lotsendienst",
        "lotse:ort.de ist eine Adresse",
        "@lotse:anderswo.de: Was ist EfA?",
        "Frag @lotsenamt:ort.de",
        "",
    ],
)
def test_no_mention(body: str) -> None:
    assert not said(body).mentioned


def test_pill_is_taken_away_with_its_label() -> None:
    html = 'Frage an <a href="https://matrix.to/#/%40lotse%3Aort.de">Der Lotse</a>: Was ist EfA?'
    fact = said("Frage an Der Lotse: Was ist EfA?", formatted_body=html)
    assert fact.mentioned
    assert fact.text == "Frage an Was ist EfA?"


def test_listed_mention_counts_without_words() -> None:
    assert said("Was ist EfA?", **{"m.mentions": {"user_ids": [ME.user]}}).mentioned


def test_other_people_are_named_as_written() -> None:
    html = 'zeige EfA <a href="https://matrix.to/#/@bert:ort.de">Bert B.</a>'
    fact = said("zeige EfA Bert B.", formatted_body=html)
    assert fact.people == (Person("@bert:ort.de", "Bert B."),)


def test_quoted_mention_does_not_count() -> None:
    fact = said(
        "> <@lotse:ort.de> EfA heißt Einer für Alle\n> @lotse:ort.de\n\nDanke",
        formatted_body='<mx-reply><a href="https://matrix.to/#/@lotse:ort.de">x</a></mx-reply>Danke',
        **{"m.relates_to": {"m.in_reply_to": {"event_id": "$0"}}},
    )
    assert (fact.text, fact.mentioned, fact.reply_to) == ("Danke", False, "$0")


def test_leading_angle_is_kept_without_a_reply() -> None:
    assert said("> 5 Jahre\nist das lang?").text == "> 5 Jahre\nist das lang?"


def test_thread_and_its_fallback_reply() -> None:
    relation = {"rel_type": "m.thread", "event_id": "$root", "m.in_reply_to": {"event_id": "$0"}}
    real = said("x", **{"m.relates_to": relation})
    fallback = said("x", **{"m.relates_to": relation | {"is_falling_back": True}})
    assert (real.thread, real.reply_to) == ("$root", "$0")
    assert (fallback.thread, fallback.reply_to) == ("$root", "")


def test_edit_is_read_from_its_new_content() -> None:
    fact = said(
        "* Lotse: neu",
        **{
            "m.new_content": {"msgtype": "m.text", "body": "Lotse: neu"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": "$0"},
        },
    )
    assert (fact.text, fact.replaces, fact.mentioned) == ("neu", "$0", True)


@pytest.mark.parametrize(
    "ignored",
    [
        event({"msgtype": "m.text", "body": "x"}, sender=ME.user),
        event({"msgtype": "m.text", "body": "x"}, sender="@bot:ort.de"),
        event({"msgtype": "m.notice", "body": "Lotse: x"}),
        event({"msgtype": "m.text", "body": "x"}, unsigned={"redacted_because": {}}),
        event({}, "m.room.member"),
    ],
    ids=["itself", "other bot", "notice", "redacted", "member"],
)
def test_ignored(ignored: dict[str, Any]) -> None:
    assert read(ignored, ME) is None


@pytest.mark.parametrize(
    ("key", "rating", "noted"),
    [
        ("👍", Rating.UP, False),
        ("👍🏿", Rating.UP, False),
        ("👎️", Rating.DOWN, False),
        ("📌", None, True),
    ],
)
def test_reactions(key: str, rating: Rating | None, noted: bool) -> None:
    relation = {"rel_type": "m.annotation", "event_id": "$0", "key": key}
    fact = read(event({"m.relates_to": relation}, "m.reaction"), ME)
    assert fact == Reacted("$1", "$0", ANNA, rating, noted)


def test_other_reactions_say_nothing() -> None:
    relation = {"rel_type": "m.annotation", "event_id": "$0", "key": "🎉"}
    assert read(event({"m.relates_to": relation}, "m.reaction"), ME) is None


def test_redaction_in_both_forms() -> None:
    assert read(event({}, "m.room.redaction", redacts="$0"), ME) == Redacted("$0")
    assert read(event({"redacts": "$0"}, "m.room.redaction"), ME) == Redacted("$0")


def test_attachment_has_no_words_but_a_caption_has() -> None:
    image = {"msgtype": "m.image", "body": "bild.png", "url": "mxc://x/y"}
    bare = read(event(image), ME)
    captioned = read(event(image | {"filename": "bild.png", "body": "Was ist das?"}), ME)
    assert isinstance(bare, Said)
    assert isinstance(captioned, Said)
    assert (bare.text, bare.attachment) == ("", True)
    assert (captioned.text, captioned.attachment) == ("Was ist das?", False)


def test_tombstone() -> None:
    stone = tombstone(event({"replacement_room": "!neu"}, "m.room.tombstone"))
    assert stone is not None
    assert (stone.replacement, stone.sender) == ("!neu", ANNA)
    assert tombstone(event({}, "m.room.tombstone")) is None


@pytest.mark.parametrize(
    ("allowed", "inviter", "yes"),
    [
        ((), ANNA, True),
        ((), "@x:fremd.de", False),
        (("fremd.de",), "@x:fremd.de", True),
        (("fremd.de",), ANNA, False),
        ((ANNA,), ANNA, True),
        ((ANNA,), "@bert:ort.de", False),
        (("*",), "@x:fremd.de", True),
        ((), "", False),
    ],
)
def test_who_may_invite(allowed: tuple[str, ...], inviter: str, yes: bool) -> None:
    assert may_invite(allowed, ME, inviter) is yes


JUNK = st.sampled_from(
    [None, True, -5, 1e300, 10**30, "", "x", "m.replace", [], ["@a:b", 5], [[]], {}, {"": None},
     {"user_ids": 5}, {"event_id": 7}, {"event_id": "$0", "rel_type": "m.replace"},
     {"m.in_reply_to": []}, {"m.in_reply_to": {"event_id": {}}}, {"msgtype": "m.text", "body": []}]
)  # fmt: skip
KEYS = [
    "type", "sender", "event_id", "content", "msgtype", "body", "formatted_body", "m.relates_to",
    "m.mentions", "user_ids", "m.new_content", "rel_type", "m.replace", "m.in_reply_to", "redacts",
    "key", "origin_server_ts", "unsigned", "replacement_room",
]  # fmt: skip


@given(
    st.sampled_from(["m.room.message", "m.reaction", "m.room.redaction", "m.room.tombstone"]),
    st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=6),
    st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=6),
)
def test_junk_never_raises(kind: str, fields: dict[str, Any], content: dict[str, Any]) -> None:
    read(fields, ME)
    read(event(content, kind) | fields, ME)
    tombstone(event(content, kind))


@pytest.mark.parametrize(
    "piece",
    [
        " ",
        "<a ",
        "@",
        "> ",
        ">\n",
        "<mx-reply>",
        "@a:",
        "@lotse:ort.de ",
        '<a href="https://matrix.to/#/@a:b">',
    ],
)
def test_long_hostile_bodies_cost_little(piece: str) -> None:
    body = (piece * 60_000)[:60_000]
    began = time.perf_counter()
    said(body, formatted_body=body, **{"m.relates_to": {"m.in_reply_to": {"event_id": "$0"}}})
    assert time.perf_counter() - began < 0.1
