"""Talking to the bot in real rooms on a real homeserver."""

from __future__ import annotations

import pytest

from tests.integration.matrix.asker import Asker
from tests.integration.matrix.bot import Bot

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "Was ist EfA?"


async def direct(asker: Asker, bot: Bot, **options: object) -> str:
    room = await asker.room(bot.user, direct=True, **options)
    await asker.joined(room, bot.user)
    return room


async def group(asker: Asker, bot: Bot, **options: object) -> str:
    room = await asker.room(bot.user, name="Amtsstube", **options)
    await asker.joined(room, bot.user)
    return room


async def test_greets_and_answers_in_a_direct_chat(anna: Asker, bot: Bot) -> None:
    room = await direct(anna, bot)
    greeting = await anna.event(
        lambda e: e["room"] == room and e["sender"] == bot.user and e["type"] == "m.room.message"
    )
    assert "keine KI" in greeting["content"]["body"]

    question = await anna.say(room, QUESTION)
    answer = await anna.answer(room, question)

    content = answer["content"]
    assert content["msgtype"] == "m.notice"
    assert "Einer für Alle" in content["body"]
    assert "https://" in content["body"]
    assert content["m.mentions"] == {}
    assert "<strong>" in content["formatted_body"]


async def test_encrypted(anna: Asker, bot: Bot) -> None:
    room = await direct(anna, bot, encrypted=True)
    question = await anna.say(room, QUESTION)
    answer = await anna.answer(room, question)
    assert answer["wire_type"] == "m.room.encrypted"
    assert answer["shield"] == "NONE"
