"""The words that the bot and its adapters share.  Standard library only.

One message's way: a platform event becomes a `Message`, the `Desk` takes it in
(journalled when `receive` returns), the bot computes a `Reply`, an `Adapter`
delivers it as a `Delivery` and says what it `Posted`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

# --- who, where -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conversation:
    """Where people talk: state, order of answers and follow-ups belong to it."""

    adapter: str  # "terminal", "matrix", "slack"
    workspace: str  # Slack team id, Matrix user id of the bot; "" where there is only one
    room: str
    thread: str = ""  # the platform's id of the thread's root; "" is the room itself


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may be mentioned: the platform's id and the name as written."""

    id: str
    name: str


class Audience(StrEnum):
    """Who can read the room: foreign or federated rooms get public entries only."""

    INTERNAL = "intern"
    PUBLIC = "oeffentlich"


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said to the bot, the mention of the bot already stripped."""

    conversation: Conversation
    id: str  # the platform's id, unique within the room; an edit has an id of its own
    asker: str  # the platform's raw id of the person
    text: str  # plain text, entities of the platform resolved
    at: datetime  # aware; when the platform says it was written
    direct: bool = False  # a conversation of two
    audience: Audience = Audience.INTERNAL
    people: tuple[Person, ...] = ()  # those whom the text mentions, the bot excepted
    asker_name: str = ""  # as the platform shows it, for „für Sie von …“; never kept
    replaces: str = ""  # id of the message that this one edits
    context: Mapping[str, str] = field(default_factory=dict)
    """What the adapter needs to deliver the answer; opaque to the bot, stored with the
    row until it is done (e.g. a Slack response URL, the event to relate to)."""


# --- what the bot says ----------------------------------------------------------


class Outcome(StrEnum):
    ANSWER = "answer"
    CHOICES = "choices"
    UNKNOWN = "unknown"
    SMALLTALK = "smalltalk"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a statement stands, as staff would cite it."""

    title: str  # document and slide: „12. OZG-Sprechstunde“, Folie „Projektphasen“
    url: str = ""  # http(s) or empty
    page: str = ""  # printed page, "S. 12"; empty where none is legible
    date: str = ""  # ISO date of the document
    version: str = ""  # of the guideline that the document reports on
    quote: str = ""  # the proof, literally


@dataclass(frozen=True, slots=True)
class Option:
    """One numbered line of a reply; answering with its number chooses it."""

    number: int
    title: str
    entry: str | None = None  # id of the entry it leads to; None for offers such as "ask the team"
    text: str = ""  # the full plain answer it leads to; "" for offers


class Rating(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Rated:
    """Event: somebody rated the answer `entry` (idempotent per person and answer)."""

    rating: Rating
    entry: str = ""
    reason: str = ""  # wrong, outdated, unclear, off_topic; "" where none was given


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Event: nothing was found, or "0" was chosen; `question` is the masked text."""

    question: str
    nearest: tuple[str, ...] = ()  # ids of the nearest entries


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Event: the asker gives the question to the team; `callback` brings the answer back."""

    question: str
    callback: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """Event: the question belongs on the agenda of the next Sprechstunde."""

    question: str
    entry: str = ""
    name: str = ""  # only where the asker gave it


@dataclass(frozen=True, slots=True)
class Erase:
    """Event: the asker confirmed "meine daten löschen"."""


Event = Rated | Unanswered | HandedOver | Marked | Erase


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, free of any platform's words.  Renderers show the fields in this order.

    `lead`, `prompt`, `notices` and `closing` are plain text; `body` is the Markdown subset
    of `bot.markup`.  `bot.markup.plain(reply)` is the complete plain text.
    """

    outcome: Outcome
    body: str
    title: str = ""
    lead: str = ""  # a frame line above the title (addressing, English readers)
    sources: tuple[Source, ...] = ()
    notices: tuple[str, ...] = ()  # ageing, changed responsibilities, personal data
    prompt: str = ""  # the line above the options
    options: tuple[Option, ...] = ()
    closing: str = ""  # the last line, e.g. how to rate
    entry: str | None = None  # the entry that the reply is about
    rateable: bool = False  # feedback buttons and reactions make sense
    mention: Person | None = None  # the only person that may be mentioned
    events: tuple[Event, ...] = ()  # what the journal must remember


# --- desk and adapter -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feedback:
    """A rating given by a button or a reaction on an answer that the bot posted."""

    conversation: Conversation
    posted: str  # the platform's id of the bot's message, or the key it was delivered under
    asker: str
    rating: Rating | None  # None takes the rating back
    reason: str = ""


class Purpose(StrEnum):
    """What a delivery is for; most adapters treat all alike but `HANDOVER`."""

    ANSWER = "answer"
    GREETING = "greeting"  # the first message in a conversation of two
    NOTICE = "notice"  # "too many questions", said once
    HANDOVER = "handover"  # into the team's room: offer answering and taking into the knowledge
    TEAM_ANSWER = "team_answer"  # the team's words, back in the asker's thread


@dataclass(frozen=True, slots=True)
class Delivery:
    """A reply on its way out.  `key` is the same on every try of the same answer."""

    key: str  # ASCII, at most 64 characters, derived from the question's id
    message: Message  # the question (its text is empty once purged)
    reply: Reply
    replaces: str = ""  # the platform's id of the answer that this one replaces
    attempt: int = 1  # from the second on, the outcome of an earlier one may be unknown
    purpose: Purpose = Purpose.ANSWER
    also_replaces: tuple[str, ...] = ()  # further parts of the replaced answer, if it was split


@dataclass(frozen=True, slots=True)
class Posted:
    """What the platform calls the posted answer; several ids where it was split."""

    ids: tuple[str, ...]


class DeliveryFailed(Exception):
    """The platform refused; try again after `retry_after_s`, never if `permanent`.

    `unsent`: nothing can have reached the platform (a rate limit), so the try does not count
    as an attempt and the next one need not look whether the answer is already there.
    """

    def __init__(
        self,
        why: str,
        *,
        retry_after_s: float = 0.0,
        permanent: bool = False,
        unsent: bool = False,
    ) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
        self.permanent = permanent
        self.unsent = unsent


class CredentialRefused(Exception):
    """The platform refuses the adapter's credential: only this adapter stops.

    The text is German, names the setting and the remedy, and holds no secret.
    """


class Desk(Protocol):
    """What an adapter gets: one counter to hand things in and to ask what is known."""

    async def receive(
        self, messages: Sequence[Message], *, cursor: tuple[str, str] | None = None
    ) -> None:
        """Journal the messages, known ones ignored; durable when it returns.

        `cursor` (name, value) is stored in the same transaction (Matrix `next_batch`).
        Raises `StoreUnavailable`: give no acknowledgement, the platform sends again.
        """

    async def retracted(self, conversation: Conversation, message_id: str) -> None:
        """The asker deleted the message: cancel or withdraw its answer, purge its text."""

    async def rated(self, feedback: Feedback) -> None: ...

    async def joined(self, conversation: Conversation, message_id: str) -> None:
        """A conversation of two has begun: post the greeting, once."""

    async def team_answered(self, team: Conversation, posted: str, text: str) -> bool:
        """The team answered the handed-over question that the bot posted as `posted`.

        The text goes back into the asker's thread, marked as the team's answer.
        False where `posted` is no handed-over question.
        """

    async def team_noted(self, team: Conversation, posted: str) -> bool:
        """The team wants the handed-over question in the knowledge: an open item, no change."""

    async def cursor(self, name: str) -> str | None:
        """The value last stored under `name`, None at the first start."""

    async def has_answered(self, conversation: Conversation) -> bool:
        """Whether the bot has answered in this thread (follow-ups need no mention)."""

    async def is_own(self, conversation: Conversation, posted: str) -> bool:
        """Whether `posted` is the id of a message that the bot posted."""

    async def shown(self, key: str, message: Message) -> bool:
        """Post the answer that was delivered under `key` once more, as the answer to `message`.

        Slack's "Im Kanal zeigen": an answer only the asker saw becomes everybody's.  Journalled
        like a question (unique by the message's id) but not answered anew and not counted.
        The first of `message.people` is mentioned.  False where the answer is no longer stored.
        """

    async def preview(self, text: str) -> Reply:
        """What the bot would answer to `text` in a fresh, public thread; nothing is journalled.

        For Slack's App Home: the bot's help, topics, privacy and contact as replies.
        """

    async def edition(self) -> str:
        """One German line on the knowledge in force: its state and date."""

    async def hold(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` in one process only, of all that share the store (one Matrix account).

        Waits as a standby while another process holds `name`; cancels the work and waits
        again when the hold is lost; returns or raises as the work does.
        """


class StoreUnavailable(Exception):
    """The journal cannot be written now; nothing was lost, nothing was acknowledged."""


class Adapter(Protocol):
    """A way to talk: one file in `adapters/`, one line in `bot/cli.py`."""

    @property
    def name(self) -> str:
        """As in `Conversation.adapter`."""

    @property
    def workspace(self) -> str:
        """The one it serves, as in `Conversation.workspace`; "" serves all of `name`."""

    @property
    def team(self) -> Conversation | None:
        """Where handed-over questions go; None where none is configured."""

    async def run(self, desk: Desk) -> None:
        """Connect and hand messages to the desk until cancelled; reconnects by itself.

        Raises `CredentialRefused` where going on makes no sense.
        """

    async def deliver(self, delivery: Delivery) -> Posted:
        """Post the reply; idempotent under `delivery.key`.  Raises `DeliveryFailed`."""

    async def withdraw(self, conversation: Conversation, posted: Posted) -> None:
        """Remove an answer whose question was deleted."""

    def connected(self) -> bool:
        """Whether it may receive and deliver right now (for `/readyz`).

        Answers wait while this is False: not yet connected, reconnecting, a standby.
        """


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `lotse doctor`, German; `remedy` says what to do, empty where all is well."""

    what: str
    remedy: str = ""
    warning: bool = False  # it works, but should be mended


@runtime_checkable
class Examined(Protocol):
    """An adapter that can say whether its side of the platform is in order."""

    async def examine(self) -> Sequence[Finding]:
        """Look at the platform as it is now, without `run`: credentials, rights, limits."""
