"""What a version says in the contracts' words is what its YAML says, whatever its authors call things."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import decision_pb2 as decision
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy import handbook
from services.policy.checks import read_document
from services.policy.decisions import Policy
from services.policy.description import describe
from tests.policy.samples import SOURCE, moment, question

DEFAULT = describe(read_document(SOURCE))


def rule(rule_id: str, description: pb.PolicyDescription = DEFAULT) -> pb.RuleDescription:
    return next(each for each in description.rules if each.rule_id == rule_id)


def alone(description: pb.PolicyDescription) -> set[tuple[str, str, str]]:
    return {
        (each.measure, each.operator, each.threshold)
        for rule in description.rules
        for each in rule.comparisons
        if each.alone
    }


def test_rules_thresholds_and_zone() -> None:
    quota = rule("DAILY_QUOTA")
    assert list(quota.actions) == [pb.ACTION_CREATE, pb.ACTION_UPDATE]
    assert quota.effect == decision.EFFECT_DENY
    assert "{daily_quota}" in quota.summary.zh_cn
    [compared] = quota.comparisons
    assert (compared.measure, compared.operator, compared.unit) == ("reservations", "at_least", "reservations")
    assert DEFAULT.thresholds[compared.threshold] == pb.Threshold(value=3, unit="reservations")
    assert DEFAULT.zone == "Asia/Shanghai"
    assert DEFAULT.precedence[0] == decision.EFFECT_REDIRECT
    assert rule("LARGE_MEETING").obligations[0].address == "dccloud@cnic.cn"


def test_what_decides_alone() -> None:
    """Of the five rules about times and sizes just the one comparison each; the 100 people of others are no bound."""
    assert {each for each in alone(DEFAULT) if each[0] in {"lead", "days_ahead", "duration", "participant_count"}} == {
        ("lead", "less_than", "booking_cutoff_seconds"),
        ("days_ahead", "more_than", "booking_horizon_days"),
        ("duration", "at_most", "small_meeting_seconds"),
        ("participant_count", "at_most", "small_meeting_people"),
        ("participant_count", "at_least", "large_meeting_people"),
    }


def test_names_of_thresholds_are_their_authors_own() -> None:
    source = SOURCE.replace("booking_horizon_days", "how_far").replace("daily_quota", "each_day")
    renamed = describe(read_document(source))
    assert {name for _, _, name in alone(renamed)} >= {"how_far", "each_day"}
    assert renamed.thresholds["how_far"].value == 7


def test_overrides_are_told() -> None:
    more = SOURCE + "\noverrides:\n  - {department: 学院, role: support, thresholds: {daily_quota: 5}}\n"
    [override] = describe(read_document(more)).overrides
    assert (override.department, override.role, dict(override.thresholds)) == ("学院", "support", {"daily_quota": 5})


def test_overrides_for_all_below_a_department_are_told() -> None:
    more = SOURCE + "\noverrides:\n  - {department: {id: dep_a, below: true}, thresholds: {may_book: 0}}\n"
    document = read_document(more)
    [override] = describe(document).overrides
    assert (override.department_id, override.below, override.department) == ("dep_a", True, "")
    page = handbook.render(document)
    assert "| dep_a 及其下级部门 |  | may_book = 0 |" in page
    assert "| dep_a and all below it |  | may_book = 0 |" in page


@pytest.mark.parametrize(
    ("start", "names"),
    [
        ("2025-07-07 10:00", [("今日", "Today"), ("本周", "This week")]),
        ("2025-07-08 10:00", [("当日", "That day"), ("本周", "This week")]),
        ("2025-07-14 00:00", [("当日", "That day"), ("当周", "That week")]),
    ],
)
def test_a_quota_says_what_its_period_is_called(start: str, names: list[tuple[str, str]]) -> None:
    asked = question()
    asked.subject.start_time.CopyFrom(moment(start))
    asked.subject.end_time.CopyFrom(Timestamp(seconds=asked.subject.start_time.seconds + 3600))
    assert [(quota.name.zh_cn, quota.name.en) for quota in Policy.load(SOURCE).decide(asked).quotas] == names


def test_a_period_that_moves_along_is_called_by_its_length() -> None:
    rolling = SOURCE.replace("    period: calendar_week\n", "    period: rolling_days\n    days: span\n", 1)
    rolling = rolling.replace("thresholds:\n", "thresholds:\n  span: {value: 10, unit: days, favours: lower}\n", 1)
    assert Policy.load(rolling).decide(question()).quotas[1].name == decision.LocalizedText(
        zh_cn="10 天内", en="Within 10 days"
    )
