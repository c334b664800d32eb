"""What the bot remembers of one thread: small, typed, versioned, safe against junk.

It travels as JSON below 4 KB, so any process can answer the next message of a thread.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

VERSION = 1
MAX_BYTES = 4_096
MAX_QUESTION = 400  # characters kept of the last question
MAX_OFFERS = 20

CONTEXT = timedelta(minutes=30)  # after the bot's last answer
CONFIRMATION = timedelta(minutes=5)  # for the answer to "wirklich löschen?"


@dataclass(frozen=True, slots=True)
class State:
    """The thread's memory; ids may be of entries that a newer edition no longer has."""

    topic: str = ""  # id of the entry that follow-ups refer to
    shown: str = ""  # id of the entry shown last: source, note and rating belong to it
    question: str = ""  # the last question, personal data masked
    offers: tuple[str, ...] = ()  # what the numbers 1, 2, 3 … lead to
    page: int = 0  # which part of the long text of `shown` was given last
    aspect: str = ""  # what the last follow-up asked of the topic, for "und bei …?"
    asked: str = ""  # the yes-or-no question that is open
    at: str = ""  # ISO time of the bot's last answer
    greeted: bool = False

    @classmethod
    def from_json(cls, text: str | None) -> State:
        """Read what `to_json` wrote; anything else gives a fresh state."""
        if not text or len(text) > MAX_BYTES:
            return cls()
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(data, dict) or data.pop("version", None) != VERSION:
            return cls()
        return _checked(data) or cls()

    def to_json(self) -> str:
        """JSON on one line, shorter than 4 KB encoded as UTF-8."""
        return json.dumps({"version": VERSION, **asdict(self)}, ensure_ascii=False)

    def after(self, moment: datetime, **changes: Any) -> State:
        """The state once the bot has answered at `moment`."""
        return replace(self, at=moment.isoformat(timespec="seconds"), **changes)

    def forgotten(self, moment: datetime, context: timedelta = CONTEXT) -> State:
        """The state as far as it still counts at `moment`."""
        age = self.age(moment)
        if age is None or age > context:
            return State(greeted=self.greeted)
        if self.asked and age > CONFIRMATION:
            return replace(self, asked="")
        return self

    def age(self, moment: datetime) -> timedelta | None:
        """How long ago the bot answered; None where it never did."""
        return moment - datetime.fromisoformat(self.at) if self.at else None


def question_kept(text: str) -> str:
    """As much of a question as the state keeps, on one line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:2_000]).split())
    return line if len(line) <= MAX_QUESTION else line[: MAX_QUESTION - 1] + "…"


def _checked(data: dict[str, Any]) -> State | None:
    """The state, or None where a field is unknown, of another type or too long."""
    fresh = asdict(State())
    if set(data) != set(fresh):
        return None
    offers = data["offers"]
    if not isinstance(offers, list) or len(offers) > MAX_OFFERS:
        return None
    data = {**data, "offers": tuple(offers)}
    words = [*offers, *(v for k, v in data.items() if isinstance(fresh[k], str))]
    if not all(isinstance(w, str) and len(w) <= MAX_QUESTION for w in words):
        return None
    if type(data["page"]) is not int or type(data["greeted"]) is not bool:
        return None
    return State(**data) if _is_moment(data["at"]) else None


def _is_moment(text: str) -> bool:
    try:
        return not text or datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
