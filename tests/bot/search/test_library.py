"""The library swaps whole, good editions and keeps the last one otherwise."""

from pathlib import Path

import pytest

from bot.content.knowledge import shipped, shipped_words
from bot.search.library import BrokenKnowledge, Library, publish

SMALL = "entries:\n- {id: a, title: A, questions: [Was ist A?], answer: A ist A.}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(SMALL)
    return tmp_path


def test_the_smallest_folder_is_put_in_force(folder: Path) -> None:
    edition = publish(folder)
    assert list(edition.base.entries) == ["a"]
    assert edition.index.match("Was ist A?")[0].entry == "a"


def test_a_folder_without_words_of_its_own_gets_the_shipped_ones(folder: Path) -> None:
    (folder / "b.yaml").write_text("texts: {decline: Nein.}\n")
    texts = publish(folder).base.texts
    assert texts["decline"] == "Nein."
    assert set(texts) == set(shipped_words()[0])


def test_a_broken_folder_is_refused_with_its_problems(folder: Path) -> None:
    (folder / "a.yaml").write_text(SMALL.replace("title", "titel"))
    with pytest.raises(BrokenKnowledge, match="Meinten Sie „title“"):
        Library(folder)


def test_an_unknown_reference_keeps_a_folder_out_of_force(folder: Path) -> None:
    (folder / "a.yaml").write_text(SMALL.replace("answer", "related: [b], answer"))
    with pytest.raises(BrokenKnowledge, match="„b“ gibt es nicht"):
        Library(folder)


def test_a_changed_file_is_taken_over(folder: Path) -> None:
    library = Library(folder)
    before = library.edition
    assert not library.refresh()
    assert library.edition is before
    (folder / "a.yaml").write_text(SMALL.replace("A ist A.", "A ist neu."))
    assert library.refresh()
    assert library.edition.base.entries["a"].answer == "A ist neu."
    assert library.edition.base.revision != before.base.revision
    assert before.base.entries["a"].answer == "A ist A."


def test_a_touched_file_is_no_new_edition(folder: Path) -> None:
    library = Library(folder)
    (folder / "a.yaml").write_text(SMALL)
    assert not library.refresh()


@pytest.mark.parametrize("broken", ["entries: [", "entries: 1", "", "\x00"])
def test_a_broken_change_keeps_the_old_edition_and_says_so(folder: Path, broken: str) -> None:
    library = Library(folder)
    before = library.edition
    (folder / "a.yaml").write_text(broken)
    assert not library.refresh()
    assert library.edition is before
    assert library.problems
    (folder / "a.yaml").write_text(SMALL)
    library.refresh()
    assert not library.problems


def test_a_vanished_folder_keeps_the_old_edition(folder: Path) -> None:
    library = Library(folder)
    (folder / "a.yaml").unlink()
    folder.rmdir()
    assert not library.refresh()
    assert list(library.edition.base.entries) == ["a"]
    assert "liegt keine YAML-Datei" in str(library.problems[0])


def test_the_shipped_knowledge_is_put_in_force() -> None:
    assert len(publish(shipped()).base.entries) > 50
