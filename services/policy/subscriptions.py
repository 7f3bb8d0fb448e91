"""What the policy receives from NATS, answered by one replica of the queue group.

`policy.decide`: whole batches of questions. `policy.usage`: what one account has used.
"""

import logging
from functools import partial

import grpc
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.contracts import subjects
from services.platform.messaging.replies import Replies
from services.platform.serving import errors
from services.platform.settings import Settings
from services.policy.questions import InvalidRequestError
from services.policy.versions import Versions

log = logging.getLogger(__name__)

LARGEST_BATCH = 256


def create_replies(settings: Settings, versions: Versions) -> Replies:
    """Serve it."""
    return Replies(
        settings,
        "policy",
        {
            subjects.DECIDE: (pb.DecideBatchRequest, partial(decide, versions)),
            subjects.USAGE: (pb.UsageRequest, partial(answer_usage, versions)),
        },
    )


def decide(versions: Versions, asked: pb.DecideBatchRequest) -> pb.DecideBatchResponse:
    """One result a question. A batch that is too large gets an empty answer, which no caller takes for a decision."""
    if len(asked.requests) > LARGEST_BATCH:
        log.error("policy.decide: %d questions at once, at most %d are answered", len(asked.requests), LARGEST_BATCH)
        return pb.DecideBatchResponse()
    return pb.DecideBatchResponse(results=[_decide(versions, request) for request in asked.requests])


def answer_usage(versions: Versions, asked: pb.UsageRequest) -> pb.UsageReply:
    try:
        return pb.UsageReply(usage=versions.usage(asked))
    except InvalidRequestError as error:
        return pb.UsageReply(error=_to_error(grpc.StatusCode.INVALID_ARGUMENT, str(error)))
    except Exception:
        log.exception("policy.usage: a question failed")
        return pb.UsageReply(error=_to_error(grpc.StatusCode.INTERNAL, "the policy could not say; it was logged"))


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
