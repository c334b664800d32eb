"""Ends tasks for certain: one cancellation can get lost, a repeated one cannot for long."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 1.0


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel the tasks until they are done; what they raise is theirs.

    A cancellation that meets a time-out or the end of a request in the same turn of the loop
    may be swallowed on its way, and the task goes on.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
