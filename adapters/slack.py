"""Slack: takes questions in before it acknowledges them, delivers every answer exactly once.

One `Slack` serves one workspace through the app that its town created there, over Socket Mode
or over HTTP behind a reverse proxy.  In: `slack_sockets` or `slack_http`, then `slack_reception`
(listeners) with `slack_intake` (payloads read, pure).  Out: `slack_delivery` (exactly once) with
`slack_render` and `slack_views` (what is shown, pure) and `slack_pace`.  Both ask `slack_lookup`
(people, rooms) and use `slack_wire` (requests); `slack_setup` is what the operator reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import aiohttp
from slack_bolt.authorization import AuthorizeResult

from adapters import slack_intake as intake
from adapters import slack_setup as setup
from adapters import slack_wire as wire
from adapters.slack_delivery import Courier
from adapters.slack_http import Endpoint
from adapters.slack_lookup import Lookup
from adapters.slack_reception import Reception, Workspace
from adapters.slack_sockets import Sockets
from adapters.slack_wire import CREDENTIAL_ERRORS, Limited, Refused, Unknown, Unsent
from bot.chat import (
    Conversation,
    CredentialRefused,
    Delivery,
    DeliveryFailed,
    Desk,
    Finding,
    Posted,
    StoreUnavailable,
)
from bot.config import SlackSettings, SlackWorkspace

log = logging.getLogger("lotse.slack")

BEAT_S = 60.0
MOST_WAITS = 30  # for Slack's limit of requests, in one room
MARGIN_S = 600.0  # events may still be on their way for as long as Slack repeats them


class Slack:
    """One workspace.  `workspace` and `team` are known once Slack has said who the bot is."""

    name = "slack"

    def __init__(self, settings: SlackSettings, installation: SlackWorkspace) -> None:
        self.workspace = ""
        self.team: Conversation | None = None
        self._settings, self._installation = settings, installation
        self._space: Workspace | None = None
        self._courier: Courier | None = None
        self._sockets: Sockets | None = None
        self._endpoint: Endpoint | None = None
        self._gave_up: asyncio.Future[None] | None = None  # raises once a credential is refused
        self._missed = asyncio.Event()  # events may be lost: look through the rooms

    def connected(self) -> bool:
        if self._sockets is not None:
            return self._sockets.connected()
        return self._endpoint is not None and self._endpoint.listening

    async def run(self, desk: Desk) -> None:
        """Check the set-up, connect, take questions in until cancelled."""
        self._gave_up = asyncio.get_running_loop().create_future()
        async with wire.session() as pool:
            space = self._space = await self._introduce(pool)
            self.workspace, self.team = space.me.team, space.team
            self._courier = Courier(space.client, pool, space.me, space.lookup, self._refused)
            reception = Reception(desk, space, self._missed)
            refusal: Exception | None = None  # raised below: in `except*` some Pythons wrap it
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(space, reception))
                    group.create_task(self._catch_up_when_needed(desk, space, reception))
                    group.create_task(self._beat(desk, space))
                    group.create_task(_wait_for(self._gave_up))
            except* CredentialRefused as refused:
                refusal = refused.exceptions[0]
            finally:
                self._sockets = self._endpoint = None
                reception.close()
            if refusal:
                raise refusal

    async def deliver(self, delivery: Delivery) -> Posted:
        """Post the reply, exactly once under `delivery.key` as far as the room shows it."""
        if self._courier is None:
            raise DeliveryFailed("not connected yet", retry_after_s=1.0, unsent=True)
        return await self._courier.deliver(delivery)

    async def withdraw(self, conversation: Conversation, posted: Posted) -> None:
        """Remove an answer whose question was deleted."""
        if self._courier is None:
            raise DeliveryFailed("not connected yet", retry_after_s=1.0, unsent=True)
        await self._courier.withdraw(conversation, posted)

    async def examine(self) -> list[Finding]:
        """What `lotse doctor` says about this workspace, without touching anything."""
        async with wire.session() as pool:
            token = self._installation.bot_token.get_secret_value()
            client = wire.client(pool, self._settings.api_url, token)
            app_token = self._installation.app_token
            return await setup.examine(
                client,
                app_token.get_secret_value() if app_token else "",
                self._installation.team_channel,
            )

    # --- start ------------------------------------------------------------------------

    async def _introduce(self, pool: aiohttp.ClientSession) -> Workspace:
        """Learn who the bot is.  Waits for Slack; raises where the token is refused."""
        token = self._installation.bot_token.get_secret_value()
        client = wire.client(pool, self._settings.api_url, token)
        failures = 0
        while True:
            try:
                found = await wire.call(client.auth_test)
                break
            except Refused as refused:
                raise CredentialRefused(setup.bot_token_refused(refused.error)) from None
            except (Limited, Unsent, Unknown) as error:
                delay = wire.backoff_s(failures)
                failures += 1
                log.warning("slack does not answer, next try in %.1f s (%s)", delay, error)
                await asyncio.sleep(delay)
        granted = setup.granted_scopes(found)
        if granted is not None:
            setup.check_scopes(granted)
        me = intake.Self(
            str(found["team_id"]), str(found["user_id"]), str(found.get("bot_id") or "")
        )
        channel = self._installation.team_channel
        team = Conversation(self.name, me.team, channel) if channel else None
        lookup = Lookup(client, me)
        return Workspace(me, team, client, pool, lookup, token.encode(), self._refused)

    async def _listen(self, space: Workspace, reception: Reception) -> None:
        identity = AuthorizeResult(
            enterprise_id=None,
            team_id=space.me.team,
            bot_user_id=space.me.user,
            bot_id=space.me.bot or None,
            bot_token=self._installation.bot_token.get_secret_value(),
        )
        app = wire.bolt(wire.client(space.pool, self._settings.api_url), identity)
        reception.attach(app)
        await _until_stored(reception.prepare)
        if self._installation.app_token is not None:
            self._sockets = Sockets(
                app,
                space.pool,
                self._open_url,
                gap=self._missed.set,
                event=reception.on_event,
                count=self._settings.sockets,
            )
            try:
                await self._sockets.run()
            except Refused as refused:
                raise CredentialRefused(setup.app_token_refused(refused.error)) from None
        elif self._installation.signing_secret is not None and self._installation.port is not None:
            secret = self._installation.signing_secret.get_secret_value()
            host, port = self._settings.host, self._installation.port
            self._endpoint = Endpoint(app, reception.on_event, secret, host, port)
            self._missed.set()
            try:
                await self._endpoint.run()
            except OSError as error:
                raise CredentialRefused(setup.port_taken(host, port, error)) from None

    async def _open_url(self) -> str:
        assert self._space is not None  # noqa: S101
        assert self._installation.app_token is not None  # noqa: S101
        token = self._installation.app_token.get_secret_value()
        opened = await wire.call(self._space.client.apps_connections_open, app_token=token)
        return str(opened["url"])

    def _refused(self, refused: Refused) -> None:
        """A credential that Slack no longer takes ends the adapter; a scope is named."""
        if refused.error in CREDENTIAL_ERRORS:
            if self._gave_up is not None and not self._gave_up.done():
                text = setup.bot_token_refused(refused.error)
                self._gave_up.set_exception(CredentialRefused(text))
        elif refused.error == "missing_scope":
            log.error("%s", setup.scopes_missing({refused.needed}))

    # --- what was missed --------------------------------------------------------------

    async def _beat(self, desk: Desk, space: Workspace) -> None:
        """While all is well, remember up to when: an outage begins after that."""
        while True:
            await asyncio.sleep(BEAT_S)
            if self.connected() and not self._missed.is_set():
                with suppress(StoreUnavailable):
                    await desk.receive([], cursor=(_seen(space), f"{time.time():.6f}"))

    async def _catch_up_when_needed(
        self, desk: Desk, space: Workspace, reception: Reception
    ) -> None:
        failures = 0
        while True:
            await self._missed.wait()
            try:
                await self._catch_up(desk, space, reception)
                self._missed.clear()
                failures = 0
            except (Limited, Unsent, Unknown, StoreUnavailable) as error:
                delay = max(wire.backoff_s(failures), getattr(error, "retry_after_s", 0.0))
                failures += 1
                log.warning("slack: cannot look for missed questions yet: %s", error)
                await asyncio.sleep(delay)

    async def _catch_up(self, desk: Desk, space: Workspace, reception: Reception) -> None:
        """Take in what was addressed to the bot while it was away, up to the maximum age.

        What is already in the journal stays as it is.  The first start answers nothing old.
        """
        now = time.time()
        seen, begun = await desk.cursor(_seen(space)), await desk.cursor(_begun(space))
        if seen is None or begun is None:
            await desk.receive([], cursor=(_begun(space), f"{now:.6f}"))
        else:
            oldest = now - timedelta(hours=self._settings.max_age_hours).total_seconds()
            since = max(float(seen) - MARGIN_S, float(begun), oldest)
            for room in await self._known_rooms(space, reception):
                try:
                    await _patiently(
                        partial(_catch_up_in, room, space.lookup, reception, since, oldest)
                    )
                except Refused as refused:
                    self._refused(refused)
                    log.warning("slack: a room cannot be looked through: %s", refused.error)
        await desk.receive([], cursor=(_seen(space), f"{now:.6f}"))

    async def _known_rooms(self, space: Workspace, reception: Reception) -> list[str]:
        rooms = dict.fromkeys(sorted(reception.rooms))
        try:
            async for room in space.lookup.rooms():
                rooms[room] = None
        except Refused as refused:
            self._refused(refused)
        return list(rooms)


async def _catch_up_in(
    room: str, lookup: Lookup, reception: Reception, since: float, oldest: float
) -> None:
    """Hand in one room's messages since a time; threads with a newer reply included."""
    missed = []
    async for root in lookup.history(room, oldest=oldest):
        missed.append(root)
        if float(root.get("latest_reply") or 0) > since:
            replies = lookup.thread(room, str(root["ts"]), oldest=since)
            missed += [m async for m in replies if m["ts"] != root["ts"]]
    foreign = await lookup.is_foreign(room)
    for message in sorted(missed, key=lambda m: str(m["ts"])):
        if float(message["ts"]) > since:
            kind = "im" if room.startswith("D") else "channel"
            event = {k: v for k, v in message.items() if k != "edited"}
            await reception.on_message({**event, "channel": room, "channel_type": kind}, foreign)


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Do it again where Slack asks to wait: a long catch-up meets the limit of its requests."""
    for _ in range(MOST_WAITS):
        try:
            return await work()
        except Limited as limited:
            await asyncio.sleep(limited.retry_after_s)
    return await work()


async def _until_stored(work: Callable[[], Awaitable[None]]) -> None:
    failures = 0
    while True:
        try:
            return await work()
        except StoreUnavailable:
            await asyncio.sleep(wire.backoff_s(failures))
            failures += 1


def _seen(space: Workspace) -> str:
    """The cursor's name: up to when nothing was missed."""
    return f"slack/{space.me.team}/seen"


def _begun(space: Workspace) -> str:
    """The cursor's name: when the bot came here; what is older was not meant for it."""
    return f"slack/{space.me.team}/begun"


async def _wait_for(future: asyncio.Future[None]) -> None:
    await future
