"""`lotse run` as real processes in the stand-in: started, killed, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.slack_standin import APP_TOKEN, BOT_TOKEN, StandIn
from tests.slack_town import TEAM_ROOM


class Processes:
    """Several bots on one store, each with a data folder of its own."""

    def __init__(self, slack: StandIn, folder: Path, count: int = 1, **more: str) -> None:
        self._folders = [folder / f"data{number}" for number in range(count)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOTSE_")}
        self._environ = inherited | {
            "LOTSE_SLACK_BOT_TOKEN": BOT_TOKEN,
            "LOTSE_SLACK_APP_TOKEN": APP_TOKEN,
            "LOTSE_SLACK_API_URL": slack.url,
            "LOTSE_SLACK_TEAM_CHANNEL": TEAM_ROOM,
            "LOTSE_DATABASE_URL": f"sqlite:///{folder / 'lotse.db'}",
            "LOTSE_LIMIT_PER_MINUTE": "0",
            "LOTSE_HASH_KEY": "k" * 32,
            **more,
        }
        self.running: list[asyncio.subprocess.Process] = []

    async def start_all(self) -> None:
        for number in range(len(self._folders)):
            self.running.append(await self.start(number))

    async def start(self, number: int, environ: Mapping[str, str] | None = None) -> Process:
        folder = self._folders[number]
        folder.mkdir(exist_ok=True)
        settings = {**self._environ, "LOTSE_DATA_DIR": str(folder), **(environ or {})}
        with (folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "run", env=settings, stdout=log, stderr=log
            )

    async def kill(self, number: int) -> None:
        """kill -9, and the same again in its place."""
        self.running[number].kill()
        await self.running[number].wait()
        self.running[number] = await self.start(number)

    async def stop_all(self) -> list[int]:
        """SIGTERM; their exit codes, AssertionError where one takes longer than 10 s."""
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(10):
                return [await process.wait() for process in self.running]
        except TimeoutError:
            raise AssertionError("did not stop within 10 s") from None

    async def end(self) -> None:
        for process in self.running:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def logs(self) -> str:
        return "".join((f / "log").read_text() for f in self._folders if (f / "log").exists())


Process = asyncio.subprocess.Process
