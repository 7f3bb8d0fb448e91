"""Requests and moments for the tests. All times are epoch ms; MONDAY is 2025-07-07 08:00 in Shanghai."""

from typing import Any

from yunhui.booking.v1 import booking_service_pb2 as api

from services.booking import requests
from services.booking.requests import ReservationInput
from services.platform.clock import HOUR, MINUTE, to_timestamp
from services.platform.serving.identity import Principal
from tests.callers import caller

MONDAY = 1_751_846_400_000
TEN = MONDAY + 2 * HOUR
ROOMS = [
    {"room_id": name, "display_name": name, "capacity": capacity, "enabled": True}
    for name, capacity in (("small-1", 30), ("small-2", 30), ("large-1", 300))
]


def create_request(**fields: Any) -> api.CreateReservationRequest:
    """An hour for twelve people today at ten, unless told otherwise; start and minutes in epoch ms and minutes."""
    start, minutes = fields.pop("start", TEN), fields.pop("minutes", 60)
    values: dict[str, Any] = {
        "meeting_code": "123-456-789",
        "subject": "group meeting",
        "participant_count": 12,
        "start_time": to_timestamp(start),
        "end_time": to_timestamp(int(start + minutes * MINUTE)),
    }
    return api.CreateReservationRequest(**(values | fields))


def booker(account_id: str = "booker", *roles: str) -> Principal:
    return caller(account_id, *(roles or ("booker",)), email=f"{account_id}@example.org")


def wanted(account_id: str = "booker", **fields: Any) -> ReservationInput:
    return requests.with_caller(requests.to_input(create_request(**fields)), booker(account_id))


def change(reservation_id: str, **fields: Any) -> requests.ChangeInput:
    """A checked change; start in epoch ms and minutes as for create_request, nothing changed unless given."""
    start, minutes = fields.pop("start", None), fields.pop("minutes", None)
    if start is not None:
        fields["start_time"] = to_timestamp(start)
    if minutes is not None:
        fields["end_time"] = to_timestamp(int((start or TEN) + minutes * MINUTE))
    return requests.to_change(api.UpdateReservationRequest(reservation_id=reservation_id, **fields))
