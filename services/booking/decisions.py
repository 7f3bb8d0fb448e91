"""The policy's decisions: asked for, many with one NATS request, kept as rows, and what they oblige to.

No answer means that nothing may be accepted.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.errors import Error as NatsError
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as policy
from yunhui.policy.v1.decision_pb2 import Decision, Effect, Obligation

from services.booking.directory import MemberFacts
from services.booking.events import SYSTEM
from services.contracts import subjects
from services.platform.clock import DAY, SECOND, from_timestamp, to_timestamp
from services.platform.ids import new_id
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.text.messages import message

DEADLINE_SECONDS = 2.0
LARGEST_BYTES = 900_000  # nats.conf allows 1 MB
LARGEST_BATCH = 256  # contract of DecideBatchRequest
WIDENINGS = 2

PolicyAnswer = Decision | errors.RpcError
More = Callable[[int, policy.HistoryWindow], Awaitable[policy.History]]
"""The history of the question with that number anew, as far as the window looks (accounts.tell_more)."""
Q = TypeVar("Q", policy.DecideRequest, policy.AllowedSubjectsRequest, policy.UsageRequest)
A = TypeVar("A", policy.DecideResult, policy.AllowedSubjectsResult, policy.UsageReply)
R = TypeVar("R", policy.DecideBatchResponse, policy.AllowedSubjectsBatchResponse, policy.UsageReply)


class PolicyClient:
    """The enforcement point's side of the policy (XACML: PEP asks PDP)."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats
        self.window: policy.HistoryWindow | None = None
        """How far the rules in force look, as the policy said last; None until it has."""

    async def decide(self, questions: list[policy.DecideRequest], more: More | None = None) -> list[PolicyAnswer]:
        """One answer a question, in order. Raises errors.unavailable when the policy does not answer in time.

        A question whose history says how far it is told, and is told too little, is asked again with `more`.
        """
        return [_to_answer(result) for result in await self._widened(self._decide, questions, more)]

    async def allowed(
        self, asked: list[policy.AllowedSubjectsRequest], more: More | None = None
    ) -> list[Sequence[int]]:
        """The places of the candidates that would be allowed, one answer each; none where the policy cannot say.

        `more` and errors as of `decide`.
        """
        return [result.allowed.indices for result in await self._widened(self._allowed, asked, more)]

    async def _widened(
        self, ask: Callable[[list[Q]], Awaitable[list[A]]], asked: list[Q], more: More | None
    ) -> list[A]:
        """The policy says how far it looks for a question; a version that looks further can come between two tries.

        What one question needs for its remedies is not told with all that are asked later.
        """
        results = await ask(asked)
        for _ in range(WIDENINGS):
            short = [index for index, result in enumerate(results) if result.error.HasField("needed")]
            if not short or not more:
                break
            try:
                for index in short:
                    _history_of(asked[index]).CopyFrom(await more(index, results[index].error.needed))
                again = await ask([asked[index] for index in short])
            except errors.RpcError:  # the others have their answers
                break
            for index, result in zip(short, again, strict=True):
                results[index] = result
        return results

    async def _decide(self, questions: list[policy.DecideRequest]) -> list[policy.DecideResult]:
        body = policy.DecideBatchRequest(requests=questions).SerializeToString()
        if len(body) > LARGEST_BYTES or len(questions) > LARGEST_BATCH:
            return await _in_parts(self._decide, questions, policy.DecideResult(error=_TOO_LONG))
        reply = await self._ask(subjects.DECIDE, body, policy.DecideBatchResponse)
        if len(reply.results) != len(questions):
            raise errors.unavailable("policy")
        if not reply.HasField("window"):  # a policy of before: it does not notice what is missing
            self.window = None
            return [
                _TELL_ALL if question.history.HasField("from_time") else result
                for question, result in zip(questions, reply.results, strict=True)
            ]
        if reply.window != self.window:
            self.window = reply.window
        return list(reply.results)

    async def _allowed(self, asked: list[policy.AllowedSubjectsRequest]) -> list[policy.AllowedSubjectsResult]:
        body = policy.AllowedSubjectsBatchRequest(requests=asked).SerializeToString()
        if len(body) > LARGEST_BYTES or sum(len(each.candidates) for each in asked) > LARGEST_BATCH:
            return await _in_parts(self._allowed, asked, policy.AllowedSubjectsResult(error=_TOO_LONG))
        reply = await self._ask(subjects.ALLOWED, body, policy.AllowedSubjectsBatchResponse)
        if len(reply.results) != len(asked):
            raise errors.unavailable("policy")
        return list(reply.results)

    async def usage(self, question: policy.UsageRequest, more: More | None = None) -> policy.Usage:
        """What an account has used; `more` as of `decide`. Raises errors.RpcError."""
        [reply] = await self._widened(self._usage, [question], more)
        if reply.HasField("error"):
            raise _refusal(reply.error)
        if not reply.HasField("usage"):
            raise errors.unavailable("policy")
        return reply.usage

    async def _usage(self, asked: list[policy.UsageRequest]) -> list[policy.UsageReply]:
        bodies = [each.SerializeToString() for each in asked]
        if max(map(len, bodies)) > LARGEST_BYTES:
            return [policy.UsageReply(error=_TOO_LONG)]
        return [await self._ask(subjects.USAGE, body, policy.UsageReply) for body in bodies]

    async def _ask(self, subject: str, body: bytes, kind: type[R]) -> R:
        try:
            # a request into a broken connection would be buffered and answered too late to be of use
            if not self._nats.is_connected:
                raise errors.unavailable("policy")
            reply = await self._nats.request(subject, body, timeout=DEADLINE_SECONDS, headers=traces.headers())
            return kind.FromString(reply.data)
        except (NatsError, TimeoutError, DecodeError) as error:
            raise errors.unavailable("policy") from error

    async def check(self) -> None:
        """Raises errors.unavailable when no question would be answered."""
        await self.decide([])

    async def decide_one(self, question: policy.DecideRequest, more: More | None = None) -> Decision:
        """As decide, for one question; raises its error."""
        [answer] = await self.decide([question], more)
        if isinstance(answer, errors.RpcError):
            raise answer
        return answer


async def _in_parts(ask: Callable[[list[Q]], Awaitable[list[A]]], asked: list[Q], too_long: A) -> list[A]:
    """One account with a very long history must not stand in the way of the others."""
    if len(asked) == 1:
        return [too_long]
    first = await ask(asked[: len(asked) // 2])
    return first + await ask(asked[len(asked) // 2 :])


def _history_of(
    asked: policy.DecideRequest | policy.AllowedSubjectsRequest | policy.UsageRequest,
) -> policy.History:
    return asked.question.history if isinstance(asked, policy.AllowedSubjectsRequest) else asked.history


def _to_answer(result: policy.DecideResult) -> PolicyAnswer:
    if result.HasField("decision"):
        return result.decision
    return _refusal(result.error)


def _refusal(error: policy.DecideError) -> errors.RpcError:
    if error.HasField("needed"):  # what was told is not enough, and was not widened
        return errors.unavailable("policy")
    if error == _TOO_LONG:
        return too_long()
    codes = {code.value[0]: code for code in grpc.StatusCode}
    code = codes.get(error.code, grpc.StatusCode.INTERNAL)
    return errors.failure(code, "POLICY_REFUSED_THE_QUESTION", error.message)


_ALWAYS = 500 * DAY // SECOND  # before any start that can be asked for: longer than histories are
_TELL_ALL = policy.DecideResult(
    error=policy.DecideError(
        needed=policy.HistoryWindow(before_start_seconds=_ALWAYS, violations_before_now_seconds=_ALWAYS)
    )
)
_TOO_LONG = policy.DecideError(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="too long for the bus")


def too_long() -> errors.RpcError:
    words = message("this account's history is too long to be decided on: ask support")
    return errors.failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "HISTORY_TOO_LONG", words)


def compose_question(
    action: policy.Action.ValueType,
    person: pb.Organizer,
    roles: Iterable[str],
    subject: policy.Subject,
    history: policy.History,
    member: MemberFacts,
    now: int,
) -> policy.DecideRequest:
    """The one form in which booking asks. `person` is whose account is charged; `now` in epoch ms."""
    return policy.DecideRequest(
        decision_id=new_id("dec"),
        action=action,
        now=to_timestamp(now),
        account=to_account(person, roles, member),
        subject=subject,
        history=history,
    )


def to_account(person: pb.Organizer, roles: Iterable[str], member: MemberFacts) -> policy.Account:
    return policy.Account(
        account_id=person.account_id, department=person.department, roles=sorted(roles), **member._asdict()
    )


def obligation(decision: Decision, kind: Obligation.Kind.ValueType) -> Obligation | None:
    return next((each for each in decision.obligations if each.kind == kind), None)


def attendance_times(decision: Decision, start: int) -> dict[str, int | None]:
    """Between which moments (epoch ms) somebody must be inside; None when the policy asks for no such check."""
    check = obligation(decision, Obligation.KIND_CHECK_ATTENDANCE)
    return {
        "attendance_start_time": start - check.early_seconds * SECOND if check else None,
        "release_time": start + check.seconds * SECOND if check else None,
    }


def attendance_start(record: pb.Reservation) -> int:
    """From when on being inside counts as having come, epoch ms."""
    told = record.HasField("attendance_start_time")
    return from_timestamp(record.attendance_start_time if told else record.start_time)


def decision_row(
    decision: Decision, question: policy.DecideRequest, actor: str, record: pb.Reservation
) -> dict[str, Any]:
    """The question is kept without its history: the facts in the decision are enough to replay it."""
    kept = policy.DecideRequest()
    kept.CopyFrom(question)
    kept.ClearField("history")
    return {
        "decision_id": decision.decision_id,
        "action": policy.Action.Name(question.action).removeprefix("ACTION_"),
        "account_id": question.account.account_id,
        "actor": actor or SYSTEM,
        "time": from_timestamp(question.now),
        "effect": Effect.Name(decision.effect).removeprefix("EFFECT_"),
        "policy_version": decision.policy_version,
        "reservation_id": record.reservation_id or None,
        "request": kept.SerializeToString(),
        "decision": decision.SerializeToString(),
    }
