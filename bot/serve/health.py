"""What the outside may ask a running process: alive, ready, how much; and what systemd hears."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.chat import StoreUnavailable
from bot.serve.journal import Journal
from bot.serve.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether questions are answered right now, and what stands in the way."""

    store: bool
    knowledge: str  # revision in force
    adapters: dict[str, bool]

    @property
    def ready(self) -> bool:
        return self.store and bool(self.adapters) and all(self.adapters.values())


class Health:
    """`/healthz`, `/readyz` and `/metrics` on one address."""

    def __init__(
        self, journal: Journal, metrics: Metrics, readiness: Callable[[], Readiness]
    ) -> None:
        self._journal = journal
        self._metrics = metrics
        self._readiness = readiness
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self, host: str, port: int) -> None:
        """Raises `OSError` where the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        now = self._readiness()
        body = {
            "ready": now.ready,
            "store": now.store,
            "knowledge": now.knowledge,
            "adapters": now.adapters,
        }
        return web.json_response(body, status=200 if now.ready else 503)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        for name, connected in self._readiness().adapters.items():
            self._metrics.connected.labels(name).set(connected)
        with suppress(StoreUnavailable):  # what is counted in memory is shown all the same
            stats = await self._journal.stats()
            self._metrics.depth.set(stats.open)
            self._metrics.oldest.set(stats.oldest_open_s)
            self._metrics.dead.set(stats.dead)
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def tell_systemd(state: str) -> None:
    """`READY=1`, `WATCHDOG=1`, `STOPPING=1`; nothing where systemd does not listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as notify:
        notify.sendto(state.encode(), address.replace("@", "\0", 1))
