"""How booking asks the policy: in parts that bus and contract allow; without an answer nothing is accepted."""

import grpc
import pytest
from nats.aio.client import Client
from yunhui.policy.v1 import policy_service_pb2 as pdp
from yunhui.policy.v1.decision_pb2 import EFFECT_ALLOW, Decision

from services.booking.decisions import PolicyClient
from services.booking.past import Past, horizon, starts_of
from services.contracts import subjects
from services.platform.clock import DAY, HOUR, to_timestamp
from services.platform.serving import errors
from services.policy import subscriptions
from services.policy.decisions import Policy
from tests.policy.questions import MONDAY, question


class Message:
    def __init__(self, data: bytes) -> None:
        self.data = data


class Wire(Client):
    """The policy behind a bus that carries what it is given. `silent`: answers are empty; `older`: no windows yet."""

    def __init__(self, answering: Policy) -> None:
        self._policy = answering
        self.silent = self.older = False
        self.asked: list[tuple[str, int]] = []

    @property
    def is_connected(self) -> bool:
        return True

    async def request(self, subject: str, payload: bytes = b"", *_: object, **__: object) -> Message:  # type: ignore[override]
        self.asked.append((subject, len(payload)))
        if self.silent:
            return Message(b"")
        if subject == subjects.USAGE:
            usage = pdp.UsageRequest.FromString(payload)
            return Message(subscriptions.answer_usage(self._policy, usage).SerializeToString())  # type: ignore[arg-type]
        if subject == subjects.ALLOWED:
            several = pdp.AllowedSubjectsBatchRequest.FromString(payload)
            return Message(subscriptions.allowed(self._policy, several).SerializeToString())  # type: ignore[arg-type]
        batch = pdp.DecideBatchRequest.FromString(payload)
        for each in batch.requests if self.older else ():
            each.history.ClearField("from_time")
        reply = subscriptions.decide(self._policy, batch)  # type: ignore[arg-type]
        if self.older:
            reply.ClearField("window")
        return Message(reply.SerializeToString())


@pytest.fixture
def wire(policy: Policy) -> Wire:
    return Wire(policy)


def asking(candidates: int) -> pdp.AllowedSubjectsRequest:
    asked = question()
    return pdp.AllowedSubjectsRequest(question=asked, candidates=[asked.subject] * candidates, most=3)


async def test_alternatives_of_many_are_asked_for_in_parts(wire: Wire) -> None:
    found = await PolicyClient(wire).allowed([asking(27) for _ in range(40)])
    assert [list(each) for each in found] == [[0, 1, 2]] * 40
    assert len(wire.asked) > 1
    assert {subject for subject, _ in wire.asked} == {subjects.ALLOWED}


async def test_what_cannot_be_asked_has_no_alternatives(wire: Wire) -> None:
    """Too many candidates, and a question that the policy refuses."""
    found = await PolicyClient(wire).allowed([asking(257), asking(0), pdp.AllowedSubjectsRequest(most=1)])
    assert [list(each) for each in found] == [[], [], []]


async def test_an_empty_answer_is_none(wire: Wire) -> None:
    wire.silent = True
    with pytest.raises(errors.RpcError, match="policy"):
        await PolicyClient(wire).allowed([asking(1)])
    with pytest.raises(errors.RpcError, match="policy"):
        await PolicyClient(wire).decide([question()])


def past() -> Past:
    """Three on the day in question, as many as there may be; and one long ago."""
    starts = [MONDAY + each * HOUR for each in (3, 5, 7)]
    return Past(
        pdp.History(
            reservations=[entry(start) for start in (*starts, MONDAY - 30 * DAY)],
        )
    )


def entry(start: int) -> pdp.PastReservation:
    return pdp.PastReservation(
        reservation_id=f"r{start}",
        status=pdp.RESERVATION_STATUS_CONFIRMED,
        start_time=to_timestamp(start),
        end_time=to_timestamp(start + HOUR),
    )


async def told_to(_index: int, window: pdp.HistoryWindow) -> pdp.History:
    return told(window)


def told(window: pdp.HistoryWindow) -> pdp.History:
    asked = question()
    return past().within(horizon(window, starts_of(asked.subject), MONDAY))


def short() -> pdp.DecideRequest:
    """With a history that begins after all that counts: on its own it would be allowed."""
    asked = question()
    asked.history.from_time.CopyFrom(to_timestamp(MONDAY + DAY))
    return asked


async def test_who_told_too_little_asks_again_with_more(wire: Wire, policy: Policy) -> None:
    """The one question of the batch that began too late."""
    client = PolicyClient(wire)
    widened: list[int] = []

    async def more(index: int, window: pdp.HistoryWindow) -> pdp.History:
        widened.append(index)
        assert window == client.window == policy.window
        return told(window)

    first, second = await client.decide([question(), short()], more)
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert first.effect == EFFECT_ALLOW
    assert [rule.rule_id for rule in second.rules] == ["DAILY_QUOTA"]
    assert list(widened) == [1]
    request = pdp.AllowedSubjectsRequest(question=short(), candidates=[question().subject], most=1)
    assert [list(each) for each in await client.allowed([request], told_to)] == [[]]
    usage = pdp.UsageRequest(
        now=question().now, time=question().subject.start_time, account=question().account, history=short().history
    )
    assert (await client.usage(usage, told_to)).quotas[0].usage.used == 3


async def test_whoever_has_no_more_to_tell_gets_no_decision(wire: Wire) -> None:
    """Nor is anybody asked for ever, when what is told stays too little."""
    client = PolicyClient(wire)

    async def the_same(_index: int, _window: pdp.HistoryWindow) -> pdp.History:
        return short().history

    for more in (None, the_same):
        [answer] = await client.decide([short()], more)
        assert isinstance(answer, errors.RpcError)
        assert answer.code == grpc.StatusCode.UNAVAILABLE
    assert len(wire.asked) == 4


async def test_what_is_told_to_a_policy_that_says_no_window_is_not_bounded(wire: Wire) -> None:
    client = PolicyClient(wire)
    await client.check()
    assert client.window
    wire.silent = True
    await client.check()  # an empty answer to no question is right
    assert client.window is None


async def test_what_one_question_needs_for_its_remedies_is_not_told_with_the_others(wire: Wire, policy: Policy) -> None:
    """An account whose next forty days are full: the first day that is free lies beyond what the rules look at."""
    client, asked = PolicyClient(wire), question()
    starts = [MONDAY + day * DAY + each * HOUR for day in range(40) for each in (3, 5, 7)]
    full = Past(pdp.History(reservations=[entry(start) for start in starts]))
    told: list[int] = []

    async def more(_: int, window: pdp.HistoryWindow) -> pdp.History:
        history = full.within(horizon(window, starts_of(asked.subject), MONDAY))
        told.append(len(history.reservations))
        return history

    asked.history.CopyFrom(await more(0, policy.window))
    [decision] = await client.decide([asked], more)
    assert isinstance(decision, Decision)
    [fired] = [rule for rule in decision.rules if rule.rule_id == "DAILY_QUOTA"]
    assert fired.remedy.changes
    assert told == [8 * 3, len(starts)]
    assert client.window == policy.window


async def test_who_needs_more_does_not_take_the_answers_of_the_others_along(wire: Wire) -> None:
    """The policy goes away between the two questions."""

    async def more(_index: int, window: pdp.HistoryWindow) -> pdp.History:
        wire.silent = True
        return told(window)

    first, second = await PolicyClient(wire).decide([question(), short()], more)
    assert isinstance(first, Decision)
    assert isinstance(second, errors.RpcError)
    assert second.code == grpc.StatusCode.UNAVAILABLE


async def test_what_an_older_replica_says_to_a_bounded_question_does_not_count(wire: Wire, policy: Policy) -> None:
    """It does not notice what is missing: it is asked again with all."""
    client, wire.older = PolicyClient(wire), True
    everything: list[pdp.History] = []

    async def more(_index: int, window: pdp.HistoryWindow) -> pdp.History:
        everything.append(told(window))
        wire.older = False
        return everything[-1]

    first, second = await client.decide([question(), short()], more)
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert [rule.rule_id for rule in second.rules] == ["DAILY_QUOTA"]
    assert len(everything[0].reservations) == 4
    assert not everything[0].HasField("until_time")
