"""All that the policy does for gRPC callers, one method an RPC."""

import grpc
from yunhui.policy.v1 import policy_service_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2_grpc as pb_grpc

from services import rpc
from services.policy.decisions import Policy
from services.policy.questions import InvalidRequestError

SERVICE = "yunhui.policy.v1.PolicyService"

_EVERYBODY = frozenset({"booker", "support", "admin", "service"})
_ADMIN = frozenset({"admin"})

ROLES = {
    f"/{SERVICE}/{method}": roles
    for method, roles in {
        "Decide": _EVERYBODY,
        "ReplayDecision": _EVERYBODY,
        "ListPolicies": _EVERYBODY,
        "GetPolicy": _EVERYBODY,
        "ValidatePolicy": _ADMIN,
        "PublishPolicy": _ADMIN,
        "RollbackPolicy": _ADMIN,
        "SimulatePolicy": _ADMIN,
    }.items()
}


class PolicyService(pb_grpc.PolicyServiceServicer):
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def Decide(self, request: pb.DecideRequest, context: rpc.Context) -> pb.DecideResponse:
        if request.policy_version not in ("", self._policy.version):
            raise rpc.failure(grpc.StatusCode.NOT_FOUND, "POLICY_VERSION_NOT_FOUND", "there is no such policy version")
        try:
            return pb.DecideResponse(decision=self._policy.decide(request))
        except InvalidRequestError as error:
            raise rpc.invalid(error.field, error.description) from error
