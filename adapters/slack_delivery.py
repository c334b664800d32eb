"""Brings answers to Slack, each exactly once: a marker in the message, looked up before a repeat.

Answers that only their asker sees cannot be looked up: those go at most once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters import slack_render as shown
from adapters import slack_setup as setup
from adapters import slack_wire as wire
from adapters.slack_intake import Self, is_own
from adapters.slack_lookup import Lookup
from adapters.slack_pace import Pace
from adapters.slack_wire import CREDENTIAL_ERRORS, Json, Limited, Refused, Unknown, Unsent
from bot.chat import (
    Conversation,
    CredentialRefused,
    Delivery,
    DeliveryFailed,
    Outcome,
    Posted,
    Purpose,
)

log = logging.getLogger("lotse.slack")

SETTLE_S = 3.0  # an answer of unknown fate is looked up only when it must have arrived
MOST_SETTLE_S, MOST_ATTEMPTS = 60.0, 40  # about half an hour
EARLIER_S = 60.0  # how far before the question the look-up begins: clocks differ

PRIVATE, RESPOND, THREAD = "private", "respond", "thread"  # keys of `Message.context`

_SIZE_ERRORS = {
    "invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long",
    "invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large",
}  # fmt: skip
_GONE_ERRORS = {
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "thread_not_found",
}
_TO_THE_ASKER = {Purpose.ANSWER, Purpose.NOTICE, Purpose.TEAM_ANSWER}

_ELSEWHERE = "In <#{room}> kann ich nicht antworten ({why}), deshalb hier:"
_ASKED_THERE = "Sie hatten in <#{room}> gefragt."
_WHY = {
    "is_archived": "der Kanal ist archiviert",
    "not_in_channel": "ich bin dort kein Mitglied",
    "channel_not_found": "ich bin dort kein Mitglied",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message goes; `thread` "" is the room itself."""

    room: str
    thread: str = ""


class _Gone(Exception):
    """The message to be changed is no longer there."""


class Courier:
    """Delivers for one workspace.  `refused` hears of every refusal."""

    def __init__(
        self,
        client: AsyncWebClient,
        pool: aiohttp.ClientSession,
        me: Self,
        lookup: Lookup,
        refused: Callable[[Refused], None],
    ) -> None:
        self._client, self._pool, self._me = client, pool, me
        self._lookup, self._refused = lookup, refused
        self._pace = Pace()

    async def deliver(self, delivery: Delivery) -> Posted:
        """Post the reply.  Raises `DeliveryFailed`."""
        try:
            if delivery.message.context.get(PRIVATE) and delivery.purpose in _TO_THE_ASKER:
                if delivery.purpose is Purpose.TEAM_ANSWER:  # hours later: it must not fade away
                    room = delivery.message.conversation.room
                    return await self._directly(delivery, _ASKED_THERE.format(room=room))
                return await self._whisper(delivery)
            if delivery.replaces:
                return await self._replace(delivery)
            return await self._speak(delivery)
        except (Refused, Limited, Unsent, Unknown) as error:
            raise self._failure(error, delivery.attempt) from None

    async def withdraw(self, conversation: Conversation, posted: Posted) -> None:
        """Remove an answer; what only its asker saw cannot be removed and goes by itself."""
        places = (_located(name, conversation.room) for name in posted.ids)
        for room, ts in places:
            if not _is_ts(ts):
                continue
            try:
                await wire.call(self._client.chat_delete, channel=room, ts=ts)
            except Refused as refused:
                if refused.error not in _GONE_ERRORS:
                    raise self._failure(refused) from None
            except (Limited, Unsent, Unknown) as error:
                raise self._failure(error) from None

    def _failure(
        self, error: Refused | Limited | Unsent | Unknown, attempt: int = 1
    ) -> DeliveryFailed | CredentialRefused:
        """What a failed request means for the journal."""
        match error:
            case Refused():
                self._refused(error)
                why = f"slack refused: {error.error} {error.needed}".rstrip()
                if error.error in CREDENTIAL_ERRORS:
                    return CredentialRefused(setup.bot_token_refused(error.error))
                return DeliveryFailed(why, permanent=True)
            case Limited():
                return DeliveryFailed("rate limit", retry_after_s=error.retry_after_s)
            case Unsent():
                return DeliveryFailed(f"not sent: {error}", retry_after_s=1.0, unsent=True)
            case Unknown():
                wait_s = min(MOST_SETTLE_S, SETTLE_S * 2 ** (attempt - 1))
                why = f"fate unknown: {error}"
                hopeless = attempt >= MOST_ATTEMPTS
                return DeliveryFailed(why, retry_after_s=wait_s, permanent=hopeless)

    # --- for everybody in the room --------------------------------------------------

    async def _speak(self, delivery: Delivery) -> Posted:
        place = _place(delivery)
        try:
            return Posted(tuple(await self._post(delivery, place)))
        except Refused as refused:
            alone = delivery.message.direct or delivery.purpose not in _TO_THE_ASKER
            hopeless = CREDENTIAL_ERRORS | {"missing_scope"}
            if alone or not delivery.message.asker or refused.error in hopeless:
                raise
            why = _WHY.get(refused.error, f"Slack meldet „{refused.error}“")
            return await self._directly(delivery, _ELSEWHERE.format(room=place.room, why=why))

    async def _directly(self, delivery: Delivery, hint: str) -> Posted:
        """Say it to the asker in a conversation of two, and why there."""
        room = await self._direct(delivery.message.asker)
        ids = await self._post(delivery, Place(room), hint=hint)
        return Posted(tuple(f"{room}/{ts}" for ts in ids))

    async def _direct(self, user: str) -> str:
        opened = await wire.call(self._client.conversations_open, users=user)
        return str(opened["channel"]["id"])

    async def _post(self, delivery: Delivery, place: Place, hint: str = "") -> list[str]:
        """Post the parts that are not there yet.  Gives the ids of all."""
        first, *rest = rendered(delivery)
        parts = [_hinted(first, hint) if hint else first, *rest]
        there = await self._there(delivery, place)
        for number, part in enumerate(parts):
            if number not in there:
                there[number] = await self._post_part(delivery, place, part, number)
        return [there[number] for number in range(len(parts))]

    async def _post_part(
        self, delivery: Delivery, place: Place, part: shown.Part, number: int
    ) -> str:
        name = shown.marker(delivery.key, number)
        async with self._pace.turn(place.room):
            await self._await_pace(place.room, name)
            try:
                return await self._send(place, part, name)
            except Limited as limited:
                wait_s = self._pace.limited(place.room, name, limited.retry_after_s)
                raise DeliveryFailed("rate limit", retry_after_s=wait_s, unsent=True) from None
            except Refused as refused:
                if refused.error not in _SIZE_ERRORS:
                    raise
                log.error("slack refused the blocks of an answer (%s): text only", refused.error)
                return await self._send(place, shown.bare(part), name)

    async def _await_pace(self, room: str, name: str) -> None:
        """Keep the room's pace: wait a moment here, a longer time in the journal."""
        wait_s = self._pace.wait_s(room, name)
        if wait_s > Pace.GAP_S:
            raise DeliveryFailed("the room's pace", retry_after_s=wait_s, unsent=True)
        if wait_s:
            await asyncio.sleep(wait_s)

    async def _send(self, place: Place, part: shown.Part, name: str) -> str:
        body: Json = {
            "channel": place.room,
            "text": part.text,
            "metadata": {"event_type": "lotse_answer", "event_payload": {"part": name}},
            "unfurl_links": False,
            "unfurl_media": False,
        }
        body |= {"thread_ts": place.thread} if place.thread else {}
        body |= {"blocks": part.blocks} if part.blocks else {}
        posted = await wire.post(self._pool, self._client, body)
        self._pace.sent(place.room)
        return str(posted["ts"])

    async def _there(self, delivery: Delivery, place: Place) -> dict[int, str]:
        """Which parts an earlier try has posted: number to id."""
        found: dict[int, str] = {}
        if delivery.attempt == 1:
            return found
        since = delivery.message.at.timestamp() - EARLIER_S
        read = self._lookup.history(place.room, oldest=since)
        if place.thread:
            read = self._lookup.thread(place.room, place.thread, oldest=since)
        try:
            async for message in read:
                mark = shown.marked(message)
                if mark and mark[0] == delivery.key and is_own(message, self._me):
                    found[mark[1]] = str(message["ts"])
        except Refused as refused:
            if refused.error in CREDENTIAL_ERRORS | {"missing_scope"}:
                raise  # better no answer than two: asking again is safe
        return found

    async def _replace(self, delivery: Delivery) -> Posted:
        """The question was edited: the answer's messages get the new text."""
        place = _place(delivery)
        old = [_located(i, place.room) for i in (delivery.replaces, *delivery.also_replaces)]
        parts = rendered(delivery)
        there = await self._there(delivery, place)
        for number, part in enumerate(parts):
            if number < len(old) and number not in there:
                with suppress(_Gone):
                    there[number] = await self._update(*old[number], part)
            if number not in there:
                there[number] = await self._post_part(delivery, place, part, number)
        for room, ts in old[len(parts) :]:
            with suppress(Refused):
                await wire.call(self._client.chat_delete, channel=room, ts=ts)
        return Posted(tuple(there[number] for number in range(len(parts))))

    async def _update(self, room: str, ts: str, part: shown.Part) -> str:
        if not _is_ts(ts):
            raise _Gone
        body: Json = {"text": part.text, "blocks": list(part.blocks)}
        try:
            await wire.call(self._client.chat_update, channel=room, ts=ts, **body)
        except Refused as refused:
            if refused.error in _GONE_ERRORS:
                raise _Gone from None
            raise
        return ts

    # --- for the asker only ---------------------------------------------------------

    async def _whisper(self, delivery: Delivery) -> Posted:
        if delivery.attempt > 1:
            raise DeliveryFailed("an answer to the asker only is not repeated", permanent=True)
        parts = rendered(delivery)
        for number, part in enumerate(parts):
            try:
                await self._whisper_part(delivery, part)
            except Unknown as error:
                why = f"fate unknown, not repeated: {error}"
                raise DeliveryFailed(why, permanent=True) from None
            except (Unsent, Limited) as error:
                if number:
                    raise DeliveryFailed("answered in part, not repeated", permanent=True) from None
                wait_s = error.retry_after_s if isinstance(error, Limited) else 1.0
                raise DeliveryFailed(str(error), retry_after_s=wait_s, unsent=True) from None
        return Posted((delivery.key,))

    async def _whisper_part(self, delivery: Delivery, part: shown.Part) -> None:
        """Through the response_url; where that has gone, as a whisper, then directly."""
        url = delivery.message.context.get(RESPOND, "")
        room, user = delivery.message.conversation.room, delivery.message.asker
        quiet = {"unfurl_links": False, "unfurl_media": False}
        body: Json = {"text": part.text, "blocks": list(part.blocks)}
        error = "no_response_url"
        if url:
            whisper = {"response_type": "ephemeral", "replace_original": False}
            try:
                await wire.respond(self._pool, url, {**whisper, **body, **quiet})
                return
            except Refused as refused:
                error = refused.error
        if error in _SIZE_ERRORS:
            body = {"text": shown.bare(part).text}
        try:
            whisper_to = partial(self._client.chat_postEphemeral, channel=room, user=user)
            await wire.call(whisper_to, **body)
        except Refused:
            channel = await self._direct(user)
            await wire.post(self._pool, self._client, {"channel": channel, **body, **quiet})


def _place(delivery: Delivery) -> Place:
    where = delivery.message.conversation
    return Place(where.room, delivery.message.context.get(THREAD, "") or where.thread)


def rendered(delivery: Delivery) -> tuple[shown.Part, ...]:
    """The messages of a delivery.  Only who was really mentioned in the question is pinged."""
    reply, people = delivery.reply, {person.id for person in delivery.message.people}
    if reply.mention and reply.mention.id not in people:
        reply = replace(reply, mention=None)
    return shown.render(reply, delivery.key, _extras(delivery))


def _extras(delivery: Delivery) -> shown.Extras:
    private = bool(delivery.message.context.get(PRIVATE))
    says_something = delivery.reply.outcome is Outcome.ANSWER or bool(delivery.reply.entry)
    return shown.Extras(
        shareable=private and delivery.purpose is Purpose.ANSWER and says_something,
        handover=delivery.purpose is Purpose.HANDOVER,
    )


def _hinted(part: shown.Part, hint: str) -> shown.Part:
    block = {"type": "context", "elements": [{"type": "mrkdwn", "text": hint}]}
    return shown.Part(f"{hint}\n\n{part.text}", (block, *part.blocks))


def _located(name: str, room: str) -> tuple[str, str]:
    """Room and ts of a posted message: `D…/ts` where it went elsewhere than asked."""
    before, _, ts = name.rpartition("/")
    return before or room, ts


def _is_ts(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+", name) is not None
