"""The agenda of the next Sprechstunde: open questions by topic with the present answer.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from bot.content.knowledge import KnowledgeBase
from bot.markup import plain_text
from bot.serve.journal import Item
from bot.serve.tables import Kind

NO_TOPIC = "Ohne Thema"
ANSWER_SHOWN = 300  # characters of the present answer

_HOW = {
    Kind.AGENDA: "vorgemerkt",
    Kind.HANDED_OVER: "an das Team gegeben",
    Kind.UNANSWERED: "ohne Antwort geblieben",
}


def agenda_markdown(items: Iterable[Item], base: KnowledgeBase) -> str:
    """Markdown: a heading per topic in the order of the knowledge, each question once."""
    topics = {entry.id: topic.title for topic in base.topics for entry in topic.entries}
    groups: dict[str, dict[str, list[Item]]] = {}
    for item in items:
        topic = topics.get(_entry(item), "") or NO_TOPIC
        groups.setdefault(topic, {}).setdefault(item.question.casefold(), []).append(item)
    if not groups:
        return "# Tagesordnung der nächsten Sprechstunde\n\nEs ist nichts vorgemerkt.\n"
    order = [*dict.fromkeys(topics.values()), NO_TOPIC]
    lines = ["# Tagesordnung der nächsten Sprechstunde"]
    for topic in sorted(groups, key=order.index):
        lines += ["", f"## {topic}", ""]
        for same in groups[topic].values():
            lines += _question(same, base)
    return "\n".join(lines) + "\n"


def _entry(item: Item) -> str:
    return item.entry or next(iter(item.nearest), "")


def _question(same: list[Item], base: KnowledgeBase) -> list[str]:
    item = same[0]
    marks = [_HOW[kind] for kind in _HOW if any(i.kind is kind for i in same)]
    names = sorted({i.name for i in same if i.name})
    when = datetime.fromtimestamp(item.at, UTC).strftime("%d.%m.%Y")
    count = f"{len(same)}-mal, " if len(same) > 1 else ""
    details = f"{count}zuerst am {when}, {', '.join(marks)}"
    lines = [f"- **{_escaped(item.question)}** ({details})"]
    if names:
        lines.append(f"  - gefragt von: {_escaped(', '.join(names))}")
    if any(i.noted for i in same):
        lines.append("  - soll ins Wissen aufgenommen werden")
    entry = base.entries.get(_entry(item))
    if entry is not None:
        answer = re.sub(r"\s+", " ", plain_text(entry.answer))
        short = (
            answer
            if len(answer) <= ANSWER_SHOWN
            else answer[:ANSWER_SHOWN].rsplit(" ", 1)[0] + " …"
        )
        lines.append(f"  - jetzige Antwort ({entry.title}): {_escaped(short)}")
    return lines


def _escaped(text: str) -> str:
    """One line that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", re.sub(r"\s+", " ", text))
