"""Questions to the services on behalf of who is looking, and what their errors mean for a page."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from starlette.requests import Request

from services.platform.clock import Clock, SystemClock
from services.platform.serving import errors
from services.platform.text.languages import CHINESE
from services.portal.client import Services
from services.portal.sessions import Person

A = TypeVar("A", bound=Message)

AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


def person_of(request: Request) -> Person:
    """Who is looking; only for pages behind the sign-in."""
    person = request.state.person
    assert isinstance(person, Person)  # noqa: S101 - the sign-in lets nobody else through
    return person


def may(request: Request, permission: str) -> bool:
    """Whether who is looking is permitted it, for some departments at least."""
    return permission in person_of(request).permissions


def may_everywhere(request: Request, permission: str) -> bool:
    return permission in person_of(request).everywhere


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def now_of(request: Request) -> int:
    """Epoch milliseconds."""
    clock: Clock = getattr(request.app.state, "clock", None) or SystemClock()
    return clock.now()


async def ask(
    request: Request, method: "Callable[..., Awaitable[A]]", message: Message, seconds: float | None = None
) -> A:
    """`seconds` are for what takes longer than other calls. Raises grpc.aio.AioRpcError."""
    services = services_of(request)
    timeout = services.timeout if seconds is None else seconds
    return await method(message, metadata=services.metadata(person_of(request)), timeout=timeout)


async def ask_patiently(
    request: Request, method: "Callable[..., Awaitable[A]]", message: Message, seconds: float | None = None
) -> A:
    """Waits where the service wants fewer calls by this account: for many in a row. Raises grpc.aio.AioRpcError."""
    while True:
        try:
            return await ask(request, method, message, seconds)
        except grpc.aio.AioRpcError as error:
            problem = read(error)
            if problem.reason != "RATE_LIMITED":
                raise
            await asyncio.sleep(problem.retry_seconds)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of a service: its code, its stable reason with figures, and the field at fault with what is wrong."""

    code: grpc.StatusCode
    reason: str = ""
    field: str = ""
    english: str = ""
    chinese: str = ""
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    retry_seconds: int = 1
    """As the service wants it, where it says so."""

    def detail(self, language: str) -> str:
        return (self.chinese if language == CHINESE else "") or self.english

    @property
    def meeting_time(self) -> tuple[Timestamp, Timestamp] | None:
        """When the meeting takes place, where that is the matter."""
        if self.reason != "MEETING_ELSEWHERE":
            return None
        start, end = Timestamp(), Timestamp()
        start.FromJsonString(self.figures["start_time"])
        end.FromJsonString(self.figures["end_time"])
        return start, end

    @property
    def away(self) -> bool:
        return self.code in AWAY


def read(error: grpc.aio.AioRpcError) -> Problem:
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # its stub knows only the synchronous calls
    reason, place, english, figures, pause = "", "", error.details() or "", {}, 1
    for each in status.details if status else ():
        info, request, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if each.Unpack(info):
            reason, figures = info.reason, dict(info.metadata)
        elif each.Unpack(retry):
            pause = retry.retry_delay.seconds
        elif each.Unpack(request) and request.field_violations:
            first = request.field_violations[0]
            place, english = first.field, first.description
    return Problem(error.code(), reason, place, english, errors.chinese_of(status) if status else "", figures, pause)


def text_of(form: Any, name: str, longest: int = 500) -> str:
    """A posted field as one line of text, line breaks being blanks; "" when absent or not text."""
    value = form.get(name, "")
    return " ".join(value.split())[:longest].strip() if isinstance(value, str) else ""
