"""Events as they arrive: CloudEvents headers and a proto3 JSON payload become one typed Event, or are refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.booking.v1.events_pb2 import AccountEvent, ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Reservation

from services.platform.messaging.proto_json import from_json

PREFIX = "yunhui.booking."
EVENT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")  # it becomes part of a Message-ID
NESTING = 32  # the contracts are at most seven deep

BODIES: Mapping[str, type[ReservationEvent] | type[AccountEvent]] = {
    "reservation": ReservationEvent,
    "account": AccountEvent,
}


class UnreadableEventError(Exception):
    """No repeat can make this event readable. The message never quotes the payload: it is personal data."""


@dataclass(frozen=True, slots=True)
class BookingEvent:
    """One fact from booking. `type` goes without the owner, for example "reservation.confirmed"."""

    event_id: str
    type: str
    time: datetime
    body: ReservationEvent | AccountEvent

    @property
    def account_id(self) -> str:
        """Whose reservation or standing it is about."""
        if isinstance(self.body, AccountEvent):
            return self.body.account.account_id
        return self.body.reservation.organizer.account_id or self.body.request.organizer.account_id

    @property
    def reservation_id(self) -> str:
        return self.body.reservation.reservation_id


def parse(headers: Mapping[str, str], payload: bytes) -> BookingEvent | None:
    """None for an entity that the notifier does not know. Raises UnreadableEventError."""
    ce_type = _header(headers, "ce-type")
    kind = ce_type.removeprefix(PREFIX)
    body_type = BODIES.get(kind.partition(".")[0])
    if body_type is None or not ce_type.startswith(PREFIX):
        return None
    event_id = _header(headers, "ce-id")
    if not EVENT_ID.fullmatch(event_id):
        raise UnreadableEventError("ce-id is not an id")
    return BookingEvent(event_id, kind, _time(_header(headers, "ce-time")), _body(body_type, payload))


def _header(headers: Mapping[str, str], name: str) -> str:
    try:
        return headers[name]
    except KeyError:
        raise UnreadableEventError(f"no header {name}") from None


def _time(text: str) -> datetime:
    stamp = Timestamp()
    try:
        stamp.FromJsonString(text)
    except ValueError:
        raise UnreadableEventError("ce-time is not an RFC 3339 time") from None
    return stamp.ToDatetime(UTC)


def _body(body_type: type[ReservationEvent] | type[AccountEvent], payload: bytes) -> ReservationEvent | AccountEvent:
    try:
        body = from_json(payload, body_type, NESTING)
    except (json_format.ParseError, ValueError, RecursionError):
        raise UnreadableEventError(f"the payload is no {body_type.__name__}") from None
    if body.HasField("reservation"):
        _require_interval(body.reservation)
    return body


def _require_interval(reservation: Reservation) -> None:
    if not (reservation.HasField("start_time") and reservation.HasField("end_time")):
        raise UnreadableEventError("the reservation has no interval")
