"""A fact decides: a rule over it is published with its test table, fires, is explained, and is a quota with a name."""

import pytest
from yunhui.policy.v1 import decision_pb2

from services.policy import drafts
from services.policy.decisions import Policy
from tests.policy.samples import CASES, SOURCE, moment, question, reservation

THRESHOLD = """\
thresholds:
  most_at_once: {value: 1, unit: reservations, favours: higher}
"""
FACT = """\
facts:
  reservations_meanwhile:
    count: reservations
    period: meanwhile
    of: start
    statuses: [PENDING_APPROVAL, CONFIRMED, IN_USE]
    cancelled_within: booking_cutoff_seconds
"""
RULE = """\
rules:
  - id: AT_ONCE
    summary: {zh-CN: "同一时间最多 {most_at_once} 个预定。", en: "At most {most_at_once} reservations at a time."}
    on: [CREATE, UPDATE]
    when: {fact: reservations_meanwhile, op: at_least, threshold: most_at_once}
    effect: DENY
    reason: {zh-CN: "那时已有 {reservations_meanwhile} 个预定。", en: "You have {reservations_meanwhile} at that time."}
    remedy: none

"""
TABLE = """
  - name: another one that only touches
    given: {reservations: [{start: 2025-07-08 08:00, lasts: 7200}]}
    expect: {effect: ALLOW, rules: [], facts: {reservations_meanwhile: 0}}
  - name: a long one that is still under way
    given: {reservations: [{start: 2025-07-08 08:00, lasts: 7201}]}
    expect: {effect: DENY, rules: [AT_ONCE], facts: {reservations_meanwhile: 1}}
"""


@pytest.fixture
def source() -> str:
    changed = SOURCE.replace("thresholds:\n", THRESHOLD, 1)
    return changed.replace("facts:\n", FACT, 1).replace("rules:\n", RULE, 1)


def test_it_has_cases_in_the_test_table(source: str) -> None:
    """The table as delivered makes three reservations for one time, which this rule forbids: not all of it holds."""
    said = drafts.validate(source, CASES + TABLE)
    assert [*said.faults] == []
    assert [each.passed for each in said.tests[-2:]] == [True, True], said.tests[-2:]


def test_it_decides_and_says_why(source: str) -> None:
    policy = Policy.load(source, "next@1")
    asked = question()
    asked.history.reservations.append(reservation("r1", "2025-07-08 10:30"))
    found = policy.decide(asked)
    assert (found.effect, [rule.rule_id for rule in found.rules]) == (decision_pb2.EFFECT_DENY, ["AT_ONCE"])
    assert found.rules[0].reason.zh_cn == "那时已有 1 个预定。"
    [quota] = [each for each in found.quotas if each.rule_id == "AT_ONCE"]
    assert (quota.name.zh_cn, quota.name.en, quota.used, quota.limit) == ("同时", "At the same time", 1, 1)
    assert quota.period_start == moment("2025-07-08 10:00")
    assert policy.replay(asked, found) == found
