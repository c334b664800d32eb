"""Two bots to measure against, each as small as its library lets it be; they remember nothing.

`python -m bench.matrix_bots raw|nio HOMESERVER USER PASSWORD`
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import Any
from urllib.parse import quote

import aiohttp
from nio import AsyncClient, RoomMessageText

ANSWER = "Einer für Alle: einmal entwickeln, überall nutzen. " * 16  # as long as a real one


def content(question: str) -> dict[str, Any]:
    return {
        "msgtype": "m.notice",
        "body": ANSWER,
        "format": "org.matrix.custom.html",
        "formatted_body": f"<p>{ANSWER}</p>",
        "m.mentions": {},
        "m.relates_to": {"m.in_reply_to": {"event_id": question}},
    }


async def raw(homeserver: str, user: str, password: str) -> None:
    """aiohttp and the two requests that a bot needs."""
    v3 = homeserver + "/_matrix/client/v3"
    async with aiohttp.ClientSession() as http:
        identifier = {"type": "m.id.user", "user": user}
        login = {"type": "m.login.password", "identifier": identifier, "password": password}
        async with http.post(f"{v3}/login", json=login) as response:
            headers = {"Authorization": f"Bearer {(await response.json())['access_token']}"}
        since, tasks = "", set()

        async def answer(room: str, question: str) -> None:
            path = f"{v3}/rooms/{quote(room)}/send/m.room.message/{uuid.uuid4()}"
            async with http.put(path, json=content(question), headers=headers) as response:
                await response.read()

        while True:
            query = {"timeout": "30000"} | ({"since": since} if since else {})
            async with http.get(f"{v3}/sync", params=query, headers=headers) as response:
                batch = await response.json()
            for room, info in batch.get("rooms", {}).get("join", {}).items():
                for event in info["timeline"]["events"] if since else ():
                    if event["type"] == "m.room.message" and event["sender"] != user:
                        tasks.add(task := asyncio.create_task(answer(room, event["event_id"])))
                        task.add_done_callback(tasks.discard)
            since = batch["next_batch"]


async def nio(homeserver: str, user: str, password: str) -> None:
    """matrix-nio as its examples show it, the answer as a task."""
    client = AsyncClient(homeserver, user)
    await client.login(password)
    await client.sync(timeout=0)
    tasks = set()

    async def message(room: Any, event: Any) -> None:
        if event.sender != user:
            answer = client.room_send(room.room_id, "m.room.message", content(event.event_id))
            tasks.add(task := asyncio.create_task(answer))
            task.add_done_callback(tasks.discard)

    client.add_event_callback(message, RoomMessageText)
    await client.sync_forever(timeout=30_000)


if __name__ == "__main__":
    asyncio.run({"raw": raw, "nio": nio}[sys.argv[1]](*sys.argv[2:5]))
