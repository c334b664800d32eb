"""The SQL of the journal: each function is a part of one transaction on a connection.

What every question needs stands in `Often`, for SQLAlchemy costs more than the database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    Row,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.chat import (
    Conversation,
    Event,
    HandedOver,
    Marked,
    Message,
    Posted,
    Purpose,
    Rated,
    Rating,
    Reply,
    Unanswered,
)
from bot.serve.often import Often
from bot.serve.store import now
from bot.serve.tables import (
    TO_DO,
    Kind,
    State,
    cursors,
    feedback,
    inbox,
    is_to_do,
    items,
    posted_messages,
    threads,
)

LEASE_S = 20.0  # renewed while the worker lives; longer than the lag of a look-up
SETTLE_S = 2.0  # a dead worker's request may still arrive: look for it only after this
LONGEST_WAIT_S = 3_600.0  # a time further ahead was set before the clock jumped: it counts as due
MINUTE_S = 60.0
PER_THREAD = 4  # times the limit per person: what a thread gets in a minute, against bot loops
DAY_S = 86_400.0
REPLIES_KEPT_DAYS = 1  # for showing an answer again
WAY_BACK_KEPT_DAYS = 1  # the team may add something to its answer
STATE_KEPT_DAYS = 1 / 24  # follow-ups end after half an hour
MOST_CLAIMS = 20  # a question that killed so many workers is not tried again
Found = Row[*tuple[Any, ...]]
EPOCH = datetime.fromtimestamp(0, UTC)

message_json: TypeAdapter[Message] = TypeAdapter(Message)
reply_json: TypeAdapter[Reply] = TypeAdapter(Reply)


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


def key_of(conversation: Conversation, message_id: str) -> str:
    """The key of a message: same in every process and on every try, 40 hex digits."""
    parts = (conversation.adapter, conversation.workspace, conversation.room, message_id)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


# --- statements -----------------------------------------------------------------


def insert_into(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT; both dialects spell it alike."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _inserting(dialect: str, **values: Any) -> Executable:
    statement = insert_into(dialect, inbox).values(received=now(), **values)
    return statement.on_conflict_do_nothing().returning(inbox.c.id)


def _posting(dialect: str) -> Executable:
    statement = insert_into(dialect, posted_messages)
    renewed = {"inbox": statement.excluded.inbox, "part": statement.excluded.part}
    key = ["adapter", "workspace", "room", "posted"]
    return statement.on_conflict_do_update(index_elements=key, set_=renewed)


@cache
def claiming(dialect: str, routes: tuple[tuple[str, str], ...]) -> Any:
    """Lease the rows that may be worked on now, the oldest open one of each conversation."""
    clock = select(now()).scalar_subquery()  # once, not once a row
    head = inbox.alias("head")
    heads = (
        select(func.min(head.c.id))
        .where(is_to_do(head.c.state), head.c.state == State.OPEN)
        .group_by(*(head.c[name] for name in _IN_CONVERSATION))
    )
    # Hidden from the planner: rows shall be read in their order until there are enough.
    adapter = inbox.c.adapter.concat("")
    served = or_(
        *(
            and_(adapter == name, inbox.c.workspace == workspace if workspace else true())
            for name, workspace in routes
        )
    )
    free = or_(inbox.c.leased_until <= clock, inbox.c.leased_until > clock + LONGEST_WAIT_S)
    due = or_(inbox.c.due <= clock, inbox.c.due > clock + LONGEST_WAIT_S)
    is_next = or_(inbox.c.state == State.WITHDRAWING, inbox.c.id.in_(heads))
    chosen = (
        select(inbox.c.id)
        .where(TO_DO, is_next, served, free, due)
        .order_by(inbox.c.id)
        .limit(bindparam("most"))
    )
    if dialect == "postgresql":
        chosen = chosen.with_for_update(skip_locked=True)
    values = {
        "lease": bindparam("the_lease"),
        "owner": bindparam("the_owner"),
        "leased_until": now() + LEASE_S,
        "claims": inbox.c.claims + 1,
        "attempts": inbox.c.attempts + case((inbox.c.reply.isnot(None), 1), else_=0),
    }
    # A CTE, so that PostgreSQL chooses and locks once, whatever plan it makes of the rest.
    ids = select(chosen.cte("chosen").c.id)
    return update(inbox).where(inbox.c.id.in_(ids)).values(values).returning(inbox)


def _by_worker(**values: Any) -> Update:
    """An update of the row that the worker holds: id and fence must both be right."""
    mine = and_(
        inbox.c.id == bindparam("the_id"),
        inbox.c.lease == bindparam("the_lease"),
        inbox.c.state == State.OPEN,
    )
    return update(inbox).where(mine).values(**values)


HELD = select(inbox.c.asker).where(
    inbox.c.id == bindparam("the_id"),
    inbox.c.lease == bindparam("the_lease"),
    inbox.c.state == State.OPEN,
)
_ANSWERED = _by_worker(
    reply=bindparam("reply"), outcome=bindparam("outcome"), entry=bindparam("entry"), attempts=1
).returning(inbox.c.id)
_IN_CONVERSATION: dict[str, BindParameter[str]] = {
    n: bindparam(f"the_{n}") for n in ("adapter", "workspace", "room", "thread")
}
_ASKED_LATELY = select(func.count()).where(
    inbox.c.received.between(now() - MINUTE_S, now()),
    inbox.c.id != bindparam("the_row"),
    inbox.c.purpose == Purpose.ANSWER,
    inbox.c.state != State.REFUSED,
)
_ASKED_BY_PERSON = _ASKED_LATELY.where(inbox.c.asker == bindparam("the_asker"))
_ASKED_IN_THREAD = _ASKED_LATELY.where(
    *(inbox.c[name] == value for name, value in _IN_CONVERSATION.items())
)
_THREAD = (
    select(threads.c.state, threads.c.before, threads.c.last)
    .where(*(threads.c[name] == value for name, value in _IN_CONVERSATION.items()))
    .subquery()
)
_TO_DO_IN_CONVERSATION = and_(
    TO_DO, *(inbox.c[name] == value for name, value in _IN_CONVERSATION.items())
)
_STANDING = select(
    select(inbox.c.id).where(_TO_DO_IN_CONVERSATION).exists().label("busy"), _THREAD
).select_from(select(true().label("always")).subquery().outerjoin(_THREAD, true()))
_others = inbox.alias("others")
_DELIVERED = _by_worker(
    state=case((inbox.c.withdraw, State.WITHDRAWING), else_=State.DONE),
    done=now(),
    message=None,
    lease=None,
    leased_until=0,
    due=0,
).returning(
    or_(
        inbox.c.withdraw,
        select(_others.c.id)
        .where(
            is_to_do(_others.c.state),
            _others.c.id != bindparam("the_id"),
            *(_others.c[name] == value for name, value in _IN_CONVERSATION.items()),
        )
        .exists(),
    )
)


def _moving(dialect: str) -> Executable:
    statement = insert_into(dialect, cursors)
    moved = {"value": statement.excluded.value}
    return statement.on_conflict_do_update(index_elements=["name"], set_=moved)


def _keeping(dialect: str, again: bool) -> Executable:
    """Store a thread's state; `again`: for an edit, which starts where its question started."""
    statement = insert_into(dialect, threads).values(answered=now())
    renewed = {"state": statement.excluded.state, "answered": now()}
    if not again:
        renewed |= {"before": statement.excluded.before, "last": statement.excluded.last}
    return statement.on_conflict_do_update(
        index_elements=["adapter", "workspace", "room", "thread"], set_=renewed
    )


_insert = Often(_inserting)
_insert_leased = Often(partial(_inserting, leased_until=now() + LEASE_S, claims=1))
_stand = Often(lambda _: _STANDING)
_answer = Often(lambda _: _ANSWERED)
_answer_anonymously = Often(lambda _: _ANSWERED.values(asker=None, text=None))
_keep = Often(partial(_keeping, again=False))
_keep_again = Often(partial(_keeping, again=True))
_deliver = Often(lambda _: _DELIVERED)
_deliver_and_forget = Often(lambda _: _DELIVERED.values(reply=None))
_deliver_impersonally = Often(lambda _: _DELIVERED.values(reply=bindparam("kept")))
_post = Often(_posting)
_move = Often(_moving)


def fence(job: Job) -> dict[str, Any]:
    return {"the_id": job.id, "the_lease": job.lease}


def put(
    connection: Connection, table: Table, where: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Insert or update the row with the primary key `where`."""
    connection.execute(
        insert_into(connection.dialect.name, table)
        .values(**where, **values)
        .on_conflict_do_update(index_elements=list(where), set_=dict(values))
    )


def is_in(table: Table, conversation: Conversation) -> ColumnElement[bool]:
    return and_(*(table.c[k] == v for k, v in _columns(conversation).items()))


def _columns(conversation: Conversation) -> dict[str, str]:
    return {
        "adapter": conversation.adapter,
        "workspace": conversation.workspace,
        "room": conversation.room,
        "thread": conversation.thread,
    }


def posted_key(conversation: Conversation, posted: str) -> dict[str, str]:
    columns = _columns(conversation)
    del columns["thread"]
    return {**columns, "posted": posted}


def posted_as(conversation: Conversation, posted: str) -> ColumnElement[bool]:
    key = posted_key(conversation, posted)
    return and_(*(posted_messages.c[k] == v for k, v in key.items()))


def leased(job: Job) -> ColumnElement[bool]:
    return and_(inbox.c.id == job.id, inbox.c.lease == job.lease)


def pairs(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in connection.execute(query)}


def insert_message(
    connection: Connection,
    purpose: Purpose,
    message: Message,
    *,
    asker: str | None,
    message_id: str = "",
    replaces: str = "",
    reply: str | None = None,
    entry: str | None = None,
    lease: str | None = None,
    owner: str | None = None,
) -> int | None:
    """Write a row unless its key is known; its id, None where it was known."""
    message_id = message_id or message.id
    row = {
        **_columns(message.conversation),
        "key": key_of(message.conversation, message_id),
        "purpose": purpose,
        "state": State.OPEN,
        "message_id": message_id,
        "replaces": replaces,
        "message": message_json.dump_json(replace(message, text="")).decode(),
        "text": message.text or None,
        "asker": asker,
        "reply": reply,
        "entry": entry,
        "lease": lease,
        "owner": owner,
    }
    found = (_insert_leased if lease else _insert)(connection, row)
    return int(found[0][0]) if found else None


def move_cursor(connection: Connection, name: str, value: str) -> None:
    _move(connection, {"name": name, "value": value})


def supersede(connection: Connection, key: str) -> None:
    """An edit came before its question was begun: only the edit is answered."""
    untouched = and_(inbox.c.reply.is_(None), inbox.c.lease.is_(None))
    connection.execute(
        update(inbox)
        .where(inbox.c.key == key, inbox.c.state == State.OPEN, untouched)
        .values(state=State.WITHDRAWN, message=None, text=None, done=now())
    )


def is_too_much(
    connection: Connection, row: int, conversation: Conversation, asker: str, limit: int
) -> bool:
    by_person = connection.execute(_ASKED_BY_PERSON, {"the_row": row, "the_asker": asker})
    in_thread = connection.execute(_ASKED_IN_THREAD, {"the_row": row, **_of(conversation)})
    return by_person.scalar_one() >= limit or in_thread.scalar_one() >= PER_THREAD * limit


def was_told(connection: Connection, asker: str) -> bool:
    recently = inbox.c.received.between(now() - MINUTE_S, now())
    told = select(inbox.c.id).where(
        inbox.c.asker == asker, recently, inbox.c.purpose == Purpose.NOTICE
    )
    return connection.execute(told).first() is not None


def job_of(connection: Connection, row: Found) -> Job | None:
    """What there is to do for a leased row; None where it is given up at once."""
    if row.claims > MOST_CLAIMS and row.reply is None:
        bury(connection, inbox.c.id == row.id)
        return None
    conversation = Conversation(row.adapter, row.workspace, row.room, row.thread)
    if row.state == State.WITHDRAWING:
        message = Message(conversation, row.message_id, "", "", EPOCH)
        withdraw = Posted(_posted_ids(connection, row.id))
        return Job(
            row.id, row.lease, row.key, Purpose(row.purpose), message, None, False, None,
            row.attempts, row.failures, withdraw=withdraw,
        )  # fmt: skip
    message = replace(message_json.validate_json(row.message), text=row.text or "")
    replaced = _replaced(connection, row.replaces) if row.replaces else ()
    state, keeps = _start(standing(connection, conversation), row.replaces if replaced else "")
    return Job(
        id=row.id,
        lease=row.lease,
        key=row.key,
        purpose=Purpose(row.purpose),
        message=message,
        state=state,
        keeps_state=keeps,
        reply=reply_json.validate_json(row.reply) if row.reply else None,
        attempt=max(1, row.attempts),
        failures=row.failures,
        replaces=replaced,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a conversation stands: `busy` while something is to do in it, and its thread's row."""

    busy: bool
    state: str | None
    before: str | None
    last: str | None


def standing(connection: Connection, conversation: Conversation) -> Standing:
    return Standing(*_stand(connection, _of(conversation))[0])


def new_job(
    connection: Connection, row: int, lease: str, message: Message, replaces: str, found: Standing
) -> Job:
    """What there is to do for a message just written and leased; `found` is from before it."""
    replaced = _replaced(connection, replaces) if replaces else ()
    state, keeps = _start(found, replaces if replaced else "")
    return Job(
        row, lease, key_of(message.conversation, message.id), Purpose.ANSWER, message, state, keeps,
        reply=None, attempt=1, failures=0, replaces=replaced,
    )  # fmt: skip


def _of(conversation: Conversation) -> dict[str, str]:
    return {f"the_{name}": value for name, value in _columns(conversation).items()}


def _start(found: Standing, edited: str) -> tuple[str | None, bool]:
    """The state to answer from and whether the new one is kept.

    The edit of the thread's last question starts where that question started; the edit of
    an older one starts afresh and leaves the thread as it is.
    """
    if found.last is None:  # a new thread
        return None, True
    if not edited:
        return found.state, True
    return (found.before, True) if found.last == edited else (None, False)


def store_answer(connection: Connection, job: Job, reply: Reply, *, anonymously: bool) -> bool:
    """Put the reply into the outbox; False where the lease is lost."""
    values = {
        "reply": reply_json.dump_json(reply).decode(),
        "outcome": reply.outcome if job.purpose is Purpose.ANSWER else None,
        "entry": reply.entry,
    }
    storing = _answer_anonymously if anonymously else _answer
    return bool(storing(connection, fence(job) | values))


def close(connection: Connection, job: Job, posted: Posted) -> bool | None:
    """The answer is out.  Whether more is to do in the conversation; None: the lease is lost.

    An answer is kept for showing it again, without whom it was shown to.
    """
    values = fence(job) | _of(job.message.conversation)
    if job.purpose is not Purpose.ANSWER:
        found = _deliver_and_forget(connection, values)
    elif job.reply and job.reply.mention:
        impersonal = replace(job.reply, mention=None, lead="")
        values["kept"] = reply_json.dump_json(impersonal).decode()
        found = _deliver_impersonally(connection, values)
    else:
        found = _deliver(connection, values)
    if not found:
        return None
    for part, name in enumerate(posted.ids):
        where = posted_key(job.message.conversation, name)
        _post(connection, {**where, "inbox": job.id, "part": part})
    return bool(found[0][0])


def keep_state(connection: Connection, job: Job, state: str | None) -> None:
    row = {
        **_columns(job.message.conversation),
        "state": state,
        "before": job.state if state is not None else None,
        "last": job.key,
    }
    (_keep_again if job.replaces else _keep)(connection, row)


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


def remember(
    connection: Connection, job: Job, event: Event, asker: str, hand_over: HandOver | None
) -> None:
    match event:
        case Rated():
            row = _last_answer(connection, job, event.entry)
            if row is not None:
                rate(connection, row, asker, event.rating, event.reason)
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
        is_in(inbox, job.message.conversation),
        inbox.c.purpose == Purpose.ANSWER,
        inbox.c.state == State.DONE,
        inbox.c.id < job.id,
        inbox.c.entry == entry if entry else inbox.c.entry.isnot(None),
    )
    return connection.execute(query.order_by(inbox.c.id.desc()).limit(1)).first()


def rate(
    connection: Connection, row: Found, asker: str, rating: Rating | None, reason: str
) -> None:
    where = {"inbox": row.id, "asker": asker}
    if rating is None:
        mine = and_(feedback.c.inbox == row.id, feedback.c.asker == asker)
        connection.execute(delete(feedback).where(mine))
        return
    values = {"rating": rating, "reason": reason, "entry": row.entry or "", "at": now()}
    put(connection, feedback, where, values)


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
    back = message_json.dump_json(replace(job.message, text="")).decode()
    item = _note(
        connection, job, Kind.HANDED_OVER, asker, event.question,
        message=back if event.callback else None,
    )  # fmt: skip
    if hand_over is None:
        return
    message = Message(hand_over.team, f"handover:{job.key}:{item}", "", "", job.message.at)
    reply = reply_json.dump_json(hand_over.reply).decode()
    row = insert_message(connection, Purpose.HANDOVER, message, asker=None, reply=reply)
    connection.execute(update(items).where(items.c.id == item).values(team=row))


def handed_over(connection: Connection, team: Conversation, posted: str) -> Found | None:
    query = (
        select(items)
        .join(posted_messages, posted_messages.c.inbox == items.c.team)
        .where(posted_as(team, posted))
    )
    return connection.execute(query).first()


def release(connection: Connection, owner: str) -> int:
    """Free the rows that `owner` has leased."""
    settle = case((inbox.c.reply.isnot(None), now() + SETTLE_S), else_=0.0)
    theirs = update(inbox).where(inbox.c.owner == owner, inbox.c.lease.isnot(None), TO_DO)
    return connection.execute(theirs.values(lease=None, leased_until=0, due=settle)).rowcount


def withdraw_answer(connection: Connection, row: int) -> None:
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


def forget_in_thread(connection: Connection, row: Found) -> None:
    """Take a deleted question out of what its thread remembers."""
    where = is_in(threads, Conversation(row.adapter, row.workspace, row.room, row.thread))
    thread = connection.execute(select(threads).where(where)).first()
    if thread is None:
        return
    before, state = thread.before, thread.state
    if thread.last in (row.key, row.replaces):
        state = before  # as if it had not been asked
    words = json.dumps(row.text or "", ensure_ascii=False)[1:-1]
    kept = [None if words and old and words in old else old for old in (state, before)]
    connection.execute(update(threads).where(where).values(state=kept[0], before=kept[1]))


def drop_items(connection: Connection, which: ColumnElement[bool]) -> int:
    """Delete open questions; those in the team's room are withdrawn there."""
    gone = connection.execute(delete(items).where(which).returning(items.c.team)).scalars().all()
    for team in gone:
        if team is not None:
            withdraw_answer(connection, team)
    return len(gone)


def bury(connection: Connection, which: ColumnElement[bool]) -> int:
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


def erase(connection: Connection, askers: Sequence[str], keep: int = 0) -> Removed:
    """Remove a person's traces.  `keep` is the open row of the request itself.

    Of a question only the fact stays that a message id was dealt with, so that the platform
    sending it again brings no second answer.
    """
    theirs = and_(inbox.c.asker.in_(askers), inbox.c.id != keep)
    removed = drop_items(connection, items.c.asker.in_(askers))
    rated = connection.execute(delete(feedback).where(feedback.c.asker.in_(askers))).rowcount
    rooms = select(inbox.c.adapter, inbox.c.workspace, inbox.c.room, inbox.c.thread).where(theirs)
    for row in connection.execute(rooms.distinct()).all():
        forget = {"state": None, "before": None}
        connection.execute(
            update(threads).where(is_in(threads, Conversation(*row))).values(**forget)
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


def purge(connection: Connection, days: int, days_handed_over: int) -> int:
    def over(days: float) -> ColumnElement[float]:
        return now() - days * DAY_S

    closed = inbox.c.state.notin_([State.OPEN, State.WITHDRAWING])
    old = update(inbox).where(closed, inbox.c.done <= over(days), inbox.c.asker.isnot(None))
    lost = connection.execute(old.values(text=None, asker=None, reply=None)).rowcount
    shown = update(inbox).where(
        closed, inbox.c.done <= over(REPLIES_KEPT_DAYS), inbox.c.reply.isnot(None)
    )
    connection.execute(shown.values(reply=None))
    kept_longer = items.c.kind != Kind.UNANSWERED
    settled = and_(items.c.answered, items.c.at <= over(WAY_BACK_KEPT_DAYS))
    connection.execute(update(items).where(settled).values(message=None))
    lost += connection.execute(
        delete(items).where(
            or_(
                and_(~kept_longer, items.c.at <= over(days)),
                and_(kept_longer, items.c.at <= over(days_handed_over)),
            )
        )
    ).rowcount
    # A thread that the bot answered in is known longer than what was said in it.
    forgotten = update(threads).where(
        threads.c.answered <= over(STATE_KEPT_DAYS),
        or_(threads.c.state.isnot(None), threads.c.before.isnot(None)),
    )
    connection.execute(forgotten.values(state=None, before=None))
    connection.execute(delete(threads).where(threads.c.answered <= over(max(days, 1))))
    return lost
