"""Whole conversations with the shipped knowledge: tests/golden/dialogues, one test each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bot.chat import Conversation, Message, Outcome, Reply
from bot.content.knowledge import shipped
from bot.content.yamltext import read
from bot.markup import plain
from bot.search.library import Edition, publish
from bot.talk.answering import State, answer

FOLDER = Path(__file__).parent / "golden" / "dialogues"
BEGIN = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@cache
def _edition() -> Edition:
    return publish(shipped())


def _dialogues() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for dialogue in read(path.read_text(encoding="utf-8")).data:
            yield pytest.param(dialogue["turns"], id=f"{path.stem}: {dialogue['kind']}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value is not None else []


@pytest.mark.parametrize("turns", [*_dialogues()])
def test_dialogue(turns: list[dict[str, Any]]) -> None:
    states: dict[str, State] = {}
    offers: dict[str, Reply] = {}
    minute = 0.0
    for turn in turns:
        thread = turn.get("thread", "a")
        minute = float(turn.get("at", minute + 0.25))
        message = Message(
            conversation=Conversation("test", "", "room", thread),
            id=str(minute),
            asker="someone",
            text=turn["q"],
            at=BEGIN + timedelta(minutes=minute),
        )
        reply, states[thread] = answer(message, states.get(thread, State()), _edition())
        _check(turn, reply, offers.get(thread))
        if reply.options:
            offers[thread] = reply


def _check(turn: dict[str, Any], reply: Reply, offered: Reply | None) -> None:
    said = plain(reply)
    shown = f"„{turn['q']}“ → {reply.outcome.value} {reply.entry}: {said}"
    assert reply.outcome.value in _listed(turn.get("outcome")), shown
    if reply.outcome is Outcome.CHOICES:  # what can be chosen counts as offered
        said += "".join(f"\n{o.title}\n{o.text}" for o in reply.options[:3])
    for wanted in _listed(turn.get("must")):
        assert re.search(wanted, said, re.IGNORECASE), f"{wanted!r} fehlt: {shown}"
    for unwanted in _listed(turn.get("not")):
        assert not re.search(unwanted, said, re.IGNORECASE), f"{unwanted!r} steht da: {shown}"
    if pick := turn.get("pick"):
        assert offered is not None
        assert reply.entry == offered.options[int(pick) - 1].entry, shown
