"""Thousands of random histories, decided by the policy and by the oracle."""

import random
from collections import Counter

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.directory.v1 import member_pb2
from yunhui.policy.v1 import decision_pb2
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.decisions import Policy
from tests.policy import oracle
from tests.policy.samples import WITH_ROLES, moment

MINUTE, HOUR, DAY = 60, 3600, 86400
ACTIONS, STATUSES = pb.Action.values(), pb.ReservationStatus.values()
EDGES = (0, 0, 0, -1, 1, -0.5, 0.5)  # seconds: most questions sit on or right beside a boundary


class Chance:
    """Makes questions that keep close to the rules' boundaries."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._accounts = random.Random(seed)

    def question(self) -> pb.DecideRequest:
        pick = self._random
        now = moment("2025-12-27 00:00").seconds + pick.randrange(14 * 24) * HOUR + pick.choice(EDGES)
        action = pick.choice((1, 1, 1, 2, 2, 3, 4, 4))
        start = now - 30 * MINUTE if action == 4 else now + self._lead(now)
        start += pick.choice(EDGES)
        subject = pb.Subject(
            start_time=stamp(start),
            end_time=stamp(start + pick.choice((40 * MINUTE, HOUR, 3 * HOUR)) + pick.choice(EDGES)),
            participant_count=pick.choice((1, 2, 3, 3, 10, 50, 99, 100, 101, 300)),
            free_room_count=pick.choice((0, 1, 1, 2)),
            enter_time=stamp(self._entry(now, start)) if pick.random() < 0.5 else None,
        )
        if action == pb.ACTION_UPDATE:
            former = start + pick.choice((*EDGES, -HOUR, now - start + pick.choice((0, 30 * MINUTE)), -15 * MINUTE))
            subject.former_start_time.CopyFrom(stamp(int(former)))  # booking gives whole seconds only
            subject.former_end_time.CopyFrom(
                stamp(int(start) + pick.choice((40 * MINUTE, HOUR, 3 * HOUR, 4 * HOUR)) + 1)
            )
            subject.former_participant_count = pick.choice((3, 50, 99, 120))
            subject.former_room_capacity = pick.choice((0, 30, 100, 300))
            subject.waits_for_support = pick.random() < 0.5
        if action in (pb.ACTION_UPDATE, pb.ACTION_CANCEL):
            subject.former_starts.extend(self._former_starts(now, start))
        return pb.DecideRequest(
            action=ACTIONS[action],
            now=stamp(now),
            account=self._account(),
            subject=subject,
            history=self._history(now, start),
        )

    def _account(self) -> pb.Account:
        """Most of them as the rules like them, so that others are heard too."""
        pick = self._accounts
        return pb.Account(
            account_id="a",
            roles=pick.choice(([], [], [], [], ["outsider"], ["strict"], ["strict"], ["strict", "other"])),
            account_type=member_pb2.AccountType.ValueType(pick.choice((0, 1, 2, 2, 2))),
            verified=pick.choice((None, True, True, True, False)),
            status=member_pb2.MemberStatus.ValueType(pick.choice((0, 1, 1, 1, 1, 1, 1, 1, 2, 3))),
        )

    def _entry(self, now: float, start: float) -> float:
        """Close to the start or to the judgement, to either side."""
        return self._random.choice(
            (now - 10, now, now + 5, now + 0.5, start - 59 * MINUTE, start - 0.5, start, start + 1)
        )

    def _lead(self, now: float) -> float:
        pick = self._random
        to_midnight = DAY - (now + 8 * HOUR) % DAY
        return pick.choice((30 * MINUTE, to_midnight, to_midnight + 7 * DAY, pick.randrange(9 * 24) * HOUR))

    def _history(self, now: float, start: float) -> pb.History:
        pick = self._random
        return pb.History(
            reservations=[self._reservation(f"r{n}", start, now) for n in range(pick.choice((0, 1, 3, 4, 9, 11, 16)))],
            violations=[self._violation(f"v{n}", now) for n in range(pick.choice((0, 0, 1, 2)))],
            suspensions=[self._suspension(now) for _ in range(pick.choice((0, 0, 0, 1, 2)))],
        )

    def _reservation(self, id_: str, around: float, now: float) -> pb.PastReservation:
        pick = self._random
        midnight = around - (around + 8 * HOUR) % DAY
        start = (
            midnight + pick.choice((0, 0, 1, 1, -2, 3, -6, 7)) * DAY + pick.choice((0, 10 * HOUR)) + pick.choice(EDGES)
        )
        status = pick.choice((1, 2, 2, 2, 3, 4, 5, 6, 6, 7, 8))
        cancel = stamp(start - pick.choice((0, 30 * MINUTE, DAY)) + pick.choice(EDGES)) if status == 6 else None
        return pb.PastReservation(
            reservation_id=id_,
            status=STATUSES[status],
            start_time=stamp(start),
            end_time=stamp(start + HOUR),
            cancel_time=cancel,
            former_starts=self._former_starts(start - pick.choice((0, DAY)), start) if pick.random() < 0.2 else (),
            escalate_time=self._escalate_time(now) if pick.random() < 0.4 else None,
        )

    def _former_starts(self, now: float, start: float) -> list[pb.FormerStart]:
        """Up to three, at or beside the limit of what is late; the last one given up at `now` at the latest."""
        pick, left = self._random, now
        found = []
        for _ in range(pick.choice((0, 0, 1, 1, 2, 3))):
            left -= pick.choice((0, MINUTE, 20 * MINUTE))
            began = pick.choice((left + 30 * MINUTE, left + 10 * MINUTE, left, start - HOUR)) + pick.choice(EDGES)
            given_back = pick.random() < 0.6
            found.append(pb.FormerStart(start_time=stamp(began), leave_time=stamp(left), given_back=given_back))
        return found[::-1]

    def _escalate_time(self, now: float) -> Timestamp:
        """Around the midnights before now and after: asked later than now is no sense, but no matter either."""
        midnight = now - (now + 8 * HOUR) % DAY
        return stamp(midnight + self._random.choice((0, 0, 9 * HOUR, DAY, -DAY)) + self._random.choice(EDGES))

    def _violation(self, id_: str, now: float) -> pb.PastViolation:
        pick = self._random
        when = now - pick.choice((7 * DAY, 7 * DAY, -7 * DAY, DAY, 8 * DAY)) + pick.choice(EDGES)
        return pb.PastViolation(
            violation_id=id_, violation_time=stamp(when), waived=pick.random() < 0.2, used_up=pick.random() < 0.2
        )

    def _suspension(self, now: float) -> pb.PastSuspension:
        pick = self._random
        end = now + pick.choice((0, 0, DAY, -DAY)) + pick.choice(EDGES)
        return pb.PastSuspension(start_time=stamp(end - pick.choice((HOUR, DAY, 7 * DAY))), end_time=stamp(end))


def stamp(seconds: float) -> Timestamp:
    whole = int(seconds // 1)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1_000_000_000))


@pytest.mark.parametrize("seed", range(4))
def test_decides_as_the_wording_says(seed: int) -> None:
    policy, chance, seen = Policy.load(WITH_ROLES), Chance(seed), Counter[str]()
    for _ in range(1500):
        asked = chance.question()
        found = policy.decide(asked)
        rules = {rule.rule_id for rule in found.rules}
        owed = {decision_pb2.Obligation.Kind.Name(item.kind).removeprefix("KIND_") for item in found.obligations}
        effect = decision_pb2.Effect.Name(found.effect).removeprefix("EFFECT_")
        assert (effect, rules, owed) == oracle.decide(asked), asked
        for item in found.obligations:
            if item.kind == decision_pb2.Obligation.KIND_SUSPEND:
                assert sorted(item.violation_ids) == sorted(oracle.earlier_violations(asked))
        seen.update(rules or {"none"})
    assert min(seen[rule.id] for rule in policy.document.rules) > 5, "a rule that chance hardly met proves nothing"
    assert seen["none"] > 5
