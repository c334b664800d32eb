"""What must survive a crash: every question until it is answered, and what was learnt from it.

A row is written before the platform hears "received", leased by one worker at a time,
answered once (reply, state and events in one transaction) and delivered under the same key
on every try.  Times are the database's clock, in seconds.  Tables: `bot.serve.tables`, SQL:
`bot.serve.statements`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from bot.chat import (
    Conversation,
    Erase,
    Feedback,
    Message,
    Posted,
    Purpose,
    Reply,
)
from bot.serve import statements as sql
from bot.serve.statements import HandOver, Job, Removed, key_of
from bot.serve.store import Store, now
from bot.serve.tables import (
    TO_DO,
    Kind,
    State,
    cursors,
    feedback,
    holds,
    inbox,
    items,
    migrate,
    posted_messages,
    threads,
)

__all__ = ["Dead", "HandOver", "Item", "Job", "Journal", "LeaseLost", "Removed", "Stats", "key_of"]


MANY = 20  # messages handed in at once: not written on the event loop

T = TypeVar("T")


class LeaseLost(Exception):
    """Another worker has the row, or the question was withdrawn: drop it, touch nothing."""


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
        await self._write_durably(migrate, much=True)

    async def _write_durably(self, work: Callable[[Connection], T], *, much: bool = False) -> T:
        result = await self.store.write(work, much=much)
        await self.store.sync()
        return result

    # --- taking in ---

    async def receive(
        self,
        messages: Sequence[Message],
        cursor: tuple[str, str] | None,
        limit: int,
        *,
        owner: str = "",
        room: int = 0,
    ) -> list[Job]:
        """Write what is new; beyond `limit` a minute and person it is refused, said once.

        Up to `room` of the rows, each the only open one of its conversation, are leased to
        `owner` at once.  Committed when it returns; on the disk after `store.sync`.
        """

        def work(connection: Connection) -> list[Job]:
            jobs: list[Job] = []
            for message in messages:
                job = self._take_in(connection, message, limit, owner if len(jobs) < room else "")
                jobs += [job] if job else []
            if cursor:
                sql.move_cursor(connection, *cursor)
            return jobs

        return await self.store.write(work, much=len(messages) > MANY)

    def _take_in(
        self, connection: Connection, message: Message, limit: int, owner: str
    ) -> Job | None:
        """Write a message unless it is known; what there is to do, where it was leased."""
        asker = self.hash(message.conversation, message.asker)
        edits = key_of(message.conversation, message.replaces) if message.replaces else ""
        found = sql.standing(connection, message.conversation) if owner else None
        lease = uuid.uuid4().hex if found and not found.busy else None
        row = sql.insert_message(
            connection,
            Purpose.ANSWER,
            message,
            asker=asker,
            replaces=edits,
            lease=lease,
            owner=owner if lease else None,
        )
        if row is None:
            return None
        if edits:
            sql.supersede(connection, edits)
        if limit and sql.is_too_much(connection, row, message.conversation, asker, limit):
            self._refuse(connection, row, message, asker)
            return None
        if not (lease and found):
            return None  # its turn comes when what is before it is done
        return sql.new_job(connection, row, lease, message, edits, found)

    def _refuse(self, connection: Connection, row: int, message: Message, asker: str) -> None:
        refused = {"state": State.REFUSED, "message": None, "text": None, "lease": None}
        connection.execute(update(inbox).where(inbox.c.id == row).values(**refused, done=now()))
        if not sql.was_told(connection, asker):
            notice = replace(message, id=f"limit:{message.id}", text="")
            sql.insert_message(connection, Purpose.NOTICE, notice, asker=asker)

    async def joined(self, message: Message) -> None:
        """A greeting is due; `message` stands for the event that began the conversation."""
        await self._write_durably(
            lambda c: sql.insert_message(c, Purpose.GREETING, message, asker=None)
        )

    async def shown(self, key: str, message: Message) -> bool:
        """Post the answer kept under `key` once more, as the answer to `message`.

        Where that names somebody, it is shown to that person.
        """

        def work(connection: Connection) -> bool:
            kept = connection.execute(
                select(inbox.c.reply, inbox.c.entry).where(
                    inbox.c.key == key, inbox.c.reply.isnot(None)
                )
            ).first()
            if kept is None:
                return False
            reply = sql.reply_json.validate_json(kept.reply)
            reply = replace(reply, mention=next(iter(message.people), None))
            sql.insert_message(
                connection,
                Purpose.ANSWER,
                message,
                asker=self.hash(message.conversation, message.asker),
                reply=sql.reply_json.dump_json(reply).decode(),
                entry=kept.entry,
            )
            return True

        return await self._write_durably(work)

    async def team_answered(
        self, team: Conversation, posted: str, make: Callable[[str], Reply]
    ) -> bool:
        """Send the team's answer on its way; `make(question)` words it.

        False where `posted` is no handed-over question.  A question without a way back is
        only marked as answered.
        """

        def work(connection: Connection) -> bool:
            item = sql.handed_over(connection, team, posted)
            if item is None:
                return False
            connection.execute(update(items).where(items.c.id == item.id).values(answered=True))
            if item.message:
                message = sql.message_json.validate_json(item.message)
                reply = sql.reply_json.dump_json(make(item.question)).decode()
                digest = hashlib.sha256(reply.encode()).hexdigest()[:16]
                sql.insert_message(
                    connection,
                    Purpose.TEAM_ANSWER,
                    message,
                    message_id=f"team:{item.id}:{digest}",
                    asker=item.asker,
                    reply=reply,
                )
            return True

        return await self._write_durably(work)

    async def team_noted(self, team: Conversation, posted: str) -> bool:
        """The team wants the question in the knowledge: remember that, change nothing."""

        def work(connection: Connection) -> bool:
            item = sql.handed_over(connection, team, posted)
            if item is not None:
                connection.execute(update(items).where(items.c.id == item.id).values(noted=True))
            return item is not None

        return await self._write_durably(work)

    async def retracted(self, conversation: Conversation, message_id: str) -> None:
        """Purge the message and its edits; cancel or withdraw what answered them."""
        key = key_of(conversation, message_id)

        def work(connection: Connection) -> None:
            rows = connection.execute(
                select(inbox).where(or_(inbox.c.key == key, inbox.c.replaces == key))
            ).all()
            for row in rows:
                sql.withdraw_answer(connection, row.id)
                sql.forget_in_thread(connection, row)
                same = and_(items.c.asker == row.asker, items.c.question == row.text)
                sql.drop_items(connection, or_(items.c.inbox == row.id, same))

        await self._write_durably(work)

    async def rated(self, given: Feedback) -> None:
        """Note, change or take back a rating of the answer `given.posted`."""
        asker = self.hash(given.conversation, given.asker)

        def work(connection: Connection) -> None:
            posted = select(posted_messages.c.inbox).where(
                sql.posted_as(given.conversation, given.posted)
            )
            row = connection.execute(
                select(inbox.c.id, inbox.c.entry).where(
                    or_(inbox.c.key == given.posted, inbox.c.id.in_(posted)),
                    inbox.c.purpose == Purpose.ANSWER,
                )
            ).first()
            if row is not None:
                sql.rate(connection, row, asker, given.rating, given.reason)

        await self.store.write(work)

    # --- working ---

    async def claim(self, owner: str, routes: Iterable[tuple[str, str]], limit: int) -> list[Job]:
        """Lease up to `limit` rows that are due, the oldest open one of each conversation.

        `routes` are (adapter, workspace) pairs, workspace "" standing for all of them.
        """
        if not (served := tuple(routes)):
            return []
        values = {"the_lease": uuid.uuid4().hex, "the_owner": owner, "most": limit}

        def work(connection: Connection) -> list[Job]:
            statement = sql.claiming(connection.dialect.name, served)
            jobs = [sql.job_of(connection, row) for row in connection.execute(statement, values)]
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

        erases = any(isinstance(event, Erase) for event in reply.events)

        def work(connection: Connection) -> Reply | None:
            said = replace(reply, events=())
            if reply.events:
                held = connection.execute(sql.HELD, sql.fence(job)).first()
                if held is None:
                    return None
                for event in reply.events:
                    if isinstance(event, Erase):
                        removed = sql.erase(connection, [held.asker], keep=job.id)
                        said = word_removed(said, removed) if word_removed else said
                    elif held.asker:
                        sql.remember(connection, job, event, held.asker, hand_over)
            if not sql.store_answer(connection, job, said, anonymously=erases):
                return None
            if job.keeps_state and job.purpose in (Purpose.ANSWER, Purpose.GREETING):
                sql.keep_state(connection, job, None if erases else state)
            return said

        said = await self.store.write(work)
        if said is None:
            raise LeaseLost
        return said

    async def delivered(self, job: Job, posted: Posted) -> bool:
        """The answer is out: close the row and forget the raw id.  Raises `LeaseLost`.

        Says whether there is more to do in the conversation, which may go on now.
        """
        more = await self.store.write(lambda c: sql.close(c, job, posted), soon=True)
        if more is None:
            raise LeaseLost
        return more

    async def failed(self, job: Job, wait_s: float, *, counts: bool, unsent: bool) -> None:
        """Try again after `wait_s`; `counts` towards giving up, `unsent` is no attempt."""
        await self.store.write(
            lambda c: (
                c.execute(
                    update(inbox)
                    .where(sql.leased(job))
                    .values(
                        lease=None,
                        leased_until=0,
                        due=now() + min(wait_s, sql.LONGEST_WAIT_S),
                        failures=inbox.c.failures + int(counts),
                        attempts=inbox.c.attempts - int(unsent),
                    )
                ).rowcount
            )
        )

    async def given_up(self, job: Job) -> None:
        """No further try: the row is dead, counted and listed."""
        await self.store.write(lambda c: sql.bury(c, sql.leased(job)))

    async def withdrawn(self, job: Job) -> None:
        """The answer of a deleted question is gone from the platform."""
        closed = {"state": State.WITHDRAWN, "lease": None, "leased_until": 0}
        await self.store.write(
            lambda c: c.execute(update(inbox).where(sql.leased(job)).values(**closed)).rowcount
        )

    async def renew(self, owner: str, rows: Collection[int]) -> None:
        """The worker lives and has these rows in hand: their leases run on.

        What it was given and never got, for it was cancelled meanwhile, runs out.
        """
        in_hand = and_(inbox.c.id.in_(rows), inbox.c.owner == owner, inbox.c.lease.isnot(None))
        renewed = {"leased_until": now() + sql.LEASE_S}
        await self.store.write(
            lambda c: c.execute(update(inbox).where(in_hand, TO_DO).values(**renewed)).rowcount
        )

    async def release(self, owner: str) -> int:
        """`owner` works no more: its rows are free again.  How many.

        What it may have been sending waits a moment, so that a look-up finds it.
        """
        return await self.store.write(lambda c: sql.release(c, owner))

    async def inherit(self, owner: str) -> int:
        """`owner` is known to be dead: its rows and its holds are free.  How many rows."""

        def work(connection: Connection) -> int:
            connection.execute(delete(holds).where(holds.c.token == owner))
            return sql.release(connection, owner)

        return await self.store.write(work)

    # --- one of several processes ---

    async def take(self, name: str, token: str, seconds: float) -> bool:
        """Take or renew the hold on `name`; False while somebody else has it."""

        def work(connection: Connection) -> bool:
            statement = sql.insert_into(connection.dialect.name, holds).values(
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
        found = select(threads.c.answered).where(sql.is_in(threads, conversation))
        return await self.store.read(lambda c: c.execute(found).first() is not None)

    async def is_own(self, conversation: Conversation, posted: str) -> bool:
        found = select(posted_messages.c.inbox).where(sql.posted_as(conversation, posted))
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
                outcomes=sql.pairs(connection, counted.group_by(inbox.c.outcome)),
                ratings=sql.pairs(connection, rated),
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
        return await self.store.write(lambda c: sql.purge(c, days, days_handed_over), much=True)

    async def hashes(self, person: str) -> list[str]:
        """Every hash that `person` (the platform's id) may be known by here."""
        query = select(inbox.c.adapter, inbox.c.workspace).distinct()
        rows = await self.store.read(lambda c: c.execute(query).all())
        return [self.hash(Conversation(r.adapter, r.workspace, ""), person) for r in rows]

    async def erase(self, person: str) -> Removed:
        """Remove everything about `person` (the platform's id), on all platforms."""
        hashes = await self.hashes(person)
        return await self._write_durably(lambda c: sql.erase(c, hashes), much=True)

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
