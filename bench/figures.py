"""What the bot does with golden questions, whole replies included.

    python -m bench.figures [--show N] [--bless]

Percent of the answer and choice questions: right at once, right among the first three options,
silent (declined), wrong; percent of the declines declined, near the field and far from it.
An entry is right where it states all facts that the question asks for.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from bench.questions import FOLDERS, GOLDEN, Question, read, right_entries
from bot.chat import Conversation, Message, Outcome, Reply
from bot.content.knowledge import shipped
from bot.search.library import Edition, publish
from bot.talk.answering import State, answer

GOOD = frozenset(("right", "offered", "smalltalk", "near declined", "far declined"))
BLESSED = GOLDEN / "known-misses.txt"
AT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def ask(edition: Edition, question: str) -> Reply:
    place = Conversation("bench", "", "room")
    return answer(Message(place, "1", "asker", question, AT), State(), edition)[0]


def verdict(question: Question, reply: Reply, right: frozenset[str]) -> str:
    if question.kind == "smalltalk":
        answered = reply.outcome in (Outcome.ANSWER, Outcome.CHOICES)
        return "smalltalk answered" if answered else "smalltalk"
    if question.kind == "decline":
        distance = "far" if question.topic == "sonstiges" else "near"
        unanswered = reply.outcome in (Outcome.UNKNOWN, Outcome.SMALLTALK)
        return f"{distance} declined" if unanswered else f"{distance} {reply.outcome}"
    shown = {reply.entry, *(o.entry for o in reply.options)} if not reply.entry else {reply.entry}
    if reply.outcome is Outcome.ANSWER:
        return "right" if shown & right else "wrong"
    if reply.outcome is Outcome.CHOICES:
        return "offered" if {o.entry for o in reply.options[:3]} & right else "wrong"
    return "silent"


@cache
def judged() -> list[tuple[Path, Question, str]]:
    """Every golden question with the verdict on its reply."""
    edition = publish(shipped())
    return [
        (folder, question, verdict(question, ask(edition, question.q), right))
        for folder in FOLDERS
        for question in read(folder)
        for right in [right_entries(question, edition.base)]
    ]


def known_misses() -> set[tuple[str, str]]:
    """Folder and text of the questions that are known to get no right reply."""
    lines = BLESSED.read_text(encoding="utf-8").splitlines()
    return {tuple(json.loads(line)) for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--show", type=int, default=0, help="so many misses")
    parser.add_argument("--bless", action="store_true", help="list the present misses as known")
    arguments = parser.parse_args()
    misses = [(f, q, said) for f, q, said in judged() if said not in GOOD]
    for _, question, said in misses[: arguments.show]:
        print(f"{said:16} {question.style:10} {' / '.join(question.q.splitlines())[:120]}")
    for folder in FOLDERS:
        counts = Counter(said for place, _, said in judged() if place == folder)
        print(f"{folder.name}: {_line(counts)}")
    if arguments.bless:
        lines = sorted(json.dumps([f.name, q.q], ensure_ascii=False) for f, q, _ in misses)
        BLESSED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(counts: Counter[str]) -> str:
    parts = []
    for group in (("right", "offered", "silent", "wrong"), ("near ",), ("far ",), ("smalltalk",)):
        names = [n for n in counts if n.startswith(group)] if len(group) == 1 else list(group)
        total = sum(counts[n] for n in names)
        parts += [f"{n} {100 * counts[n] / max(1, total):.1f}" for n in sorted(names)]
    return ", ".join(parts)


if __name__ == "__main__":
    main()
