"""A base is asked its own questions."""

from datetime import date
from pathlib import Path

from bot.content.checks import check, subject_of
from bot.content.knowledge import Level, load, shipped
from bot.search.library import edition_of
from bot.talk.probes import PROBES, answers_fit, examine, own_questions_hit

TODAY = date(2026, 11, 24)
ENTRY = """\
- id: {id}
  title: {title}
  answer: {answer}
  questions: [{question}]
  sources: [{{document: folien}}]
  care: {{owner: Amt, checked: 2026-01-01, review: 2027-01-01}}
"""


def entry(id_: str, title: str, question: str) -> str:
    return ENTRY.format(id=id_, title=title, answer="Es leuchtet.", question=question)


LIGHT = entry("licht", "Straßenlicht", "Wo ist Licht?")
WATER = entry("wasser", "Trinkwasser", "Wo ist Wasser?")
REST = "documents: [{id: folien, title: Folien}]\n"


def said(folder: Path, *entries: str) -> list[str]:
    (folder / "a.yaml").write_text("entries:\n" + "".join(entries) + REST, encoding="utf-8")
    return [str(p) for p in examine(folder, TODAY, shipped())]


def test_a_sound_base_passes(tmp_path: Path) -> None:
    assert said(tmp_path, LIGHT, WATER) == []


def test_a_question_that_finds_another_entry_is_told(tmp_path: Path) -> None:
    told = said(tmp_path, LIGHT, entry("wasser", "Trinkwasser", "Wo ist Licht?"))
    assert any("„Wo ist Licht?“ führt nicht zu „wasser“, gefunden wird" in t for t in told)


def test_further_phrasings_are_asked_too(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("phrasings:\n  wasser: [Wo ist Licht?]\n", encoding="utf-8")
    told = said(tmp_path, LIGHT, WATER)
    assert any("b.yaml:2:12 WARNUNG" in t and "führt nicht zu „wasser“" in t for t in told), told


def test_a_missed_hit_and_a_hit_miss_are_told(tmp_path: Path) -> None:
    tests = "  tests: {hits: [Wo ist Wasser?], misses: [Wo ist Licht?]}\n"
    told = said(tmp_path, LIGHT + tests, WATER)
    assert any("hits: „Wo ist Wasser?“ → „wasser“ statt „licht“. Werte:" in t for t in told), told
    assert any("misses: „Wo ist Licht?“ führt hierher, soll es aber nicht." in t for t in told)


def test_an_answer_that_would_be_cut_is_told(tmp_path: Path) -> None:
    long = LIGHT.replace("Es leuchtet.", "Es leuchtet hell. " * 49)
    crowded = REST.replace("Folien", "Folien " + "x" * 290)
    (tmp_path / "a.yaml").write_text(f"entries:\n{long}{crowded}", encoding="utf-8")
    told = [p.text for p in examine(tmp_path, TODAY, shipped())]
    assert told == ["Mit Quellen und Hinweisen ist die Antwort zu lang und wird gekürzt."]


def test_an_error_comes_before_any_probe(tmp_path: Path) -> None:
    told = said(tmp_path, LIGHT + "  related: [ghost]\n  tests: {hits: [Wo ist Wasser?]}\n", WATER)
    assert len(told) == 1
    assert "ghost" in told[0]


def test_a_single_file_is_judged_within_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("entries:\n" + LIGHT + "  related: [wasser]\n" + REST)
    (tmp_path / "b.yaml").write_text("entries:\n" + WATER + "  related: [ghost]\n")
    assert examine(tmp_path / "a.yaml", TODAY, shipped()) == ()
    assert len(examine(tmp_path / "b.yaml", TODAY, shipped())) == 1


def test_every_probe_is_listed() -> None:
    assert [p.__name__ for p in PROBES] == ["own_questions_hit", "own_tests_pass", "answers_fit"]


def test_the_shipped_files_have_neither_errors_nor_warnings() -> None:
    """What the files themselves show; a review date that passes fails no build."""
    found = check(load(shipped()), date.today())  # noqa: DTZ011
    assert [str(p) for p in found if p.field != "review"] == []


def test_every_question_of_the_shipped_base_finds_its_entry() -> None:
    loaded = load(shipped())
    assert loaded.base is not None
    subject, edition = subject_of(loaded, TODAY), edition_of(loaded.base)
    found = [*own_questions_hit(subject, edition), *answers_fit(subject, edition)]
    assert [f"{f.place}: {f.text}" for f in found] == []


def test_the_levels_are_those_that_editors_know() -> None:
    assert [level.value for level in Level] == ["FEHLER", "WARNUNG"]
