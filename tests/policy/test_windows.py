"""What a policy says that it looks back to is enough for the same decision; with less there is none."""

import copy
import random
from collections import Counter
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from yunhui.policy.v1 import policy_service_pb2 as pb
from yunhui.policy.v1.decision_pb2 import Decision

from services.policy import subscriptions
from services.policy.checks import complaints, read_document
from services.policy.decisions import Policy
from services.policy.document import Document
from services.policy.questions import SECOND, read_question, starts
from services.policy.windows import ShortHistoryError, window_of
from services.policy.yaml_source import read_yaml
from tests.policy.samples import SOURCE, moment, question, reservation
from tests.policy.test_oracle import Chance, stamp

DAY = 86_400
DEFAULT = read_document(SOURCE)
ZONES = ("Asia/Shanghai", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe")
seen = Counter[str]()


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
    """With months before and after, most of which lie too far away to matter; sometimes all days to come are full."""
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
    later = chance.choice((0, 10, 70, 100))
    for number in range(later * chance.choice((0, 1, 3))):
        start = asked.now.seconds + (number % later + 1) * DAY + chance.choice((0, 0, 3600, -1))
        kept = asked.history.reservations.add(reservation_id=f"new{number}", start_time=stamp(start))
        kept.status, kept.end_time.seconds = pb.RESERVATION_STATUS_CONFIRMED, start + 3600
        if chance.random() < 0.05:
            kept.escalate_time.CopyFrom(stamp(asked.now.seconds - chance.randrange(-2, 4) * DAY))
        if chance.random() < 0.05:
            begun = start - chance.randrange(-30, 90) * DAY
            kept.former_starts.add(start_time=stamp(begun), leave_time=stamp(begun - 60))
    for number in range(chance.choice((0, 1, 3))):
        when = stamp(asked.now.seconds - chance.randrange(60) * DAY)
        asked.history.violations.add(violation_id=f"far{number}", violation_time=when)


def nanoseconds(stamped: Timestamp) -> int:
    return stamped.seconds * SECOND + stamped.nanos


def moments(reservation: pb.PastReservation) -> list[int]:
    found = [reservation.start_time, *(each.start_time for each in reservation.former_starts)]
    if reservation.HasField("escalate_time"):
        found.append(reservation.escalate_time)
    return [*map(nanoseconds, found)]


def bounds(asked: pb.DecideRequest, window: pb.HistoryWindow) -> tuple[int, int, int]:
    return bounds_of(list(starts(read_question(asked))), nanoseconds(asked.now), window)


def bounds_of(known: list[int], now: int, window: pb.HistoryWindow) -> tuple[int, int, int]:
    """Since, until and since for violations; epoch nanoseconds, by the contract's words. `known`: the starts."""
    return (
        min(min(known) - window.before_start_seconds * SECOND, now - window.before_now_seconds * SECOND),
        max(max(known) + window.after_start_seconds * SECOND, now + window.after_now_seconds * SECOND),
        now - window.violations_before_now_seconds * SECOND,
    )


def bounded(asked: pb.DecideRequest, window: pb.HistoryWindow) -> pb.DecideRequest:
    return cut(asked, *bounds(asked, window))


def cut(asked: pb.DecideRequest, since: int, until: int, violations_since: int) -> pb.DecideRequest:
    short = pb.DecideRequest()
    short.CopyFrom(asked)
    whole = asked.history
    short.history.CopyFrom(
        pb.History(
            reservations=[each for each in whole.reservations if any(since <= at < until for at in moments(each))],
            violations=[each for each in whole.violations if nanoseconds(each.violation_time) >= violations_since],
            suspensions=[each for each in whole.suspensions if nanoseconds(each.end_time) > nanoseconds(asked.now)],
            from_time=Timestamp(seconds=since // SECOND, nanos=since % SECOND),
            until_time=Timestamp(seconds=until // SECOND, nanos=until % SECOND),
            violations_from_time=Timestamp(seconds=violations_since // SECOND, nanos=violations_since % SECOND),
        )
    )
    return short


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_lies_further_away_changes_nothing(seed: int) -> None:
    """Effect, rules, remedies, obligations, quotas and every figure; asked for more, one tells that and no more."""
    chance = random.Random(seed)
    document = documents(chance)
    assert list(complaints(document)) == []
    policy, questions = Policy(document, "random@1"), Chance(seed)
    try:
        for _ in range(20):
            asked = questions.question()
            asked.decision_id = "the same"
            lengthen(asked, chance)
            whole = policy.decide(asked)
            assert decided(policy, asked) == whole
            shortened(policy, asked, whole, chance)
            same_usage(policy, asked)
            seen["remedies"] += any(rule.remedy.changes for rule in whole.rules)
    finally:
        policy.close()


def decided(policy: Policy, asked: pb.DecideRequest) -> Decision:
    """With so much history as is needed: asked again at most once."""
    short = bounded(asked, policy.window)
    seen["violations left out"] += len(asked.history.violations) - len(short.history.violations)
    try:
        decision = policy.decide(short)
        seen["reservations left out"] += len(asked.history.reservations) - len(short.history.reservations)
    except ShortHistoryError as error:
        more = bounded(asked, error.window)
        decision = policy.decide(more)
        seen["asked again"] += 1
        seen["left out even so"] += len(asked.history.reservations) - len(more.history.reservations)
    return decision


def shortened(policy: Policy, asked: pb.DecideRequest, whole: Decision, chance: random.Random) -> None:
    """What ends where an entry lies, or a second sooner, is not decided on, or that entry changes nothing."""
    since, until, violations_since = bounds(asked, policy.window)
    ends = [at for each in asked.history.reservations for at in moments(each) if since <= at]
    for end in (*chance.sample(ends, min(3, len(ends))), until):
        try:
            assert policy.decide(cut(asked, since, end - chance.choice((0, SECOND)), violations_since)) == whole
            seen["shorter is decided"] += 1
        except ShortHistoryError:
            seen["shorter is not decided"] += 1


def same_usage(policy: Policy, asked: pb.DecideRequest) -> None:
    """Of the day in question: it needs no more than the rules."""
    time = asked.subject.start_time
    short = cut(asked, *bounds_of([nanoseconds(time)], nanoseconds(asked.now), policy.window))
    told, whole = (
        pb.UsageRequest(now=asked.now, time=time, account=asked.account, history=each.history)
        for each in (short, asked)
    )
    assert policy.usage(told) == policy.usage(whole)


def test_there_was_much_that_changes_nothing() -> None:
    """After the law above: it has left things out, and remedies were looked for, some of them far away."""
    assert seen["reservations left out"] > 5000
    assert seen["violations left out"] > 50
    assert seen["remedies"] > 50
    assert seen["asked again"] > 20
    assert seen["left out even so"] > 100
    assert seen["shorter is decided"] > 20
    assert seen["shorter is not decided"] > 200


def test_the_default_looks_a_week_around_the_start_and_for_violations_as_far_as_they_count() -> None:
    window = Policy(DEFAULT, "default@1").window
    assert (window.policy_version, window.before_start_seconds, window.before_now_seconds) == (
        "default@1",
        8 * DAY,
        2 * DAY,
    )
    assert (window.after_start_seconds, window.after_now_seconds) == (8 * DAY, 2 * DAY)
    assert window.violations_before_now_seconds == DEFAULT.thresholds["violation_window_seconds"].value


def test_the_largest_number_that_anybody_has_counts() -> None:
    rolling = SOURCE.replace("    period: calendar_week\n", "    period: rolling_days\n    days: span\n", 1)
    rolling = rolling.replace("thresholds:\n", "thresholds:\n  span: {value: 10, unit: days, favours: lower}\n", 1)
    rolling += "\noverrides:\n  - {role: guest, thresholds: {span: 90}}\n"
    policy = Policy.load(rolling)
    assert policy.window.before_start_seconds == 90 * DAY
    assert policy.window.after_start_seconds == 2 * DAY
    fewer = policy.document.model_copy(update={"overrides": []})
    assert policy.with_numbers(fewer).window.before_start_seconds == 10 * DAY


def test_rules_that_count_no_reservations_look_at_none_to_come() -> None:
    """A rolling span ends with the second of the start."""
    window = window_of(DEFAULT, "default@1", ["lead_seconds"])
    assert window.HasField("after_start_seconds")
    assert (window.after_start_seconds, window.after_now_seconds) == (0, 0)
    source: Any = copy.deepcopy(read_yaml(SOURCE).data)
    source["thresholds"]["span"] = {"value": 3, "unit": "days", "favours": "higher"}
    source["facts"]["reservations_that_day"].update(period="rolling_days", days="span")
    window = window_of(Document.model_validate(source), "default@1", ["reservations_that_day"])
    assert (window.before_start_seconds, window.after_start_seconds) == (3 * DAY, 1)


POLICY = Policy.load(SOURCE, "default@1")


@pytest.mark.parametrize("field", ["from_time", "until_time", "violations_from_time"])
def test_a_history_that_is_too_short_is_not_decided_on(field: str) -> None:
    """A nanosecond is enough; and so it is with usage and with candidates."""
    asked = bounded(question(), POLICY.window)
    POLICY.decide(asked)
    bound = nanoseconds(getattr(asked.history, field)) + (-1 if field == "until_time" else 1)
    getattr(asked.history, field).CopyFrom(Timestamp(seconds=bound // SECOND, nanos=bound % SECOND))
    usage = pb.UsageRequest(now=asked.now, time=asked.subject.start_time, account=asked.account, history=asked.history)
    candidates = pb.AllowedSubjectsRequest(question=asked, candidates=[asked.subject], most=1)
    if field == "from_time":  # without a start in question the bound is that of the time asked about
        POLICY.usage(pb.UsageRequest(now=asked.now, time=moment("2026-01-01"), account=asked.account))
    for ask in (lambda: POLICY.decide(asked), lambda: POLICY.usage(usage), lambda: POLICY.allowed(candidates)):
        with pytest.raises(ShortHistoryError, match=f"history.{field}: (begins too late|ends too soon)") as caught:
            ask()
        assert caught.value.window == POLICY.window


@pytest.mark.parametrize("start", ["2025-07-07 10:00", "2025-07-08 10:01"])
def test_each_candidate_needs_its_own_history(start: str) -> None:
    asked = bounded(question(), POLICY.window)
    other = pb.Subject()
    other.CopyFrom(asked.subject)
    other.start_time.CopyFrom(moment(start))
    other.end_time.CopyFrom(moment("2025-07-08 11:00"))
    request = pb.AllowedSubjectsRequest(question=asked, candidates=[other], most=1)
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


def busy(days: int) -> pb.DecideRequest:
    """Three reservations, as many as there may be, on each of so many days from the day in question on."""
    asked = question()
    for number in range(days * 3):
        start = asked.subject.start_time.seconds + number // 3 * DAY
        entry = asked.history.reservations.add(reservation_id=str(number), status=pb.RESERVATION_STATUS_CONFIRMED)
        entry.start_time.seconds, entry.end_time.seconds = start, start + 3600
    return asked


def test_a_remedy_that_is_near_needs_no_more_than_the_rules() -> None:
    asked = busy(2)
    asked.decision_id = "the same"
    assert POLICY.decide(bounded(asked, POLICY.window)) == POLICY.decide(asked)


def test_a_remedy_that_comes_to_what_is_not_told_says_how_far_remedies_may_go() -> None:
    asked = busy(40)
    asked.history.suspensions.add(start_time=asked.now, end_time=moment("2025-07-09 12:00"))
    with pytest.raises(ShortHistoryError, match=r"history\.until_time: ends too soon") as caught:
        POLICY.decide(bounded(asked, POLICY.window))
    needed = caught.value.window
    assert needed.after_start_seconds == (62 + 8) * DAY
    assert needed.after_now_seconds > 2 * DAY + 51 * 3600
    assert needed.before_start_seconds == POLICY.window.before_start_seconds
    [*_, remedy] = [
        rule.remedy for rule in POLICY.decide(bounded(asked, needed)).rules if rule.rule_id == "DAILY_QUOTA"
    ]
    assert "2025-08-" in remedy.changes[0].value


def test_whoever_explains_nothing_needs_no_remedies() -> None:
    short = bounded(busy(40), POLICY.window)
    assert POLICY.allowed(pb.AllowedSubjectsRequest(question=short, candidates=[short.subject], most=1)) == []
