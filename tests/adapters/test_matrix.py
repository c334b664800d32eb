"""The adapter between a scripted device and a recording desk: order, retries, what survives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nio import MatrixRoom
from structlog.testing import capture_logs

import adapters.matrix
from adapters.matrix import Matrix
from adapters.matrix_device import Refused, Unreachable
from bot.chat import (
    Audience,
    Conversation,
    CredentialRefused,
    Delivery,
    DeliveryFailed,
    Feedback,
    Message,
    Outcome,
    Reply,
    StoreUnavailable,
)
from bot.config import MatrixSettings

ME, ANNA, ROOM, TEAM = "@lotse:ort.de", "@anna:ort.de", "!raum:ort.de", "!team:ort.de"
SETTINGS = MatrixSettings.model_validate(
    {"homeserver": "https://matrix.ort.de", "user": ME, "password": "geheim", "team_room": TEAM}
)


@dataclass
class Recorder:
    """Implements `bot.chat.Desk` by writing down, in order, what it is told."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    threads: set[str] = field(default_factory=set)
    full: int = 0  # how often the store says no

    async def receive(
        self, messages: Sequence[Message], *, cursor: tuple[str, str] | None = None
    ) -> None:
        if self.full:
            self.full -= 1
            raise StoreUnavailable("voll")
        self.calls += [("message", m) for m in messages]
        if cursor:
            self.cursors[cursor[0]] = cursor[1]

    async def retracted(self, conversation: Conversation, message_id: str) -> None:
        self.calls.append(("retracted", message_id))

    async def rated(self, feedback: Feedback) -> None:
        self.calls.append(("rated", feedback))

    async def joined(self, conversation: Conversation, message_id: str) -> None:
        self.calls.append(("joined", conversation.room))

    async def team_answered(self, team: Conversation, posted: str, text: str) -> bool:
        self.calls.append(("team_answered", posted, text))
        return True

    async def team_noted(self, team: Conversation, posted: str) -> bool:
        self.calls.append(("team_noted", posted))
        return True

    async def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    async def has_answered(self, conversation: Conversation) -> bool:
        return conversation.thread in self.threads

    async def is_own(self, conversation: Conversation, posted: str) -> bool:
        return posted in self.own

    async def hold(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        await work()

    async def shown(self, key: str, message: Message) -> bool:
        return False

    async def preview(self, text: str) -> Reply:
        raise NotImplementedError

    async def edition(self) -> str:
        return ""


@dataclass
class Script:
    """Stands in for `Device`: answers what it was given, then waits for ever."""

    syncs: list[Any] = field(default_factory=list)  # JSON of a sync's answer, or an exception
    events: dict[str, Any] = field(default_factory=dict)  # id -> event, or exception
    sent: list[tuple[str, str, dict[str, Any], str]] = field(default_factory=list)
    called: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)  # path -> JSON or exception
    rooms: dict[str, MatrixRoom] = field(
        default_factory=lambda: {ROOM: a_room(ROOM), TEAM: a_room(TEAM, name="Team")}
    )
    waits: list[int] = field(default_factory=list)
    fail: Exception | None = None
    user: str = ME
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> None: ...
    async def announce(self, recall: object, remember: object) -> None: ...
    async def upkeep(self, response: object) -> None: ...
    async def close(self) -> None: ...

    async def call(self, method: str, path: str, body: object = None) -> Any:
        self.called.append((method, path))
        answer = next((a for p, a in self.answers.items() if p in path), {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def snapshot(self) -> Any:
        return self._response({"next_batch": "s0", "rooms": {}})

    async def sync(self, since: str, wait_ms: int) -> Any:
        self.waits.append(wait_ms)
        if not self.syncs:
            self.done.set()
            await asyncio.Event().wait()
        answer = self.syncs.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return self._response(answer)

    def _response(self, answer: dict[str, Any]) -> Any:
        for room in answer.get("rooms", {}).get("join", {}):
            self.rooms.setdefault(room, a_room(room))
        return answer

    async def event(self, room: str, event: str) -> Any:
        found = self.events[event]
        if isinstance(found, Exception):
            raise found
        return found

    def decrypted(self, room: str, event: Any) -> Any:
        return event

    async def history(self, room: str, start: str, end: str) -> tuple[list[Any], str]:
        page: tuple[list[Any], str] = self.events[start]
        return page

    async def send(self, room: str, kind: str, content: dict[str, Any], key: str) -> str:
        if self.fail:
            raise self.fail
        self.sent.append((room, kind, content, key))
        return f"$antwort-{len(self.sent)}"

    async def redact(self, room: str, event: str, key: str) -> None:
        self.called.append(("redact", event))


def a_room(room: str, *people: str, name: str | None = None, encrypted: bool = False) -> MatrixRoom:
    made = MatrixRoom(room, ME, encrypted)
    for person in (ME, *(people or (ANNA,))):
        made.add_member(person, None, None)
    made.name = name
    return made


def event(number: int, content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "type": "m.room.message",
        "event_id": f"${number}",
        "sender": ANNA,
        "origin_server_ts": 4_000_000_000_000,
    }
    return base | {"content": content} | fields


def text(number: int, body: str = "Was ist EfA?", **content: Any) -> dict[str, Any]:
    return event(number, {"msgtype": "m.text", "body": body} | content)


def sync(token: str, *events: dict[str, Any], room: str = ROOM, **timeline: Any) -> dict[str, Any]:
    line = {"events": list(events), "limited": False, "prev_batch": "p"} | timeline
    return {"next_batch": token, "rooms": {"join": {room: {"timeline": line}}}}


def locked(number: int) -> dict[str, Any]:
    content = {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "x",
        "sender_key": "x",
        "session_id": f"sitzung-{number}",
        "device_id": "x",
    }
    return event(number, content, type="m.room.encrypted")


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    monkeypatch.setattr(adapters.matrix, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(adapters.matrix, "LONGEST_PAUSE_S", 0.002)
    return Matrix(SETTINGS, tmp_path)


async def run(matrix: Matrix, script: Script, desk: Recorder) -> None:
    """Until the script has nothing more to say; what breaks the adapter is raised."""
    adapters_device = adapters.matrix.Device
    adapters.matrix.Device = lambda *_: script  # type: ignore[assignment, misc]
    try:
        running = asyncio.create_task(matrix.run(desk))
        said = asyncio.create_task(script.done.wait())
        await asyncio.wait({running, said}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        assert said.done(), "the script was not played to its end"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        adapters.matrix.Device = adapters_device  # type: ignore[misc]


def heard(desk: Recorder) -> list[str]:
    return [m.id for kind, *rest in desk.calls if kind == "message" for m in rest]


def progress(desk: Recorder) -> Any:
    return json.loads(desk.cursors[f"matrix:{ME}"])


async def test_messages_and_token_in_one_commit(matrix: Matrix) -> None:
    desk = Recorder()
    await run(matrix, Script([sync("s1", text(1), text(2))]), desk)
    assert heard(desk) == ["$1", "$2"]
    assert progress(desk)["since"] == "s1"


async def test_full_store_is_waited_for_and_nothing_is_acknowledged(matrix: Matrix) -> None:
    desk = Recorder()
    script = Script([sync("s1", text(1)), sync("s2", text(2))])
    desk.cursors[f"matrix:{ME}"] = json.dumps({"since": "s0", "parked": [], "invitations": []})
    desk.full = 3
    await run(matrix, script, desk)
    assert heard(desk) == ["$1", "$2"]
    assert progress(desk)["since"] == "s2"


async def test_nothing_said_to_others_is_stored(matrix: Matrix) -> None:
    desk, script = Recorder(), Script([sync("s1", text(1), text(2, "lotse: x"))])
    script.rooms[ROOM] = a_room(ROOM, ANNA, "@bert:ort.de", name="Amt")
    await run(matrix, script, desk)
    assert heard(desk) == ["$2"]


async def test_effects_come_before_the_token(matrix: Matrix) -> None:
    """Once the token is stored nobody reads these events again."""
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$a", "key": "👍"}}
    desk = Recorder()
    events = [
        text(1),
        event(2, reaction, type="m.reaction"),
        event(3, {}, type="m.room.redaction", redacts="$0"),
    ]
    await run(matrix, Script([sync("s1", *events)]), desk)
    assert [call[0] for call in desk.calls] == ["rated", "retracted", "message"]


async def test_effects_are_not_repeated_when_the_store_was_full(matrix: Matrix) -> None:
    desk = Recorder(own={"$handed"})
    desk.cursors[f"matrix:{ME}"] = json.dumps({"since": "s0", "parked": [], "invitations": []})
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": "$handed"}}}
    script = Script([sync("s1", text(1, "Die Antwort", **reply), room=TEAM)])
    original = desk.team_answered

    async def then_full(*arguments: Any) -> bool:
        desk.full = 2
        return await original(*arguments)

    desk.team_answered = then_full  # type: ignore[method-assign]
    await run(matrix, script, desk)
    assert desk.calls == [("team_answered", "$handed", "Die Antwort")]
    assert progress(desk)["since"] == "s1"


async def test_question_redacted_in_the_same_sync_is_not_asked(matrix: Matrix) -> None:
    desk = Recorder()
    gone = event(2, {}, type="m.room.redaction", redacts="$1")
    await run(matrix, Script([sync("s1", text(1), gone)]), desk)
    assert heard(desk) == []


async def test_gap_is_paged_in_order(matrix: Matrix) -> None:
    desk, script = Recorder(), Script([sync("s1", text(5), limited=True, prev_batch="p1")])
    script.events = {"p1": ([text(4), text(3)], "p2"), "p2": ([text(2)], "")}
    await run(matrix, script, desk)
    assert heard(desk) == ["$2", "$3", "$4", "$5"]


async def test_key_that_comes_late_is_waited_for(matrix: Matrix) -> None:
    desk = Recorder()
    script = Script([sync("s1", locked(1)), sync("s2"), sync("s3")])
    script.events["$1"] = text(1)
    await run(matrix, script, desk)
    assert heard(desk) == ["$1"]
    assert script.sent == []
    assert progress(desk)["parked"] == []
    assert script.waits[1] < script.waits[-1], "with something parked it looks more often"


async def test_parked_events_survive_a_crash(matrix: Matrix, tmp_path: Path) -> None:
    desk, script = Recorder(), Script([sync("s1", locked(1))])
    script.events["$1"] = locked(1)
    await run(matrix, script, desk)
    assert [p["event"] for p in progress(desk)["parked"]] == ["$1"]

    script = Script([sync("s2")])
    script.events["$1"] = text(1)
    await run(Matrix(SETTINGS, tmp_path), script, desk)
    assert heard(desk) == ["$1"]


async def test_outage_is_ridden_out_and_said_once(matrix: Matrix) -> None:
    desk = Recorder()
    later = Refused(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1})
    away = [Unreachable("HTTP 502"), Unreachable("HTTP 502"), later]
    with capture_logs() as logs:
        await run(matrix, Script([*away, sync("s1", text(1))]), desk)
    assert heard(desk) == ["$1"]
    assert [line["event"] for line in logs] == ["homeserver_away", "homeserver_answers"]


async def test_void_token_ends_it_with_a_german_message(matrix: Matrix) -> None:
    void = Refused(401, {"errcode": "M_UNKNOWN_TOKEN"})
    with pytest.raises(CredentialRefused, match="LOTSE_MATRIX_PASSWORD"):
        await run(matrix, Script([void]), Recorder())


async def test_opens_threads_where_wanted(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"open_threads": True})
    desk, script = Recorder(), Script([sync("s1", text(1, "lotse: x"), text(2, "lotse: y"))])
    script.rooms[ROOM] = a_room(ROOM, ANNA, "@bert:ort.de", name="Amt")
    await run(Matrix(settings, tmp_path), script, desk)
    assert [m.conversation.thread for _, m in desk.calls] == ["$1", "$2"]


async def test_new_conversation_of_two_is_greeted(matrix: Matrix) -> None:
    desk, script = Recorder(), Script([sync("s1", room="!neu:ort.de"), sync("s2", room=ROOM)])
    await run(matrix, script, desk)
    assert desk.calls == [("joined", "!neu:ort.de")]


async def test_foreign_people_make_a_room_public(matrix: Matrix) -> None:
    desk, script = Recorder(), Script([sync("s1", text(1))])
    script.rooms[ROOM] = a_room(ROOM, "@gast:fremd.de")
    await run(matrix, script, desk)
    assert desk.calls[0][1].audience is Audience.PUBLIC


def delivery(**fields: Any) -> Delivery:
    message = Message(
        Conversation("matrix", ME, ROOM),
        "$frage",
        ANNA,
        "",
        adapters.matrix.datetime.now(adapters.matrix.UTC),
        context=fields.pop("context", {}),
    )
    return Delivery("schluessel", message, Reply(Outcome.ANSWER, "Ja."), **fields)


@pytest.fixture
def serving(matrix: Matrix) -> tuple[Matrix, Script]:
    script = Script()
    matrix._device = script  # type: ignore[assignment]
    matrix._connected = True
    return matrix, script


async def test_delivers_under_the_key(serving: tuple[Matrix, Script]) -> None:
    matrix, script = serving
    posted = await matrix.deliver(delivery())
    assert posted.ids == ("$antwort-1",)
    assert [(room, key) for room, _, _, key in script.sent] == [(ROOM, "schluessel")]


async def test_repeat_finds_what_another_device_posted(serving: tuple[Matrix, Script]) -> None:
    matrix, script = serving
    relation = {"m.relates_to": {"de.ozg-lotse.key": "schluessel"}}
    others = [
        event(1, relation, sender=ANNA),  # anybody may write the key
        event(2, {"m.relates_to": {"de.ozg-lotse.key": "anderer"}}, sender=ME),
    ]
    mine = event(3, relation, sender=ME, type="m.room.encrypted")
    script.answers = {"/context/": {"end": "e"}, "/messages": {"chunk": [*others, mine]}}
    assert (await matrix.deliver(delivery(attempt=2))).ids == ("$3",)
    assert script.sent == []

    script.answers["/messages"] = {"chunk": others}
    assert (await matrix.deliver(delivery(attempt=2))).ids == ("$antwort-1",)


@pytest.mark.parametrize(
    ("error", "permanent", "unsent", "wait_s"),
    [
        (Unreachable("HTTP 502"), False, False, 0),
        (Refused(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 2500}), False, True, 2.5),
        (Refused(403, {"errcode": "M_FORBIDDEN"}), True, False, 0),
        (Refused(413, {"errcode": "M_TOO_LARGE"}), True, False, 0),
        (Refused(400, {"errcode": "M_UNKNOWN"}), False, False, 0),
    ],
)
async def test_how_deliveries_fail(
    serving: tuple[Matrix, Script], error: Exception, permanent: bool, unsent: bool, wait_s: float
) -> None:
    matrix, script = serving
    script.fail = error
    with pytest.raises(DeliveryFailed) as failed:
        await matrix.deliver(delivery())
    assert (failed.value.permanent, failed.value.unsent) == (permanent, unsent)
    assert failed.value.retry_after_s == wait_s


async def test_no_plain_text_for_an_encrypted_question(serving: tuple[Matrix, Script]) -> None:
    matrix, script = serving
    with pytest.raises(DeliveryFailed) as failed:
        await matrix.deliver(delivery(context={"encrypted": "yes"}))
    assert failed.value.unsent
    assert script.sent == []
    script.rooms[ROOM] = a_room(ROOM, encrypted=True)
    assert (await matrix.deliver(delivery(context={"encrypted": "yes"}))).ids


async def test_delivers_nothing_while_it_does_not_serve(serving: tuple[Matrix, Script]) -> None:
    matrix, script = serving
    matrix._connected = False
    with pytest.raises(DeliveryFailed):
        await matrix.deliver(delivery())
    assert script.sent == []
