"""Setting the app up: its manifest, its scopes, and what the operator reads when they are wrong."""

from __future__ import annotations

import logging
from importlib.resources import files

import yaml

from bot.chat import CredentialRefused

log = logging.getLogger("lotse.slack")

COMMAND, SHORTCUT = "/lotse", "lotse_ask"
ESSENTIAL_SCOPES = {"app_mentions:read", "chat:write", "im:history", "channels:history"}


def manifest() -> str:
    """The app manifest that a town pastes into Slack, as YAML."""
    return files("adapters").joinpath("slack_manifest.yaml").read_text(encoding="utf-8")


def wanted_scopes() -> set[str]:
    return set(yaml.safe_load(manifest())["oauth_config"]["scopes"]["bot"])


def check_scopes(granted: set[str]) -> None:
    """Raises `CredentialRefused` where the bot could not work, warns where it would lack."""
    missing = wanted_scopes() - granted
    if missing & ESSENTIAL_SCOPES:
        raise CredentialRefused(scopes_missing(missing))
    if missing:
        log.warning("%s", scopes_missing(missing))


def scopes_missing(scopes: set[str]) -> str:
    return (
        f"LOTSE_SLACK_BOT_TOKEN: der App fehlen Berechtigungen ({', '.join(sorted(scopes))})."
        " Bitte unter api.slack.com/apps → App Manifest das Manifest aus „lotse slack manifest“"
        " einfügen und die App neu installieren."
    )


def bot_token_refused(error: str) -> str:
    if error == "missing_scope":
        return scopes_missing(ESSENTIAL_SCOPES)
    return (
        f"LOTSE_SLACK_BOT_TOKEN: Slack nimmt den Token nicht an ({error}). Bitte unter"
        " api.slack.com/apps → OAuth & Permissions den „Bot User OAuth Token“ (xoxb-…) neu"
        " kopieren; in lotse.yaml steht er unter slack.workspaces."
    )


def app_token_refused(error: str) -> str:
    return (
        f"LOTSE_SLACK_APP_TOKEN: Slack nimmt den Token nicht an ({error}). Bitte unter"
        " api.slack.com/apps → Basic Information → App-Level Tokens einen Token (xapp-…) mit der"
        " Berechtigung connections:write erzeugen."
    )


def port_taken(host: str, port: int, error: OSError) -> str:
    return (
        f"LOTSE_SLACK_PORT: an {host}:{port} lässt sich nicht lauschen ({error.strerror})."
        " Bitte einen freien Port angeben."
    )
