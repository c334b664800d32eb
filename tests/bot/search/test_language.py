"""Folding, words, sentences: the same text comes out whatever way it was typed."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.search import language
from bot.search.language import abbreviations, clean, fold, sentences, stem, words

texts = st.text(max_size=200)


@pytest.mark.parametrize(
    ("typed", "also"),
    [
        ("Prüfung", "Pruefung"),
        ("PRÜFUNG", "prufung"),
        ("Straße", "STRASSE"),
        ("Außengastronomie", "Aussengastronomie"),
        ("Go‑Live", "Go-Live"),
        ("Pha\u200bse\u00ad 2", "Phase 2"),
        (unicodedata.normalize("NFD", "Überführung"), "Ueberfuehrung"),
    ],
)
def test_one_spelling(typed: str, also: str) -> None:
    assert words(typed) == words(also)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zweite Phase", ["2", "phase"]),
        ("Phase zwei", ["phase", "2"]),
        ("7.416 Leistungen", ["7416", "leistungen"]),
        ("am 10.08.2021", ["am", "10", "08", "2021"]),
    ],
)
def test_numbers_are_digits(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(texts)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(texts)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(texts)
def test_nothing_invisible_remains(text: str) -> None:
    assert all(unicodedata.category(c) not in {"Cc", "Cf"} for c in clean(text))


@given(texts)
def test_umlauts_may_be_written_out(text: str) -> None:
    """But where an e follows, as in „Böe“: there the spellings differ."""
    letters = unicodedata.normalize("NFC", text.casefold())
    after = (
        unicodedata.normalize("NFD", right)[0] for left, right in pairwise(letters) if left in "äöü"
    )
    assume("e" not in after)
    spelt = text.replace("ä", "ae").replace("ö", "oe").replace("ß", "ss")
    assert fold(spelt) == fold(text)


@given(texts)
def test_words_are_words_whatever_the_text(text: str) -> None:
    assert all(word and not word.isspace() for word in words(text))


@given(texts)
def test_sentences_lose_no_word(text: str) -> None:
    assert words(" ".join(sentences(text))) == words(" ".join(text.split("\n")))


def test_abbreviations_end_no_sentence() -> None:
    assert sentences("Koord. Rolle: Aufg. lt. Folie?") == ["Koord. Rolle: Aufg. lt. Folie?"]
    assert abbreviations("Koord. Rolle") == {"koord"}


def test_a_giant_text_is_cut() -> None:
    assert len(clean("Ü" * 1_000_000)) <= language.MAX_CHARACTERS


def test_both_languages_have_their_own_stems() -> None:
    assert stem("leistungen") == stem("leistung")
    assert stem("services", "en") == stem("service", "en")
