"""Sends what is due on one channel: by the table's due times, with growing pauses, until it is taken or given up."""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from services.notifier.channels import Channel, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import Deliveries
from services.platform.clock import SECOND, Clock, wait_until
from services.platform.observing import metrics, traces
from services.platform.serving import errors
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = metrics.counter("yunhui_notifier_attempts_total", "tries of deliveries", "channel", "verdict")
WORKERS = 4
STORE_TRIES = 20
RETRY_SECONDS = 1.0
RESCAN_MS = 30 * SECOND
"""What another replica queued and did not live to send is found at the latest after this time."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses between attempts: doubled each time up to a limit; given up after `give_up_ms` without an answer."""

    first_seconds: float = 5.0
    longest_seconds: float = 300.0
    give_up_ms: int = 4 * 86400 * SECOND

    def pause_ms(self, attempt: int) -> int:
        """`attempt` counts from 1."""
        return int(min(self.first_seconds * 2 ** min(attempt - 1, 32), self.longest_seconds) * SECOND)


@dataclass(slots=True)
class Outage:
    """The other side is away: nobody is tried before `until` (epoch ms), then one at a time."""

    failures: int
    until: int


class Sender:
    """Some workers on one channel; each takes one delivery at a time, and never two of them one recipient's."""

    def __init__(self, deliveries: Deliveries, channel: Channel, clock: Clock, retry: Retry) -> None:
        self._deliveries = deliveries
        self._channel = channel
        self._clock = clock
        self._retry = retry
        self._woken = asyncio.Event()
        self._taking = asyncio.Lock()
        self._busy: set[str] = set()
        self._outages: dict[str, Outage] = {}
        self._under_way: set[asyncio.Task[Any]] = set()

    def wake(self) -> None:
        """Something was queued."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; then what is under way is finished and stored first."""
        try:
            await asyncio.gather(*(self._work() for _ in range(WORKERS)))
        finally:
            while self._under_way:
                await asyncio.gather(*self._under_way, return_exceptions=True)
            await self._channel.rest()

    async def _work(self) -> None:
        """The rows stay, so nothing is lost by trying again."""

        async def send_one() -> None:
            await asyncio.shield(await self._take())

        await run_forever(send_one, self._channel.name, RETRY_SECONDS)

    async def _take(self) -> "asyncio.Task[None]":
        """Waits until something is due and begins to send it. One worker at a time, so an idle notifier asks once."""
        async with self._taking:
            while True:
                self._woken.clear()
                begun = await asyncio.shield(self._track(self._claim_and_begin()))
                if begun:
                    return begun
                if not self._under_way:
                    await self._channel.rest()
                await wait_until(await self._next_look(), self._woken, self._clock)

    async def _claim_and_begin(self) -> "asyncio.Task[None] | None":
        """Both or none, also when we are told to end in between: a claim left behind would hold the mail up."""
        if self._channel.shared and self._closed():
            return None
        claim = await self._deliveries.claim(self._channel.name, self._without())
        if claim is None:
            return None
        self._busy.add(claim.recipient)
        return self._track(self._deliver(claim))

    def _track(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def _closed(self) -> list[str]:
        """The lanes with an outage that is to be waited for, or is being probed."""
        now = self._clock.now()
        return [lane for lane, outage in self._outages.items() if outage.until > now or lane in self._probed()]

    def _probed(self) -> Collection[str]:
        return {self._lane(recipient) for recipient in self._busy}

    def _without(self) -> Collection[str]:
        return self._busy if self._channel.shared else self._busy.union(self._closed())

    def _lane(self, recipient: str) -> str:
        """What is away together."""
        return "" if self._channel.shared else recipient

    async def _next_look(self) -> int:
        now = self._clock.now()
        ends = [outage.until for outage in self._outages.values() if outage.until > now]
        if self._channel.shared and self._closed():
            return min([now + RESCAN_MS, *ends])  # when one is asking for all, it wakes us
        due = await self._deliveries.next_due(self._channel.name, self._without())
        return min([now + RESCAN_MS, *ends, *([] if due is None else [due])])

    async def _deliver(self, claim: DeliveryClaim) -> None:
        try:
            with traces.received(f"send {self._channel.name}", claim.traceparent, "client"):
                answer = await self._send(claim)
                self._note_outage(claim, answer)
                _report(claim, answer)
                await self._settle(claim, answer)
        finally:
            self._busy.discard(claim.recipient)
            self.wake()

    async def _send(self, claim: DeliveryClaim) -> SendResult:
        if claim.expire_time and self._clock.now() >= claim.expire_time:
            return SendResult(SendVerdict.PERMANENT, 0, "not sent: its time has passed")
        try:
            return await self._channel.send(claim)
        except Exception as error:
            log.exception("%s: delivery %s", self._channel.name, claim.delivery_id)
            return SendResult(SendVerdict.TEMPORARY, 0, f"an error of ours, which was logged: {type(error).__name__}")

    def _note_outage(self, claim: DeliveryClaim, answer: SendResult) -> None:
        lane = self._lane(claim.recipient)
        if answer.verdict is not SendVerdict.AWAY:
            self._outages.pop(lane, None)
            return
        now = self._clock.now()
        outage = self._outages.setdefault(lane, Outage(0, 0))
        if outage.until <= now:  # not when others had begun before it was known
            outage.failures += 1
            outage.until = now + self._retry.pause_ms(outage.failures)

    async def _settle(self, claim: DeliveryClaim, answer: SendResult) -> None:
        now = self._clock.now()
        due = now + self._retry.pause_ms(claim.number)
        again = (
            answer.verdict in (SendVerdict.TEMPORARY, SendVerdict.AWAY)
            and due < claim.first_time + self._retry.give_up_ms
        )
        for tries_left in reversed(range(STORE_TRIES)):
            try:
                await self._deliveries.settle(
                    claim, answer, due if again else None, lambda c: self._channel.record(c, claim, answer, now)
                )
                return
            except errors.RpcError:
                # the answer is known and must not get lost over a restart of the database: the mail would repeat
                if not tries_left:
                    raise
                await asyncio.sleep(RETRY_SECONDS)


def _report(claim: DeliveryClaim, answer: SendResult) -> None:
    """Without recipient or answer text: both are personal data."""
    ATTEMPTS.count(claim.channel, answer.verdict.value)
    level = logging.INFO if answer.verdict is SendVerdict.ACCEPTED else logging.WARNING
    log.log(level, "event %s: %s %s, code %d", claim.event_id, claim.kind, answer.verdict.value, answer.code)
