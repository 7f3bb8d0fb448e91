"""The door: what cannot be meant is refused by the name of its field."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.questions import InvalidRequestError, read_question
from tests.policy.samples import moment, question, reservation

Spoil = Callable[[pb.DecideRequest], object]
FAR = Timestamp(seconds=253_402_300_799)


def violation(id_: str) -> pb.PastViolation:
    return pb.PastViolation(violation_id=id_, violation_time=moment("2025-07-01 10:30"))


def past(**changed: Any) -> Spoil:
    fields = {"reservation_id": "a", "status": pb.RESERVATION_STATUS_CONFIRMED, "start_time": moment("2025-07-08")}
    return lambda asked: asked.history.reservations.append(pb.PastReservation(**{**fields, **changed}))


def change_of(**fields: Any) -> Spoil:
    former: dict[str, Any] = {"former_start_time": moment("2025-07-08"), "former_end_time": moment("2025-07-09")}
    return lambda asked: asked.subject.MergeFrom(pb.Subject(**former, **fields))


@pytest.mark.parametrize(
    ("field", "spoil"),
    [
        ("action", lambda q: q.ClearField("action")),
        ("action", lambda q: setattr(q, "action", 77)),
        ("decision_id", lambda q: setattr(q, "decision_id", "x" * 65)),
        ("now", lambda q: q.ClearField("now")),
        ("now", lambda q: q.now.CopyFrom(FAR)),
        ("now", lambda q: q.now.CopyFrom(Timestamp(seconds=-1))),
        ("now", lambda q: q.now.CopyFrom(Timestamp(seconds=1, nanos=1_000_000_000))),
        ("account.account_id", lambda q: q.ClearField("account")),
        ("account.account_id", lambda q: setattr(q.account, "account_id", "x" * 1025)),
        ("account.department", lambda q: setattr(q.account, "department", "x" * 70_000)),
        ("account.roles", lambda q: q.account.roles.append("x" * 1025)),
        ("account.roles", lambda q: q.account.roles.extend(["x"] * 1025)),
        ("account.department_path", lambda q: q.account.department_path.extend(map(str, range(65)))),
        ("account.department_path", lambda q: q.account.department_path.append("x" * 129)),
        ("account.department_path", lambda q: q.account.department_path.extend(["a", ""])),
        ("account.department_path", lambda q: q.account.department_path.extend(["a", "b", "a"])),
        ("subject.start_time", lambda q: q.subject.ClearField("start_time")),
        ("subject.end_time", lambda q: q.subject.ClearField("end_time")),
        ("subject.end_time", lambda q: q.subject.end_time.CopyFrom(q.subject.start_time)),
        ("subject.end_time", lambda q: q.subject.end_time.CopyFrom(FAR)),
        ("subject.participant_count", lambda q: setattr(q.subject, "participant_count", 0)),
        ("subject.participant_count", lambda q: setattr(q.subject, "participant_count", 1_000_001)),
        ("subject.participant_count", lambda q: setattr(q.subject, "participant_count", 2**63 - 1)),
        ("subject.free_room_count", lambda q: setattr(q.subject, "free_room_count", -1)),
        ("subject.enter_time", lambda q: q.subject.enter_time.CopyFrom(FAR)),
        ("subject.former_end_time", lambda q: q.subject.former_start_time.CopyFrom(q.subject.start_time)),
        ("subject.former_room_capacity", change_of(former_room_capacity=-1)),
        ("subject.former_participant_count", change_of(former_participant_count=1_000_001)),
        ("subject.former_starts[0].start_time", lambda q: q.subject.former_starts.add()),
        ("subject.former_starts[0].leave_time", lambda q: q.subject.former_starts.add(start_time=moment("2025-07-08"))),
        ("subject.former_starts", lambda q: q.subject.former_starts.extend([pb.FormerStart()] * 10_001)),
        ("history.reservations[0].former_starts[0].start_time", past(former_starts=[pb.FormerStart()])),
        ("history.reservations[0].reservation_id", past(reservation_id="")),
        ("history.reservations[0].status", past(status=0)),
        ("history.reservations[0].status", past(status=99)),
        ("history.reservations[0].start_time", past(start_time=None)),
        ("history.reservations[0].start_time", past(start_time=FAR)),
        ("history.reservations[0].cancel_time", past(status=pb.RESERVATION_STATUS_CANCELLED)),
        ("history.reservations", lambda q: q.history.reservations.extend([reservation("a", "2025-07-08")] * 2)),
        ("history.reservations", lambda q: q.history.reservations.extend([reservation("a", "2025-07-08")] * 10_001)),
        ("history.violations[0].violation_id", lambda q: q.history.violations.append(violation(""))),
        ("history.violations[0].violation_time", lambda q: q.history.violations.add(violation_id="a")),
        ("history.violations", lambda q: q.history.violations.extend([violation("a")] * 2)),
        ("history.suspensions[0].start_time", lambda q: q.history.suspensions.add()),
        ("history.suspensions[0].end_time", lambda q: q.history.suspensions.add(start_time=moment("2025-07-01"))),
    ],
)
def test_names_the_field_that_is_wrong(field: str, spoil: Spoil) -> None:
    asked = question()
    spoil(asked)
    with pytest.raises(InvalidRequestError) as caught:
        read_question(asked)
    assert caught.value.field == field
    assert caught.value.description


def test_moments_keep_their_fractions() -> None:
    asked = question()
    asked.now.nanos = 1
    assert read_question(asked).now == asked.now.seconds * 1_000_000_000 + 1
