"""The counter where adapters hand things in: masks, limits, journals, gives to the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bot.chat import (
    Audience,
    Conversation,
    Feedback,
    Message,
    Person,
    Reply,
    StoreUnavailable,
)
from bot.search.library import Edition
from bot.serve.journal import Journal
from bot.serve.tasks import end
from bot.serve.wording import knowledge_in_force, team_answer
from bot.serve.worker import Worker
from bot.talk.answering import State, answer
from bot.talk.privacy import mask

HOLD_S = 15.0  # a standby takes over at the latest after this
HOLD_RENEWED_S = 3.0
MAX_CHARACTERS = 20_000  # of a message; the rest is cut before it is stored

log = structlog.get_logger("lotse.desk")


class Desk:
    """Implements `bot.chat.Desk` on a journal.

    The worker's name stands in the process's holds, too: a successor that knows it to be dead
    may take them over at once.
    """

    def __init__(
        self,
        journal: Journal,
        edition: Callable[[], Edition],
        worker: Worker,
        *,
        limit_per_minute: int,
    ) -> None:
        self._journal = journal
        self._edition = edition
        self._worker = worker
        self._limit = limit_per_minute

    async def receive(
        self, messages: Sequence[Message], *, cursor: tuple[str, str] | None = None
    ) -> None:
        masked = [self._masked(message) for message in messages]
        jobs = await self._journal.receive(
            masked,
            cursor,
            self._limit,
            owner=self._worker.owner,
            room=self._worker.room(messages),
        )
        self._worker.take(jobs)
        if len(jobs) < len(messages):
            self._worker.wake()
        await self._journal.store.sync()  # the answer need not wait for the disk, only the ack

    async def retracted(self, conversation: Conversation, message_id: str) -> None:
        await self._journal.retracted(conversation, message_id)
        self._worker.wake()

    async def rated(self, feedback: Feedback) -> None:
        await self._journal.rated(feedback)

    async def joined(self, conversation: Conversation, message_id: str) -> None:
        begun = Message(conversation, message_id, "", "", datetime.now(UTC), direct=True)
        await self._journal.joined(begun)
        self._worker.wake()

    async def team_answered(self, team: Conversation, posted: str, text: str) -> bool:
        edition, said = self._edition(), _storable(text[:MAX_CHARACTERS])
        known = await self._journal.team_answered(
            team, posted, lambda question: team_answer(edition, question, said)
        )
        self._worker.wake()
        return known

    async def team_noted(self, team: Conversation, posted: str) -> bool:
        return await self._journal.team_noted(team, posted)

    async def cursor(self, name: str) -> str | None:
        return await self._journal.cursor(name)

    async def has_answered(self, conversation: Conversation) -> bool:
        return await self._journal.has_answered(conversation)

    async def is_own(self, conversation: Conversation, posted: str) -> bool:
        return await self._journal.is_own(conversation, posted)

    async def shown(self, key: str, message: Message) -> bool:
        known = await self._journal.shown(key, self._masked(message))
        self._worker.wake()
        return known

    async def preview(self, text: str) -> Reply:
        nowhere = Conversation("preview", "", "")
        asked = Message(nowhere, "", "", text, datetime.now(UTC), audience=Audience.PUBLIC)
        return answer(asked, State.from_json(None), self._edition())[0]

    async def edition(self) -> str:
        return knowledge_in_force(self._edition().base)

    async def hold(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            while not await self._taken(name):  # noqa: ASYNC110  (another process's)
                await asyncio.sleep(HOLD_RENEWED_S)
            log.info("hold_taken", hold=name)
            working = asyncio.ensure_future(work())
            losing = asyncio.ensure_future(self._until_lost(name))
            try:
                await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return await working
                log.warning("hold_lost", hold=name)
            finally:
                await end(working, losing)
                await self._given_back(name)

    async def _taken(self, name: str) -> bool:
        try:
            return await self._journal.take(name, self._worker.owner, HOLD_S)
        except StoreUnavailable:
            return False

    async def _until_lost(self, name: str) -> None:
        """Renew; return when somebody else has it or when it has run out unrenewed."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < HOLD_S - HOLD_RENEWED_S:
            await asyncio.sleep(HOLD_RENEWED_S)
            try:
                asked = loop.time()
                if not await self._journal.take(name, self._worker.owner, HOLD_S):
                    return
                renewed = asked
            except StoreUnavailable:
                continue

    async def _given_back(self, name: str) -> None:
        try:
            await self._journal.give_back(name, self._worker.owner)
        except StoreUnavailable:
            log.warning("hold_not_given_back", hold=name)  # it runs out by itself

    def _masked(self, message: Message) -> Message:
        contacts = self._edition().base.contacts.values()
        public = [c for contact in contacts for c in (contact.email, contact.phone) if c]
        text = _storable(message.text[:MAX_CHARACTERS])
        return replace(
            message,
            text=mask(text, public).text,
            people=tuple(Person(_storable(p.id), _storable(p.name)) for p in message.people),
            context={_storable(k): _storable(v) for k, v in message.context.items()},
        )


def _storable(text: str) -> str:
    """Without what no database takes: a hostile message must not be sent again for ever."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
