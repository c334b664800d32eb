"""The Home tab and the forms: views as Slack wants them.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.slack_render import BROWSE, HOME, MAX_ACTIONS, Json, choice, passage
from bot.chat import Option, Reply

REASON_FORM, ANSWER_FORM = "lotse_reason_form", "lotse_answer_form"
_REASON, _ANSWER = "lotse_reason", "lotse_answer"
_REASONS = {
    "wrong": "Die Antwort ist falsch.",
    "outdated": "Die Antwort ist veraltet.",
    "unclear": "Die Antwort ist unverständlich.",
    "off_topic": "Die Antwort gehört zu einem anderen Thema.",
}
_MOST = 90  # blocks of a view, of the hundred that Slack allows


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the Home tab shows first: the bot's own replies."""

    help: Reply
    topics: Reply
    privacy: Reply
    contact: Reply
    edition: str  # the state of the knowledge, one line


def home(welcome: Welcome) -> Json:
    """The Home tab: what the bot knows, topics to browse, privacy, contact, state."""
    return _home([
        _header("OZG-Lotse"),
        *passage(welcome.help, 15),
        _header("Themen"),
        *_choices(welcome.topics.options),
        _header("Datenschutz"),
        *passage(welcome.privacy, 15),
        _header("Kontakt"),
        *passage(welcome.contact, 15),
        _note(welcome.edition),
    ])  # fmt: skip


def home_page(reply: Reply) -> Json:
    """One answer in the Home tab, with the way on and the way back."""
    return _home([
        *passage(reply, 60),
        *_choices(reply.options),
        _row([_button("Zurück zur Übersicht", HOME)], "lotse-back"),
    ])  # fmt: skip


def reason_form(target: Mapping[str, str]) -> Json:
    """Asks why an answer did not help; `target` comes back with the form."""
    options = [{"text": _plain(text), "value": value} for value, text in _REASONS.items()]
    block = {
        "type": "input", "block_id": _REASON, "label": _plain("Was fehlte?"),
        "element": {"type": "radio_buttons", "action_id": _REASON, "options": options},
    }  # fmt: skip
    note = _note("Ihre Rückmeldung ist schon gezählt. Der Grund ist freiwillig.")
    return _modal(REASON_FORM, "Rückmeldung", target, [block, note])


def answer_form(target: Mapping[str, str]) -> Json:
    """Takes the team's answer to a handed-over question."""
    block = {
        "type": "input", "block_id": _ANSWER, "label": _plain("Ihre Antwort"),
        "element": {
            "type": "plain_text_input", "action_id": _ANSWER, "multiline": True,
            "max_length": 3000,
        },
    }  # fmt: skip
    note = _note("Geht als Antwort des Teams dorthin, wo gefragt wurde.")
    return _modal(ANSWER_FORM, "Frage beantworten", target, [block, note])


def target(view: Json) -> dict[str, str]:
    """What a form was opened for; empty where it cannot be read."""
    try:
        found = json.loads(view.get("private_metadata") or "{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def chosen_reason(view: Json) -> str:
    option = _state(view, _REASON).get("selected_option") or {}
    return str(option.get("value", "")) if option.get("value") in _REASONS else ""


def written_answer(view: Json) -> str:
    return str(_state(view, _ANSWER).get("value") or "").strip()


def answer_error(text: str) -> Json:
    """The form stays open and says what is wrong."""
    return {"response_action": "errors", "errors": {_ANSWER: text}}


def _state(view: Json, name: str) -> Mapping[str, Any]:
    values = (view.get("state") or {}).get("values") or {}
    found: Mapping[str, Any] = (values.get(name) or {}).get(name) or {}
    return found


def _home(blocks: Sequence[Json]) -> Json:
    return {"type": "home", "blocks": list(blocks)[:_MOST]}


def _modal(name: str, title: str, target: Mapping[str, str], blocks: list[Json]) -> Json:
    return {
        "type": "modal", "callback_id": name, "title": _plain(title),
        "submit": _plain("Senden"), "close": _plain("Abbrechen"),
        "private_metadata": json.dumps(dict(target)), "blocks": blocks,
    }  # fmt: skip


def _choices(options: Sequence[Option]) -> list[Json]:
    shown = [o for o in options if o.number][: 2 * MAX_ACTIONS]
    rows = [shown[n : n + MAX_ACTIONS] for n in range(0, len(shown), MAX_ACTIONS)]
    return [
        _row([choice(o, BROWSE) for o in row], f"lotse-browse/{number}")
        for number, row in enumerate(rows)
    ]


def _row(elements: list[Json], block_id: str) -> Json:
    return {"type": "actions", "block_id": block_id, "elements": elements}


def _button(label: str, action: str) -> Json:
    return {"type": "button", "text": _plain(label), "action_id": action}


def _header(text: str) -> Json:
    return {"type": "header", "text": _plain(text)}


def _note(text: str) -> Json:
    return {"type": "context", "elements": [_plain(text or "…")]}


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": False}
