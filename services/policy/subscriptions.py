"""What the policy receives from NATS: `policy.decide`, whole batches, answered by one replica of the queue group."""

import logging
from typing import Any

import grpc
from faststream.nats import NatsBroker
from faststream.security import SASLPlaintext
from google.protobuf.message import DecodeError
from yunhui.policy.v1 import policy_service_pb2 as pb

from services import bus
from services.policy.decisions import Policy
from services.policy.questions import InvalidRequestError
from services.settings import Settings

log = logging.getLogger(__name__)

SUBJECT = QUEUE = "policy.decide"
LARGEST_BATCH = 256


def create_broker(settings: Settings, policy: Policy) -> NatsBroker:
    """A broker that answers; start and stop it."""
    options = dict(bus.connect_options(settings, "policy"))
    security = SASLPlaintext(options.pop("user"), options.pop("password")) if settings.nats_user else None
    broker = NatsBroker(settings.nats_url, security=security, logger=None, **options)

    @broker.subscriber(SUBJECT, queue=QUEUE, decoder=_undecoded, title="policy.decide")
    async def on_decide(body: bytes) -> bytes:
        return answer(policy, body).SerializeToString()

    return broker


async def _undecoded(message: Any) -> bytes:
    body: bytes = message.body
    return body


def answer(policy: Policy, body: bytes) -> pb.DecideBatchResponse:
    """One result a question. What is no batch at all gets an empty answer, which no caller takes for a decision."""
    try:
        requests = pb.DecideBatchRequest.FromString(body).requests
    except DecodeError:
        log.error("policy.decide: a message of %d bytes is no batch", len(body))
        return pb.DecideBatchResponse()
    if len(requests) > LARGEST_BATCH:
        log.error("policy.decide: %d questions at once, at most %d are answered", len(requests), LARGEST_BATCH)
        return pb.DecideBatchResponse()
    return pb.DecideBatchResponse(results=[_decide(policy, request) for request in requests])


def _decide(policy: Policy, request: pb.DecideRequest) -> pb.DecideResult:
    try:
        return pb.DecideResult(decision=policy.decide(request))
    except InvalidRequestError as error:
        return _error(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except Exception:
        # one question that cannot be answered must not take the others of its batch down
        log.exception("policy.decide: a question failed")
        return _error(grpc.StatusCode.INTERNAL, "the policy could not decide; it was logged")


def _error(code: grpc.StatusCode, message: str) -> pb.DecideResult:
    return pb.DecideResult(error=pb.DecideError(code=code.value[0], message=message))
