"""The bot that a tutorial builds with Bolt: the yardstick of the fault tests and the benchmark."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


def naive_app(
    url: str, token: str, answer: Callable[[str], str], *, messages: bool = False
) -> AsyncApp:
    """`messages`: also listen to the message events of the rooms, as many bots do."""
    app = AsyncApp(client=AsyncWebClient(token=token, base_url=url), signing_secret="unused")

    @app.event("app_mention")
    async def mentioned(event: dict[str, Any], say: Any) -> None:
        await say(text=answer(event["text"]), thread_ts=event.get("thread_ts", event["ts"]))

    if messages:

        @app.event("message")
        async def overheard(event: dict[str, Any], say: Any) -> None:
            if "bot_id" not in event and "subtype" not in event:
                await say(text=answer(event["text"]), thread_ts=event.get("thread_ts", event["ts"]))

    return app


@asynccontextmanager
async def naive_bot(
    url: str,
    token: str,
    app_token: str,
    answer: Callable[[str], str],
    *,
    messages: bool = False,
) -> AsyncIterator[AsyncApp]:
    app = naive_app(url, token, answer, messages=messages)
    handler = AsyncSocketModeHandler(app, app_token)
    await handler.connect_async()
    try:
        yield app
    finally:
        await handler.close_async()
