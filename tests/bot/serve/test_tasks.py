"""A task that swallows a cancellation ends all the same."""

from __future__ import annotations

import asyncio

from bot.serve.tasks import end


async def test_a_lost_cancellation_is_repeated() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    async def failing() -> None:
        raise ValueError

    tasks = [asyncio.ensure_future(stubborn()), asyncio.ensure_future(failing())]
    await asyncio.sleep(0)
    await end(*tasks)
    assert [task.done() for task in tasks] == [True, True]
    assert swallowed == 2


async def test_nothing_to_end() -> None:
    await end()
