"""Questions as JSON lines in, answers as JSON lines out: the contract for scripts and tests.

One object a line, in order, flushed; a bad line gets an object with `error`, never an end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from time import perf_counter
from typing import Any, BinaryIO

from bot.chat import Conversation, Message, Option, Outcome, Reply, Source
from bot.markup import plain
from bot.search.library import Edition
from bot.talk.answering import State, answer

MAX_LINE = 4_000_000  # bytes; what is longer is skipped to its end
MAX_QUESTION = 200_000  # characters; the longest mail is far below

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class BadLine(Exception):
    """A line that is no question; the message is German and goes into `error`."""


class Session:
    """The threads of one run: the same `thread` is one conversation, none is a new one."""

    def __init__(self, edition: Edition, now: Callable[[], datetime]) -> None:
        self._edition = edition
        self._now = now
        self._states: dict[str, State] = {}
        self._count = 0

    def answer(self, line: bytes) -> dict[str, Any]:
        """The object for one line of input; never raises for what the line holds."""
        self._count += 1
        try:
            message = _message(line, str(self._count), self._now)
        except BadLine as bad:
            return _refusal(str(bad))
        thread = message.conversation.thread
        state = self._states.get(thread) or State.from_json(None)
        started = perf_counter()
        reply, state = answer(message, state, self._edition)
        ms = (perf_counter() - started) * 1000
        if thread:
            self._states[thread] = state
        return _object(reply, self._edition, message.text, ms)


def serve(lines: BinaryIO, out: BinaryIO, session: Session) -> None:
    """Answer until the end of input."""
    for line in _lines(lines):
        text = json.dumps(session.answer(line), ensure_ascii=False)
        out.write(text.encode() + b"\n")
        out.flush()


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines of at most `MAX_LINE` + 1 bytes; the rest of a longer one is dropped."""
    while line := stream.readline(MAX_LINE + 1):
        rest = line
        while not rest.endswith(b"\n") and (rest := stream.readline(MAX_LINE)):
            pass
        yield line


def _message(line: bytes, id_: str, now: Callable[[], datetime]) -> Message:
    if len(line) > MAX_LINE:
        raise BadLine(f"Die Zeile ist länger als {MAX_LINE} Bytes.")
    try:
        data = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadLine("Die Zeile ist nicht in UTF-8 geschrieben.") from None
    except (ValueError, RecursionError):
        raise BadLine('Die Zeile ist kein gültiges JSON, erwartet wird {"q": "…"}.') from None
    if not isinstance(data, dict) or "q" not in data:
        raise BadLine('Das Feld „q“ mit der Frage fehlt, erwartet wird {"q": "…"}.')
    thread = _text(data, "thread")
    conversation = Conversation("terminal", "", "jsonl", thread)
    question = _text(data, "q")
    at = _time(_text(data, "at"), now)
    return Message(conversation, id_, "jsonl", question, at, direct=bool(thread))


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None and name != "q":
        return ""
    if not isinstance(value, str):
        raise BadLine(f"Das Feld „{name}“ muss ein Text sein.")
    if len(value) > MAX_QUESTION:
        raise BadLine(f"Das Feld „{name}“ ist länger als {MAX_QUESTION} Zeichen.")
    if _SURROGATE.search(value):
        raise BadLine(f"Das Feld „{name}“ enthält ein halbes Unicode-Zeichen (Surrogat).")
    if _CONTROL.search(value):
        raise BadLine(f"Das Feld „{name}“ enthält Steuerzeichen.")
    return value


def _time(text: str, now: Callable[[], datetime]) -> datetime:
    if not text:
        return now()
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise BadLine("Das Feld „at“ muss eine Zeit wie „2026-11-24T10:00:00“ sein.") from None


def _object(reply: Reply, edition: Edition, question: str, ms: float) -> dict[str, Any]:
    candidates = edition.index.match(question)
    return {
        "outcome": reply.outcome.value,
        "entry": reply.entry,
        "text": plain(reply),
        "options": [_option(o) for o in reply.options],
        "sources": [_source(s) for s in reply.sources],
        "score": round(candidates[0].score, 4) if candidates else 0.0,
        "candidates": [{"entry": m.entry, "score": round(m.score, 4)} for m in candidates],
        "ms": round(ms, 3),
    }


def _option(option: Option) -> dict[str, Any]:
    return {"entry": option.entry, "title": option.title, "text": option.text}


def _source(source: Source) -> dict[str, str]:
    return {"title": source.title, "url": source.url, "page": source.page, "date": source.date}


def _refusal(error: str) -> dict[str, Any]:
    return {
        "outcome": Outcome.UNKNOWN.value,
        "entry": None,
        "text": error,
        "options": [],
        "sources": [],
        "score": 0.0,
        "candidates": [],
        "ms": 0.0,
        "error": error,
    }
