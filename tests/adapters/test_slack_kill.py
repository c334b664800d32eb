"""kill -9 aimed at mentions under way; two processes on one store; every mention exactly once.

A few kills here; `SOAK=1` (make soak) kills 20 times over 60 mentions.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.slack_process import Processes
from tests.slack_standin import APP_TOKEN, BOT, BOT_TOKEN, Fault
from tests.slack_town import stand_in

SOAK = bool(os.environ.get("SOAK"))
KILLS, MENTIONS = (20, 60) if SOAK else (3, 15)
EFA = f"<@{BOT}> Was ist EfA?"


async def test_killed_while_answering_every_mention_is_answered_once(tmp_path: Path) -> None:
    async with stand_in(hurry=10.0).running() as slack:
        slack.retry_gaps_s = (0.1, 1.0, 3.0)
        processes = Processes(slack, tmp_path, count=2)
        try:
            await processes.start_all()
            await slack.connected(sockets=2, within_s=30)
            asked: list[str] = []
            for kill in range(1, KILLS + 1):
                # The post of one of these mentions dies with its process, done or not.
                slack.faults.append(Fault("chat.postMessage", random.choice(["slow", "lost"]),
                                          slow_s=0.3))  # fmt: skip
                while len(asked) < MENTIONS * kill // KILLS:
                    asked.append(await slack.say("C0AMT", EFA))
                under_way = len(asked) - random.randint(1, 3)
                await slack.until(lambda n=under_way: len(slack.answers("C0AMT")) >= n, 60)
                await asyncio.sleep(random.uniform(0, 0.05))
                await processes.kill(random.randrange(2))
            await slack.until(lambda: all(slack.answers("C0AMT", ts) for ts in asked), 90)
            await slack.until(lambda: all(e.acked or e.dropped for e in slack.envelopes), 60)
            await slack.connected(sockets=2, within_s=30)
            assert await processes.stop_all() == [0, 0]
        finally:
            await processes.end()
        assert len(slack.envelopes) >= 2 * len(asked)  # each mention arrives as two events
        assert [len(slack.answers("C0AMT", ts)) for ts in asked] == [1] * len(asked)
        assert len(slack.answers("C0AMT")) == len(asked)
        for secret in (BOT_TOKEN, APP_TOKEN, "EfA", "Traceback"):
            assert secret not in processes.logs()


@pytest.mark.parametrize(("environ", "code", "said"), [
    ({"LOTSE_SLACK_BOT_TOKEN": "xoxb-wrong"}, 4, "LOTSE_SLACK_BOT_TOKEN"),
    ({"LOTSE_SLACK_APP_TOKEN": "xapp-wrong"}, 4, "LOTSE_SLACK_APP_TOKEN"),
    ({"LOTSE_SLACK_APP_TOKEN": ""}, 3, "LOTSE_SLACK_APP_TOKEN"),
])  # fmt: skip
async def test_lotse_run_ends_with_a_message_where_it_cannot_start(
    environ: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    async with stand_in().running() as slack:
        processes = Processes(slack, tmp_path)
        process = await processes.start(0, environ)
        try:
            async with asyncio.timeout(20):
                assert await process.wait() == code
        finally:
            if process.returncode is None:
                process.kill()
        assert said in processes.logs()
        assert "wrong" not in processes.logs()
        assert "Traceback" not in processes.logs()
