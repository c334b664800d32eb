"""What the journal costs: `python -m bench.journal [QUESTIONS]`, on SQLite and PostgreSQL.

Each question is journalled, leased, answered, delivered to an adapter that costs nothing and
closed; the core is real.  Prints rates, waiting times and the processor's time per answer.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from statistics import quantiles

from bot.chat import Conversation, Message
from bot.content.knowledge import shipped
from bot.search.library import Edition, publish
from bot.serve.desk import Desk
from bot.serve.journal import Journal
from bot.serve.store import open_store
from bot.serve.worker import Worker
from tests.fakes import FakeAdapter
from tests.postgres import Postgres

ROOMS = 20
HEADER = (
    "| Speicher | angenommen/s | Warten p50/p95 ms | beantwortet/s | CPU ms/Antwort |\n"
    "|---|---|---|---|---|"
)


def question(number: int, room: int) -> Message:
    where = Conversation("fake", "", f"room-{room}")
    return Message(where, f"m{number}", f"@p{room}", "Was ist EfA?", datetime.now(UTC))


async def measure(name: str, url: str, questions: int, edition: Edition) -> str:
    """One line of the table."""
    journal = Journal(open_store(url), b"key")
    await journal.open()
    adapter = FakeAdapter(on=False)
    worker = Worker(journal, [adapter], lambda: edition, owner="bench")
    desk = Desk(journal, lambda: edition, worker, limit_per_minute=1_000_000)
    running = asyncio.ensure_future(worker.run())
    waited: list[float] = []

    async def ask(room: int) -> None:
        for number in range(questions // ROOMS):
            began = time.perf_counter()
            await desk.receive([question(number, room)])
            waited.append(time.perf_counter() - began)

    began, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask(room) for room in range(ROOMS)))
    journalled = time.perf_counter() - began
    adapter.on = True
    worker.wake()
    began = time.perf_counter()
    await adapter.until(lambda: len(adapter.posts) == len(waited), seconds=600)
    answered = time.perf_counter() - began
    processor = time.process_time() - processor
    worker.stop()
    await running
    await journal.store.close()
    waits = quantiles(waited, n=20)
    return (
        f"| {name} | {len(waited) / journalled:.0f}"
        f" | {waits[9] * 1e3:.1f} / {waits[18] * 1e3:.1f}"
        f" | {len(waited) / answered:.0f} | {processor / len(waited) * 1e3:.2f} |"
    )


async def main(questions: int) -> None:
    edition = publish(shipped())
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        print(await measure("SQLite", f"sqlite:///{folder}/lotse.db", questions, edition))
    with Postgres() as server:
        print(await measure("PostgreSQL", server.url, questions, edition))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
