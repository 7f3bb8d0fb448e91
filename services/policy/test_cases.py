"""The form of a test table, and its cases as questions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AfterValidator, Field, ValidationError
from yunhui.directory.v1 import member_pb2
from yunhui.policy.v1 import policy_service_pb2

from services.policy.checks import worded
from services.policy.document import (
    LONGEST,
    MAX_INTEGER,
    ActionName,
    AtLeastOne,
    EffectName,
    Limit,
    Name,
    ObligationName,
    StatusName,
    Strict,
)
from services.policy.yaml_source import InvalidPolicyError, read_yaml


def _must_parse(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _must_exist(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("no such time zone; give an IANA name such as Asia/Shanghai") from error
    return zone


Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([+-]\d\d:\d\d|Z)?$"),
    AfterValidator(_must_parse),
]
"""In the table's zone unless it says otherwise."""


Whole = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]


class GivenFormerStart(Strict):
    start: Moment
    left: Moment
    given_back: bool = False


class CaseQuestion(Strict):
    """A question; what it leaves out comes from the table's own `ask`.

    What is changed held a room that seats the same people, for as long, unless told otherwise; former_seats 0: no room.
    """

    action: ActionName | None = None
    now: Moment | None = None
    start: Moment | None = None
    lasts: Annotated[int, Field(ge=1, le=LONGEST["seconds"])] | None = None
    people: Whole | None = None
    free_rooms: Whole | None = None
    entered: Moment | None = None
    former_start: Moment | None = None
    former_lasts: Annotated[int, Field(ge=1, le=LONGEST["seconds"])] | None = None
    former_people: Whole | None = None
    former_seats: Whole | None = None
    former_starts: list[GivenFormerStart] | None = None
    waits_for_support: bool | None = None
    department: str | None = None
    roles: list[str] | None = None
    department_path: list[str] | None = None
    account_type: Literal["FREE", "ADVANCED"] | None = None
    verified: bool | None = None
    account_status: Literal["ENABLED", "NOT_ACTIVATED", "DISABLED"] | None = None


class GivenReservation(Strict):
    start: Moment
    status: StatusName = "CONFIRMED"
    cancelled: Moment | None = None
    escalated: Moment | None = None
    times: Annotated[int, Field(ge=1, le=100)] = 1
    former_starts: list[GivenFormerStart] = Field(default_factory=list)


class GivenViolation(Strict):
    at: Moment
    waived: bool = False
    used_up: bool = False


class GivenSuspension(Strict):
    since: Moment
    until: Moment


class CaseHistory(Strict):
    reservations: list[GivenReservation] = Field(default_factory=list)
    violations: list[GivenViolation] = Field(default_factory=list)
    suspensions: list[GivenSuspension] = Field(default_factory=list)


class ExpectedObligation(Strict):
    kind: ObligationName
    seconds: int | None = None
    address: str | None = None
    since: Moment | None = None
    violations: list[str] | None = None
    early: int | None = None


class ExpectedReason(Strict):
    zh_cn: str = Field(alias="zh-CN")
    en: str


class Expectation(Strict):
    """The effect and exactly these rules; the rest where given."""

    effect: EffectName
    rules: list[str]
    facts: dict[str, int] = Field(default_factory=dict)
    obligations: list[ExpectedObligation] | None = None
    says: dict[str, ExpectedReason] = Field(default_factory=dict)


class PolicyTestCase(Strict):
    """`numbers` are in force for it in place of the policy's own: so a rule that is switched off has its cases too."""

    name: Annotated[str, Field(min_length=1)]
    numbers: dict[Name, Limit] = Field(default_factory=dict)
    given: CaseHistory = CaseHistory()
    ask: CaseQuestion = CaseQuestion()
    expect: Expectation


class PolicyTestTable(Strict):
    zone: Annotated[str, AfterValidator(_must_exist)]
    ask: CaseQuestion
    cases: AtLeastOne[PolicyTestCase]


def read_table(text: str) -> PolicyTestTable:
    """Raises InvalidPolicyError with every fault and its line."""
    source = read_yaml(text)
    try:
        table = PolicyTestTable.model_validate(source.data)
    except ValidationError as error:
        raise InvalidPolicyError([source.fault(*worded(item)) for item in error.errors()]) from error
    names = [case.name for case in table.cases]
    twice = [index for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise InvalidPolicyError([source.fault(("cases", index), "another case has this name") for index in twice])
    return table


def request_of(defaults: CaseQuestion, case: PolicyTestCase, zone: ZoneInfo) -> policy_service_pb2.DecideRequest:
    """A case as a question. Ids are r1, r2 and v1, v2 in the order given."""
    asked = {**_given(defaults), **_given(case.ask)}
    now = timestamp_of(asked["now"], zone) if "now" in asked else None
    subject = policy_service_pb2.Subject(
        participant_count=asked.get("people", 0),
        free_room_count=asked.get("free_rooms", 0),
        waits_for_support=asked.get("waits_for_support", False),
    )
    if "start" in asked:
        subject.start_time.CopyFrom(start := timestamp_of(asked["start"], zone))
        subject.end_time.CopyFrom(after(start, asked.get("lasts", 0)))
    if "former_start" in asked:
        subject.former_start_time.CopyFrom(start := timestamp_of(asked["former_start"], zone))
        subject.former_end_time.CopyFrom(after(start, asked.get("former_lasts", asked.get("lasts", 0))))
        subject.former_participant_count = asked.get("former_people", subject.participant_count)
        subject.former_room_capacity = asked.get("former_seats", subject.former_participant_count)
    subject.former_starts.extend(_former_start(item, zone) for item in asked.get("former_starts", ()))
    if "entered" in asked:
        subject.enter_time.CopyFrom(timestamp_of(asked["entered"], zone))
    return policy_service_pb2.DecideRequest(
        action=policy_service_pb2.Action.Value(f"ACTION_{asked.get('action', 'UNSPECIFIED')}"),
        now=now,
        account=_account(asked),
        subject=subject,
        history=_history(case.given, zone),
    )


def _account(asked: Mapping[str, Any]) -> policy_service_pb2.Account:
    return policy_service_pb2.Account(
        account_id="account",
        department=asked.get("department", ""),
        roles=asked.get("roles", []),
        department_path=asked.get("department_path", []),
        account_type=member_pb2.AccountType.Value(f"ACCOUNT_TYPE_{asked.get('account_type', 'UNSPECIFIED')}"),
        verified=asked.get("verified"),
        status=member_pb2.MemberStatus.Value(f"MEMBER_STATUS_{asked.get('account_status', 'UNSPECIFIED')}"),
    )


def _given(ask: CaseQuestion) -> dict[str, Any]:
    return {name: value for name in CaseQuestion.model_fields if (value := getattr(ask, name)) is not None}


def _former_start(item: GivenFormerStart, zone: ZoneInfo) -> policy_service_pb2.FormerStart:
    return policy_service_pb2.FormerStart(
        start_time=timestamp_of(item.start, zone),
        leave_time=timestamp_of(item.left, zone),
        given_back=item.given_back,
    )


def _history(given: CaseHistory, zone: ZoneInfo) -> policy_service_pb2.History:
    past = [item for item in given.reservations for _ in range(item.times)]
    return policy_service_pb2.History(
        reservations=[_past_reservation(f"r{number}", item, zone) for number, item in enumerate(past, 1)],
        violations=[
            policy_service_pb2.PastViolation(
                violation_id=f"v{number}",
                violation_time=timestamp_of(item.at, zone),
                waived=item.waived,
                used_up=item.used_up,
            )
            for number, item in enumerate(given.violations, 1)
        ],
        suspensions=[
            policy_service_pb2.PastSuspension(
                start_time=timestamp_of(item.since, zone), end_time=timestamp_of(item.until, zone)
            )
            for item in given.suspensions
        ],
    )


def _past_reservation(id_: str, item: GivenReservation, zone: ZoneInfo) -> policy_service_pb2.PastReservation:
    start = timestamp_of(item.start, zone)
    return policy_service_pb2.PastReservation(
        reservation_id=id_,
        status=policy_service_pb2.ReservationStatus.Value(f"RESERVATION_STATUS_{item.status}"),
        start_time=start,
        end_time=after(start, 3600),
        cancel_time=timestamp_of(item.cancelled, zone) if item.cancelled else None,
        former_starts=[_former_start(each, zone) for each in item.former_starts],
        escalate_time=timestamp_of(item.escalated, zone) if item.escalated else None,
    )


def after(moment: Timestamp, seconds: int) -> Timestamp:
    return Timestamp(seconds=moment.seconds + seconds, nanos=moment.nanos)


def timestamp_of(text: str, zone: ZoneInfo) -> Timestamp:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return Timestamp(seconds=int(moment.replace(microsecond=0).timestamp()), nanos=moment.microsecond * 1000)
