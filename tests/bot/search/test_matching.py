"""Matching on a small base: what is found, how, how surely, and whatever is typed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.content.knowledge import Entry, Kind, KnowledgeBase, KnowledgeFile, assemble
from bot.search.confidence import (
    WEIGHTS,
    Evidence,
    Overall,
    confidence,
    inputs,
    inputs_alone,
    inputs_of_nothing,
)
from bot.search.matching import Index
from bot.talk.deciding import ANSWER


def entry(entry_id: str, title: str, *questions: str, **more: object) -> Entry:
    return Entry(id=entry_id, title=title, answer=f"{title}.", questions=questions, **more)


ENTRIES = (
    entry("efa", "Einer für Alle (EfA)", "Was ist EfA?", "Wer entwickelt bei Einer für Alle?"),
    entry("phase-2", "Phase 2 – Prüfung", "Was passiert in Phase 2?", "Was wird geprüft?"),
    entry("phase-3", "Phase 3 – Planung", "Was passiert in Phase 3?", "Wann wird geplant?"),
    entry("konto", "Servicekonto", "Über welches Servicekonto läuft der Antrag?"),
    entry(
        "luecke-kosten", "Kosten", "Was kostet das?", "Wie teuer ist EfA?", kind=Kind.GAP,
        keywords=("Euro", "Preis"),
    ),
)  # fmt: skip


def base(*entries: Entry, **more: object) -> KnowledgeBase:
    return assemble([KnowledgeFile(topic="Test", entries=entries or ENTRIES, **more)])


INDEX = Index(base(synonyms=[{"words": ["Etappe", "Phase"]}, {"words": ["Entgelt", "Preis"]}]))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("was ist efa", "efa"),
        ("Einer fuer Alle, was bedeutet das", "efa"),
        ("was pasiert in Fase 2", "phase-2"),
        ("Etappe zwei", "phase-2"),
        ("dritte Phase", "phase-3"),
        ("Ph. 3?", "phase-3"),
        ("Service Konto", "konto"),
        ("Servicekontoantrag", "konto"),
        ("welcher preis in euro", "luecke-kosten"),
        ("Entgelt?", "luecke-kosten"),
        (
            "Sehr geehrte Damen und Herren, ich bin neu im Amt und habe vom Bürgermeister gleich "
            "am ersten Tag einen Stapel Akten bekommen.\nWas passiert in Phase 3?\nViele Grüße",
            "phase-3",
        ),
    ],
)
def test_best_entry(question: str, expected: str) -> None:
    assert INDEX.match(question)[0].entry == expected


def test_what_an_editor_wrote_is_certain() -> None:
    assert INDEX.match("Was wird geprüft?")[0].score >= 0.99


@pytest.mark.parametrize("question", ["Öffnungszeiten Freibad", "Pizza bestellen", "asdfghjkl"])
def test_foreign_questions_get_no_answer(question: str) -> None:
    assert INDEX.match(question)[0].score < ANSWER


def test_the_order_of_entries_does_not_matter() -> None:
    turned = Index(base(*reversed(ENTRIES)))
    straight = Index(base(*ENTRIES))
    for question in ("was ist efa", "planung prüfung", "konto antrag preis"):
        ours = [(m.entry, round(m.score, 4)) for m in straight.match(question)]
        assert [(m.entry, round(m.score, 4)) for m in turned.match(question)] == ours


@given(st.text(max_size=300))
def test_any_text_gets_ordered_probabilities(text: str) -> None:
    scores = [m.score for m in INDEX.match(text)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@given(st.sampled_from(["Prüfung in Phase 2", "Servicekonto für den Antrag", "Wer entwickelt EfA"]))
def test_spelling_changes_nothing(text: str) -> None:
    spelt = text.upper().replace("Ü", "UE")
    assert INDEX.match(spelt) == INDEX.match(text)


def test_asking_twice_gives_the_same() -> None:
    assert INDEX.match("Etappe 2 Prüfung") == INDEX.match("Etappe 2 Prüfung")


@pytest.mark.parametrize(
    ("question", "word", "how"),
    [
        ("Prüfung", "prufung", "exact"),
        ("Prüfunk", "prufunk", "typo"),
        ("Prüfungsphase", "prufungsphase", "compound"),
        ("Prüf. in Ph. 2", "ph", "abbreviation"),
        ("Etappe 2", "etappe", "synonym"),
    ],
)
def test_the_explanation_says_how_a_word_was_found(question: str, word: str, how: str) -> None:
    explained = INDEX.explain(question, "phase-2")
    assert (word, how) in {(w.word, w.how) for w in explained.words}


def test_the_explanation_names_what_was_not_found() -> None:
    assert "krokodil" in INDEX.explain("Krokodil in Phase 2", "phase-2").unmatched


def test_what_an_entry_is_not_for_speaks_against_it() -> None:
    plain, warned = entry("a", "Antrag", "Wie stelle ich den Antrag?"), entry("b", "Bescheid")
    question = "Antrag BundID stellen"
    before = {m.entry: m.score for m in Index(base(plain, warned)).match(question)}
    careful = plain.model_copy(update={"not_for": ("BundID",)})
    after = {m.entry: m.score for m in Index(base(careful, warned)).match(question)}
    assert after["a"] < before["a"] / 2


def test_without_learning_the_right_entry_is_found_too() -> None:
    index = INDEX.unlearned()
    assert index.match("was ist efa")[0].entry == "efa"
    assert index.match("Was passiert in Fase 2")[0].entry == "phase-2"


def test_a_base_of_one_entry_and_of_none() -> None:
    assert Index(base(ENTRIES[0])).match("Was ist EfA?")[0].entry == "efa"
    assert Index(KnowledgeBase("de", {})).match("Was ist EfA?") == []


def test_a_large_base_merges_phrasings_and_still_finds() -> None:
    chance = random.Random(3)
    syllables = ("ka", "lo", "mi", "ster", "burg", "rund")
    names = [f"{''.join(chance.choices(syllables, k=3))}{n}" for n in range(400)]
    entries = [
        entry(f"e{n}", f"Amt {name}", *(f"Frage {i} an {name}" for i in range(6)))
        for n, name in enumerate(names)
    ]
    index = Index(base(*entries))
    assert index.match(f"Frage an {names[7]}")[0].entry == "e7"


WEAK = Evidence(
    gap=False, phrasings=20, strength=0.2, nearest=0.4, few=0.35, many=0.3,
    by_words=0.2, by_grams=0.2,
    votes=0.4, coverage=0.4,
)  # fmt: skip
STRONG = Evidence(
    gap=False, phrasings=20, strength=0.8, nearest=0.8, few=0.7, many=0.5,
    by_words=0.4, by_grams=0.4,
    votes=0.9, coverage=0.9,
)  # fmt: skip
OVERALL = Overall(
    phrasings=20, known=0.8, length=6, gaps=0.2, answers=0.8, likely_gaps=0.3, likely_answers=0.9
)


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("gaps", [True, False])
def test_what_fits_better_is_likelier(learned: bool, gaps: bool) -> None:
    alone, weak = (
        confidence([one], OVERALL, learned=learned, gaps=gaps)[0] for one in (STRONG, WEAK)
    )
    assert alone > weak
    beside = confidence([STRONG, WEAK], OVERALL, learned=learned, gaps=gaps)
    assert beside[0] > beside[1]


def test_with_gaps_the_entries_share_what_is_not_nothing() -> None:
    shares = confidence([STRONG, WEAK, WEAK], OVERALL, learned=True, gaps=True)
    assert 0 < sum(shares) < 1


def test_what_an_editor_ruled_out_is_less_likely() -> None:
    unwanted = replace(STRONG, unwanted=True)
    for gaps in (True, False):
        ruled_out, wanted = (
            confidence([one, WEAK], OVERALL, learned=True, gaps=gaps)[0]
            for one in (unwanted, STRONG)
        )
        assert ruled_out < wanted


def test_the_weights_fit_the_inputs() -> None:
    sizes = {
        "answer": len(inputs(WEAK)),
        "gap": len(inputs(WEAK)),
        "nothing": len(inputs_of_nothing([WEAK], OVERALL)),
        "alone": len(inputs_alone([WEAK], 0, OVERALL)),
    }
    for weights in WEIGHTS.values():
        assert {name: len(values) for name, values in weights.items()} == sizes


def test_a_sentence_that_says_little_is_read_with_the_one_before_it() -> None:
    mail = (
        "Guten Tag,\nbei uns im Rathaus am Markt liegt seit Montag ein dicker Ordner mit vielen "
        "bunten Zetteln. Auf einem steht etwas vom Servicekonto. Was ist das?\nGruß, Tim"
    )
    assert INDEX.match(mail)[0].entry == "konto"
