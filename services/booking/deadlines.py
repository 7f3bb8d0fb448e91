"""Deadlines are rows: found when due, dealt with in order, taken away in the transaction that deals with them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.booking import life, store
from services.booking.inquiries import Inquiries
from services.booking.lifecycle import Lifecycle, until_fresh
from services.booking.reservations import take_deadline
from services.platform.clock import Clock, wait_until
from services.platform.data.database import Database
from services.platform.observing import metrics
from services.platform.serving import errors
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

PAGE = 100
OVERDUE = metrics.gauge("yunhui_booking_deadline_overdue_seconds", "how long the oldest deadline has been due; 0: none")
RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.1
"""Every commit may bring an earlier deadline: looked at together, not one by one."""


@dataclass(frozen=True, slots=True)
class Due:
    kind: str
    entity_id: str
    due_time: int


class Deadlines:
    """Sleeps until the next deadline; `wake` says that there may be an earlier one now.

    `inquiries` None: meetings are not looked up, and who came is what was reported.
    """

    def __init__(
        self, database: Database, clock: Clock, lifecycle: Lifecycle, inquiries: Inquiries | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._handlers: Mapping[str, Callable[[str, int], Awaitable[bool | None]]] = {
            life.ATTENDANCE: inquiries.judge_attendance if inquiries else lifecycle.judge_attendance,
            life.COMPLETION: lifecycle.complete,
            life.ESCALATION: lifecycle.expire,
            life.SUSPENSION_END: lifecycle.reinstate,
            life.RECONCILIATION: inquiries.reconcile if inquiries else _leave,
            life.ARRIVAL: inquiries.look_who_stayed if inquiries else _leave,
        }
        self._woken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """The rows stay, so nothing is lost by trying again."""
        await run_forever(self._take_turn, "deadlines", RETRY_SECONDS)

    async def _take_turn(self) -> None:
        self._woken.clear()
        await self.catch_up()
        next_due = await self._database.read(read_next)
        if await wait_until(next_due, self._woken, self._clock):
            await asyncio.sleep(GATHER_SECONDS)

    async def catch_up(self) -> None:
        """Deals with everything that is due, in the order in which it was due.

        What cannot be dealt with stays, and holds up only what was due later for the same reservation or suspension.
        Raises the first error, when there was one; at once when the policy or the database is away, for then the rest
        would fail the same way, one by one.
        """
        failures: dict[str, Exception] = {}
        async with self._one_at_a_time:
            while page := await self._read_due(failures):
                for due in page:
                    if due.entity_id not in failures:
                        await self._deal_with(due, failures)
        if failures:
            raise next(iter(failures.values()))

    async def figures(self) -> None:
        """Sets the gauge from what is stored."""
        due = await self._database.read(read_next)
        OVERDUE.set(to=0 if due is None else max(0, self._clock.now() - due) / 1000)

    async def _read_due(self, failures: Collection[str]) -> list[Due]:
        most = PAGE + len(failures) * len(self._handlers)
        rows = await self._database.read(lambda c: read_due(c, self._clock.now(), most))
        return [due for due in rows if due.entity_id not in failures]

    async def _deal_with(self, due: Due, failures: dict[str, Exception]) -> None:
        async def attempt() -> None:
            # False: it was moved on, and may be due again at this very time by now
            if await self._handlers[due.kind](due.entity_id, due.due_time) is False:
                return
            await self._database.write(lambda c: take_deadline(c, due.kind, due.entity_id, due.due_time))

        try:
            await until_fresh(attempt)
        except Exception as error:
            log.warning("deadline %s of %s: %s", due.kind, due.entity_id, error)
            if isinstance(error, errors.RpcError) and error.code is grpc.StatusCode.UNAVAILABLE:
                raise
            failures[due.entity_id] = error


async def _leave(_entity_id: str, _due: int) -> None:
    """Nothing to do; the deadline goes."""


def read_due(connection: Connection, now: int, limit: int) -> list[Due]:
    c = store.DEADLINE.c
    query = sa.select(c.kind, c.entity_id, c.due_time).where(c.due_time <= now)
    rows = connection.execute(query.order_by(c.due_time, c.kind, c.entity_id).limit(limit))
    return [Due(*row) for row in rows]


def read_next(connection: Connection) -> int | None:
    """Epoch ms of the next deadline."""
    earliest: int | None = connection.scalar(sa.select(sa.func.min(store.DEADLINE.c.due_time)))
    return earliest
