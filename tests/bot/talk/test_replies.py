"""How entries are shown: cut at a sentence, within the limits, nothing lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat import Option, Outcome, Reply, Source
from bot.content.knowledge import KnowledgeFile, assemble
from bot.content.yamltext import read
from bot.markup import plain
from bot.talk.replies import (
    MAX_BODY,
    MAX_REPLY,
    View,
    cut,
    page_count,
    paragraphs,
    present,
    within_limits,
)
from tests.smallworld import NOON

SENTENCE = "Das ist ein Satz mit einigen Wörtern. "


def test_cut_ends_with_a_sentence() -> None:
    head, rest = cut(SENTENCE * 10, 100)
    assert head == (SENTENCE * 2).strip()
    assert head + " " + rest == SENTENCE.strip() + (" " + SENTENCE.strip()) * 9


def test_cut_leaves_abbreviations_and_bold_whole() -> None:
    head, _ = cut(
        "Erstens steht hier etwas. Das gilt z. B. und **nur. Fett** hier und da. " * 2, 60
    )
    assert head == "Erstens steht hier etwas."


@pytest.mark.parametrize("limit", [100, 150, 400])
@given(
    words=st.lists(
        st.sampled_from(["Wort.", "Wort", "**fett**", "\n\n", "- Punkt", "z. B.", "x" * 120])
    )
)
def test_parts_are_short_and_lose_no_word(limit: int, words: list[str]) -> None:
    text = " ".join(words).strip()
    parts = paragraphs(limit, text)
    assert all(len(p) <= limit for p in parts)
    bare = "".join("".join(parts).replace("…", "").replace("*", "").split())
    assert bare == "".join(text.replace("*", "").split())


def _view(answer: str, passage: str) -> View:
    data = read(
        "documents: [{id: d, title: Dokument, date: 2020-01-01, notice: Hinweis}]\n"
        "entries: [{id: e, title: Eintrag, answer: x, passage: y, sources: [{document: d}]}]"
    ).data
    data["entries"][0].update(answer=answer, passage=passage)
    return View(assemble([KnowledgeFile.model_validate(data)]), NOON)


def test_a_long_entry_comes_in_parts_without_loss() -> None:
    view = _view(SENTENCE * 40, SENTENCE * 60)
    entry = view.base.entries["e"]
    parts = [present(view, entry, page=n) for n in range(page_count(view, entry))]
    assert sum(p.body.count("Satz") for p in parts) == 100
    assert all(len(p.body) <= MAX_BODY for p in parts)
    assert all(len(plain(p)) <= MAX_REPLY for p in parts)


@given(
    body=st.text(max_size=3_000),
    notices=st.lists(st.text(max_size=300), max_size=8),
    titles=st.lists(st.text(max_size=90), max_size=14),
    count=st.integers(0, 8),
)
def test_no_reply_is_longer_than_allowed(
    body: str, notices: list[str], titles: list[str], count: int
) -> None:
    reply = Reply(
        Outcome.ANSWER,
        body,
        title="t" * 300,
        sources=tuple(Source("s" * 300, url=f"https://x/{n}") for n in range(count)),
        notices=tuple(notices),
        options=tuple(Option(n, t) for n, t in enumerate(titles, 1)),
        closing="Ende",
    )
    assert len(plain(within_limits(reply))) <= MAX_REPLY
    short = replace(reply, body="kurz", title="", sources=(), notices=(), options=())
    assert within_limits(short) == short
