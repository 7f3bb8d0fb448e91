"""Errors for callers: a canonical code, a sentence in English and in Chinese, and details that programs read.

A sentence that is a Text goes out in both languages, any other in English alone: those that only programs see.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from services.platform.clock import from_timestamp
from services.platform.serving.permissions import CATALOGUE
from services.platform.text.languages import CHINESE, ENGLISH
from services.platform.text.messages import Text, message, pmessage

DOMAIN = "yunhui"
REQUIRED = message("is required")
LATER = message("must be later than start_time")
OURS = message("an error of ours; it was logged")

Part = Literal["booking", "bus", "database", "directory", "policy", "the meeting provider", "the meetings gateway"]
PARTS: Mapping[Part, Text] = {
    "booking": pmessage("part", "booking"),
    "bus": pmessage("part", "bus"),
    "database": pmessage("part", "database"),
    "directory": pmessage("part", "directory"),
    "policy": pmessage("part", "policy"),
    "the meeting provider": pmessage("part", "the meeting provider"),
    "the meetings gateway": pmessage("part", "the meetings gateway"),
}
LAST_SECOND = 253_402_300_799  # of the year 9999


class RpcError(Exception):
    """An error for the caller: a canonical code, a sentence, and machine-readable details."""

    def __init__(self, code: grpc.StatusCode, message: str, *more: Message) -> None:
        super().__init__(message)
        self.code = code
        self.details = more

    @property
    def reason(self) -> str:
        """What a log may say of it."""
        named = [each.reason for each in self.details if isinstance(each, details.ErrorInfo)]
        return " ".join([self.code.name, *named])

    def to_status(self) -> status_pb2.Status:
        packed = []
        for detail in self.details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        return status_pb2.Status(code=self.code.value[0], message=str(self), details=packed)


def invalid(
    field: str, description: str, *, reason: str = "", figures: Mapping[str, str] = MappingProxyType({})
) -> RpcError:
    """INVALID_ARGUMENT with BadRequest: names the field and the way out; with ErrorInfo where there is a `reason`."""
    english = in_english(description)
    violation = details.BadRequest.FieldViolation(field=field, description=english)
    for localized in in_chinese(description):
        violation.localized_message.CopyFrom(localized)
    return RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field}: {english}",
        details.BadRequest(field_violations=[violation]),
        *([details.ErrorInfo(reason=reason, domain=DOMAIN, metadata=figures)] if reason else []),
    )


def moment(field: str, given: Timestamp) -> int:
    """Epoch ms of a required time between the years 1970 and 9999: what lies beyond fits into no database."""
    if not given.seconds and not given.nanos:
        raise invalid(field, REQUIRED)
    if not 0 < given.seconds <= LAST_SECOND or not 0 <= given.nanos < 1_000_000_000:
        raise invalid(field, message("is not a valid time"))
    return from_timestamp(given)


def failure(
    code: grpc.StatusCode,
    reason: str,
    words: str,
    *,
    retry_seconds: int = 0,
    figures: Mapping[str, str] = MappingProxyType({}),
) -> RpcError:
    """Any other error, with ErrorInfo: `reason` is stable, UPPER_SNAKE_CASE, `figures` are its metadata.

    In Chinese as LocalizedMessage. RetryInfo when it is known how long to wait.
    """
    pause = details.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_seconds))
    return RpcError(
        code,
        in_english(words),
        details.ErrorInfo(reason=reason, domain=DOMAIN, metadata=figures),
        *([pause] if retry_seconds else []),
        *in_chinese(words),
    )


def in_english(words: str) -> str:
    return words.to(ENGLISH) if isinstance(words, Text) else words


def in_chinese(words: str) -> list[details.LocalizedMessage]:
    """None of what is not to be translated."""
    return [details.LocalizedMessage(locale=CHINESE, message=words.to(CHINESE))] if isinstance(words, Text) else []


def not_found(what: str, words: Text) -> RpcError:
    """NOT_FOUND, with the reason WHAT_NOT_FOUND; the same for what does not exist and for what is another's."""
    reason = f"{what.upper().replace(' ', '_')}_NOT_FOUND"
    return failure(grpc.StatusCode.NOT_FOUND, reason, words)


def not_permitted(what: Text, permission: str) -> RpcError:
    """PERMISSION_DENIED; `what` needs the permission."""
    named = {"what": what, "permission": permission, "meaning": CATALOGUE[permission]}
    words = message("{what} needs the permission {permission}: {meaning}", **named)
    return failure(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", words, figures={"permission": permission})


def exhausted(reason: str, words: str, retry_seconds: int) -> RpcError:
    """RESOURCE_EXHAUSTED with RetryInfo: nothing was done, there may be more later."""
    return failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason, words, retry_seconds=retry_seconds)


def unavailable(what: Part, retry_seconds: int = 1) -> RpcError:
    """UNAVAILABLE with RetryInfo: nothing was done, try again."""
    words = message("{part} is away for the moment; nothing was changed, please try again", part=PARTS[what])
    figures = {"service": what}
    return failure(grpc.StatusCode.UNAVAILABLE, "SERVICE_AWAY", words, retry_seconds=retry_seconds, figures=figures)


def chinese_of(status: status_pb2.Status) -> str:
    """What an error says in Chinese, of its first field where there is one; "" when it does not."""
    request, words = details.BadRequest(), details.LocalizedMessage()
    for detail in status.details:
        if detail.Unpack(request) and request.field_violations:
            words = request.field_violations[0].localized_message
        elif not detail.Unpack(words):
            continue
        if words.locale == CHINESE:
            return str(words.message)
    return ""
