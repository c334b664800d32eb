"""Loading collects every problem in German and never raises."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from bot.content.knowledge import (
    MAX_BYTES,
    KnowledgeFile,
    Level,
    Loaded,
    load,
    schema,
    shipped,
    suggest,
    yaml_files,
)

SMALL = """\
entries:
- id: a
  title: A
  questions: [Was ist A?]
  answer: A ist A.
"""


def loaded(folder: Path, **files: str) -> Loaded:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load(folder)


def test_the_smallest_file_is_a_knowledge_base(tmp_path: Path) -> None:
    base = loaded(tmp_path, a=SMALL).base
    assert base is not None
    assert base.language == "de"
    assert base.entries["a"].answer == "A ist A."


def test_numbers_dates_and_times_are_text(tmp_path: Path) -> None:
    text = SMALL.replace("title: A", "title: 115").replace("Was ist A?", "2021-08-18, 12:30, no")
    base = loaded(tmp_path, a=text).base
    assert base is not None
    assert base.entries["a"].title == "115"
    assert base.entries["a"].questions == ("2021-08-18", "12:30", "no")


def test_a_draft_is_not_in_force(tmp_path: Path) -> None:
    care = "  care: {owner: x, checked: 2026-01-01, review: 2027-01-01, status: entwurf}\n"
    base = loaded(tmp_path, a=SMALL + care).base
    assert base is not None
    assert not base.entries


def test_all_problems_of_all_files_come_at_once_and_sorted(tmp_path: Path) -> None:
    problems = loaded(
        tmp_path,
        b="entries:\n- id: b\n  titel: B\n  answer: B\n  questions: Was?\n",
        a="a: b: c",
        c="- x",
    ).problems
    assert [(Path(p.path).name, p.position.line, p.field) for p in problems] == [
        ("a.yaml", 1, ""),
        ("b.yaml", 2, "title"),
        ("b.yaml", 3, "titel"),
        ("b.yaml", 5, "questions"),
        ("c.yaml", 1, ""),
    ]
    assert all(p.level is Level.ERROR for p in problems)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("id: A b", "id: Nur Kleinbuchstaben a–z, Ziffern und Bindestriche dazwischen."),
        ("titel: x", "titel: Ein Feld „titel“ gibt es hier nicht. Meinten Sie „title“?"),
        ("xyzzy: x", "xyzzy: Ein Feld „xyzzy“ gibt es hier nicht."),
        ("answer:", "answer: Hier muss Text stehen."),
        ("answer: ''", "answer: Der Text ist leer."),
        ("title: " + "x" * 301, "title: Der Text ist länger als 300 Zeichen."),
        ("keywords: x", "keywords: Hier muss eine Liste stehen, jede Zeile mit „- “ davor."),
        ("kind: lücke", "kind: Erlaubt ist nur: antwort oder luecke."),
        ("links: x", "links: Hier müssen eingerückte Felder stehen."),
        ("links: {wer: x}", "wer: Ein Feld „wer“ gibt es hier nicht."),
        ("sources: [{document: x, urs: y}]", "urs: Ein Feld „urs“ gibt es hier nicht."),
        ("sources: [{document: x, uncertain: vielleicht}]", "uncertain: Hier muss true oder"),
        ("care: {owner: x, checked: morgen, review: 2027-01-01}", "checked: Hier muss ein Datum"),
        ("care: {owner: x, checked: 2026-02-30, review: 2027-01-01}", "checked: Hier muss ein"),
        ("care: {owner: x}", "checked: Dieses Feld fehlt."),
    ],
)
def test_a_wrong_field_is_explained_in_german(tmp_path: Path, typed: str, said: str) -> None:
    name = typed.partition(":")[0]
    rest = [line for line in SMALL.splitlines()[1:] if line.strip("- ").partition(":")[0] != name]
    entry = "\n".join(["entries:", f"- {typed}", *(f"  {line.strip('- ')}" for line in rest)])
    problems = loaded(tmp_path, a=entry).problems
    assert said in "\n".join(map(str, problems))
    assert not any("nput" in p.text for p in problems), "Pydantic's English shows through"


def test_a_series_needs_two_entries_and_a_known_language(tmp_path: Path) -> None:
    text = "language: fr\nseries: [{id: s, title: S, entries: [a]}]\ntexts: [x]\n"
    said = "\n".join(p.text for p in loaded(tmp_path, a=text).problems)
    assert "mindestens 2 Zeilen" in said
    assert "Erlaubt ist nur: de oder en." in said
    assert "eingerückte Felder" in said


def test_unreadable_files_are_problems(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("title: Außengastronomie".encode("latin-1"))
    (tmp_path / "giant.yaml").write_bytes(b"# " + b"x" * MAX_BYTES)
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    said = {Path(p.path).name: p.text for p in load(tmp_path).problems}
    assert "UTF-8" in said["latin.yaml"]
    assert "größer als 1 MB" in said["giant.yaml"]
    assert "lässt sich nicht lesen" in said["gone.yaml"]


def test_an_empty_folder_says_where_to_look(tmp_path: Path) -> None:
    assert "LOTSE_KNOWLEDGE_DIR" in str(load(tmp_path).problems[0])


def test_hidden_and_foreign_files_do_not_count(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", ".#a.yaml", "c.json", "d.md"):
        (tmp_path / name).write_text("")
    assert [p.name for p in yaml_files(tmp_path)] == ["a.yaml", "b.yml"]


def test_a_byte_order_mark_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL, encoding="utf-8-sig")
    assert load(tmp_path).base is not None


def test_the_revision_follows_the_content(tmp_path: Path) -> None:
    first = loaded(tmp_path, a=SMALL).base
    again = load(tmp_path).base
    other = loaded(tmp_path, a=SMALL + "\n").base
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.revision == again.revision != other.revision


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert suggest("phase-3-planug", ["phase-3-planung", "phase-2"]).endswith("„phase-3-planung“?")
    assert suggest("xyz", ["phase-3-planung"]) == ""


def test_the_schema_in_the_folder_is_fresh() -> None:
    written = (shipped() / "schema.json").read_text(encoding="utf-8")
    assert written == schema(), "Bitte `make schema` aufrufen."


def test_the_schema_accepts_the_shipped_files_and_refuses_a_wrong_field() -> None:
    validator = jsonschema.Draft202012Validator(KnowledgeFile.model_json_schema())
    for path in yaml_files(shipped()):
        data = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
        wrong = [e for e in validator.iter_errors(data) if e.validator != "type"]
        assert not wrong, f"{path.name}: {wrong[0].message}"
    assert not validator.is_valid({"entries": [{"id": "a", "titel": "A"}]})


def test_every_field_explains_itself_to_the_editor() -> None:
    definitions = KnowledgeFile.model_json_schema()["$defs"]
    mute = {
        f"{model}.{field}"
        for model in ("Entry", "Links", "Reference", "Care", "Tests", "Series")
        for field, said in definitions[model]["properties"].items()
        if "description" not in said
    }
    assert mute == {"Series.id"}


def test_every_shipped_file_names_the_schema() -> None:
    first = {
        p.name: p.read_text(encoding="utf-8").partition("\n")[0] for p in yaml_files(shipped())
    }
    assert [n for n, line in first.items() if "schema.json" not in line] == []
