"""Stops, gaps, outages, invitations, upgrades: every question once, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from adapters.matrix import Matrix
from bot.config import MatrixSettings
from tests.integration.matrix.asker import Asker, answers
from tests.integration.matrix.bot import Bot, direct, group, own
from tests.integration.matrix.homeserver import Homeserver, free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "Was ist EfA?"
ANSWER = "Einer für Alle"
OUTAGE_S = 15


def exactly_once(asker: Asker, asked: list[tuple[str, str]]) -> None:
    counts = {question: len(asker.answers(room, question)) for room, question in asked}
    assert set(counts.values()) == {1}, counts


async def test_first_start_answers_nothing_old_but_accepts(
    homeserver: Homeserver, anna: Asker, tmp_path: Path
) -> None:
    homeserver.register("lotse-neu")
    bot = Bot(homeserver.url, tmp_path, "lotse-neu")
    known, invited = await anna.room(bot.user, direct=True), await anna.room(bot.user, direct=True)
    token = homeserver.login(bot.name)
    homeserver.request("POST", f"/_matrix/client/v3/join/{quote(known)}", {}, token)
    old = await anna.say(known, QUESTION)
    await bot.start()
    await anna.joined(invited, bot.user)
    await anna.answer(known, await anna.say(known, QUESTION))
    assert anna.answers(known, old) == []
    await bot.stop()


async def test_twelve_questions_during_a_stop(
    homeserver: Homeserver, anna: Asker, tmp_path: Path
) -> None:
    bot = await own(homeserver, tmp_path, "lotse-pause")
    rooms = [
        await direct(anna, bot),
        await direct(anna, bot, encrypted=True),
        await group(anna, bot),
    ]
    for room in rooms:
        await anna.answer(room, await anna.say(room, f"{bot.user} {QUESTION}"))
    await bot.stop()
    asked = [
        (room, await anna.say(room, f"{bot.user} {QUESTION}")) for _ in range(4) for room in rooms
    ]
    await bot.start()
    for room, question in asked:
        await anna.answer(room, question)
    await bot.stop()
    await bot.start()  # a second start must not answer again
    for room in rooms:
        await anna.answer(room, await anna.say(room, f"{bot.user} {QUESTION}"))
    exactly_once(anna, asked)
    await bot.stop()


@pytest.mark.parametrize(("encrypted", "missed"), [(False, 200), (True, 120)])
async def test_gap_with_two_mentions(
    homeserver: Homeserver, anna: Asker, tmp_path: Path, encrypted: bool, missed: int
) -> None:
    """More than a sync's answer holds: the rest is paged."""
    bot = await own(homeserver, tmp_path, f"lotse-luecke-{missed}")
    room = await group(anna, bot, encrypted=encrypted)
    await anna.answer(room, await anna.say(room, f"{bot.user} {QUESTION}"))
    await bot.stop()
    asked = []
    for number in range(missed):
        text = f"{bot.user} {QUESTION}" if number in (10, missed // 2) else f"Nachricht {number}"
        event = await anna.say(room, text)
        if text.startswith(bot.user):
            asked.append((room, event))
    await bot.start()
    for _, question in asked:
        await anna.answer(room, question)
    exactly_once(anna, asked)
    await bot.stop()


async def test_questions_older_than_the_limit_get_one_notice(
    homeserver: Homeserver, anna: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = await own(homeserver, tmp_path, "lotse-alt")
    room, other = await direct(anna, bot), await direct(anna, bot)
    await anna.answer(room, await anna.say(room, QUESTION))
    await bot.stop()
    old = [await anna.say(room, QUESTION) for _ in range(2)]
    bot.settings["max_age_hours"] = 1
    later = _clock_ahead(monkeypatch, hours=2)
    await bot.start()
    notice = await anna.event(lambda e: answers(e) in old)
    assert "1 Stunden" in notice["content"]["body"]
    await anna.answer(other, await anna.say(other, QUESTION))  # by then both were read
    later.undo()
    assert ANSWER in (await anna.answer(room, await anna.say(room, QUESTION)))["content"]["body"]
    assert sum(len(anna.answers(room, question)) for question in old) == 1
    await bot.stop()


def _clock_ahead(monkeypatch: pytest.MonkeyPatch, *, hours: int) -> pytest.MonkeyPatch:
    """The adapter's clock; the homeserver's stays."""
    import adapters.matrix as module

    class Ahead(module.datetime):  # type: ignore[name-defined, misc]
        @classmethod
        def now(cls, tz: object = None) -> object:
            return super().now(tz) + module.timedelta(hours=hours)

    monkeypatch.setattr(module, "datetime", Ahead)
    return monkeypatch


@asynccontextmanager
async def broken_gateway(port: int, token: str) -> AsyncIterator[list[float]]:
    """What stands in for the homeserver while it is down; the times of the bot's requests."""
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if token.encode() in head:
            times.append(loop.time())
        writer.write(
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    yield times
    server.close()
    await server.wait_closed()


async def test_homeserver_down(homeserver: Homeserver, anna: Asker, bot: Bot) -> None:
    room = await direct(anna, bot)
    await anna.answer(room, await anna.say(room, QUESTION))
    token = bot.adapter._device.client.access_token
    homeserver.stop()
    async with broken_gateway(homeserver.port, token) as times:
        await asyncio.sleep(OUTAGE_S)
        assert not bot.adapter.connected()
    assert 2 <= len(times) <= 8, f"{len(times)} requests in {OUTAGE_S} s"
    homeserver.start()
    question = await anna.say(room, QUESTION)
    await anna.answer(room, question, within_s=40)
    exactly_once(anna, [(room, question)])


async def test_invitations_are_checked(
    homeserver: Homeserver, anna: Asker, bert: Asker, tmp_path: Path
) -> None:
    bot = await own(homeserver, tmp_path, "lotse-tuer", invite_allow=[bert.user])
    refused, accepted = await anna.room(bot.user), await bert.room(bot.user)
    await anna.event(_left(refused, bot.user))
    await bert.joined(accepted, bot.user)
    await bot.stop()
    refused, accepted = await anna.room(bot.user), await bert.room(bot.user)
    await bot.start()
    await anna.event(_left(refused, bot.user))
    await bert.joined(accepted, bot.user)
    await bot.stop()


def _left(room: str, user: str):  # type: ignore[no-untyped-def]
    return lambda e: (
        e["room"] == room
        and e["type"] == "m.room.member"
        and e["state_key"] == user
        and e["content"].get("membership") == "leave"
    )


@pytest.mark.parametrize("preset", ["public_chat", "private_chat"])
async def test_room_upgrade_is_followed(anna: Asker, bot: Bot, preset: str) -> None:
    room = await anna.room(bot.user, name="Amtsstube", preset=preset)
    await anna.joined(room, bot.user)
    await anna.answer(room, await anna.say(room, f"lotse: {QUESTION}"))
    new = (await anna.call("upgrade", room=room, version="11"))["room"]
    if preset == "private_chat":
        await anna.call("invite", room=new, user=bot.user)  # as Element does after an upgrade
    await anna.joined(new, bot.user)
    await anna.answer(new, await anna.say(new, f"lotse: {QUESTION}"))


async def test_token_revoked(homeserver: Homeserver, anna: Asker, tmp_path: Path) -> None:
    bot = await own(homeserver, tmp_path, "lotse-sperre")
    room = await direct(anna, bot, encrypted=True)
    await anna.answer(room, await anna.say(room, QUESTION))
    token = bot.adapter._device.client.access_token
    homeserver.request("POST", "/_matrix/client/v3/logout/all", {}, token)
    question = await anna.say(room, QUESTION)
    message = await bot.refused(40)
    assert "LOTSE_MATRIX_PASSWORD" in message
    assert token not in message
    await bot.stop()

    await bot.start()  # the operator has looked: the password still opens a new device
    await anna.answer(room, await anna.say(room, QUESTION))
    assert len(anna.answers(room, question)) <= 1
    await bot.stop()


async def test_wrong_password_is_refused(homeserver: Homeserver, tmp_path: Path) -> None:
    homeserver.register("lotse-falsch")
    bot = Bot(homeserver.url, tmp_path, "lotse-falsch", {"password": "falsches Kennwort"})
    await bot.start(connected=False)
    message = await bot.refused()
    assert "LOTSE_MATRIX_PASSWORD" in message
    assert "falsches Kennwort" not in message
    await bot.stop()


async def test_question_goes_to_the_team_and_the_answer_comes_back(
    homeserver: Homeserver, anna: Asker, bert: Asker, tmp_path: Path
) -> None:
    homeserver.register("lotse-team")
    team = await bert.room("@lotse-team:localhost", name="Sprechstunden-Team")
    bot = await own(homeserver, tmp_path, "lotse-team", team_room=team)
    await bert.joined(team, bot.user)
    room = await direct(anna, bot)
    refused = await anna.answer(room, await anna.say(room, "Wie teuer ist der Quantenantrag?"))
    number = next(
        line.split()[0].strip("·*") for line in _options(refused) if "Rückmeldung" in line
    )
    asked = await anna.say(room, number)
    await anna.answer(room, asked)

    handed = await bert.event(
        lambda e: e["room"] == team and "Quantenantrag" in str(e["content"].get("body"))
    )
    assert handed["relates_to"] is None
    assert "Antworten Sie auf diese Nachricht" in handed["content"]["body"]
    await bert.say(
        team,
        "Das legt die Stelle im Einzelfall fest.",
        **{"m.relates_to": {"m.in_reply_to": {"event_id": handed["id"]}}},
    )
    back = await anna.event(
        lambda e: e["room"] == room and "im Einzelfall" in str(e["content"].get("body"))
    )
    assert back["sender"] == bot.user
    note = {"rel_type": "m.annotation", "event_id": handed["id"], "key": "📌"}
    await bert.send(team, "m.reaction", {"m.relates_to": note})
    await bot.stop()


def _options(event) -> list[str]:  # type: ignore[no-untyped-def]
    return str(event["content"]["body"]).replace(" · ", "\n").splitlines()


async def test_doctor_looks_at_everything(homeserver: Homeserver, tmp_path: Path) -> None:
    team = "!nirgends:localhost"
    bot = await own(homeserver, tmp_path, "lotse-arzt", team_room=team)
    second = Matrix(bot.adapter._settings, tmp_path)
    found = {f.what: f for f in await second.examine()}
    healthy = [what for what, finding in found.items() if not finding.remedy]
    assert any("antwortet" in what for what in healthy)
    assert any("Gerät ist signiert" in what for what in healthy)
    assert any("50 Einmalschlüssel" in what for what in healthy)
    sick = [what for what, finding in found.items() if finding.remedy and not finding.warning]
    assert sick == ["Matrix: der Bot ist nicht im Team-Raum"]
    assert any("Ratenbegrenzung" in what and found[what].warning for what in found)
    await bot.stop()


async def test_doctor_before_the_first_start_and_without_a_server(
    homeserver: Homeserver, tmp_path: Path
) -> None:
    values = {"user": "@niemand:localhost", "password": "x"}
    reached = MatrixSettings.model_validate(values | {"homeserver": homeserver.url})
    away = MatrixSettings.model_validate(values | {"homeserver": f"http://127.0.0.1:{free_port()}"})
    assert (await Matrix(reached, tmp_path).examine())[-1].what == "Matrix: noch nicht angemeldet"
    assert "LOTSE_MATRIX_HOMESERVER" in (await Matrix(away, tmp_path).examine())[-1].remedy
