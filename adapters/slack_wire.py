"""The wires to Slack: Web API calls with their outcome told apart, sockets, HTTP, pacing.

Thin I/O: knows tokens, frames and errors, nothing of questions and answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger("lotse.slack")

Json = dict[str, Any]
Call = Callable[..., Awaitable[Any]]

TIMEOUT_S = 10.0  # of one request; shorter than the worker's lease
PING_S = 10.0  # a socket that answers no ping for half of that is given up
HELLO_S = 10.0
ROTATE_S = 3_600.0  # a socket may look alive and carry nothing: take a new one every hour
MAX_BACKOFF_S = 60.0
STEADY_S = 10.0  # a connection that lasted this long was a good one

CREDENTIAL_ERRORS = {
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
    "not_allowed_token_type", "org_login_required", "invalid_app_token",
}  # fmt: skip
_PASSING_ERRORS = {
    "internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited",
    "rate_limited", "message_limit_exceeded", "accesslimited",
}  # fmt: skip


class Refused(Exception):
    """Slack understood and said no: `error` is its name, `needed` a missing scope."""

    def __init__(self, error: str, needed: str = "") -> None:
        super().__init__(error)
        self.error, self.needed = error, needed


class Limited(Exception):
    """Too many requests: nothing was done."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Unsent(Exception):
    """No connection came about: nothing was done."""


class Unknown(Exception):
    """No usable reply: it may or may not have been done."""


# --- the Web API ------------------------------------------------------------------


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """One pool of connections for everything; requests end within `TIMEOUT_S`."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as opened:
        yield opened


def client(opened: aiohttp.ClientSession, url: str, token: str = "") -> AsyncWebClient:
    """A client that never retries by itself: it would post twice."""
    return AsyncWebClient(
        token=token, base_url=url, session=opened, retry_handlers=[], logger=_quiet("sdk")
    )  # fmt: skip


async def call(method: Call, **args: Any) -> Json:
    """One request.  Raises `Refused`, `Limited`, `Unsent` or `Unknown`, nothing else."""
    try:
        response = await method(**args)
    except SlackApiError as error:
        raise _outcome(error.response) from None
    except aiohttp.ClientConnectorError as error:
        raise Unsent(type(error).__name__) from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Unknown(type(error).__name__) from None
    data = response.data
    scopes = response.headers.get("x-oauth-scopes")
    return {**data, "_scopes": scopes} if scopes is not None else dict(data)


def _outcome(response: Any) -> Exception:
    """What an unsuccessful response means; a bare text where the body was no JSON."""
    status = int(getattr(response, "status_code", getattr(response, "status", 0)) or 0)
    if status == 429:
        return Limited(_retry_after(response.headers))
    data = getattr(response, "data", None)
    if not isinstance(data, dict) or not data.get("error"):
        return Unknown(f"status {status}")
    if data["error"] in ("ratelimited", "rate_limited"):
        return Limited(_retry_after(response.headers))
    if status >= 500 or data["error"] in _PASSING_ERRORS:
        return Unknown(str(data["error"]))
    return Refused(str(data["error"]), str(data.get("needed") or ""))


def _retry_after(headers: Any) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", 1)))
    except ValueError:
        return 1.0


async def respond(opened: aiohttp.ClientSession, url: str, body: Json) -> None:
    """Answer through a response_url.  Raises as `call` does."""
    try:
        async with opened.post(url, json=body) as response:
            text = await response.text()
            if response.status == 429:
                raise Limited(_retry_after(response.headers))
            named = re.fullmatch(r"[a-z]+(_[a-z]+)+", text) and text not in _PASSING_ERRORS
            if 400 <= response.status < 500 or named:
                raise Refused(text if len(text) < 100 else f"status {response.status}")
            if response.status >= 500:
                raise Unknown(f"status {response.status}")
    except aiohttp.ClientConnectorError as error:
        raise Unsent(type(error).__name__) from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Unknown(type(error).__name__) from None


def _quiet(name: str) -> logging.Logger:
    """A logger for the libraries: below warnings they print whole questions."""
    logger = log.getChild(name)
    logger.setLevel(logging.ERROR)
    return logger


def bolt(web_client: AsyncWebClient, identity: AuthorizeResult) -> AsyncApp:
    """A Bolt app that acknowledges only after its listener has returned without an error."""

    async def authorize() -> AuthorizeResult:
        return identity  # one workspace, one token: no request is needed to know it

    return AsyncApp(
        client=web_client,
        authorize=authorize,
        logger=_quiet("bolt"),
        process_before_response=True,
        request_verification_enabled=False,  # `Endpoint` checks first, and logs no bodies
        ssl_check_enabled=False,  # answers unsigned requests
    )


# --- pacing -----------------------------------------------------------------------


class Pace:
    """One post at a time per room, in order, and one per second once Slack has insisted on it."""

    GAP_S, REMEMBERED_S, PATIENCE_S, MOST_SLOTS = 1.05, 120.0, 2.0, 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at: dict[str, float] = {}  # rooms where Slack has insisted
        self._sent_at: dict[str, float] = {}  # the last post in those rooms
        self._slots: dict[tuple[str, str], float] = {}
        self._last: dict[str, _Turn] = {}

    def wait_s(self, room: str, key: str) -> float:
        """How long the post `key` has to wait; it keeps its place when asked again."""
        now = self._clock()
        if room not in self._free_at:
            return 0.0
        if now > self._free_at[room] + self.REMEMBERED_S:
            self._forget(room)
            return 0.0
        if (room, key) not in self._slots:
            if len(self._slots) > self.MOST_SLOTS:
                self._slots = {k: slot for k, slot in self._slots.items() if slot > now}
            slot = max(now, self._free_at[room])
            self._slots[room, key] = slot
            self._free_at[room] = slot + self.GAP_S
        earliest = self._sent_at.get(room, 0.0) + self.GAP_S  # a late one pushes the next back
        return max(0.0, self._slots[room, key] - now, earliest - now)

    def sent(self, room: str) -> None:
        """A post went out just now."""
        if room in self._free_at:
            self._sent_at[room] = self._clock()

    def limited(self, room: str, key: str, retry_after_s: float) -> float:
        """Slack refused the post `key`: keep the pace from now on.  Gives its new wait."""
        now = self._clock()
        self._slots.pop((room, key), None)
        self._free_at[room] = max(self._free_at.get(room, 0.0), now + retry_after_s)
        return self.wait_s(room, key)

    def _forget(self, room: str) -> None:
        del self._free_at[room]
        self._sent_at.pop(room, None)
        self._slots = {k: slot for k, slot in self._slots.items() if k[0] != room}

    @asynccontextmanager
    async def turn(self, room: str) -> AsyncIterator[None]:
        """Wait for the room's post before this one, but not long where that one hangs."""
        before, mine = self._last.get(room), _Turn()
        self._last[room] = mine
        try:
            if before is not None:
                await before.begun.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.PATIENCE_S):
                        await before.done.wait()
            mine.begun.set()
            yield
        finally:
            mine.begun.set()
            mine.done.set()
            if self._last.get(room) is mine:
                del self._last[room]


class _Turn:
    """One post's time in its room."""

    def __init__(self) -> None:
        self.begun, self.done = asyncio.Event(), asyncio.Event()


# --- Socket Mode ------------------------------------------------------------------


class Sockets:
    """Keeps Socket Mode connections open, a new one before the old one goes.

    `gap` is called when one opens and no other was open: events may have been missed.
    `settled` tells payloads that need nothing but their ack: no listener is asked.
    """

    def __init__(
        self,
        app: AsyncApp,
        pool: aiohttp.ClientSession,
        open_url: Callable[[], Awaitable[str]],
        *,
        gap: Callable[[], None],
        settled: Callable[[Json], Awaitable[bool]],
        count: int = 1,
    ) -> None:
        self._app, self._pool, self._open_url = app, pool, open_url
        self._gap, self._settled, self._count = gap, settled, count
        self._alive: set[aiohttp.ClientWebSocketResponse] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._ever = False

    def connected(self) -> bool:
        return any(not socket.closed for socket in self._alive)

    async def run(self) -> None:
        """Until cancelled.  Raises `Refused` where the first connection is refused for good."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._count):
                    group.create_task(self._keep_one())
        except* Refused as refused:
            raise refused.exceptions[0] from None
        finally:
            await self._leave()

    async def _keep_one(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._one()
            except Refused as refused:
                if refused.error in CREDENTIAL_ERRORS and not self._ever:
                    raise
                why = refused.error
            except (Limited, Unsent, Unknown, aiohttp.ClientError, TimeoutError, OSError) as error:
                why = f"{type(error).__name__}: {error}"
            else:
                why = ""
            if time.monotonic() - began >= STEADY_S or not why:
                failures = 0
            if why:
                delay = backoff_s(failures)
                failures += 1
                log.warning("slack socket refused, next try in %.1f s (%s)", delay, why)
                await asyncio.sleep(delay)

    async def _one(self) -> None:
        """One connection, until it should be replaced.  Its reader goes on until it closes."""
        url = await self._open_url()
        socket = await self._pool.ws_connect(
            url, heartbeat=PING_S, timeout=aiohttp.ClientWSTimeout(ws_close=2.0)
        )
        greeted, replace = asyncio.Event(), asyncio.Event()
        reader = self._spawn(self._read(socket, greeted, replace))
        async with asyncio.timeout(HELLO_S):
            await _first(greeted.wait(), reader)
        if not greeted.is_set():
            raise ConnectionError("closed before hello")
        began = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(ROTATE_S * random.uniform(0.8, 1.0)):  # noqa: S311
                await _first(replace.wait(), reader)
        if not replace.is_set() and not reader.done():
            self._spawn(_close_later(socket))  # rotation: what is under way still gets its ack
        elif reader.done() and time.monotonic() - began < STEADY_S:
            raise ConnectionError("closed at once")

    async def _read(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        greeted: asyncio.Event,
        replace: asyncio.Event,
    ) -> None:
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                frame = json.loads(message.data)
                match frame.get("type"):
                    case "hello":
                        self._greet(socket)
                        greeted.set()
                    case "disconnect":
                        self._say_why(str(frame.get("reason")))
                        self._alive.discard(socket)
                        replace.set()
                        self._spawn(_close_later(socket))
                    case _:
                        task = self._spawn(self._handle(socket, frame))
                        self._handling.add(task)
                        task.add_done_callback(self._handling.discard)
        finally:
            self._alive.discard(socket)
            await socket.close()

    def _greet(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        if not self.connected():
            self._gap()
        self._alive.add(socket)
        self._ever = True

    @staticmethod
    def _say_why(reason: str) -> None:
        if reason == "link_disabled":
            log.error(
                "Slack: Socket Mode ist in der App ausgeschaltet. Bitte unter"
                " api.slack.com/apps → Socket Mode wieder einschalten."
            )
        else:
            log.info("slack closes a socket: %s", reason)

    async def _handle(self, socket: aiohttp.ClientWebSocketResponse, frame: Json) -> None:
        """Dispatch one envelope; without a good outcome there is no ack and Slack sends again."""
        request = SocketModeRequest.from_dict(frame)
        if request is None:
            return
        ack: Json = {"envelope_id": request.envelope_id}
        if not await self._settled(request.payload):
            response: BoltResponse = await run_async_bolt_app(self._app, request)
            if response.status != 200:
                return
            if response.body:
                kind = response.headers.get("content-type", [""])[0]
                plain = not kind.startswith("application/json")
                ack["payload"] = {"text": response.body} if plain else json.loads(response.body)
        with suppress(ConnectionError, aiohttp.ClientError):
            await socket.send_json(ack)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _leave(self) -> None:
        """Let what was taken get its ack, then close; what comes meanwhile comes again."""
        if self._handling:
            await asyncio.wait(self._handling, timeout=2.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def backoff_s(failures: int) -> float:
    """1, 2, 4 … up to 60 seconds, each shortened by chance so that many do not come at once."""
    return min(MAX_BACKOFF_S, 2.0**failures) * random.uniform(0.5, 1.0)  # noqa: S311


async def _first(*waits: Awaitable[Any]) -> None:
    """Until the first of them is done; a task among them goes on."""
    tasks = [asyncio.ensure_future(w) for w in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task, given in zip(tasks, waits, strict=True):
            if task is not given:
                task.cancel()


async def _close_later(socket: aiohttp.ClientWebSocketResponse, after_s: float = 15.0) -> None:
    if not socket.closed:
        await asyncio.sleep(after_s)
        await socket.close()


# --- HTTP -------------------------------------------------------------------------

PATH = "/slack/events"


class Endpoint:
    """Takes signed requests on loopback, behind a reverse proxy."""

    _STAMP, _SIGNATURE = re.compile(r"\d{1,12}"), re.compile(r"v0=[0-9a-f]{64}")

    def __init__(self, app: AsyncApp, secret: str, host: str, port: int) -> None:
        self._app, self._verifier = app, SignatureVerifier(secret)
        self._host, self._port = host, port
        self._complained = False
        self.listening = False

    async def run(self) -> None:
        """Until cancelled.  Raises OSError where the port cannot be had."""
        application = web.Application(client_max_size=2**20)
        application.router.add_post(PATH, self._take)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            self.listening = True
            await asyncio.Event().wait()
        finally:
            self.listening = False
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        if not self._genuine(await request.read(), request.headers):
            return web.Response(status=401)
        response = await self._app.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(response)

    def _genuine(self, body: bytes, headers: Any) -> bool:
        """The form first: the verifier stumbles over what is no number or no ASCII."""
        stamp = headers.get("x-slack-request-timestamp", "")
        signature = headers.get("x-slack-signature", "")
        if not (self._STAMP.fullmatch(stamp) and self._SIGNATURE.fullmatch(signature)):
            return False
        if self._verifier.is_valid(body, stamp, signature):
            return True
        if not self._complained and abs(time.time() - int(stamp)) < 300:
            self._complained = True  # once: anybody can send wrong signatures
            log.error(
                "LOTSE_SLACK_SIGNING_SECRET: eine Anfrage trug eine andere Signatur. Kommt sie von"
                " Slack, bitte unter api.slack.com/apps → Basic Information das „Signing Secret“"
                " neu kopieren."
            )
        return False
