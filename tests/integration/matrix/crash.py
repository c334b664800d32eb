"""Kill -9 at random moments: two processes of one bot account, one serves, one stands by.

As a script a longer run for `make soak`: `python -m tests.integration.matrix.crash`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.matrix.asker import Asker, Driver
from tests.integration.matrix.homeserver import PASSWORD, ROOT, SERVER_NAME, Homeserver, free_port

QUESTIONS = ("Was ist EfA?", "Was passiert in Phase 2?", "Was ist FIM?")
READY_S = 60.0


@dataclass
class Process:
    """`lotse run` with a data folder of its own."""

    homeserver: str
    name: str
    folder: Path
    database: str
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LOTSE_")} | {
            "LOTSE_DATA_DIR": str(self.folder),
            "LOTSE_DATABASE_URL": self.database,
            "LOTSE_HASH_KEY": "ein Schluessel fuer beide Prozesse, lang genug",
            "LOTSE_LIMIT_PER_MINUTE": "0",
            "LOTSE_HTTP_PORT": str(self.port),
            "LOTSE_MATRIX_HOMESERVER": self.homeserver,
            "LOTSE_MATRIX_USER": f"@{self.name}:{SERVER_NAME}",
            "LOTSE_MATRIX_PASSWORD": PASSWORD,
        }
        self.folder.mkdir(exist_ok=True)
        log = (self.folder / "log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", cwd=ROOT, env=environment, stdout=log, stderr=log
        )

    async def kill(self) -> None:
        assert self.process
        self.process.kill()
        await self.process.wait()

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/readyz", timeout=2
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None


async def serving(processes: Sequence[Process]) -> Process:
    """The one of them that serves; waits for it."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        for process in processes:
            if process.alive() and await asyncio.to_thread(process.ready):
                return process
        await asyncio.sleep(0.1)
    logs = "\n".join((p.folder / "log").read_text()[-2000:] for p in processes)
    raise TimeoutError(f"no process serves:\n{logs}")


@dataclass(frozen=True, slots=True)
class Outcome:
    questions: int
    lost: int
    twice: int
    leaks: int  # lines of the logs that hold a question or a secret
    seconds: float


async def survive(
    homeserver: Homeserver, asker: Asker, folder: Path, *, kills: int, questions: int, seed: int
) -> Outcome:
    """Ask in three rooms, one of them encrypted, while whoever serves is killed again and again."""
    chance = random.Random(seed)
    homeserver.register("lotse-kill")
    database = f"sqlite:///{folder / 'gemeinsam.db'}"
    processes = [
        Process(homeserver.url, "lotse-kill", folder / name, database) for name in ("eins", "zwei")
    ]
    began = time.monotonic()
    asked: list[tuple[str, str]] = []
    try:
        for process in processes:
            await process.start()
            await serving(processes)
        user = f"@lotse-kill:{SERVER_NAME}"
        rooms = [
            await asker.room(user, direct=True),
            await asker.room(user, direct=True, encrypted=True),
            await asker.room(user, name="Amtsstube"),
        ]
        for room in rooms:
            await asker.joined(room, user)
        for round_ in range(kills):
            victim = await serving(processes)
            batch = questions * (round_ + 1) // kills - questions * round_ // kills
            for _ in range(batch):
                room = chance.choice(rooms)
                text = f"{user} {chance.choice(QUESTIONS)}"
                asked.append((room, await asker.say(room, text)))
            await asyncio.sleep(chance.uniform(0, 0.15))  # under way, some answered, some not
            await victim.kill()
            await victim.start()
        for room, question in asked:
            await asker.answer(room, question, within_s=READY_S)
        await asyncio.sleep(1)  # a second answer would come now
    finally:
        for process in processes:
            if process.alive():
                await process.kill()
    counts = [len(asker.answers(room, question)) for room, question in asked]
    log = [line for p in processes for line in (p.folder / "log").read_text().splitlines()]
    secrets = (*QUESTIONS, PASSWORD, *(t for p in processes for t in _tokens(p)))
    return Outcome(
        questions=len(asked),
        lost=counts.count(0),
        twice=sum(c > 1 for c in counts),
        leaks=sum(any(secret in line for secret in secrets) for line in log),
        seconds=time.monotonic() - began,
    )


def _tokens(process: Process) -> list[str]:
    return [json.loads(f.read_text())["token"] for f in process.folder.rglob("login.json")]


async def _soak() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        homeserver = Homeserver(folder / "synapse")
        homeserver.start()
        homeserver.register("anna")
        driver = await Driver.start()
        try:
            anna = await driver.login("anna", homeserver.url, signed_only=True)
            outcome = await survive(homeserver, anna, folder, kills=20, questions=60, seed=1)
        finally:
            await driver.stop()
            homeserver.stop()
    print(outcome)
    return outcome.lost + outcome.twice + outcome.leaks


if __name__ == "__main__":
    sys.exit(asyncio.run(_soak()))
