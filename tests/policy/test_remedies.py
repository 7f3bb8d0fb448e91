"""A remedy, applied, silences its rule, and nothing smaller does: judged by the oracle, not by our own search."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from yunhui.policy.v1 import decision_pb2
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.decisions import Policy
from services.policy.questions import InvalidRequestError
from services.policy.remedies import least
from tests.policy import oracle
from tests.policy.samples import SOURCE, WITH_ROLES, moment, question, reservation
from tests.policy.test_oracle import Chance

DONE_ELSEWHERE = {"ACCOUNT_CLOSED", "MAY_NOT_BOOK", "ADVANCED_ONLY", "UNVERIFIED"}
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load(WITH_ROLES)


def copy_of(asked: pb.DecideRequest) -> pb.DecideRequest:
    changed = pb.DecideRequest()
    changed.CopyFrom(asked)
    return changed


def apply(asked: pb.DecideRequest, remedy: decision_pb2.Remedy) -> pb.DecideRequest:
    """As a person would follow it: the fields changed, or asked again later."""
    changed = copy_of(asked)
    for change in remedy.changes:
        value = json.loads(change.value)
        if change.field == "participant_count":
            changed.subject.participant_count = value
        else:
            getattr(changed.subject, change.field).FromDatetime(datetime.fromisoformat(value))
    if remedy.HasField("available_from"):
        changed.now.CopyFrom(remedy.available_from)
    return changed


def fires(rule_id: str, asked: pb.DecideRequest) -> bool:
    return rule_id in oracle.booking_rules(asked)


def smaller(rule_id: str, asked: pb.DecideRequest, remedy: decision_pb2.Remedy) -> Iterator[pb.DecideRequest]:
    """One step back towards what was asked; for another day, every day between."""
    cured = apply(asked, remedy)
    if rule_id in ("DAILY_QUOTA", "WEEKLY_QUOTA"):
        days = (oracle.read(cured.subject.start_time) - oracle.read(asked.subject.start_time)) // DAY
        for day in range(1, days):
            yield moved(asked, oracle.read(asked.subject.start_time) + day * DAY)
    elif rule_id == "BOOKING_CUTOFF":
        yield moved(asked, oracle.read(cured.subject.start_time) - MINUTE)
    elif remedy.HasField("available_from"):
        back = copy_of(cured)
        back.now.seconds -= 1
        yield back
    elif rule_id in ("LARGE_MEETING", "ESCALATION_LIMIT"):
        back = copy_of(cured)
        back.subject.participant_count += 1
        yield back


def moved(asked: pb.DecideRequest, start: datetime) -> pb.DecideRequest:
    length = oracle.read(asked.subject.end_time) - oracle.read(asked.subject.start_time)
    changed = copy_of(asked)
    changed.subject.start_time.FromDatetime(start)
    changed.subject.end_time.FromDatetime(start + length)
    return changed


@pytest.mark.parametrize("seed", range(3))
def test_a_remedy_helps_and_is_the_smallest(policy: Policy, seed: int) -> None:
    chance, seen = Chance(seed), Counter[str]()
    for _ in range(1200):
        asked = chance.question()
        if asked.action not in (pb.ACTION_CREATE, pb.ACTION_UPDATE):
            continue
        for rule in policy.decide(asked).rules:
            if rule.rule_id == "NO_ROOM_FREE":
                assert not rule.HasField("remedy")  # booking did not say when one is free
                continue
            if rule.rule_id == "LATE_CHANGE" and not asked.subject.former_room_capacity:
                assert not rule.HasField("remedy")  # nothing is held that could be kept
                continue
            assert rule.HasField("remedy"), rule.rule_id
            if rule.rule_id in DONE_ELSEWHERE:
                assert not rule.remedy.changes
                assert rule.remedy.text.en
                continue
            assert not fires(rule.rule_id, apply(asked, rule.remedy)), (rule, asked)
            if asked.action == pb.ACTION_UPDATE and rule.rule_id in ("SUSPENSION", "BOOKING_CUTOFF"):
                seen[rule.rule_id] += 1
                continue  # they speak of what takes more: a smaller step may take nothing, or be refused by others
            for step in smaller(rule.rule_id, asked, rule.remedy):
                assert fires(rule.rule_id, step), (rule, step)
            seen[rule.rule_id] += 1
    assert min(seen.values()) > 5
    assert len(seen) >= 8


def only_rule(policy: Policy, asked: pb.DecideRequest) -> decision_pb2.FiredRule:
    [rule] = policy.decide(asked).rules
    return rule


def changes(rule: decision_pb2.FiredRule) -> dict[str, Any]:
    return {change.field: json.loads(change.value) for change in rule.remedy.changes}


def test_a_meeting_too_short_and_too_small_needs_both(policy: Policy) -> None:
    asked = question()
    asked.subject.end_time.seconds = asked.subject.start_time.seconds + 40 * 60
    assert changes(only_rule(policy, asked)) == {"end_time": "2025-07-08T02:41:00Z"}
    asked.subject.participant_count = 2
    rule = only_rule(policy, asked)
    assert changes(rule) == {"end_time": "2025-07-08T02:41:00Z", "participant_count": 3}
    assert "个人免费版" in rule.remedy.text.zh_cn
    asked.subject.end_time.seconds += 60
    assert changes(only_rule(policy, asked)) == {"participant_count": 3}


def test_a_room_becomes_free_when_booking_says_so(policy: Policy) -> None:
    asked = question()
    asked.subject.free_room_count = 0
    asked.subject.next_free_time.seconds = asked.subject.start_time.seconds + 1800
    rule = only_rule(policy, asked)
    assert changes(rule) == {"start_time": "2025-07-08T02:30:00Z", "end_time": "2025-07-08T03:30:00Z"}
    assert rule.remedy.text.en == "A room is free from 8 July 10:30."


def test_the_sentence_says_what_the_data_says(policy: Policy) -> None:
    asked = question()
    asked.history.reservations.extend(reservation(f"r{n}", "2025-07-08 14:00") for n in range(3))
    rule = only_rule(policy, asked)
    assert rule.remedy.text.zh_cn == "可改到 7 月 9 日 10:00，那天您还可以预定。"
    assert changes(rule)["start_time"] == "2025-07-09T02:00:00Z"


def test_support_can_be_asked_again_on_the_next_day_or_fewer_people_come(policy: Policy) -> None:
    asked = question()
    asked.subject.participant_count = 120
    asked.history.reservations.extend(reservation(f"r{n}", "2025-07-10 14:00", "CANCELLED") for n in range(3))
    for past in asked.history.reservations:
        past.escalate_time.CopyFrom(moment("2025-07-07 08:00"))
        past.cancel_time.CopyFrom(moment("2025-07-07 08:00"))

    def limit() -> decision_pb2.FiredRule:
        return next(rule for rule in policy.decide(asked).rules if rule.rule_id == "ESCALATION_LIMIT")

    assert limit().remedy.available_from == moment("2025-07-08 00:00")
    asked.subject.start_time.CopyFrom(moment("2025-07-07 20:00"))  # tomorrow is too late for it
    asked.subject.end_time.CopyFrom(moment("2025-07-07 21:00"))
    assert changes(limit()) == {"participant_count": 99}


def test_another_day_keeps_the_time_of_day_where_clocks_change() -> None:
    """In Berlin the night to 2025-10-26 has 25 hours."""
    berlin = Policy.load(SOURCE.replace("zone: Asia/Shanghai", "zone: Europe/Berlin"))
    asked = question()
    start = datetime(2025, 10, 25, 8, tzinfo=UTC)  # 10:00 there
    asked = moved(asked, start)
    asked.now.FromDatetime(start - DAY)
    for n in range(3):
        past = asked.history.reservations.add(reservation_id=f"r{n}", status=pb.RESERVATION_STATUS_CONFIRMED)
        past.start_time.FromDatetime(start)
        past.end_time.FromDatetime(start)
    assert changes(only_rule(berlin, asked))["start_time"] == "2025-10-26T09:00:00Z"  # 10:00 again


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      moves: [another_day]\n", "      moves: [fewer_people]\n", "fewer_people cannot help"),
        ("      moves: [another_day]\n", "      moves: []\n", "moves"),
        ("      moves: [another_day]\n", "      moves: [teleport]\n", "moves"),
        ("{new_start_time:moment}，那天", "{new_start:moment}，那天", "new_start"),
        ("{new_start_time:moment}，那天", "{new_start_time}，那天", "new_start_time"),
    ],
)
def test_a_remedy_that_cannot_be_is_refused(old: str, new: str, message: str) -> None:
    assert old in SOURCE
    with pytest.raises(ValueError, match=message) as caught:
        Policy.load(SOURCE.replace(old, new, 1))
    assert "rule DAILY_QUOTA" in str(caught.value)
    assert "line " in str(caught.value)


def test_a_rule_that_refuses_must_say_what_helps() -> None:
    start = SOURCE.index("    remedy:\n")
    end = SOURCE.index("  - id: WEEKLY_QUOTA")
    with pytest.raises(ValueError, match="say what helps"):
        Policy.load(SOURCE[:start] + SOURCE[end:])


def test_what_is_done_elsewhere_is_told_with_the_page_where(policy: Policy) -> None:
    asked = question()
    asked.account.roles.append("strict")
    asked.account.verified = False
    rule = only_rule(policy, asked)
    assert rule.rule_id == "UNVERIFIED"
    assert rule.remedy.link == "https://meeting.tencent.com/download/"
    assert "前往验证" in rule.remedy.text.zh_cn
    assert not rule.remedy.changes
    assert policy.replay(asked, policy.decide(asked)) == policy.decide(asked)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("点击“前往验证”", "{new_start_time:moment}", "new_start_time"),  # nothing is moved
        ("link: https://", "link: http://", "https"),
        ("link: https://meeting.tencent.com/download/", "link: https://a b", "https"),
    ],
)
def test_what_is_done_elsewhere_names_no_change_and_a_safe_page(old: str, new: str, message: str) -> None:
    assert old in SOURCE
    with pytest.raises(ValueError, match=message) as caught:
        Policy.load(SOURCE.replace(old, new, 1))
    assert "rule UNVERIFIED" in str(caught.value)


def test_least_finds_the_turning_point() -> None:
    for first, last in pairwise((1, 2, 5, 17, 400)):
        for turn in range(first, last + 1):
            assert least(first, last, lambda n, turn=turn: n >= turn) == turn  # type: ignore[misc]
        assert least(first, last, lambda _: False) is None


@pytest.mark.parametrize("seed", range(2))
def test_a_replay_gives_the_same_decision_bit_for_bit(policy: Policy, seed: int) -> None:
    chance = Chance(100 + seed)
    for _ in range(800):
        asked = chance.question()
        stored = policy.decide(asked)
        bare = copy_of(asked)
        bare.ClearField("history")
        again = policy.replay(bare, stored)
        assert again.SerializeToString(deterministic=True) == stored.SerializeToString(deterministic=True)


def test_a_replay_notices_what_was_changed(policy: Policy) -> None:
    asked = question()
    asked.history.reservations.extend(reservation(f"r{n}", "2025-07-08 14:00") for n in range(3))
    stored = policy.decide(asked)
    asked.ClearField("history")
    for tamper in (
        lambda d: d.facts.update({"reservations_that_day": 2}),
        lambda d: setattr(d, "effect", decision_pb2.EFFECT_ALLOW),
        lambda d: setattr(d.rules[0].reason, "en", "because"),
        lambda d: d.rules.pop(),
        lambda d: d.thresholds.update({"daily_quota": 4}),
        lambda d: d.rules[0].remedy.changes.pop(),
        lambda d: d.facts.update({"remedy.DAILY_QUOTA.new_start_time": 1}),
    ):
        forged = decision_pb2.Decision()
        forged.CopyFrom(stored)
        tamper(forged)
        assert policy.replay(asked, forged) != forged
    stored.facts.pop("lead_seconds")
    with pytest.raises(InvalidRequestError, match="lead_seconds"):
        policy.replay(asked, stored)
