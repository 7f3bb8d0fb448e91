"""Sample questions and the published rules, for the tests of policy."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy import decisions

RULES = Path(decisions.__file__).parent / "rules"
SOURCE = (RULES / "default.yaml").read_text()
CASES = (RULES / "default.test.yaml").read_text()
WITH_ROLES = (
    SOURCE
    + """
overrides:
  - {role: outsider, thresholds: {may_book: 0}}
  - {role: strict, thresholds: {free_account_may_book: 0, unverified_may_book: 0}}
"""
)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def moment(text: str, zone: ZoneInfo = SHANGHAI) -> Timestamp:
    when = datetime.fromisoformat(text).replace(tzinfo=zone)
    return Timestamp(seconds=int(when.replace(microsecond=0).timestamp()), nanos=when.microsecond * 1000)


def question() -> pb.DecideRequest:
    """Ten people, Tuesday 10:00 to 11:00, asked on Monday 2025-07-07 at 09:00."""
    return pb.DecideRequest(
        action=pb.ACTION_CREATE,
        now=moment("2025-07-07 09:00"),
        account=pb.Account(account_id="alice"),
        subject=pb.Subject(
            start_time=moment("2025-07-08 10:00"),
            end_time=moment("2025-07-08 11:00"),
            participant_count=10,
            free_room_count=1,
        ),
    )


def reservation(id_: str, start: str, status: str = "CONFIRMED") -> pb.PastReservation:
    return pb.PastReservation(
        reservation_id=id_,
        status=pb.ReservationStatus.Value(f"RESERVATION_STATUS_{status}"),
        start_time=moment(start),
        end_time=moment(start),
    )
