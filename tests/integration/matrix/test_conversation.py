"""Talking to the bot in real rooms on a real homeserver: who is answered, where and how."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.integration.matrix.asker import Asker, Event
from tests.integration.matrix.bot import Bot, direct, group

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "Was ist EfA?"
ANSWER = "Einer für Alle"


def pill(bot: Bot, text: str, label: str = "lotse") -> dict[str, object]:
    """The content that Element sends for a mention chosen from its list."""
    link = f'<a href="https://matrix.to/#/{bot.user}">{label}</a>'
    return {
        "body": f"{label}: {text}",
        "format": "org.matrix.custom.html",
        "formatted_body": f"{link}: {text}",
        "m.mentions": {"user_ids": [bot.user]},
    }


async def silence(asker: Asker, bot: Bot, room: str, *overheard: str) -> None:
    """Nothing was answered: a later question is, and order is kept within a room."""
    last = await asker.say(room, f"{bot.user} {QUESTION}")
    await asker.answer(room, last)
    for event in overheard:
        assert asker.answers(room, event) == []


async def test_greets_and_answers_in_a_direct_chat(anna: Asker, bot: Bot) -> None:
    room = await direct(anna, bot)
    greeting = await anna.event(
        lambda e: e["room"] == room and e["sender"] == bot.user and e["type"] == "m.room.message"
    )
    assert "keine KI" in greeting["content"]["body"]
    assert greeting["relates_to"] is None

    answer = await anna.answer(room, await anna.say(room, QUESTION))

    content = answer["content"]
    assert content["msgtype"] == "m.notice"
    assert ANSWER in content["body"]
    assert "https://" in content["body"]
    assert content["m.mentions"] == {}
    assert "<strong>" in content["formatted_body"]


async def test_a_question_asked_with_the_invitation_is_answered(anna: Asker, bot: Bot) -> None:
    """Element opens a direct chat with the first message, before the bot has joined."""
    room = await anna.room(bot.user, direct=True)
    question = await anna.say(room, QUESTION)
    assert ANSWER in (await anna.answer(room, question))["content"]["body"]


async def test_no_greeting_in_a_room(anna: Asker, bot: Bot) -> None:
    room = await group(anna, bot)
    await anna.answer(room, await anna.say(room, f"{bot.user} {QUESTION}"))
    own = [
        e
        for e in anna.seen
        if e["room"] == room and e["sender"] == bot.user and e["type"] == "m.room.message"
    ]
    assert len({e["id"] for e in own}) == 1


@pytest.mark.parametrize(
    "form", ["pill", "mentions", "id", "id inside", "name", "@name", "capitals"]
)
async def test_every_form_of_mention(
    anna: Asker, bot: Bot, rooms: dict[str, str], form: str
) -> None:
    room = rooms["amt"]
    content: dict[str, object] = {
        "pill": pill(bot, QUESTION),
        "mentions": {"body": QUESTION, "m.mentions": {"user_ids": [bot.user]}},
        "id": {"body": f"{bot.user}: {QUESTION}"},
        "id inside": {"body": f"Guten Tag {bot.user}, {QUESTION}"},
        "name": {"body": f"lotse: {QUESTION}"},
        "@name": {"body": f"@lotse {QUESTION}"},
        "capitals": {"body": f"Lotse, {QUESTION}"},
    }[form]
    question = await anna.say(room, "", **content)
    answer = await anna.answer(room, question)
    assert ANSWER in answer["content"]["body"]
    assert answer["content"]["m.mentions"] == {"user_ids": [anna.user]}


@pytest.mark.parametrize(
    "content",
    [
        {"body": QUESTION},
        {"body": "Der lotse hat das gestern erklärt."},
        {"body": "Lotsenstation ist geschlossen."},
        {"body": "Wie der Lotse sagt", "msgtype": "m.notice", "m.mentions": {}},
        {"body": f"lotse: {QUESTION}", "msgtype": "m.notice"},
        {
            "body": "> <@lotse:localhost> EfA heißt …\n\nDanke!",
            "m.relates_to": {"m.in_reply_to": {"event_id": "$x"}},
        },
    ],
    ids=["plain", "name inside", "longer word", "notice", "notice with mention", "quoted mention"],
)
async def test_overheard_is_not_answered(
    anna: Asker, bot: Bot, rooms: dict[str, str], content: dict[str, object]
) -> None:
    room = rooms["amt"]
    await silence(anna, bot, room, await anna.say(room, "", **content))


async def test_reply_to_an_answer_needs_no_mention(
    anna: Asker, bot: Bot, rooms: dict[str, str]
) -> None:
    room = rooms["amt"]
    answer = await anna.answer(room, await anna.say(room, f"lotse: {QUESTION}"))
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": answer["id"]}}}
    follow_up = await anna.say(room, "Quelle?", **reply)
    assert "https://" in (await anna.answer(room, follow_up))["content"]["body"]


async def test_thread_is_kept_and_needs_no_second_mention(
    anna: Asker, bot: Bot, rooms: dict[str, str]
) -> None:
    room = rooms["amt"]
    root = await anna.say(room, "Wir reden hier über die Nachnutzung.")

    def in_thread(before: str) -> dict[str, object]:
        relation = {"rel_type": "m.thread", "event_id": root, "is_falling_back": True}
        return {"m.relates_to": relation | {"m.in_reply_to": {"event_id": before}}}

    overheard = await anna.say(room, QUESTION, **in_thread(root))
    question = await anna.say(room, f"lotse: {QUESTION}", **in_thread(overheard))
    answer = await anna.answer(room, question)
    assert answer["relates_to"]["rel_type"] == "m.thread"
    assert answer["relates_to"]["event_id"] == root

    follow_up = await anna.say(room, "Quelle?", **in_thread(answer["id"]))
    answer = await anna.answer(room, follow_up)
    assert answer["relates_to"]["event_id"] == root
    assert anna.answers(room, overheard) == []


def edit(original: str, text: str) -> dict[str, object]:
    new = {"msgtype": "m.text", "body": text, "m.mentions": {}}
    return {
        "body": f"* {text}",
        "m.new_content": new,
        "m.relates_to": {"rel_type": "m.replace", "event_id": original},
    }


def edit_of(event: Event) -> str:
    relation = event["relates_to"] or {}
    return str(relation.get("event_id")) if relation.get("rel_type") == "m.replace" else ""


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_edited_question_gets_its_answer_replaced(
    anna: Asker, bot: Bot, encrypted: bool
) -> None:
    room = await group(anna, bot, encrypted=encrypted)
    question = await anna.say(room, f"lotse: {QUESTION}")
    answer = await anna.answer(room, question)

    await anna.say(room, "", **edit(question, "lotse: Was passiert in Phase 2?"))
    replacement = await anna.event(lambda e: edit_of(e) == answer["id"])

    content = replacement["content"]
    assert "Phase 2" in content["m.new_content"]["body"]
    assert content["body"].startswith("* ")
    assert content["m.mentions"] == {}
    assert len(anna.answers(room, question)) == 1


async def test_redacted_question_gets_its_answer_redacted(
    anna: Asker, bot: Bot, rooms: dict[str, str]
) -> None:
    room = rooms["amt"]
    question = await anna.say(room, f"lotse: {QUESTION}")
    answer = await anna.answer(room, question)
    await anna.call("redact", room=room, id=question)
    await anna.event(lambda e: e["type"] == "m.room.redaction" and e["redacts"] == answer["id"])


async def test_reactions_rate_and_take_back(anna: Asker, bot: Bot, rooms: dict[str, str]) -> None:
    room = rooms["amt"]
    answer = await anna.answer(room, await anna.say(room, f"lotse: {QUESTION}"))

    async def feedback() -> tuple[int, int]:
        stats = await bot.journal.stats()
        return stats.ratings.get("up", 0), stats.ratings.get("down", 0)

    up, down = await feedback()
    relation = {"rel_type": "m.annotation", "event_id": answer["id"], "key": "👍🏽"}
    reaction = await anna.send(room, "m.reaction", {"m.relates_to": relation})
    await silence(anna, bot, room)
    assert await feedback() == (up + 1, down)

    await anna.call("redact", room=room, id=reaction)
    await silence(anna, bot, room)
    assert await feedback() == (up, down)


async def test_shows_an_entry_to_exactly_one_person(anna: Asker, bert: Asker, bot: Bot) -> None:
    room = await group(anna, bot)
    await anna.call("invite", room=room, user=bert.user)
    await bert.call("join", room=room)
    text = "lotse: zeige EfA bert"
    link = f'<a href="https://matrix.to/#/{bert.user}">bert</a>'
    question = await anna.say(
        room,
        text,
        formatted_body=text.replace("bert", link),
        format="org.matrix.custom.html",
        **{"m.mentions": {"user_ids": [bot.user, bert.user]}},
    )
    answer = await anna.answer(room, question)
    assert answer["content"]["m.mentions"] == {"user_ids": [bert.user]}
    assert f'href="https://matrix.to/#/{bert.user}"' in answer["content"]["formatted_body"]


HOSTILE = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)> Was ist EfA?",
    "room ping": "@room Was ist EfA?",
    "javascript": "[klick](javascript:alert(1)) javascript:alert(1)",
    "long": "EfA " * 14_000,
    "bidi": "Was ist \u202eAfE\u202c?",
    "zero width": "Was\u200b ist\u200d E\u2060f\ufeffA?",
    "empty": "",
    "spaces": " \n\t ",
    "mention only": "@lotse:localhost",
    "control": "Was ist \x07\x1b[31mEfA?",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_bodies_get_a_harmless_answer(
    anna: Asker, bot: Bot, rooms: dict[str, str], body: str
) -> None:
    answer = await anna.answer(rooms["direct"], await anna.say(rooms["direct"], body))
    content = answer["content"]
    shown = content["body"] + content["formatted_body"]
    assert content["m.mentions"] == {}
    assert "<script" not in content["formatted_body"]
    assert "<img" not in content["formatted_body"]
    assert 'href="javascript' not in content["formatted_body"]
    assert not any(c in shown for c in "\u202e\u200b\u2060\x07\x1b")
    if not body.strip() or body == bot.user:
        assert "hilfe" in content["body"].lower()


@pytest.mark.parametrize(
    "content",
    [
        {"msgtype": "m.text"},
        {"msgtype": "m.text", "body": 5},
        {"msgtype": 7, "body": "x"},
        {"body": "ohne Art"},
        {"msgtype": "m.text", "body": "x", "m.mentions": ["@lotse:localhost"]},
        {"msgtype": "m.text", "body": "x", "m.mentions": {"user_ids": "@lotse:localhost"}},
        {"msgtype": "m.text", "body": "x", "m.relates_to": "nichts"},
        {"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": "m.replace"}},
        {"msgtype": "m.text", "body": "x", "m.relates_to": {"m.in_reply_to": []}},
        {
            "msgtype": "m.text",
            "body": "* x",
            "m.new_content": 3,
            "m.relates_to": {"rel_type": "m.replace", "event_id": "$nicht-da"},
        },
        {"msgtype": "m.image", "body": "bild.png", "url": "mxc://x/y"},
    ],
    ids=lambda c: str(sorted(c.items()))[:60],
)
@pytest.mark.parametrize("where", ["direct", "encrypted"])
async def test_malformed_events_do_not_stop_it(
    anna: Asker, bot: Bot, rooms: dict[str, str], where: str, content: dict[str, object]
) -> None:
    room = rooms[where]
    with suppress(RuntimeError):  # some of it the homeserver refuses where it can read it
        await anna.send(room, "m.room.message", content)
    await anna.answer(room, await anna.say(room, QUESTION))


async def test_malformed_keys_do_not_stop_it(anna: Asker, bot: Bot, rooms: dict[str, str]) -> None:
    """Junk where encrypted things are expected, to the room and to the device."""
    junk: list[dict[str, object]] = [
        {},
        {"algorithm": "m.megolm.v1.aes-sha2"},
        {
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": "!",
            "sender_key": "x",
            "session_id": "y",
            "device_id": "z",
        },
        {"algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": {}, "sender_key": "x"},
        {
            "algorithm": "m.olm.v1.curve25519-aes-sha2",
            "ciphertext": {"k": {"type": 9, "body": 1}},
            "sender_key": "x",
        },
    ]
    room = rooms["encrypted"]
    for content in junk:
        await anna.send(rooms["amt"], "m.room.encrypted", content)
        await anna.call("to_device", user=bot.user, type="m.room.encrypted", content=content)
        await anna.call("to_device", user=bot.user, type="m.room_key", content=content)
        await anna.call("to_device", user=bot.user, type="m.room_key_request", content=content)
        await anna.call(
            "to_device", user=bot.user, type="m.key.verification.start", content=content
        )
    await anna.answer(room, await anna.say(room, QUESTION))


async def test_many_rooms_at_once_and_order_within_each(anna: Asker, bot: Bot) -> None:
    rooms = [await direct(anna, bot) for _ in range(5)]

    async def ask(room: str) -> list[str]:
        return [await anna.say(room, q) for q in (QUESTION, "Quelle?", "mehr")]

    asked = dict(zip(rooms, await asyncio.gather(*map(ask, rooms)), strict=True))
    for room, questions in asked.items():
        for question in questions:
            await anna.answer(room, question)
        answered = [
            (e["relates_to"] or {}).get("m.in_reply_to", {}).get("event_id")
            for e in anna.seen
            if e["room"] == room and e["sender"] == bot.user and e["type"] == "m.room.message"
        ]
        assert [q for q in answered if q in questions] == questions
