"""Matrix: what is said to the bot goes to the desk, its replies come back as notices.

Events and the sync token are journalled in one commit, answers carry a transaction id made
from the question: nothing is lost, nothing is said twice.  What an event says stands in
`matrix_events`, how a reply looks in `matrix_render`, the device and its keys in
`matrix_device`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

import structlog
from nio import MatrixRoom

from adapters.matrix_device import SYNC_TIMEOUT_MS, Device, Json, Refused, Unreachable
from adapters.matrix_doctor import examine
from adapters.matrix_events import (
    Invitation,
    Me,
    Reacted,
    Redacted,
    Said,
    invitation,
    may_invite,
    read,
    relation,
    server_of,
    tombstone,
)
from adapters.matrix_folder import Folder
from adapters.matrix_render import AWAY, KEY, UNDECRYPTABLE, notice, render, transaction
from bot.chat import (
    Audience,
    Conversation,
    CredentialRefused,
    Delivery,
    DeliveryFailed,
    Desk,
    Feedback,
    Finding,
    Message,
    Posted,
    StoreUnavailable,
)
from bot.config import MatrixSettings

log = structlog.get_logger("lotse.matrix")

T = TypeVar("T")
P = ParamSpec("P")

PARK_S = 60  # how long a room key may take to arrive after its message
UPGRADE_S = 120  # a server announces a room's replacement before it lets people in
WAITING_MS = 5_000  # how long a sync may take while something of that is open
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
IDLE_COMMIT_S = 60  # how often the sync token is stored while nobody says anything
MAX_GAP_PAGES = 50  # of 100 events each, a room
MAX_REPEAT_PAGES = 5
MAX_ROOMS = 1_000
MAX_REACTIONS = 1_000

_GONE = {"M_FORBIDDEN", "M_NOT_FOUND", "M_TOO_LARGE", "M_BAD_JSON", "M_UNSUPPORTED_ROOM_VERSION"}
_TOKEN_IS_VOID = {"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED"}
_REFUSED = (
    "Matrix: Der Homeserver erkennt die Anmeldung des Bots nicht mehr an ({code}). Bitte prüfen, "
    "ob das Konto gesperrt oder das Gerät abgemeldet wurde; danach mit gültigem "
    "LOTSE_MATRIX_PASSWORD oder LOTSE_MATRIX_ACCESS_TOKEN neu starten."
)


@dataclass(frozen=True, slots=True)
class Parked:
    """An event without a key yet; `until` is in seconds since the epoch."""

    room: str
    event: str
    until: float


@dataclass(slots=True)
class Progress:
    """Where we are: stored in the same commit as the messages read so far."""

    since: str
    parked: list[Parked] = field(default_factory=list)
    invitations: list[Invitation] = field(default_factory=list)

    @classmethod
    def from_json(cls, text: str) -> Progress:
        data = json.loads(text)
        return cls(
            data["since"],
            [Parked(**p) for p in data["parked"]],
            [Invitation(**i) for i in data["invitations"]],
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(slots=True)
class Batch:
    """What one answer of the homeserver brought, before it is handed to the desk."""

    messages: list[Message] = field(default_factory=list)
    effects: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    too_old: dict[str, Message] = field(default_factory=dict)  # the newest of each room
    new_direct: list[str] = field(default_factory=list)
    invitations: list[Invitation] = field(default_factory=list)

    @property
    def counts(self) -> bool:
        """Whether anything must survive a crash."""
        return bool(self.messages or self.effects or self.parked or self.invitations)


class Matrix:
    """The adapter of one bot account (implements `bot.chat.Adapter`)."""

    name = "matrix"

    def __init__(self, settings: MatrixSettings, data_dir: Path) -> None:
        self._settings = settings
        self._folder = Folder(data_dir, settings.user)
        self._device = Device(settings, self._folder)
        self._me = Me(settings.user)
        self._connected = False
        self._direct: dict[str, list[str]] = {}  # m.direct: rooms by person
        self._reactions: OrderedDict[str, Feedback] = OrderedDict()
        self._undecryptable: set[tuple[str, str]] = set()  # (room, session) already told
        self._told_away: set[str] = set()  # rooms
        self.workspace = settings.user if ":" in settings.user else ""
        self.team = self._conversation(settings.team_room) if settings.team_room else None

    # --- the adapter's contract -----------------------------------------------------

    def connected(self) -> bool:
        return self._connected

    async def run(self, desk: Desk) -> None:
        async with self._folder.locked():
            self._device = Device(self._settings, self._folder)  # afresh, also when run again
            try:
                await self._retrying(self._open)
                name = f"matrix:{self._me.user}"
                # Announced before waiting: a standby must be sent the keys of today's questions.
                await desk.hold(f"{name}:keys", lambda: self._announce(desk, f"{name}:keys"))
                await desk.hold(name, lambda: self._serve(desk, name))
            finally:
                self._connected = False
                await self._device.close()

    async def deliver(self, delivery: Delivery) -> Posted:
        room = delivery.message.conversation.room
        self._refuse_if_unsafe(delivery.message)
        try:
            if delivery.attempt > 1 and (earlier := await self._posted_earlier(delivery)):
                return Posted((earlier,))
            content = render(delivery)
            return Posted((await self._device.send(room, "m.room.message", content, delivery.key),))
        except (Unreachable, Refused) as error:
            raise _failed(error) from None

    async def withdraw(self, conversation: Conversation, posted: Posted) -> None:
        try:
            for event in posted.ids:
                await self._device.redact(conversation.room, event, transaction("withdraw", event))
        except (Unreachable, Refused) as error:
            raise _failed(error) from None

    async def examine(self) -> Sequence[Finding]:
        try:
            return await examine(self._settings, self._folder, self._device)
        finally:
            await self._device.close()

    # --- starting -------------------------------------------------------------------

    async def _open(self) -> None:
        await self._device.open()
        user = self._device.user
        try:
            profile = await self._device.call("GET", f"/profile/{quote(user)}/displayname")
        except Refused:
            profile = {}  # some servers answer 404 where no name was ever set
        name = str(profile.get("displayname") or "")
        self._me = Me(user, name, frozenset(self._settings.ignore))
        self.workspace = user
        if self._settings.team_room:
            self.team = self._conversation(await self._room_id(self._settings.team_room))

    async def _room_id(self, room: str) -> str:
        if not room.startswith("#"):
            return room
        try:
            return str(
                (await self._device.call("GET", f"/directory/room/{quote(room)}"))["room_id"]
            )
        except Refused:
            log.error("team_room_unknown", setting="LOTSE_MATRIX_TEAM_ROOM")
            return room

    async def _announce(self, desk: Desk, cursor: str) -> None:
        async def remember(sealed: str) -> None:
            await desk.receive([], cursor=(cursor, sealed))

        await self._retrying(self._device.announce, lambda: desk.cursor(cursor), remember)

    # --- the sync loop --------------------------------------------------------------

    async def _serve(self, desk: Desk, name: str) -> None:
        """Read and hand over until cancelled; the only process of the account that does."""
        try:
            now = await self._retrying(self._device.snapshot)
            self._take_direct_rooms(now)
            progress = await self._progress(desk, name, now)
            self._connected = True
            stored = time.monotonic()
            while True:
                open_ends = progress.parked or progress.invitations
                wait_ms = WAITING_MS if open_ends else SYNC_TIMEOUT_MS
                known = frozenset(self._device.rooms)
                answer = await self._retrying(self._device.sync, progress.since, wait_ms)
                self._take_direct_rooms(answer)
                batch = await self._until_stored(self._read, desk, answer, progress, known)
                progress = self._after(progress, answer["next_batch"], batch)
                if batch.counts or time.monotonic() - stored > IDLE_COMMIT_S:
                    cursor = (name, progress.to_json())
                    await self._until_stored(self._hand_over, desk, batch, cursor)
                    stored = time.monotonic()
                await self._follow_up(desk, batch, progress, answer)
        finally:
            self._connected = False

    async def _progress(self, desk: Desk, name: str, now: Json) -> Progress:
        """Where the last run stopped; at the very first start here and now, nothing answered."""
        text = await self._until_stored(desk.cursor, name)
        progress = Progress.from_json(text) if text else Progress(now["next_batch"])
        waiting = self._invited(now)
        known = {i.room for i in waiting}
        progress.invitations = [i for i in progress.invitations if i.room not in known] + waiting
        await self._until_stored(desk.receive, [], cursor=(name, progress.to_json()))
        await self._answer_invitations(progress)
        return progress

    @staticmethod
    def _after(progress: Progress, since: str, batch: Batch) -> Progress:
        return Progress(since, batch.parked, [*progress.invitations, *batch.invitations])

    async def _hand_over(self, desk: Desk, batch: Batch, cursor: tuple[str, str]) -> None:
        """Effects first: once the token is stored, nobody will read these events again."""
        while batch.effects:
            await batch.effects[0]()
            batch.effects.pop(0)
        await desk.receive(batch.messages, cursor=cursor)

    async def _follow_up(self, desk: Desk, batch: Batch, progress: Progress, answer: Json) -> None:
        """What may fail without a question being lost."""
        await self._answer_invitations(progress)
        for room in batch.new_direct:
            await self._until_stored(desk.joined, self._conversation(room), f"joined:{room}")
        for room, message in batch.too_old.items():
            if room in self._told_away:
                continue
            self._told_away.add(room)
            text = AWAY.format(hours=self._settings.max_age_hours)
            await self._notice(room, text, message, transaction("away", message.id))
        with suppress(Unreachable, Refused):
            await self._device.upkeep(answer)

    # --- reading --------------------------------------------------------------------

    async def _read(
        self, desk: Desk, answer: Json, progress: Progress, known: frozenset[str]
    ) -> Batch:
        batch = Batch()
        batch.invitations = self._invited(answer)
        for room, info in answer.get("rooms", {}).get("join", {}).items():
            events = await self._events(room, info, progress.since)
            gone = {f.id for e in events if isinstance(f := read(e, self._me), Redacted)}
            for event in events:
                if event.get("event_id") not in gone:
                    await self._take(desk, room, event, batch)
            if room not in known and self._is_direct(room):
                batch.new_direct.append(room)
        await self._unpark(desk, progress.parked, batch)
        return batch

    async def _events(self, room: str, info: Json, since: str) -> list[Json]:
        """All events of a room after `since`, oldest first: the timeline and what it left out."""
        timeline = info.get("timeline", {})
        events: list[Json] = timeline.get("events", [])
        start = timeline.get("prev_batch", "") if timeline.get("limited") else ""
        oldest = datetime.now(UTC) - timedelta(hours=2 * self._settings.max_age_hours)
        for _ in range(MAX_GAP_PAGES):
            if not start:
                return events
            page, start = await self._retrying(self._device.history, room, start, since)
            events = [self._device.decrypted(room, e) for e in reversed(page)] + events
            if page and page[-1].get("origin_server_ts", 0) < oldest.timestamp() * 1000:
                return events
        log.warning("gap_too_long", pages=MAX_GAP_PAGES)
        return events

    async def _take(self, desk: Desk, room: str, event: Json, batch: Batch) -> None:
        """One event: a message, an effect on an earlier one, or nothing to us."""
        if stone := tombstone(event):
            until = time.time() + UPGRADE_S
            batch.invitations.append(
                Invitation(stone.replacement, stone.sender, self._is_direct(room), until)
            )
        elif self._is_locked(event):
            until = time.time() + PARK_S
            batch.parked.append(Parked(room, str(event["event_id"]), until))
        else:
            match read(event, self._me):
                case Said() as said:
                    await self._hear(desk, room, said, batch)
                case Reacted() as reacted:
                    self._react(desk, room, reacted, batch)
                case Redacted(target):
                    self._forget(desk, room, target, batch)

    def _is_locked(self, event: Json) -> bool:
        """An encrypted event that found no key, of somebody whom we would answer."""
        return (
            event.get("type") == "m.room.encrypted"
            and event.get("sender") not in {self._me.user, *self._me.ignore}
            and "redacted_because" not in (event.get("unsigned") or {})
        )

    async def _hear(self, desk: Desk, room: str, said: Said, batch: Batch) -> None:
        if self.team and room == self.team.room and await self._is_for_asker(desk, said, batch):
            return
        message = await (self._edited if said.replaces else self._asked)(desk, room, said)
        if message is None:
            return
        if datetime.now(UTC) - message.at > timedelta(hours=self._settings.max_age_hours):
            batch.too_old[room] = message
        else:
            batch.messages.append(message)

    async def _asked(self, desk: Desk, room: str, said: Said) -> Message | None:
        if not await self._is_meant(desk, room, said):
            return None
        opens_thread = self._settings.open_threads and not said.thread and not self._is_direct(room)
        return self._message(room, said, said.id if opens_thread else said.thread)

    async def _edited(self, desk: Desk, room: str, said: Said) -> Message | None:
        """An edit names no thread and need not repeat the mention: the original does."""
        with suppress(Refused):
            original = await self._retrying(self._device.event, room, said.replaces)
            before = read(original, self._me)
            if not isinstance(before, Said) or before.sender != said.sender:
                return None
            if said.mentioned or await self._is_meant(desk, room, before):
                message = await self._asked(desk, room, before)
                thread = message.conversation.thread if message else before.thread
                return self._message(room, said, thread)
        return None

    async def _is_meant(self, desk: Desk, room: str, said: Said) -> bool:
        """Mentioned, in a conversation of two, a reply to us, or in a thread we answer in."""
        if self._is_direct(room) or said.mentioned:
            return True
        place = self._conversation(room, said.thread)
        if said.reply_to and await desk.is_own(place, said.reply_to):
            return True
        return bool(said.thread) and await desk.has_answered(place)

    async def _is_for_asker(self, desk: Desk, said: Said, batch: Batch) -> bool:
        """Whether the team answers a question that was handed over; then it goes back."""
        team, question = self.team, said.reply_to or said.thread
        if team is None or not question or not await desk.is_own(team, question):
            return False
        if not said.replaces and said.text:
            batch.effects.append(lambda: desk.team_answered(team, question, said.text))
        return True

    def _react(self, desk: Desk, room: str, reacted: Reacted, batch: Batch) -> None:
        if reacted.noted:
            if (team := self.team) and room == team.room:
                batch.effects.append(lambda: desk.team_noted(team, reacted.target))
            return
        feedback = Feedback(
            self._conversation(room), reacted.target, reacted.sender, reacted.rating
        )
        self._reactions[reacted.id] = feedback
        if len(self._reactions) > MAX_REACTIONS:
            self._reactions.popitem(last=False)
        batch.effects.append(lambda: desk.rated(feedback))

    def _forget(self, desk: Desk, room: str, target: str, batch: Batch) -> None:
        if given := self._reactions.pop(target, None):
            taken_back = Feedback(given.conversation, given.posted, given.asker, None)
            batch.effects.append(lambda: desk.rated(taken_back))
        else:
            batch.effects.append(lambda: desk.retracted(self._conversation(room), target))

    def _message(self, room: str, said: Said, thread: str) -> Message:
        known = self._device.rooms.get(room)
        context = {"encrypted": "yes"} if known is not None and known.encrypted else {}
        if said.replaces:
            context["original"] = said.replaces
        return Message(
            conversation=self._conversation(room, thread),
            id=said.id,
            asker=said.sender,
            text=said.text,
            at=said.at,
            direct=self._is_direct(room),
            audience=self._audience(known),
            people=said.people,
            replaces=said.replaces,
            context=context,
        )

    def _audience(self, room: MatrixRoom | None) -> Audience:
        """People of other servers read along: nothing internal there."""
        users: Iterable[str] = room.users if room is not None else ()
        foreign = any(server_of(u) != self._me.server for u in users)
        return Audience.PUBLIC if foreign else Audience.INTERNAL

    # --- events without a key -------------------------------------------------------

    async def _unpark(self, desk: Desk, parked: list[Parked], batch: Batch) -> None:
        """Read what has its key by now, keep what may get it yet, tell where none came."""
        for waiting in parked:
            with suppress(Refused):
                event = await self._retrying(self._device.event, waiting.room, waiting.event)
                if not self._is_locked(event):
                    await self._take(desk, waiting.room, event, batch)
                elif time.time() < waiting.until:
                    batch.parked.append(waiting)
                else:
                    await self._tell_undecryptable(desk, waiting.room, event)

    async def _tell_undecryptable(self, desk: Desk, room: str, event: Json) -> None:
        """Once a session, and only where the sender surely spoke to us."""
        content: Mapping[str, Any] = event.get("content") or {}
        session = str(content.get("session_id", ""))
        thread, reply_to, _ = relation(content)
        said = Said(
            id=str(event["event_id"]),
            sender=str(event["sender"]),
            text="",
            at=datetime.now(UTC),
            mentioned=False,
            thread=thread,
            reply_to=reply_to,
        )
        log.warning("event_undecryptable")
        if (room, session) in self._undecryptable or not await self._is_meant(desk, room, said):
            return
        self._undecryptable.add((room, session))
        key = transaction("undecryptable", room, session)
        await self._notice(room, UNDECRYPTABLE, self._message(room, said, thread), key)

    async def _notice(self, room: str, text: str, message: Message, key: str) -> None:
        """Say something of our own; not worth a second try."""
        try:
            await self._device.send(room, "m.room.message", notice(text, message), key)
        except (Unreachable, Refused) as error:
            log.warning("notice_not_posted", reason=str(error))

    # --- rooms ----------------------------------------------------------------------

    def _invited(self, answer: Json) -> list[Invitation]:
        invites = answer.get("rooms", {}).get("invite", {})
        return [
            invitation(room, info.get("invite_state", {}).get("events", []), self._me)
            for room, info in invites.items()
        ]

    async def _answer_invitations(self, progress: Progress) -> None:
        """Accept or refuse; what the homeserver cannot do now stays for the next round."""
        for invited in dict.fromkeys(progress.invitations):
            try:
                await self._answer_invitation(invited)
            except Unreachable:
                continue
            except Refused as error:
                if error.retry_after_s or time.time() < invited.until:
                    continue
                log.warning("invitation_unanswered", reason=str(error))
            progress.invitations = [i for i in progress.invitations if i != invited]

    async def _answer_invitation(self, invited: Invitation) -> None:
        room, inviter = invited.room, invited.inviter
        if room in self._device.rooms:
            if invited.direct:
                await self._mark_direct(inviter, room)
            return
        allowed = may_invite(self._settings.invite_allow, self._me, inviter, room)
        if not allowed or len(self._device.rooms) >= MAX_ROOMS:
            log.info("invitation_refused")
            await self._device.call("POST", f"/rooms/{quote(room)}/leave", {})
            return
        via = quote(server_of(inviter))
        await self._device.call("POST", f"/join/{quote(room)}?server_name={via}&via={via}", {})
        if invited.direct:
            await self._mark_direct(inviter, room)

    async def _mark_direct(self, person: str, room: str) -> None:
        if room in self._direct.get(person, []):
            return
        self._direct.setdefault(person, []).append(room)
        path = f"/user/{quote(self._me.user)}/account_data/m.direct"
        await self._device.call("PUT", path, self._direct)

    def _take_direct_rooms(self, answer: Json) -> None:
        for event in answer.get("account_data", {}).get("events", []):
            if event.get("type") == "m.direct":
                rooms = event.get("content", {})
                self._direct = {u: r for u, r in rooms.items() if isinstance(r, list)}

    def _is_direct(self, room: str) -> bool:
        """A conversation of two; a third person makes it a room like any other."""
        known = self._device.rooms.get(room)
        if known is None:
            return False
        others = known.users.keys() - known.invited_users.keys() - {self._me.user}
        marked = any(room in rooms for rooms in self._direct.values())
        return len(others) <= 1 and (marked or not (known.name or known.canonical_alias))

    def _conversation(self, room: str, thread: str = "") -> Conversation:
        return Conversation(self.name, self.workspace, room, thread)

    # --- delivering -----------------------------------------------------------------

    def _refuse_if_unsafe(self, message: Message) -> None:
        """Not before the rooms are known, and never plain text into an encrypted room."""
        if not self._connected:
            raise DeliveryFailed("not connected", retry_after_s=FIRST_PAUSE_S, unsent=True)
        known = self._device.rooms.get(message.conversation.room)
        if known is not None and message.context.get("encrypted") and not known.encrypted:
            raise DeliveryFailed("encryption unknown", retry_after_s=FIRST_PAUSE_S, unsent=True)

    async def _posted_earlier(self, delivery: Delivery) -> str:
        """The event of an earlier try, also of another device, whose transactions the server
        does not tell from ours; "" where there is none."""
        message = delivery.message
        if not message.id.startswith("$") or delivery.replaces:
            return ""
        room, question = quote(message.conversation.room), quote(message.id)
        around = await self._device.call("GET", f"/rooms/{room}/context/{question}?limit=0")
        start = str(around.get("end") or "")
        for _ in range(MAX_REPEAT_PAGES):
            if not start:
                break
            query = f"dir=f&limit=100&from={quote(start)}"
            page = await self._device.call("GET", f"/rooms/{room}/messages?{query}")
            for event in page.get("chunk", []):
                relates = (event.get("content") or {}).get("m.relates_to") or {}
                if event.get("sender") == self._me.user and relates.get(KEY) == delivery.key:
                    return str(event["event_id"])
            start = str(page.get("end") or "")
        return ""

    # --- trying again ---------------------------------------------------------------

    async def _retrying(
        self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `work` until the homeserver lets us; one line for the outage, one for its end."""
        pause = FIRST_PAUSE_S
        was_connected, failed = self._connected, False
        while True:
            try:
                result = await work(*args, **kwargs)
            except Unreachable as error:
                least = 0.0
                why = str(error)
            except Refused as error:
                if error.code in _TOKEN_IS_VOID:
                    raise CredentialRefused(_REFUSED.format(code=error.code)) from None
                if not error.retry_after_s:
                    raise
                least, why = error.retry_after_s, error.code
            else:
                if failed:
                    log.info("homeserver_answers")
                self._connected = was_connected
                return result
            if not failed:
                log.warning("homeserver_away", reason=why)
            failed, self._connected = True, False
            await asyncio.sleep(max(least, pause * random.uniform(0.5, 1)))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _until_stored(
        self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `work` until the journal lets us: nothing is acknowledged before."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                return await work(*args, **kwargs)
            except StoreUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)


def _failed(error: Unreachable | Refused) -> DeliveryFailed | CredentialRefused:
    if isinstance(error, Unreachable):
        return DeliveryFailed(str(error))
    if error.code in _TOKEN_IS_VOID:
        return CredentialRefused(_REFUSED.format(code=error.code))
    later = error.retry_after_s
    gone = error.code in _GONE
    return DeliveryFailed(str(error), retry_after_s=later, permanent=gone, unsent=later > 0)
