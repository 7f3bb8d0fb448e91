"""What booking answered and stored, held against the model."""

import itertools
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1.decision_pb2 import Decision
from yunhui.policy.v1.policy_service_pb2 import DecideRequest

from services.booking import states
from services.platform.clock import from_timestamp
from services.platform.serving import errors
from services.policy.decisions import Policy
from tests.booking.acts import Act
from tests.booking.model import (
    HOLDING,
    PER_DAY,
    PER_WEEK,
    Answer,
    Cancelled,
    HandedOver,
    Refused,
    Repeated,
    Reservation,
    Violation,
    World,
)

Replies = dict[tuple[str, str], Any]
"""What was answered under each key."""


class MismatchError(AssertionError):
    """Booking did not answer what the model says."""


@dataclass(frozen=True)
class Stored:
    reservations: list[Any]
    violations: list[Any]
    suspensions: list[Any]
    deadlines: list[Any]
    events: list[Any]
    decisions: list[Any]
    answers: list[Any]


def run_forever(world: World, replies: Replies, act: Act, reply: Any) -> None:
    """Lets the world go on by an act, and compares what was answered. Raises MismatchError."""
    try:
        expected = act.expect(world)
    except Refused as refusal:
        expected = refusal
    found = seen(reply)
    if isinstance(expected, Repeated):
        told, found = replies[expected.key], reply
    else:
        told = awaited(expected, reply)
    if told != found:
        raise MismatchError(
            f"{act.method} {act.request} by {act.caller.account_id}: answered {found}, the model says {told}"
        )
    if (key := act.keep()) in world.answered and key is not None:
        replies.setdefault(key, reply)


def seen(reply: Any) -> Any:
    """What of an answer the model has a say in."""
    if isinstance(reply, errors.RpcError):
        return reply.code.name
    match type(reply).__name__:
        case "CreateReservationResponse" | "UpdateReservationResponse":
            return seen_answer(reply)
        case "CreateReservationSeriesResponse":
            return [seen_answer(each) for each in reply.occurrences]
        case "CancelReservationResponse":
            return seen_record(reply.reservation), reply.quota_returned
        case "CancelComingReservationsResponse" | "HandOverReservationsResponse":
            return [seen_coming(each) for each in reply.reservations]
        case "WaiveViolationResponse":
            return reply.HasField("lifted")
        case "GetStandingResponse":
            return seen_standing(reply.standing)
    return seen_record(reply.reservation)


def seen_answer(reply: Any) -> Any:
    rules = frozenset(fired.rule_id for fired in reply.decision.rules)
    record = seen_record(reply.reservation) if reply.HasField("reservation") else None
    return pb.Outcome.Name(reply.outcome).removeprefix("OUTCOME_"), rules, record


def seen_coming(each: Any) -> Any:
    if each.outcome == api.COMING_OUTCOME_CANCELLED:
        return seen_record(each.reservation), each.quota_returned
    rules = frozenset(fired.rule_id for fired in each.decision.rules)
    return seen_record(each.reservation), rules, each.outcome == api.COMING_OUTCOME_HANDED_OVER


def seen_record(record: pb.Reservation) -> Any:
    entered = from_timestamp(record.enter_time) if record.HasField("enter_time") else None
    looked_in = from_timestamp(record.early_enter_time) if record.HasField("early_enter_time") else None
    return (
        *(record.reservation_id, record.version, states.from_proto(record.state), record.organizer.account_id),
        *(from_timestamp(record.start_time), from_timestamp(record.end_time), record.participant_count),
        *(record.room.room_id or None, entered, looked_in, record.created_by),
    )


def seen_standing(standing: pb.Standing) -> Any:
    used = {quota.usage.rule_id: (quota.usage.used, quota.remaining) for quota in standing.quotas}
    until = from_timestamp(standing.suspension.end_time) if standing.HasField("suspension") else None
    return used, until


def awaited(expected: Any, reply: Any) -> Any:
    """What the model says, in the form of `seen`; new reservations take the id that the answer gives them."""
    match expected:
        case Refused():
            return expected.code
        case Answer():
            return awaited_answer(expected, reply)
        case [Cancelled() | HandedOver(), *_]:
            return [awaited(each, None) for each in expected]
        case HandedOver():
            return awaited_record(expected.reservation), expected.rules, expected.taken
        case list():
            occurrences = getattr(reply, "occurrences", [])
            return [awaited_answer(*pair) for pair in itertools.zip_longest(expected, occurrences)]
        case Cancelled():
            return awaited_record(expected.reservation), expected.quota_returned
        case Reservation():
            return awaited_record(expected)
    return expected


def awaited_answer(expected: Answer, reply: Any) -> Any:
    mine = expected.reservation
    if mine and not mine.id and getattr(reply, "reservation", None):
        mine.id = reply.reservation.reservation_id
    return expected.outcome, expected.rules, awaited_record(mine) if mine else None


def awaited_record(mine: Reservation) -> Any:
    return (
        *(mine.id, mine.version, mine.state, mine.account, mine.start, mine.end, mine.people),
        *(mine.room, mine.entered, mine.looked_in, mine.creator),
    )


def check(stored: Stored, world: World) -> None:
    check_reservations(stored, world)
    check_standing(stored, world)
    check_deadlines(stored, world)
    check_events(stored, world)
    assert set(world.answered) == {(row["actor"], row["request_id"]) for row in stored.answers}
    assert world.decisions == len(stored.decisions)


def check_reservations(stored: Stored, world: World) -> None:
    columns = (
        *("reservation_id", "version", "state", "account_id", "start_time", "end_time", "participant_count"),
        *("room_id", "enter_time", "early_enter_time", "created_by"),
    )
    found = {row["reservation_id"]: tuple(row[name] for name in columns) for row in stored.reservations}
    assert found == {mine.id: awaited_record(mine) for mine in world.reservations}
    held = [row for row in stored.reservations if row["state"] in HOLDING]
    for one, other in itertools.combinations(held, 2):
        apart = one["end_time"] <= other["start_time"] or other["end_time"] <= one["start_time"]
        assert apart or one["room_id"] != other["room_id"], "a room is held twice"
    for account in world.known:
        starts = [mine.promised for mine in world.of(account) if mine.counts()]
        for most, period in ((PER_DAY, world.day), (PER_WEEK, world.week)):
            assert max(Counter(map(period, starts)).values(), default=0) <= most, "more than the quota"


def check_standing(stored: Stored, world: World) -> None:
    spans = {
        row["suspension_id"]: (row["account_id"], row["start_time"], row["end_time"]) for row in stored.suspensions
    }
    lifted = Counter((*spans[row["suspension_id"]], row["lift_time"]) for row in stored.suspensions)
    assert lifted == Counter((each.account, each.start, each.end, each.lifted) for each in world.suspensions)
    found = {
        row["reservation_id"]: (
            row["account_id"],
            row["violation_time"],
            row["waived"],
            spans.get(row["suspension_id"]),
        )
        for row in stored.violations
    }
    assert found == {each.reservation.id: awaited_violation(each) for each in world.violations}


def awaited_violation(violation: Violation) -> Any:
    by = violation.suspension
    span = (by.account, by.start, by.end) if by else None
    return violation.reservation.account, violation.time, violation.waived, span


def check_deadlines(stored: Stored, world: World) -> None:
    found = Counter(
        (row["due_time"], row["kind"], row["account_id"], row["entity_id"] if row["kind"] != "suspension_end" else "")
        for row in stored.deadlines
    )
    assert found == Counter((due, kind, of.account, entity) for due, kind, entity, of in world.deadlines())
    kinds = defaultdict(set)
    for row in stored.deadlines:
        kinds[row["entity_id"]].add(row["kind"])
    for row in stored.reservations:
        usual = {*states.DEADLINES.get(row["state"], ())} - {
            states.RECONCILIATION,
            states.ARRIVAL,
        }  # no meeting is looked up
        assert kinds[row["reservation_id"]] == usual


def check_events(stored: Stored, world: World) -> None:
    """Each entity's are numbered without a gap, and the last one tells of what there is now."""
    told: defaultdict[str, list[str]] = defaultdict(list)
    last: dict[str, Any] = {}
    for event in stored.events:
        told[event["entity_id"]].append(event["subject"].rpartition(".")[2])
        assert event["entity_seq"] == len(told[event["entity_id"]])
        last[event["entity_id"]] = event
    for mine in world.reservations:
        assert told.pop(mine.id) == mine.told
        assert told_of(last[mine.id]["payload"]) == (mine.version, f"RESERVATION_STATE_{mine.state}")
    for account, names in world.known.items():
        assert told.pop(account, []) == names
    assert sorted(told.values()) == sorted([name] for name in world.refusals)


@lru_cache(maxsize=1000)
def told_of(payload: str) -> tuple[int, str]:
    record = json.loads(payload)["reservation"]
    return int(record["version"]), record["state"]


def check_decisions(stored: Stored, policy: Policy) -> None:
    """Each can be made again from its facts, bit for bit."""
    for row in stored.decisions:
        decision = Decision.FromString(row["decision"])
        assert policy.replay(DecideRequest.FromString(row["request"]), decision) == decision
