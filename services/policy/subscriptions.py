"""What the policy receives from NATS, answered by one replica of the queue group.

`policy.decide`: whole batches of questions. `policy.allowed`: with which other subjects questions would be allowed.
`policy.usage`: what one account has used.
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
from services.policy.windows import ShortHistoryError

log = logging.getLogger(__name__)

LARGEST_BATCH = 256


def create_replies(settings: Settings, versions: Versions) -> Replies:
    """Serve it."""
    return Replies(
        settings,
        "policy",
        {
            subjects.DECIDE: (pb.DecideBatchRequest, partial(decide, versions)),
            subjects.ALLOWED: (pb.AllowedSubjectsBatchRequest, partial(allowed, versions)),
            subjects.USAGE: (pb.UsageRequest, partial(answer_usage, versions)),
        },
    )


def decide(versions: Versions, asked: pb.DecideBatchRequest) -> pb.DecideBatchResponse:
    """One result a question. A batch that is too large gets an empty answer, which no caller takes for a decision."""
    if len(asked.requests) > LARGEST_BATCH:
        log.error("policy.decide: %d questions at once, at most %d are answered", len(asked.requests), LARGEST_BATCH)
        return pb.DecideBatchResponse()
    results = [_decide(versions, request) for request in asked.requests]
    return pb.DecideBatchResponse(results=results, window=versions.window)


def allowed(versions: Versions, asked: pb.AllowedSubjectsBatchRequest) -> pb.AllowedSubjectsBatchResponse:
    """One result a request, as `decide`."""
    if (number := sum(len(each.candidates) for each in asked.requests)) > LARGEST_BATCH:
        log.error("policy.allowed: %d candidates at once, at most %d are looked at", number, LARGEST_BATCH)
        return pb.AllowedSubjectsBatchResponse()
    return pb.AllowedSubjectsBatchResponse(results=[_allowed(versions, request) for request in asked.requests])


def answer_usage(versions: Versions, asked: pb.UsageRequest) -> pb.UsageReply:
    try:
        return pb.UsageReply(usage=versions.usage(asked))
    except Exception as error:
        return pb.UsageReply(error=_to_error(error, subjects.USAGE))


def _decide(versions: Versions, request: pb.DecideRequest) -> pb.DecideResult:
    try:
        return pb.DecideResult(decision=versions.decide(request))
    except Exception as error:
        return pb.DecideResult(error=_to_error(error, subjects.DECIDE))


def _allowed(versions: Versions, request: pb.AllowedSubjectsRequest) -> pb.AllowedSubjectsResult:
    try:
        return pb.AllowedSubjectsResult(allowed=pb.AllowedSubjects(indices=versions.allowed(request)))
    except Exception as error:
        return pb.AllowedSubjectsResult(error=_to_error(error, subjects.ALLOWED))


def _to_error(error: Exception, subject: str) -> pb.DecideError:
    """One question that cannot be answered must not take the others of its batch down, whatever is wrong."""
    if isinstance(error, InvalidRequestError):
        code, words = grpc.StatusCode.INVALID_ARGUMENT, str(error)
    elif isinstance(error, errors.RpcError):
        code, words = error.code, str(error)
    else:
        log.error("%s: a question failed", subject, exc_info=error)
        code, words = grpc.StatusCode.INTERNAL, "the policy could not decide; it was logged"
    needed = error.window if isinstance(error, ShortHistoryError) else None
    return pb.DecideError(code=code.value[0], message=words, needed=needed)
