"""Makings: what is owed to the provider about meetings that are made here. Their table, which nobody else writes.

One row a meeting, gone when nothing is owed:
OPEN: it may have been made, and its reservation is not stored yet. The transaction that stores it takes the row away.
UNMAKE: there is to be no such meeting.
ALIGN: it may have been moved, and is to be where its reservation is. The transaction that moves that takes it away.
Times are epoch milliseconds of real time, wherever a development clock may stand.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.booking import answers
from services.booking.accounts import StaleError
from services.booking.answers import RequestKey
from services.booking.models import OWED_MAKING, RESERVATION
from services.platform.clock import MINUTE, SECOND
from services.platform.ids import new_id

OPEN, UNMAKE, ALIGN = "OPEN", "UNMAKE", "ALIGN"
PATIENCE = 2 * MINUTE
"""So long a meeting may stand without its reservation before it is unmade: longer than any request takes."""
LEASE = MINUTE
"""So long whoever holds a row is left alone."""
TRUSTED_SECONDS = LEASE / SECOND / 2
"""So long after it took a row whoever holds it may still ask for a move: it is answered before anybody else asks."""
AT_ONCE = 0

_C = OWED_MAKING.c
_NOBODYS = {"held_by": "", "actor": "", "request_id": "", "body_hash": b"", "reservation_id": ""}


class UnmadeError(StaleError):
    """The meeting is not to be reserved any more: it is already, or that took too long, and it is being unmade."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A row that is seen to here, as `held_by`."""

    making_id: str
    state: str
    reservation_id: str
    attempts: int
    held_by: str


# A meeting with its reservation


def open_for(connection: Connection, key: RequestKey, body: bytes, due: int) -> str:
    """The id under which its meeting is to be made: as it was begun with the same request, or a new one.

    Raises StaleError when it was answered meanwhile, errors.RpcError when the key was used with another body.
    """
    actor, request_id = key
    mine = (_C.actor == actor) & (_C.request_id == request_id) & (_C.state == OPEN)
    found = connection.execute(sa.select(_C.making_id, _C.body_hash).where(mine).with_for_update()).first()
    if found:
        answers.check_body(found.body_hash, body)
        connection.execute(sa.update(OWED_MAKING).where(_C.making_id == found.making_id).values(due_time=due))
        return str(found.making_id)
    if answers.read(connection, [key]):
        raise StaleError
    making_id = new_id("mkg")
    _insert(connection, making_id, OPEN, due, actor=actor, request_id=request_id, body_hash=body)
    return making_id


def require_open(connection: Connection, making_ids: Collection[str]) -> None:
    """Until the transaction ends nobody else takes them. Raises UnmadeError unless all are OPEN."""
    mine = sa.select(_C.making_id).where(_C.making_id.in_(making_ids), _C.state == OPEN)
    found = connection.scalars(mine.order_by(_C.making_id).with_for_update()).all()
    if len(found) < len(set(making_ids)):
        raise UnmadeError


def reserved(connection: Connection, making_ids: Collection[str]) -> None:
    """Their reservations are stored in this transaction."""
    connection.execute(sa.delete(OWED_MAKING).where(_C.making_id.in_(making_ids)))


def give_up(connection: Connection, making_ids: Collection[str]) -> None:
    """Those that are still OPEN are to be unmade."""
    mine = _C.making_id.in_(making_ids) & (_C.state == OPEN)
    values = _NOBODYS | {"state": UNMAKE, "due_time": AT_ONCE}
    connection.execute(sa.update(OWED_MAKING).where(mine).values(values))


def unmake_of(connection: Connection, reservation_id: str) -> None:
    """The meeting that was made with a reservation is to go, whatever was owed about it before."""
    making_id = read_id(connection, reservation_id)
    connection.execute(sa.delete(OWED_MAKING).where(_C.making_id == making_id))
    _insert(connection, making_id, UNMAKE, AT_ONCE)


# A meeting that is moved with its reservation


def hold(connection: Connection, reservation_id: str, held_by: str, now: int) -> str | None:
    """Its making's id, when nobody else moves the meeting, or None: from here on the meeting may be elsewhere."""
    making_id, leased = read_id(connection, reservation_id), {"held_by": held_by, "due_time": now + LEASE}
    row = connection.execute(sa.select(OWED_MAKING).where(_C.making_id == making_id).with_for_update()).first()
    if row is None:
        _insert(connection, making_id, ALIGN, reservation_id=reservation_id, due=now + LEASE, held_by=held_by)
    elif row.state == ALIGN and (row.held_by == held_by or row.due_time <= now):
        connection.execute(sa.update(OWED_MAKING).where(_C.making_id == making_id).values(leased))
    else:
        return None
    return making_id


def moved(connection: Connection, reservation_id: str, held_by: str) -> None:
    """Its reservation is moved in this transaction. Raises StaleError when the meeting is not held any more."""
    mine = (_C.reservation_id == reservation_id) & (_C.held_by == held_by) & (_C.state == ALIGN)
    if not connection.execute(sa.delete(OWED_MAKING).where(mine)).rowcount:
        raise StaleError


def align(connection: Connection, making_id: str, reservation_id: str, due: int) -> None:
    """It may be elsewhere now, whoever holds it: once more it is to be brought where its reservation is."""
    mine, values = _C.making_id == making_id, {"held_by": "", "due_time": due}
    row = connection.execute(sa.select(_C.state).where(mine).with_for_update()).first()
    if row is None:
        _insert(connection, making_id, ALIGN, reservation_id=reservation_id, due=due)
    elif row.state == ALIGN:
        connection.execute(sa.update(OWED_MAKING).where(mine).values(values))


def is_moving(connection: Connection, reservation_id: str) -> bool:
    """Whether its meeting may be elsewhere just now, by our own doing."""
    mine = (_C.reservation_id == reservation_id) & (_C.state == ALIGN)
    return connection.scalar(sa.select(sa.true()).where(sa.exists().where(mine))) is not None


# Whoever sees to what is due


def read_next(connection: Connection) -> int | None:
    """When something is due next."""
    due: int | None = connection.scalar(sa.select(sa.func.min(_C.due_time)))
    return due


def claim(connection: Connection, held_by: str, now: int, limit: int) -> list[Claim]:
    """What is due, longest first, held from here on. A meeting that waited too long for its reservation is unmade."""
    due = sa.select(OWED_MAKING).where(_C.due_time <= now).order_by(_C.due_time, _C.making_id)
    found = []
    for row in connection.execute(due.limit(limit).with_for_update(skip_locked=True)).all():
        state = UNMAKE if row.state == OPEN else row.state
        values: dict[str, Any] = {"state": state, "due_time": now + LEASE, "attempts": row.attempts + 1}
        if state == UNMAKE:
            values = _NOBODYS | values
        mine = _C.making_id == row.making_id
        connection.execute(sa.update(OWED_MAKING).where(mine).values(values | {"held_by": held_by}))
        found.append(Claim(row.making_id, state, row.reservation_id, row.attempts, held_by))
    return found


def settle(connection: Connection, claimed: Claim) -> None:
    """Nothing is owed any more, unless it was claimed anew, or something else is owed since."""
    connection.execute(sa.delete(OWED_MAKING).where(_held(claimed)))


def postpone(connection: Connection, claimed: Claim, due: int) -> None:
    connection.execute(sa.update(OWED_MAKING).where(_held(claimed)).values(held_by="", due_time=due))


def count_unsettled(connection: Connection) -> int:
    """Those that were tried, and are still owed."""
    tried = sa.select(sa.func.count()).select_from(OWED_MAKING).where(_C.attempts > 0)
    return connection.scalar(tried) or 0


def read_id(connection: Connection, reservation_id: str) -> str:
    """Of a reservation whose meeting was made with it."""
    r = RESERVATION.c
    making_id: str = connection.scalars(sa.select(r.making_id).where(r.reservation_id == reservation_id)).one()
    return making_id


def _held(claimed: Claim) -> sa.ColumnElement[bool]:
    return (_C.making_id == claimed.making_id) & (_C.held_by == claimed.held_by)


def _insert(connection: Connection, making_id: str, state: str, due: int, **values: Any) -> None:
    row = _NOBODYS | {"making_id": making_id, "state": state, "due_time": due, "attempts": 0} | values
    connection.execute(sa.insert(OWED_MAKING), [row])
