"""HTTP instead of Socket Mode: signed requests on loopback, meant for a reverse proxy."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from adapters.slack_wire import Json

log = logging.getLogger("lotse.slack")

PATH = "/slack/events"


class Endpoint:
    """Takes signed requests on loopback, behind a reverse proxy.

    `event` takes events in and says whether to acknowledge; all else is `app`'s business.
    """

    _STAMP, _SIGNATURE = re.compile(r"\d{1,12}"), re.compile(r"v0=[0-9a-f]{64}")

    def __init__(
        self,
        app: AsyncApp,
        event: Callable[[Json], Awaitable[bool]],
        secret: str,
        host: str,
        port: int,
    ) -> None:
        self._app, self._event, self._verifier = app, event, SignatureVerifier(secret)
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
        if request.content_type == "application/json":
            body = await request.json()
            if body.get("type") == "event_callback":
                return web.Response(status=200 if await self._event(body) else 500)
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
