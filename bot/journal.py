"""What must survive a crash: every question until it is answered, and what was learnt from it.

Tables first, then the `Journal`.  A row is written before the platform hears "received",
leased by one worker at a time, answered once (reply, state and events in one transaction)
and delivered under the same key on every try.  Times are the database's clock, in seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.chat import (
    Conversation,
    Erase,
    Event,
    Feedback,
    HandedOver,
    Marked,
    Message,
    Posted,
    Purpose,
    Rated,
    Rating,
    Reply,
    StoreUnavailable,
    Unanswered,
)
from bot.store import Store, now

# --- tables ---------------------------------------------------------------------

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")


class State(StrEnum):
    """Where a row of the inbox stands."""

    OPEN = "open"  # to be answered or delivered
    DONE = "done"
    DEAD = "dead"  # given up after the last try; listed by `lotse doctor`
    REFUSED = "refused"  # over the limit, never answered
    WITHDRAWING = "withdrawing"  # delivered, the question deleted since: remove the answer
    WITHDRAWN = "withdrawn"


def _conversation(*, key: bool = False) -> list[Column[str]]:
    names = ("adapter", "workspace", "room", "thread")
    return [Column(n, String, nullable=False, primary_key=key) for n in names]


meta = Table("meta", metadata, Column("version", Integer, nullable=False))

inbox = Table(
    "inbox",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),  # the order in which they came
    Column("key", String(64), nullable=False, unique=True),
    # `key` is the hash of platform, workspace, room and message id: it makes them unique,
    # finds them again and is what a delivery is idempotent under.
    *_conversation(),
    Column("purpose", String, nullable=False),
    Column("state", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("replaces", String, nullable=False),  # key of the question that this one edits
    Column("message", Text),  # JSON without the text; holds the raw id: only while open
    Column("text", Text),  # masked; only until the retention ends
    Column("asker", String),  # keyed hash
    Column("received", Double, nullable=False),
    Column("due", Double, nullable=False, server_default="0"),
    Column("lease", String),  # fence: named in every update of a worker
    Column("owner", String),
    Column("leased_until", Double, nullable=False, server_default="0"),
    Column("claims", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("reply", Text),  # the outbox: JSON, computed once, sent on every try
    Column("outcome", String),
    Column("entry", String),
    Column("withdraw", Boolean, nullable=False, server_default=text("false")),
    Column("done", Double),
    sqlite_autoincrement=True,
)
_TO_DO = inbox.c.state.in_([State.OPEN, State.WITHDRAWING])
Index(
    "inbox_to_do",
    *(inbox.c[n] for n in ("adapter", "workspace", "room", "thread", "id")),
    sqlite_where=_TO_DO,
    postgresql_where=_TO_DO,
)
Index("inbox_asker", inbox.c.asker, inbox.c.received)
Index("inbox_room", inbox.c.room, inbox.c.thread, inbox.c.received)
Index("inbox_kept", inbox.c.done, sqlite_where=inbox.c.text.isnot(None))
Index("inbox_edits", inbox.c.replaces, sqlite_where=inbox.c.replaces != "")

threads = Table(
    "threads",
    metadata,
    *_conversation(key=True),
    Column("state", Text),  # the core's, JSON
    Column("before", Text),  # the state that the last question was answered from
    Column("last", String, nullable=False),  # key of the last question, never of its edit
    Column("answered", Double, nullable=False),
)

posted_messages = Table(
    "posted",
    metadata,
    *(Column(n, String, primary_key=True) for n in ("adapter", "workspace", "room", "posted")),
    Column("inbox", _Id, nullable=False, index=True),
    Column("part", Integer, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("inbox", _Id, primary_key=True),
    Column("asker", String, primary_key=True),
    Column("rating", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("entry", String, nullable=False),
    Column("at", Double, nullable=False),
)


class Kind(StrEnum):
    """What became of a question that the knowledge does not settle."""

    UNANSWERED = "unanswered"
    HANDED_OVER = "handed_over"
    AGENDA = "agenda"


items = Table(
    "items",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("inbox", _Id, nullable=False, index=True),
    Column("asker", String, index=True),
    Column("question", Text, nullable=False),
    Column("nearest", Text, nullable=False),  # JSON list of ids of entries
    Column("entry", String, nullable=False),
    Column("name", String, nullable=False),  # only where the asker gave it
    Column("at", Double, nullable=False),
    Column("team", _Id, index=True),  # the inbox row that took it into the team's room
    Column("message", Text),  # JSON: where the team's answer goes; only until it is there
    Column("noted", Boolean, nullable=False),
    Column("answered", Boolean, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("name", String, primary_key=True),
    Column("token", String, nullable=False),
    Column("until", Double, nullable=False),
)

MIGRATIONS: tuple[Callable[[Connection], None], ...] = ()
"""Step n brings a store of version n to n + 1; a new store is made in its last form at once."""

# --- what goes in and out -------------------------------------------------------

LEASE_S = 20.0  # renewed while the worker lives; longer than the lag of a look-up
SETTLE_S = 2.0  # a dead worker's request may still arrive: look for it only after this
LONGEST_WAIT_S = 3_600.0  # a time further ahead was set before the clock jumped: it counts as due
MINUTE_S = 60.0
PER_THREAD = 4  # times the limit per person: what a thread gets in a minute, against bot loops
REPLIES_KEPT_S = 86_400.0  # for showing an answer again
MOST_CLAIMS = 20  # a question that killed so many workers is not tried again
Found = Row[*tuple[Any, ...]]
EPOCH = datetime.fromtimestamp(0, UTC)
LOCK = 0x4C4F545345  # PostgreSQL's advisory lock for migrations

_message_json: TypeAdapter[Message] = TypeAdapter(Message)
_reply_json: TypeAdapter[Reply] = TypeAdapter(Reply)


class LeaseLost(Exception):
    """Another worker has the row, or the question was withdrawn: drop it, touch nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """A leased row: to be answered where `reply` is None, else to be delivered."""

    id: int
    lease: str
    key: str
    purpose: Purpose
    message: Message
    state: str | None  # the thread's, JSON
    keeps_state: bool  # False for the edit of an older question: it changes nothing
    reply: Reply | None
    attempt: int  # of the delivery that comes now
    failures: int
    replaces: tuple[str, ...] = ()  # ids of the answer that this one replaces
    withdraw: Posted | None = None  # an answer to be removed; nothing to be delivered


@dataclass(frozen=True, slots=True)
class HandOver:
    """How a handed-over question is put to the team: where, and as what."""

    team: Conversation
    reply: Reply


@dataclass(frozen=True, slots=True)
class Removed:
    """What an erasure took away."""

    questions: int
    ratings: int
    items: int


@dataclass(frozen=True, slots=True)
class Stats:
    outcomes: Mapping[str, int]
    ratings: Mapping[str, int]
    open: int
    dead: int
    oldest_open_s: float  # age of the oldest open question, 0 where there is none


@dataclass(frozen=True, slots=True)
class Item:
    """An unanswered, handed-over or marked question, as operators read it."""

    kind: Kind
    question: str
    nearest: tuple[str, ...]
    entry: str
    name: str
    at: float
    noted: bool
    answered: bool


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that was given up: where and when, never what."""

    adapter: str
    room: str
    received: float
    purpose: str
    failures: int


def key_of(conversation: Conversation, message_id: str) -> str:
    """The key of a message: same in every process and on every try, 40 hex digits."""
    parts = (conversation.adapter, conversation.workspace, conversation.room, message_id)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


class Journal:
    """The store's verbs.  Every one is a transaction and may raise `StoreUnavailable`."""

    def __init__(self, store: Store, hash_key: bytes) -> None:
        self.store = store
        self._hash_key = hash_key

    def hash(self, conversation: Conversation, person: str) -> str:
        """The keyed hash under which a person is known, the same in one workspace."""
        whom = json.dumps((conversation.adapter, conversation.workspace, person)).encode()
        return hmac.new(self._hash_key, whom, hashlib.sha256).hexdigest()[:32]

    async def open(self) -> None:
        """Make or migrate the tables.  Raises `StoreUnavailable`, also for a newer store."""
        await self.store.write(_migrate, durable=True)

    # --- taking in ---

    async def receive(
        self, messages: Sequence[Message], cursor: tuple[str, str] | None, limit: int
    ) -> None:
        """Write what is new; beyond `limit` a minute and person it is refused, said once."""

        def work(connection: Connection) -> None:
            for message in messages:
                self._take_in(connection, message, limit)
            if cursor:
                _put(connection, cursors, {"name": cursor[0]}, {"value": cursor[1]})

        await self.store.write(work, durable=True)

    def _take_in(self, connection: Connection, message: Message, limit: int) -> None:
        asker = self.hash(message.conversation, message.asker)
        edits = key_of(message.conversation, message.replaces) if message.replaces else ""
        row = _insert_message(connection, Purpose.ANSWER, message, asker=asker, replaces=edits)
        if row is None:
            return
        if edits:
            _supersede(connection, edits)
        if not limit or not _is_too_much(connection, row, message.conversation, asker, limit):
            return
        connection.execute(
            update(inbox)
            .where(inbox.c.id == row)
            .values(state=State.REFUSED, message=None, text=None, done=now())
        )
        if not _was_told(connection, asker):
            notice = replace(message, id=f"limit:{message.id}", text="")
            _insert_message(connection, Purpose.NOTICE, notice, asker=asker)

    async def joined(self, message: Message) -> None:
        """A greeting is due; `message` stands for the event that began the conversation."""
        await self.store.write(
            lambda c: _insert_message(c, Purpose.GREETING, message, asker=None), durable=True
        )

    async def shown(self, key: str, message: Message) -> bool:
        """Post the answer kept under `key` once more, as the answer to `message`."""

        def work(connection: Connection) -> bool:
            kept = connection.execute(
                select(inbox.c.reply, inbox.c.entry).where(
                    inbox.c.key == key, inbox.c.reply.isnot(None)
                )
            ).first()
            if kept is None:
                return False
            asker = self.hash(message.conversation, message.asker)
            _insert_message(
                connection,
                Purpose.ANSWER,
                message,
                asker=asker,
                reply=kept.reply,
                entry=kept.entry,
            )
            return True

        return await self.store.write(work, durable=True)

    async def team_answered(
        self, team: Conversation, posted: str, make: Callable[[str], Reply]
    ) -> bool:
        """Send the team's answer on its way; `make(question)` words it.

        False where `posted` is no handed-over question.  A question without a way back is
        only marked as answered.
        """

        def work(connection: Connection) -> bool:
            item = _handed_over(connection, team, posted)
            if item is None:
                return False
            connection.execute(update(items).where(items.c.id == item.id).values(answered=True))
            if item.message:
                message = _message_json.validate_json(item.message)
                reply = _reply_json.dump_json(make(item.question)).decode()
                digest = hashlib.sha256(reply.encode()).hexdigest()[:16]
                _insert_message(
                    connection,
                    Purpose.TEAM_ANSWER,
                    message,
                    message_id=f"team:{item.id}:{digest}",
                    asker=item.asker,
                    reply=reply,
                )
            return True

        return await self.store.write(work, durable=True)

    async def team_noted(self, team: Conversation, posted: str) -> bool:
        """The team wants the question in the knowledge: remember that, change nothing."""

        def work(connection: Connection) -> bool:
            item = _handed_over(connection, team, posted)
            if item is not None:
                connection.execute(update(items).where(items.c.id == item.id).values(noted=True))
            return item is not None

        return await self.store.write(work, durable=True)

    async def retracted(self, conversation: Conversation, message_id: str) -> None:
        """Purge the message and its edits; cancel or withdraw what answered them."""
        key = key_of(conversation, message_id)

        def work(connection: Connection) -> None:
            rows = connection.execute(
                select(inbox).where(or_(inbox.c.key == key, inbox.c.replaces == key))
            ).all()
            for row in rows:
                _withdraw(connection, row.id)
                same = and_(items.c.asker == row.asker, items.c.question == row.text)
                _drop_items(connection, or_(items.c.inbox == row.id, same))

        await self.store.write(work, durable=True)

    async def rated(self, given: Feedback) -> None:
        """Note, change or take back a rating of the answer posted as `given.posted`."""
        asker = self.hash(given.conversation, given.asker)

        def work(connection: Connection) -> None:
            row = connection.execute(
                select(inbox.c.id, inbox.c.entry)
                .join(posted_messages, posted_messages.c.inbox == inbox.c.id)
                .where(
                    _posted_as(given.conversation, given.posted),
                    inbox.c.purpose == Purpose.ANSWER,
                )
            ).first()
            if row is not None:
                _rate(connection, row, asker, given.rating, given.reason)

        await self.store.write(work)

    # --- working ---

    async def claim(self, owner: str, routes: Iterable[tuple[str, str]], limit: int) -> list[Job]:
        """Lease up to `limit` rows that are due, the oldest open one of each conversation.

        `routes` are (adapter, workspace) pairs, workspace "" standing for all of them.
        """
        if not (served := list(routes)):
            return []
        lease = uuid.uuid4().hex

        def work(connection: Connection) -> list[Job]:
            chosen = _due(served).limit(limit)
            if connection.dialect.name == "postgresql":
                chosen = chosen.with_for_update(skip_locked=True)
            rows = connection.execute(
                update(inbox)
                .where(inbox.c.id.in_(chosen.scalar_subquery()))
                .values(
                    lease=lease,
                    owner=owner,
                    leased_until=now() + LEASE_S,
                    claims=inbox.c.claims + 1,
                    attempts=inbox.c.attempts + case((inbox.c.reply.isnot(None), 1), else_=0),
                )
                .returning(inbox)
            ).all()
            jobs = [_job(connection, row) for row in rows]
            return sorted((job for job in jobs if job is not None), key=lambda job: job.id)

        return await self.store.write(work)

    async def answered(
        self,
        job: Job,
        reply: Reply,
        state: str | None,
        hand_over: HandOver | None = None,
        word_removed: Callable[[Reply, Removed], Reply] | None = None,
    ) -> Reply:
        """Store the reply, the thread's new state and the events, all or nothing.

        Returns the reply to deliver: with what was removed, where the asker had it erased.
        Raises `LeaseLost`.
        """

        def work(connection: Connection) -> Reply:
            said = reply
            asker = connection.execute(select(inbox.c.asker).where(_held(job))).scalar()
            for event in reply.events:
                if isinstance(event, Erase) and asker:
                    removed = _erase(connection, [asker], keep=job.id)
                    said = word_removed(said, removed) if word_removed else said
                elif asker:
                    _remember(connection, job, event, asker, hand_over)
            said = replace(said, events=())
            erased = any(isinstance(event, Erase) for event in reply.events)
            changed = connection.execute(
                update(inbox)
                .where(_held(job))
                .values(
                    reply=_reply_json.dump_json(said).decode(),
                    outcome=reply.outcome if job.purpose is Purpose.ANSWER else None,
                    entry=reply.entry,
                    attempts=1,
                    **({"asker": None, "text": None} if erased else {}),
                )
            )
            if changed.rowcount != 1:
                raise LeaseLost
            if job.keeps_state and job.purpose in (Purpose.ANSWER, Purpose.GREETING):
                _keep_state(connection, job, None if erased else state)
            return said

        return await self.store.write(work)

    async def delivered(self, job: Job, posted: Posted) -> None:
        """The answer is out: close the row and forget the raw id.  Raises `LeaseLost`."""

        def work(connection: Connection) -> None:
            keeps_reply = job.purpose is Purpose.ANSWER and not (job.reply and job.reply.mention)
            changed = connection.execute(
                update(inbox)
                .where(_held(job))
                .values(
                    state=case((inbox.c.withdraw, State.WITHDRAWING), else_=State.DONE),
                    done=now(),
                    message=None,
                    lease=None,
                    leased_until=0,
                    due=0,
                    **({} if keeps_reply else {"reply": None}),
                )
            )
            if changed.rowcount != 1:
                raise LeaseLost
            for part, name in enumerate(posted.ids):
                where = _posted_key(job.message.conversation, name)
                _put(connection, posted_messages, where, {"inbox": job.id, "part": part})

        await self.store.write(work)

    async def failed(self, job: Job, wait_s: float, *, counts: bool, unsent: bool) -> None:
        """Try again after `wait_s`; `counts` towards giving up, `unsent` is no attempt."""
        await self.store.write(
            lambda c: (
                c.execute(
                    update(inbox)
                    .where(_leased(job))
                    .values(
                        lease=None,
                        leased_until=0,
                        due=now() + wait_s,
                        failures=inbox.c.failures + int(counts),
                        attempts=inbox.c.attempts - int(unsent),
                    )
                ).rowcount
            )
        )

    async def given_up(self, job: Job) -> None:
        """No further try: the row is dead, counted and listed."""
        await self.store.write(lambda c: _bury(c, _leased(job)))

    async def withdrawn(self, job: Job) -> None:
        """The answer of a deleted question is gone from the platform."""
        closed = {"state": State.WITHDRAWN, "lease": None, "leased_until": 0}
        await self.store.write(
            lambda c: c.execute(update(inbox).where(_leased(job)).values(**closed)).rowcount
        )

    async def renew(self, owner: str) -> None:
        """The worker lives: its leases run on."""
        mine = and_(inbox.c.owner == owner, inbox.c.lease.isnot(None), _TO_DO)
        await self.store.write(
            lambda c: (
                c.execute(update(inbox).where(mine).values(leased_until=now() + LEASE_S)).rowcount
            )
        )

    async def release(self, owner: str) -> int:
        """`owner` is known to be dead (or stops): its rows are free again.  How many.

        What it may have been sending waits a moment, so that a look-up finds it.
        """
        settle = case((inbox.c.reply.isnot(None), now() + SETTLE_S), else_=0.0)
        mine = and_(inbox.c.owner == owner, inbox.c.lease.isnot(None), _TO_DO)
        return await self.store.write(
            lambda c: (
                c.execute(
                    update(inbox).where(mine).values(lease=None, leased_until=0, due=settle)
                ).rowcount
            )
        )

    # --- one of several processes ---

    async def take(self, name: str, token: str, seconds: float) -> bool:
        """Take or renew the hold on `name`; False while somebody else has it."""

        def work(connection: Connection) -> bool:
            statement = _insert(connection, holds).values(
                name=name, token=token, until=now() + seconds
            )
            free = or_(
                holds.c.token == token, holds.c.until <= now(), holds.c.until > now() + 10 * seconds
            )
            taken = connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"token": token, "until": now() + seconds},
                    where=free,
                ).returning(holds.c.name)
            )
            return taken.first() is not None

        return await self.store.write(work)

    async def give_back(self, name: str, token: str) -> None:
        mine = and_(holds.c.name == name, holds.c.token == token)
        await self.store.write(lambda c: c.execute(delete(holds).where(mine)).rowcount)

    # --- what is known ---

    async def cursor(self, name: str) -> str | None:
        found = select(cursors.c.value).where(cursors.c.name == name)
        return await self.store.read(lambda c: c.execute(found).scalar())

    async def has_answered(self, conversation: Conversation) -> bool:
        found = select(threads.c.answered).where(_is_in(threads, conversation))
        return await self.store.read(lambda c: c.execute(found).first() is not None)

    async def is_own(self, conversation: Conversation, posted: str) -> bool:
        found = select(posted_messages.c.inbox).where(_posted_as(conversation, posted))
        return await self.store.read(lambda c: c.execute(found).first() is not None)

    async def stats(self) -> Stats:
        """Counts since the store was made; erased questions stay counted."""

        def work(connection: Connection) -> Stats:
            counted = select(inbox.c.outcome, func.count()).where(inbox.c.outcome.isnot(None))
            rated = select(feedback.c.rating, func.count()).group_by(feedback.c.rating)
            opened = select(func.count(), func.min(inbox.c.received), now()).where(
                inbox.c.state == State.OPEN
            )
            dead = select(func.count()).where(inbox.c.state == State.DEAD)
            depth, oldest, clock = connection.execute(opened).one()
            return Stats(
                outcomes=_pairs(connection, counted.group_by(inbox.c.outcome)),
                ratings=_pairs(connection, rated),
                open=depth,
                dead=connection.execute(dead).scalar_one(),
                oldest_open_s=max(0.0, clock - oldest) if oldest is not None else 0.0,
            )

        return await self.store.read(work)

    async def items(self, *kinds: Kind) -> list[Item]:
        """Unanswered, handed-over or marked questions, oldest first."""
        query = select(items).where(items.c.kind.in_(kinds)).order_by(items.c.id)
        rows = await self.store.read(lambda c: c.execute(query).all())
        return [
            Item(
                kind=Kind(row.kind),
                question=row.question,
                nearest=tuple(json.loads(row.nearest)),
                entry=row.entry,
                name=row.name,
                at=row.at,
                noted=row.noted,
                answered=row.answered,
            )
            for row in rows
        ]

    async def dead(self) -> list[Dead]:
        query = select(inbox).where(inbox.c.state == State.DEAD).order_by(inbox.c.id)
        rows = await self.store.read(lambda c: c.execute(query).all())
        return [Dead(r.adapter, r.room, r.received, r.purpose, r.failures) for r in rows]

    # --- data protection ---

    async def purge(self, days: int, days_handed_over: int) -> int:
        """Delete texts whose time is over.  How many rows lost something."""
        return await self.store.write(lambda c: _purge(c, days, days_handed_over))

    async def hashes(self, person: str) -> list[str]:
        """Every hash that `person` (the platform's id) may be known by here."""
        query = select(inbox.c.adapter, inbox.c.workspace).distinct()
        rows = await self.store.read(lambda c: c.execute(query).all())
        return [self.hash(Conversation(r.adapter, r.workspace, ""), person) for r in rows]

    async def erase(self, person: str) -> Removed:
        """Remove everything about `person` (the platform's id), on all platforms."""
        hashes = await self.hashes(person)
        return await self.store.write(lambda c: _erase(c, hashes), durable=True)

    async def export(self, person: str) -> dict[str, list[dict[str, Any]]]:
        """Everything that is stored about `person`, as plain data."""
        hashes = await self.hashes(person)

        def work(connection: Connection) -> dict[str, list[dict[str, Any]]]:
            return {
                table.name: [
                    dict(row._mapping)
                    for row in connection.execute(select(table).where(table.c.asker.in_(hashes)))
                ]
                for table in (inbox, feedback, items)
            }

        return await self.store.read(work)


# --- statements -----------------------------------------------------------------


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    newest = len(MIGRATIONS) + 1
    meta.create(connection, checkfirst=True)
    version = connection.execute(select(meta.c.version)).scalar()
    if version is None:
        metadata.create_all(connection)
        connection.execute(insert(meta).values(version=newest))
    elif version > newest:
        raise StoreUnavailable(
            f"Der Speicher hat Fassung {version}, dieses Programm kennt nur bis {newest}."
            " Bitte das neuere Programm verwenden oder eine ältere Sicherung einspielen."
        )
    else:
        for step in MIGRATIONS[version - 1 :]:
            step(connection)
        connection.execute(update(meta).values(version=newest))


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT; both dialects spell it alike."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _put(
    connection: Connection, table: Table, where: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Insert or update the row with the primary key `where`."""
    connection.execute(
        _insert(connection, table)
        .values(**where, **values)
        .on_conflict_do_update(index_elements=list(where), set_=dict(values))
    )


def _is_in(table: Table, conversation: Conversation) -> ColumnElement[bool]:
    return and_(*(table.c[k] == v for k, v in _columns(conversation).items()))


def _columns(conversation: Conversation) -> dict[str, str]:
    return {
        "adapter": conversation.adapter,
        "workspace": conversation.workspace,
        "room": conversation.room,
        "thread": conversation.thread,
    }


def _posted_key(conversation: Conversation, posted: str) -> dict[str, str]:
    columns = _columns(conversation)
    del columns["thread"]
    return {**columns, "posted": posted}


def _posted_as(conversation: Conversation, posted: str) -> ColumnElement[bool]:
    key = _posted_key(conversation, posted)
    return and_(*(posted_messages.c[k] == v for k, v in key.items()))


def _leased(job: Job) -> ColumnElement[bool]:
    return and_(inbox.c.id == job.id, inbox.c.lease == job.lease)


def _held(job: Job) -> ColumnElement[bool]:
    return and_(_leased(job), inbox.c.state == State.OPEN)


def _pairs(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in connection.execute(query)}


def _insert_message(
    connection: Connection,
    purpose: Purpose,
    message: Message,
    *,
    asker: str | None,
    message_id: str = "",
    replaces: str = "",
    reply: str | None = None,
    entry: str | None = None,
) -> int | None:
    """Write a row unless its key is known; its id, None where it was known."""
    message_id = message_id or message.id
    statement = _insert(connection, inbox).values(
        **_columns(message.conversation),
        key=key_of(message.conversation, message_id),
        purpose=purpose,
        state=State.OPEN,
        message_id=message_id,
        replaces=replaces,
        message=_message_json.dump_json(replace(message, text="")).decode(),
        text=message.text,
        asker=asker,
        received=now(),
        reply=reply,
        entry=entry,
    )
    return connection.execute(statement.on_conflict_do_nothing().returning(inbox.c.id)).scalar()


def _supersede(connection: Connection, key: str) -> None:
    """An edit came before its question was begun: only the edit is answered."""
    untouched = and_(inbox.c.reply.is_(None), inbox.c.lease.is_(None))
    connection.execute(
        update(inbox)
        .where(inbox.c.key == key, inbox.c.state == State.OPEN, untouched)
        .values(state=State.WITHDRAWN, message=None, text=None, done=now())
    )


def _is_too_much(
    connection: Connection, row: int, conversation: Conversation, asker: str, limit: int
) -> bool:
    counted = select(func.count()).where(
        inbox.c.received.between(now() - MINUTE_S, now()),
        inbox.c.id != row,
        inbox.c.purpose == Purpose.ANSWER,
        inbox.c.state != State.REFUSED,
    )
    by_person = counted.where(inbox.c.asker == asker)
    in_thread = counted.where(_is_in(inbox, conversation))
    return (
        connection.execute(by_person).scalar_one() >= limit
        or connection.execute(in_thread).scalar_one() >= PER_THREAD * limit
    )


def _was_told(connection: Connection, asker: str) -> bool:
    recently = inbox.c.received.between(now() - MINUTE_S, now())
    told = select(inbox.c.id).where(
        inbox.c.asker == asker, recently, inbox.c.purpose == Purpose.NOTICE
    )
    return connection.execute(told).first() is not None


def _serves(workspace: str) -> ColumnElement[bool]:
    return inbox.c.workspace == workspace if workspace else true()


def _due(routes: Sequence[tuple[str, str]]) -> Select[Any]:
    """Ids of rows that may be worked on now, the oldest open one of each conversation."""
    earlier = inbox.alias("earlier")
    blocked = exists().where(
        *(earlier.c[n] == inbox.c[n] for n in ("adapter", "workspace", "room", "thread")),
        earlier.c.state == State.OPEN,
        earlier.c.id < inbox.c.id,
    )
    served = or_(*(and_(inbox.c.adapter == name, _serves(workspace)) for name, workspace in routes))
    free = or_(inbox.c.leased_until <= now(), inbox.c.leased_until > now() + LONGEST_WAIT_S)
    due = or_(inbox.c.due <= now(), inbox.c.due > now() + LONGEST_WAIT_S)
    is_next = or_(inbox.c.state == State.WITHDRAWING, ~blocked)
    return select(inbox.c.id).where(_TO_DO, free, due, served, is_next).order_by(inbox.c.id)


def _job(connection: Connection, row: Found) -> Job | None:
    """What there is to do for a leased row; None where it is given up at once."""
    if row.claims > MOST_CLAIMS and row.reply is None:
        _bury(connection, inbox.c.id == row.id)
        return None
    conversation = Conversation(row.adapter, row.workspace, row.room, row.thread)
    if row.state == State.WITHDRAWING:
        message = Message(conversation, row.message_id, "", "", EPOCH)
        withdraw = Posted(_posted_ids(connection, row.id))
        return Job(
            row.id, row.lease, row.key, Purpose(row.purpose), message, None, False, None,
            row.attempts, row.failures, withdraw=withdraw,
        )  # fmt: skip
    message = replace(_message_json.validate_json(row.message), text=row.text or "")
    replaced = _replaced(connection, row.replaces) if row.replaces else ()
    state, keeps = _thread_state(connection, conversation, row.replaces if replaced else "")
    return Job(
        id=row.id,
        lease=row.lease,
        key=row.key,
        purpose=Purpose(row.purpose),
        message=message,
        state=state,
        keeps_state=keeps,
        reply=_reply_json.validate_json(row.reply) if row.reply else None,
        attempt=max(1, row.attempts),
        failures=row.failures,
        replaces=replaced,
    )


def _thread_state(
    connection: Connection, conversation: Conversation, edited: str
) -> tuple[str | None, bool]:
    """The state to answer from and whether the new one is kept.

    The edit of the thread's last question starts where that question started; the edit of
    an older one starts afresh and leaves the thread as it is.
    """
    row = connection.execute(select(threads).where(_is_in(threads, conversation))).first()
    if row is None:
        return None, True
    if not edited:
        return row.state, True
    return (row.before, True) if row.last == edited else (None, False)


def _keep_state(connection: Connection, job: Job, state: str | None) -> None:
    again = bool(job.replaces)
    values = {"state": state, "answered": now()}
    if not again:
        values |= {"before": job.state if state is not None else None, "last": job.key}
    where = _columns(job.message.conversation)
    first = {"before": job.state, "last": job.key, **values}
    connection.execute(
        _insert(connection, threads)
        .values(**where, **first)
        .on_conflict_do_update(index_elements=list(where), set_=values)
    )


def _posted_ids(connection: Connection, row: int) -> tuple[str, ...]:
    query = (
        select(posted_messages.c.posted)
        .where(posted_messages.c.inbox == row)
        .order_by(posted_messages.c.part)
    )
    return tuple(connection.execute(query).scalars())


def _replaced(connection: Connection, key: str) -> tuple[str, ...]:
    """Ids of the answer to the question `key`: its first message, then the newest parts.

    The first message keeps its id through all edits (Matrix replaces the original event).
    """
    query = (
        select(inbox.c.id)
        .where(or_(inbox.c.key == key, inbox.c.replaces == key), inbox.c.state == State.DONE)
        .order_by(inbox.c.id)
    )
    answers = [
        ids for row in connection.execute(query).scalars() if (ids := _posted_ids(connection, row))
    ]
    return (answers[0][0], *answers[-1][1:]) if answers else ()


def _remember(
    connection: Connection, job: Job, event: Event, asker: str, hand_over: HandOver | None
) -> None:
    match event:
        case Rated():
            row = _last_answer(connection, job, event.entry)
            if row is not None:
                _rate(connection, row, asker, event.rating, event.reason)
        case Unanswered():
            _note(connection, job, Kind.UNANSWERED, asker, event.question, nearest=event.nearest)
        case Marked():
            _note(
                connection, job, Kind.AGENDA, asker, event.question,
                entry=event.entry, name=event.name,
            )  # fmt: skip
        case HandedOver():
            _hand_over(connection, job, event, asker, hand_over)


def _last_answer(connection: Connection, job: Job, entry: str) -> Found | None:
    query = select(inbox.c.id, inbox.c.entry).where(
        _is_in(inbox, job.message.conversation),
        inbox.c.purpose == Purpose.ANSWER,
        inbox.c.state == State.DONE,
        inbox.c.id < job.id,
        inbox.c.entry == entry if entry else inbox.c.entry.isnot(None),
    )
    return connection.execute(query.order_by(inbox.c.id.desc()).limit(1)).first()


def _rate(
    connection: Connection, row: Found, asker: str, rating: Rating | None, reason: str
) -> None:
    where = {"inbox": row.id, "asker": asker}
    if rating is None:
        mine = and_(feedback.c.inbox == row.id, feedback.c.asker == asker)
        connection.execute(delete(feedback).where(mine))
        return
    values = {"rating": rating, "reason": reason, "entry": row.entry or "", "at": now()}
    _put(connection, feedback, where, values)


def _note(
    connection: Connection,
    job: Job,
    kind: Kind,
    asker: str,
    question: str,
    *,
    nearest: Sequence[str] = (),
    entry: str = "",
    name: str = "",
    message: str | None = None,
) -> int:
    values = {
        "kind": kind,
        "inbox": job.id,
        "asker": asker,
        "question": question,
        "nearest": json.dumps(list(nearest)),
        "entry": entry,
        "name": name,
        "at": now(),
        "message": message,
        "noted": False,
        "answered": False,
    }
    return int(connection.execute(insert(items).values(values).returning(items.c.id)).scalar_one())


def _hand_over(
    connection: Connection, job: Job, event: HandedOver, asker: str, hand_over: HandOver | None
) -> None:
    same = and_(items.c.asker == asker, items.c.question == event.question)
    connection.execute(delete(items).where(same, items.c.kind == Kind.UNANSWERED))
    back = _message_json.dump_json(replace(job.message, text="")).decode()
    item = _note(
        connection, job, Kind.HANDED_OVER, asker, event.question,
        message=back if event.callback else None,
    )  # fmt: skip
    if hand_over is None:
        return
    message = Message(hand_over.team, f"handover:{job.key}:{item}", "", "", job.message.at)
    reply = _reply_json.dump_json(hand_over.reply).decode()
    row = _insert_message(connection, Purpose.HANDOVER, message, asker=None, reply=reply)
    connection.execute(update(items).where(items.c.id == item).values(team=row))


def _handed_over(connection: Connection, team: Conversation, posted: str) -> Found | None:
    query = (
        select(items)
        .join(posted_messages, posted_messages.c.inbox == items.c.team)
        .where(_posted_as(team, posted))
    )
    return connection.execute(query).first()


def _withdraw(connection: Connection, row: int) -> None:
    """Cancel what is not yet sent, withdraw what is or may be; purge the text."""
    unsent = and_(inbox.c.state == State.OPEN, inbox.c.reply.is_(None))
    connection.execute(
        update(inbox)
        .where(inbox.c.id == row)
        .values(
            text=None,
            withdraw=True,
            state=case(
                (unsent, State.WITHDRAWN),
                (inbox.c.state == State.DONE, State.WITHDRAWING),
                else_=inbox.c.state,
            ),
            message=case((unsent, None), else_=inbox.c.message),
            reply=case((inbox.c.state == State.DONE, None), else_=inbox.c.reply),
            done=case((unsent, now()), else_=inbox.c.done),
        )
    )


def _drop_items(connection: Connection, which: ColumnElement[bool]) -> int:
    """Delete open questions; those in the team's room are withdrawn there."""
    gone = connection.execute(delete(items).where(which).returning(items.c.team)).scalars().all()
    for team in gone:
        if team is not None:
            _withdraw(connection, team)
    return len(gone)


def _bury(connection: Connection, which: ColumnElement[bool]) -> int:
    return connection.execute(
        update(inbox)
        .where(which)
        .values(
            state=case((inbox.c.withdraw, State.WITHDRAWN), else_=State.DEAD),
            message=None,
            reply=None,
            lease=None,
            leased_until=0,
            done=now(),
        )
    ).rowcount


def _erase(connection: Connection, askers: Sequence[str], keep: int = 0) -> Removed:
    """Remove a person's traces.  `keep` is the open row of the request itself.

    Of a question only the fact stays that a message id was dealt with, so that the platform
    sending it again brings no second answer.
    """
    theirs = and_(inbox.c.asker.in_(askers), inbox.c.id != keep)
    removed = _drop_items(connection, items.c.asker.in_(askers))
    rated = connection.execute(delete(feedback).where(feedback.c.asker.in_(askers))).rowcount
    rooms = select(inbox.c.adapter, inbox.c.workspace, inbox.c.room, inbox.c.thread).where(theirs)
    for row in connection.execute(rooms.distinct()).all():
        forget = {"state": None, "before": None}
        connection.execute(
            update(threads).where(_is_in(threads, Conversation(*row))).values(**forget)
        )
    open_ones = inbox.c.state == State.OPEN
    asked = connection.execute(
        select(func.count()).where(theirs, inbox.c.purpose == Purpose.ANSWER)
    ).scalar_one()
    connection.execute(
        update(inbox)
        .where(theirs)
        .values(
            asker=None,
            text=None,
            message=None,
            reply=None,
            lease=None,
            state=case((open_ones, State.WITHDRAWN), else_=inbox.c.state),
        )
    )
    return Removed(questions=asked, ratings=rated, items=removed)


def _purge(connection: Connection, days: int, days_handed_over: int) -> int:
    def over(days: float) -> ColumnElement[float]:
        return now() - days * 86_400.0

    closed = inbox.c.state.notin_([State.OPEN, State.WITHDRAWING])
    old = update(inbox).where(
        closed,
        inbox.c.done <= over(days),
        or_(inbox.c.text.isnot(None), inbox.c.asker.isnot(None)),
    )
    lost = connection.execute(old.values(text=None, asker=None, reply=None)).rowcount
    shown = update(inbox).where(
        closed, inbox.c.reply.isnot(None), inbox.c.done <= now() - REPLIES_KEPT_S
    )
    connection.execute(shown.values(reply=None))
    kept_longer = items.c.kind != Kind.UNANSWERED
    lost += connection.execute(
        delete(items).where(
            or_(
                and_(~kept_longer, items.c.at <= over(days)),
                and_(kept_longer, items.c.at <= over(days_handed_over)),
            )
        )
    ).rowcount
    connection.execute(delete(threads).where(threads.c.answered <= over(max(days, 1))))
    return lost
