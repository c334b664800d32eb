"""A Slack that fits on loopback: Web API, Socket Mode and HTTP events, as strict as the real one.

It knows nothing of the bot.  Tests and benchmarks act as people (`say`, `click`, `slash` …),
put `Fault`s in the way and read what arrived in its rooms.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import WSMsgType, web

from tests.slack_limits import message_problem, pings, view_problem

TEAM, APP, BOT, BOT_ID, ASKER = "T0TOWN", "A0LOTSE", "U0LOTSE", "B0LOTSE", "U0PETRA"
BOT_TOKEN, APP_TOKEN, SECRET = "xoxb-stand-in-bot", "xapp-stand-in-app", "stand-in-signing-secret"

Json = dict[str, Any]

# What each method asks for; "history"/"read" are completed by the kind of the room.
SCOPES = {
    "auth.test": "", "views.open": "", "views.publish": "",
    "chat.postMessage": "chat:write", "chat.postEphemeral": "chat:write",
    "chat.update": "chat:write", "chat.delete": "chat:write",
    "conversations.replies": "history", "conversations.history": "history",
    "conversations.info": "read", "conversations.open": "im:write",
    "users.conversations": "channels:read", "users.info": "users:read",
    "reactions.add": "reactions:write",
    "assistant.threads.setSuggestedPrompts": "assistant:write",
}  # fmt: skip
_FAMILY = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
_EVENT_SCOPE = {
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "assistant_thread_started": "assistant:write",
}


@dataclass
class Fault:
    """Something that goes wrong in the next `times` calls of `method` (`""`: any)."""

    method: str
    kind: str  # status, ratelimited, error, hang, slow, late (processed though nobody waits),
    # reset (before processing), lost (after it)
    times: int = 1
    status: int = 500
    retry_after_s: int = 1
    error: str = ""
    slow_s: float = 0.0
    where: Callable[[Json], bool] = lambda args: True


@dataclass
class Room:
    id: str
    kind: str = "channel"  # group, im, mpim
    member: bool = True  # whether the bot is in it
    archived: bool = False
    foreign: bool = False  # shared over Slack Connect
    person: str = ""  # of a direct conversation
    messages: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    method: str
    args: Json
    at: float
    error: str  # "" where it went well


@dataclass
class Envelope:
    """What one event became: how often it was sent, when it was acknowledged."""

    kind: str
    payload: Json
    sent: list[float] = field(default_factory=list)
    acked: list[float] = field(default_factory=list)
    response: Json | None = None  # the body of the acknowledgement
    statuses: list[int] = field(default_factory=list)  # HTTP only
    dropped: bool = False


class Refused(Exception):
    """The Web API's `{"ok": false, "error": …}`."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


class StandIn:
    """One workspace with one app in it.

    `hurry` divides Slack's times (3 s for an ack, a minute and five between retries).
    `manifest` says which scopes are granted and which events are subscribed.
    """

    def __init__(self, manifest: Mapping[str, Any], *, hurry: float = 1.0, port: int = 0) -> None:
        self.scopes: set[str] = set(manifest["oauth_config"]["scopes"]["bot"])
        self.subscribed: set[str] = set(manifest["settings"]["event_subscriptions"]["bot_events"])
        self.tokens = {BOT_TOKEN: "bot", APP_TOKEN: "app"}
        self.ack_s = 3.0 / hurry
        self.retry_gaps_s = (0.0, 60.0 / hurry, 300.0 / hurry)
        self.port = port
        self.http_url = ""  # where HTTP events go; "" is Socket Mode
        self.per_room_s = 0.0  # Slack's one message per second and room, 0 is off
        self.sockets_allowed = True
        self.show_scopes = True  # the header x-oauth-scopes
        self.users: dict[str, Json] = {}
        self.rooms: dict[str, Room] = {}
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.envelopes: list[Envelope] = []
        self.pinged: set[str] = set()
        self.refusals: list[tuple[str, list[str]]] = []  # payloads against the limits
        self.ephemeral: list[Json] = []
        self.views: list[Json] = []  # modals opened
        self.homes: dict[str, Json] = {}
        self.reactions: set[tuple[str, str, str]] = set()
        self.prompts: list[Json] = []
        self.ack_losses = 0  # this many acks go missing on the way
        self.frozen = False  # sockets that look alive but answer no ping
        self._sockets: list[web.WebSocketResponse] = []
        self._leaving: set[web.WebSocketResponse] = set()  # get no more envelopes
        self._turn = itertools.count()
        self._waiting: dict[str, tuple[Envelope, asyncio.Event]] = {}
        self._triggers: dict[str, float] = {}
        self._response_urls: dict[str, Json] = {}
        self._next_at: dict[str, float] = {}
        self._last_ts = 0.0
        self._ids = itertools.count(1)
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.add_user(BOT, "ozg-lotse", is_bot=True)
        self.add_user(ASKER, "Petra")
        self.add_room("C0AMT")

    # --- the place ------------------------------------------------------------------

    def add_user(self, user: str, name: str, **more: Any) -> str:
        profile = {"display_name": name, "real_name": name}
        self.users[user] = {
            "id": user, "team_id": TEAM, "name": name.lower(), "real_name": name,
            "profile": profile, "is_bot": False, "is_restricted": False,
            "is_ultra_restricted": False, **more,
        }  # fmt: skip
        return user

    def add_room(self, room: str, kind: str = "channel", **more: Any) -> str:
        self.rooms[room] = Room(room, kind, **more)
        return room

    def direct(self, user: str = ASKER) -> str:
        """The room of the conversation of `user` with the bot."""
        room = "D" + user[1:]
        if room not in self.rooms:
            self.add_room(room, "im", person=user)
        return room

    @asynccontextmanager
    async def running(self) -> AsyncIterator[StandIn]:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link", self._link)
        app.router.add_post("/respond/{id}", self._respond)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    def ts(self) -> str:
        """A new timestamp, later than every other one."""
        self._last_ts = max(time.time(), self._last_ts + 0.000001)
        return f"{self._last_ts:.6f}"

    # --- looking ----------------------------------------------------------------------

    def answers(self, room: str, to: str | None = None) -> list[Json]:
        """The bot's messages in a room, or those in the thread of `to`."""
        return [
            m
            for m in self.rooms[room].messages.values()
            if m.get("user") == BOT and (to is None or m.get("thread_ts") == to)
        ]

    def called(self, method: str, error: str | None = None) -> list[Call]:
        return [c for c in self.calls if c.method == method and error in (None, c.error)]

    async def until(self, reached: Callable[[], bool], within_s: float = 5.0) -> None:
        """Wait for something to become true; AssertionError where it does not."""
        try:
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(reached)
        except TimeoutError:
            raise AssertionError(f"not within {within_s} s") from None

    async def quiet(self, within_s: float = 5.0) -> None:
        """Wait until every envelope was acknowledged or given up."""
        await self.until(lambda: all(e.acked or e.dropped for e in self.envelopes), within_s)

    async def connected(self, sockets: int = 1, within_s: float = 5.0) -> None:
        await self.until(lambda: len(self._open()) >= sockets, within_s)

    async def _stir(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # --- people -----------------------------------------------------------------------

    async def say(
        self,
        room: str,
        text: str,
        *,
        user: str = ASKER,
        thread: str = "",
        quietly: bool = False,
        **more: Any,
    ) -> str:
        """Somebody writes.  Gives its ts; `quietly` stores it without any event."""
        message = {"type": "message", "user": user, "text": text, "ts": self.ts(), "team": TEAM}
        message |= ({"thread_ts": thread} if thread else {}) | more
        self.rooms[room].messages[message["ts"]] = message
        if thread in self.rooms[room].messages:
            root = self.rooms[room].messages[thread]
            root["thread_ts"], root["latest_reply"] = thread, message["ts"]
            root["reply_count"] = root.get("reply_count", 0) + 1
        if not quietly:
            self._announce(room, message)
        await self._stir()
        return str(message["ts"])

    def _announce(self, room: str, message: Json) -> None:
        """The events of one new message: a mention in a room arrives as two."""
        event = {**message, "channel": room, "event_ts": message["ts"]}
        event["channel_type"] = self.rooms[room].kind
        if f"<@{BOT}" in message.get("text", "") and self.rooms[room].kind != "im":
            mention = {k: v for k, v in event.items() if k != "channel_type"}
            self._event(room, {**mention, "type": "app_mention"})
        self._event(room, event)

    async def edit(self, room: str, ts: str, text: str) -> None:
        old = dict(self.rooms[room].messages[ts])
        new = self.rooms[room].messages[ts] = {
            **old, "text": text, "edited": {"user": old["user"], "ts": self.ts()},
        }  # fmt: skip
        self._event(room, self._changed_event(room, "message_changed", message=new, previous=old))
        await self._stir()

    async def delete(self, room: str, ts: str) -> None:
        old = self.rooms[room].messages.pop(ts)
        event = self._changed_event(room, "message_deleted", deleted_ts=ts, previous=old)
        self._event(room, event)
        await self._stir()

    def _changed_event(self, room: str, subtype: str, previous: Json, **more: Any) -> Json:
        at = self.ts()
        return {
            "type": "message", "subtype": subtype, "channel": room, "ts": at, "event_ts": at,
            "channel_type": self.rooms[room].kind, "previous_message": previous, "hidden": True,
            **more,
        }  # fmt: skip

    async def react(
        self, room: str, ts: str, name: str, *, user: str = ASKER, removed: bool = False
    ) -> None:
        kind = "reaction_removed" if removed else "reaction_added"
        item = {"type": "message", "channel": room, "ts": ts}
        author = self.rooms[room].messages[ts]["user"]
        event = {"type": kind, "user": user, "reaction": name, "item": item, "item_user": author}
        self._event(room, {**event, "event_ts": self.ts()})

    async def open_home(self, user: str = ASKER, tab: str = "home") -> None:
        event = {"type": "app_home_opened", "user": user, "channel": self.direct(user), "tab": tab}
        self._event(self.direct(user), {**event, "event_ts": self.ts()})

    async def start_assistant(self, user: str = ASKER) -> None:
        room = self.direct(user)
        thread = {"user_id": user, "channel_id": room, "thread_ts": self.ts(), "context": {}}
        event = {"type": "assistant_thread_started", "assistant_thread": thread}
        self._event(room, {**event, "event_ts": self.ts()})

    async def slash(
        self, room: str, text: str, *, user: str = ASKER, command: str = "/lotse"
    ) -> Envelope:
        name = self.users[user]["name"]
        return await self._interact("slash_commands", {
            "token": "legacy", "team_id": TEAM, "team_domain": "town", "channel_id": room,
            "channel_name": room.lower(), "user_id": user, "user_name": name,
            "command": command, "text": text, "api_app_id": APP,
            "response_url": self._response_url(room, user), "trigger_id": self._trigger(),
            "is_enterprise_install": "false",
        })  # fmt: skip

    async def shortcut(self, room: str, ts: str, callback_id: str, *, user: str = ASKER) -> None:
        await self._interactive(user, {
            "type": "message_action", "callback_id": callback_id, "action_ts": self.ts(),
            "message_ts": ts, "message": self.rooms[room].messages[ts],
            "channel": {"id": room, "name": room.lower()},
            "response_url": self._response_url(room, user),
        })  # fmt: skip

    async def click(
        self,
        message: Json,
        action_id: str,
        *,
        user: str = ASKER,
        value: str | None = None,
        room: str = "",
    ) -> Envelope:
        """Press a button of a message (also an ephemeral one) or of a Home tab."""
        block, element = _find(message["blocks"], action_id)
        pressed = {
            "type": element["type"], "action_id": action_id, "block_id": block.get("block_id", "b"),
            "value": element.get("value", "") if value is None else value, "action_ts": self.ts(),
        }  # fmt: skip
        if element["type"] == "button":
            pressed["text"] = element["text"]
        body: Json = {"type": "block_actions", "actions": [pressed]}
        if message.get("type") == "home":
            body |= {"view": message, "container": {"type": "view", "view_id": message["id"]}}
        else:
            room = room or message["channel"]
            hidden = bool(message.get("is_ephemeral"))
            body |= {
                "channel": {"id": room, "name": room.lower()},
                "container": {
                    "type": "message", "message_ts": message["ts"], "channel_id": room,
                    "is_ephemeral": hidden,
                    **({"thread_ts": message["thread_ts"]} if message.get("thread_ts") else {}),
                },
                "response_url": self._response_url(room, user, message["ts"] if hidden else ""),
                **({} if hidden else {"message": message}),
            }  # fmt: skip
        return await self._interactive(user, body)

    async def submit(
        self, view: Json, values: Mapping[str, Json], *, user: str = ASKER
    ) -> Envelope:
        """Send a modal off; `values` maps action_id to its state."""
        state: Json = {}
        for block in view["blocks"]:
            if block["type"] == "input" and block["element"]["action_id"] in values:
                action = block["element"]["action_id"]
                kind = block["element"]["type"]
                state[block["block_id"]] = {action: {"type": kind, **values[action]}}
        return await self._interactive(
            user, {"type": "view_submission", "view": {**view, "state": {"values": state}}}
        )

    async def _interactive(self, user: str, body: Json) -> Envelope:
        return await self._interact("interactive", {
            "team": {"id": TEAM, "domain": "town"}, "token": "legacy", "api_app_id": APP,
            "user": {"id": user, "username": self.users[user]["name"], "team_id": TEAM},
            "trigger_id": self._trigger(), "is_enterprise_install": False, **body,
        })  # fmt: skip

    async def _interact(self, kind: str, payload: Json) -> Envelope:
        """Interactions are sent once: without an ack the user sees an error."""
        envelope = Envelope(kind, payload)
        self.envelopes.append(envelope)
        await self._send_once(envelope, 0, "")
        envelope.dropped = not envelope.acked
        await self._stir()
        return envelope

    def _trigger(self) -> str:
        trigger = f"{next(self._ids)}.{time.time_ns()}.trigger"
        self._triggers[trigger] = time.monotonic()
        return trigger

    def _response_url(self, room: str, user: str, replaces: str = "") -> str:
        name = str(next(self._ids))
        self._response_urls[name] = {"room": room, "user": user, "left": 5, "ts": replaces}
        return f"http://127.0.0.1:{self.port}/respond/{name}"

    # --- events on their way ----------------------------------------------------------

    def _event(self, room: str, event: Json) -> None:
        """Wrap an event and send it until it is acknowledged, as the subscription allows."""
        kind = event["type"]
        family = self.rooms[room].kind
        name = f"message.{_FAMILY[family]}" if kind == "message" else kind
        scope = _EVENT_SCOPE.get(kind, f"{_FAMILY[family]}:history" if kind == "message" else "")
        if name not in self.subscribed or (scope and scope not in self.scopes):
            return
        if not self.rooms[room].member:
            return
        payload = {
            "token": "legacy", "team_id": TEAM, "api_app_id": APP, "event": event,
            "type": "event_callback", "event_id": f"Ev{next(self._ids):08}",
            "event_time": int(time.time()), "is_ext_shared_channel": self.rooms[room].foreign,
            "authorizations": [{
                "enterprise_id": None, "team_id": TEAM, "user_id": BOT, "is_bot": True,
                "is_enterprise_install": False,
            }],
        }  # fmt: skip
        envelope = Envelope("events_api", payload)
        self.envelopes.append(envelope)
        self._spawn(self._send(envelope))

    async def _send(self, envelope: Envelope) -> None:
        reason = ""
        for attempt in range(4):
            if attempt:
                await asyncio.sleep(self.retry_gaps_s[attempt - 1])
            outcome = await self._send_once(envelope, attempt, reason)
            if outcome == "":
                break
            reason = outcome
        else:
            envelope.dropped = True
        await self._stir()

    async def _send_once(self, envelope: Envelope, attempt: int, reason: str) -> str:
        """One delivery; "" where it was acknowledged, else Slack's reason for a retry."""
        envelope.sent.append(time.monotonic())
        if self.http_url:
            return await self._send_http(envelope, attempt, reason)
        socket = self._pick()
        if socket is None:
            await asyncio.sleep(self.ack_s)
            return "timeout"
        name = f"env-{next(self._ids)}"
        acked = asyncio.Event()
        self._waiting[name] = (envelope, acked)
        frame = {
            "envelope_id": name, "type": envelope.kind, "payload": envelope.payload,
            "accepts_response_payload": envelope.kind != "events_api",
        }  # fmt: skip
        if envelope.kind == "events_api":
            frame |= {"retry_attempt": attempt, "retry_reason": reason}
        try:
            await socket.send_json(frame)
            async with asyncio.timeout(self.ack_s):
                await acked.wait()
        except (TimeoutError, ConnectionError):
            return "timeout"
        return ""

    def _open(self) -> list[web.WebSocketResponse]:
        return [s for s in self._sockets if not s.closed and s not in self._leaving]

    def _pick(self) -> web.WebSocketResponse | None:
        """Slack gives each envelope to one of the open connections."""
        sockets = self._open()
        return sockets[next(self._turn) % len(sockets)] if sockets else None

    async def _send_http(self, envelope: Envelope, attempt: int, reason: str) -> str:
        if envelope.kind == "events_api":
            body, kind = json.dumps(envelope.payload), "application/json"
        else:
            form = envelope.payload
            if envelope.kind == "interactive":
                form = {"payload": json.dumps(form)}
            body, kind = urlencode(form), "application/x-www-form-urlencoded"
        headers = {"content-type": kind, **signed(body)}
        if attempt:
            headers |= {"x-slack-retry-num": str(attempt), "x-slack-retry-reason": reason}
        try:
            timeout = aiohttp.ClientTimeout(total=self.ack_s)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self.http_url, data=body.encode(), headers=headers) as response,
            ):
                text = await response.text()
                envelope.statuses.append(response.status)
                if response.status != 200:
                    return "http_error"
                envelope.response = json.loads(text) if text.startswith("{") else None
        except TimeoutError:
            return "http_timeout"
        except aiohttp.ClientError:
            return "connection_failed"
        envelope.acked.append(time.monotonic())
        await self._stir()
        return ""

    # --- Socket Mode ------------------------------------------------------------------

    async def _link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        if len(self._open()) >= 10:
            await socket.send_json(_disconnect("too_many_websockets"))
            await socket.close()
            return socket
        self._sockets.append(socket)
        await socket.send_json({
            "type": "hello", "num_connections": len(self._open()),
            "debug_info": {
                "host": "applink-stand-in", "build_number": 10,
                "approximate_connection_time": 18060,
            },
            "connection_info": {"app_id": APP},
        })  # fmt: skip
        await self._stir()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.PING and not self.frozen:
                    await socket.pong(frame.data)
                elif frame.type is WSMsgType.TEXT:
                    await self._acknowledged(json.loads(frame.data))
        finally:
            self._sockets.remove(socket)
            self._leaving.discard(socket)
            self._spawn(self._stir())
        return socket

    async def _acknowledged(self, ack: Json) -> None:
        if ack.get("envelope_id") not in self._waiting:
            return
        envelope, event = self._waiting[ack["envelope_id"]]
        if envelope.kind == "events_api" and self.ack_losses:
            self.ack_losses -= 1
            return
        envelope.acked.append(time.monotonic())
        envelope.response = ack.get("payload")
        event.set()
        await self._stir()

    async def disconnect(self, reason: str, grace_s: float = 0.1) -> None:
        """Slack announces that it closes the sockets, and does so."""
        leaving = self._open()
        for socket in leaving:
            self._leaving |= {socket} if reason != "warning" else set()
            await socket.send_json(_disconnect(reason))
        if reason != "warning":
            await asyncio.sleep(grace_s)
            for socket in leaving:
                await socket.close()

    def reset_sockets(self) -> None:
        """TCP resets on all sockets, without a closing frame."""
        for socket in self._open():
            transport = socket._req.transport  # type: ignore[union-attr]
            if transport is not None:
                transport.abort()

    # --- the Web API ------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        await request.read()
        arrived = time.monotonic()
        args = await _arguments(request)
        fault = self._fault(method, args)
        if fault is not None:
            early = await self._go_wrong(fault, request, method, args)
            if early is not None:
                return early
        status, headers = 200, {}
        try:
            self._check_rate(method, args)
            body = {"ok": True, **self._dispatch(method, args, _token(request, args))}
        except Refused as refused:
            body = refused.body
            if body["error"] == "ratelimited":
                status, headers = 429, {"Retry-After": str(body.pop("_retry_after"))}
        self.calls.append(Call(method, args, arrived, body.get("error", "")))
        await self._stir()
        if fault is not None and fault.kind == "lost":
            _abort(request)
        if self.show_scopes:
            headers["x-oauth-scopes"] = ",".join(sorted(self.scopes))
        return web.json_response(body, status=status, headers=headers)

    def _fault(self, method: str, args: Json) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method in ("", method) and fault.where(args):
                fault.times -= 1
                return fault
        return None

    async def _go_wrong(
        self, fault: Fault, request: web.Request, method: str, args: Json
    ) -> web.Response | None:
        if fault.kind not in ("lost", "slow", "late"):  # those are processed all the same
            self.calls.append(Call(method, args, time.monotonic(), f"fault: {fault.kind}"))
            await self._stir()
        match fault.kind:
            case "status":
                return web.Response(status=fault.status, text="<html>upstream error</html>")
            case "ratelimited":
                headers = {"Retry-After": str(fault.retry_after_s)}
                limited = {"ok": False, "error": "ratelimited"}
                return web.json_response(limited, status=429, headers=headers)
            case "error":
                return web.json_response({"ok": False, "error": fault.error})
            case "hang":
                await asyncio.sleep(600)
            case "slow":
                await asyncio.sleep(fault.slow_s)
            case "late":
                self._spawn(self._process_later(fault.slow_s, request, method, args))
                await asyncio.sleep(600)
            case "reset":
                _abort(request)
                return web.Response()
        return None

    async def _process_later(
        self, after_s: float, request: web.Request, method: str, args: Json
    ) -> None:
        token = _token(request, args)
        await asyncio.sleep(after_s)
        self._dispatch(method, args, token)
        await self._stir()

    def _check_rate(self, method: str, args: Json) -> None:
        if method != "chat.postMessage" or not self.per_room_s:
            return
        room, now = str(args.get("channel")), time.monotonic()
        if now < self._next_at.get(room, 0.0):
            raise Refused("ratelimited", _retry_after=max(1, round(self.per_room_s)))
        self._next_at[room] = now + self.per_room_s

    def _dispatch(self, method: str, args: Json, token: str) -> Json:
        if not token:
            raise Refused("not_authed")
        if token not in self.tokens:
            raise Refused("invalid_auth")
        if method == "apps.connections.open":
            if self.tokens[token] != "app":
                raise Refused("not_allowed_token_type")
            if not self.sockets_allowed:
                raise Refused("internal_error")
            ticket = next(self._ids)
            return {"url": f"ws://127.0.0.1:{self.port}/link?ticket={ticket}&app_id={APP}"}
        if method not in SCOPES:
            raise Refused("unknown_method", req_method=method)
        if self.tokens[token] != "bot":
            raise Refused("not_allowed_token_type")
        self._check_scope(SCOPES[method], args)
        handler: Callable[[Json], Json] = getattr(self, "_" + _snake(method))
        return handler(args)

    def _check_scope(self, scope: str, args: Json) -> None:
        if scope in ("history", "read"):
            room = self.rooms.get(str(args.get("channel")))
            scope = f"{_FAMILY[room.kind if room else 'channel']}:{scope}"
        if scope and scope not in self.scopes:
            provided = ",".join(sorted(self.scopes))
            raise Refused("missing_scope", needed=scope, provided=provided)

    def _room(self, args: Json, *, writing: bool = False) -> Room:
        room = self.rooms.get(str(args.get("channel", "")))
        if room is None:
            raise Refused("channel_not_found")
        if not room.member:
            raise Refused("not_in_channel" if room.kind == "channel" else "channel_not_found")
        if writing and room.archived:
            raise Refused("is_archived")
        return room

    def _checked(self, args: Json) -> tuple[str, list[Json]]:
        text, blocks = str(args.get("text") or ""), _decoded(args.get("blocks")) or []
        problem = message_problem(text, blocks)
        if problem:
            self.refusals.append(problem)
            raise Refused(problem[0], errors=problem[1])
        if args.get("link_names") in (True, "1", "true") or args.get("parse") == "full":
            self.pinged.add("link_names")
        return text, blocks

    def _auth_test(self, args: Json) -> Json:
        names = {"team": "Rathaus", "user": "ozg-lotse", "url": "https://town.slack.com/"}
        return {**names, "team_id": TEAM, "user_id": BOT, "bot_id": BOT_ID}

    def _chat_postmessage(self, args: Json) -> Json:
        room = self._room(args, writing=True)
        text, blocks = self._checked(args)
        thread = str(args.get("thread_ts") or "")
        for number, block in enumerate(blocks):
            block.setdefault("block_id", f"made-{number}")
        message: Json = {
            "type": "message", "user": BOT, "bot_id": BOT_ID, "app_id": APP, "team": TEAM,
            "text": text, "blocks": blocks, "ts": self.ts(), "channel": room.id,
        }  # fmt: skip
        message |= {"thread_ts": thread} if thread else {}
        if args.get("metadata"):
            message["metadata"] = _decoded(args["metadata"])
        for name in ("unfurl_links", "unfurl_media", "reply_broadcast", "mrkdwn"):
            if name in args:
                message[f"_{name}"] = args[name]
        room.messages[message["ts"]] = message
        if thread in room.messages:
            root = room.messages[thread]
            root["thread_ts"], root["latest_reply"] = thread, message["ts"]
            root["reply_count"] = root.get("reply_count", 0) + 1
        self.pinged |= pings(text, blocks)
        self._announce(room.id, message)
        return {"channel": room.id, "ts": message["ts"], "message": message}

    def _chat_postephemeral(self, args: Json) -> Json:
        room = self._room(args, writing=True)
        return {"message_ts": self._whisper(room.id, str(args["user"]), args)["ts"]}

    def _whisper(self, room: str, user: str, args: Json) -> Json:
        text, blocks = self._checked(args)
        message = {
            "type": "message", "is_ephemeral": True, "channel": room, "to": user, "user": BOT,
            "text": text, "blocks": blocks, "ts": self.ts(),
            **({"thread_ts": args["thread_ts"]} if args.get("thread_ts") else {}),
        }  # fmt: skip
        self.ephemeral.append(message)
        return message

    def _chat_update(self, args: Json) -> Json:
        room = self._room(args, writing=True)
        old = room.messages.get(str(args.get("ts")))
        if old is None:
            raise Refused("message_not_found")
        if old["user"] != BOT:
            raise Refused("cant_update_message")
        text, blocks = self._checked(args)
        edited = {"user": BOT, "ts": self.ts()}
        new = {**old, "text": text, "blocks": blocks, "edited": edited}
        if args.get("metadata"):
            new["metadata"] = _decoded(args["metadata"])
        room.messages[old["ts"]] = new
        self._event(
            room.id, self._changed_event(room.id, "message_changed", message=new, previous=old)
        )
        return {"channel": room.id, "ts": old["ts"], "text": text}

    def _chat_delete(self, args: Json) -> Json:
        room = self._room(args)
        old = room.messages.get(str(args.get("ts")))
        if old is None:
            raise Refused("message_not_found")
        if old["user"] != BOT:
            raise Refused("cant_delete_message")
        del room.messages[old["ts"]]
        return {"channel": room.id, "ts": old["ts"]}

    def _conversations_replies(self, args: Json) -> Json:
        room = self._room(args)
        root = str(args.get("ts"))
        found = [m for m in room.messages.values() if root in (m["ts"], m.get("thread_ts"))]
        if not found:
            raise Refused("thread_not_found")
        return self._page(found, args)

    def _conversations_history(self, args: Json) -> Json:
        room = self._room(args)
        top = [m for m in room.messages.values() if m.get("thread_ts", m["ts"]) == m["ts"]]
        return self._page(top, args, newest_first=True)

    def _page(self, messages: list[Json], args: Json, *, newest_first: bool = False) -> Json:
        oldest, latest = float(args.get("oldest") or 0), float(args.get("latest") or 1e12)
        ends = (oldest, latest) if str(args.get("inclusive")) in ("1", "true", "True") else ()
        within = [m for m in messages if oldest < float(m["ts"]) < latest or float(m["ts"]) in ends]
        within.sort(key=lambda m: m["ts"], reverse=newest_first)
        start, limit = int(args.get("cursor") or 0), int(args.get("limit") or 100)
        more = start + limit < len(within)
        shown = [_without_metadata(m, args) for m in within[start : start + limit]]
        cursor = str(start + limit) if more else ""
        return {
            "messages": shown, "has_more": more, "response_metadata": {"next_cursor": cursor},
        }  # fmt: skip

    def _conversations_info(self, args: Json) -> Json:
        return {"channel": _described(self._room(args))}

    def _conversations_open(self, args: Json) -> Json:
        user = str(args.get("users"))
        if user not in self.users:
            raise Refused("user_not_found")
        return {"channel": {"id": self.direct(user)}}

    def _users_conversations(self, args: Json) -> Json:
        rooms = [_described(r) for r in self.rooms.values() if r.member]
        return {"channels": rooms, "response_metadata": {"next_cursor": ""}}

    def _users_info(self, args: Json) -> Json:
        if args.get("user") not in self.users:
            raise Refused("user_not_found")
        return {"user": self.users[args["user"]]}

    def _reactions_add(self, args: Json) -> Json:
        mark = (str(args["channel"]), str(args["timestamp"]), str(args["name"]))
        if mark in self.reactions:
            raise Refused("already_reacted")
        self.reactions.add(mark)
        return {}

    def _views_open(self, args: Json) -> Json:
        trigger = self._triggers.pop(str(args.get("trigger_id")), None)
        if trigger is None:
            raise Refused("exchanged_trigger_id")
        if time.monotonic() - trigger > 3.0:
            raise Refused("expired_trigger_id")
        return {"view": self._kept(args, self.views.append)}

    def _views_publish(self, args: Json) -> Json:
        user = str(args["user_id"])
        return {"view": self._kept(args, lambda view: self.homes.__setitem__(user, view))}

    def _kept(self, args: Json, keep: Callable[[Json], None]) -> Json:
        view = _decoded(args["view"])
        problem = view_problem(view)
        if problem:
            self.refusals.append(problem)
            raise Refused(problem[0], response_metadata={"messages": problem[1]})
        view = {"private_metadata": "", **view, "id": f"V{next(self._ids)}", "team_id": TEAM}
        keep(view)
        return dict(view)

    def _assistant_threads_setsuggestedprompts(self, args: Json) -> Json:
        self.prompts.append({**args, "prompts": _decoded(args.get("prompts"))})
        return {}

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        """A response_url: five answers, seen by the asker unless said otherwise."""
        args = json.loads(await request.text())
        fault = self._fault("response_url", args)
        if fault is not None:
            early = await self._go_wrong(fault, request, "response_url", args)
            if early is not None:
                return early
        target = self._response_urls.get(request.match_info["id"])
        if target is None or not target["left"]:
            return web.Response(status=404, text="used_url" if target else "expired_url")
        target["left"] -= 1
        error = ""
        try:
            if args.get("delete_original"):
                gone = target["ts"]
                self.ephemeral = [m for m in self.ephemeral if m["ts"] != gone]
            elif args.get("response_type") == "in_channel":
                raise Refused("not_supported_here")
            else:
                self._whisper(target["room"], target["user"], args)
        except Refused as refused:
            error = refused.body["error"]
        self.calls.append(Call("response_url", args, time.monotonic(), error))
        await self._stir()
        if fault is not None and fault.kind == "lost":
            _abort(request)
        return web.Response(status=500 if error else 200, text=error or "ok")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def signed(body: str, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """The headers with which Slack signs a request."""
    stamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256)
    return {
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": f"v0={mac.hexdigest()}",
    }


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-stand-in"}}


async def _arguments(request: web.Request) -> Json:
    args: Json = dict(request.query)
    text = await request.text()
    if request.content_type == "application/json":
        args |= json.loads(text or "{}")
    else:
        args |= dict(parse_qsl(text, keep_blank_values=True))
    return args


def _token(request: web.Request, args: Json) -> str:
    header = request.headers.get("authorization", "")
    return header.removeprefix("Bearer ").strip() or str(args.get("token") or "")


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _snake(method: str) -> str:
    return method.replace(".", "_").lower()


def _described(room: Room) -> Json:
    return {
        "id": room.id, "is_im": room.kind == "im", "is_mpim": room.kind == "mpim",
        "is_channel": room.kind == "channel", "is_group": room.kind == "group",
        "is_archived": room.archived, "is_ext_shared": room.foreign, "is_member": room.member,
        **({"user": room.person} if room.person else {"name": room.id.lower()}),
    }  # fmt: skip


def _without_metadata(message: Json, args: Json) -> Json:
    if args.get("include_all_metadata") in (True, 1, "1", "true", "True"):
        return message
    return {k: v for k, v in message.items() if k != "metadata"}


def _find(blocks: list[Json], action_id: str) -> tuple[Json, Json]:
    for block in blocks:
        for element in [*block.get("elements", []), block.get("accessory", {})]:
            if element.get("action_id") == action_id:
                return block, element
    raise AssertionError(f"no element {action_id!r}")
