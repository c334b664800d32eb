"""Every check with a folder that it finds something in, and the sound folder that it leaves."""

from datetime import date
from pathlib import Path

import pytest

from bot.content.checks import CHECKS, breaking, check, subject_of
from bot.content.knowledge import Level, Problem, load

TODAY = date(2026, 11, 24)

SOUND = """\
entries:
- id: a
  title: Schritt 1 – Antrag
  answer: Der Antrag wird gestellt.
  questions: [Was ist ein Antrag?]
  keywords: [Antrag]
  links: {who: b}
  related: [b]
  contacts: [amt]
  sources: [{document: folien, quote: Der Antrag wird gestellt}]
  care: {owner: Amt, checked: 2026-01-01, review: 2027-01-01}
- id: b
  title: Schritt 2 – Bescheid
  answer: Der Bescheid ergeht.
  questions: [Wer erlässt ihn?]
  sources: [{document: folien}]
  care: {owner: Amt, checked: 2026-01-01, review: 2027-01-01}
series:
- {id: schritte, title: Schritte, entries: [a, b]}
documents:
- {id: folien, title: Folien, url: "https://a.de/"}
contacts:
- {id: amt, name: Amt, email: amt@a.de}
"""
SECOND = """\
- id: {id}
  title: {title}
  answer: Text.
  questions: [{question}]
  keywords: [{keyword}]
  sources: [{{document: folien}}]
  care: {{owner: Amt, checked: 2026-01-01, review: 2027-01-01}}
"""


def entries(*questions: str, keyword: str = "Wort") -> str:
    listed = [
        SECOND.format(id=f"e{n}", title=f"E{n}", question=q, keyword=keyword)
        for n, q in enumerate(questions)
    ]
    return "entries:\n" + "".join(listed)


# name of the check -> (what is replaced in SOUND, by what, what the message says, its line)
BROKEN: dict[str, tuple[str, str, str, int]] = {
    "ids_are_unique": ("- id: b", "- id: a", "„a“ gibt es schon in", 12),
    "entries_exist": ("{who: b}", "{who: bb}", "„bb“ gibt es nicht.", 7),
    "documents_exist": ("[{document: folien}]", "[{document: folie}]", "Meinten Sie „folien“?", 16),
    "contacts_exist": ("contacts: [amt]", "contacts: [amtt]", "Meinten Sie „amt“?", 9),
    "links_are_allowed": ("Der Bescheid", "Der [x](javascript:1)", "ist nicht erlaubt", 14),
    "drafts_are_not_linked": (
        "  questions: [Wer erlässt ihn?]\n  sources: [{document: folien}]\n"
        "  care: {owner: Amt, checked: 2026-01-01, review: 2027-01-01}",
        "  care: {owner: Amt, checked: 2026-01-01, review: 2027-01-01, status: entwurf}",
        "ist ein Entwurf",
        7,
    ),
    "links_lead_elsewhere": ("related: [b]", "related: [a]", "verweist auf sich selbst", 8),
    "series_are_sound": (
        "[a, b]}",
        "[a, b], unordered: [amt]}",
        "gehört nicht zur Reihe",
        19,
    ),
    "series_have_no_gaps": ("Schritt 2", "Schritt 3", "Auf Nummer 1 folgt Nummer 3.", 19),
    "entries_have_sources": ("  sources: [{document: folien}]\n", "", "Es fehlt die Quelle", 12),
    "sources_are_settled": (
        "[{document: folien}]",
        "[{document: folien, uncertain: true}]",
        "als unsicher markiert",
        16,
    ),
    "entries_are_cared_for": (
        "checked: 2026-01-01, review: 2027-01-01}\nseries",
        "checked: 2026-12-01, review: 2027-01-01}\nseries",
        "liegt in der Zukunft",
        17,
    ),
    "review_is_not_due": (
        "review: 2027-01-01}\nseries",
        "review: 2026-11-23}\nseries",
        "Seit 23.11.2026 fällig",
        17,
    ),
    "questions_are_unique": (
        "Wer erlässt ihn?",
        "was IST ein Antrag",
        "Diese Frage steht auch im Eintrag „a“",
        15,
    ),
    "questions_differ": (
        "Wer erlässt ihn?",
        "Was ist ein Antrags?",
        "Fast dieselbe Frage steht im Eintrag „a“",
        15,
    ),
    "not_for_is_no_keyword": (
        "keywords: [Antrag]",
        "keywords: [Antrag]\n  not_for: [antrag]",
        "zugleich Schlagwort",
        7,
    ),
    "answers_are_short": ("Der Bescheid ergeht.", "Wort " * 181, "höchstens 900", 14),
    "markdown_is_of_the_subset": (
        "answer: Der Bescheid ergeht.",
        "answer: '# Der Bescheid'",
        "eine Überschrift (#) wird nicht dargestellt",
        14,
    ),
    "proofs_prove": (
        "quote: Der Antrag wird gestellt",
        "quote: Etwas völlig anderes steht hier",
        "Der Beleg steht weder",
        10,
    ),
    "texts_are_known": ("series:", "texts: {declin: Nein.}\nseries:", "Meinten Sie „decline“?", 18),
    "cues_are_known": ("series:", "cues: {hlp: [Hilfe]}\nseries:", "Meinten Sie „help“?", 18),
    "letters_are_undamaged": ("name: Amt", "name: 0ZG-Amt", "„0ZG-Amt“ sieht nach", 23),
}
# checks whose breaking takes more than one replacement
BROKEN_FILES: dict[str, tuple[str, str, int]] = {
    "has_entries": ("topic: leer\n", "kein Eintrag", 1),
    "one_language": ("language: en\n", "sagt „de“", 1),
    "keywords_separate": (entries(*(f"Frage {n}" for n in range(9))), "in 9 Einträgen", 6),
    "synonyms_are_unique": (
        "synonyms:\n- words: [Amt, Behörde]\n- words: [Stelle, amt]\n",
        "Bitte zusammenlegen",
        3,
    ),
}


def found(folder: Path, name: str) -> list[Problem]:
    """What the one check says."""
    subject = subject_of(load(folder), TODAY)
    return [f.problem(level) for level, c in CHECKS if c.__name__ == name for f in c(subject)]


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_every_check_is_tried() -> None:
    assert {c.__name__ for _, c in CHECKS} == {*BROKEN, *BROKEN_FILES}


def test_a_sound_folder_has_no_problems(tmp_path: Path) -> None:
    assert check(load(write(tmp_path, a=SOUND)), TODAY) == ()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_entry_is_found_at_its_place(tmp_path: Path, name: str) -> None:
    before, after, says, line = BROKEN[name]
    assert SOUND.count(before) == 1, "the replacement must be unique"
    problems = found(write(tmp_path, a=SOUND.replace(before, after)), name)
    assert problems[0].position.line == line
    assert says in problems[0].text


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_found_at_its_place(tmp_path: Path, name: str) -> None:
    text, says, line = BROKEN_FILES[name]
    files = {} if name == "has_entries" else {"a": "language: de\n" + SOUND}
    problems = found(write(tmp_path, **files, b=text), name)
    assert problems[0].position.line == line
    assert says in problems[0].text


@pytest.mark.parametrize("target", ["„b“ gibt es", "„ghost“ gibt es"])
def test_references_are_not_judged_while_a_file_is_unreadable(tmp_path: Path, target: str) -> None:
    text = SOUND.replace("[a, b]", "[a, ghost]")
    write(tmp_path, a=text, z="a: b: c")
    assert not any(target in p.text for p in check(load(tmp_path), TODAY))


def test_an_entry_that_the_schema_refuses_can_still_be_referred_to(tmp_path: Path) -> None:
    write(tmp_path, a=SOUND.replace("who: b", "who: c"), b="entries: [{id: c, titel: C}]")
    assert not any("„c“ gibt es nicht" in p.text for p in check(load(tmp_path), TODAY))


def test_further_phrasings_belong_to_an_entry_and_are_unique(tmp_path: Path) -> None:
    write(tmp_path, a=SOUND, b="phrasings:\n  c: [Wie?]\n  b: [Was ist ein Antrag]\n")
    problems = check(load(tmp_path), TODAY)
    assert [p.position.line for p in problems] == [2, 3]
    assert "„c“ gibt es nicht" in problems[0].text
    assert "Diese Frage steht auch im Eintrag „a“" in problems[1].text


def test_a_text_with_a_gap_that_nobody_fills_is_told(tmp_path: Path) -> None:
    write(tmp_path, a=SOUND + 'texts: {decline: "Nein, {wer}."}\n')
    assert "{wer} wird in diesem Text nicht ersetzt." in check(load(tmp_path), TODAY)[0].text


def test_only_errors_keep_a_folder_out_of_force(tmp_path: Path) -> None:
    write(tmp_path, a=SOUND.replace("  sources: [{document: folien}]\n", ""))
    assert breaking(load(tmp_path)) == ()
    write(tmp_path, a=SOUND.replace("related: [b]", "related: [ghost]"))
    assert [p.field for p in breaking(load(tmp_path))] == ["related"]


def test_the_smallest_folder_has_warnings_only(tmp_path: Path) -> None:
    write(tmp_path, a="entries: [{id: a, title: A, questions: [Was ist A?], answer: A ist A.}]")
    problems = check(load(tmp_path), TODAY)
    assert problems
    assert {p.level for p in problems} == {Level.WARNING}


@pytest.mark.parametrize(
    ("damaged", "meant"),
    [
        ("0zg-mf@a.de", "ozg-mf@a.de"),
        ("0ZG", "OZG"),
        ("Au l3en".replace(" ", ""), "Außen"),
        ("Pr0jekt", "Projekt"),
        ("Prufung", "Prüfung"),
        ("fur", "für"),
        ("Zustandigkeit", "Zuständigkeit"),
    ],
)
def test_reading_errors_are_found(tmp_path: Path, damaged: str, meant: str) -> None:
    write(tmp_path, a=SOUND.replace("Der Bescheid", f"Der {damaged}"))
    problem = check(load(tmp_path), TODAY)[0]
    assert f"„{damaged}“" in problem.text
    assert f"Meinten Sie „{meant}“?" in problem.text


@pytest.mark.parametrize(
    "sound",
    [
        "115",
        "0391 567-1030",
        "W3C",
        "OZG 2.0",
        "02.04.2025",
        "https://a.de/0zg/Prufung",
        "v1.2",
        "10er",
    ],
)
def test_sound_words_are_no_reading_errors(tmp_path: Path, sound: str) -> None:
    write(tmp_path, a=SOUND.replace("Der Bescheid", f"Der {sound}"))
    assert check(load(tmp_path), TODAY) == ()


def test_numbers_tell_questions_apart(tmp_path: Path) -> None:
    write(tmp_path, a=SOUND, b=entries("Was kommt nach Phase 1?", "Was kommt nach Phase 2?"))
    assert check(load(tmp_path), TODAY) == ()
