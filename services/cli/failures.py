"""What ends a command early: one sentence for people and an exit code for programs."""

import json
from collections.abc import Mapping, Sequence
from enum import IntEnum

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.cli import moments, myself, words
from services.cli.reasons import FailureReason
from services.platform.serving import errors
from services.platform.text.languages import CHINESE
from services.platform.text.messages import message


class ExitCode(IntEnum):
    """What programs can rely on."""

    OK = 0
    OTHER = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    AWAY = 5
    INTERRUPTED = 130


class CommandError(Exception):
    """Shown as one sentence, never as a traceback.

    `field` is the option, or the service's field, that it is about; `way` a command that helps, as it is typed; `near`
    what may have been meant. A sentence among `values` is translated too. `details` are for programs only.
    """

    def __init__(
        self,
        why: FailureReason,
        code: ExitCode = ExitCode.OTHER,
        *,
        field: str = "",
        way: str = "",
        near: Sequence[str] = (),
        **values: object,
    ) -> None:
        super().__init__(why.value)
        self.why, self.code, self.field = why, code, field
        self.values: Mapping[str, object] = values
        self.details: Sequence[Mapping[str, object]] = ()
        self._way, self._near = way, near

    @property
    def reason(self) -> str:
        """UPPER_SNAKE_CASE, stable."""
        return self.why.name

    @property
    def hint(self) -> str:
        """A command that helps, to be typed as it stands; "" when none is known."""
        return self._way or myself.hint(self.why.value, **self.values)

    def sentence(self, language: str) -> str:
        said = myself.said(self.why.value, language, **self.values)
        meant = message("Did you mean {choices}?", choices=", ".join(self._near))
        return f"{said} {meant.to(language)}" if self._near else said

    def to_json(self, language: str) -> str:
        """One line."""
        return json.dumps({"error": self._content(language)}, ensure_ascii=False)

    def _content(self, language: str) -> dict[str, object]:
        content: dict[str, object] = {
            "reason": self.reason,
            "message": self.sentence(language),
            "field": self.field,
            "hint": self.hint,
            "exitCode": int(self.code),
        }
        return content | ({"details": list(self.details)} if self.details else {})


class CallError(CommandError):
    """A gRPC error with its google.rpc details."""

    def __init__(self, error: grpc.RpcError, address: str) -> None:
        status = to_status(error)
        why, code = _KINDS.get(_code(error), (FailureReason.OTHER_ERROR, ExitCode.OTHER))
        said = status.message or ("" if why is FailureReason.AWAY else _code(error).name.lower().replace("_", " "))
        super().__init__(why, code, detail=said, address=address, name="")
        self.status = status
        self.details = [_detail_to_dict(detail) for detail in status.details]
        self._chinese = errors.chinese_of(status)
        self._name_the_field(status)
        self._say_the_reason(status)

    @property
    def reason(self) -> str:
        """The service's own, or the name of its status."""
        infos = (detail for detail in self.status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR))
        named = error_details_pb2.ErrorInfo()
        return named.reason if any(info.Unpack(named) for info in infos) else grpc_name(self.status.code)

    def _content(self, language: str) -> dict[str, object]:
        return {**super()._content(language), "code": grpc_name(self.status.code)}

    def _name_the_field(self, status: status_pb2.Status) -> None:
        for detail in status.details:
            request = error_details_pb2.BadRequest()
            if detail.Unpack(request) and request.field_violations:
                first = request.field_violations[0]
                self.field = first.field
                self.values = {**self.values, "name": words.field(first.field), "detail": first.description}
                return
        if self.why is FailureReason.INVALID_FIELD:
            self.why = FailureReason.OTHER_ERROR

    def _say_the_reason(self, status: status_pb2.Status) -> None:
        """What we have a sentence of our own for, in either language."""
        reason = self.reason
        self.code = _CODES.get(reason, self.code)
        if reason in _REASONS:
            self.why = _REASONS[reason]
            self.values = {**self.values, "metadata": metadata(status), "seconds": retry_seconds(status)}

    def sentence(self, language: str) -> str:
        detail = self._chinese if language == CHINESE and self._chinese else str(self.values["detail"])
        self.values = {**self.values, "detail": words.in_words(detail.rstrip("。."), language)}
        figures: dict[str, str] = self.values.get("metadata", {})  # type: ignore[assignment] # put there above
        if "start_time" in figures:
            first, last = (moments.from_json(figures[name]) for name in ("start_time", "end_time"))
            self.values = {**self.values, "time": moments.show_interval(first, last, language)}
        return super().sentence(language)


_CODES = {"MEETING_NOT_FOUND": ExitCode.NOT_FOUND}
"""Where the reason says more than the status: a meeting that is unknown is that to every command."""
_REASONS = {
    "RATE_LIMITED": FailureReason.RATE_LIMITED,
    "MEETING_ELSEWHERE": FailureReason.MEETING_ELSEWHERE,
}
_KINDS = {
    grpc.StatusCode.INVALID_ARGUMENT: (FailureReason.INVALID_FIELD, ExitCode.USAGE),
    grpc.StatusCode.NOT_FOUND: (FailureReason.NOT_FOUND, ExitCode.NOT_FOUND),
    grpc.StatusCode.UNAVAILABLE: (FailureReason.AWAY, ExitCode.AWAY),
    grpc.StatusCode.DEADLINE_EXCEEDED: (FailureReason.AWAY, ExitCode.AWAY),
    grpc.StatusCode.UNAUTHENTICATED: (FailureReason.UNAUTHENTICATED, ExitCode.OTHER),
    grpc.StatusCode.PERMISSION_DENIED: (FailureReason.FORBIDDEN, ExitCode.OTHER),
}


def to_status(error: grpc.RpcError) -> status_pb2.Status:
    """The google.rpc.Status that came with the error; a bare one when it came from the transport."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # what a call raises is a Call too
    if status is not None:
        return status
    code = _code(error)
    # grpc's own words name sockets and C++ files: they help nobody
    message = "" if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) else error.details()
    return status_pb2.Status(code=code.value[0], message=message or "")


def metadata(status: status_pb2.Status) -> dict[str, str]:
    """The figures of its reason."""
    info = error_details_pb2.ErrorInfo()
    return dict(info.metadata) if any(detail.Unpack(info) for detail in status.details) else {}


def retry_seconds(status: status_pb2.Status) -> int:
    """How long the service asks us to wait; 1 when it does not say."""
    for detail in status.details:
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return int(retry.retry_delay.seconds)
    return 1


def grpc_name(number: int) -> str:
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code


def _detail_to_dict(detail: object) -> dict[str, object]:
    return dict(MessageToDict(detail))  # type: ignore[arg-type] # an Any whose type this process has loaded
