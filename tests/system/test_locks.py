"""Who gets in: every method of every running program against every role and every kind of bad token."""

import json
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from yunhui.booking.v1 import booking_service_pb2 as booking
from yunhui.meetings.v1 import listed_meeting_pb2, recording_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as meetings
from yunhui.meetings.v1 import recording_service_pb2 as recordings
from yunhui.meetings.v1.meeting_pb2 import MeetingKey
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub
from yunhui.meetings.v1.recording_service_pb2_grpc import RecordingServiceStub
from yunhui.notifier.v1 import notifier_service_pb2 as notifier

from services.booking import models
from services.installation.state import State
from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.serving import permissions
from tests.system.doors import NO_MESSAGE, Door, House, opened
from tests.system.stack import Stack
from tools.permissions import services

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def house(stack: Stack) -> Iterator[House]:
    with opened(stack) as found:
        yield found


def test_reflection_finds_all_that_the_contracts_promise(house: House) -> None:
    assert {each.path for each in house.doors} == {path for name in services() for path in permissions.of(name)}
    assert house.public == {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.mark.parametrize("role", ["booker", "support", "admin", "service", "nobody"])
def test_every_cell_of_method_and_role(house: House, role: str) -> None:
    """Whoever is admitted is told that the bytes are no message; the others, what they are not permitted."""
    for door in house.doors:
        expected = grpc.StatusCode.INVALID_ARGUMENT if role in door.roles else grpc.StatusCode.PERMISSION_DENIED
        assert house.send_as(door, NO_MESSAGE, role).code() is expected, (str(door), role)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": DEVELOPMENT_ISSUER, "aud": "yunhui", "sub": "admin", "iat": now, "exp": now + 600}
    return {name: value for name, value in (base | {"roles": ["admin"]} | changes).items() if value is not None}


class Forger:
    """Makes tokens that are wrong in one way each; it holds the real key, so that all else is right."""

    def __init__(self, stack: Stack) -> None:
        self._key = ECKey.import_key(json.loads(State(stack.state).private_key.read_text()))

    def token(self, key: Any = None, header: dict[str, str] | None = None, **changes: Any) -> str:
        return jwt.encode({"alg": "ES256", "kid": self._key.kid, **(header or {})}, claims(**changes), key or self._key)

    def headers(self) -> dict[str, tuple[tuple[str, str], ...]]:
        now, good = int(time.time()), self.token()
        public = json.dumps(self._key.as_dict(private=False))
        stranger = ECKey.generate_key("P-256", auto_kid=True)
        head, body, signature = good.split(".")
        bearers = {
            "empty": "",
            "garbage": "abc.def.ghi",
            "alg none": "eyJhbGciOiJub25lIn0." + body + ".",
            "public key as HMAC secret": self.token(OctKey.import_key(public), {"alg": "HS256"}),
            "other issuer": self.token(iss="https://evil.example.org"),
            "other audience": self.token(aud="somebody"),
            "expired": self.token(exp=now - 60),
            "not valid yet": self.token(nbf=now + 600),
            "unknown key": self.token(stranger, {"kid": str(stranger.kid)}),
            "foreign key under our id": self.token(stranger),
            "no exp": self.token(exp=None),
            "no sub": self.token(sub=None),
            "changed claims": f"{head}.{body[:-4]}AAAA.{signature}",
            "huge": good + "A" * 7000,
        }
        return {
            "none": (),
            "another scheme": (("authorization", f"Basic {good}"),),
            "no scheme": (("authorization", good),),
            **{name: (("authorization", f"Bearer {token}"),) for name, token in bearers.items()},
        }


def test_no_bad_token_opens_any_method(house: House) -> None:
    forger = Forger(house.stack)
    headers = forger.headers()
    assert len(headers) >= 12
    for name, metadata in headers.items():
        for door in house.doors:
            assert house.send(door, NO_MESSAGE, *metadata).code() is grpc.StatusCode.UNAUTHENTICATED, (str(door), name)
    good = ("authorization", f"Bearer {forger.token()}")  # the forger's own hand is not what they were refused for
    assert {house.send(door, NO_MESSAGE, good).code() for door in house.doors} == {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
    }


def test_a_token_that_no_transport_would_carry_is_refused_too(house: House) -> None:
    for door in house.doors[:3]:
        code = house.send(door, NO_MESSAGE, ("authorization", "Bearer " + "A" * 100_000)).code()
        assert code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED)


ADAM, EVE, NOBODY = "adam", "eve", "no-such-account"
NO_DETAILS = {
    "Decide": "pure: it knows nothing but what it is told",
    "ReplayDecision": "pure: it knows nothing but what it is told",
    "CreateMeeting": "plays everybody, in development only",
    "ActInMeeting": "plays everybody, in development only",
    "PopulateMeeting": "plays everybody, in development only",
    "SearchAvailability": "free intervals are everybody's",
    "GetColleague": "who sees whom: tests/directory/test_sight.py",
}
IDS = (
    *("reservation_id", "account_id", "decision_id", "violation_id", "delivery_id", "dead_event_id", "webhook_id"),
    *("meeting_id", "creator_account_id", "recording_id"),
)


def names_something(message: Any, depth: int = 0) -> bool:
    """Whether a request says whose, or which one."""
    return any(
        field.name in IDS or (field.message_type and depth < 2 and names_something(field.message_type, depth + 1))
        for field in message.fields
    )


def put_violation(stack: Stack, account: str, reservation: str, decision: str) -> str:
    """Straight into the table: in the installation that all tests share, time does not move."""
    row = {
        "violation_id": f"vio_{reservation.partition('_')[2]}",
        "account_id": account,
        "reservation_id": reservation,
        "violation_time": 1_751_846_400_000,  # when the clock of that installation began
        "decision_id": decision,
        "waived": False,
    }
    engine = sa.create_engine(f"sqlite:///{State(stack.state).database('booking')}")
    with engine.begin() as connection:
        connection.execute(sa.insert(models.VIOLATION), [row])
    engine.dispose()
    return str(row["violation_id"])


def private_questions(
    reservation: str, decision: str, account: str, violation: str, meeting: MeetingKey, recording: str
) -> dict[str, Message]:
    """Every question of a booker about something that belongs to somebody."""
    tomorrow = Timestamp(seconds=int(time.time()) + 86_400)
    wish = booking.CreateReservationRequest(
        meeting_code="123456789", subject="x", participant_count=12, account_id=account, start_time=tomorrow
    )
    wish.end_time.seconds = tomorrow.seconds + 3600
    series = booking.CreateReservationSeriesRequest(
        first=wish, recurrence_rule="FREQ=DAILY;COUNT=2", time_zone="Asia/Shanghai"
    )
    return {
        "CreateReservation": wish,
        "CreateReservationSeries": series,
        "CheckReservation": booking.CheckReservationRequest(request=wish),
        "GetReservation": booking.GetReservationRequest(reservation_id=reservation),
        "GetReservationHistory": booking.GetReservationHistoryRequest(reservation_id=reservation),
        "ListReservations": booking.ListReservationsRequest(account_id=account),
        "UpdateReservation": booking.UpdateReservationRequest(reservation_id=reservation, participant_count=13),
        "CheckUpdate": booking.CheckUpdateRequest(
            request=booking.UpdateReservationRequest(reservation_id=reservation, participant_count=13)
        ),
        "CancelReservation": booking.CancelReservationRequest(reservation_id=reservation),
        "EndReservation": booking.EndReservationRequest(reservation_id=reservation),
        "ObjectToViolation": booking.ObjectToViolationRequest(violation_id=violation, text="x"),
        "GetStanding": booking.GetStandingRequest(account_id=account),
        "GetDecision": booking.GetDecisionRequest(decision_id=decision),
        "WatchReservations": booking.WatchReservationsRequest(account_id=account),
        "ListMeetings": meetings.ListMeetingsRequest(
            phase=listed_meeting_pb2.MEETING_PHASE_RUNNING, creator_account_id=account
        ),
        "GetMeeting": meetings.GetMeetingRequest(meeting=meeting),
        "WatchMeetings": meetings.WatchMeetingsRequest(meetings=[meeting]),
        "ListPeople": meetings.ListPeopleRequest(meeting=meeting),
        "ListVisits": meetings.ListVisitsRequest(meeting=meeting),
        "GetQuality": meetings.GetQualityRequest(meeting=meeting, account_id=account),
        "ListRecordings": recordings.ListRecordingsRequest(creator_account_id=account),
        "GetRecording": recordings.GetRecordingRequest(recording_id=recording),
        "GetRecordingLinks": recordings.GetRecordingLinksRequest(recording_id=recording),
        "SetRecordingSharing": recordings.SetRecordingSharingRequest(
            recording_id=recording,
            request_id="request-1",
            sharing=recording_pb2.RecordingSharing(audience=recording_pb2.RECORDING_AUDIENCE_NOBODY),
        ),
        "DeleteRecording": recordings.DeleteRecordingRequest(recording_id=recording, request_id="request-2"),
        "LookUpMeeting": meetings.LookUpMeetingRequest(account_id=account, meeting_code="123456789"),
        "ListDeliveries": notifier.ListDeliveriesRequest(account_id=account),
        "GetPreferences": notifier.GetPreferencesRequest(account_id=account),
        "UpdatePreferences": notifier.UpdatePreferencesRequest(account_id=account),
    }


def refusal(call: Any) -> tuple[object, ...]:
    details = [value for key, value in call.trailing_metadata() if key == "grpc-status-details-bin"]
    return call.code(), call.details(), details


def test_what_is_anothers_answers_as_what_does_not_exist(house: House) -> None:
    adam = house.stack.login("booker", ADAM)
    made = adam.reserve("2025-07-10T10:00+08:00").answer
    reservation, decision = made["reservation"]["reservationId"], made["decision"]["decisionId"]
    violation = put_violation(house.stack, ADAM, reservation, decision)
    meeting = running_meeting(house, made["reservation"]["meetingCode"])
    recording = recorded(house, made["reservation"]["meetingCode"])
    theirs = private_questions(reservation, decision, ADAM, violation, meeting, recording)
    reservation, decision, violation = (f"{kind}_01JZ0000000000000000000000" for kind in ("rsv", "dec", "vio"))
    no_meeting = MeetingKey(provider="a", meeting_id="1")
    absent = private_questions(reservation, decision, NOBODY, violation, no_meeting, "simulated/1/0/1")
    for door in booker_doors(house):
        name = door.method.name
        asked = [each[name].SerializeToString() for each in (theirs, absent)]
        seen = [refusal(house.send_as(door, body, "booker", EVE)) for body in asked]
        assert seen[0] == seen[1], name
        assert seen[0][0] in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED), name
        own = house.send_as(door, asked[0], "booker", ADAM).code()
        assert own not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED), name


def running_meeting(house: House, code: str) -> MeetingKey:
    """With its maker inside: then it is known at once."""
    adam = house.stack.login("booker", ADAM)
    assert adam.yunhui("simulate", "enter", code).code == 0
    asked = meetings.ListMeetingsRequest(phase=listed_meeting_pb2.MEETING_PHASE_RUNNING, meeting_code=code)
    with grpc.insecure_channel(house.stack.run["meetings"]) as channel:
        signature = (("authorization", f"Bearer {adam.token}"),)
        found: MeetingKey = MeetingServiceStub(channel).ListMeetings(asked, metadata=signature).meetings[0].meeting
        return found


def recorded(house: House, code: str) -> str:
    """What was recorded in it, by its maker."""
    adam = house.stack.login("booker", ADAM)
    for act in ("record", "stop-recording"):
        assert adam.yunhui("simulate", act, code).code == 0
    with grpc.insecure_channel(house.stack.run["meetings"]) as channel:
        signature = (("authorization", f"Bearer {adam.token}"),)
        asked = recordings.ListRecordingsRequest(meeting_code=code)
        found = RecordingServiceStub(channel).ListRecordings(asked, metadata=signature).recordings
        return str(found[0].recording_id)


def booker_doors(house: House) -> list[Door]:
    """The methods that the test above must know, whatever is added to the contracts."""
    found = [
        door
        for door in house.doors
        if "booker" in door.roles and names_something(door.method.input_type) and door.method.name not in NO_DETAILS
    ]
    return sorted(found, key=lambda door: door.method.name in ("CancelReservation", "EndReservation"))
