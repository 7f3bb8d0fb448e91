"""What ends a command early: one sentence for people and an exit code for programs."""

import json
from enum import IntEnum

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services import errors
from services.cli import moments, texts
from services.cli.texts import Text


class ExitCode(IntEnum):
    """What programs can rely on."""

    OK = 0
    OTHER = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    AWAY = 5


class CommandError(Exception):
    """Shown as one sentence, never as a traceback."""

    def __init__(self, text: Text, code: ExitCode = ExitCode.OTHER, **values: object) -> None:
        super().__init__(text.en)
        self.text = text
        self.code = code
        self.values = values

    def sentence(self, language: str) -> str:
        return self.text.to(language, **self.values)

    def to_json(self, language: str) -> str:
        return json.dumps({"error": {"message": self.sentence(language)}}, ensure_ascii=False)


class CallError(CommandError):
    """A gRPC error with its google.rpc details."""

    def __init__(self, error: grpc.RpcError, address: str) -> None:
        status = to_status(error)
        text, code = _KINDS.get(_code(error), (texts.OTHER_ERROR, ExitCode.OTHER))
        super().__init__(text, code, detail=status.message, address=address, status=_code(error).name, field="")
        self.status = status
        self._chinese = errors.chinese_of(status)
        self._name_the_field(status)
        self._say_the_reason(status)

    def to_json(self, language: str) -> str:
        status = self.status
        error = {"code": grpc_name(status.code), "message": status.message}
        details = [_detail_to_dict(detail) for detail in status.details]
        return json.dumps({"error": {**error, "details": details}}, ensure_ascii=False)

    def _name_the_field(self, status: status_pb2.Status) -> None:
        for detail in status.details:
            request = error_details_pb2.BadRequest()
            if detail.Unpack(request) and request.field_violations:
                first = request.field_violations[0]
                self.values |= {"field": first.field, "detail": first.description}
                return
        if self.text is texts.INVALID_FIELD:
            self.text = texts.OTHER_ERROR

    def _say_the_reason(self, status: status_pb2.Status) -> None:
        """What we have a sentence of our own for, in either language."""
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.reason in _REASONS:
                self.text = _REASONS[info.reason]
                self.values |= {"metadata": dict(info.metadata), "seconds": retry_seconds(status)}

    def sentence(self, language: str) -> str:
        if language == texts.CHINESE and self._chinese:
            self.values["detail"] = self._chinese
        figures: dict[str, str] = self.values.get("metadata", {})  # type: ignore[assignment] # put there above
        if "start_time" in figures:
            first, last = (moments.from_json(figures[name]) for name in ("start_time", "end_time"))
            self.values["time"] = moments.show_interval(first, last, language)
        return super().sentence(language)


_REASONS = {
    "RATE_LIMITED": texts.RATE_LIMITED,
    "MEETING_ELSEWHERE": texts.MEETING_ELSEWHERE,
}
_KINDS = {
    grpc.StatusCode.INVALID_ARGUMENT: (texts.INVALID_FIELD, ExitCode.USAGE),
    grpc.StatusCode.NOT_FOUND: (texts.NOT_FOUND, ExitCode.NOT_FOUND),
    grpc.StatusCode.UNAVAILABLE: (texts.AWAY, ExitCode.AWAY),
    grpc.StatusCode.DEADLINE_EXCEEDED: (texts.AWAY, ExitCode.AWAY),
    grpc.StatusCode.UNAUTHENTICATED: (texts.UNAUTHENTICATED, ExitCode.OTHER),
    grpc.StatusCode.PERMISSION_DENIED: (texts.FORBIDDEN, ExitCode.OTHER),
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
