"""A desk without a store: answers at once and remembers in memory, for `lotse chat`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bot.chat import (
    Adapter,
    Audience,
    Conversation,
    Delivery,
    Erase,
    Event,
    Feedback,
    Message,
    Posted,
    Purpose,
    Rated,
    Reply,
)
from bot.search.library import Edition
from bot.serve.wording import knowledge_in_force
from bot.talk.answering import State, answer, greeting


class MemoryDesk:
    """Implements `bot.chat.Desk` for one adapter in one process."""

    def __init__(self, adapter: Adapter, edition: Callable[[], Edition]) -> None:
        self._adapter = adapter
        self._edition = edition
        self._states: dict[Conversation, State] = {}
        self._posted: dict[tuple[Conversation, str], Posted] = {}
        self._cursors: dict[str, str] = {}
        self.ratings: dict[tuple[str, str], Rated] = {}
        """The last rating of each asker for each entry."""
        self.noted: list[tuple[str, Event]] = []
        """Unanswered, handed-over and marked questions, with their asker."""

    async def receive(
        self, messages: Sequence[Message], *, cursor: tuple[str, str] | None = None
    ) -> None:
        for message in messages:
            if (message.conversation, message.id) not in self._posted:
                state = self._states.get(message.conversation, State())
                reply, state = answer(message, state, self._edition())
                self._states[message.conversation] = state
                self._note(message.asker, reply)
                await self._deliver(message, reply, Purpose.ANSWER)
        if cursor:
            self._cursors[cursor[0]] = cursor[1]

    async def retracted(self, conversation: Conversation, message_id: str) -> None:
        if posted := self._posted.pop((conversation, message_id), None):
            await self._adapter.withdraw(conversation, posted)

    async def rated(self, feedback: Feedback) -> None:
        """A rating by button: what it rates is the last answer of the conversation."""
        entry = self._states.get(feedback.conversation, State()).shown
        if feedback.rating is None:
            self.ratings.pop((feedback.asker, entry), None)
        else:
            rated = Rated(feedback.rating, entry, feedback.reason)
            self.ratings[feedback.asker, entry] = rated

    async def joined(self, conversation: Conversation, message_id: str) -> None:
        begun = Message(conversation, message_id, "", "", datetime.now(UTC), direct=True)
        self._states[conversation] = State(greeted=True)
        await self._deliver(begun, greeting(self._edition(), begun), Purpose.GREETING)

    async def team_answered(self, team: Conversation, posted: str, text: str) -> bool:
        return False  # handed-over questions stay here

    async def team_noted(self, team: Conversation, posted: str) -> bool:
        return False

    async def cursor(self, name: str) -> str | None:
        return self._cursors.get(name)

    async def has_answered(self, conversation: Conversation) -> bool:
        return conversation in self._states

    async def is_own(self, conversation: Conversation, posted: str) -> bool:
        known = self._posted.items()
        return any(c == conversation and posted in p.ids for (c, _), p in known)

    async def shown(self, key: str, message: Message) -> bool:
        return False  # no answer is kept

    async def preview(self, text: str) -> Reply:
        nowhere = Conversation("preview", "", "")
        asked = Message(nowhere, "", "", text, datetime.now(UTC), audience=Audience.PUBLIC)
        return answer(asked, State(), self._edition())[0]

    async def edition(self) -> str:
        return knowledge_in_force(self._edition().base)

    async def hold(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        await work()  # nobody else can hold it

    def _note(self, asker: str, reply: Reply) -> None:
        for event in reply.events:
            if isinstance(event, Rated):
                self.ratings[asker, event.entry] = event
            elif isinstance(event, Erase):
                self.ratings = {k: v for k, v in self.ratings.items() if k[0] != asker}
                self.noted = [n for n in self.noted if n[0] != asker]
            else:
                self.noted.append((asker, event))

    async def _deliver(self, message: Message, reply: Reply, purpose: Purpose) -> None:
        asked = replace(message, text="")
        posted = await self._adapter.deliver(Delivery(message.id, asked, reply, purpose=purpose))
        self._posted[message.conversation, message.id] = posted
