"""The same conversation has the same content in the terminal, in Matrix and in Slack.

Every golden dialogue is asked as each platform would send it and read as each would show it.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from adapters import matrix_events, matrix_render, slack_delivery, slack_intake, slack_render
from adapters.terminal import Terminal
from bot.chat import Conversation, Delivery, Message, Reply
from bot.content.yamltext import read
from bot.talk.answering import State, answer
from tests.slack_limits import texts
from tests.slack_standin import ASKER, BOT, TEAM
from tests.slack_town import edition

FOLDER = Path(__file__).parent / "golden" / "dialogues"
BEGIN = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ME_ON_SLACK = slack_intake.Self(TEAM, BOT)
ME_ON_MATRIX = matrix_events.Me("@lotse:ort.de")

Ask = Callable[[str, str, datetime], Message]
Show = Callable[[Message, Reply], str]


def dialogues() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for dialogue in read(path.read_text(encoding="utf-8")).data:
            yield pytest.param(dialogue["turns"], id=f"{path.stem}: {dialogue['kind']}")


# --- as each platform sends it --------------------------------------------------------------


def asked_in_terminal(text: str, thread: str, at: datetime) -> Message:
    return Message(Conversation("terminal", "", "terminal", thread), str(at), "anna", text, at)


def asked_in_slack(text: str, thread: str, at: datetime) -> Message:
    stamp = f"{at.timestamp():.6f}"
    event = {
        "type": "app_mention", "user": ASKER, "ts": stamp, "channel": "C0AMT",
        "thread_ts": f"{BEGIN.timestamp() + ord(thread[0]):.6f}",
        "text": f"<@{BOT}> {slack_render.escape(text)}",
    }  # fmt: skip
    heard = slack_intake.said(event, ME_ON_SLACK)
    assert heard is not None
    return slack_intake.message(heard, ME_ON_SLACK, {}, guest=False)


def asked_in_matrix(text: str, thread: str, at: datetime) -> Message:
    event = {
        "type": "m.room.message", "sender": "@anna:ort.de", "event_id": f"${at.timestamp()}",
        "origin_server_ts": int(at.timestamp() * 1000),
        "content": {
            "msgtype": "m.text", "body": f"@lotse:ort.de: {text}",
            "m.mentions": {"user_ids": ["@lotse:ort.de"]},
        },
    }  # fmt: skip
    said = matrix_events.read(event, ME_ON_MATRIX)
    assert isinstance(said, matrix_events.Said)
    where = Conversation("matrix", ME_ON_MATRIX.user, "!room:ort.de", f"${thread}")
    return Message(where, said.id, said.sender, said.text, said.at, people=said.people)


# --- as each platform shows it --------------------------------------------------------------


def shown_in_terminal(message: Message, reply: Reply) -> str:
    out = io.StringIO()
    terminal = Terminal(io.StringIO(), out, asker="anna")
    asyncio.run(terminal.deliver(Delivery("key", message, reply)))
    return out.getvalue()


def shown_in_slack(message: Message, reply: Reply) -> str:
    parts = slack_delivery.rendered(Delivery("ab" * 20, message, reply))
    seen = _letters(" ".join(text for part in parts for text in texts(part.blocks)))
    for shown in (reply.title, *reply.notices, reply.closing, *(o.title for o in reply.options)):
        assert _letters(shown) in seen
    return "\n".join(unescape(part.text) for part in parts)


def shown_in_matrix(message: Message, reply: Reply) -> str:
    content = matrix_render.render(Delivery("key", message, reply))
    seen = _letters(unescape(re.sub(r"<[^>]*>", " ", content["formatted_body"])))
    for shown in (reply.title, *reply.notices, reply.closing, *(o.title for o in reply.options)):
        assert _letters(shown) in seen
    return str(content["body"])


PLATFORMS: dict[str, tuple[Ask, Show]] = {
    "terminal": (asked_in_terminal, shown_in_terminal),
    "slack": (asked_in_slack, shown_in_slack),
    "matrix": (asked_in_matrix, shown_in_matrix),
}


@pytest.mark.parametrize("turns", list(dialogues()))
def test_a_dialogue_reads_the_same_everywhere(turns: list[dict[str, Any]]) -> None:
    assert converse(turns, *PLATFORMS["slack"]) == converse(turns, *PLATFORMS["terminal"])
    assert converse(turns, *PLATFORMS["matrix"]) == converse(turns, *PLATFORMS["terminal"])


def converse(turns: list[dict[str, Any]], ask: Ask, show: Show) -> list[str]:
    """What the bot says to each turn, spaces aside."""
    states: dict[str, State] = {}
    said = []
    minute = 0.0
    for turn in turns:
        minute = float(turn.get("at", minute + 0.25))
        message = ask(turn["q"], turn.get("thread", "a"), BEGIN + timedelta(minutes=minute))
        thread = message.conversation.thread
        reply, states[thread] = answer(message, states.get(thread, State()), edition())
        said.append(" ".join(show(message, reply).split()))
    return said


def _letters(text: str) -> str:
    return "".join(text.split())
