"""What a policy says that it looks back to is enough for the same decision; with less there is none."""

import copy
import random
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy import subscriptions
from services.policy.checks import complaints, read_document
from services.policy.decisions import Policy
from services.policy.document import Document
from services.policy.questions import SECOND, read_question, starts
from services.policy.windows import ShortHistoryError
from services.policy.yaml_source import read_yaml
from tests.policy.samples import SOURCE, moment, question, reservation
from tests.policy.test_oracle import Chance, stamp

DAY = 86_400
DEFAULT = read_document(SOURCE)
ZONES = ("Asia/Shanghai", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe")
dropped = {"reservations": 0, "violations": 0, "remedies": 0}


def documents(chance: random.Random) -> Document:
    """The default rules over other periods, of the start or of now, with other numbers for some."""
    source: Any = copy.deepcopy(read_yaml(SOURCE).data)
    source["zone"] = chance.choice(ZONES)
    source["thresholds"]["span"] = {"value": chance.choice((1, 3, 20, 50)), "unit": "days", "favours": "higher"}
    source["thresholds"]["daily_quota"]["value"] = chance.choice((1, 2, 3))
    source["thresholds"]["weekly_quota"]["value"] = chance.choice((1, 2, 10))
    source["thresholds"]["violation_window_seconds"]["value"] = chance.choice((DAY, 7 * DAY, 40 * DAY))
    source["thresholds"]["booking_cutoff_seconds"]["value"] = chance.choice((1800, DAY))
    for rule, name in zip(source["rules"], ("reservations_that_day", "reservations_that_week"), strict=False):
        fact = source["facts"][name]
        fact["period"] = chance.choice(("calendar_day", "calendar_week", "rolling_days"))
        fact["of"] = chance.choice(("start", "start", "now"))
        if fact["period"] == "rolling_days":
            fact["days"] = "span"
        if fact["of"] == "now":
            rule["remedy"]["moves"] = ["wait"]
        elif chance.random() < 0.3:
            rule["remedy"]["moves"] = ["later_start", "another_day"]
    source["facts"]["escalations_today"]["period"] = chance.choice(("calendar_day", "calendar_week"))
    if chance.random() < 0.5:
        other = {"span": 60, "violation_window_seconds": 45 * DAY}
        source["overrides"] = [{"department": "physics", "thresholds": other}]
    return Document.model_validate(source)


def lengthen(asked: pb.DecideRequest, chance: random.Random) -> None:
    """With a past of months, in which most lies too far back to matter."""
    asked.account.department = chance.choice(("", "physics"))
    for number in range(chance.choice((0, 5, 20))):
        start = asked.now.seconds - chance.randrange(-10, 70) * DAY + chance.choice((0, 3600, -1))
        past = asked.history.reservations.add(reservation_id=f"old{number}", start_time=stamp(start))
        past.status, past.end_time.seconds = chance.choice((2, 4, 5, 6)), start + 3600  # type: ignore[assignment]
        if past.status == pb.RESERVATION_STATUS_CANCELLED:
            past.cancel_time.CopyFrom(stamp(start - chance.choice((0, 60, 2 * DAY))))
        if chance.random() < 0.2:
            begun = start + chance.choice((-DAY, DAY, 30 * DAY))
            former = past.former_starts.add(start_time=stamp(begun), given_back=chance.random() < 0.5)
            former.leave_time.CopyFrom(stamp(begun - chance.choice((0, 60, 2 * DAY))))
        if chance.random() < 0.2:
            past.escalate_time.CopyFrom(stamp(asked.now.seconds - chance.randrange(10) * DAY))
    for number in range(chance.choice((0, 1, 3))):
        when = stamp(asked.now.seconds - chance.randrange(60) * DAY)
        asked.history.violations.add(violation_id=f"far{number}", violation_time=when)


def nanoseconds(stamped: Timestamp) -> int:
    return stamped.seconds * SECOND + stamped.nanos


def told_from(reservation: pb.PastReservation) -> int:
    moments = [reservation.start_time, *(each.start_time for each in reservation.former_starts)]
    if reservation.HasField("escalate_time"):
        moments.append(reservation.escalate_time)
    return max(map(nanoseconds, moments))


def bounds(asked: pb.DecideRequest, window: pb.HistoryWindow) -> tuple[int, int]:
    """Epoch nanoseconds, by the contract's words."""
    now = nanoseconds(asked.now)
    first = min(starts(read_question(asked)))
    return (
        min(first - window.before_start_seconds * SECOND, now - window.before_now_seconds * SECOND),
        now - window.violations_before_now_seconds * SECOND,
    )


def bounded(asked: pb.DecideRequest, window: pb.HistoryWindow) -> pb.DecideRequest:
    since, violations_since = bounds(asked, window)
    short = pb.DecideRequest()
    short.CopyFrom(asked)
    whole = asked.history
    short.history.CopyFrom(
        pb.History(
            reservations=[each for each in whole.reservations if told_from(each) >= since],
            violations=[each for each in whole.violations if nanoseconds(each.violation_time) >= violations_since],
            suspensions=[each for each in whole.suspensions if nanoseconds(each.end_time) > nanoseconds(asked.now)],
            from_time=Timestamp(seconds=since // SECOND, nanos=since % SECOND),
            violations_from_time=Timestamp(seconds=violations_since // SECOND, nanos=violations_since % SECOND),
        )
    )
    dropped["reservations"] += len(whole.reservations) - len(short.history.reservations)
    dropped["violations"] += len(whole.violations) - len(short.history.violations)
    return short


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_lies_further_back_changes_nothing(seed: int) -> None:
    """Effect, rules, remedies, obligations, quotas and every figure."""
    chance = random.Random(seed)
    document = documents(chance)
    assert list(complaints(document)) == []
    policy, questions = Policy(document, "random@1"), Chance(seed)
    try:
        for _ in range(20):
            asked = questions.question()
            asked.decision_id = "the same"
            lengthen(asked, chance)
            whole, short = policy.decide(asked), bounded(asked, policy.window)
            assert policy.decide(short) == whole
            dropped["remedies"] += any(rule.remedy.changes for rule in whole.rules)
    finally:
        policy.close()


def test_there_was_much_that_changes_nothing() -> None:
    """After the law above: it has left things out, and remedies were looked for."""
    assert dropped["reservations"] > 500
    assert dropped["violations"] > 50
    assert dropped["remedies"] > 50


def test_the_default_looks_back_a_week_from_the_start_and_for_violations_as_far_as_they_count() -> None:
    window = Policy(DEFAULT, "default@1").window
    assert (window.policy_version, window.before_start_seconds, window.before_now_seconds) == (
        "default@1",
        8 * DAY,
        2 * DAY,
    )
    assert window.violations_before_now_seconds == DEFAULT.thresholds["violation_window_seconds"].value


def test_the_largest_number_that_anybody_has_counts() -> None:
    rolling = SOURCE.replace("    period: calendar_week\n", "    period: rolling_days\n    days: span\n", 1)
    rolling = rolling.replace("thresholds:\n", "thresholds:\n  span: {value: 10, unit: days, favours: lower}\n", 1)
    rolling += "\noverrides:\n  - {role: guest, thresholds: {span: 90}}\n"
    policy = Policy.load(rolling)
    assert policy.window.before_start_seconds == 90 * DAY
    fewer = policy.document.model_copy(update={"overrides": []})
    assert policy.with_numbers(fewer).window.before_start_seconds == 10 * DAY


POLICY = Policy.load(SOURCE, "default@1")


@pytest.mark.parametrize("field", ["from_time", "violations_from_time"])
def test_a_history_that_begins_too_late_is_not_decided_on(field: str) -> None:
    """A nanosecond is enough; and so it is with usage and with candidates."""
    asked = bounded(question(), POLICY.window)
    POLICY.decide(asked)
    getattr(asked.history, field).nanos += 1
    usage = pb.UsageRequest(now=asked.now, time=asked.subject.start_time, account=asked.account, history=asked.history)
    candidates = pb.AllowedSubjectsRequest(question=asked, candidates=[asked.subject], most=1)
    if field == "from_time":  # without a start in question the bound is that of the time asked about
        POLICY.usage(pb.UsageRequest(now=asked.now, time=moment("2026-01-01"), account=asked.account))
    for ask in (lambda: POLICY.decide(asked), lambda: POLICY.usage(usage), lambda: POLICY.allowed(candidates)):
        with pytest.raises(ShortHistoryError, match=f"history.{field}: begins too late") as caught:
            ask()
        assert caught.value.window == POLICY.window


def test_each_candidate_needs_its_own_past() -> None:
    asked = bounded(question(), POLICY.window)
    earlier = pb.Subject()
    earlier.CopyFrom(asked.subject)
    earlier.start_time.CopyFrom(moment("2025-07-07 10:00"))
    request = pb.AllowedSubjectsRequest(question=asked, candidates=[earlier], most=1)
    with pytest.raises(ShortHistoryError):
        POLICY.allowed(request)


def test_over_the_bus_whoever_told_too_little_learns_how_much_is_needed() -> None:
    good, short = question(), question()
    short.history.from_time.CopyFrom(short.now)
    short.history.reservations.append(reservation("a", "2025-07-08 15:00"))
    batch = pb.DecideBatchRequest(requests=[good, short])
    reply = subscriptions.decide(POLICY, batch)  # type: ignore[arg-type] # has decide() and window
    assert reply.window == POLICY.window
    assert reply.results[0].HasField("decision")
    assert reply.results[1].error.needed == POLICY.window
