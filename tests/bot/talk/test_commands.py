"""Commands, small talk, feedback, pointing: what is said beside questions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.chat import Conversation, Erase, Marked, Message, Outcome, Rated, Rating
from bot.search.matching import Match
from bot.talk.answering import State, answer
from bot.talk.deciding import ANSWER
from tests.smallworld import ADA, NOON, Talk, edition


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Hallo", "Guten Tag"),
        ("Guten Morgen zusammen!", "Guten Tag"),
        ("Danke, sehr nett", "Gern"),
        ("merci", "Gern"),
        ("ok danke", "Gern"),
        ("Tschüss und schönen Feierabend", "Auf Wiedersehen"),
        ("Bist du ein Mensch?", "keine KI"),
        ("Sind Sie ein Bot oder eine KI?", "keine KI"),
        ("Du bist echt dumm", "tut mir leid"),
        ("so ein schrott", "tut mir leid"),
        ("wie geht's?", "Danke"),
        ("Hilfe", "zeige"),
        ("hlife", "zeige"),
        ("Was kannst du alles?", "zeige"),
        ("?", "zeige"),
        ("Datenschutz", "meine daten löschen"),
        ("Was speichern Sie über mich?", "meine daten löschen"),
        ("", "hilfe"),
        ("   ", "hilfe"),
    ],
)
def test_is_answered_calmly(text: str, key: str) -> None:
    reply = Talk().say(text)
    assert reply.outcome is Outcome.SMALLTALK
    assert key in reply.body


def test_greeting_and_question_is_the_question() -> None:
    for text in ("Hallo, was passiert im Keller?", "Guten Tag! Was passiert im Keller? Danke!"):
        assert Talk().say(text).entry == "keller"


def test_small_talk_keeps_topic_and_list() -> None:
    talk = Talk()
    talk.says("Was passiert im Keller?", "danke")
    assert talk.say("1").entry == "wand"
    assert talk.says("Was passiert im Keller?", "Vielen Dank!", "und danach?").entry == "wand"


def test_topics_are_browsed_with_numbers() -> None:
    talk = Talk()
    reply = talk.say("themen")
    assert reply.outcome is Outcome.CHOICES
    assert [o.title for o in reply.options] == ["Kleine Welt"]
    entries = talk.say("1")
    assert entries.outcome is Outcome.CHOICES
    assert len(entries.options) == 13
    rest = talk.say("13")
    assert rest.options[0].title == "Nachteile von Modell Alpha"
    assert talk.say("1").entry == "modell-a-minus"


def test_the_first_answer_says_who_answers_and_only_the_first() -> None:
    talk = Talk(direct=True)
    assert any("keine KI" in n for n in talk.say("Was passiert im Keller?").notices)
    assert not any("keine KI" in n for n in talk.say("Was passiert auf dem Dach?").notices)
    assert not any("keine KI" in n for n in talk.say("Was ist Modell Alpha?", minutes=90).notices)
    assert not any("keine KI" in n for n in Talk().say("Was passiert im Keller?").notices)


@pytest.mark.parametrize(
    "text", ["ja", "hilfreich", "das war hilfreich", "👍", "👍🏽", "Ja, danke"]
)
def test_thumbs_up(text: str) -> None:
    reply = Talk().says("Was passiert im Keller?", text)
    assert reply.events == (Rated(Rating.UP, "keller"),)


@pytest.mark.parametrize(
    "text", ["nein", "nicht hilfreich", "das stimmt so nicht", "war leider nicht hilfreich", "👎"]
)
def test_thumbs_down_asks_for_the_reason(text: str) -> None:
    talk = Talk()
    reply = talk.says("Was passiert im Keller?", text)
    assert reply.events == (Rated(Rating.DOWN, "keller"),)
    assert [o.title for o in reply.options] == [
        "falsch",
        "veraltet",
        "unverständlich",
        "falsches Thema",
    ]
    assert talk.say("2").events == (Rated(Rating.DOWN, "keller", "outdated"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("falsch", "wrong"),
        ("ist veraltet", "outdated"),
        ("verstehe ich nicht", "unclear"),
        ("falsches Thema", "off_topic"),
    ],
)
def test_a_reason_in_words(text: str, reason: str) -> None:
    talk = Talk()
    assert talk.says("Was passiert im Keller?", text).events == (
        Rated(Rating.DOWN, "keller", reason),
    )
    assert talk.says("nein", text).events == (Rated(Rating.DOWN, "keller", reason),)


def test_yes_without_anything_open_is_asked_back() -> None:
    reply = Talk().say("ja")
    assert reply.outcome is Outcome.SMALLTALK
    assert reply.events == ()


def test_erasing_is_confirmed_once() -> None:
    talk = Talk()
    talk.says("Was passiert im Keller?")
    assert talk.say("meine daten löschen").events == ()
    assert talk.say("ja").events == (Erase(),)
    assert talk.say("danach?").outcome is Outcome.CHOICES  # the thread is forgotten too


@pytest.mark.parametrize("between", [("nein", 1), ("Was ist Modell Alpha?", 1), ("danke", 1)])
def test_anything_but_yes_erases_nothing(between: tuple[str, float]) -> None:
    talk = Talk()
    talk.says("Was passiert im Keller?", "Bitte meine Daten löschen!")
    talk.say(between[0], minutes=between[1])
    assert Erase() not in talk.say("ja").events


def test_the_confirmation_runs_out() -> None:
    talk = Talk()
    talk.say("meine daten löschen")
    assert Erase() not in talk.say("ja", minutes=6).events


def test_nobody_confirms_for_somebody_else() -> None:
    talk = Talk()
    talk.say("meine daten löschen")
    assert talk.say("ja", asker="another").events == ()


def test_marking_for_the_consultation() -> None:
    talk = Talk()
    reply = talk.says("Was passiert im Keller?", "für die Sprechstunde merken")
    assert reply.events == (Marked("Was passiert im Keller?", "keller"),)
    assert "ohne Ihren Namen" in reply.body


def test_marking_another_question_with_a_name() -> None:
    reply = Talk().say("Für die Sprechstunde merken: Wer gräbt? Name: Kim Muster")
    assert reply.events == (Marked("Wer gräbt?", "", "Kim Muster"),)
    assert Talk().say("für die Sprechstunde merken").events == ()


def test_pointing_addresses_one_person() -> None:
    reply = Talk().say("zeige Phase 2 @Ada", people=(ADA,), asker_name="Bo")
    assert (reply.entry, reply.mention) == ("wand", ADA)
    assert reply.lead == "@Ada, für Sie von Bo:"


def test_pointing_without_known_people_takes_the_written_name() -> None:
    reply = Talk().say("Zeig mal den Keller @ada.lovelace")
    assert reply.entry == "keller"
    assert reply.mention is not None
    assert reply.mention.name == "ada.lovelace"


class Unsure:
    """Finds two entries, neither of them surely enough to be the answer."""

    def match(self, question: str, limit: int = 5) -> list[Match]:
        return [Match("keller", 0.9 * ANSWER), Match("wand", 0.8 * ANSWER)]


def test_pointing_at_something_unclear_mentions_nobody() -> None:
    place = Conversation("test", "", "room", "thread")
    message = Message(place, "1", "someone", "zeige Fundament @Ada", NOON, people=(ADA,))
    unsure = replace(edition(), index=Unsure())  # type: ignore[arg-type]
    reply, _ = answer(message, State(), unsure)
    assert reply.mention is None
    assert reply.outcome is not Outcome.ANSWER
    assert [o.entry for o in reply.options[:2]] == ["keller", "wand"]


def test_personal_data_is_pointed_out_and_goes_nowhere() -> None:
    talk = Talk()
    reply = talk.say("Kaninchenzucht Frau Muster, eva@muster.de")
    assert any("E-Mail-Adresse, Name" in n for n in reply.notices)
    assert "eva@muster.de" not in f"{reply} {talk.state}"
    assert "Muster" not in f"{reply} {talk.state}"


@pytest.mark.parametrize(
    "text", ["ich brauche hilfe", "Kannst du mir helfen?", "Hilfe, ich komme nicht klar"]
)
def test_a_call_for_help_is_the_command(text: str) -> None:
    assert Talk().say(text).outcome is Outcome.SMALLTALK


@pytest.mark.parametrize(
    "text",
    [
        "Was kann beim Keller helfen?",
        "Was stand vom Keller auf der Agenda?",
        "Stimmt das mit dem Keller so?",
        "Was ist das Blöde am Keller?",
        "Gibt's ne Liste zum Keller?",
    ],
)
def test_a_question_is_no_small_talk(text: str) -> None:
    assert Talk().say(text).outcome is not Outcome.SMALLTALK


def test_a_doubt_shows_the_proof_and_is_no_rating() -> None:
    reply = Talk().says("Was passiert im Keller?", "Stimmt das so?")
    assert reply.events == ()
    assert "Keller graben." in reply.body


def test_the_bad_side_is_asked_for_not_an_insult() -> None:
    assert Talk().says("Was ist Modell Alpha?", "Und was ist das Blöde daran?").entry == (
        "modell-a-minus"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Hallo,\nhat wunderbar funktioniert!\nViele Grüße\nAda aus dem Kellerreferat",
        "Sehr geehrtes Team,\nToll gemacht.\nMfG A. Wand",
        "Danke, ich weiß das zu schätzen",
    ],
)
def test_praise_between_salutation_and_name_is_small_talk(text: str) -> None:
    assert "Gern" in Talk().say(text).body
