"""Which of several subjects would be allowed: the same that deciding each by itself allows."""

import copy
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yunhui.policy.v1 import decision_pb2
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy import subscriptions
from services.policy.decisions import InvalidRequestError, Policy
from tests.policy.samples import SOURCE, question, reservation
from tests.policy.test_oracle import Chance

POLICY = Policy.load(SOURCE)
CANDIDATES = 12
STEPS = (0, 1800, -1800, 3600, 86_400, -86_400, 3 * 86_400, 7 * 86_400)


def candidates(chance: Chance, asked: pb.DecideRequest) -> list[pb.Subject]:
    """Near what is asked for, where most would be allowed, and of quite another kind."""
    found = []
    for number in range(CANDIDATES):
        subject = copy.deepcopy(chance.question().subject if number % 3 == 0 else asked.subject)
        if number % 3:
            step = STEPS[number % len(STEPS)]
            subject.start_time.seconds += step
            subject.end_time.seconds += step
            subject.participant_count, subject.free_room_count = 12, 1
        found.append(subject)
    return found


def by_itself(asked: pb.DecideRequest, subject: pb.Subject) -> pb.DecideRequest:
    alone = copy.deepcopy(asked)
    alone.subject.CopyFrom(subject)
    return alone


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), most=st.integers(1, CANDIDATES + 1))
def test_the_first_that_each_would_be_allowed_by_itself(seed: int, most: int) -> None:
    chance = Chance(seed)
    asked = chance.question()
    subjects = candidates(chance, asked)
    effects = [POLICY.decide(by_itself(asked, subject)).effect for subject in subjects]
    expected = [index for index, effect in enumerate(effects) if effect == decision_pb2.EFFECT_ALLOW]
    request = pb.AllowedSubjectsRequest(question=asked, candidates=subjects, most=most)
    assert POLICY.allowed(request) == expected[:most]


def test_chance_allows_some_and_refuses_some() -> None:
    """Otherwise the law above says nothing."""
    found = []
    for seed in range(100):
        chance = Chance(seed)
        asked = chance.question()
        request = pb.AllowedSubjectsRequest(question=asked, candidates=candidates(chance, asked), most=CANDIDATES)
        found.append(len(POLICY.allowed(request)))
    assert sum(0 < number < CANDIDATES for number in found) > 50


def asking(**changed: Any) -> pb.AllowedSubjectsRequest:
    asked = question()
    fields = {"question": asked, "candidates": [asked.subject, asked.subject], "most": 1, **changed}
    return pb.AllowedSubjectsRequest(**fields)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="most: must be 1 or more"):
        POLICY.allowed(asking(most=0))
    with pytest.raises(InvalidRequestError, match=r"candidates\[1\].end_time: is required"):
        POLICY.allowed(asking(candidates=[question().subject, pb.Subject(start_time=question().now)], most=2))
    asked = question()
    asked.policy_version = "another@7"
    with pytest.raises(InvalidRequestError, match="policy_version"):
        POLICY.allowed(asking(question=asked))


def test_the_first_is_enough_when_one_is_wanted() -> None:
    """What comes after it is not even looked at."""
    assert POLICY.allowed(asking(candidates=[question().subject, pb.Subject()])) == [0]


def batch(*requests: pb.AllowedSubjectsRequest) -> list[pb.AllowedSubjectsResult]:
    asked = pb.AllowedSubjectsBatchRequest(requests=requests)
    return list(subscriptions.allowed(POLICY, asked).results)  # type: ignore[arg-type] # has allowed()


def test_over_the_bus_each_request_has_its_own_answer() -> None:
    full = question()
    full.history.reservations.extend(reservation(f"r{n}", "2025-07-08 15:00") for n in range(3))
    allowed, wrong, none = batch(asking(), asking(most=0), asking(question=full))
    assert list(allowed.allowed.indices) == [0]
    assert wrong.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert none.HasField("allowed")
    assert not none.allowed.indices


def test_a_batch_that_is_too_large_is_no_answer() -> None:
    many = [question().subject] * 129
    assert batch(asking(candidates=many[:128]), asking(candidates=many[:128]))
    assert not batch(asking(candidates=many[:128]), asking(candidates=many))
