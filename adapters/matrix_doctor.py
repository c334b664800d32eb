"""What `lotse doctor` says about the Matrix side: reads only, also while the bot runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote, unquote

from adapters.matrix_device import Device, Json, Refused, Unreachable
from adapters.matrix_folder import Folder
from bot.chat import Finding
from bot.config import MatrixSettings

FEW_KEYS = 10


async def examine(settings: MatrixSettings, folder: Folder, device: Device) -> Sequence[Finding]:
    """Homeserver, login, device signature, one-time keys, rate limit, team room."""
    server = settings.homeserver
    try:
        await device.call("GET", "/login")
    except Unreachable as error:
        remedy = "Bitte LOTSE_MATRIX_HOMESERVER und das Netz prüfen."
        return [Finding(f"Matrix: {server} antwortet nicht ({error})", remedy)]
    found = [Finding(f"Matrix: {server} antwortet")]
    login = folder.login
    if login is None:
        remedy = "Der erste Start („lotse run“) meldet den Bot an."
        return [*found, Finding("Matrix: noch nicht angemeldet", remedy, warning=True)]
    device.client.access_token = login.token
    try:
        who = await device.call("GET", "/account/whoami")
    except Refused as error:
        remedy = "Bitte LOTSE_MATRIX_PASSWORD oder LOTSE_MATRIX_ACCESS_TOKEN erneuern."
        return [*found, Finding(f"Matrix: Anmeldung ungültig ({error.code})", remedy)]
    user, name = str(who["user_id"]), str(who.get("device_id", ""))
    found.append(Finding(f"Matrix: angemeldet als {user}, Gerät {name}"))
    keys = await device.call("POST", "/keys/query", {"device_keys": {user: [name]}})
    found += _signature(keys, user, name)
    found += _one_time_keys(await device.call("POST", "/keys/upload", {}))
    found.append(await _rate_limit(device, user))
    if settings.team_room:
        found.append(await _team_room(device, settings.team_room))
    return found


def _signature(keys: Json, user: str, device: str) -> Iterator[Finding]:
    own = keys.get("device_keys", {}).get(user, {}).get(device, {})
    signing = keys.get("self_signing_keys", {}).get(user, {}).get("keys", {})
    signatures = own.get("signatures", {}).get(user, {})
    if not own:
        remedy = "Bitte den Bot einmal starten; er lädt seine Schlüssel dann hoch."
        yield Finding("Matrix: das Gerät hat keine Schlüssel veröffentlicht", remedy)
    elif not signing.keys() & signatures.keys():
        remedy = (
            "Ohne Signatur bekommt der Bot von Element keine Schlüssel. Bitte "
            "LOTSE_MATRIX_PASSWORD angeben und neu starten."
        )
        yield Finding("Matrix: das Gerät ist nicht signiert", remedy)
    else:
        yield Finding("Matrix: das Gerät ist signiert")


def _one_time_keys(answer: Json) -> Iterator[Finding]:
    count = int(answer.get("one_time_key_counts", {}).get("signed_curve25519", 0))
    what = f"Matrix: {count} Einmalschlüssel liegen bereit"
    few = "Der laufende Bot lädt neue hoch. Läuft er?"
    yield Finding(what, few, warning=True) if count < FEW_KEYS else Finding(what)


async def _rate_limit(device: Device, user: str) -> Finding:
    """Only an administrator may ask; everybody else learns how to lift the limit."""
    path = f"/_synapse/admin/v1/users/{quote(user)}/override_ratelimit"
    try:
        limit = await device.call("GET", path, below="")
    except (Refused, Unreachable):
        limit = None
    if limit is not None and not limit.get("messages_per_second", 1):
        return Finding("Matrix: keine Ratenbegrenzung für den Bot")
    remedy = (
        "Mit den Vorgaben von Synapse sendet der Bot nach etwa 10 Antworten nur noch eine je 5 s. "
        f"Eine Administratorin hebt das auf: POST {unquote(path)} mit "
        '{"messages_per_second": 0, '
        '"burst_count": 0}'
    )
    seen = "aktiv" if limit is not None else "vom Bot aus nicht zu sehen"
    return Finding(f"Matrix: Ratenbegrenzung {seen}", remedy, warning=True)


async def _team_room(device: Device, room: str) -> Finding:
    try:
        if room.startswith("#"):
            room = str((await device.call("GET", f"/directory/room/{quote(room)}"))["room_id"])
        joined = (await device.call("GET", "/joined_rooms"))["joined_rooms"]
    except Refused:
        joined = []
    if room in joined:
        return Finding("Matrix: der Bot ist im Team-Raum")
    remedy = "Bitte LOTSE_MATRIX_TEAM_ROOM prüfen und den Bot in den Raum einladen."
    return Finding("Matrix: der Bot ist nicht im Team-Raum", remedy)
