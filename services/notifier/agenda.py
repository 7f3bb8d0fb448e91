"""The store of what is to be said later: planned notices, and the cases that support has before it. Only SQL is here.

Everything works on a connection, so that it can be part of a larger transaction. Times are epoch milliseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from services.notifier.models import CaseState, Delivery, DeliveryState, Planned, PlannedState, SupportCase
from services.platform.clock import DAY

PLANNED = SQLModel.metadata.tables[str(Planned.__tablename__)]
CASE = SQLModel.metadata.tables[str(SupportCase.__tablename__)]
DELIVERY = SQLModel.metadata.tables[str(Delivery.__tablename__)]

REMINDER, DIGEST = "reminder", "digest"
KEPT_MS = 30 * DAY
"""How long what is over is kept: until no late repeat of an old event can take it up again."""

# The newer version of a reservation wins, in whatever order its events arrive.
_PLAN = sa.text(
    "INSERT INTO planned (kind, entity_id, version, state, due_at, try_at, event_id, payload)"
    " VALUES (:kind, :entity_id, :version, :state, :due_at, :due_at, :event_id, :payload)"
    " ON CONFLICT (kind, entity_id) DO UPDATE SET version = excluded.version, state = excluded.state,"
    " due_at = excluded.due_at, try_at = excluded.try_at, event_id = excluded.event_id, payload = excluded.payload"
    " WHERE planned.version < excluded.version"
)
_OPEN = sa.text(
    "INSERT INTO support_case (reservation_id, version, state, closed_by, addresses, open_time, cutoff, payload)"
    " VALUES (:reservation_id, :version, 'open', '', :addresses, :open_time, :cutoff, :payload)"
    " ON CONFLICT (reservation_id) DO UPDATE SET version = excluded.version, addresses = excluded.addresses,"
    " cutoff = excluded.cutoff, payload = excluded.payload"
    " WHERE support_case.version < excluded.version AND support_case.state = 'open'"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One notice to come. `version` is that of the reservation; `event_id` names the mail."""

    kind: str
    entity_id: str
    version: int
    due_at: int
    event_id: str
    payload: str
    state: str = PlannedState.WAITING


@dataclass(frozen=True, slots=True)
class Due:
    """A planned notice as it was read. Whoever settles it compares `try_at`."""

    plan_id: int
    kind: str
    due_at: int
    try_at: int
    event_id: str
    payload: str


@dataclass(frozen=True, slots=True)
class Case:
    """A request that support is asked about. `cutoff` is 0 when no rule says until when."""

    reservation_id: str
    version: int
    addresses: Sequence[str]
    open_time: int
    cutoff: int
    payload: str


def plan(connection: Connection, planned: Plan) -> None:
    values = {name: getattr(planned, name) for name in Plan.__slots__}
    connection.execute(_PLAN, values)


def open_case(connection: Connection, case: Case) -> list[str]:
    """The addresses that were asked about it before. Changed, it counts as waiting since the first time."""
    query = sa.select(CASE.c.addresses).where(CASE.c.reservation_id == case.reservation_id)
    before = (connection.scalar(query) or "").split()
    values = {name: getattr(case, name) for name in Case.__slots__}
    connection.execute(_OPEN, {**values, "addresses": "\n".join(dict.fromkeys([*before, *case.addresses]))})
    return before


def close_case(connection: Connection, reservation_id: str, version: int, event_id: str) -> list[str]:
    """The addresses that still had the case before them; the same again when the same event comes again."""
    row = connection.execute(sa.select(CASE).where(CASE.c.reservation_id == reservation_id)).one_or_none()
    if row is None or row.closed_by not in ("", event_id) or row.version > version:
        return []
    closed = {"state": CaseState.CLOSED, "version": version, "closed_by": event_id, "payload": ""}
    connection.execute(sa.update(CASE).where(CASE.c.reservation_id == reservation_id).values(closed))
    return str(row.addresses).split("\n")


def read_cases(connection: Connection, now: int) -> list[Case]:
    """What can still be answered."""
    answerable = (CASE.c.cutoff == 0) | (CASE.c.cutoff > now)
    rows = connection.execute(sa.select(CASE).where(CASE.c.state == CaseState.OPEN, answerable))
    return [
        Case(row.reservation_id, row.version, row.addresses.split("\n"), row.open_time, row.cutoff, row.payload)
        for row in rows
    ]


def count_failed(connection: Connection, since: int) -> int:
    """Mails that a server has refused for good since then."""
    failed = (DELIVERY.c.state == DeliveryState.FAILED) & (DELIVERY.c.update_time >= since)
    return connection.scalar(sa.select(sa.func.count()).where(failed)) or 0


def read_due(connection: Connection, now: int, limit: int) -> list[Due]:
    c = PLANNED.c
    query = sa.select(c.id, c.kind, c.due_at, c.try_at, c.event_id, c.payload)
    mine = query.where(c.state == PlannedState.WAITING, c.try_at <= now)
    return [Due(*row) for row in connection.execute(mine.order_by(c.try_at, c.id).limit(limit))]


def read_next(connection: Connection) -> int | None:
    waiting = PLANNED.c.state == PlannedState.WAITING
    earliest: int | None = connection.scalar(sa.select(sa.func.min(PLANNED.c.try_at)).where(waiting))
    return earliest


def finish(connection: Connection, due: Due) -> bool:
    """It is said, or is not to be. False when somebody else was faster, or it has been planned anew.

    Personal data is kept only as long as it is needed.
    """
    return _move(connection, due, state=PlannedState.DONE, payload="")


def repeat(connection: Connection, due: Due, due_at: int) -> bool:
    """Done for this time; the next time is then. As finish."""
    return _move(connection, due, due_at=due_at, try_at=due_at)


def postpone(connection: Connection, due: Due, try_at: int) -> None:
    _move(connection, due, try_at=try_at)


def _move(connection: Connection, due: Due, **values: object) -> bool:
    c = PLANNED.c
    same = (c.id == due.plan_id) & (c.event_id == due.event_id) & (c.try_at == due.try_at)
    unchanged = same & (c.state == PlannedState.WAITING)
    return bool(connection.execute(sa.update(PLANNED).where(unchanged).values(values)).rowcount)


def prepare_digest(connection: Connection, next_due: int | None, now: int) -> None:
    """One row that repeats. One that is due stays due; one to come follows the setting, None for no digest."""
    c = PLANNED.c
    mine = c.kind == DIGEST
    if next_due is None:
        connection.execute(sa.delete(PLANNED).where(mine))
        return
    connection.execute(sa.update(PLANNED).where(mine, c.try_at > now).values(due_at=next_due, try_at=next_due))
    plan(connection, Plan(DIGEST, DIGEST, 0, next_due, DIGEST, ""))


def prune(connection: Connection, now: int) -> None:
    """Forgets what is long over."""
    over = PLANNED.c.state != PlannedState.WAITING
    connection.execute(sa.delete(PLANNED).where(over, PLANNED.c.due_at < now - KEPT_MS))
    connection.execute(sa.delete(CASE).where(CASE.c.open_time < now - KEPT_MS))
