"""All that the policy does for gRPC callers, one method an RPC."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import ParamSpec, TypeVar

import grpc
from google.protobuf.message import Message
from yunhui.policy.v1 import policy_service_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2_grpc as pb_grpc

from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.serving import errors, pages, permissions, rpc
from services.platform.text.messages import message
from services.policy import drafts
from services.policy.description import describe
from services.policy.questions import InvalidRequestError
from services.policy.simulation import Simulator
from services.policy.versions import PolicyDraft, Version, Versions

SERVICE = "yunhui.policy.v1.PolicyService"
NEEDED = permissions.of(SERVICE)

MAX_NOTE = 500
MAX_PAGE = 100
LONG_BYTES = 4 * 1024

P = ParamSpec("P")
T = TypeVar("T")


class PolicyService(pb_grpc.PolicyServiceServicer):
    def __init__(self, versions: Versions, clock: Clock, simulator: Simulator) -> None:
        self._versions = versions
        self._clock = clock
        self._simulator = simulator
        self._long = asyncio.Lock()

    async def Decide(self, request: pb.DecideRequest, context: rpc.Context) -> pb.DecideResponse:
        try:
            return pb.DecideResponse(decision=await self._beside(request, self._versions.decide, request))
        except InvalidRequestError as error:
            raise errors.invalid(error.field, error.description) from error

    async def ReplayDecision(
        self, request: pb.ReplayDecisionRequest, context: rpc.Context
    ) -> pb.ReplayDecisionResponse:
        if not request.decision.facts:
            raise errors.invalid("decision.facts", message("a decision without facts cannot be replayed"))
        policy = self._versions.named(request.decision.policy_version).policy
        try:
            replayed = await self._beside(request, policy.replay, request.question, request.decision)
        except InvalidRequestError as error:
            raise errors.invalid(f"question.{error.field}", error.description) from error
        return pb.ReplayDecisionResponse(decision=replayed, equal=replayed == request.decision)

    async def _beside(self, asked: Message, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What is long is done in a thread, one at a time: 10,000 entries take 50 ms, and others wait no longer."""
        if asked.ByteSize() < LONG_BYTES:
            return work(*args, **kwargs)
        async with self._long:
            return await asyncio.to_thread(work, *args, **kwargs)

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: rpc.Context) -> pb.ListPoliciesResponse:
        size, before = pages.size(request.page_size, 20, MAX_PAGE), pages.from_number(request.page_token)
        listed = [each for each in self._versions.newest_first() if not before or each.number < before]
        page = listed[:size]
        token = str(page[-1].number) if len(listed) > len(page) else ""
        return pb.ListPoliciesResponse(policies=[each.info for each in page], next_page_token=token)

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: rpc.Context) -> pb.GetPolicyResponse:
        found = self._versions.named(request.version) if request.version else self._versions.at(self._clock.now())
        return pb.GetPolicyResponse(
            policy=found.info,
            source=found.source,
            tests=found.tests,
            description=describe(found.policy.document),
        )

    async def ValidatePolicy(
        self, request: pb.ValidatePolicyRequest, context: rpc.Context
    ) -> pb.ValidatePolicyResponse:
        return await asyncio.to_thread(drafts.validate, request.source, request.tests)

    async def PublishPolicy(self, request: pb.PublishPolicyRequest, context: rpc.Context) -> pb.PublishPolicyResponse:
        published = await self._publish(
            PolicyDraft(
                source=request.source,
                tests=request.tests,
                author=rpc.principal().account_id,
                note=checked_note(request.note),
                effective_time=self._effective_time(request),
                base=request.base_version or None,
            )
        )
        return pb.PublishPolicyResponse(policy=published.info)

    async def RollbackPolicy(
        self, request: pb.RollbackPolicyRequest, context: rpc.Context
    ) -> pb.RollbackPolicyResponse:
        if not request.version:
            raise errors.invalid("version", errors.REQUIRED)
        earlier = self._versions.named(request.version)
        published = await self._publish(
            PolicyDraft(
                source=earlier.source,
                tests=earlier.tests,
                author=rpc.principal().account_id,
                note=checked_note(request.note),
                rolled_back_to=request.version,
            )
        )
        return pb.RollbackPolicyResponse(policy=published.info)

    async def SimulatePolicy(
        self, request: pb.SimulatePolicyRequest, context: rpc.Context
    ) -> AsyncIterator[pb.SimulatePolicyResponse]:
        candidate = await asyncio.to_thread(drafts.load, request.source)
        since = errors.moment("since", request.since) if request.HasField("since") else 0
        async for progress in self._simulator.run(candidate, since):
            yield progress

    async def _publish(self, draft: PolicyDraft) -> Version:
        checked = await asyncio.to_thread(drafts.validate, draft.source, draft.tests)
        if not checked.valid:
            faults = "; ".join(drafts.complaints(checked))
            words = message("not published: {faults}", faults=faults)
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "POLICY_NOT_VALID", words)
        return await self._versions.publish(draft, audit.caller())

    def _effective_time(self, request: pb.PublishPolicyRequest) -> int | None:
        if not request.HasField("effective_time"):
            return None
        moment = errors.moment("effective_time", request.effective_time)
        if moment < self._clock.now():
            raise errors.invalid("effective_time", message("lies in the past: what was decided stays decided"))
        return moment


def checked_note(given: str) -> str:
    if not given.strip() or len(given) > MAX_NOTE:
        raise errors.invalid("note", message("say why, in at most {limit} characters", limit=MAX_NOTE))
    return given.strip()
