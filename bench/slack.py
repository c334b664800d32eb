"""Slack: our bot beside the tutorial's Bolt bot, in the same run, against the stand-in.

Every one of our questions is journalled before its ack; the naive bot remembers nothing.
`python -m bench.slack` prints a table; the limits of issue 6 stand beside the figures.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.slack_process import Process, Processes
from tests.slack_standin import BOT, Envelope, StandIn
from tests.slack_town import stand_in

ONE_BY_ONE, ROOMS, PER_ROOM = 100, 30, 10
ROUNDS = 7
KINDS = ("floor", "naive", "lotse")
STEADY, PER_SECOND = 200, 40  # questions under a steady load
QUESTIONS = ("Was ist EfA?", "Was passiert in Phase 2?", "Was ist FIM?", "Wer koordiniert?")


_numbers = itertools.count()


@dataclass
class Figures:
    """What one bot did; times in milliseconds."""

    answers: list[float] = field(default_factory=list)  # from event to post, one by one
    acks: list[float] = field(default_factory=list)  # under a steady load
    rates: list[float] = field(default_factory=list)  # answers per second, each burst
    in_order: bool = True
    cpu_ms: float = 0.0  # of one answer in the burst
    rss_mib: float = 0.0

    @property
    def per_second(self) -> float:
        return statistics.median(self.rates)

    def as_fast_as(self, other: Figures) -> float:
        """The median over the bursts, each beside the other bot's in the same round."""
        return statistics.median(m / o for m, o in zip(self.rates, other.rates, strict=True))

    @property
    def p50(self) -> float:
        return statistics.median(self.answers)

    @property
    def p95(self) -> float:
        return _percentile(self.answers, 95)


async def measure() -> dict[str, Figures]:
    """All bots at once and asked in turn: whatever else the machine does hits all alike."""
    found = {kind: Figures() for kind in KINDS}
    async with AsyncExitStack() as stack:
        bots = [(found[kind], *await stack.enter_async_context(_bot(kind))) for kind in KINDS]
        for _, slack, _ in bots:
            await _ask(slack, "C0AMT", 5)  # warm up
        for _ in range(ONE_BY_ONE):
            for figures, slack, _ in bots:
                figures.answers += await _ask(slack, "C0AMT", 1)
        for figures, slack, _ in bots:
            figures.acks = await _steady(slack)
        for _ in range(ROUNDS):
            for figures, slack, process in bots:
                spent = _cpu_s(process.pid)
                rate, in_order = await _burst(slack)
                figures.rates.append(rate)
                figures.in_order &= in_order
                spent_ms = (_cpu_s(process.pid) - spent) * 1000
                figures.cpu_ms += spent_ms / (ROUNDS * ROOMS * PER_ROOM)
                figures.rss_mib = _rss_mib(process.pid)
    return found


async def _ask(slack: StandIn, room: str, times: int) -> list[float]:
    """Questions one after the other; how long each took."""
    took = []
    for _ in range(times):
        ts = await slack.say(room, f"<@{BOT}> {random.choice(QUESTIONS)}")
        sent = next(e for e in reversed(slack.envelopes) if e.payload["event"]["ts"] == ts)
        await slack.until(lambda ts=ts: bool(slack.answers(room, ts)), 30)
        posted = slack.called("chat.postMessage", "")[-1].at
        took.append((posted - sent.sent[0]) * 1000)
    return took


async def _steady(slack: StandIn) -> list[float]:
    """A question every few milliseconds; how long the acks took."""
    rooms = [slack.add_room(f"C0TAG{number}") for number in range(ROOMS)]
    before = len(slack.envelopes)
    for number in range(STEADY):
        room = rooms[number % ROOMS]
        await slack.say(room, f"<@{BOT}> {random.choice(QUESTIONS)}")
        await asyncio.sleep(1 / PER_SECOND)
    await slack.quiet(60)
    return [_ack_ms(e) for e in slack.envelopes[before:]]


async def _burst(slack: StandIn) -> tuple[float, bool]:
    """300 questions in 30 rooms at once: answers per second, and whether in order."""
    rooms = [slack.add_room(f"C0RAUM{next(_numbers)}") for _ in range(ROOMS)]
    began, before = asyncio.get_running_loop().time(), len(slack.calls)
    asked: dict[str, list[str]] = {room: [] for room in rooms}
    for _ in range(PER_ROOM):
        for room in rooms:
            text = f"<@{BOT}> {random.choice(QUESTIONS)}"
            asked[room].append(await slack.say(room, text))
    total = ROOMS * PER_ROOM

    def done() -> bool:
        """The quick look first: this is asked at every step, on the same two cores."""
        enough = len(slack.calls) - before >= total
        return enough and sum(len(slack.answers(r)) for r in rooms) >= total

    await slack.until(done, 120)
    took = asyncio.get_running_loop().time() - began
    await slack.quiet(60)
    ordered = all([m["thread_ts"] for m in slack.answers(r)] == asked[r] for r in rooms)
    return total / took, ordered


async def paced() -> tuple[int, int, int]:
    """One message per second and room: questions, answers, most refusals in one room."""
    async with _bot("lotse") as (slack, _):
        slack.per_room_s = 1.0
        rooms = [slack.add_room(f"C0RAUM{number}") for number in range(10)]
        for _ in range(6):
            for room in rooms:
                await slack.say(room, f"<@{BOT}> {random.choice(QUESTIONS)}")
        total = 6 * len(rooms)
        await slack.until(lambda: sum(len(slack.answers(r)) for r in rooms) >= total, 60)
        refused = [c.args["channel"] for c in slack.called("chat.postMessage", "ratelimited")]
        answers = sum(len(slack.answers(r)) for r in rooms)
        return total, answers, max((refused.count(r) for r in rooms), default=0)


@asynccontextmanager
async def _bot(kind: str) -> AsyncIterator[tuple[StandIn, Process]]:
    with tempfile.TemporaryDirectory() as folder:
        async with stand_in().running() as slack:
            processes = Processes(slack, Path(folder))
            try:
                if kind == "lotse":
                    await processes.start_all()
                else:
                    slack.subscribed -= {"message.channels"}  # it has no listener for those
                    processes.running.append(await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "bench.slack_yardsticks", kind, slack.url,
                        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
                    ))  # fmt: skip
                await slack.connected(within_s=60)
                yield slack, processes.running[0]
            finally:
                await processes.end()


def _ack_ms(envelope: Envelope) -> float:
    return (envelope.acked[0] - envelope.sent[0]) * 1000


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kib) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(found: dict[str, Figures], pace: tuple[int, int, int]) -> str:
    lines = [
        f"{'bot':8} {'p50 ms':>8} {'p95 ms':>8} {'ack p95':>8} {'msg/s':>7} {'order':>6}"
        f" {'CPU ms':>7} {'MiB':>5}"
    ]
    for kind, figures in found.items():
        lines.append(
            f"{kind:8} {figures.p50:8.1f} {figures.p95:8.1f} {_percentile(figures.acks, 95):8.1f}"
            f" {figures.per_second:7.1f} {figures.in_order!s:>6}"
            f" {figures.cpu_ms:7.1f} {figures.rss_mib:5.0f}"
        )
    floor, naive, lotse = (found[kind] for kind in KINDS)
    over = (lotse.p50 - floor.p50) / (naive.p50 - floor.p50)
    total, answered, refused = pace
    lines += [
        f"over the floor: {over:.2f} x naive (limit 1.20)",
        f"ack p95 at {PER_SECOND} a second: {_percentile(lotse.acks, 95):.0f} ms (limit 50)",
        f"throughput: {lotse.as_fast_as(naive):.2f} x naive (limit 0.70)",
        f"CPU of an answer in the burst: {lotse.cpu_ms / naive.cpu_ms:.2f} x naive",
        f"one a second and room: {answered} of {total} answered, most refusals in a room {refused}",
    ]
    return "\n".join(lines)


async def main() -> None:
    print(report(await measure(), await paced()))


if __name__ == "__main__":
    asyncio.run(main())
