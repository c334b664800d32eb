"""A number names its member: the others are out, and what they weighed counts for it."""

from __future__ import annotations

import pytest

from bot.search.matching import Match
from bot.talk.members import named_in, narrowed, subjects, titled
from tests.smallworld import edition

BASE = edition().base
MATCHES = [
    Match("dach", 0.6),
    Match("bauphasen", 0.2),
    Match("wand", 0.15),
    Match("luecke-kosten", 0.1),
]


def test_siblings_and_overview_are_out() -> None:
    found = {m.entry: m.score for m in narrowed(BASE, "Was umfasst Phase 2?", MATCHES)}
    assert found == {"wand": pytest.approx(0.75), "luecke-kosten": 0.1}


def test_a_gap_found_better_than_the_member_stays_ahead() -> None:
    matches = [Match("luecke-kosten", 0.5), *MATCHES[:3]]
    assert narrowed(BASE, "Was kostet Phase 2?", matches) == [matches[0], Match("wand", 0.15)]


@pytest.mark.parametrize(
    "text",
    ["Was umfasst die Phase?", "Was kommt nach Phase 2?", "Phase 7", "2 Wände", "Was kostet das?"],
)
def test_without_a_name_nothing_changes(text: str) -> None:
    assert narrowed(BASE, text, MATCHES) == MATCHES


def test_words_for_numbers_name_as_well() -> None:
    assert narrowed(BASE, "phase zwei", MATCHES)[0].entry == "wand"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Unterschied zwischen Phase 2 und Phase 1?", ["wand", "keller"]),
        ("Phase 1 und 3", ["keller", "dach"]),
        ("Phase 1 bis 3", []),
        ("Fase 2", ["wand"]),
        ("Pahse 3 und 1", ["dach", "keller"]),
        ("Farbe 2", []),
        ("Phase 9 und 1 Wand", ["keller"]),
        ("2 und 3", []),
    ],
)
def test_members_that_are_named(text: str, ids: list[str]) -> None:
    assert named_in(BASE, text) == ids


@pytest.mark.parametrize(
    ("said", "entry"),
    [
        (["wand"], "wand"),
        (["schritt", "absenden"], "absenden"),
        (["schritt"], None),  # in several titles
        (["alpha"], None),
        (["kontakt"], None),  # no member of a series
        (["garage"], None),
        ([], None),
    ],
)
def test_the_word_of_one_title(said: list[str], entry: str | None) -> None:
    assert titled(BASE, said) == entry


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        (["keller", "dach"], ["keller", "dach"]),
        (["dach", "keller", "dach"], ["dach", "keller"]),
        (["phase", "keller"], []),  # in the title of several
        (["keller", "kontakt"], []),  # in the title of no member
    ],
)
def test_bare_subjects(said: list[str], ids: list[str]) -> None:
    assert subjects(BASE, said) == ids
