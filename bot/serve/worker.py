"""What answers: computes the reply of a leased row once, delivers it until it is there.

The desk gives rows that it has just written; the loop leases what else there is: what waited
for its conversation, for another try, for a dead worker's lease to run out.  Order is kept
within a conversation, and no conversation waits for another.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from bot.chat import (
    Adapter,
    Conversation,
    CredentialRefused,
    Delivery,
    DeliveryFailed,
    Erase,
    HandedOver,
    Message,
    Posted,
    Purpose,
    Reply,
    StoreUnavailable,
)
from bot.search.library import Edition
from bot.serve import wording
from bot.serve.journal import HandOver, Job, Journal, LeaseLost
from bot.serve.metrics import Metrics
from bot.serve.tasks import end
from bot.talk.answering import State, answer
from bot.talk.conversation import CONTEXT

IN_HAND = 256  # rows leased at once; who comes after those waits in the journal
AT_ONCE = 32  # of these leased in one transaction
PARALLEL = 32  # of these under way at once
SHORT = 500  # characters that are thought about right on the event loop
POLL_S = 1.0  # how soon another process's or a dead worker's row is noticed
RENEW_S = 5.0
DELIVERY_S = 90.0  # an adapter that takes longer hangs; its own time-outs are shorter
BACK_OFF_S, LONGEST_BACK_OFF_S = 0.5, 60.0
MOST_FAILURES = 20  # about a quarter of an hour
STORE_RETRY_S = 5.0
HELLO = "Hallo"  # a conversation of two begins with the core's answer to this

log = structlog.get_logger("lotse.worker")


class Worker:
    """Answers for `adapters` until stopped.

    `alive` is called on every turn of the loop; `refused` when a delivery meets a refused
    credential.
    """

    def __init__(
        self,
        journal: Journal,
        adapters: Sequence[Adapter],
        edition: Callable[[], Edition],
        *,
        owner: str,
        context: timedelta = CONTEXT,
        metrics: Metrics | None = None,
        alive: Callable[[], None] = lambda: None,
        refused: Callable[[Adapter, CredentialRefused], None] = lambda _adapter, _error: None,
    ) -> None:
        self._journal = journal
        self._adapters = list(adapters)
        self._edition = edition
        self.owner = owner
        self._context = context
        self._metrics = metrics or Metrics()
        self._alive = alive
        self._refused = refused
        self._work = asyncio.Event()
        self._stopping = False
        self._behind = True  # there may be rows that nobody has leased
        self._jobs: dict[asyncio.Task[None], Job] = {}
        self._slots = asyncio.Semaphore(PARALLEL)
        self._thinking = ThreadPoolExecutor(1, thread_name_prefix="lotse-core")
        self.store_works = True

    def wake(self) -> None:
        """There may be rows to lease."""
        self._behind = True
        self._work.set()

    def room(self, messages: Sequence[Message]) -> int:
        """How many new rows may be leased for this worker at once.

        None while older ones wait: who came first is served first.
        """
        if self._stopping or self._behind or not messages:
            return 0
        adapter = self._adapter(messages[0].conversation)
        return max(0, IN_HAND - len(self._jobs)) if adapter and adapter.connected() else 0

    def take(self, jobs: Iterable[Job]) -> None:
        """Work on rows that are leased for this worker."""
        for job in jobs:
            task = asyncio.ensure_future(self._handled(job))
            self._jobs[task] = job
            task.add_done_callback(self._ended)

    async def run(self) -> None:
        """Work until `stop`; then finish what is under way and give the rest back."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        try:
            while not self._stopping:
                self._alive()
                self._work.clear()
                claimed = await self._claimed()
                self.take(claimed)
                if self._jobs and loop.time() - renewed >= RENEW_S:
                    renewed = loop.time()
                    rows = [job.id for job in self._jobs.values()]
                    await self._quietly(self._journal.renew(self.owner, rows))
                if claimed:
                    await asyncio.sleep(0)  # let them begin
                else:
                    await self._wait(POLL_S if self.store_works else STORE_RETRY_S)
            if self._jobs:
                await asyncio.wait(self._jobs)
        finally:
            await end(*self._jobs)
            await self._quietly(self._journal.release(self.owner))
            self._thinking.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Take nothing new; `run` returns when what is under way is done."""
        self._stopping = True
        self.wake()

    # --- the loop ---

    async def _claimed(self) -> list[Job]:
        free = min(IN_HAND - len(self._jobs), AT_ONCE)
        routes = [(a.name, a.workspace) for a in self._adapters if a.connected()]
        if free <= 0 or not routes:
            return []
        self._behind = True  # until it is known that nobody waits
        try:
            jobs = await self._journal.claim(self.owner, routes, free)
        except StoreUnavailable as error:
            self._store_failed(error)
            return []
        self._behind = len(jobs) == free or self._work.is_set()
        if not self.store_works:
            log.info("store_available")
        self.store_works = True
        return jobs

    def _store_failed(self, error: StoreUnavailable) -> None:
        """Said once when it begins; `store_available` says when it is over."""
        self._metrics.store_failures.inc()
        if self.store_works:
            log.error("store_unavailable", reason=str(error))
        self.store_works = False

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._work.wait()
        except TimeoutError:
            return

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._jobs[task]
        if self._behind and len(self._jobs) == IN_HAND // 2:
            self._work.set()  # there is room again, worth a claim

    async def _quietly(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except StoreUnavailable as error:
            log.debug("store_unavailable", reason=str(error))

    # --- one row ---

    async def _handled(self, job: Job) -> None:
        adapter = self._adapter(job.message.conversation)
        if adapter is None:
            return
        try:
            async with self._slots:
                if self._stopping:
                    return  # the next process takes it up
                async with asyncio.timeout(DELIVERY_S):
                    await self._settled(job, adapter)
        except LeaseLost:
            log.info("lease_lost", adapter=adapter.name)
        except DeliveryFailed as error:
            await self._quietly(self._put_off(job, adapter, error))
        except CredentialRefused as error:
            later = DeliveryFailed("credential refused", retry_after_s=POLL_S, unsent=True)
            await self._quietly(self._put_off(job, adapter, later))
            self._refused(adapter, error)
        except StoreUnavailable as error:
            # The lease runs out and the row is taken up again: same key, same reply.
            self._store_failed(error)
        except Exception as error:
            # The text of a foreign exception may hold anything, also a question.
            why = type(error).__name__
            log.error("delivery_broke", adapter=adapter.name, error=why, where=_where(error))
            await self._quietly(self._put_off(job, adapter, DeliveryFailed(why)))

    async def _settled(self, job: Job, adapter: Adapter) -> None:
        if job.withdraw is not None:
            if job.withdraw.ids:
                await adapter.withdraw(job.message.conversation, job.withdraw)
            await self._journal.withdrawn(job)
            return
        began = time.monotonic()
        reply = job.reply or await self._answered(job, adapter)
        posted = await adapter.deliver(
            Delivery(
                key=job.key,
                message=job.message,
                reply=reply,
                replaces=job.replaces[0] if job.replaces else "",
                also_replaces=job.replaces[1:],
                attempt=job.attempt,
                purpose=job.purpose,
            )
        )
        if await self._recorded(replace(job, reply=reply), posted):
            self.wake()
        self._metrics.answer_seconds.observe(time.monotonic() - began)

    async def _answered(self, job: Job, adapter: Adapter) -> Reply:
        """Compute the reply and store it with all that follows from it."""
        edition = self._edition()
        reply, state = await self._computed(job, edition)
        handed = next((e for e in reply.events if isinstance(e, HandedOver)), None)
        to_team = (
            HandOver(
                adapter.team,
                wording.hand_over(edition, handed.question, callback=handed.callback),
            )
            if handed and adapter.team
            else None
        )
        stored = await self._journal.answered(
            job,
            reply,
            state,
            to_team,
            lambda said, removed: wording.with_removed(said, removed, edition),
        )
        if job.purpose is Purpose.ANSWER:
            self._metrics.questions.labels(reply.outcome).inc()
        if to_team:
            self.wake()
        if any(isinstance(event, Erase) for event in reply.events):
            await self._quietly(self._journal.store.tidy())
        return stored

    async def _computed(self, job: Job, edition: Edition) -> tuple[Reply, str | None]:
        if job.purpose is Purpose.NOTICE:
            return wording.too_many(edition), None
        with self._metrics.core_seconds.time():
            if len(job.message.text) <= SHORT:  # longer ones may take a tenth of a second
                return _think(job, edition, self._context)
            return await asyncio.get_running_loop().run_in_executor(
                self._thinking, _think, job, edition, self._context
            )

    async def _recorded(self, job: Job, posted: Posted) -> bool:
        """Note that the answer is out; a store that is away for a moment is waited for.

        Says whether there is more to do in the conversation.
        """
        for pause in (0.2, 1.0, 3.0):
            try:
                return await self._journal.delivered(job, posted)
            except StoreUnavailable:
                await asyncio.sleep(pause)
        return await self._journal.delivered(job, posted)

    async def _put_off(self, job: Job, adapter: Adapter, error: DeliveryFailed) -> None:
        self._metrics.failures.labels(adapter.name).inc()
        counts = not error.retry_after_s
        if error.permanent or (counts and job.failures + 1 >= MOST_FAILURES):
            log.error("delivery_given_up", adapter=adapter.name, reason=str(error))
            await self._journal.given_up(job)
            self.wake()
            return
        wait = error.retry_after_s or back_off(job.failures)
        log.warning("delivery_put_off", adapter=adapter.name, reason=str(error), wait_s=wait)
        await self._journal.failed(job, wait, counts=counts, unsent=error.unsent)
        asyncio.get_running_loop().call_later(wait + 0.01, self.wake)

    def _adapter(self, where: Conversation) -> Adapter | None:
        return next(
            (
                a
                for a in self._adapters
                if a.name == where.adapter and a.workspace in ("", where.workspace)
            ),
            None,
        )


def back_off(failures: int) -> float:
    """Seconds until the next try: doubled each time up to a minute, half of it by chance."""
    longest = min(LONGEST_BACK_OFF_S, BACK_OFF_S * 2.0 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, no secret)


def _think(job: Job, edition: Edition, context: timedelta) -> tuple[Reply, str | None]:
    """The core, which never fails: whatever breaks in it is said to the asker."""
    greets = job.purpose is Purpose.GREETING
    message = replace(job.message, text=HELLO) if greets else job.message
    try:
        reply, state = answer(message, State.from_json(job.state), edition, context=context)
    except Exception as error:
        log.error("core_broke", error=type(error).__name__, where=_where(error))
        return wording.out_of_order(edition), job.state
    return reply, state.to_json()


def _where(error: BaseException) -> str:
    """File and line of a failure: what helps a developer, without any value."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    if frame is None:
        return ""
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno}"
