"""What the policy receives from NATS, answered by one replica of the queue group.

`policy.decide`: whole batches of questions. `policy.usage`: what one account has used.
"""

import logging

import grpc
from faststream.nats import NatsBroker
from google.protobuf.message import DecodeError
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.contracts import subjects
from services.platform.messaging import bus
from services.platform.messaging.consumer import TraceAnnotation
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.settings import Settings
from services.policy.questions import InvalidRequestError
from services.policy.versions import Versions

log = logging.getLogger(__name__)

LARGEST_BATCH = 256


def create_broker(settings: Settings, versions: Versions) -> NatsBroker:
    """A broker that answers; start and stop it."""
    broker = bus.create_broker(settings, "policy")

    @bus.responder(broker, subjects.DECIDE)
    async def on_decide(body: bytes, headers: TraceAnnotation) -> bytes:
        with traces.received("decide", headers.get(traces.HEADER, ""), "server"):
            return answer(versions, body).SerializeToString()

    @bus.responder(broker, subjects.USAGE)
    async def on_usage(body: bytes, headers: TraceAnnotation) -> bytes:
        with traces.received("usage", headers.get(traces.HEADER, ""), "server"):
            return tell_usage(versions, body).SerializeToString()

    return broker


def tell_usage(versions: Versions, body: bytes) -> pb.UsageReply:
    """What cannot be read gets an empty reply, which no caller takes for an answer."""
    try:
        return pb.UsageReply(usage=versions.usage(pb.UsageRequest.FromString(body)))
    except DecodeError:
        log.error("policy.usage: a message of %d bytes is no question", len(body))
        return pb.UsageReply()
    except InvalidRequestError as error:
        return pb.UsageReply(error=_to_error(grpc.StatusCode.INVALID_ARGUMENT, str(error)))
    except Exception:
        log.exception("policy.usage: a question failed")
        return pb.UsageReply(error=_to_error(grpc.StatusCode.INTERNAL, "the policy could not say; it was logged"))


def answer(versions: Versions, body: bytes) -> pb.DecideBatchResponse:
    """One result a question. What is no batch at all gets an empty answer, which no caller takes for a decision."""
    try:
        requests = pb.DecideBatchRequest.FromString(body).requests
    except DecodeError:
        log.error("policy.decide: a message of %d bytes is no batch", len(body))
        return pb.DecideBatchResponse()
    if len(requests) > LARGEST_BATCH:
        log.error("policy.decide: %d questions at once, at most %d are answered", len(requests), LARGEST_BATCH)
        return pb.DecideBatchResponse()
    return pb.DecideBatchResponse(results=[_decide(versions, request) for request in requests])


def _decide(versions: Versions, request: pb.DecideRequest) -> pb.DecideResult:
    try:
        return pb.DecideResult(decision=versions.decide(request))
    except InvalidRequestError as error:
        return _error(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except errors.RpcError as error:
        return _error(error.code, str(error))
    except Exception:
        # one question that cannot be answered must not take the others of its batch down
        log.exception("policy.decide: a question failed")
        return _error(grpc.StatusCode.INTERNAL, "the policy could not decide; it was logged")


def _error(code: grpc.StatusCode, message: str) -> pb.DecideResult:
    return pb.DecideResult(error=_to_error(code, message))


def _to_error(code: grpc.StatusCode, message: str) -> pb.DecideError:
    return pb.DecideError(code=code.value[0], message=message)
