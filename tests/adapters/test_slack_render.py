"""Every payload that the code can produce keeps Slack's limits, loses no word, pings nobody."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slackblocks import _limits

from adapters import slack_views as views
from adapters.slack_render import Extras, Part, escape, marked, marker, passage, render
from bot.chat import Option, Outcome, Person, Reply, Source
from bot.markup import plain
from tests.slack_limits import message_problem, pings, texts, view_problem

KEY = "0123456789abcdef0123456789abcdef01234567"
HOSTILE = [
    "<!channel>", "<!here|here>", "<!subteam^S0ALL>", "<@U0CHEF>", "<@W0CHEF|boss>",
    "&lt;!channel&gt;", "<javascript:alert(1)|klick>", "[x](javascript:alert(1))", "@here",
    "[x](https://example.org/?a=<!channel>)", "`<!everyone>`", "\u202eneti\u202c", "\u200b",
    "*_~`>", ":bomb:", "\x00\x1b[31m",
]  # fmt: skip

words = st.one_of(
    st.text(max_size=80),
    st.sampled_from(HOSTILE),
    st.sampled_from(["**fett**", "*kursiv*", "`code`", "[Leitfaden](https://example.org/l)"]),
)
lines = st.lists(words, max_size=12).map(" ".join)
long_texts = st.builds(
    lambda w, n: (w + " ") * n, st.text(min_size=1, max_size=30), st.integers(0, 700)
)
bodies = st.lists(
    st.one_of(
        lines,
        long_texts,
        st.lists(lines, min_size=1, max_size=30).map(lambda i: "\n".join(f"- {x}" for x in i)),
        st.lists(lines, min_size=1, max_size=9).map(
            lambda i: "\n".join(f"{n}. {x}" for n, x in enumerate(i, 1))
        ),
        st.just("- a\n  - b\n    1. c\n    2. d\n- e"),
    ),
    max_size=6,
).map("\n\n".join)
titles = st.text(min_size=1, max_size=300)
sources = st.builds(
    Source,
    title=titles,
    url=st.sampled_from(["", "https://example.org/x", "http://" + "x" * 3100, "mailto:a@b.de"]),
    page=st.sampled_from(["", "S. 12"]),
    date=st.sampled_from(["", "2021-08-18", "2020-01-01"]),
    quote=st.sampled_from(["", "Beleg **fett** <!channel>"]),
)
options = st.lists(titles, max_size=90).map(
    lambda found: tuple(Option(n, title) for n, title in enumerate(found))
)
replies = st.builds(
    Reply,
    outcome=st.sampled_from(Outcome),
    body=bodies,
    title=st.one_of(st.just(""), titles),
    lead=st.one_of(st.just(""), lines),
    sources=st.lists(sources, max_size=30).map(tuple),
    notices=st.lists(st.text(min_size=1, max_size=5000), max_size=3).map(tuple),
    prompt=st.sampled_from(["", "Weiter:", "Weiter? " * 500]),
    options=options,
    closing=st.sampled_from(["", "Hilfreich? „ja“ / „nein“"]),
    entry=st.sampled_from([None, "efa"]),
    rateable=st.booleans(),
    mention=st.sampled_from([None, Person("U0ERIKA", "Erika")]),
)
extras = st.builds(Extras, shareable=st.booleans(), handover=st.booleans())
generous = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@generous
@given(replies, extras)
def test_any_reply_keeps_the_limits(reply: Reply, more: Extras) -> None:
    for part in render(reply, KEY, more):
        assert message_problem(part.text, part.blocks) is None


@generous
@given(replies, extras)
def test_nobody_is_mentioned_but_who_is_meant(reply: Reply, more: Extras) -> None:
    found = set()
    for part in render(reply, KEY, more):
        found |= pings(part.text, part.blocks)
    assert found == ({f"@{reply.mention.id}"} if reply.mention else set())


@generous
@given(replies)
def test_text_is_complete_and_the_blocks_show_every_word(reply: Reply) -> None:
    parts = render(reply, KEY)
    said = " ".join(_unescaped(p) for p in parts)
    if reply.mention:
        said = said.replace(f"<@{reply.mention.id}>", "", 1).replace("@Erika", "", 1)
    whole = _visible(plain(reply)).replace("@Erika", "", 1 if reply.mention else 0)
    assert _letters(said) == _letters(whole) or not whole.strip()
    shown = " ".join(t for p in parts for t in _seen(p))
    labels = {f"{o.number} {o.title}" for o in reply.options}
    if all(len(label) <= 75 for label in labels):
        for option in reply.options[:75]:
            assert _letters(option.title) in _letters(shown)
    for text in (reply.title, *reply.notices, *(s.title for s in reply.sources)):
        assert _letters(text) in _letters(shown)


@generous
@given(replies)
def test_the_same_reply_gives_the_same_parts_with_their_marks(reply: Reply) -> None:
    parts = render(reply, KEY)
    assert parts == render(reply, KEY)
    for number, part in enumerate(parts):
        assert marked({"blocks": list(part.blocks)}) == (KEY, number)


def test_39_000_characters_arrive_whole_in_several_parts() -> None:
    text = " ".join(f"wort{n}" for n in range(4_300))
    assert len(text) > 37_000
    parts = render(Reply(Outcome.ANSWER, text), KEY)
    assert len(parts) > 3
    assert re.findall(r"wort\d+", " ".join(p.text for p in parts)) == text.split()
    shown = " ".join(t for p in parts for t in texts(p.blocks))
    assert re.findall(r"wort\d+", shown) == text.split()


def test_what_an_answer_looks_like() -> None:
    reply = Reply(
        Outcome.ANSWER,
        "Prüfen, ob es **passt**.\n\n1. In der [Allianz](https://example.org/a)\n2. Prüfung",
        title="Phase 2 – Prüfung Nachnutzung",
        sources=(Source("12. OZG-Sprechstunde", "https://example.org/s", "S. 12", "2021-08-18"),),
        notices=("⚠ älter als 2 Jahre, bitte Aktualität prüfen",),
        prompt="Weiter:",
        options=(Option(1, "Phase 3 – Planung", "phase-3"), Option(2, "Rollen", "rollen")),
        closing="Hilfreich? „ja“ / „nein“",
        entry="phase-2",
        rateable=True,
    )
    [part] = render(reply, KEY)
    assert part.text == escape(plain(reply))
    assert [b["type"] for b in part.blocks] == [
        "header", "rich_text", "context", "context", "rich_text", "context", "actions", "actions",
        "context_actions",
    ]  # fmt: skip
    body = part.blocks[1]["elements"]
    assert [e["type"] for e in body] == ["rich_text_section", "rich_text_list"]
    assert body[1]["style"] == "ordered"
    assert body[1]["elements"][0]["elements"][1] == {
        "type": "link", "url": "https://example.org/a", "text": "Allianz",
    }  # fmt: skip
    [choices, links] = part.blocks[6:8]
    assert [e["text"]["text"] for e in choices["elements"]] == ["1 Phase 3 – Planung", "2 Rollen"]
    assert [e["value"] for e in choices["elements"]] == ["Phase 3 – Planung", "Rollen"]
    assert links["elements"][0]["url"] == "https://example.org/s"
    feedback = part.blocks[8]["elements"][0]
    assert feedback["positive_button"]["value"] == f"up:{KEY}"
    assert "nicht hilfreich" in feedback["negative_button"]["accessibility_label"]


def test_only_the_person_meant_is_mentioned_and_once() -> None:
    reply = Reply(
        Outcome.ANSWER, "Text @Erika <@U0CHEF>", lead="@Erika, für Sie von Petra",
        mention=Person("U0ERIKA", "Erika"),
    )  # fmt: skip
    [part] = render(reply, KEY)
    assert part.text.startswith("<@U0ERIKA>, für Sie von Petra")
    assert pings(part.text, part.blocks) == {"@U0ERIKA"}
    assert json.dumps(part.blocks).count("U0ERIKA") == 1


def test_nothing_turns_or_hides_what_is_read() -> None:
    text = "\u202eneti\u202c \u200b\u2066x\u2069 \x1b[31m\x00"
    reply = Reply(Outcome.ANSWER, text, lead=text, title=text, notices=(text,), closing=text)
    [part] = render(reply, KEY)
    for shown in (part.text, *texts(part.blocks)):
        assert not re.search("[\u202a-\u202e\u200b\u2066-\u2069\x00\x1b]", shown)


def test_a_key_is_found_in_blocks_and_in_metadata() -> None:
    name = marker(KEY, 3)
    assert marked({"blocks": [{"block_id": name}]}) == (KEY, 3)
    assert marked({"metadata": {"event_payload": {"part": name}}}) == (KEY, 3)
    assert marked({"blocks": [{"block_id": "made-0"}], "text": name}) is None


@generous
@given(replies, replies)
def test_any_home_tab_and_form_keeps_the_limits(one: Reply, other: Reply) -> None:
    welcome = views.Welcome(one, other, one, other, "Wissensstand abc: 84 Einträge")
    target = {"room": "C0AMT", "ts": "1700000000.000001", "thread": "1700000000.000001"}
    for view in (
        views.home(welcome), views.home_page(one), views.reason_form(target),
        views.answer_form(target),
    ):  # fmt: skip
        assert view_problem(view) is None
    assert len(passage(one, 5)) <= 5


# --- an independent table ---------------------------------------------------------------


def _section(n: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * n}}


def _button(**more: Any) -> dict[str, Any]:
    button = {"type": "button", "text": {"type": "plain_text", "text": "x"}, **more}
    return {"type": "actions", "elements": [button]}


def _thumbs(label: int = 1, value: int = 1, spoken: int = 1) -> dict[str, Any]:
    button = {
        "text": {"type": "plain_text", "text": "x" * label}, "value": "x" * value,
        "accessibility_label": "x" * spoken,
    }  # fmt: skip
    element = {"type": "feedback_buttons", "positive_button": button, "negative_button": button}
    return {"type": "context_actions", "elements": [element]}


_LIMITS = {
    "SECTION_TEXT_MAX_LENGTH": _section,
    "SECTION_FIELDS_MAX_ITEMS": lambda n: {
        "type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * n},
    "SECTION_FIELDS_ITEM_MAX_LENGTH": lambda n: {
        "type": "section", "fields": [{"type": "mrkdwn", "text": "x" * n}]},
    "HEADER_TEXT_MAX_LENGTH": lambda n: {
        "type": "header", "text": {"type": "plain_text", "text": "x" * n}},
    "ACTIONS_ELEMENTS_MAX_ITEMS": lambda n: {
        "type": "actions", "elements": [_button()["elements"][0]] * n},
    "CONTEXT_ELEMENTS_MAX_ITEMS": lambda n: {
        "type": "context", "elements": [{"type": "plain_text", "text": "x"}] * n},
    "BUTTON_TEXT_MAX_LENGTH": lambda n: _button(text={"type": "plain_text", "text": "x" * n}),
    "BUTTON_VALUE_MAX_LENGTH": lambda n: _button(value="x" * n),
    "BUTTON_URL_MAX_LENGTH": lambda n: _button(url="https://" + "x" * (n - 8)),
    "BUTTON_ACCESSIBILITY_LABEL_MAX_LENGTH": lambda n: _button(accessibility_label="x" * n),
    "ACTION_ID_MAX_LENGTH": lambda n: _button(action_id="x" * n),
    "BLOCK_ID_MAX_LENGTH": lambda n: {"type": "divider", "block_id": "x" * n},
    "FEEDBACK_BUTTON_TEXT_MAX_LENGTH": lambda n: _thumbs(label=n),
    "FEEDBACK_BUTTON_VALUE_MAX_LENGTH": lambda n: _thumbs(value=n),
    "FEEDBACK_BUTTON_ACCESSIBILITY_LABEL_MAX_LENGTH": lambda n: _thumbs(spoken=n),
}  # fmt: skip


@pytest.mark.parametrize("name", _LIMITS)
def test_the_stand_in_keeps_the_limits_that_slackblocks_knows(name: str) -> None:
    most = getattr(_limits, name)
    assert message_problem("x", [_LIMITS[name](most)]) is None
    assert message_problem("x", [_LIMITS[name](most + 1)]) is not None


def test_the_number_of_blocks_is_that_of_slackblocks() -> None:
    most = _limits.MESSAGE_BLOCKS_MAX_ITEMS
    assert message_problem("x", [{"type": "divider"}] * most) is None
    assert message_problem("x", [{"type": "divider"}] * (most + 1)) is not None


# --- reading what is shown ----------------------------------------------------------------


def _seen(part: Part) -> list[str]:
    links = [str(u) for u in re.findall(r'"url": "([^"]+)"', json.dumps(part.blocks))]
    return [*texts(part.blocks), *links]


def _unescaped(part: Part) -> str:
    return re.sub(r"&(amp|lt|gt);", lambda m: unescape(m[0]), part.text)


def _visible(text: str) -> str:
    return _unescaped(Part(escape(text), ()))


def _letters(text: str) -> str:
    """What is left of a text when spaces and list marks do not count."""
    return re.sub(r"[\s…-]+", "", _visible(text))
