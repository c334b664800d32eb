"""Holds the knowledge in force: swapped whole when files change, never half, never broken."""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass, replace
from pathlib import Path

from bot.content.checks import breaking
from bot.content.knowledge import KnowledgeBase, Problem, load, shipped_words, yaml_files
from bot.search.matching import Index
from bot.search.shelf import index_of


@dataclass(frozen=True, slots=True)
class Edition:
    """One state of the knowledge with its index; immutable, so a reply sees one state only."""

    base: KnowledgeBase
    index: Index


class BrokenKnowledge(Exception):
    """The folder cannot be put in force; `problems` say why, in German."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Library:
    """The edition in force of one folder.  Raises `BrokenKnowledge` where there is none yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen = _fingerprint(folder)
        self.edition = publish(folder)
        self.problems: tuple[Problem, ...] = ()
        """Why the files on disk are not in force; empty while they are."""

    def refresh(self) -> bool:
        """Take over changed files; True where a new edition came in force.

        Reads files and builds an index, which takes seconds: call it off any event loop.
        """
        seen = _fingerprint(self.folder)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            edition = publish(self.folder)
        except BrokenKnowledge as broken:
            self.problems = broken.problems
            return False
        self.problems = ()
        changed = edition.base.revision != self.edition.base.revision
        self.edition = edition
        return changed


def publish(folder: Path) -> Edition:
    """Load and index a folder.  Raises `BrokenKnowledge` for anything that breaks a reply."""
    loaded = load(folder)
    problems = breaking(loaded)
    if loaded.base is None or problems:
        raise BrokenKnowledge(problems)
    base = _with_shipped_words(loaded.base)
    edition = Edition(base, index_of(base))
    _give_memory_back()
    return edition


def _give_memory_back() -> None:
    """Building needs some 80 MiB for a moment; glibc keeps them unless told otherwise."""
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)


def edition_of(base: KnowledgeBase) -> Edition:
    """Index a base that was put together in memory."""
    base = _with_shipped_words(base)
    return Edition(base, Index(base))


def _with_shipped_words(base: KnowledgeBase) -> KnowledgeBase:
    """The bot's own texts and cues stand in where the base brings none."""
    texts, cues = shipped_words()
    return replace(base, texts={**texts, **base.texts}, cues={**cues, **base.cues})


def _fingerprint(folder: Path) -> frozenset[tuple[str, int, int, int]]:
    """Names, sizes and times of the files; a file that vanishes meanwhile counts as gone."""
    marks = set()
    for path in yaml_files(folder):
        try:
            stat = path.stat()
        except OSError:
            continue
        marks.add((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return frozenset(marks)
