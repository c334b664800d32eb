"""The bots that the Slack benchmark measures beside ours: … slack_yardsticks KIND URL.

`floor` does the least that answers: read the socket, ack, post a constant.  `naive` is the
tutorial's Bolt bot on our core: same matching, same text, but nothing is remembered.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import aiohttp

from bot.chat import Conversation, Message
from bot.content.knowledge import shipped
from bot.markup import plain
from bot.search.library import publish
from bot.talk.answering import State, answer
from tests.slack_naive import naive_bot
from tests.slack_standin import APP_TOKEN, BOT_TOKEN

ANSWER = "Einer für Alle: Ein Land entwickelt, die anderen nutzen nach. " * 10


async def floor(url: str) -> None:
    headers = {"authorization": f"Bearer {BOT_TOKEN}"}
    app = {"authorization": f"Bearer {APP_TOKEN}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(url + "apps.connections.open", headers=app) as opened:
            link = (await opened.json())["url"]

        async def answer(event: dict[str, str]) -> None:
            body = {"channel": event["channel"], "thread_ts": event["ts"], "text": ANSWER}
            async with session.post(url + "chat.postMessage", json=body, headers=headers) as posted:
                await posted.read()

        async with session.ws_connect(link) as socket, asyncio.TaskGroup() as group:
            async for message in socket:
                frame = message.json()
                if "envelope_id" in frame:
                    await socket.send_json({"envelope_id": frame["envelope_id"]})
                    if frame["payload"]["event"]["type"] == "app_mention":
                        group.create_task(answer(frame["payload"]["event"]))


async def naive(url: str) -> None:
    edition = publish(shipped())

    def say(text: str) -> str:
        where = Conversation("slack", "", "")
        asked = Message(where, "1", "anna", text.partition("> ")[2], datetime.now(UTC))
        return plain(answer(asked, State(), edition)[0])

    async with naive_bot(url, BOT_TOKEN, APP_TOKEN, say):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run({"floor": floor, "naive": naive}[sys.argv[1]](sys.argv[2]))
