"""A reply as Matrix content: complete body, harmless HTML, exactly one mention."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.matrix_render import HANDOVER_HINT, KEY, MAX_BYTES, render, transaction
from bot.chat import (
    Conversation,
    Delivery,
    Message,
    Option,
    Outcome,
    Person,
    Purpose,
    Reply,
    Source,
)
from bot.markup import plain

QUESTION = Message(
    Conversation("matrix", "@lotse:ort.de", "!raum"),
    "$frage",
    "@anna:ort.de",
    "Was ist EfA?",
    datetime(2026, 11, 24, tzinfo=UTC),
)
REPLY = Reply(
    Outcome.ANSWER,
    "**Einer** für *Alle*:\n\n- einmal entwickeln\n- oft nutzen\n\n1. erst\n2. dann",
    title="Was ist EfA?",
    sources=(Source("12. OZG-Sprechstunde", "https://example.org/a?b=1&c=2", "S. 12"),),
    options=(Option(1, "Rollen"), Option(2, "Phasen")),
    prompt="Weiter:",
)


def delivery(reply: Reply = REPLY, message: Message = QUESTION, **fields: object) -> Delivery:
    return replace(Delivery("schluessel", message, reply), **fields)  # type: ignore[arg-type]


def test_notice_with_complete_body_and_html() -> None:
    content = render(delivery())
    assert content["msgtype"] == "m.notice"
    assert content["body"] == plain(REPLY)
    assert "https://example.org/a?b=1&c=2" in content["body"]
    html = content["formatted_body"]
    assert "<strong>Einer</strong> für <em>Alle</em>" in html
    assert "<ul><li>einmal entwickeln</li><li>oft nutzen</li></ul>" in html
    assert "<ol><li>erst</li><li>dann</li></ol>" in html
    assert '<a href="https://example.org/a?b=1&amp;c=2">' in html


def test_rich_reply_to_the_question() -> None:
    relation = render(delivery())["m.relates_to"]
    assert relation == {"m.in_reply_to": {"event_id": "$frage"}, KEY: "schluessel"}


def test_thread_is_kept() -> None:
    message = replace(QUESTION, conversation=replace(QUESTION.conversation, thread="$wurzel"))
    relation = render(delivery(message=message))["m.relates_to"]
    assert relation["rel_type"] == "m.thread"
    assert relation["event_id"] == "$wurzel"
    assert relation["m.in_reply_to"] == {"event_id": "$frage"}
    assert relation["is_falling_back"] is False


def test_answer_to_an_edit_relates_to_the_original() -> None:
    edited = replace(QUESTION, id="$bearbeitet", context={"original": "$frage"})
    relation = render(delivery(message=edited))["m.relates_to"]
    assert relation["m.in_reply_to"] == {"event_id": "$frage"}


def test_greeting_relates_to_nothing() -> None:
    greeting = replace(QUESTION, id="joined:!raum", asker="", direct=True)
    content = render(delivery(message=greeting, purpose=Purpose.GREETING))
    assert "m.relates_to" not in content
    assert content["m.mentions"] == {}


def test_replacement_mentions_nobody_again() -> None:
    content = render(delivery(replaces="$antwort"))
    assert content["m.relates_to"] == {"rel_type": "m.replace", "event_id": "$antwort"}
    assert content["m.mentions"] == content["m.new_content"]["m.mentions"] == {}
    assert content["body"] == "* " + content["m.new_content"]["body"]


@pytest.mark.parametrize(
    ("reply", "message", "mentions"),
    [
        (REPLY, QUESTION, {"user_ids": ["@anna:ort.de"]}),
        (REPLY, replace(QUESTION, direct=True), {}),
        (
            replace(REPLY, mention=Person("@bert:ort.de", "Bert")),
            QUESTION,
            {"user_ids": ["@bert:ort.de"]},
        ),
        (REPLY, replace(QUESTION, asker=""), {}),
    ],
    ids=["asker", "direct", "shown to", "asker unknown"],
)
def test_mentions(reply: Reply, message: Message, mentions: dict[str, object]) -> None:
    assert render(delivery(reply, message))["m.mentions"] == mentions


def test_shown_person_becomes_a_pill() -> None:
    reply = replace(REPLY, lead="@Bert, für Sie von Anna", mention=Person("@bert:ort.de", "Bert"))
    html = render(delivery(reply))["formatted_body"]
    assert '@<a href="https://matrix.to/#/@bert:ort.de">Bert</a>, für Sie' in html


def test_choices_are_a_numbered_list() -> None:
    options = (Option(1, "A & B"), Option(2, "C"), Option(0, "nichts davon"))
    html = render(delivery(Reply(Outcome.CHOICES, "", prompt="Was?", options=options)))[
        "formatted_body"
    ]
    assert "<ol><li>A &amp; B</li><li>C</li></ol><p><strong>0</strong> nichts davon</p>" in html


def test_handed_over_question_says_how_to_answer() -> None:
    content = render(delivery(purpose=Purpose.HANDOVER))
    assert content["body"].endswith(HANDOVER_HINT)
    assert content["formatted_body"].endswith(f"<p>{HANDOVER_HINT}</p>")


@pytest.mark.parametrize("body", ["*ü* " * 2_000, "ü " * 5_000, "ü" * 60_000])
@pytest.mark.parametrize("replaces", ["", "$antwort"])
def test_long_replies_fit_into_an_event(body: str, replaces: str) -> None:
    content = render(delivery(replace(REPLY, body=body), replaces=replaces))
    assert len(json.dumps(content, ensure_ascii=False).encode()) <= MAX_BYTES + 1_000
    content = content.get("m.new_content", content)
    assert content["body"].startswith("Was ist EfA?")


def test_transactions_are_the_same_on_every_try() -> None:
    assert transaction("a", "b") == transaction("a", "b")
    assert transaction("a", "b") != transaction("ab", "")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str]] = set()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {(tag, name) for name, _ in attrs} or {(tag, "")}
        self.hrefs += [value or "" for name, value in attrs if name == "href"]


ALLOWED = {
    *((tag, "") for tag in ("p", "br", "strong", "em", "code", "ul", "ol", "li")),
    ("a", "href"),
    ("ol", "start"),
}
HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=y>",
        "@room",
        "[k](javascript:alert(1))",
        '[k](https://x.de/"onmouseover=)',
        "<https://x.de/<b>>",
        "&lt;b&gt;",
        "</p><iframe>",
        "![x](https://x.de/y.png)",
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_text_becomes_a_tag(title: str, body: str, lead: str, option: str, url: str) -> None:
    reply = Reply(
        Outcome.CHOICES,
        body,
        title=title,
        lead=lead,
        options=(Option(1, option),),
        closing=title,
        notices=(lead,),
        sources=(Source(title, url, quote=body),),
        mention=Person("@bert:ort.de", lead or "Bert"),
    )
    tags = Tags()
    tags.feed(render(delivery(reply)).get("formatted_body", ""))
    assert tags.seen <= ALLOWED
    assert all(h.startswith(("https://", "http://", "mailto:")) for h in tags.hrefs)
