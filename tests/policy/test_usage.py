"""What an account has used: the same figures as in decisions, of no request, and how near it is to being closed out."""

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy import subscriptions
from services.policy.decisions import InvalidRequestError, Policy
from tests.policy.samples import SOURCE, moment, question, reservation

POLICY = Policy.load(SOURCE, "default@1")
DAY = 86_400
WEEK = 7 * DAY


def asked(asking: pb.DecideRequest) -> pb.UsageRequest:
    """About the day of what is asked for there."""
    return pb.UsageRequest(
        now=asking.now, time=asking.subject.start_time, account=asking.account, history=asking.history
    )


def busy() -> pb.DecideRequest:
    """Three reservations of the week, two of them on the day in question."""
    busy = question()
    starts = {"a": "2025-07-08 08:00", "b": "2025-07-08 09:00", "c": "2025-07-10 09:00"}
    busy.history.reservations.extend(reservation(name, start) for name, start in starts.items())
    return busy


def violated(*violations: tuple[str, bool, bool]) -> pb.DecideRequest:
    """When, waived, used up."""
    made = question()
    for number, (when, waived, used_up) in enumerate(violations):
        made.history.violations.add(
            violation_id=f"v{number}", violation_time=moment(when), waived=waived, used_up=used_up
        )
    return made


@pytest.mark.parametrize("start", ["2025-07-07 10:00", "2025-07-08 10:00", "2025-07-10 10:00", "2025-07-14 00:00"])
def test_usage_is_what_a_decision_about_that_time_would_say(start: str) -> None:
    asking = busy()
    asking.subject.start_time.CopyFrom(moment(start))
    asking.subject.end_time.CopyFrom(Timestamp(seconds=asking.subject.start_time.seconds + 3600))
    usage, decision = POLICY.usage(asked(asking)), POLICY.decide(asking)
    assert [each.usage for each in usage.quotas] == list(decision.quotas)
    assert [each.remaining for each in usage.quotas] == [each.limit - each.used for each in decision.quotas]
    assert (usage.policy_version, usage.thresholds) == (decision.policy_version, decision.thresholds)


def test_a_unit_of_a_calendar_period_comes_back_at_its_end() -> None:
    daily, _ = POLICY.usage(asked(busy())).quotas
    assert list(daily.return_times) == [daily.usage.period_end] * 2


def test_a_unit_of_a_rolling_period_comes_back_by_itself() -> None:
    rolling = SOURCE.replace("    period: calendar_week\n", "    period: rolling_days\n    days: span\n", 1)
    rolling = rolling.replace("thresholds:\n", "thresholds:\n  span: {value: 10, unit: days, favours: lower}\n", 1)
    _, quota = Policy.load(rolling).usage(asked(busy())).quotas
    starts = [moment(f"2025-07-08 0{hour}:00").seconds for hour in (8, 9)]
    assert [each.seconds for each in quota.return_times] == [start + 10 * DAY for start in starts]


def test_left_is_never_below_nothing() -> None:
    one = Policy.load(SOURCE.replace("daily_quota: {value: 3", "daily_quota: {value: 1"))
    assert one.usage(asked(busy())).quotas[0].remaining == 0


@pytest.mark.parametrize(
    ("violations", "counted"),
    [
        ([], 0),
        ([("2025-07-05 10:00", False, False)], 1),
        ([("2025-07-05 10:00", True, False)], 0),
        ([("2025-07-05 10:00", False, True)], 0),
        ([("2025-06-20 10:00", False, False), ("2025-07-06 10:00", False, False)], 1),
    ],
)
def test_violations_count_as_for_the_next_no_show(violations: list[tuple[str, bool, bool]], counted: int) -> None:
    closing = POLICY.usage(asked(violated(*violations))).closing
    assert (closing.violations, closing.limit, closing.within_seconds) == (counted, 2, WEEK)


def test_what_the_policy_lets_count_counts() -> None:
    waived_too = Policy.load(SOURCE.replace("leave_out: [waived, used_up]", "leave_out: [used_up]"))
    asking = asked(violated(("2025-07-05 10:00", True, False)))
    assert waived_too.usage(asking).closing.violations == 1


SUSPENDS = "{fact: violations_with_this_one, op: at_least, threshold: violations_to_suspend}"


@pytest.mark.parametrize(
    ("before", "after", "limit"),
    [
        (SUSPENDS, SUSPENDS.replace("at_least", "more_than"), 3),
        (SUSPENDS, SUSPENDS.replace("threshold: violations_to_suspend", "value: 4"), 4),
        ("    this_one_too: true\n", "    this_one_too: false\n", 3),
    ],
)
def test_the_limit_is_what_the_rule_says(before: str, after: str, limit: int) -> None:
    """More than two; a number in the rule itself; a count without the no-show that is being decided."""
    assert SOURCE.count(before) == 1
    assert Policy.load(SOURCE.replace(before, after)).usage(asked(question())).closing.limit == limit


def test_a_suspension_that_no_rule_looks_at_closes_nothing() -> None:
    start = SOURCE.index("  - id: SUSPENSION\n")
    without = SOURCE[:start] + SOURCE[SOURCE.index("  - id: BOOKING_HORIZON\n") :]
    asking = question()
    asking.history.suspensions.add(start_time=moment("2025-07-06"), end_time=moment("2025-07-10"))
    assert POLICY.usage(asked(asking)).HasField("closed_until")
    assert not Policy.load(without).usage(asked(asking)).HasField("closed_until")


def test_other_names_of_numbers_change_nothing() -> None:
    renamed = SOURCE
    for name in ("violations_to_suspend", "violation_window_seconds", "daily_quota", "weekly_quota"):
        assert name in renamed
        renamed = renamed.replace(name, f"our_{name}")
    one, other = POLICY.usage(asked(busy())), Policy.load(renamed, "default@1").usage(asked(busy()))
    for each in (one, other):
        each.ClearField("thresholds")
    assert one == other


def test_without_a_rule_that_suspends_nothing_closes() -> None:
    duty = "      - {kind: SUSPEND, seconds: suspension_seconds, violations: violations_with_this_one}\n"
    assert duty in SOURCE
    assert not Policy.load(SOURCE.replace("    obligations:\n" + duty, "")).usage(asked(busy())).HasField("closing")


def test_suspensions_that_touch_close_as_one() -> None:
    asking = question()
    for start, end in (("2025-07-06", "2025-07-10"), ("2025-07-10", "2025-07-14"), ("2025-07-20", "2025-07-24")):
        asking.history.suspensions.add(start_time=moment(start), end_time=moment(end))
    assert POLICY.usage(asked(asking)).closed_until == moment("2025-07-14")
    assert not POLICY.usage(asked(question())).HasField("closed_until")


@pytest.mark.parametrize("field", ["now", "time", "account"])
def test_what_cannot_be_meant_is_refused_by_its_field(field: str) -> None:
    asking = asked(question())
    asking.ClearField(field)  # type: ignore[arg-type] # one of three
    with pytest.raises(InvalidRequestError, match=field):
        POLICY.usage(asking)


def test_over_the_bus_there_is_an_answer_or_an_error() -> None:
    good = subscriptions.answer_usage(POLICY, asked(question()))  # type: ignore[arg-type] # has usage()
    assert good.usage == POLICY.usage(asked(question()))
    wrong = subscriptions.answer_usage(POLICY, pb.UsageRequest())  # type: ignore[arg-type] # the same
    assert wrong.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
