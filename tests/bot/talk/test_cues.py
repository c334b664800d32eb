"""Phrases are found inflected, mistyped and in free order; content of its own is told apart."""

from __future__ import annotations

import pytest

from bot.talk.cues import Cues, cues_of
from tests.smallworld import edition

CUES = cues_of(edition().base)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("und danach?", "next"),
        ("dnaach", "next"),
        ("was kommt als nächstes", "next"),
        ("WAS KOMMT ALS NAECHSTES", "next"),
        ("wie geht es weiter", "next"),
        ("wie geht es Ihnen", "how_are_you"),
        ("und was war davor", "previous"),
        ("wer ist eigentlich dafür verantwortlich", "who"),
        ("wer macht denn das jetzt alles", "who"),
        ("was würde das kosten", "cost"),
        ("wer bezahlt das", "cost"),
        ("wo kann ich das nachlesen", "source"),
        ("auf welcher Seite steht das", "source"),
        ("Woher stammt die Auskunft", "source"),
        ("mit welchem Meilenstein ist das beendet", "milestone"),
        ("welche Meilensteine gibt es", "complete"),
        ("Was spricht dagegen", "disadvantages"),
        ("bitte etwas ausführlicher", "more"),
        ("Wie kommen Sie darauf", "why"),
        ("kann ich das als Aktenvermerk haben", "note"),
        ("bis wann muss das fertig sein", "duration"),
        ("An wen kann ich mich wenden", "contact"),
        ("das hat mir nicht geholfen", "unhelpful"),
        ("das hat mir sehr geholfen", "helpful"),
        ("bitte löschen Sie alle meine Daten", "erase"),
    ],
)
def test_the_most_telling_phrase(text: str, kind: str) -> None:
    found = CUES.find(CUES.tokens(text))
    assert found[0].kind == kind
    assert found[0].own == ()


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Was kostet die Mitnutzung?", ("mitnutzung",)),
        ("Wer macht die Prüfung in Phase 2?", ("prufung", "2")),
        ("Welche Vorteile hat EfA?", ("efa",)),
    ],
)
def test_content_of_its_own(text: str, own: tuple[str, ...]) -> None:
    assert CUES.find(CUES.tokens(text))[0].own == own


def test_real_words_are_no_typing_errors() -> None:
    assert not any(c.kind == "more" for c in CUES.find(CUES.tokens("das Meer")))


def test_long_messages_are_questions() -> None:
    assert CUES.find(["danach"] * 31) == []


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("What is EfA?", True),
        ("how do we connect the service", True),
        ("next step please", True),
        ("Was ist EfA?", False),
        ("Was ist das Go-Live?", False),
        ("EfA", False),
        ("Wer ist der Owner of the product?", False),
    ],
)
def test_english(text: str, english: bool) -> None:
    assert CUES.is_english(CUES.tokens(text)) is english


def test_alternatives_in_a_phrase_are_phrases_of_their_own() -> None:
    cues = Cues({"rule": ("zahlt/kostet haus/garten",)}, "de")
    for text in ("Wer zahlt das Haus?", "Was kostet der Garten?"):
        assert [c.kind for c in cues.find(cues.tokens(text))] == ["rule"]
    assert cues.find(cues.tokens("Haus und Garten")) == []


def test_a_short_unknown_word_is_no_mistyped_filler() -> None:
    assert CUES.own(["vort"]) == ["vort"]
    assert CUES.own(["brauhce"]) == []


def test_a_phrase_is_found_as_one_hears_it() -> None:
    assert CUES.find(CUES.tokens("Dange schöhn"))[0].kind == "thanks"
