"""The contract of `lotse ask --jsonl`: fields, order, bad lines, threads."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.content.knowledge import shipped
from bot.jsonl import MAX_LINE, MAX_QUESTION, Session, serve
from bot.search.library import Edition, publish

FIELDS = ["outcome", "entry", "text", "options", "sources", "score", "candidates", "ms"]
OUTCOMES = {"answer", "choices", "unknown", "smalltalk"}


@pytest.fixture(scope="module")
def edition() -> Edition:
    return publish(shipped())


def ask(edition: Edition, *lines: str | bytes | dict[str, Any]) -> list[dict[str, Any]]:
    raw = [
        line
        if isinstance(line, bytes)
        else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    out = io.BytesIO()
    now = datetime(2026, 11, 24, 10, tzinfo=UTC)
    serve(io.BytesIO(b"\n".join(raw)), out, Session(edition, lambda: now))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_answer_has_exactly_the_fields_of_the_contract(edition: Edition) -> None:
    (answer,) = ask(edition, {"q": "Was ist EfA?"})
    assert list(answer) == FIELDS
    assert answer["outcome"] == "answer"
    assert answer["entry"] == "modell-efa"
    assert "Quelle" in answer["text"]
    assert answer["options"]
    assert all(list(o) == ["entry", "title", "text"] for o in answer["options"])
    assert answer["sources"]
    assert all(list(s) == ["title", "url", "page", "date"] for s in answer["sources"])
    assert len(answer["candidates"]) == 5
    assert answer["candidates"][0] == {"entry": "modell-efa", "score": answer["score"]}
    assert answer["ms"] > 0


def test_an_option_carries_the_answer_it_leads_to(edition: Edition) -> None:
    (answer,) = ask(edition, {"q": "Was ist EfA?"})
    option = next(o for o in answer["options"] if o["entry"])
    assert option["text"].startswith(option["title"])
    assert "Quelle" in option["text"]


BAD = [
    b"",
    b"kein JSON",
    b"{",
    b"[1]",
    b'"Frage"',
    b"{}",
    b'{"frage": "x"}',
    b'{"q": null}',
    b'{"q": 1}',
    b'{"q": ["x"]}',
    b'{"q": "\\ud800"}',
    b'{"q": "\\udfff\\ud800"}',
    b'{"q": "a\\u0000b"}',
    b'{"q": "a\\u001bb"}',
    b'{"q": "a\\u009bb"}',
    b'{"q": "a\x01b"}',
    b'{"q": "\xff"}',
    b'{"q": "x", "thread": 1}',
    b'{"q": "x", "thread": "\\ud800"}',
    b'{"q": "x", "at": "gestern"}',
    b'{"q": "x", "at": "0001-01-01T00:00:00"}',
    b'{"q": "x", "at": 12}',
    b"[" * 100_000,
    b'{"q": "' + b"x" * 1_000_000 + b'"}',
    b'{"q": "' + b"x" * (3 * MAX_LINE) + b'"}',
    b'{"q": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("line", BAD, ids=lambda line: repr(line[:24]))
def test_a_bad_line_gets_an_error_and_the_next_one_an_answer(edition: Edition, line: bytes) -> None:
    bad, good = ask(edition, line, {"q": "Was ist EfA?"})
    assert list(bad) == [*FIELDS, "error"]
    assert bad["outcome"] == "unknown"
    assert bad["entry"] is None
    assert bad["error"]
    assert good["entry"] == "modell-efa"


def test_a_long_mail_is_no_bad_line(edition: Edition) -> None:
    (answer,) = ask(edition, {"q": "Guten Tag,\r\n\tbitte\n" + "Wort " * 4000})
    assert "error" not in answer
    (answer,) = ask(edition, {"q": "x" * (MAX_QUESTION + 1)})
    assert "länger als" in answer["error"]


def test_answers_come_in_the_order_of_the_questions(edition: Edition) -> None:
    answers = ask(edition, *({"q": q} for q in ("Was ist EfA?", "Was ist FIM?", "Was ist EfA?")))
    assert answers[0]["entry"] == answers[2]["entry"] == "modell-efa"
    assert answers[1]["entry"] != "modell-efa"


def test_a_thread_is_a_conversation_and_no_thread_is_none(edition: Edition) -> None:
    first = {"q": "Was ist EfA?"}
    choose = {"q": "1"}
    _, chosen = ask(edition, {**first, "thread": "a"}, {**choose, "thread": "a"})
    _, elsewhere = ask(edition, {**first, "thread": "a"}, {**choose, "thread": "b"})
    _, alone = ask(edition, first, choose)
    assert elsewhere["text"].startswith(alone["text"])  # and introduces the bot
    assert chosen["text"] != alone["text"]


def test_the_same_input_gives_the_same_output(edition: Edition) -> None:
    lines = [{"q": q, "thread": "t", "at": "2026-11-24T10:00:00"} for q in ("Was ist EfA?", "mehr")]
    once, twice = ask(edition, *lines), ask(edition, *lines)
    for answer in (*once, *twice):
        del answer["ms"]
    assert once == twice


@given(
    st.lists(
        st.binary(max_size=60) | st.text(max_size=60).map(lambda q: json.dumps({"q": q}).encode())
    )
)
def test_every_line_gets_one_object(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    edition = _small(tmp_path_factory)
    text = b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines)
    out = io.BytesIO()
    serve(io.BytesIO(text), out, Session(edition, lambda: datetime(2026, 11, 24, tzinfo=UTC)))
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(answers) == len(lines)
    assert all(answer["outcome"] in OUTCOMES for answer in answers)


_KEPT: list[Edition] = []


def _small(factory: pytest.TempPathFactory) -> Edition:
    if not _KEPT:
        folder: Path = factory.mktemp("knowledge")
        (folder / "a.yaml").write_text("entries: [{id: a, title: A, answer: A ist A.}]")
        _KEPT.append(publish(folder))
    return _KEPT[0]
