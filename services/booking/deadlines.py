"""Deadlines: their table, which nobody else writes, and the loop that deals with what is due.

A deadline is a row: found when due, dealt with in order, taken away in the transaction that deals with it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy

from services.booking import states
from services.booking.decisions import attendance_start, obligation
from services.booking.models import DEADLINE
from services.booking.transactions import until_fresh
from services.platform.clock import HOUR, SECOND, Clock, from_timestamp, wait_until
from services.platform.data.database import Database, Insert, query
from services.platform.observing import metrics
from services.platform.serving import errors
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

PAGE = 100
OVERDUE = metrics.gauge("yunhui_booking_deadline_overdue_seconds", "how long the oldest deadline has been due; 0: none")
RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.1
"""Every commit may bring an earlier deadline: looked at together, not one by one."""
RECONCILE = HOUR
"""So long before the start the meeting is looked at again: events may have been lost, others may want its room."""

Row = dict[str, Any]
_INSERT = Insert(DEADLINE)
Handler = Callable[[str, int], Awaitable[bool | None]]
"""Deals with a deadline of an entity, due at an epoch ms; the row is taken away afterwards. False: it was moved on."""


def rows(record: pb.Reservation, decision: policy.Decision) -> list[Row]:
    """What will happen to this reservation by itself, and when.

    However early it ends, or is made to end, it is over only when it is known whether anybody came.
    """
    expiry = obligation(decision, policy.Obligation.KIND_EXPIRE_ESCALATION)
    due = {
        states.COMPLETION: max(from_timestamp(record.end_time), from_timestamp(record.release_time)),
        states.ESCALATION: from_timestamp(record.start_time) - (expiry.seconds if expiry else 0) * SECOND,
    }
    if record.HasField("release_time"):
        due[states.ATTENDANCE] = from_timestamp(record.release_time)
    if (
        record.HasField("meeting")
        and from_timestamp(record.update_time) < from_timestamp(record.start_time) - RECONCILE
    ):
        due[states.RECONCILIATION] = from_timestamp(record.start_time) - RECONCILE
    kinds = states.DEADLINES[states.from_proto(record.state)]
    return [_row(record, kind, due[kind]) for kind in kinds if kind in due] + arrival_rows(record)


def arrival_rows(record: pb.Reservation) -> list[Row]:
    """One where somebody has looked in before the start, and somebody can be asked who is still there then."""
    asked = record.HasField("early_enter_time") and record.HasField("meeting")
    return [_row(record, states.ARRIVAL, attendance_start(record))] if asked else []


def _row(record: pb.Reservation, kind: str, due: int) -> Row:
    mine = {"entity_id": record.reservation_id, "account_id": record.organizer.account_id}
    return {"kind": kind, "due_time": due, **mine}


def insert(connection: Connection, deadlines: Sequence[Row]) -> None:
    _INSERT.execute(connection, deadlines)


def insert_suspension_end(connection: Connection, suspension: pb.Suspension) -> None:
    mine = {"entity_id": suspension.suspension_id, "account_id": suspension.account_id}
    due = from_timestamp(suspension.end_time)
    insert(connection, [{"kind": states.SUSPENSION_END, "due_time": due, **mine}])


def replace(connection: Connection, record: pb.Reservation, decision: policy.Decision) -> None:
    """Those of a changed reservation for those that it had before."""
    connection.execute(sa.delete(DEADLINE).where(DEADLINE.c.entity_id == record.reservation_id))
    insert(connection, rows(record, decision))


def drop_obsolete(connection: Connection, reservation_id: str, state: str) -> None:
    """All that do not belong to the state in which the reservation is now."""
    c = DEADLINE.c
    obsolete = (c.entity_id == reservation_id) & c.kind.not_in(states.DEADLINES.get(state, ()))
    connection.execute(sa.delete(DEADLINE).where(obsolete))


def reassign(connection: Connection, reservation_id: str, account_id: str) -> None:
    """Of what is another account's now; they stay due when they were."""
    c = DEADLINE.c
    connection.execute(sa.update(DEADLINE).where(c.entity_id == reservation_id).values(account_id=account_id))


def has(connection: Connection, kind: str, entity_id: str, due: int) -> bool:
    c = DEADLINE.c
    statement = sa.select(c.kind).where(c.kind == kind, c.entity_id == entity_id, c.due_time == due)
    return connection.scalar(statement) is not None


def read(connection: Connection, kind: str, entity_id: str) -> int | None:
    """When it is due, epoch ms."""
    c = DEADLINE.c
    due: int | None = connection.scalar(sa.select(c.due_time).where(c.kind == kind, c.entity_id == entity_id))
    return due


def move(connection: Connection, kind: str, entity_id: str, due: int, later: int) -> bool:
    """False when another was faster, or it is due at another time now."""
    c = DEADLINE.c
    mine = (c.kind == kind) & (c.entity_id == entity_id) & (c.due_time == due)
    return bool(connection.execute(sa.update(DEADLINE).where(mine).values(due_time=later)).rowcount)


def settle(connection: Connection, kind: str, entity_id: str, due: int, later: int | None) -> bool:
    """Moved on, or with None taken away. False when another was faster."""
    if later is not None:
        return move(connection, kind, entity_id, due, later)
    return take(connection, kind, entity_id, due)


def take(connection: Connection, kind: str, entity_id: str, due: int) -> bool:
    """Takes a deadline away; False when another was faster, or it is due at another time now."""
    c = DEADLINE.c
    mine = (c.kind == kind) & (c.entity_id == entity_id) & (c.due_time == due)
    return bool(connection.execute(sa.delete(DEADLINE).where(mine)).rowcount)


def set_due(connection: Connection, kind: str, entity_id: str, due: int) -> None:
    """Whenever it was due before."""
    c = DEADLINE.c
    mine = (c.kind == kind) & (c.entity_id == entity_id)
    connection.execute(sa.update(DEADLINE).where(mine).values(due_time=due))


@dataclass(frozen=True, slots=True)
class DueDeadline:
    kind: str
    entity_id: str
    due_time: int


def read_due(connection: Connection, now: int, limit: int) -> list[DueDeadline]:
    c = DEADLINE.c
    statement = sa.select(c.kind, c.entity_id, c.due_time).where(c.due_time <= now)
    rows = connection.execute(statement.order_by(c.due_time, c.kind, c.entity_id).limit(limit))
    return [DueDeadline(*row) for row in rows]


def read_next(connection: Connection) -> int | None:
    """Epoch ms of the next deadline."""
    [(earliest,)] = query(connection, "SELECT min(due_time) FROM deadline")
    return cast(int | None, earliest)


class Deadlines:
    """Sleeps until the next deadline; `wake` says that there may be an earlier one now.

    `handlers`, by kind, are given before it runs: what they do commits, and every commit wakes it.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.handlers: dict[str, Handler] = {}
        self._woken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """The rows stay, so nothing is lost by trying again."""
        await run_forever(self._take_turn, "deadlines", RETRY_SECONDS)

    async def _take_turn(self) -> None:
        self._woken.clear()
        next_due = await self._database.read(read_next)
        if next_due is not None and next_due <= self._clock.now():
            await self.catch_up()
        elif await wait_until(next_due, self._woken, self._clock):
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

    async def _read_due(self, failures: Collection[str]) -> list[DueDeadline]:
        most = PAGE + len(failures) * len(self.handlers)
        rows = await self._database.read(lambda c: read_due(c, self._clock.now(), most))
        return [due for due in rows if due.entity_id not in failures]

    async def _deal_with(self, due: DueDeadline, failures: dict[str, Exception]) -> None:
        async def attempt() -> None:
            # False: it was moved on, and may be due again at this very time by now
            if await self.handlers[due.kind](due.entity_id, due.due_time) is False:
                return
            await self._database.write(lambda c: take(c, due.kind, due.entity_id, due.due_time))

        try:
            await until_fresh(attempt)
        except Exception as error:
            log.warning("deadline %s of %s: %s", due.kind, due.entity_id, error)
            if isinstance(error, errors.RpcError) and error.code is grpc.StatusCode.UNAVAILABLE:
                raise
            failures[due.entity_id] = error
