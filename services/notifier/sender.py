"""Sends what is due on one channel: by the table's due times, with growing pauses, until it is taken or given up."""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from services.notifier.channels import Channel, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import NOTHING, Deliveries, Settlement, Turn
from services.platform.clock import SECOND, Clock, wait_until
from services.platform.data.database import ConflictError
from services.platform.observing import metrics, traces
from services.platform.serving import errors
from services.platform.tasks import run_forever, wait_at_most

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = metrics.counter("yunhui_notifier_attempts_total", "tries of deliveries", "channel", "verdict")
AT_ONCE = 4
GATHER_SECONDS = 0.1
"""What is answered within this time, while others are being written to, is stored together."""
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
    """Sends on one channel, some deliveries at a time and never two of them one recipient's.

    In turns: what attempts came to is stored and what is sent next is claimed in one transaction.
    """

    def __init__(self, deliveries: Deliveries, channel: Channel, clock: Clock, retry: Retry) -> None:
        self._deliveries = deliveries
        self._channel = channel
        self._clock = clock
        self._retry = retry
        self._woken = asyncio.Event()
        self._quiet = asyncio.Event()
        """Nobody is being written to."""
        self._quiet.set()
        self._sending: set[str] = set()
        """The recipients that are being written to."""
        self._answers: list[Settlement] = []
        """Not stored yet."""
        self._outages: dict[str, Outage] = {}
        self._under_way: set[asyncio.Task[Any]] = set()

    def wake(self) -> None:
        """Something was queued, or answered."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; then what is under way is finished and stored first. The rows stay: nothing is lost."""
        try:
            await run_forever(self._take_turn, self._channel.name, RETRY_SECONDS)
        finally:
            while self._under_way:
                await asyncio.gather(*self._under_way, return_exceptions=True)
            await self._store_last()
            await self._channel.rest()

    async def _take_turn(self) -> None:
        self._woken.clear()
        # also when we are told to end meanwhile: a claim left behind would hold the mail up
        next_look = await asyncio.shield(self._track(self._store_and_begin()))
        if not self._sending:
            await self._channel.rest()
        await wait_until(next_look, self._woken, self._clock)
        if self._answers:
            await wait_at_most(self._quiet, GATHER_SECONDS)

    async def _store_and_begin(self) -> int:
        """Epoch ms of the next look, if nothing happens before."""
        turn = await self._store_and_claim(self._wanted())
        for claim in turn.claims:
            self._sending.add(claim.recipient)
            self._quiet.clear()
            self._track(self._deliver(claim))
        now = self._clock.now()
        ends = [outage.until for outage in self._outages.values() if outage.until > now]
        return min([now + RESCAN_MS, *ends, *([] if turn.next_look is None else [turn.next_look])])

    async def _store_and_claim(self, wanted: int) -> Turn:
        """Raises what keeps the database away; then the answers are kept: they are known, and a mail would repeat."""
        answers = self._answers[:]
        if not (answers or wanted):
            return NOTHING
        try:
            turn = await self._deliveries.turn(self._channel.name, answers, wanted, self._without())
        except errors.RpcError:
            raise
        except Exception:
            if not answers:
                raise
            await self._store_one_by_one()
            return Turn((), self._clock.now())
        del self._answers[: len(answers)]
        return turn

    async def _store_one_by_one(self) -> None:
        """So that none can keep the others out. What cannot be stored comes again when its lease ends; where another
        replica was faster, it is tried again with the next turn."""
        for answer in self._answers[:]:
            try:
                await self._deliveries.turn(self._channel.name, [answer])
            except errors.RpcError:
                raise
            except ConflictError:
                continue
            except Exception:
                log.exception("%s: delivery %s: its answer is not stored", self._channel.name, answer.claim.delivery_id)
            self._answers.remove(answer)

    async def _store_last(self) -> None:
        for tries_left in reversed(range(STORE_TRIES)):
            try:
                await self._store_and_claim(0)
            except errors.RpcError:
                if not tries_left:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def _track(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def _wanted(self) -> int:
        """How many more may be written to now. After an outage one asks for all."""
        if self._channel.shared and self._outages:
            return 0 if self._closed() else 1
        return AT_ONCE - len(self._sending)

    def _closed(self) -> list[str]:
        """The lanes with an outage that is to be waited for, or is being probed."""
        now = self._clock.now()
        probed = {self._lane(recipient) for recipient in self._sending}
        return [lane for lane, outage in self._outages.items() if outage.until > now or lane in probed]

    def _without(self) -> Collection[str]:
        return self._sending.union(() if self._channel.shared else self._closed())  # a copy: it is read in a thread

    def _lane(self, recipient: str) -> str:
        """What is away together."""
        return "" if self._channel.shared else recipient

    async def _deliver(self, claim: DeliveryClaim) -> None:
        try:
            with traces.received(f"send {self._channel.name}", claim.traceparent, "client"):
                answer = await self._send(claim)
                self._note_outage(claim, answer)
                _report(claim, answer)
                self._answers.append(self._settlement(claim, answer))
        finally:
            self._sending.discard(claim.recipient)
            if not self._sending:
                self._quiet.set()
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

    def _settlement(self, claim: DeliveryClaim, answer: SendResult) -> Settlement:
        now = self._clock.now()
        due = now + self._retry.pause_ms(claim.number)
        again = (
            answer.verdict in (SendVerdict.TEMPORARY, SendVerdict.AWAY)
            and due < claim.first_time + self._retry.give_up_ms
        )

        def record(connection: Connection) -> None:
            self._channel.record(connection, claim, answer, now)

        return Settlement(claim, answer, due if again else None, record, traces.current())


def _report(claim: DeliveryClaim, answer: SendResult) -> None:
    """Without recipient or answer text: both are personal data."""
    ATTEMPTS.count(claim.channel, answer.verdict.value)
    level = logging.INFO if answer.verdict is SendVerdict.ACCEPTED else logging.WARNING
    log.log(level, "event %s: %s %s, code %d", claim.event_id, claim.kind, answer.verdict.value, answer.code)
