"""How booking asks the policy: in parts that bus and contract allow; without an answer nothing is accepted."""

import pytest
from nats.aio.client import Client
from yunhui.policy.v1 import policy_service_pb2 as policy

from services.booking.decisions import PolicyClient
from services.contracts import subjects
from services.platform.serving import errors
from services.policy import subscriptions
from services.policy.decisions import Policy
from tests.policy.questions import question


class Message:
    def __init__(self, data: bytes) -> None:
        self.data = data


class Wire(Client):
    """The policy behind a bus that carries what it is given. `silent`: answers are empty."""

    def __init__(self, answering: Policy) -> None:
        self._policy = answering
        self.silent = False
        self.asked: list[tuple[str, int]] = []

    @property
    def is_connected(self) -> bool:
        return True

    async def request(self, subject: str, payload: bytes = b"", *_: object, **__: object) -> Message:  # type: ignore[override]
        self.asked.append((subject, len(payload)))
        if self.silent:
            return Message(b"")
        if subject == subjects.ALLOWED:
            several = policy.AllowedSubjectsBatchRequest.FromString(payload)
            return Message(subscriptions.allowed(self._policy, several).SerializeToString())  # type: ignore[arg-type]
        batch = policy.DecideBatchRequest.FromString(payload)
        return Message(subscriptions.decide(self._policy, batch).SerializeToString())  # type: ignore[arg-type]


@pytest.fixture
def wire(policy: Policy) -> Wire:
    return Wire(policy)


def asking(candidates: int) -> policy.AllowedSubjectsRequest:
    asked = question()
    return policy.AllowedSubjectsRequest(question=asked, candidates=[asked.subject] * candidates, most=3)


async def test_alternatives_of_many_are_asked_for_in_parts(wire: Wire) -> None:
    found = await PolicyClient(wire).allowed([asking(27) for _ in range(40)])
    assert [list(each) for each in found] == [[0, 1, 2]] * 40
    assert len(wire.asked) > 1
    assert {subject for subject, _ in wire.asked} == {subjects.ALLOWED}


async def test_what_cannot_be_asked_has_no_alternatives(wire: Wire) -> None:
    """Too many candidates, and a question that the policy refuses."""
    found = await PolicyClient(wire).allowed([asking(257), asking(0), policy.AllowedSubjectsRequest(most=1)])
    assert [list(each) for each in found] == [[], [], []]


async def test_an_empty_answer_is_none(wire: Wire) -> None:
    wire.silent = True
    with pytest.raises(errors.RpcError, match="policy"):
        await PolicyClient(wire).allowed([asking(1)])
    with pytest.raises(errors.RpcError, match="policy"):
        await PolicyClient(wire).decide([question()])
