"""The thread's memory survives JSON, refuses junk and stays small."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.talk.conversation import MAX_BYTES, MAX_OFFERS, State, question_kept

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_round_trip() -> None:
    state = State(topic="a", offers=("b", "@team"), page=2, greeted=True).after(NOW)
    assert State.from_json(state.to_json()) == state


def _with(**fields: object) -> str:
    return json.dumps({"version": 1, **asdict(State()), **fields})


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "[" * 3_000,
        _with(version=2),
        _with(page="1"),
        _with(page=True),
        _with(offers="abc"),
        _with(offers=[1]),
        _with(offers=["a"] * (MAX_OFFERS + 1)),
        _with(at="gestern"),
        _with(at="2026-11-24T12:00:00"),
        _with(question="x" * 600),
        _with(unknown=1),
        '{"version": 1}',
    ],
)
def test_junk_gives_a_fresh_state(text: str | None) -> None:
    assert State.from_json(text) == State()


@given(st.text(max_size=50))
def test_any_text_gives_a_state(text: str) -> None:
    assert isinstance(State.from_json(text), State)


@given(st.text(max_size=2_000))
def test_the_largest_state_is_small(question: str) -> None:
    state = State(
        topic="e" * 80,
        shown="e" * 80,
        question=question_kept(question),
        offers=("e" * 80,) * MAX_OFFERS,
        page=99,
        aspect="disadvantages",
        asked="ffff",
        greeted=True,
    ).after(NOW)
    text = state.to_json()
    assert len(text.encode()) < MAX_BYTES
    assert State.from_json(text) == state


def test_the_context_ends_but_the_greeting_is_remembered() -> None:
    state = State(topic="a", offers=("b",), greeted=True).after(NOW)
    assert state.forgotten(NOW + timedelta(minutes=30)) == state
    assert state.forgotten(NOW + timedelta(minutes=31)) == State(greeted=True)


def test_a_confirmation_counts_for_five_minutes() -> None:
    state = State(asked="abcd").after(NOW)
    assert state.forgotten(NOW + timedelta(minutes=5)).asked
    assert not state.forgotten(NOW + timedelta(minutes=6)).asked
