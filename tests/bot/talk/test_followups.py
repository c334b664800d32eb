"""Follow-ups go along the links of the entry and say so where there is none."""

from __future__ import annotations

import pytest

from bot.chat import Outcome
from bot.markup import plain
from tests.smallworld import Talk


@pytest.mark.parametrize(
    "text",
    [
        "und danach?",
        "Was kommt danach?",
        "danahc",
        "und was folgt darauf",
        "welche Phase kommt dann?",
        "was ist der nächste Schritt",
        "und wie geht es jetzt weiter?",
        "Wie ist das weitere Vorgehen?",
        "what comes next?",
    ],
)
def test_next_goes_along_the_series(text: str) -> None:
    assert Talk().says("Was passiert im Keller?", text).entry == "wand"


@pytest.mark.parametrize(
    "text", ["und davor?", "was war vorher", "die vorige Phase bitte", "zuvor"]
)
def test_previous_goes_back(text: str) -> None:
    assert Talk().says("Was passiert mit der Wand?", text).entry == "keller"


def test_the_end_of_a_series_is_said_as_often_as_asked() -> None:
    talk = Talk()
    first = talk.says("Was passiert auf dem Dach?", "danach?")
    again = talk.say("und danach?")
    assert first.outcome is Outcome.ANSWER
    assert "gefeiert" in first.body
    assert (first.body, first.options) == (again.body, again.options)


def test_the_start_of_a_series_is_said() -> None:
    assert "Wiese" in Talk().says("Was passiert im Keller?", "davor?").body


def test_steps_in_open_order_are_shown_together() -> None:
    talk = Talk()
    both = talk.says("Wie anmelden?", "und dann?")
    assert "Formular" in both.body
    assert "Vertrag" in both.body
    assert both.lead == "Die Reihenfolge dieser beiden ist offen."
    assert talk.say("und danach?").entry == "absenden"


def test_within_the_open_order_the_usual_reading_is_given_with_the_note() -> None:
    reply = Talk().says("Formular ausfüllen?", "danach?")
    assert reply.entry == "unterschreiben"
    assert "offen" in reply.lead


def test_back_over_the_open_order() -> None:
    talk = Talk()
    talk.says("Brief absenden?", "davor?")
    assert talk.say("und davor?").entry == "anmelden"


def test_without_context_it_asks_back_with_the_series() -> None:
    reply = Talk().say("und danach?")
    assert reply.outcome is Outcome.CHOICES
    assert [o.entry for o in reply.options] == ["bauphasen", "antragsschritte"]


def test_an_entry_outside_a_series_has_no_next() -> None:
    reply = Talk().says("Was ist Modell Alpha?", "danach?")
    assert reply.outcome is not Outcome.ANSWER
    assert "Modell Alpha" in reply.body


@pytest.mark.parametrize("text", ["wer macht das?", "wer ist dafür zuständig", "wer kümmert sich?"])
def test_a_link_that_the_whole_series_shares_says_nothing_about_one_member(text: str) -> None:
    reply = Talk().says("Was passiert im Keller?", text)
    assert reply.entry == "handwerk"
    assert "keine einzelne Rolle" in reply.lead


@pytest.mark.parametrize("text", ["was kostet das?", "was kosted das denn", "und in Euro?"])
def test_cost_leads_to_the_honest_entry_and_keeps_the_topic(text: str) -> None:
    talk = Talk()
    reply = talk.says("Was passiert im Keller?", text)
    assert (reply.outcome, reply.entry) == (Outcome.UNKNOWN, "luecke-kosten")
    assert talk.say("danach?").entry == "wand"


def test_a_missing_link_is_said_with_what_is_nearest() -> None:
    reply = Talk().says("Was passiert im Keller?", "welche Vorteile hat das?")
    assert reply.outcome is Outcome.UNKNOWN
    assert [o.entry for o in reply.options] == ["wand", "modell-alpha", "handwerk"]


def test_milestone_of_the_member() -> None:
    reply = Talk().says("Was passiert im Keller?", "mit welchem Meilenstein endet das?")
    assert "Grube fertig" in reply.body
    assert reply.outcome is Outcome.ANSWER


def test_sides_of_a_model() -> None:
    talk = Talk()
    assert talk.says("Was ist Modell Alpha?", "Vorteile?").entry == "modell-a-plus"
    assert talk.say("und die Nachteile?").entry == "modell-a-minus"
    both = talk.say("Vor- und Nachteile?")
    assert "rasch" in both.body
    assert "zieht" in both.body


def test_source_belongs_to_the_last_answer() -> None:
    reply = Talk().says("Was passiert im Keller?", "wo steht das?")
    text = plain(reply)
    assert "Keller graben." in text
    assert "S. 3" in text
    assert "18.08.2021" in text
    assert "Leitfaden 1.2" in text


def test_source_without_context_is_asked_back() -> None:
    assert Talk().say("Quelle?").outcome is not Outcome.ANSWER


def test_more_gives_the_passage_then_what_is_related() -> None:
    talk = Talk()
    assert "wie tief" in talk.says("Was passiert im Keller?", "mehr").body
    reply = talk.say("mehr dazu")
    assert "nicht im Wissensbestand" in reply.body
    assert reply.options


def test_note_can_be_put_on_file() -> None:
    text = plain(Talk().says("Was passiert im Keller?", "bitte als Vermerk"))
    for part in (
        "Der Keller wird gegraben.",
        "Keller graben.",
        "1.2",
        "S. 3",
        "24.11.2026",
        "abc123",
    ):
        assert part in text


def test_why_names_the_words() -> None:
    reply = Talk().says("Was passiert im Keller?", "warum?")
    assert reply.outcome is Outcome.SMALLTALK
    assert "„keller“" in reply.body


def test_why_after_a_link_says_so() -> None:
    talk = Talk()
    assert "Verweis" in talk.says("Was passiert im Keller?", "danach?", "warum?").body


def test_the_same_of_something_else() -> None:
    talk = Talk()
    talk.says("Was passiert im Keller?", "welcher Meilenstein?")
    assert "Wand steht" in talk.say("und bei Phase 2?").body


def test_whether_it_holds_elsewhere_is_not_claimed() -> None:
    reply = Talk().says("Was passiert im Keller?", "gilt das auch für Phase 3?")
    assert reply.entry == "dach"
    assert "nicht ausdrücklich" in reply.lead


def test_whether_it_holds_for_something_unknown() -> None:
    reply = Talk().says("Was passiert im Keller?", "gilt das auch für Garagen?")
    assert reply.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("Was kostet der Bau in Euro?", "luecke-kosten"),
        ("Vorteile von Modell Alpha", "modell-a-plus"),
        ("Welche Gewerke gibt es?", "handwerk"),
        ("Was passiert danach auf dem Dach?", "dach"),
    ],
)
def test_a_complete_question_is_a_new_one(text: str, entry: str) -> None:
    assert Talk().says("Was passiert im Keller?", text).entry == entry


def test_the_context_ends_half_an_hour_after_the_last_answer() -> None:
    talk = Talk()
    talk.say("Was passiert im Keller?")
    assert talk.say("danach?", minutes=30).entry == "wand"
    talk.say("danke", minutes=29)
    assert talk.say("danach?", minutes=29).entry == "dach"
    assert talk.say("davor?", minutes=30.1).outcome is Outcome.CHOICES


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("Was kommt nach Phase 2?", "dach"),
        ("was ist vor der phase 2 dran", "keller"),
        ("Was folgt auf die Wand?", "dach"),
        ("und vor dem Dach?", "wand"),
        ("Was kostet der Bau nach Euro?", "luecke-kosten"),
        ("Wer ist nach Jahren der Kontakt?", "kontakt"),
    ],
)
def test_the_neighbour_of_what_is_named(text: str, entry: str) -> None:
    assert Talk().say(text).entry == entry
    assert Talk().says("Was ist Modell Alpha?", text).entry == entry


@pytest.mark.parametrize("text", ["und welches ist besser?", "was soll das denn sein?"])
def test_a_message_without_content_is_not_guessed(text: str) -> None:
    talk = Talk()
    reply = talk.says("Was passiert im Keller?", text)
    assert (reply.outcome, reply.entry) == (Outcome.UNKNOWN, None)
    assert talk.say("danach?").entry == "wand"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Wer macht Phase 1?", "Maurer"),
        ("Welcher Meilenstein gehört zu Phase 2?", "Wand steht"),
        ("Was ist bei Phase 3 zu beachten?", "gedeckt"),
        ("Quelle zu Phase 1", "Keller graben"),
        ("Was ist in Phase 1 zu tun und wer macht das?", "Maurer"),
    ],
)
def test_a_follow_up_may_name_its_member(text: str, said: str) -> None:
    assert said in Talk().say(text).body


def test_the_beginning_is_the_first_of_the_series() -> None:
    assert Talk().says("Was passiert auf dem Dach?", "Und wie geht's los?").entry == "keller"
    assert Talk().says("Was ist Modell Alpha?", "Wie geht es los?").outcome is Outcome.UNKNOWN
