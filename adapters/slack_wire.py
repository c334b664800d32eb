"""Requests to Slack, with their outcome told apart, and Bolt set up to acknowledge late.

Thin I/O: knows tokens and errors, nothing of questions and answers.
"""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger("lotse.slack")

Json = dict[str, Any]
Call = Callable[..., Awaitable[Any]]

TIMEOUT_S = 10.0  # of one request; shorter than the worker's lease
MAX_BACKOFF_S = 60.0

CREDENTIAL_ERRORS = {
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
    "not_allowed_token_type", "org_login_required", "invalid_app_token",
}  # fmt: skip
_PASSING_ERRORS = {
    "internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited",
    "rate_limited", "message_limit_exceeded", "accesslimited",
}  # fmt: skip


class Refused(Exception):
    """Slack understood and said no: `error` is its name, `needed` a missing scope."""

    def __init__(self, error: str, needed: str = "") -> None:
        super().__init__(error)
        self.error, self.needed = error, needed


class Limited(Exception):
    """Too many requests: nothing was done."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Unsent(Exception):
    """No connection came about: nothing was done."""


class Unknown(Exception):
    """No usable reply: it may or may not have been done."""


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """One pool of connections for everything; requests end within `TIMEOUT_S`."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as opened:
        yield opened


def client(opened: aiohttp.ClientSession, url: str, token: str = "") -> AsyncWebClient:
    """A client that never retries by itself: it would post twice."""
    made = AsyncWebClient(
        token=token, base_url=url, session=opened, retry_handlers=[], logger=_quiet("sdk")
    )
    made.proxy = proxy_for(url)  # the SDK would take one also for addresses it must not serve
    return made


async def call(method: Call, **args: Any) -> Json:
    """One request.  Raises `Refused`, `Limited`, `Unsent` or `Unknown`, nothing else."""
    try:
        response = await method(**args)
    except SlackApiError as error:
        found: Any = error.response  # the SDK's, or aiohttp's where the body was no JSON
        status = int(getattr(found, "status_code", getattr(found, "status", 0)) or 0)
        raise _outcome(status, found.headers, getattr(found, "data", None)) from None
    except aiohttp.ClientConnectorError as error:
        raise Unsent(type(error).__name__) from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Unknown(type(error).__name__) from None
    data = response.data
    scopes = response.headers.get("x-oauth-scopes")
    return {**data, "_scopes": scopes} if scopes is not None else dict(data)


async def post(opened: aiohttp.ClientSession, web_client: AsyncWebClient, body: Json) -> Json:
    """`chat.postMessage`, which every answer needs, without the SDK's share of the time.

    Raises as `call` does.
    """
    headers = {
        "Authorization": f"Bearer {web_client.token}",
        "Content-Type": "application/json; charset=utf-8",
    }
    request = opened.post(
        f"{web_client.base_url}chat.postMessage",
        data=json.dumps(body).encode(),
        headers=headers,
        proxy=web_client.proxy,
    )
    try:
        async with request as response:
            text = await response.read()
    except aiohttp.ClientConnectorError as error:
        raise Unsent(type(error).__name__) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unknown(type(error).__name__) from None
    data: Any = None
    with suppress(ValueError):
        data = json.loads(text)
    if response.status == 200 and isinstance(data, dict) and data.get("ok"):
        return data
    raise _outcome(response.status, response.headers, data)


def _outcome(status: int, headers: Any, data: Any) -> Exception:
    """What an unsuccessful response means."""
    if status == 429:
        return Limited(_retry_after(headers))
    if not isinstance(data, dict) or not data.get("error"):
        return Unknown(f"status {status}")
    if data["error"] in ("ratelimited", "rate_limited"):
        return Limited(_retry_after(headers))
    if status >= 500 or data["error"] in _PASSING_ERRORS:
        return Unknown(str(data["error"]))
    return Refused(str(data["error"]), str(data.get("needed") or ""))


def _retry_after(headers: Any) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", 1)))
    except ValueError:
        return 1.0


async def respond(opened: aiohttp.ClientSession, url: str, body: Json) -> None:
    """Answer through a response_url.  Raises as `call` does."""
    try:
        async with opened.post(url, json=body, proxy=proxy_for(url)) as response:
            text = await response.text()
            if response.status == 429:
                raise Limited(_retry_after(response.headers))
            named = re.fullmatch(r"[a-z]+(_[a-z]+)+", text) and text not in _PASSING_ERRORS
            if 400 <= response.status < 500 or named:
                raise Refused(text if len(text) < 100 else f"status {response.status}")
            if response.status >= 500:
                raise Unknown(f"status {response.status}")
    except aiohttp.ClientConnectorError as error:
        raise Unsent(type(error).__name__) from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Unknown(type(error).__name__) from None


def backoff_s(failures: int) -> float:
    """1, 2, 4 … up to 60 seconds, each shortened by chance so that many do not come at once."""
    return min(MAX_BACKOFF_S, 2.0**failures) * random.uniform(0.5, 1.0)  # noqa: S311


def proxy_for(url: str) -> str | None:
    """The proxy of the environment for an address, `NO_PROXY` respected."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get("https" if parts.scheme in ("https", "wss") else "http")


def _quiet(name: str) -> logging.Logger:
    """A logger for the libraries: below warnings they print whole questions."""
    logger = log.getChild(name)
    logger.setLevel(logging.ERROR)
    return logger


def bolt(web_client: AsyncWebClient, identity: AuthorizeResult) -> AsyncApp:
    """A Bolt app that acknowledges only after its listener has returned without an error."""

    async def authorize() -> AuthorizeResult:
        return identity  # one workspace, one token: no request is needed to know it

    return AsyncApp(
        client=web_client,
        authorize=authorize,
        logger=_quiet("bolt"),
        process_before_response=True,
        request_verification_enabled=False,  # `Endpoint` checks first, and logs no bodies
        ssl_check_enabled=False,  # answers unsigned requests
    )
