"""Messages taken apart: sentences, mails, questions joined by „und“."""

from __future__ import annotations

import pytest

from bot.talk.cues import cues_of
from bot.talk.splitting import alternatives, coordinated, sentences, without_preface
from tests.smallworld import edition

CUES = cues_of(edition().base)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Was ist A? Was ist B?", ["Was ist A?", "Was ist B?"]),
        ("Siehe Abs. 2 und z. B. Nr. 3 vom 18. August bzw. 18.08.2021.", None),
        ("Wir sind in Phase 1. Was kommt danach?", ["Wir sind in Phase 1.", "Was kommt danach?"]),
        ("1. Was ist A?\n2) Was ist B?\n- Und C?", ["Was ist A?", "Was ist B?", "Und C?"]),
        ("Hallo Frau X, was ist A?", ["was ist A?"]),
        ("Was ist A?\nMfG\nAmt für B\nWas ist C?", ["Was ist A?"]),
        ("Hallo", ["Hallo"]),
    ],
)
def test_sentences(text: str, expected: list[str] | None) -> None:
    assert [s.text for s in sentences(text, CUES)] == (expected or [text])


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Was ist A", True),
        ("und wer macht das", True),
        ("Wir sind fertig.", False),
        ("Phase 2?", True),
    ],
)
def test_what_asks(text: str, asks: bool) -> None:
    assert [s.asks for s in sentences(text, CUES)] == [asks]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Was ist A und wer zahlt das?", ["Was ist A", "wer zahlt das?"]),
        (
            "Was ist A, und an wen geht B sowie wann kommt C?",
            ["Was ist A", "an wen geht B", "wann kommt C?"],
        ),
        (
            "Wie viele A gibt es, wie viele B und wo ist C?",
            ["Wie viele A gibt es", "wie viele B", "wo ist C?"],
        ),
        ("Ich weiß nicht, was A ist und was B ist", ["Ich weiß nicht, was A ist", "was B ist"]),
        ("Vor- und Nachteile von A?", ["Vor- und Nachteile von A?"]),
        ("Rollen und Aufgaben", ["Rollen und Aufgaben"]),
    ],
)
def test_coordinated(text: str, parts: list[str]) -> None:
    assert coordinated(text) == parts


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Der Chef will wissen, wohin A geht?", "wohin A geht?"),
        ("Was ist zu tun, wie in A?", "Was ist zu tun, wie in A?"),
        ("A, B und C", "A, B und C"),
    ],
)
def test_without_preface(text: str, asked: str) -> None:
    assert without_preface(text) == asked


@pytest.mark.parametrize(
    ("text", "said", "names"),
    [
        ("EfA oder FIM?", True, ["EfA", "FIM"]),
        ("EfA, FIM, oder beides", True, ["EfA, FIM", "beides"]),
        ("EfA FIM?", False, ["EfA", "FIM"]),
        ("Was ist EfA?", False, []),
        ("EfA", False, []),
    ],
)
def test_alternatives(text: str, said: bool, names: list[str]) -> None:
    assert alternatives(text) == (said, names)
