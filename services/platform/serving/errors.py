"""Errors for callers: a canonical code, a sentence in English and in Chinese, and details that programs read."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from services.platform.clock import from_timestamp

DOMAIN = "yunhui"
CHINESE = "zh-CN"
REQUIRED = "is required", "必填"
LATER = "must be later than start_time", "须晚于开始时间"
OURS = "an error of ours; it was logged", "系统内部错误，已记入日志"

Part = Literal["booking", "bus", "database", "policy", "the meeting provider", "the meetings gateway"]
PARTS: Mapping[Part, str] = {
    "booking": "预定服务",
    "bus": "消息总线",
    "database": "数据库",
    "policy": "规则服务",
    "the meeting provider": "会议提供方",
    "the meetings gateway": "会议网关",
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
    field: str, description: str, chinese: str, reason: str = "", figures: Mapping[str, str] = MappingProxyType({})
) -> RpcError:
    """INVALID_ARGUMENT with BadRequest: names the field and the way out; with ErrorInfo where there is a `reason`.

    `chinese` says the same as `description`; "" where only programs ask.
    """
    violation = details.BadRequest.FieldViolation(field=field, description=description)
    if chinese:
        violation.localized_message.CopyFrom(in_chinese(chinese))
    return RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field}: {description}",
        details.BadRequest(field_violations=[violation]),
        *([details.ErrorInfo(reason=reason, domain=DOMAIN, metadata=figures)] if reason else []),
    )


def moment(field: str, given: Timestamp) -> int:
    """Epoch ms of a required time between the years 1970 and 9999: what lies beyond fits into no database."""
    if not given.seconds and not given.nanos:
        raise invalid(field, *REQUIRED)
    if not 0 < given.seconds <= LAST_SECOND or not 0 <= given.nanos < 1_000_000_000:
        raise invalid(field, "is not a valid time", "不是有效的时间")
    return from_timestamp(given)


def failure(
    code: grpc.StatusCode,
    reason: str,
    message: str,
    chinese: str,
    *,
    retry_seconds: int = 0,
    figures: Mapping[str, str] = MappingProxyType({}),
) -> RpcError:
    """Any other error, with ErrorInfo: `reason` is stable, UPPER_SNAKE_CASE, `figures` are its metadata.

    `chinese` says the same as `message`, as LocalizedMessage; "" where only programs ask. RetryInfo when it is known
    how long to wait.
    """
    pause = details.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_seconds))
    return RpcError(
        code,
        message,
        details.ErrorInfo(reason=reason, domain=DOMAIN, metadata=figures),
        *([pause] if retry_seconds else []),
        *([in_chinese(chinese)] if chinese else []),
    )


def in_chinese(message: str) -> details.LocalizedMessage:
    return details.LocalizedMessage(locale=CHINESE, message=message)


def not_found(what: str, chinese: str) -> RpcError:
    """NOT_FOUND; the same for what does not exist and for what is another's."""
    reason = f"{what.upper().replace(' ', '_')}_NOT_FOUND"
    return failure(grpc.StatusCode.NOT_FOUND, reason, f"there is no such {what}", chinese)


def role_missing(what: str, chinese: str, roles: Iterable[str]) -> RpcError:
    """PERMISSION_DENIED; `what` needs one of the roles."""
    wanted = sorted(roles)
    message = f"{what} needs one of the roles: {', '.join(wanted)}"
    return failure(
        grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING", message, f"{chinese}需要以下角色之一：{'、'.join(wanted)}"
    )


def exhausted(reason: str, message: str, chinese: str, retry_seconds: int) -> RpcError:
    """RESOURCE_EXHAUSTED with RetryInfo: nothing was done, there may be more later."""
    return failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason, message, chinese, retry_seconds=retry_seconds)


def unavailable(what: Part, retry_seconds: int = 1) -> RpcError:
    """UNAVAILABLE with RetryInfo: nothing was done, try again."""
    message = f"{what} is away for the moment; nothing was changed, please try again"
    chinese = f"{PARTS[what]}暂时不可用；没有任何改变，请重试"
    return failure(
        grpc.StatusCode.UNAVAILABLE,
        "SERVICE_AWAY",
        message,
        chinese,
        retry_seconds=retry_seconds,
        figures={"service": what},
    )


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
