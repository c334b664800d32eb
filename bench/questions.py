"""The golden questions, and which entries answer them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot.content.knowledge import KnowledgeBase
from bot.content.yamltext import read as read_yaml

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
FOLDERS = (GOLDEN, GOLDEN / "second", GOLDEN / "third")
"""The first set helped to write the knowledge, the others fit the confidence."""


@dataclass(frozen=True, slots=True)
class Question:
    q: str
    kind: str  # answer, choice, decline, smalltalk
    style: str
    topic: str
    facts: frozenset[str] = frozenset()


def read(folder: Path) -> list[Question]:
    """The questions of the YAML files right in `folder`, in the order of their names."""
    return [
        Question(**{**case, "facts": frozenset(case.get("facts", ()))})
        for path in sorted(folder.glob("*.yaml"))
        for case in read_yaml(path.read_text(encoding="utf-8")).data
    ]


def right_entries(question: Question, base: KnowledgeBase) -> frozenset[str]:
    """Entries that state all facts asked for; for a choice, one of them is enough."""
    return frozenset(
        entry.id
        for entry in base.entries.values()
        for stated in [{fact for source in entry.sources for fact in source.facts}]
        if (question.facts & stated if question.kind == "choice" else question.facts <= stated)
        and question.facts
    )
