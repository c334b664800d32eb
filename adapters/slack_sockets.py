"""Socket Mode: connections that come back by themselves, with back-off and without a gap.

Our own instead of the SDK's, which reconnects at a fixed interval and closes before it opens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import WSMsgType
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from adapters import slack_wire as wire
from adapters.slack_wire import (
    CREDENTIAL_ERRORS,
    Json,
    Limited,
    Refused,
    Unknown,
    Unsent,
    proxy_for,
)

log = logging.getLogger("lotse.slack")

PING_S = 10.0  # a socket that answers no ping for half of that is given up
HELLO_S = 10.0
ROTATE_S = 3_600.0  # a socket may look alive and carry nothing: take a new one every hour
STEADY_S = 10.0  # a connection that lasted this long was a good one
LEAVE_S = 2.0  # for the acks of what was taken, at the end


class Sockets:
    """Keeps Socket Mode connections open, a new one before the old one goes.

    `gap` is called when one opens and no other was open: events may have been missed.
    `event` takes events in and says whether to acknowledge; all else is `app`'s business.
    """

    def __init__(
        self,
        app: AsyncApp,
        pool: aiohttp.ClientSession,
        open_url: Callable[[], Awaitable[str]],
        *,
        gap: Callable[[], None],
        event: Callable[[Json], Awaitable[bool]],
        count: int = 1,
    ) -> None:
        self._app, self._pool, self._open_url = app, pool, open_url
        self._gap, self._event, self._count = gap, event, count
        self._alive: set[aiohttp.ClientWebSocketResponse] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._ever = False

    def connected(self) -> bool:
        return any(not socket.closed for socket in self._alive)

    async def run(self) -> None:
        """Until cancelled.  Raises `Refused` where the first connection is refused for good."""
        refusal: Exception | None = None  # raised below: in `except*` some Pythons wrap it
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._count):
                    group.create_task(self._keep_one())
        except* Refused as refused:
            refusal = refused.exceptions[0]
        finally:
            await self._leave()
        if refusal:
            raise refusal

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
                delay = wire.backoff_s(failures)
                failures += 1
                log.warning("slack socket refused, next try in %.1f s (%s)", delay, why)
                await asyncio.sleep(delay)

    async def _one(self) -> None:
        """One connection, until it should be replaced.  Its reader goes on until it closes."""
        url = await self._open_url()
        socket = await self._pool.ws_connect(
            url,
            heartbeat=PING_S,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            proxy=proxy_for(url),
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
        if request.type == "events_api":
            if not await self._event(request.payload):
                return
        else:
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
            await asyncio.wait(self._handling, timeout=LEAVE_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


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
