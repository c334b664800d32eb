"""How fast the bot is on Matrix, beside a raw aiohttp bot and a plain nio bot in the same run.

`python -m bench.matrix [--answers N]`: over the floor (from the asker's own echo to the answer),
CPU per answer, throughput in 20 rooms at once, memory.  The three are asked in turn, so that
whatever else the machine does hits all alike.  With `--answers` memory over N answers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.integration.matrix.homeserver import PASSWORD, ROOT, SERVER_NAME, Homeserver

BOTS = ("lotse", "raw", "nio")
SEQUENTIAL = 100
ROOMS, EACH = 20, 5
ROUNDS = 3
PATIENCE_S = 180
QUESTION = "Was ist EfA?"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Subject:
    """One bot in a process of its own."""

    name: str
    process: asyncio.subprocess.Process
    rooms: list[str] = field(default_factory=list)
    over_floor_ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0  # per answer, asked one by one; what it does meanwhile counts too
    busy_ms: float = 0.0  # per answer, with 20 rooms at once
    rates: list[float] = field(default_factory=list)
    slowest_room_s: list[float] = field(default_factory=list)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


class Asker:
    """A lean client that notes when it sees what."""

    def __init__(self, http: aiohttp.ClientSession, homeserver: str, token: str) -> None:
        self._http = http
        self._v3 = homeserver + "/_matrix/client/v3"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._seen: dict[str, float] = {}
        self._answered: dict[str, asyncio.Future[float]] = {}
        self._joined: set[tuple[str, str]] = set()
        self._number = 0
        self._news = asyncio.Event()

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        request = self._http.request(method, self._v3 + path, json=body, headers=self._headers)
        async with request as response:
            response.raise_for_status()
            return await response.json()

    async def watch(self) -> None:
        since = ""
        while True:
            query = f"?timeout=30000&since={since}" if since else "?timeout=0"
            batch = await self.call("GET", f"/sync{query}")
            now = time.perf_counter()
            for room, info in batch.get("rooms", {}).get("join", {}).items():
                for event in info["state"]["events"] + info["timeline"]["events"]:
                    self._note(room, event, now)
            self._news.set()
            since = batch["next_batch"]

    def _note(self, room: str, event: Any, now: float) -> None:
        content = event["content"]
        if event["type"] == "m.room.member" and content.get("membership") == "join":
            self._joined.add((room, event["state_key"]))
        self._seen.setdefault(event["event_id"], now)
        relation = content.get("m.relates_to", {}).get("m.in_reply_to", {})
        if (question := relation.get("event_id")) is not None:
            answered = self._future(question)
            if not answered.done():
                answered.set_result(now)

    def _future(self, question: str) -> asyncio.Future[float]:
        if question not in self._answered:
            self._answered[question] = asyncio.get_running_loop().create_future()
        return self._answered[question]

    async def room(self, user: str) -> str:
        body = {"invite": [user], "is_direct": True, "preset": "trusted_private_chat"}
        return str((await self.call("POST", "/createRoom", body))["room_id"])

    async def joined(self, room: str, user: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (room, user) not in self._joined:
                self._news.clear()
                await self._news.wait()

    async def ask(self, room: str) -> tuple[str, float]:
        """The question's id, and when its answer was seen."""
        self._number += 1
        path = f"/rooms/{quote(room)}/send/m.room.message/q{self._number}"
        body = {"msgtype": "m.text", "body": QUESTION, "m.mentions": {}}
        question = str((await self.call("PUT", path, body))["event_id"])
        return question, await asyncio.wait_for(self._future(question), PATIENCE_S)

    def echo(self, question: str) -> float:
        return self._seen[question]


async def start(name: str, homeserver: Homeserver, folder: Path) -> Subject:
    user = f"@{name}:{SERVER_NAME}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOTSE_")}
    command = ["-m", "bench.matrix_bots", name, homeserver.url, user, PASSWORD]
    if name == "lotse":
        command = ["-m", "bot", "run"]
        environment |= {
            "LOTSE_DATA_DIR": str(folder / "lotse"),
            "LOTSE_LIMIT_PER_MINUTE": "0",
            "LOTSE_LOG_LEVEL": "warning",
            "LOTSE_MATRIX_HOMESERVER": homeserver.url,
            "LOTSE_MATRIX_USER": user,
            "LOTSE_MATRIX_PASSWORD": PASSWORD,
        }
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, env=environment
    )
    return Subject(name, process)


async def prepare(subject: Subject, homeserver: Homeserver, asker: Asker, rooms: int) -> None:
    """Rooms that the bot has joined; the two small bots are joined by hand."""
    user = f"@{subject.name}:{SERVER_NAME}"
    subject.rooms = [await asker.room(user) for _ in range(rooms)]
    if subject.name != "lotse":
        token = homeserver.login(subject.name)
        for room in subject.rooms:
            path = f"/_matrix/client/v3/join/{quote(room)}"
            await asyncio.to_thread(homeserver.request, "POST", path, {}, token)
    for room in subject.rooms:
        await asker.joined(room, user)
    await asyncio.sleep(1)
    await asker.ask(subject.rooms[0])  # warm


async def measure_latency(subjects: Sequence[Subject], asker: Asker) -> None:
    before = {s.name: s.cpu_s() for s in subjects}
    for _ in range(SEQUENTIAL):
        for subject in subjects:
            question, answered = await asker.ask(subject.rooms[0])
            subject.over_floor_ms.append((answered - asker.echo(question)) * 1000)
    for subject in subjects:
        subject.cpu_ms = (subject.cpu_s() - before[subject.name]) * 1000 / SEQUENTIAL


async def measure_throughput(subject: Subject, asker: Asker) -> None:
    began = time.perf_counter()

    async def fill(room: str) -> float:
        answers = await asyncio.gather(*(asker.ask(room) for _ in range(EACH)))
        return max(at for _, at in answers) - began

    ends = await asyncio.gather(*map(fill, subject.rooms))
    subject.rates.append(ROOMS * EACH / (time.perf_counter() - began))
    subject.slowest_room_s.append(max(ends))


async def endure(subject: Subject, asker: Asker, answers: int) -> None:
    """Memory while thousands are answered; the first tenth is warming up."""
    samples: list[float] = []
    batch = ROOMS * EACH
    for done in range(0, answers, batch):
        await measure_throughput(subject, asker)
        samples.append(subject.rss_mib())
        if done % (batch * 10) == 0:
            print(f"{done + batch:6} answers  {samples[-1]:6.1f} MiB", flush=True)
    warm = samples[len(samples) // 10 :]
    slope = statistics.linear_regression(range(len(warm)), warm).slope * 10_000 / batch
    print(f"RSS {warm[0]:.1f} -> {warm[-1]:.1f} MiB, slope {slope:+.1f} MiB per 10,000 answers")


async def main(answers: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        homeserver = Homeserver(Path(name) / "synapse")
        homeserver.start()
        for user in (*BOTS, "anna"):
            homeserver.register(user)
        names = BOTS[:1] if answers else BOTS
        subjects = [await start(n, homeserver, Path(name)) for n in names]
        async with aiohttp.ClientSession() as http:
            asker = Asker(http, homeserver.url, homeserver.login("anna"))
            watching = asyncio.create_task(asker.watch())
            try:
                for subject in subjects:
                    await prepare(subject, homeserver, asker, ROOMS)
                if answers:
                    await endure(subjects[0], asker, answers)
                    return
                await measure_latency(subjects, asker)
                for _ in range(ROUNDS):
                    for subject in subjects:
                        before = subject.cpu_s()
                        await measure_throughput(subject, asker)
                        spent = (subject.cpu_s() - before) * 1000
                        subject.busy_ms += spent / (ROUNDS * ROOMS * EACH)
                report(subjects)
            finally:
                watching.cancel()
                for subject in subjects:
                    subject.process.kill()
                    await subject.process.wait()
                homeserver.stop()


def report(subjects: Sequence[Subject]) -> None:
    print(
        "bot   over floor p50 / p95 ms  CPU ms/answer  20 rooms: CPU ms  msg/s  slowest s  RSS MiB"
    )
    for s in subjects:
        p95 = statistics.quantiles(s.over_floor_ms, n=20)[-1]
        rate, slowest = statistics.median(s.rates), statistics.median(s.slowest_room_s)
        print(
            f"{s.name:6} {_p50(s):14.1f} / {p95:6.1f} {s.cpu_ms:14.1f}"
            f" {s.busy_ms:19.1f} {rate:6.1f} {slowest:10.2f} {s.rss_mib():8.0f}"
        )
    lotse, raw, nio = subjects
    rate = statistics.median(lotse.rates) / statistics.median(nio.rates)
    print(f"p50 {_p50(lotse) / _p50(raw):.2f} x raw (limit 1.2)")
    busy = lotse.busy_ms / nio.busy_ms
    print(f"CPU {lotse.cpu_ms / nio.cpu_ms:.2f} x nio one by one, {busy:.2f} in 20 rooms (limit 2)")
    print(f"rate {rate:.2f} x nio (limit 0.8)")


def _p50(subject: Subject) -> float:
    return statistics.median(subject.over_floor_ms)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=0)
    asyncio.run(main(parser.parse_args().answers))
