"""The manifest is what the code uses: scopes, events, command, shortcut."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import yaml
from click.testing import CliRunner

from adapters import slack_reception, slack_setup
from adapters.slack_manifest import COMMAND, SHORTCUT, manifest, suggested_prompts, wanted_scopes
from bot.cli import lotse
from tests.slack_standin import _EVENT_SCOPE, _FAMILY, SCOPES

ADAPTER = Path(slack_reception.__file__).parent
CODE = "\n".join(p.read_text(encoding="utf-8") for p in sorted(ADAPTER.glob("slack*.py")))
CONTENT = yaml.safe_load(manifest())
EVENTS = set(CONTENT["settings"]["event_subscriptions"]["bot_events"])


def _used_methods() -> set[str]:
    """The Web API methods that the code calls, by their names in the SDK."""
    known = {m.replace(".", "_").lower(): m for m in SCOPES}
    used = {name.lower() for name in re.findall(r"client\.(\w+)", CODE)}
    return {known[name] for name in used if name in known}


def test_the_scopes_are_those_that_the_methods_and_events_need() -> None:
    needed = {"commands"}
    for method in _used_methods():
        scope = SCOPES[method]
        if scope in ("history", "read"):
            needed |= {f"{family}:{scope}" for family in _FAMILY.values()}
        elif scope:
            needed.add(scope)
    for event in EVENTS:
        family = event.removeprefix("message.")
        needed.add(_EVENT_SCOPE.get(event, f"{family}:history" if "." in event else "commands"))
    assert wanted_scopes() == needed
    assert wanted_scopes() > slack_setup.ESSENTIAL_SCOPES


def test_the_events_are_those_that_are_listened_to() -> None:
    listener = inspect.getsource(slack_reception.Reception.on_event)
    cases = [line for line in listener.splitlines() if line.strip().startswith("case ")]
    handled = set(re.findall(r'"(\w+)"', "\n".join(cases)))
    older = {"assistant_thread_started"}  # of apps that somebody gave the assistant view
    assert {event.partition(".")[0] for event in EVENTS} == handled - older
    assert {e for e in EVENTS if e.startswith("message.")} == {
        f"message.{family}" for family in _FAMILY.values()
    }


def test_the_command_and_the_shortcut_are_those_of_the_code() -> None:
    features = CONTENT["features"]
    assert [c["command"] for c in features["slash_commands"]] == [COMMAND]
    [shortcut] = features["shortcuts"]
    assert (shortcut["callback_id"], shortcut["type"]) == (SHORTCUT, "message")
    assert shortcut["description"] == "Frag den Lotsen zu dieser Nachricht"


def test_it_keeps_slacks_limits() -> None:
    features = CONTENT["features"]
    assert len(CONTENT["display_information"]["name"]) <= 35
    assert len(CONTENT["display_information"]["description"]) <= 140
    assert len(features["bot_user"]["display_name"]) <= 80
    assert all(len(c["command"]) <= 32 for c in features["slash_commands"])
    assert all(len(s["name"]) <= 24 for s in features["shortcuts"])
    assert 1 <= len(suggested_prompts()) <= 4


def test_lotse_prints_it() -> None:
    printed = CliRunner().invoke(lotse, ["slack", "manifest"])
    assert printed.exit_code == 0
    assert printed.output == manifest()
    assert "slack" in CliRunner().invoke(lotse, ["--help"]).output


def test_over_http_every_address_is_the_given_one() -> None:
    url = "https://lotse.example.org/slack/events"
    printed = CliRunner().invoke(lotse, ["slack", "manifest", "--url", url])
    content = yaml.safe_load(printed.output)
    assert content["settings"]["socket_mode_enabled"] is False
    assert printed.output.count(url) == 3
    assert content["oauth_config"] == CONTENT["oauth_config"]
