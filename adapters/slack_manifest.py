"""The app's manifest: what Slack grants and sends.  Needs nothing of Slack's libraries."""

from __future__ import annotations

from importlib.resources import files

import yaml

COMMAND, SHORTCUT = "/lotse", "lotse_ask"  # as in the manifest; a test compares them


def manifest(url: str = "") -> str:
    """The app manifest that a town pastes into Slack, as YAML.

    `url` is where Slack shall send events over HTTP; without one it is Socket Mode.
    """
    text = files("adapters").joinpath("slack_manifest.yaml").read_text(encoding="utf-8")
    if not url:
        return text
    content = yaml.safe_load(text)
    settings = content["settings"]
    settings["socket_mode_enabled"] = False
    settings["event_subscriptions"]["request_url"] = url
    settings["interactivity"]["request_url"] = url
    for command in content["features"]["slash_commands"]:
        command["url"] = url
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=200)


def suggested_prompts() -> list[dict[str, str]]:
    """Example questions, each with `title` and `message`."""
    view = yaml.safe_load(manifest())["features"]["agent_view"]
    return [dict(prompt) for prompt in view["suggested_prompts"]]


def wanted_scopes() -> set[str]:
    return set(yaml.safe_load(manifest())["oauth_config"]["scopes"]["bot"])
