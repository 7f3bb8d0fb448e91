"""Asks the policy: many questions in one NATS request. No answer means that nothing may be accepted."""

import grpc
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.errors import Error as NatsError
from yunhui.policy.v1 import policy_service_pb2 as policy
from yunhui.policy.v1.decision_pb2 import Decision

from services.contracts import subjects
from services.platform.observing import traces
from services.platform.serving import errors

DEADLINE_SECONDS = 2.0
LARGEST_BYTES = 900_000  # nats.conf allows 1 MB
LARGEST_BATCH = 256  # contract of DecideBatchRequest

Verdict = Decision | errors.RpcError


class PolicyClient:
    """The enforcement point's side of the policy (XACML: PEP asks PDP)."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats

    async def decide(self, questions: list[policy.DecideRequest]) -> list[Verdict]:
        """One verdict a question, in order. Raises errors.unavailable when the policy does not answer in time."""
        request = policy.DecideBatchRequest(requests=questions).SerializeToString()
        if len(request) > LARGEST_BYTES or len(questions) > LARGEST_BATCH:
            return await self._decide_in_parts(questions)
        try:
            # a request into a broken connection would be buffered and answered too late to be of use
            if not self._nats.is_connected:
                raise errors.unavailable("policy")
            reply = await self._nats.request(
                subjects.DECIDE, request, timeout=DEADLINE_SECONDS, headers=traces.headers()
            )
            results = policy.DecideBatchResponse.FromString(reply.data).results
        except (NatsError, TimeoutError, DecodeError) as error:
            raise errors.unavailable("policy") from error
        if len(results) != len(questions):
            raise errors.unavailable("policy")
        return [_to_verdict(result) for result in results]

    async def _decide_in_parts(self, questions: list[policy.DecideRequest]) -> list[Verdict]:
        """One account with a very long history must not stand in the way of the others."""
        if len(questions) == 1:
            words = (
                "this account's history is too long to be decided on: ask support",
                "这个账号的记录过多，无法判定：请联系技术支持",
            )
            return [errors.failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "HISTORY_TOO_LONG", *words)]
        half = len(questions) // 2
        return [*await self.decide(questions[:half]), *await self.decide(questions[half:])]

    async def check(self) -> None:
        """Raises errors.unavailable when no question would be answered."""
        await self.decide([])

    async def decide_one(self, question: policy.DecideRequest) -> Decision:
        """As decide, for one question; raises its error."""
        [verdict] = await self.decide([question])
        if isinstance(verdict, errors.RpcError):
            raise verdict
        return verdict


def _to_verdict(result: policy.DecideResult) -> Verdict:
    if result.HasField("decision"):
        return result.decision
    codes = {code.value[0]: code for code in grpc.StatusCode}
    code = codes.get(result.error.code, grpc.StatusCode.INTERNAL)
    return errors.failure(code, "POLICY_REFUSED_THE_QUESTION", result.error.message, "")
