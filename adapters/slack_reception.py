"""Takes in what people do in Slack, acknowledged only when the journal has it.

Events come here right away, commands, buttons and forms through Bolt's listeners.  What fails
is not acknowledged and Slack sends it again.  What need not be remembered (forms, confirmations)
happens after the ack.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from adapters import slack_intake as intake
from adapters import slack_render as shown
from adapters import slack_views as views
from adapters import slack_wire as wire
from adapters.slack_delivery import PRIVATE, RESPOND, THREAD
from adapters.slack_lookup import LOOK_S, Lookup
from adapters.slack_manifest import COMMAND, SHORTCUT, suggested_prompts
from adapters.slack_wire import Json, Limited, Refused, Unknown, Unsent
from bot.chat import Conversation, Desk, Feedback, Message, Person, Rating, StoreUnavailable

log = logging.getLogger("lotse.slack")

Ack = Callable[..., Awaitable[Any]]

MOST_TAKEN = 20_000  # messages known to be journalled, so that a repeat costs nothing
_Place = tuple[str, str]  # room and ts

_BUSY = "Ich kann gerade nichts annehmen. Bitte versuchen Sie es in einer Minute noch einmal."
_FORGOTTEN = "Diese Antwort ist nicht mehr gespeichert. Bitte fragen Sie noch einmal."
_THANKS = "Danke für die Rückmeldung."
_NOTED = "Vorgemerkt für die Redaktion. Das Wissen ändert sich dadurch nicht von selbst."
_ANSWERED = "Ihre Antwort geht jetzt dorthin, wo gefragt wurde."
_NO_QUESTION = "Zu dieser Nachricht gehört keine offene Frage mehr."
_EMPTY = "Bitte schreiben Sie eine Antwort."


@dataclass(frozen=True, slots=True)
class Workspace:
    """What everything in one workspace needs; known once Slack has said who the bot is."""

    me: intake.Self
    team: Conversation | None
    client: AsyncWebClient
    pool: aiohttp.ClientSession
    lookup: Lookup
    hash_key: bytes  # for names that are stored and must not show who it is
    refused: Callable[[Refused], None]  # hears of every refusal


class Reception:
    """What one workspace sends.  `missed` is set where Slack may give up on an event."""

    def __init__(self, desk: Desk, workspace: Workspace, missed: asyncio.Event) -> None:
        self._desk, self._space, self._missed = desk, workspace, missed
        self._me, self._lookup = workspace.me, workspace.lookup
        self._rooms: set[str] = set()  # those that the store remembers
        self._taken: OrderedDict[_Place, None] = OrderedDict()  # journalled for certain
        self._taking: dict[_Place, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Read what the store remembers.  Raises `StoreUnavailable`."""
        self._rooms |= set(json.loads(await self._desk.cursor(self._rooms_cursor) or "[]"))

    def attach(self, app: AsyncApp) -> None:
        """A listener for every interaction, so that whatever comes is acknowledged."""
        everything = re.compile(".*", re.DOTALL)
        app.command(COMMAND)(self._on_command)
        app.command(everything)(_acknowledge)
        app.shortcut(SHORTCUT)(self._on_shortcut)
        app.shortcut(everything)(_acknowledge)
        app.action(everything)(self._on_action)
        app.view(everything)(self._on_view)
        app.view_closed(everything)(_acknowledge)
        app.options(everything)(_acknowledge)
        app.error(_unacknowledged)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    # --- messages -------------------------------------------------------------------

    async def on_event(self, body: Json) -> bool:
        """Take in what an `event_callback` tells; False where it could not be: give no ack."""
        event = body["event"]
        try:
            match event.get("type"):
                case "message" | "app_mention":
                    await self.on_message(event, bool(body.get("is_ext_shared_channel")))
                case "reaction_added" | "reaction_removed":
                    await self._on_reaction(event)
                case "app_home_opened":
                    await self._on_home(event)
                case "assistant_thread_started":  # of the older assistant view, not in the manifest
                    thread = event.get("assistant_thread") or {}
                    self._later(self._suggest(thread.get("channel_id"), thread.get("thread_ts")))
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                self._missed.set()  # Slack gives up after a few tries: look again ourselves
            await _unacknowledged(error)
            return False
        return True

    async def on_message(self, event: Json, foreign: bool) -> None:
        """A message event; also for what the catch-up finds in a room's history."""
        gone = intake.removed(event, self._me)
        if gone is not None:
            where = self._conversation(gone.room, gone.thread or gone.ts, direct=gone.direct)
            await self._desk.retracted(where, gone.ts)
            return
        heard = intake.said(event, self._me, foreign=foreign)
        if heard is None:
            return
        before = intake.addressed_before(event, self._me)
        if heard.direct or before or heard.mentions(self._me.user):
            await self._take(heard, known=heard.direct or before)
        elif heard.thread and await self._is_follow_up(heard):
            await self._take(heard)

    async def _take(self, heard: intake.Said, *, known: bool = True) -> None:
        """Journal a message.  A mention arrives as two events: the second joins the first."""
        place = (heard.room, f"{heard.ts}/{heard.edit}" if heard.edit else heard.ts)
        if place in self._taken:
            return
        task = self._taking.get(place)
        if task is None:
            task = self._taking[place] = asyncio.ensure_future(self._journal(heard, known))
            task.add_done_callback(lambda done: self._settle(place, done))
        await asyncio.shield(task)

    def _settle(self, place: _Place, done: asyncio.Task[None]) -> None:
        del self._taking[place]
        if not done.cancelled() and done.exception() is None:
            self._taken[place] = None
            if len(self._taken) > MOST_TAKEN:
                self._taken.popitem(last=False)

    async def _journal(self, heard: intake.Said, known: bool) -> None:
        names = await self._lookup.names(heard.text, heard.user)
        guest = await self._lookup.is_guest(heard.user)
        question = intake.message(heard, self._me, names, guest=guest, known=known)
        cursor = self._new_room(heard.room)
        try:
            await self._desk.receive([question], cursor=cursor)
        except StoreUnavailable:
            if cursor is not None:
                self._rooms.discard(heard.room)
            raise

    async def _is_follow_up(self, heard: intake.Said) -> bool:
        where = self._conversation(heard.room, heard.thread, direct=False)
        asked = (heard.room, heard.thread) in self._taken  # its answer may still be on the way
        if not asked and not await self._desk.has_answered(where):
            return False
        try:
            async with asyncio.timeout(LOOK_S):
                thread = [m async for m in self._lookup.thread(heard.room, heard.thread)]
        except (Refused, Limited, Unsent, Unknown, TimeoutError) as error:
            log.warning("slack: cannot read a thread, taking its message as a follow-up: %s", error)
            return True
        return intake.follows_up(heard, thread, self._me, now=intake.moment(heard.ts))

    def _new_room(self, room: str) -> tuple[str, str] | None:
        """The cursor that remembers a room heard for the first time, for the catch-up."""
        if room in self._rooms:
            return None
        self._rooms.add(room)
        return self._rooms_cursor, json.dumps(sorted(self._rooms))

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that messages ever came from."""
        return frozenset(self._rooms)

    @property
    def _rooms_cursor(self) -> str:
        return f"slack/{self._me.team}/rooms"

    async def _on_reaction(self, event: Json) -> None:
        item = event.get("item") or {}
        rating = intake.rating(str(event.get("reaction")))
        if rating is None or item.get("type") != "message" or event.get("user") == self._me.user:
            return
        room, posted = str(item["channel"]), str(item["ts"])
        where = self._conversation(room, "", direct=True)  # reactions do not tell the thread
        if not await self._desk.is_own(where, posted):
            if not room.startswith("D"):
                return
            posted = await self._key_of(room, posted)  # its question stood elsewhere
        given = rating if event["type"] == "reaction_added" else None
        await self._desk.rated(Feedback(where, posted, str(event["user"]), given))

    async def _key_of(self, room: str, ts: str) -> str:
        """The key in a message of the bot's; "" where there is none or Slack does not say."""
        with suppress(Refused, Limited, Unsent, Unknown, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                message = await self._lookup.message(room, ts)
                mark = shown.marked(message) if intake.is_own(message, self._me) else None
                return mark[0] if mark else ""
        return ""

    async def _on_home(self, event: Json) -> None:
        if event.get("tab") == "home":
            self._later(self._show_home(str(event["user"])))
        elif event.get("tab") == "messages":
            room = str(event["channel"])
            await self._desk.joined(self._conversation(room, "", direct=True), "greeting")
            self._later(self._suggest(room, None))

    # --- questions that only their asker sees answered --------------------------------

    async def _on_command(self, body: Json, ack: Ack) -> None:
        room, user = str(body["channel_id"]), str(body["user_id"])
        try:
            text = str(body.get("text") or "")
            await self._ask_privately(room, user, str(body["trigger_id"]), text, body)
        except StoreUnavailable:
            await ack(_BUSY)
        else:
            await ack()

    async def _on_shortcut(self, body: Json, ack: Ack) -> None:
        room, user = str(body["channel"]["id"]), str(body["user"]["id"])
        text = str((body.get("message") or {}).get("text") or "")
        await self._ask_privately(room, user, str(body["action_ts"]), text, body)
        await ack()

    async def _ask_privately(
        self, room: str, user: str, message_id: str, text: str, body: Json
    ) -> None:
        names = await self._lookup.names(text, user)
        others = (u for u in intake.mentioned(text) if u != self._me.user)
        question = Message(
            conversation=self._private(room, user),
            id=message_id,
            asker=user,
            asker_name=names.get(user, ""),
            text=intake.spoken(text, self._me, names),
            at=datetime.now(UTC),
            audience=await self._lookup.audience(room, user),
            people=tuple(Person(u, names.get(u, u)) for u in others),
            context=_privately(body),
        )
        await self._desk.receive([question])

    # --- buttons ----------------------------------------------------------------------

    async def _on_action(self, body: Json, ack: Ack) -> None:
        action = body["actions"][0]
        name, value = str(action.get("action_id") or ""), str(action.get("value") or "")
        user, trigger = str(body["user"]["id"]), str(body.get("trigger_id"))
        if name.startswith(shown.CHOOSE):
            await self._choose(body, value, str(action["action_ts"]))
        elif name.startswith(shown.BROWSE):
            self._later(self._show_page(user, value))
        elif name == shown.HOME:
            self._later(self._show_home(user))
        elif name == shown.RATE:
            await self._rate(body, value)
        elif name == shown.SHOW:
            await self._show_everybody(body, value, str(action["action_ts"]))
        elif name == shown.REPLY:
            self._later(self._open_form(trigger, views.answer_form(_origin(body))))
        elif name == shown.NOTE:
            await self._note(body)
        await ack()

    async def _choose(self, body: Json, title: str, action_ts: str) -> None:
        """A numbered button: the same as writing its title where the buttons stand."""
        user, origin = str(body["user"]["id"]), _origin(body)
        room = origin["room"]
        question = Message(
            conversation=self._where(origin, user),
            id=action_ts,
            asker=user,
            text=title,
            at=intake.moment(action_ts),
            direct=room.startswith("D"),
            audience=await self._lookup.audience(room, user),
            context=_privately(body) if origin["private"] else {THREAD: origin["thread"]},
        )
        await self._desk.receive([question])

    async def _rate(self, body: Json, value: str) -> None:
        # By its key: an answer that only its asker saw, or that came elsewhere, has no id here.
        target = {**_origin(body), "posted": value.partition(":")[2]}
        if value.startswith(shown.UP):
            await self._rated(body, target, Rating.UP)
            self._later(self._whisper_back(body, _THANKS))
        else:
            await self._rated(body, target, Rating.DOWN)
            self._later(self._open_form(str(body["trigger_id"]), views.reason_form(target)))

    async def _rated(
        self, body: Json, target: Mapping[str, str], rating: Rating, reason: str = ""
    ) -> None:
        user = str(body["user"]["id"])
        where = self._where(target, user)
        await self._desk.rated(Feedback(where, target["posted"], user, rating, reason))

    async def _show_everybody(self, body: Json, value: str, action_ts: str) -> None:
        user, room = str(body["user"]["id"]), _origin(body)["room"]
        key, _, person = value.partition(" ")
        names = await self._lookup.names(f"<@{person}>", user)
        message = Message(
            conversation=self._conversation(room, "", direct=True),
            id=action_ts,
            asker=user,
            text="",
            at=intake.moment(action_ts),
            direct=room.startswith("D"),
            audience=await self._lookup.audience(room, user),
            people=(Person(person, names.get(person, person)),) if person else (),
        )
        if not await self._desk.shown(key, message):
            self._later(self._whisper_back(body, _FORGOTTEN))

    async def _note(self, body: Json) -> None:
        """The team wants the question in the knowledge."""
        origin, team = _origin(body), self._space.team
        if team is None or not await self._desk.team_noted(team, origin["ts"]):
            self._later(self._whisper_back(body, _NO_QUESTION))
            return
        self._later(self._mark(origin["room"], origin["ts"], "memo"))
        self._later(self._whisper_back(body, _NOTED))

    # --- forms ------------------------------------------------------------------------

    async def _on_view(self, body: Json, ack: Ack) -> None:
        view = body["view"]
        target, team = views.target(view), self._space.team
        if view.get("callback_id") == views.REASON_FORM and target:
            await self._rated(body, target, Rating.DOWN, views.chosen_reason(view))
        elif view.get("callback_id") == views.ANSWER_FORM and target and team:
            text = views.written_answer(view)
            if not text:
                await ack(views.answer_error(_EMPTY))
                return
            if not await self._desk.team_answered(team, target["ts"], text):
                await ack(views.answer_error(_NO_QUESTION))
                return
            self._later(self._mark(target["room"], target["ts"], "white_check_mark"))
            self._later(self._whisper(target["room"], str(body["user"]["id"]), _ANSWERED))
        await ack()

    # --- after the ack ----------------------------------------------------------------

    async def _show_home(self, user: str) -> None:
        ask = self._desk.preview
        welcome = views.Welcome(
            help=await ask("hilfe"),
            topics=await ask("themen"),
            privacy=await ask("datenschutz"),
            contact=await ask("kontakt"),
            edition=await self._desk.edition(),
        )
        await self._publish(user, views.home(welcome))

    async def _show_page(self, user: str, title: str) -> None:
        await self._publish(user, views.home_page(await self._desk.preview(title)))

    async def _publish(self, user: str, view: Json) -> None:
        await wire.call(self._space.client.views_publish, user_id=user, view=view)

    async def _suggest(self, room: Any, thread: Any) -> None:
        """Offer example questions where the workspace has a place for them."""
        await wire.call(
            self._space.client.assistant_threads_setSuggestedPrompts,
            channel_id=str(room),
            thread_ts=str(thread) if thread else None,
            title="Zum Beispiel:",
            prompts=suggested_prompts(),
        )

    async def _open_form(self, trigger: str, form: Json) -> None:
        await wire.call(self._space.client.views_open, trigger_id=trigger, view=form)

    async def _whisper_back(self, body: Json, text: str) -> None:
        """A confirmation that only the clicking person sees."""
        if body.get("response_url"):
            answer = {"response_type": "ephemeral", "replace_original": False, "text": text}
            await wire.respond(self._space.pool, str(body["response_url"]), answer)

    async def _whisper(self, room: str, user: str, text: str) -> None:
        post = self._space.client.chat_postEphemeral
        await wire.call(post, channel=room, user=user, text=text)

    async def _mark(self, room: str, ts: str, name: str) -> None:
        """A mark on the team's message, so that colleagues see what was done."""
        add = self._space.client.reactions_add
        await wire.call(add, channel=room, timestamp=ts, name=name)

    def _later(self, work: Awaitable[None]) -> None:
        """Do something that the ack does not wait for and that may fail without harm."""
        task = asyncio.ensure_future(self._harmless(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _harmless(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Refused as refused:
            self._space.refused(refused)
            log.info("slack: a convenience was refused: %s", refused.error)
        except (Limited, Unsent, Unknown, StoreUnavailable) as error:
            log.info("slack: a convenience failed: %s", type(error).__name__)

    # --- where ------------------------------------------------------------------------

    def _conversation(self, room: str, thread: str, *, direct: bool) -> Conversation:
        return intake.conversation(self._me, room, thread, direct=direct)

    def _where(self, origin: Mapping[str, str], user: str) -> Conversation:
        """The conversation in which a button stands."""
        room = origin["room"]
        if origin.get("private"):
            return self._private(room, user)
        return self._conversation(room, origin["thread"], direct=room.startswith("D"))

    def _private(self, room: str, user: str) -> Conversation:
        """Answers that only one person sees are a conversation of their own.

        Its name is kept in the store, so it holds a keyed hash and not the person's id.
        """
        mark = hmac.new(self._space.hash_key, user.encode(), hashlib.sha256).hexdigest()
        return Conversation("slack", self._me.team, room, f"private/{mark[:16]}")


def _privately(body: Json) -> dict[str, str]:
    return {PRIVATE: "1", RESPOND: str(body.get("response_url") or "")}


def _origin(body: Json) -> dict[str, str]:
    """Where a pressed button stands; `private` is "1" where only one person sees it."""
    container, message = body.get("container") or {}, body.get("message") or {}
    channel = body.get("channel") or {}
    ts = str(container.get("message_ts") or message.get("ts") or "")
    return {
        "room": str(channel.get("id") or container.get("channel_id") or ""),
        "ts": ts,
        "thread": str(container.get("thread_ts") or message.get("thread_ts") or ts),
        "private": "1" if container.get("is_ephemeral") else "",
    }


async def _acknowledge(ack: Ack) -> None:
    await ack()


async def _unacknowledged(error: Exception) -> None:
    """Slack sends it again.  No text in the log."""
    log.warning("slack: not acknowledged: %s", type(error).__name__)
