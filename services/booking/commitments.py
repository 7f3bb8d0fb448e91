"""The starts that a reservation had before, kept as a column: the policy says from them what was given up too late."""

import json
from typing import Any

from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1.policy_service_pb2 import FormerStart

from services.platform.clock import from_timestamp, to_timestamp


def read(column: str | None) -> list[FormerStart]:
    """Oldest first."""
    return [
        FormerStart(start_time=to_timestamp(start), leave_time=to_timestamp(left), given_back=bool(given_back))
        for start, left, given_back in (json.loads(column) if column else ())
    ]


def after(record: pb.Reservation, start: int, end: int, now: int) -> dict[str, Any]:
    """What to write when the reservation is given the interval [start, end), epoch ms; nothing if its start stays."""
    former_start, former_end = from_timestamp(record.start_time), from_timestamp(record.end_time)
    if start == former_start:
        return {}
    rows = [
        [from_timestamp(each.start_time), from_timestamp(each.leave_time), int(each.given_back)]
        for each in record.former_starts
    ]
    given_back = former_start <= start and end <= former_end
    return {"former_starts": json.dumps([*rows, [former_start, now, int(given_back)]], separators=(",", ":"))}
