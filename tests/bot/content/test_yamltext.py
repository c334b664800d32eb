"""Hostile and careless YAML becomes `Unreadable` with a place, harmless YAML becomes text."""

import contextlib
import json
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.content.yamltext import MAX_CHARACTERS, MAX_DEPTH, Position, Unreadable, read


@pytest.mark.parametrize(
    "typed",
    ["no", "yes", "on", "0715", "12:30", "1.10", "1e3", "0x1F", "2021-08-18", "115", "=", "1_000"],
)
def test_plain_scalars_stay_the_text_that_was_typed(typed: str) -> None:
    assert read(f"a: {typed}").data == {"a": typed}


@pytest.mark.parametrize(
    ("typed", "value"),
    [("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("'true'", "true")],
)
def test_only_true_false_and_null_are_no_text(typed: str, value: object) -> None:
    assert read(f"a: {typed}").data == {"a": value}


def test_an_empty_text_is_nothing() -> None:
    assert read("").data is None


def test_every_value_keeps_its_place() -> None:
    document = read("entries:\n- id: a\n  questions:\n  - Was?\n  - Wie?\n")
    assert document.position(("entries", 0, "questions", 1)) == Position(5, 5)
    assert document.position(("entries", 0, "id")) == Position(2, 3)


def test_a_place_without_a_value_is_that_of_the_thing_around_it() -> None:
    document = read("entries:\n- id: a\n")
    assert document.position(("entries", 0, "care", "owner")) == Position(2, 3)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: b: c", 1, "Doppelpunkt"),
        ("a: 1\na: 2", 2, "zweimal"),
        ("a: &x 1", 1, "Anker"),
        ("a: *x", 1, "Anker"),
        ("a:\n  <<: {b: 1}", 2, "<<"),
        ("a: !!python/object:os.system x", 1, "Tags"),
        ("a: !eigen x", 1, "Tags"),
        ("? [a]\n: b", 1, "einfaches Wort"),
        ("a: 'offen", 1, "Anführungszeichen"),
        ("a: [1, 2", 2, "nicht geschlossen"),
        ("a: @x", 1, "Anführungszeichen"),
        ("a:\n  - b\n c: d", 3, "Einrückung"),
        ("a: 1\n---\nb: 2", 2, "mehrere Dokumente"),
        ("a: \x07", 1, "Steuerzeichen"),
        ("a\n: \ud800", 2, "Steuerzeichen"),
        ('a: "\\q"', 1, "unbekanntes Zeichen"),
        ("[" * (MAX_DEPTH + 1), 1, "Ebenen"),
        ("[" * 100_000, 1, "Ebenen"),
        ("a: " + "x" * MAX_CHARACTERS, 1, "länger als"),
        ("[" + "a," * 300_000, 1, "Werte"),
    ],
)
def test_what_is_not_allowed_is_named_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as refused:
        read(text)
    assert refused.value.position.line == line


BOMBS = {
    "merge": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 9)),
    "alias": "a0: &a0 [x]\n"
    + "\n".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)),
    "depth": "[" * 500_000,
    "block depth": "- " * 400_000,
    "digits": "a: " + "9" * 900_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little(name: str) -> None:
    """In a process of its own, so that a crash of libyaml or its memory shows."""
    script = textwrap.dedent("""
        import resource, sys, time
        from bot.content.yamltext import Unreadable, read
        text = sys.stdin.read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        try:
            read(text)
            print("read", end=" ")
        except Unreadable:
            print("refused", end=" ")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(time.process_time() - started, (after - before) / 1024)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=BOMBS[name],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    how, seconds, mebibytes = done.stdout.split()
    assert how == ("read" if name == "digits" else "refused")
    assert float(seconds) < 0.1
    assert float(mebibytes) < 50


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        read(text)


@given(st.text(st.sampled_from("ab:-[]{}&*!?|>'\"#%@`,\n\t "), max_size=60))
def test_any_play_of_marks_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        read(text)


printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=40)


@given(st.dictionaries(printable.filter("<<".__ne__), st.lists(printable | st.booleans())))
def test_what_was_written_comes_back(data: dict[str, list[str | bool]]) -> None:
    assert read(json.dumps(data, ensure_ascii=False)).data == data
