"""What the bot does with golden questions, whole replies included.

    python bench/figures.py [tests/golden …] [--show N]

Percent of the answer and choice questions: right at once, right among the first three options,
silent (declined), wrong; percent of the declines declined, near the field and far from it.
An entry is right where it states all facts that the question asks for.
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from bench.questions import Question, read, right_entries
from bot.answering import State, answer
from bot.chat import Conversation, Message, Outcome, Reply
from bot.knowledge import shipped
from bot.library import Edition, publish

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def ask(edition: Edition, question: str) -> Reply:
    place = Conversation("bench", "", "room")
    return answer(Message(place, "1", "asker", question, AT), State(), edition)[0]


def verdict(question: Question, reply: Reply, right: frozenset[str]) -> str:
    if question.kind == "smalltalk":
        kind = reply.outcome in (Outcome.SMALLTALK, Outcome.UNKNOWN)
        return "smalltalk" if kind else "smalltalk answered"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="*", default=[Path("tests/golden")])
    parser.add_argument("--show", type=int, default=0, help="so many misses")
    arguments = parser.parse_args()
    edition = publish(shipped())
    for folder in arguments.folders:
        counts: Counter[str] = Counter()
        left = arguments.show
        for question in read(folder):
            right = right_entries(question, edition.base)
            reply = ask(edition, question.q)
            said = verdict(question, reply, right)
            counts[said] += 1
            good = said in {"right", "smalltalk", "near declined", "far declined"}
            if not good and left > 0:
                left -= 1
                text = " / ".join(question.q.splitlines())[:100]
                print(f"{said:16} {question.style:10} {text} | {reply.entry} | {sorted(right)[:3]}")
        print(f"{folder}: {_line(counts)}", flush=True)


def _line(counts: Counter[str]) -> str:
    parts = []
    for group in (("right", "offered", "silent", "wrong"), ("near ",), ("far ",), ("smalltalk",)):
        names = [n for n in counts if n.startswith(group)] if len(group) == 1 else list(group)
        total = sum(counts[n] for n in names)
        parts += [f"{n} {100 * counts[n] / max(1, total):.1f}" for n in sorted(names)]
    return ", ".join(parts)


if __name__ == "__main__":
    main()
