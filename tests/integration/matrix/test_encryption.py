"""Encrypted rooms, asked by a client that gives keys to signed devices only."""

from __future__ import annotations

import asyncio
import shutil
import stat
from pathlib import Path
from urllib.parse import quote

import pytest

import adapters.matrix
from tests.integration.matrix.asker import Asker, Driver
from tests.integration.matrix.bot import Bot, direct, group, own
from tests.integration.matrix.homeserver import Homeserver

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "Was ist EfA?"
ONE_TIME_KEYS = 50


async def answered(asker: Asker, room: str) -> None:
    """A question is asked and answered, encrypted and without a shield."""
    answer = await asker.answer(room, await asker.say(room, QUESTION))
    assert answer["wire_type"] == "m.room.encrypted"
    assert answer["shield"] == "NONE", answer["shield_reason"]


async def test_fifty_of_fifty(anna: Asker, bot: Bot) -> None:
    room = await direct(anna, bot, encrypted=True)
    questions = []
    for number in range(50):
        if number % 10 == 9:
            await anna.call("new_session", room=room)
        questions.append(await anna.say(room, QUESTION))
    answers = [await anna.answer(room, q) for q in questions]
    assert {a["wire_type"] for a in answers} == {"m.room.encrypted"}
    assert {a["shield"] for a in answers} == {"NONE"}
    assert all(len(anna.answers(room, q)) == 1 for q in questions)


async def test_the_own_device_is_signed(anna: Asker, bot: Bot) -> None:
    await answered(anna, await direct(anna, bot, encrypted=True))  # Anna's program knows it now
    devices = (await anna.call("devices", user=bot.user))["devices"]
    assert devices == [{"id": bot.adapter._device.client.device_id, "signed": True}]


async def test_several_people_and_a_room_that_becomes_encrypted(
    anna: Asker, bert: Asker, bot: Bot
) -> None:
    room = await group(anna, bot)
    await anna.call("invite", room=room, user=bert.user)
    await bert.call("join", room=room)
    await anna.answer(room, await anna.say(room, f"lotse: {QUESTION}"))
    await anna.call(
        "send_state",
        room=room,
        type="m.room.encryption",
        content={"algorithm": "m.megolm.v1.aes-sha2"},
    )
    await anna.event(lambda e: e["room"] == room and e["type"] == "m.room.encryption")
    for asker in (anna, bert):
        question = await asker.say(room, f"lotse: {QUESTION}")
        for reader in (anna, bert):
            answer = await reader.answer(room, question)
            assert answer["wire_type"] == "m.room.encrypted"
            assert not answer["failed"]


async def test_one_time_keys_used_up(
    homeserver: Homeserver, driver: Driver, tmp_path: Path
) -> None:
    bot = await own(homeserver, tmp_path, "lotse-otk")
    device = bot.adapter._device.client.device_id
    names = [f"otk{n}" for n in range(4)]
    for name in names:
        homeserver.register(name)
    askers = [await driver.login(n, homeserver.url, signed_only=True) for n in names]
    rooms = [await direct(a, bot, encrypted=True) for a in askers]
    await bot.stop()
    token = homeserver.login(names[0])
    claim = {"one_time_keys": {bot.user: {device: "signed_curve25519"}}}
    taken = []
    for _ in range(ONE_TIME_KEYS + 2):
        answer = homeserver.request("POST", "/_matrix/client/v3/keys/claim", claim, token)
        taken += answer["one_time_keys"][bot.user][device].values()
    assert taken[-1].get("fallback"), "one-time keys are left"

    questions = [await a.say(r, QUESTION) for a, r in zip(askers, rooms, strict=True)]
    await bot.start()
    for asker, room, question in zip(askers, rooms, questions, strict=True):
        assert not (await asker.answer(room, question))["failed"]
    counted = {"one_time_keys": {bot.user: {device: "signed_curve25519"}}}
    answer = homeserver.request("POST", "/_matrix/client/v3/keys/claim", counted, token)
    fresh = next(iter(answer["one_time_keys"][bot.user][device].values()))
    assert "fallback" not in fresh, "no new one-time keys were uploaded"
    await bot.stop()


async def test_crypto_store_lost(homeserver: Homeserver, anna: Asker, tmp_path: Path) -> None:
    bot = await own(homeserver, tmp_path, "lotse-verlust")
    room = await direct(anna, bot, encrypted=True)
    await answered(anna, room)
    before = bot.adapter._device.client.device_id
    await bot.stop()

    shutil.rmtree(bot.adapter._folder.store)
    await bot.start()
    await answered(anna, room)
    assert bot.adapter._device.client.device_id != before
    devices = (await anna.call("devices", user=bot.user))["devices"]
    assert [d["signed"] for d in devices] == [True], "the old device is still there"
    await bot.stop()


async def test_crypto_store_damaged(homeserver: Homeserver, anna: Asker, tmp_path: Path) -> None:
    bot = await own(homeserver, tmp_path, "lotse-schaden")
    room = await direct(anna, bot, encrypted=True)
    await answered(anna, room)
    device = bot.adapter._device.client.device_id
    await bot.stop()
    for file in bot.adapter._folder.store_of(device).iterdir():
        file.write_bytes(b"kein SQLite mehr " * 100)
    await bot.start()
    await answered(anna, room)
    await bot.stop()


async def test_identity_survives_a_lost_data_folder(
    homeserver: Homeserver, anna: Asker, tmp_path: Path
) -> None:
    """The sealed keys in the shared store: a second machine is signed by the same identity."""
    database = f"sqlite:///{tmp_path / 'gemeinsam.db'}"
    homeserver.register("lotse-umzug")
    for machine in ("eins", "zwei"):
        (tmp_path / machine).mkdir()
        bot = Bot(homeserver.url, tmp_path / machine, "lotse-umzug", database=database)
        await bot.start()
        room = await direct(anna, bot, encrypted=True)
        await answered(anna, room)
        await bot.stop()


async def test_token_without_its_keys_is_refused(homeserver: Homeserver, tmp_path: Path) -> None:
    """Never an empty crypto store under an old device id."""
    bot = await own(homeserver, tmp_path / "alt", "lotse-token")
    token = bot.adapter._device.client.access_token
    await bot.stop()
    settings = {"password": None, "access_token": token}
    new = Bot(homeserver.url, tmp_path / "neu", "lotse-token", settings)
    new.folder.mkdir()
    await new.start(connected=False)
    assert "LOTSE_MATRIX_PASSWORD" in await new.refused()
    await new.stop()


async def test_undecryptable_is_told_once(
    homeserver: Homeserver, anna: Asker, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters.matrix, "PARK_S", 0.5)
    monkeypatch.setattr(adapters.matrix, "WAITING_MS", 200)
    room = await direct(anna, bot, encrypted=True)
    await answered(anna, room)
    token = homeserver.login("anna")
    content = {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "AwgAEnACgAkLmt6qF84IK++J7UDH2Za1YVchHyprqTqsg",
        "sender_key": "x",
        "session_id": "eine Sitzung ohne Schlüssel",
        "device_id": "x",
    }

    def send(number: int) -> str:
        path = f"/_matrix/client/v3/rooms/{quote(room)}/send/m.room.encrypted/u{number}"
        return str(homeserver.request("PUT", path, content, token)["event_id"])

    first, second = send(1), send(2)
    notice = await anna.answer(room, first)
    assert "entschlüsseln" in notice["content"]["body"]
    assert notice["wire_type"] == "m.room.encrypted"
    await answered(anna, room)
    assert anna.answers(room, second) == []


async def test_folder_is_private(bot: Bot) -> None:
    folder = bot.adapter._folder
    for path in (folder.path, folder.store):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for name in ("login.json", "cross-signing.json", "pickle.key"):
        assert stat.S_IMODE((folder.path / name).stat().st_mode) == 0o600


async def test_a_second_process_on_the_folder_waits_and_takes_over(
    homeserver: Homeserver, anna: Asker, tmp_path: Path
) -> None:
    first = await own(homeserver, tmp_path, "lotse-zwei")
    room = await direct(anna, first, encrypted=True)
    await answered(anna, room)
    second = Bot(homeserver.url, tmp_path, first.name)
    await second.start(connected=False)
    await asyncio.sleep(1)
    assert not second.adapter.connected()
    assert not second.tasks[0].done()
    await first.stop()
    await second.until_connected()
    await answered(anna, room)
    await second.stop()


async def test_a_token_alone_is_enough(homeserver: Homeserver, anna: Asker, tmp_path: Path) -> None:
    homeserver.register("lotse-nur-token")
    token = homeserver.login("lotse-nur-token")
    bot = await own(homeserver, tmp_path, "lotse-nur-token", password=None, access_token=token)
    room = await direct(anna, bot, encrypted=True)
    await answered(anna, room)
    await bot.stop()
    await bot.start()
    await answered(anna, room)
    await bot.stop()


async def test_a_foreign_identity_is_replaced(
    homeserver: Homeserver, driver: Driver, anna: Asker, tmp_path: Path
) -> None:
    """Somebody used the account in Element before the bot did."""
    homeserver.register("lotse-fremd")
    await driver.login("lotse-fremd", homeserver.url)
    bot = await own(homeserver, tmp_path, "lotse-fremd")
    await answered(anna, await direct(anna, bot, encrypted=True))
    await bot.stop()
