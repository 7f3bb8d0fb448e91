"""The published rules pass their table, and the table would notice if they were different."""

from functools import cache

import pytest

from services.policy.decisions import Policy
from services.policy.test_table import PolicyTestReport, read_table, run
from services.policy.yaml_source import InvalidPolicyError
from tests.policy.samples import CASES, SOURCE


def check(source: str = SOURCE, cases: str = CASES) -> PolicyTestReport:
    return run(Policy.load(source), read_once(cases))


read_once = cache(read_table)


def test_published_rules_pass_their_table() -> None:
    report = check()
    assert [result for result in report.results if not result.passed] == []
    assert report.gaps == ()
    assert report.passed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("op: at_least, threshold: daily_quota", "op: more_than, threshold: daily_quota"),
        ("op: at_least, threshold: weekly_quota", "op: more_than, threshold: weekly_quota"),
        ("op: equal, value: 0", "op: equal, value: 1"),
        ("op: at_least, threshold: violations_to_suspend", "op: more_than, threshold: violations_to_suspend"),
        ("op: more_than, value: 0", "op: more_than, value: 1"),
        ("op: more_than, threshold: booking_horizon_days", "op: at_least, threshold: booking_horizon_days"),
        ("op: less_than, threshold: booking_cutoff_seconds", "op: at_most, threshold: booking_cutoff_seconds"),
        ("op: at_least, threshold: large_meeting_people", "op: more_than, threshold: large_meeting_people"),
        ("op: at_most, threshold: small_meeting_seconds", "op: less_than, threshold: small_meeting_seconds"),
        ("op: at_most, threshold: small_meeting_people", "op: less_than, threshold: small_meeting_people"),
        ("op: less_than, value: 1", "op: less_than, value: 2"),
        ("op: less_than, value: 0", "op: at_most, value: 0"),
        ("threshold: booking_cutoff_seconds}\n        - {fact: extends", "value: 0}\n        - {fact: extends"),
        ("{fact: postpones, op: equal, value: 1}", "{fact: postpones, op: equal, value: 0}"),
        ("    - {fact: extends, op: equal, value: 1}", "    - {fact: extends, op: equal, value: 0}"),
        ("fact: committed_lead_seconds, op: less_than, threshold", "fact: lead_seconds, op: less_than, threshold"),
        ("committed_lead, within: booking_cutoff_seconds", "committed_lead, within: small_meeting_seconds"),
        ("measure: committed_lead, within: booking_cutoff_seconds, round: down", "measure: lead, round: down"),
        ("zone: Asia/Shanghai", "zone: UTC"),
        ("week_start: monday", "week_start: sunday"),
        ("precedence: [REDIRECT, DENY,", "precedence: [DENY, REDIRECT,"),
        ("measure: lead, round: down", "measure: lead, round: up"),
        ("measure: elapsed, round: down", "measure: elapsed, round: up"),
        ("measure: suspension_remaining, round: up", "measure: suspension_remaining, round: down"),
        ("leave_out: [waived, used_up]", "leave_out: [waived]"),
        ("leave_out: [waived, used_up]", "leave_out: [used_up]"),
        ("this_one_too: true", "this_one_too: false"),
        ("period: calendar_week", "period: calendar_day"),
        ("- {kind: RECORD_VIOLATION}", "- {kind: RELEASE_ROOM}"),
        ("address: dccloud@cnic.cn", "address: other@cnic.cn"),
        ("effects: [ALLOW, ESCALATE]", "effects: [ALLOW]"),
        ("每天最多", "每日最多"),
        *((f", {status}", "") for status in ("CONFIRMED", "IN_USE", "COMPLETED", "NO_SHOW")),
    ],
)  # fmt: skip
def test_table_notices_a_changed_rule(old: str, new: str) -> None:
    assert old in SOURCE
    assert not check(SOURCE.replace(old, new)).passed


def test_table_notices_a_number_that_only_one_side_holds() -> None:
    """Without the case of 99 people, the limit could as well be 99."""
    cases = CASES.replace("{people: 99}", "{people: 98}").replace("people: 99}", "people: 98}")
    assert check(cases=cases).gaps == (
        "threshold large_meeting_people = 100: no case notices when it becomes 99; add one on that side of it",
    )


def test_table_names_a_rule_that_no_case_hits() -> None:
    cases = CASES[: CASES.index("  # LATE_CANCELLATION")]
    assert check(cases=cases).gaps == ("rule LATE_CANCELLATION: no case hits it; add one",)


def test_overrides_need_cases_too() -> None:
    source = SOURCE + "\noverrides:\n  - {role: lecturer, thresholds: {daily_quota: 5}}\n"
    assert [gap.split(":")[0] for gap in check(source).gaps] == ["override for lecturer"] * 2
    cases = CASES + "".join(
        f"""
  - name: lecturer with {number}
    given: {{reservations: [{{start: 2025-07-08 14:00, times: {number}}}]}}
    ask: {{roles: [lecturer]}}
    expect: {{effect: {effect}, rules: [{rule}]}}
"""
        for number, effect, rule in ((4, "ALLOW", ""), (5, "DENY", "DAILY_QUOTA"))
    )
    assert check(source, cases).passed


def test_a_case_that_differs_says_how() -> None:
    cases = CASES.replace("effect: ALLOW", "effect: DENY", 1)
    assert check(cases=cases).results[0].faults == ("effect: expected DENY, got ALLOW",)


def test_a_case_with_an_impossible_question_fails_and_does_not_raise() -> None:
    report = check(cases=CASES.replace("ask: {people: 99}", "ask: {people: 0}"))
    assert "subject.participant_count" in str([result.faults for result in report.results if not result.passed])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ask: {people: 99}", "ask: {poeple: 99}", "did you mean 'people'"),
        ("name: 3 people", "name: 2 people", "another case has this name"),
        ("2025-07-08 10:00:00, lasts", "tomorrow, lasts", "must look like"),
    ],
)
def test_faults_of_a_table_name_the_line(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidPolicyError) as caught:
        read_table(CASES.replace(old, new, 1))
    expected = CASES[: CASES.index(old)].count("\n") + 1
    assert caught.value.faults[0].line == expected
    assert message in caught.value.faults[0].message
