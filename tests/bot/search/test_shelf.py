"""What is kept on disk gives the same answers, and is never trusted more than it deserves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bot.content.knowledge import KnowledgeBase
from bot.search import shelf
from bot.search.learning import learned
from bot.search.matching import Index
from tests.bot.search.test_matching import ENTRIES, base

QUESTIONS = ("was ist efa", "Wann wird geplannt?", "konto antrag preis", "Pizza")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOTSE_CACHE_DIR", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def known(revision: str = "abc") -> KnowledgeBase:
    return replace(base(), revision=revision)


def answers(index: Index) -> list[list[tuple[str, float]]]:
    return [[(m.entry, m.score) for m in index.match(question)] for question in QUESTIONS]


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def test_a_copy_answers_like_the_original(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shelf.index_of(known())
    assert len(copies(folder)) == 1
    monkeypatch.setattr(shelf, "learned", lambda _: pytest.fail("worked out twice"))
    second = shelf.index_of(known())
    assert answers(second) == answers(first) == answers(Index(known()))
    assert second.explain("Wann wird geplannt?", "phase-3") == first.explain(
        "Wann wird geplannt?", "phase-3"
    )


def test_a_base_too_large_to_learn_from_is_kept_as_well() -> None:
    entries = [
        ENTRIES[0].model_copy(update={"id": f"e{n}", "title": f"Amt {n}"}) for n in range(2001)
    ]
    many = replace(base(*entries), revision="many")
    assert shelf.index_of(many).learned.lesson is None
    assert shelf.index_of(many).match("Amt 77")[0].entry == "e77"


def test_an_empty_base_is_kept_as_well() -> None:
    empty = KnowledgeBase("de", {}, revision="empty")
    assert [shelf.index_of(empty).match("Was ist EfA?") for _ in range(2)] == [[], []]


def test_other_knowledge_has_another_copy(folder: Path) -> None:
    shelf.index_of(known("abc"))
    shelf.index_of(known("abd"))
    assert len(copies(folder)) == 2


@pytest.mark.parametrize("length", [0, 10, 1_000, -1])
def test_a_damaged_copy_is_replaced(folder: Path, length: int) -> None:
    shelf.index_of(known())
    (path,) = copies(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    assert answers(shelf.index_of(known())) == answers(Index(known()))
    assert path.read_bytes() == whole


def test_a_copy_that_holds_code_is_not_run(folder: Path) -> None:
    shelf.index_of(known())
    (path,) = copies(folder)
    with path.open("wb") as file:
        np.savez(file, owners=np.array([{"an": "object"}], dtype=object))
    assert answers(shelf.index_of(known())) == answers(Index(known()))


def test_only_the_copies_used_last_stay(folder: Path) -> None:
    for number in range(shelf.KEPT + 3):
        shelf.index_of(known(str(number)))
    assert len(copies(folder)) == shelf.KEPT


@pytest.mark.parametrize("place", ["a file", "a file/below"])
def test_without_a_usable_folder_it_works_all_the_same(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("in the way")
    monkeypatch.setenv("LOTSE_CACHE_DIR", str(tmp_path / place))
    assert answers(shelf.index_of(known())) == answers(Index(known()))


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert answers(shelf.index_of(known())) == answers(Index(known()))
    assert copies(folder) == []


def test_where_the_copies_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOTSE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert shelf.folder() == tmp_path / "ozg-lotse"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shelf.folder() == tmp_path / ".cache" / "ozg-lotse"


def test_what_is_kept_is_what_was_worked_out() -> None:
    packed = shelf._packed(learned(known()))
    again = shelf._packed(shelf._unpacked(packed))
    assert packed.keys() == again.keys()
    assert all(np.array_equal(packed[name], again[name]) for name in packed)
