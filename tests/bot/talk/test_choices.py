"""Numbers, ordinals and titles choose from the last list; "0" is nothing of it."""

from __future__ import annotations

import pytest

from bot.chat import HandedOver, Outcome, Unanswered
from tests.smallworld import Talk


def _asked_back() -> Talk:
    talk = Talk()
    talk.say("danach?")  # 1 Bauphasen, 2 Antragsschritte
    return talk


@pytest.mark.parametrize(
    "text",
    [
        "2",
        "2.",
        "2)",
        "(2)",
        "nr 2",
        "Nr. 2",
        "Nummer 2",
        "die zweite",
        "das zweite",
        "der Zweite",
        "zwei",
        "bitte die 2",
        "Option 2",
        "ich nehme die zweite",
        "die letzte",
        "second",
        "Die 2 bitte.",
    ],
)
def test_second_option(text: str) -> None:
    assert _asked_back().say(text).entry == "antragsschritte"


@pytest.mark.parametrize(
    "text",
    [
        "Antragsschritte im Überblick",
        "antragsschritte",
        "Antragschritte",
        "antragsschrite ueberblick",
    ],
)
def test_title_with_and_without_typing_errors(text: str) -> None:
    assert _asked_back().say(text).entry == "antragsschritte"


@pytest.mark.parametrize("text", ["0", "null", "nichts davon", "keines davon"])
def test_nothing_of_it_counts_as_unanswered(text: str) -> None:
    talk = Talk()
    talk.say("Phase Kontakt Gewerke Wand Keller")
    assert talk.state.offers
    reply = talk.say(text)
    assert reply.outcome is Outcome.UNKNOWN
    assert any(isinstance(e, Unanswered) for e in reply.events)
    assert [o.entry for o in reply.options] == [None, None]


def test_a_number_that_is_not_offered_keeps_the_list() -> None:
    talk = _asked_back()
    reply = talk.say("7")
    assert reply.outcome is Outcome.SMALLTALK
    assert "1 bis 2" in reply.body
    assert talk.say("1").entry == "bauphasen"


@pytest.mark.parametrize("text", ["3", "die dritte", "0"])
def test_a_number_without_a_list_is_explained(text: str) -> None:
    reply = Talk().say(text)
    assert (reply.outcome, reply.entry) == (Outcome.SMALLTALK, None)


def test_a_phase_with_a_number_is_a_question() -> None:
    assert _asked_back().say("Phase 2").entry == "wand"


def test_a_question_after_a_list_is_a_question() -> None:
    assert _asked_back().say("Was passiert auf dem Dach?").entry == "dach"


def test_next_steps_below_an_answer_are_a_list_too() -> None:
    talk = Talk()
    reply = talk.say("Was passiert im Keller?")
    assert [o.number for o in reply.options] == [1, 2, 3]
    assert talk.say("1").entry == reply.options[0].entry == "wand"


def test_two_numbers_are_not_guessed() -> None:
    assert _asked_back().say("1 und 2").outcome is Outcome.SMALLTALK


def test_the_list_ends_with_the_context() -> None:
    talk = _asked_back()
    assert talk.say("2", minutes=31).entry is None


def test_an_option_says_what_it_leads_to() -> None:
    talk = _asked_back()
    reply = talk.say("wer macht das Dach?")  # a question of its own
    options = Talk().say("danach?").options
    assert all("Überblick" in o.text for o in options)
    assert reply.entry == "dach"


@pytest.mark.parametrize(("number", "callback"), [("1", False), ("2", True)])
def test_a_question_can_be_handed_over(number: str, callback: bool) -> None:
    talk = Talk()
    talk.say("Phase Kontakt Gewerke Wand Keller")
    talk.say("0")
    reply = talk.say(number)
    assert reply.events == (HandedOver("Phase Kontakt Gewerke Wand Keller", callback),)
    assert talk.say(number).events == ()  # not twice


def test_enumerating_beside_a_series_is_a_step_of_it() -> None:
    assert Talk().says("Was passiert im Keller?", "Zweitens?").entry == "wand"
    assert Talk().says("Was passiert im Keller?", "und drittens?").entry == "dach"


def test_a_number_longer_than_any_list_is_a_question() -> None:
    assert Talk().says("Was passiert im Keller?", "582").outcome is Outcome.UNKNOWN
