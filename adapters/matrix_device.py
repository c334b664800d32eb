"""One device of the bot's account: HTTP, login, keys, encryption.  Wraps matrix-nio and mends
what it lacks: cross-signing, a fallback key, keys saved before they are published, group
sessions that count as shared only when they are.  Knows no desk and no question.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import structlog
from nio import (
    Api,
    AsyncClient,
    AsyncClientConfig,
    ErrorResponse,
    Event,
    KeysUploadResponse,
    MatrixRoom,
    MegolmEvent,
    Response,
    SyncResponse,
)
from nio.exceptions import EncryptionError
from nio.store import SqliteStore

from adapters.matrix_folder import STORE_FILE, Folder, Login
from adapters.matrix_signing import SigningKeys, unseal
from bot.chat import CredentialRefused
from bot.config import MatrixSettings

log = structlog.get_logger("lotse.matrix")
# nio quotes events and server answers in its messages: question texts must reach no log.
logging.getLogger("nio").setLevel(logging.CRITICAL)

Json = dict[str, Any]

REQUEST_TIMEOUT_S = 30
SYNC_TIMEOUT_MS = 30_000
DEVICE_NAME = "OZG-Lotse"
V3 = "/_matrix/client/v3"

_NOTHING: Json = {"types": []}
_KEYS_ONLY: Json = {"presence": _NOTHING, "account_data": _NOTHING, "room": {"rooms": []}}


def _what_counts(user: str) -> Json:
    """The sync filter; without what we said ourselves, which would end every sync twice."""
    return {
        "presence": _NOTHING,
        "account_data": {"types": ["m.direct"]},
        "room": {
            "ephemeral": _NOTHING,
            "account_data": _NOTHING,
            "timeline": {"limit": 50, "not_senders": [user]},
        },
    }


class Unreachable(Exception):
    """The homeserver does not answer, or answers that it cannot now."""


class Refused(Exception):
    """The homeserver says no: `code` is its errcode, `retry_after_s` more than 0 for "later"."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("errcode", ""))
        self.retry_after_s = float(body.get("retry_after_ms") or 0) / 1000
        self.body = body
        super().__init__(f"{status} {self.code}")


class _Store(SqliteStore):
    """nio's store, but for a write of nothing on every sync, a third of all its work."""

    def save_encrypted_rooms(self, rooms: set[str]) -> None:
        if rooms:
            super().save_encrypted_rooms(rooms)


class _Client(AsyncClient):
    """nio's client: one hostile event must not end the sync, one crash must not lose a key."""

    async def _handle_sync(self, response: SyncResponse) -> None:
        # One transaction for all keys of an answer: after a crash between two of nio's own, the
        # message is used up but the key in it is lost.  Nothing below really awaits.
        with self.store.database.atomic():
            await super()._handle_sync(response)

    def _handle_decrypt_to_device(self, event: Any) -> Any:
        return _guarded(super()._handle_decrypt_to_device, event)

    def _handle_timeline_event(self, *arguments: Any) -> Any:
        return _guarded(super()._handle_timeline_event, *arguments)


class Device:
    """The bot as one logged-in device.  Methods raise `Unreachable` or `Refused`."""

    def __init__(self, settings: MatrixSettings, folder: Folder) -> None:
        self._settings = settings
        self._folder = folder
        self._keys = asyncio.Lock()  # one at a time asks for, claims or shares keys
        self.client = self._new_client()
        self.signed = False  # whether our cross-signing identity vouches for the device

    @property
    def user(self) -> str:
        return str(self.client.user_id)

    @property
    def rooms(self) -> Mapping[str, MatrixRoom]:
        rooms: Mapping[str, MatrixRoom] = self.client.rooms
        return rooms

    async def close(self) -> None:
        await self.client.close()

    # --- requests -------------------------------------------------------------------

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        below: str = V3,
        within_s: float = REQUEST_TIMEOUT_S,
    ) -> Json:
        """One JSON request, to a path `below` the client API unless it says otherwise."""
        headers = {"Content-Type": "application/json"}
        if self.client.access_token:
            headers["Authorization"] = f"Bearer {self.client.access_token}"
        data = None if body is None else json.dumps(body)
        try:
            response = await self.client.send(method, below + path, data, headers, timeout=within_s)
            answer = json.loads(await response.read() or b"{}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(type(error).__name__) from None
        except ValueError:
            answer = {}
        if response.status >= 500 or not isinstance(answer, dict):
            raise Unreachable(f"HTTP {response.status}")
        if response.status != 200:
            raise Refused(response.status, answer)
        return answer

    async def _ask(self, request: Awaitable[Response | ErrorResponse]) -> Any:
        """The same for a request of nio."""
        try:
            response = await request
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(type(error).__name__) from None
        if not isinstance(response, ErrorResponse):
            return response
        status = getattr(response.transport_response, "status", 0)
        if not response.status_code or status >= 500:
            raise Unreachable(f"HTTP {status}")
        raise Refused(
            status,
            {"errcode": response.status_code, "retry_after_ms": response.retry_after_ms},
        )

    # --- login ----------------------------------------------------------------------

    async def open(self) -> None:
        """Log in as the device of the last run, or as a new one.

        A device whose crypto store is gone is never used again: clients that know it would
        encrypt for keys that nobody has.  Raises `CredentialRefused`.
        """
        for login in (self._folder.login, self._configured_login()):
            if login and (known := await self._confirmed(login)):
                if await self._restore(known):
                    return
                await self._forget(known)
        await self._log_in()

    def _configured_login(self) -> Login | None:
        token = self._settings.access_token
        return Login(self._settings.user, "", token.get_secret_value()) if token else None

    async def _confirmed(self, login: Login) -> Login | None:
        """The login with what the homeserver calls it; None where its token is void."""
        self.client.access_token = login.token
        try:
            who = await self.call("GET", "/account/whoami")
        except Refused:
            return None
        finally:
            self.client.access_token = ""
        return Login(who["user_id"], str(who.get("device_id", "")), login.token)

    async def _restore(self, login: Login) -> bool:
        """Use an earlier login; False where its keys are not here (any more)."""
        self.client.access_token = login.token
        file = self._folder.store_of(login.device) / STORE_FILE
        if not file.exists() and await self._device_keys(login.user, login.device):
            return False
        try:
            self._use(login)
        except Exception as error:  # nio and peewee: whatever a damaged store makes them raise
            log.warning("crypto_store_unreadable", error=type(error).__name__)
            self._folder.set_aside(login.device)
            await self.client.close()
            self.client = self._new_client()
            self.client.access_token = login.token
            return False
        return True

    def _use(self, login: Login) -> None:
        """Become this device, with its crypto store or a new one."""
        store = self._folder.store_of(login.device)
        store.mkdir(mode=0o700, exist_ok=True)
        self.client.store_path = str(store)
        self.client.restore_login(login.user, login.device, login.token)
        # One fsync a transaction instead of three; still safe when the power fails.
        self.client.store.database.pragma("journal_mode", "wal")
        self._folder.login = login

    async def _forget(self, login: Login) -> None:
        """Take a device without keys off the account, if there is a way back in."""
        if self._settings.password is None:
            raise CredentialRefused(
                "Matrix: Zum Gerät des Zugangstokens fehlen hier die Schlüssel (der Ordner "
                "„matrix“ im Datenordner ist neu oder beschädigt). Bitte LOTSE_MATRIX_PASSWORD "
                "angeben, dann meldet sich der Bot als neues Gerät an, oder ein frisches "
                "LOTSE_MATRIX_ACCESS_TOKEN."
            )
        log.warning("device_keys_lost", device=login.device)
        await self.call("POST", "/logout", {})
        self.client.access_token = ""

    async def _log_in(self) -> None:
        password = self._settings.password
        if password is None:
            raise CredentialRefused(
                "Matrix: Der Homeserver lehnt LOTSE_MATRIX_ACCESS_TOKEN ab. Bitte ein gültiges "
                "Zugangstoken oder LOTSE_MATRIX_PASSWORD angeben."
            )
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self._settings.user},
            "password": password.get_secret_value(),
            "initial_device_display_name": DEVICE_NAME,
        }
        try:
            answer = await self.call("POST", "/login", body)
        except Refused as error:
            if error.retry_after_s:
                raise
            raise CredentialRefused(
                f"Matrix: Der Homeserver lehnt die Anmeldung ab ({error.code}). Bitte "
                "LOTSE_MATRIX_USER und LOTSE_MATRIX_PASSWORD prüfen."
            ) from None
        self._use(Login(answer["user_id"], answer["device_id"], answer["access_token"]))

    def _new_client(self) -> _Client:
        config = AsyncClientConfig(
            store=_Store,
            store_name=STORE_FILE,
            encryption_enabled=True,
            pickle_key=self._folder.pickle_key,
            store_sync_tokens=False,  # nio saves them before anybody has read the events
            max_timeouts=0,  # the caller decides when to try again, with growing pauses
            max_limit_exceeded=0,
            request_timeout=REQUEST_TIMEOUT_S,
        )
        return _Client(
            self._settings.homeserver.rstrip("/"),
            self._settings.user,
            config=config,
        )

    # --- keys -----------------------------------------------------------------------

    async def announce(
        self,
        recall: Callable[[], Awaitable[str | None]],
        remember: Callable[[str], Awaitable[None]],
    ) -> None:
        """Publish the device's keys and have our identity vouch for it.

        `recall` and `remember` keep the sealed identity where all processes find it.
        """
        if self.client.should_upload_keys:
            await self._upload_keys()
        answer = await self.call("POST", "/keys/query", {"device_keys": {self.user: []}})
        published = _identity(answer, self.user)
        keys = await self._signing_keys(published, recall, remember)
        if keys is None:
            return
        if keys.identity != published:
            await self._publish(keys)
        device_keys = answer["device_keys"][self.user][self.client.device_id]
        if not keys.has_vouched(self.user, device_keys):
            vouched = keys.vouch(self.user, str(self.client.device_id), device_keys)
            await self.call("POST", "/keys/signatures/upload", vouched)
        self.signed = True

    async def _signing_keys(
        self,
        published: str,
        recall: Callable[[], Awaitable[str | None]],
        remember: Callable[[str], Awaitable[None]],
    ) -> SigningKeys | None:
        credential = self._credential()
        sealed = await recall()
        shared = unseal(sealed, self.user, credential) if sealed else None
        known = [k for k in (self._folder.signing_keys, shared) if k]
        keys = next((k for k in known if k.identity == published), None)
        if keys is None and published and self._settings.password is None:
            log.error("foreign_identity", remedy="LOTSE_MATRIX_PASSWORD")
            return None
        keys = keys or next(iter(known), None) or SigningKeys.new()
        if keys != self._folder.signing_keys:
            self._folder.signing_keys = keys  # before anybody else knows of them
        if keys != shared:
            await remember(keys.seal(self.user, credential))
        return keys

    def _credential(self) -> str:
        secret = self._settings.password or self._settings.access_token
        return secret.get_secret_value() if secret else ""

    async def _publish(self, keys: SigningKeys) -> None:
        """Make `keys` the account's identity; replacing another one takes the password."""
        body = keys.upload(self.user)
        path = "/keys/device_signing/upload"
        try:
            await self.call("POST", path, body)
        except Refused as error:
            if error.status != 401 or self._settings.password is None:
                raise
            log.warning("foreign_identity_replaced")
            proof = {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": self.user},
                "password": self._settings.password.get_secret_value(),
                "session": error.body.get("session"),
            }
            await self.call("POST", path, body | {"auth": proof})

    async def _device_keys(self, user: str, device: str) -> Json:
        answer = await self.call("POST", "/keys/query", {"device_keys": {user: [device]}})
        return dict(answer.get("device_keys", {}).get(user, {}).get(device, {}))

    async def _upload_keys(self, body: Json | None = None) -> None:
        """Save first: keys that others can claim must not die with this process."""
        olm = self.client.olm
        body = body or olm.share_keys()
        olm.save_account()
        method, path, data = Api.keys_upload(self.client.access_token, body)
        await self._ask(self.client._send(KeysUploadResponse, method, path, data))

    async def _upload_fallback_key(self) -> None:
        """A key that is handed out again and again once all one-time keys are gone."""
        olm = self.client.olm
        account = olm.account._account  # nio's wrapper does not know fallback keys
        account.generate_fallback_key()
        keys = {}
        for key_id, public in account.fallback_key.items():
            key = {"key": public.to_base64(), "fallback": True}
            signature = {f"ed25519:{self.client.device_id}": olm.sign_json(key)}
            keys[f"signed_curve25519:{key_id}"] = key | {"signatures": {self.user: signature}}
        await self._upload_keys({"fallback_keys": keys})

    # --- receiving ------------------------------------------------------------------

    async def snapshot(self) -> Json:
        """Learn all rooms, invitations and waiting keys as they are now.

        Without a token, so that nothing is missing; the time-out is random, because Synapse
        repeats the answer to an equal request for two minutes.
        """
        anything = random.randrange(1, SYNC_TIMEOUT_MS)  # noqa: S311, not a secret
        answer = now = await self._sync("", anything, _what_counts(self.user))
        while answer.get("to_device", {}).get("events"):
            # The next request says that these arrived; else they come again and cannot be read.
            answer = await self._sync(answer["next_batch"], 0, _KEYS_ONLY)
        await self.upkeep(now)
        return now

    async def sync(self, since: str, wait_ms: int = SYNC_TIMEOUT_MS) -> Json:
        """What happened after `since`, decrypted where it can be; waits up to `wait_ms` for it."""
        return await self._sync(since, wait_ms, _what_counts(self.user))

    async def _sync(self, since: str, wait_ms: int, what: Json) -> Json:
        query = {"timeout": wait_ms, "filter": json.dumps(what)} | (
            {"since": since} if since else {}
        )
        within_s = wait_ms / 1000 + REQUEST_TIMEOUT_S
        answer = await self.call("GET", f"/sync?{urlencode(query)}", within_s=within_s)
        await self._feed(answer)
        return answer

    async def _feed(self, answer: Json) -> None:
        """Tell nio what it must know (state, keys, encrypted events) and take what it decrypts.

        Plain messages are none of its business: validating them is half of its work.
        """
        joined = answer.get("rooms", {}).get("join", {})
        lean = {room: _for_nio(info) for room, info in joined.items()}
        relevant = any(
            (
                answer.get("to_device", {}).get("events"),
                any(answer.get("device_lists", {}).values()),
                any(lean[r] or r not in self.rooms for r in lean),
            )
        )
        if not relevant:
            return
        response = _guarded(SyncResponse.from_dict, answer | {"rooms": {"join": lean}})
        if not isinstance(response, SyncResponse):
            return
        self.client.next_batch = ""  # nio skips an answer whose token it knows
        await self.client.receive_response(response)
        for room, info in response.rooms.join.items():
            clear = {e.event_id: e for e in info.timeline.events if getattr(e, "decrypted", False)}
            events = joined[room].get("timeline", {}).get("events", [])
            events[:] = [
                dict(clear[e["event_id"]].source) if e["event_id"] in clear else e for e in events
            ]

    async def upkeep(self, answer: Json) -> None:
        """The chores that a sync's answer brings: new one-time keys, other people's devices."""
        olm = self.client.olm
        left = answer.get("device_one_time_keys_count", {}).get("signed_curve25519")
        if left is not None:
            olm.uploaded_key_count = left  # nio overlooks the 0, the one number that matters
        if self.client.should_upload_keys:
            await self._upload_keys()
        if answer.get("device_unused_fallback_key_types") == []:
            await self._upload_fallback_key()
        async with self._keys:
            if self.client.should_query_keys:
                await self._ask(self.client.keys_query())
            if self.client.should_claim_keys:
                users = self.client.get_users_for_key_claiming()
                await self._ask(self.client.keys_claim(users))
            if self.client.outgoing_to_device_messages:
                await self.client.send_to_device_messages()

    async def history(self, room: str, start: str, end: str) -> tuple[list[Json], str]:
        """A page of events before `start`, newest first, down to `end`; where to go on, or ""."""
        query = f"dir=b&limit=100&from={quote(start)}" + (f"&to={quote(end)}" if end else "")
        answer = await self.call("GET", f"/rooms/{quote(room)}/messages?{query}")
        chunk = [e for e in answer.get("chunk", []) if isinstance(e, dict)]
        return chunk, str(answer.get("end") or "") if chunk else ""

    async def event(self, room: str, event: str) -> Json:
        """One event as it stands on the server, decrypted if it can be."""
        raw = await self.call("GET", f"/rooms/{quote(room)}/event/{quote(event)}")
        return self.decrypted(room, raw)

    def decrypted(self, room: str, event: Json) -> Json:
        """The event in clear text; the event itself where it has or gets none."""
        if event.get("type") != "m.room.encrypted":
            return event
        parsed = _guarded(Event.parse_event, event)
        if not isinstance(parsed, MegolmEvent):
            return event
        parsed.room_id = room
        try:
            clear = self.client.decrypt_event(parsed)
        except (EncryptionError, AssertionError):
            return event
        return dict(clear.source)

    # --- sending --------------------------------------------------------------------

    async def send(self, room: str, kind: str, content: Json, transaction: str) -> str:
        """Post an event, encrypted where the room is; its id.  Idempotent per transaction."""
        known = self.rooms.get(room)
        if known is None:
            raise Refused(403, {"errcode": "M_FORBIDDEN"})
        if known.encrypted:
            kind, content = await self._encrypted(known, kind, content)
        path = f"/rooms/{quote(room)}/send/{kind}/{quote(transaction, safe='')}"
        return str((await self.call("PUT", path, content))["event_id"])

    async def redact(self, room: str, event: str, transaction: str) -> None:
        path = f"/rooms/{quote(room)}/redact/{quote(event)}/{quote(transaction, safe='')}"
        await self.call("PUT", path, {})

    async def _encrypted(self, room: MatrixRoom, kind: str, content: Json) -> tuple[str, Json]:
        client = self.client
        if not self._session_is_shared(room) or client.should_query_keys:
            async with self._keys:
                if not room.members_synced:
                    await self._ask(client.joined_members(room.room_id))
                if client.should_query_keys:
                    await self._ask(client.keys_query())
                if not self._session_is_shared(room):
                    await self._share_session(room)
        encrypted_kind, encrypted = client.encrypt(room.room_id, kind, content)
        return encrypted_kind, dict(encrypted)

    def _session_is_shared(self, room: MatrixRoom) -> bool:
        return room.members_synced and not self.client.olm.should_share_group_session(room.room_id)

    async def _share_session(self, room: MatrixRoom) -> None:
        """nio calls a session shared even if sending the keys failed: see whether they went."""
        client, olm = self.client, self.client.olm
        try:
            await client.share_group_session(room.room_id, ignore_unverified_devices=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            client.sharing_session.pop(room.room_id, None)  # else nio waits for it for ever
            raise Unreachable(type(error).__name__) from None
        session = olm.outbound_group_sessions[room.room_id]
        reached = session.users_shared_with | session.users_ignored
        for user in room.users:
            for device in olm.device_store.active_user_devices(user):
                has_session = olm.session_store.get(device.curve25519)
                if has_session and (user, device.id) not in reached:
                    olm.outbound_group_sessions.pop(room.room_id, None)
                    raise Unreachable("a group session could not be shared")


def _for_nio(info: Json) -> Json:
    """A joined room's news without what is plainly said; empty where nothing else is new."""
    line = info.get("timeline", {})
    events = [
        e for e in line.get("events", []) if "state_key" in e or e.get("type") == "m.room.encrypted"
    ]
    state = info.get("state", {}).get("events", [])
    if not events and not state:
        return {}
    return info | {"timeline": line | {"events": events}}


def _guarded(work: Callable[..., Any], *arguments: Any) -> Any:
    """What nio makes of it; None where a hostile event makes it fall over."""
    try:
        return work(*arguments)
    except Exception as error:  # whatever: the next event must still be read
        log.warning("event_not_handled", error=type(error).__name__)
        return None


def _identity(answer: Mapping[str, Any], user: str) -> str:
    """The public master key of `user` in an answer of `/keys/query`, "" where there is none."""
    master = answer.get("master_keys", {}).get(user, {})
    return next(iter(master.get("keys", {}).values()), "")
