"""Licences for advanced accounts: what was bought, what is given, and that never more are given than were bought."""

from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.directory import changes, fields
from services.directory.changes import Changes, Outcome
from services.directory.models import MEMBER, ORGANIZATION, PURCHASE
from services.platform.clock import DAY, to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.serving import errors
from services.platform.text.messages import message

PERMISSION = "licences.edit"
ENTITY = "licences"
MAX_COUNT = 1_000_000
MAX_PURCHASES = 1_000
MAX_NOTE = 500
RETURNABLE = 7 * DAY


async def get(database: Database, now: int) -> api.GetLicencesResponse:
    """With the figures at `now`, in epoch ms."""

    def work(connection: Connection) -> api.GetLicencesResponse:
        query = sa.select(PURCHASE).order_by(PURCHASE.c.end_time, PURCHASE.c.purchase_id)
        purchases = [to_message(row) for row in connection.execute(query)]
        return api.GetLicencesResponse(figures=figures(connection, now), purchases=purchases)

    return await database.read(work)


async def put(made: Changes, request: api.PutLicencePurchaseRequest, by: audit.Caller) -> pb.LicenceFigures:
    """Raises errors.RpcError; then nothing was changed."""
    purchase = to_values(request.purchase)

    def work(connection: Connection, now: int) -> Outcome[pb.LicenceFigures]:
        before = find(connection, purchase["purchase_id"])
        if before and purchase == before._mapping:
            return Outcome(figures(connection, now), (), ())
        if before:
            is_it = PURCHASE.c.purchase_id == before.purchase_id
            connection.execute(sa.update(PURCHASE).where(is_it).values(purchase))
        else:
            check_number(connection)
            connection.execute(sa.insert(PURCHASE).values(purchase))
        return changed(connection, before, find(connection, purchase["purchase_id"]), by, now)

    return await made.make(work)


async def delete(made: Changes, request: api.DeleteLicencePurchaseRequest, by: audit.Caller) -> pb.LicenceFigures:
    """Raises errors.RpcError; then nothing was changed."""
    purchase_id = fields.identifier("purchase_id", request.purchase_id)

    def work(connection: Connection, now: int) -> Outcome[pb.LicenceFigures]:
        before = find(connection, purchase_id)
        if not before:
            words = message("there is no purchase {purchase_id}", purchase_id=purchase_id)
            raise errors.not_found("licence purchase", words)
        connection.execute(sa.delete(PURCHASE).where(PURCHASE.c.purchase_id == purchase_id))
        return changed(connection, before, None, by, now)

    return await made.make(work)


def take_one(connection: Connection, now: int) -> None:
    """Before a member is given one: raises errors.RpcError unless one is left at `now`, in epoch ms."""
    if bought(connection, now) <= used(connection):
        raise errors.exhausted("NO_LICENCE_LEFT", message("no licence is left: buy more, or take one back"), 0)


def lock_time(assign_time: int) -> int:
    """From when on a licence that was given then stays with its member. Both in epoch ms."""
    return assign_time + RETURNABLE


def figures(connection: Connection, now: int) -> pb.LicenceFigures:
    """At `now`, in epoch ms."""
    next_end = connection.execute(sa.select(sa.func.min(PURCHASE.c.end_time)).where(holds(now))).scalar_one()
    bought_now, used_now = bought(connection, now), used(connection)
    return pb.LicenceFigures(
        bought=bought_now,
        used=used_now,
        locked=used(connection, now - RETURNABLE),
        left=bought_now - used_now,
        next_end_time=None if next_end is None else to_timestamp(next_end),
        bought_after_next_end=0 if next_end is None else bought(connection, next_end),
        as_of=to_timestamp(now),
    )


def bought(connection: Connection, time: int) -> int:
    query = sa.select(sa.func.coalesce(sa.func.sum(PURCHASE.c.count), 0)).where(holds(time))
    return int(connection.execute(query).scalar_one())  # PostgreSQL adds up to a decimal


def holds(time: int) -> sa.ColumnElement[bool]:
    return sa.and_(PURCHASE.c.start_time <= time, time < PURCHASE.c.end_time)


def used(connection: Connection, until: int | None = None) -> int:
    """How many members have one, or were given theirs `until` then (inclusive)."""
    query = sa.select(sa.func.count()).select_from(MEMBER)
    given = MEMBER.c.licence_assign_time
    return connection.execute(query.where(given.is_not(None) if until is None else given <= until)).scalar_one()


def find(connection: Connection, purchase_id: str) -> Row[Any] | None:
    return connection.execute(sa.select(PURCHASE).where(PURCHASE.c.purchase_id == purchase_id)).one_or_none()


def check_number(connection: Connection) -> None:
    if connection.execute(sa.select(sa.func.count()).select_from(PURCHASE)).scalar_one() >= MAX_PURCHASES:
        words = message("there are {most:,} purchases: delete those that ended long ago", most=MAX_PURCHASES)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_PURCHASES", words)


def changed(
    connection: Connection, before: Row[Any] | None, after: Row[Any] | None, by: audit.Caller, now: int
) -> Outcome[pb.LicenceFigures]:
    """The purchase as it was, and as it is; None where there was or is none."""
    number = connection.execute(
        sa.update(ORGANIZATION)
        .values(licences_seq=ORGANIZATION.c.licences_seq + 1)
        .returning(ORGANIZATION.c.licences_seq)
    ).scalar_one()
    answer = figures(connection, now)
    told = events_pb2.OrganizationEvent(licences=answer, actor=by.account_id)
    detail = {"before": to_detail(before), "after": to_detail(after)}
    purchase_id = next(row.purchase_id for row in (before, after) if row)
    return Outcome(
        answer,
        [changes.event("organization.licences_changed", ENTITY, number, told, now)],
        [audit.AuditEntry(by, "licence_purchase", purchase_id, detail=detail)],
    )


def to_detail(row: Row[Any] | None) -> dict[str, int] | None:
    return None if row is None else {name: row._mapping[name] for name in ("count", "start_time", "end_time")}


def to_message(row: Row[Any]) -> pb.LicencePurchase:
    return pb.LicencePurchase(
        purchase_id=row.purchase_id,
        count=row._mapping["count"],  # a row has a method of that name
        start_time=to_timestamp(row.start_time),
        end_time=to_timestamp(row.end_time),
        note=row.note,
    )


def to_values(given: pb.LicencePurchase) -> dict[str, Any]:
    """The columns, each checked by itself."""
    purchase_id = fields.identifier("purchase.purchase_id", given.purchase_id)
    if not 1 <= given.count <= MAX_COUNT:
        words = message("must be between 1 and {most:,}, is {value:,}", most=MAX_COUNT, value=given.count)
        raise errors.invalid("purchase.count", words)
    start = errors.moment("purchase.start_time", given.start_time)
    end = errors.moment("purchase.end_time", given.end_time)
    if end <= start:
        raise errors.invalid("purchase.end_time", errors.LATER)
    note = fields.text("purchase.note", given.note, MAX_NOTE)
    return {"purchase_id": purchase_id, "count": given.count, "start_time": start, "end_time": end, "note": note}
