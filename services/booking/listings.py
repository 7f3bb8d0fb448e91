"""Lists in pages, each of which costs the same however much is stored and however far down it is."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking.models import LONGEST, RESERVATION, VIOLATION
from services.booking.queries import RECORD, to_reservation, to_violation
from services.booking.scopes import EVERYBODY, Whose, accounts_in

FEW = 500
"""Rows that are cheaper to look at than to be clever about."""


@dataclass(frozen=True, slots=True)
class ReservationFilter:
    """What to list. `before_key` is (start_time, reservation_id) of the last row of the page before."""

    account_id: str
    states: list[str]
    after: int | None
    before: int | None
    before_key: tuple[int, str] | None
    limit: int
    whose: Whose = EVERYBODY


def list_reservations(connection: Connection, wanted: ReservationFilter) -> list[pb.Reservation]:
    """Latest start first. Raises errors.RpcError when it asks for an account that is none of those."""
    c = RESERVATION.c
    query = RECORD.order_by(c.start_time.desc(), c.reservation_id.desc()).limit(wanted.limit)
    if wanted.account_id:
        wanted.whose.require(connection, wanted.account_id)
        query = query.where(c.account_id == wanted.account_id, *_narrowed(c, wanted, wanted.states))
    elif wanted.whose.scope is None:
        query = query.where(*_narrowed(c, wanted, wanted.states))
    else:
        ids = _near(connection, wanted)
        query = query.where(c.reservation_id.in_(_latest(wanted, wanted.whose.scope) if ids is None else ids))
    return [to_reservation(row) for row in connection.execute(query).mappings()]


def _narrowed(c: Any, wanted: ReservationFilter, states: Collection[str]) -> list[sa.ColumnElement[bool]]:
    """What of the filter holds whoever it is, of the columns `c`."""
    found: list[sa.ColumnElement[bool]] = []
    if states:
        found.append(c.state.in_(states))
    if wanted.after is not None:
        found += [c.end_time > wanted.after, c.start_time > wanted.after - LONGEST]
    if wanted.before is not None:
        found.append(c.start_time < wanted.before)
    if wanted.before_key:
        found.append(sa.tuple_(c.start_time, c.reservation_id) < wanted.before_key)
    return found


def _near(connection: Connection, wanted: ReservationFilter) -> list[str] | None:
    """Ids of the page, if they are all among the first few of everybody's: of large scopes, and of what is open. Of
    several states those would have to be looked for."""
    if len(wanted.states) > 1:
        return None
    c = RESERVATION.c
    first = sa.select(c.reservation_id, c.account_id).where(*_narrowed(c, wanted, wanted.states))
    few = first.order_by(c.start_time.desc(), c.reservation_id.desc()).limit(FEW).cte("few")
    found = sa.select(few.c.reservation_id, wanted.whose.covers(few.c.account_id))
    rows = connection.execute(found).all()
    ids = [reservation_id for reservation_id, covered in rows if covered]
    return ids[: wanted.limit] if len(ids) >= wanted.limit or len(rows) < FEW else None


def _latest(wanted: ReservationFilter, scope: Collection[str]) -> sa.Select[tuple[str]]:
    """Ids of the page, of accounts among all others.

    In the order of time they may be rare, and to look at each account's would take as long as there are. But none of
    the page belongs to an account of which not even the latest would be on it, and so the latest of each is looked up
    first: one step in an index. The same for each state of each account, where states are asked for.
    """
    accounts = sa.union(accounts_in(scope), sa.select(sa.literal(wanted.whose.own))).cte("accounts")
    if wanted.states:
        each_state = [sa.select(accounts.c.account_id, sa.literal(each).label("state")) for each in wanted.states]
        groups = sa.union_all(*each_state).cte("groups")
    else:
        groups = accounts
    head = [_of_group(groups, wanted, name, place=0).label(f"head_{name}") for name in ("start_time", "reservation_id")]
    latest = sa.select(groups, *head).cte("latest")
    order = latest.c.head_start_time.desc(), latest.c.head_reservation_id.desc()
    leading = (
        sa.select(*(latest.c[each.name] for each in groups.c))
        .where(latest.c.head_start_time.is_not(None))
        .order_by(*order)
        .limit(wanted.limit)
        .cte("leading")
    )
    last = _of_group(leading, wanted, "start_time", place=wanted.limit - 1)
    r = RESERVATION.alias("r")
    mine = [r.c.account_id == leading.c.account_id, r.c.start_time >= sa.func.coalesce(last, 0)]
    mine += [r.c.state == leading.c.state] if wanted.states else []
    found = sa.select(r.c.reservation_id).join(leading, sa.and_(*mine)).where(*_narrowed(r.c, wanted, ()))
    return found.order_by(r.c.start_time.desc(), r.c.reservation_id.desc()).limit(wanted.limit)


def _of_group(groups: sa.CTE, wanted: ReservationFilter, name: str, *, place: int) -> sa.ScalarSelect[Any]:
    """A column of the reservation at that place in the order of the page, among those of a row of `groups`."""
    one = RESERVATION.alias("one")
    mine = [one.c.account_id == groups.c.account_id, *_narrowed(one.c, wanted, ())]
    mine += [one.c.state == groups.c.state] if wanted.states else []
    query = sa.select(one.c[name]).where(*mine).correlate(groups)
    return query.order_by(one.c.start_time.desc(), one.c.reservation_id.desc()).limit(1).offset(place).scalar_subquery()


@dataclass(frozen=True, slots=True)
class ObjectionFilter:
    """What to list. `after_key` is (objection_order, violation_id) of the last row of the page before."""

    outcomes: list[str]
    after_key: tuple[int, str] | None
    limit: int
    whose: Whose = EVERYBODY


def list_objections(connection: Connection, wanted: ObjectionFilter) -> list[tuple[int, pb.Violation]]:
    """Open ones first, then oldest first; each with its objection_order."""
    c = VIOLATION.c
    query = sa.select(VIOLATION).where(c.objection_order.is_not(None), wanted.whose.covers(c.account_id))
    if wanted.outcomes:
        query = query.where(c.objection_outcome.in_(wanted.outcomes))
    if wanted.after_key:
        query = query.where(sa.tuple_(c.objection_order, c.violation_id) > wanted.after_key)
    found = connection.execute(query.order_by(c.objection_order, c.violation_id).limit(wanted.limit))
    return [(row["objection_order"], to_violation(row)) for row in found.mappings()]
