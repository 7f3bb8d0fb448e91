"""Decisions as a whole: the same for the same question, with figures, quotas, obligations, and the right thresholds."""

import random
import threading
from itertools import permutations

import pytest
from yunhui.policy.v1 import decision_pb2
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.decisions import InvalidRequestError, Policy
from services.policy.thresholds import MOST_KEPT
from tests.policy.samples import SOURCE, moment, question, reservation

OVERRIDES = """
overrides:
  - {department: physics, thresholds: {daily_quota: 4, weekly_quota: 20, booking_cutoff_seconds: 600}}
  - {role: lecturer, thresholds: {daily_quota: 5, booking_cutoff_seconds: 900}}
  - {role: guest, thresholds: {daily_quota: 1, booking_cutoff_seconds: 3600}}
  - {department: physics, role: guest, thresholds: {daily_quota: 2}}
"""


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load(SOURCE, "default@1")


def busy_question() -> pb.DecideRequest:
    asked = question()
    past = [reservation(f"r{n}", f"2025-07-08 {10 + n}:00") for n in range(5)]
    asked.history.CopyFrom(pb.History(reservations=[*past, reservation("other", "2025-07-10 10:00")]))
    return asked


def test_explains_a_refusal_with_figures(policy: Policy) -> None:
    found = policy.decide(busy_question())
    assert found.effect == decision_pb2.EFFECT_DENY
    assert found.policy_version == "default@1"
    (rule,) = found.rules
    assert (rule.rule_id, rule.effect) == ("DAILY_QUOTA", decision_pb2.EFFECT_DENY)
    assert [(item.name, item.value) for item in rule.figures] == [("reservations_that_day", 5)]
    assert [(item.name, item.value) for item in rule.thresholds] == [("daily_quota", 3)]
    assert "您在 7 月 8 日已有 5 次预定" in rule.reason.zh_cn
    assert found.facts["days_ahead"] == 1
    assert found.thresholds["weekly_quota"] == 10


def test_quotas_name_the_period_and_what_was_counted(policy: Policy) -> None:
    daily, weekly = policy.decide(busy_question()).quotas
    assert (daily.rule_id, daily.limit, daily.used) == ("DAILY_QUOTA", 3, 5)
    assert (daily.period_start, daily.period_end) == (moment("2025-07-08"), moment("2025-07-09"))
    assert [*daily.reservation_ids] == ["r0", "r1", "r2", "r3", "r4"]
    assert (weekly.rule_id, weekly.limit, weekly.used) == ("WEEKLY_QUOTA", 10, 6)
    assert (weekly.period_start, weekly.period_end) == (moment("2025-07-07"), moment("2025-07-14"))


@pytest.mark.parametrize(("entered", "rules"), [("09:59:59", ["NO_SHOW"]), ("10:00:00", [])])
def test_a_policy_that_says_nothing_of_early_entries_counts_from_the_start_on(entered: str, rules: list[str]) -> None:
    """One that was written before they were thought of, too."""
    older = Policy.load(SOURCE.replace("entered, early: early_entry_counts_seconds}", "entered}"), "older@1")
    asked = question()
    asked.action, asked.subject.start_time.seconds = pb.ACTION_NO_SHOW, moment("2025-07-08 10:00:00").seconds
    asked.now.CopyFrom(moment("2025-07-08 10:30:00"))
    asked.subject.enter_time.CopyFrom(moment(f"2025-07-08 {entered}"))
    assert [rule.rule_id for rule in older.decide(asked).rules] == rules


def test_the_same_question_gets_the_same_bytes(policy: Policy) -> None:
    """Also from a policy loaded anew, and after other questions."""
    asked = busy_question()
    first = policy.decide(asked).SerializeToString(deterministic=True)
    policy.decide(question())
    copy = pb.DecideRequest.FromString(asked.SerializeToString())
    assert policy.decide(copy).SerializeToString(deterministic=True) == first
    assert Policy.load(SOURCE, "default@1").decide(asked).SerializeToString(deterministic=True) == first


def test_the_order_of_the_history_does_not_matter(policy: Policy) -> None:
    asked = busy_question()
    asked.decision_id = "fixed"
    first = policy.decide(asked)
    for seed in range(5):
        items = [*asked.history.reservations]
        random.Random(seed).shuffle(items)
        del asked.history.reservations[:]
        asked.history.reservations.extend(items)
        assert policy.decide(asked) == first


def test_decision_id_is_given_back_or_derived_from_the_content(policy: Policy) -> None:
    asked = question()
    derived = policy.decide(asked).decision_id
    assert len(derived) == 32
    assert Policy.load(SOURCE, "default@2").decide(asked).decision_id != derived
    asked.subject.participant_count += 1
    assert policy.decide(asked).decision_id != derived
    asked.decision_id = "mine"
    assert policy.decide(asked).decision_id == "mine"


def test_threads_get_the_same_answers(policy: Policy) -> None:
    asked, expected = busy_question(), policy.decide(busy_question())
    wrong: list[int] = []

    def ask() -> None:
        wrong.extend(1 for _ in range(100) if policy.decide(asked) != expected)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_another_version_is_not_answered_for(policy: Policy) -> None:
    asked = question()
    asked.policy_version = "default@1"
    assert policy.decide(asked).effect == decision_pb2.EFFECT_ALLOW
    asked.policy_version = "default@2"
    with pytest.raises(InvalidRequestError, match="policy_version"):
        policy.decide(asked)


@pytest.mark.parametrize(
    ("department", "roles", "daily", "weekly", "cutoff"),
    [
        ("", [], 3, 10, 1800),
        ("chemistry", ["student"], 3, 10, 1800),
        ("physics", [], 4, 20, 600),
        ("", ["lecturer"], 5, 10, 900),
        ("physics", ["lecturer"], 5, 20, 900),  # role beats department
        ("physics", ["guest"], 2, 20, 3600),  # role within a department beats role
        ("physics", ["lecturer", "guest"], 2, 20, 900),
        ("", ["guest", "lecturer"], 5, 10, 900),  # of equal rank, the kinder one
        ("", ["lecturer", "guest"], 5, 10, 900),
        ("chemistry", ["guest"], 1, 10, 3600),
    ],
)
def test_the_most_specific_threshold_is_in_force(
    department: str, roles: list[str], daily: int, weekly: int, cutoff: int
) -> None:
    asked = question()
    asked.account.department = department
    asked.account.roles.extend(roles)
    for source in (OVERRIDES, OVERRIDES[: OVERRIDES.index("  -")] + "\n".join(reversed(OVERRIDES.splitlines()[2:]))):
        found = Policy.load(SOURCE + source).decide(asked).thresholds
        assert (found["daily_quota"], found["weekly_quota"], found["booking_cutoff_seconds"]) == (daily, weekly, cutoff)


TREE = """
overrides:
  - {department: {id: institute, below: true}, thresholds: {may_book: 0, daily_quota: 1}}
  - {department: {id: physics, below: true}, thresholds: {may_book: 1}}
  - {department: {id: physics}, thresholds: {daily_quota: 4}}
  - {department: {id: lasers, below: true}, thresholds: {daily_quota: 5}}
  - {department: Lasers, thresholds: {daily_quota: 6, weekly_quota: 7}}
  - {department: {id: lasers}, thresholds: {weekly_quota: 8}}
  - {role: guest, thresholds: {daily_quota: 2}}
  - {department: {id: institute, below: true}, role: guest, thresholds: {weekly_quota: 9}}
"""


@pytest.mark.parametrize(
    ("path", "name", "roles", "may", "daily", "weekly"),
    [
        ([], "", [], 1, 3, 10),  # unknown to the directory
        (["other"], "", [], 1, 3, 10),
        (["other", "institute"], "", [], 0, 1, 10),  # wherever it hangs
        (["institute", "history"], "", [], 0, 1, 10),
        (["institute", "physics"], "", [], 1, 4, 10),  # deepest first; its own before all below
        (["institute", "physics", "optics"], "", [], 1, 1, 10),  # `physics` alone is not for those below it
        (["institute", "physics", "lasers"], "", [], 1, 5, 8),
        (["institute", "physics", "lasers"], "Lasers", [], 1, 6, 8),  # name and id of one's own: the kinder one
        ([], "Lasers", [], 1, 6, 7),
        (["institute", "physics", "lasers", "deep"], "", [], 1, 5, 10),
        (["physics", "institute"], "", [], 0, 1, 10),  # after a move it is the institute that is deeper
        (["institute", "physics", "lasers"], "", ["guest"], 1, 2, 9),  # role beats department, both beat role
        (["lasers"], "", ["guest"], 1, 2, 8),
    ],
)
def test_the_deepest_department_is_in_force(
    path: list[str], name: str, roles: list[str], may: int, daily: int, weekly: int
) -> None:
    asked = question()
    asked.account.department = name
    asked.account.department_path.extend(path)
    asked.account.roles.extend(roles)
    head, *overrides = TREE.strip().splitlines()
    for order in (overrides, overrides[::-1]):
        found = Policy.load("\n".join([SOURCE, head, *order])).decide(asked)
        limits = found.thresholds
        assert (limits["may_book"], limits["daily_quota"], limits["weekly_quota"]) == (may, daily, weekly)
        assert [rule.rule_id for rule in found.rules] == ([] if may else ["MAY_NOT_BOOK"])


def test_scopes_that_callers_invent_are_not_remembered() -> None:
    policy = Policy.load(SOURCE + OVERRIDES)
    asked = question()
    for number in range(50):
        asked.account.department = f"invented {number}"
        asked.account.roles[:] = [f"invented {number}"]
        asked.account.department_path[:] = [f"invented {number}"]
        policy.decide(asked)
    assert len(policy._thresholds._in_force) == 1


def test_paths_that_callers_invent_of_what_there_is_do_not_fill_the_memory() -> None:
    ids = [f"d{number}" for number in range(8)]
    listed = "".join(
        f"\n  - {{department: {{id: {each}, below: true}}, thresholds: {{daily_quota: 1}}}}" for each in ids
    )
    limits = Policy.load(f"{SOURCE}\noverrides:{listed}\n")._thresholds
    for path in permutations(ids, 5):
        limits.in_force(pb.Account(department_path=path))
    assert len(limits._in_force) <= MOST_KEPT


def test_an_override_moves_what_is_decided() -> None:
    policy = Policy.load(SOURCE + OVERRIDES)
    asked = busy_question()
    del asked.history.reservations[4:]
    asked.account.roles.append("lecturer")
    assert policy.decide(asked).effect == decision_pb2.EFFECT_ALLOW
    asked.account.roles[:] = ["guest"]
    assert [rule.rule_id for rule in policy.decide(asked).rules] == ["DAILY_QUOTA"]


def test_rolling_days_end_with_the_start_asked_for() -> None:
    """Exactly so many days before is outside, and so is what comes later."""
    source = SOURCE.replace("    period: calendar_week\n", "    period: rolling_days\n    days: booking_horizon_days\n")
    asked = question()
    for number, when in enumerate(
        ("2025-07-01 10:00:00", "2025-07-01 10:00:01", "2025-07-08 10:00", "2025-07-08 10:00:01")
    ):
        asked.history.reservations.append(reservation(f"r{number}", when))
    weekly = Policy.load(source).decide(asked).quotas[1]
    assert [*weekly.reservation_ids] == ["r1", "r2"]


def test_exact_horizon_is_a_change_of_the_policy_alone() -> None:
    source = SOURCE
    for old, new in (
        ("days_ahead: {measure: days_ahead}", "days_ahead: {measure: lead, round: up}"),
        ("value: 7, unit: days", "value: 604800, unit: seconds"),
        ("plural day days", "duration"),
        ("{days_ahead}", "{days_ahead:duration}"),
        ("{booking_horizon_days}", "{booking_horizon_days:duration}"),
    ):
        source = source.replace(old, new)
    policy, asked = Policy.load(source), question()
    asked.subject.end_time.CopyFrom(moment("2025-07-14 12:00"))
    for start, effect in (("09:00:00", decision_pb2.EFFECT_ALLOW), ("09:00:00.5", decision_pb2.EFFECT_DENY)):
        asked.subject.start_time.CopyFrom(moment(f"2025-07-14 {start}"))
        assert policy.decide(asked).effect == effect


def test_other_numbers_share_what_is_compiled(policy: Policy) -> None:
    threshold = policy.document.thresholds["daily_quota"].model_copy(update={"value": 6})
    document = policy.document.model_copy(
        update={"thresholds": {**policy.document.thresholds, "daily_quota": threshold}}
    )
    assert policy.with_numbers(document).decide(busy_question()).effect == decision_pb2.EFFECT_ALLOW
    assert policy.decide(busy_question()).effect == decision_pb2.EFFECT_DENY
    other = document.model_copy(update={"zone": "UTC"})
    with pytest.raises(ValueError, match="only thresholds"):
        policy.with_numbers(other)


def test_a_closed_policy_still_answers(policy: Policy) -> None:
    """A replica may hold a version that was just retired."""
    fresh = Policy.load(SOURCE, "default@1")
    before = fresh.decide(busy_question())
    fresh.close()
    assert fresh.decide(busy_question()) == before


def test_touching_suspensions_read_as_one(policy: Policy) -> None:
    asked = question()
    for since, until in (("2025-07-10", "2025-07-17"), ("2025-07-03", "2025-07-10"), ("2025-07-20", "2025-07-27")):
        asked.history.suspensions.add(start_time=moment(since), end_time=moment(until))
    assert policy.decide(asked).facts["suspended_until"] == moment("2025-07-17").seconds
