"""One question, several in one message, the one in a mail; declining."""

from __future__ import annotations

import pytest

from bot.chat import Audience, Outcome, Unanswered
from bot.markup import plain
from tests.smallworld import Talk


def test_an_answer_has_source_date_and_next_steps() -> None:
    text = plain(Talk().say("Was passiert im Keller?"))
    assert "Alte Folien" in text
    assert "18.08.2021" in text
    assert "älter als 2 Jahre" in text
    assert "Weiter: 1 " in text


def test_a_young_source_needs_no_notice() -> None:
    assert "älter" not in plain(Talk().say("Was passiert auf dem Dach?"))


def test_an_address_never_comes_without_its_notice() -> None:
    for question in ("Wer ist der Kontakt?", "Wie anmelden?"):
        reply = Talk().say(question)
        assert "ozg@example.org" in reply.body
        assert "Die Zuständigkeit hat sich geändert." in reply.notices


def test_a_gap_is_unknown_and_can_be_handed_over() -> None:
    reply = Talk().say("Was kostet der Bau in Euro?")
    assert reply.outcome is Outcome.UNKNOWN
    assert reply.events == (Unanswered("Was kostet der Bau in Euro?", ("luecke-kosten",)),)
    assert [o.title for o in reply.options[-2:]] == [
        "Frage anonym an das Sprechstunden-Team geben",
        "mit Rückmeldung in diesem Thread",
    ]


def test_a_gap_does_not_change_the_topic() -> None:
    assert (
        Talk().says("Was passiert im Keller?", "Was kostet der Bau in Euro?", "danach?").entry
        == "wand"
    )


def test_out_of_the_field_is_one_sentence() -> None:
    reply = Talk().say("Kaninchenzucht")
    assert reply.outcome is Outcome.UNKNOWN
    assert reply.body.count(".") == 1
    assert reply.options == ()


def test_near_the_field_names_what_is_nearest() -> None:
    reply = Talk().say("Keller Garage Balkon Terrasse Garten streichen")
    assert reply.outcome is Outcome.UNKNOWN
    assert reply.options[0].entry == "keller"
    assert "kontakt" in [o.entry for o in reply.options]


@pytest.mark.parametrize(
    "text",
    [
        "Was ist Modell Alpha und was passiert im Keller?",
        "Was ist Modell Alpha? Was passiert im Keller?",
        "1. Was ist Modell Alpha?\n2. Was passiert im Keller?",
        "Ich wüsste gern, was Modell Alpha ist und was im Keller passiert.",
    ],
)
def test_two_questions_get_two_short_answers(text: str) -> None:
    reply = Talk().say(text)
    assert reply.outcome is Outcome.ANSWER
    assert "Fertighaus" in reply.body
    assert "gegraben" in reply.body
    assert [o.entry for o in reply.options] == ["modell-alpha", "keller"]


def test_the_second_question_may_follow_up_on_the_first() -> None:
    reply = Talk().say("Was passiert im Keller und wer macht das?")
    assert [o.entry for o in reply.options] == ["keller", "handwerk"]


def test_two_members_in_one_question_are_both_shown() -> None:
    reply = Talk().say("Was ist der Unterschied zwischen Phase 1 und Phase 2?")
    assert [o.entry for o in reply.options] == ["keller", "wand"]


def test_at_most_three_are_answered_and_the_rest_is_named() -> None:
    reply = Talk().say(
        "Was passiert im Keller? Was passiert mit der Wand? Was passiert auf dem Dach? "
        "Was ist Modell Alpha?"
    )
    assert len(reply.options) == 3
    assert any("Modell Alpha" in n for n in reply.notices)


def test_a_part_without_an_answer_is_said() -> None:
    reply = Talk().say("Was passiert im Keller? Wie züchtet man Kaninchen?")
    assert reply.outcome is Outcome.ANSWER
    assert any("Kaninchen" in n for n in reply.notices)


@pytest.mark.parametrize(
    ("text", "entry"),
    [("Formular und Vertrag ausfüllen?", "ausfuellen"), ("Was passiert mit Wand und so?", "wand")],
)
def test_one_question_with_and_stays_one(text: str, entry: str) -> None:
    assert Talk().say(text).entry == entry


def test_the_question_of_a_mail_is_found() -> None:
    reply = Talk().say(
        "Sehr geehrte Damen und Herren,\n\nnach längerer Pause wende ich mich wieder an Sie. Wir "
        "haben im Amt viel umgestellt, und der Kollege, der das betreut hat, ist im Ruhestand. "
        "Vor allem Drucker und Telefone machen Sorgen. Daher meine Bitte: Was passiert auf dem "
        "Dach?\n\nMit freundlichen Grüßen\nAmt für Keller und Wand\nTel. 0391 1234567"
    )
    assert reply.entry == "dach"
    assert any("Telefonnummer" in n for n in reply.notices)


def test_the_question_at_the_end_of_twenty_thousand_characters_is_found() -> None:
    chatter = "Wir haben im Amt viel umgestellt und grüßen herzlich vom Marktplatz. " * 280
    assert Talk().say(chatter + "Was passiert auf dem Dach?").entry == "dach"


def test_a_statement_before_a_follow_up_is_its_topic() -> None:
    assert Talk().say("Wir sind im Keller, Phase 1. Was kommt danach?").entry == "wand"


def test_internal_entries_stay_inside() -> None:
    asked = "Wo ist der Schlüsselkasten?"
    assert Talk().say(asked).entry == "geheim"
    reply = Talk().say(asked, audience=Audience.PUBLIC)
    assert reply.entry is None
    assert "Matte" not in plain(reply)


def test_english_gets_the_german_passage_with_an_english_line() -> None:
    reply = Talk().say("What is the Modell Alpha about, can you tell me?")
    assert reply.entry == "modell-alpha"
    assert "German" in reply.lead
    assert not Talk().say("Was ist Modell Alpha?").lead


@pytest.mark.parametrize(
    "asked",
    [
        "Was ist darunter zu verstehen?",
        "Wer ist das?",
        "Was steht drin?",
        "Ist das korrekt?",
        "Können Sie mir weiterhelfen?",
        "Was ist dieser Begriff?",
    ],
)
def test_a_sentence_without_content_belongs_to_the_one_before_it(asked: str) -> None:
    assert Talk().say(f"Im Brief wird das Modell Alpha genannt. {asked}").entry == "modell-alpha"


def test_what_only_introduces_a_question_adds_nothing() -> None:
    assert Talk().say("Ich brauche eine Auskunft. Was ist Modell Alpha?").entry == "modell-alpha"


def test_a_follow_up_in_a_mail_leads_from_what_was_stated() -> None:
    assert Talk().say("Beim Keller sind wir fertig. Was kommt als Nächstes?").entry == "wand"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Wer macht das und was kostet das?", ["Maurer", "sagt die Quelle nicht"]),
        ("Was kommt danach und wer macht das?", ["gemauert", "Dachdecker"]),
        ("Was kommt danach und wo steht das?", ["gemauert", "Alte Folien"]),
    ],
)
def test_two_follow_ups_are_both_answered(text: str, told: list[str]) -> None:
    reply = plain(Talk().says("Was passiert im Keller?", text))
    assert all(words in reply for words in told)


@pytest.mark.parametrize("text", ["Gewerke oder Kontakt?", "Die Gewerke oder der Kontakt"])
def test_one_name_or_another_is_a_choice_of_both(text: str) -> None:
    reply = Talk().say(text)
    assert reply.outcome is Outcome.CHOICES
    assert [o.entry for o in reply.options] == ["handwerk", "kontakt", None]


def test_two_names_side_by_side_are_a_choice_where_no_entry_holds_both() -> None:
    options = [o.entry for o in Talk().say("Gewerke Kontakt?").options]
    assert options == ["handwerk", "kontakt", None]
    assert Talk().say("Formular ausfüllen").entry == "ausfuellen"


def test_an_article_does_not_point_back() -> None:
    mail = "Alle reden über den Keller und seine Tiefe. Was ist das Modell Alpha eigentlich?"
    assert Talk().say(mail).entry == "modell-alpha"


def test_half_a_sentence_without_content_is_no_question_of_its_own() -> None:
    reply = Talk().say("Im Brief steht Modell Alpha. Was ist damit gemeint und weshalb ist das so?")
    assert (reply.entry, len(reply.events)) == ("modell-alpha", 0)


def test_a_clear_statement_is_found_in_a_message_that_asks_nothing() -> None:
    assert Talk().say("Hier regnet es seit Montag.\nFormular ausfüllen\nTim").entry == "ausfuellen"
