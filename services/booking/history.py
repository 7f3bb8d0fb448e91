"""What happened to one reservation: its events as they stand in the outbox, found by their entity."""

from typing import Any

import sqlalchemy as sa
from google.protobuf.json_format import Parse
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2

from services.booking import models
from services.booking.scopes import Whose
from services.platform.clock import to_timestamp
from services.platform.messaging import outbox

MOST = 200
RESERVATION, ACCOUNT = "yunhui.booking.reservation.", "yunhui.booking.account."


def read(connection: Connection, reservation_id: str, whose: Whose) -> api.GetReservationHistoryResponse | None:
    """Oldest first. None when there is no such reservation among theirs.

    The cost is that of the reservation's own events, and of its account's since its violation: nothing else is read.
    """
    c = models.RESERVATION.c
    mine = (c.reservation_id == reservation_id) & whose.covers(c.account_id)
    account_id = connection.scalar(sa.select(c.account_id).where(mine))
    if account_id is None:
        return None
    rows = _latest(connection, reservation_id)
    events = [_to_event(row, reservation=_parse(row, events_pb2.ReservationEvent())) for row in rows]
    events += _of_violation(connection, reservation_id, account_id)
    events.sort(key=lambda each: each.time.ToMilliseconds())  # stable: what happened together stays in its order
    return api.GetReservationHistoryResponse(events=events[-MOST:], shortened=max(len(rows), len(events)) > MOST)


def _latest(connection: Connection, entity_id: str, since: int = 0) -> list[sa.Row[Any]]:
    """Oldest first; one more than MOST tells that there were more."""
    c = outbox.TABLE.c
    mine = (c.entity_id == entity_id) & (c.time >= since)
    query = sa.select(c.event_id, c.subject, c.time, c.payload).where(mine).order_by(c.entity_seq.desc())
    return list(reversed(connection.execute(query.limit(MOST + 1)).all()))


def _of_violation(connection: Connection, reservation_id: str, account_id: str) -> list[api.HistoryEvent]:
    """What the account was told of this reservation's violation, if there is one."""
    v = models.VIOLATION.c
    since = connection.scalar(sa.select(v.violation_time).where(v.reservation_id == reservation_id))
    if since is None:
        return []
    rows = [row for row in _latest(connection, account_id, since) if row.subject.startswith(ACCOUNT)]
    found = [_to_event(row, account=_parse(row, events_pb2.AccountEvent())) for row in rows]
    return [each for each in found if each.account.violation.reservation_id == reservation_id]


def _parse(row: sa.Row[Any], body: Any) -> Any:
    return Parse(row.payload, body, ignore_unknown_fields=True)


def _to_event(row: sa.Row[Any], **body: Any) -> api.HistoryEvent:
    return api.HistoryEvent(event_id=row.event_id, type=row.subject, time=to_timestamp(row.time), **body)
