"""The tables of the journal and the numbered steps that bring an older store to this form.

Questions are kept as long as they are needed and no longer: each column says until when.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

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
    String,
    Table,
    Text,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)

from bot.chat import StoreUnavailable

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


def is_to_do(state: ColumnElement[str]) -> ColumnElement[bool]:
    """Spelt out in the statement, not bound: only so is the partial index below used."""
    return state.in_([literal_column(f"'{s}'") for s in (State.OPEN, State.WITHDRAWING)])


TO_DO = is_to_do(inbox.c.state)
Index("inbox_next", inbox.c.id, sqlite_where=TO_DO, postgresql_where=TO_DO)
Index(
    "inbox_to_do",
    *(inbox.c[n] for n in ("adapter", "workspace", "room", "thread", "id")),
    sqlite_where=TO_DO,
    postgresql_where=TO_DO,
)
Index("inbox_asker", inbox.c.asker, inbox.c.received)
Index("inbox_room", inbox.c.room, inbox.c.thread, inbox.c.received)
for _name, _kept in (("asker", inbox.c.asker), ("reply", inbox.c.reply)):
    Index(
        f"inbox_kept_{_name}",  # what purging looks for
        inbox.c.done,
        sqlite_where=_kept.isnot(None),
        postgresql_where=_kept.isnot(None),
    )
Index(
    "inbox_edits",
    inbox.c.replaces,
    sqlite_where=inbox.c.replaces != "",
    postgresql_where=inbox.c.replaces != "",
)

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

# --- versions -------------------------------------------------------------------

MIGRATIONS: tuple[Callable[[Connection], None], ...] = ()
"""Step n brings a store of version n to n + 1; a new store is made in its last form at once."""

LOCK = 0x4C4F545345  # PostgreSQL's advisory lock, so that two processes do not both migrate


def migrate(connection: Connection) -> None:
    """Make the tables or bring them to this program's form.  Refuses a newer store."""
    if connection.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE is the lock
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
