"""What the operator reads when the app's tokens, scopes or rooms are not right."""

from __future__ import annotations

import logging

from slack_sdk.web.async_client import AsyncWebClient

from adapters import slack_wire as wire
from adapters.slack_manifest import wanted_scopes
from adapters.slack_wire import Json
from bot.chat import CredentialRefused, Finding

log = logging.getLogger("lotse.slack")

ESSENTIAL_SCOPES = {"app_mentions:read", "chat:write", "im:history", "channels:history"}


def granted_scopes(introduction: Json) -> set[str] | None:
    """The scopes that Slack told with `auth.test`; None where it did not."""
    told = introduction.get("_scopes")
    return None if told is None else {scope.strip() for scope in str(told).split(",")}


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


# --- lotse doctor -----------------------------------------------------------------


async def examine(client: AsyncWebClient, app_token: str, team_channel: str) -> list[Finding]:
    """Tokens, scopes, a socket's address and the team's room, each with its remedy."""
    try:
        found = await wire.call(client.auth_test)
    except wire.Refused as refused:
        return [Finding("Slack: Bot-Token", bot_token_refused(refused.error))]
    except (wire.Limited, wire.Unsent, wire.Unknown) as error:
        remedy = "Bitte Netz, Proxy und LOTSE_SLACK_API_URL prüfen."
        return [Finding(f"Slack antwortet nicht ({error})", remedy)]
    findings = [Finding(f"Slack: angemeldet im Arbeitsbereich {found.get('team')}")]
    granted = granted_scopes(found)
    missing = wanted_scopes() - granted if granted is not None else set()
    if missing:
        lightly = not missing & ESSENTIAL_SCOPES
        findings.append(Finding("Slack: Berechtigungen", scopes_missing(missing), warning=lightly))
    if app_token:
        findings.append(await _examined_socket(client, app_token))
    if team_channel:
        findings.append(await _examined_team(client, team_channel))
    return findings


async def _examined_socket(client: AsyncWebClient, app_token: str) -> Finding:
    try:
        await wire.call(client.apps_connections_open, app_token=app_token)
    except wire.Refused as refused:
        return Finding("Slack: Socket Mode", app_token_refused(refused.error))
    except (wire.Limited, wire.Unsent, wire.Unknown) as error:
        return Finding(f"Slack: Socket Mode ({error})", "Bitte später noch einmal prüfen.")
    return Finding("Slack: Socket Mode")


async def _examined_team(client: AsyncWebClient, channel: str) -> Finding:
    """The team's room must be one that the bot can write to."""
    try:
        found = await wire.call(client.conversations_info, channel=channel)
    except wire.Refused as refused:
        return Finding(
            f"Slack: Kanal des Teams ({refused.error})",
            "LOTSE_SLACK_TEAM_CHANNEL: bitte die Kennung des Kanals angeben (C…) und den Bot"
            " dorthin einladen.",
        )
    except (wire.Limited, wire.Unsent, wire.Unknown) as error:
        return Finding(f"Slack: Kanal des Teams ({error})", "Bitte später noch einmal prüfen.")
    if not found["channel"].get("is_member"):
        remedy = "Bitte den Bot in den Kanal einladen."
        return Finding("Slack: der Bot ist nicht im Kanal des Teams", remedy)
    return Finding("Slack: Kanal des Teams")
