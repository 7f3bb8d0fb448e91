"""Questions to the services on behalf of who is looking, and what their errors mean for a page."""

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


SUPPORT = frozenset({"support", "admin"})
"""Roles that answer cases."""
ADMIN = frozenset({"admin"})
"""Roles that change what concerns everybody."""


def has_role(person: Person, roles: frozenset[str]) -> bool:
    """Whether it has one of them."""
    return not person.roles.isdisjoint(roles)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def now_of(request: Request) -> int:
    """Epoch milliseconds."""
    clock: Clock = getattr(request.app.state, "clock", None) or SystemClock()
    return clock.now()


async def ask(request: Request, method: "Callable[..., Awaitable[A]]", message: Message) -> A:
    """Raises grpc.aio.AioRpcError."""
    services = services_of(request)
    return await method(message, metadata=services.metadata(person_of(request)), timeout=services.timeout)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of a service: its code, its stable reason with figures, and the field at fault with what is wrong."""

    code: grpc.StatusCode
    reason: str = ""
    field: str = ""
    english: str = ""
    chinese: str = ""
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)

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
    reason, place, english, figures = "", "", error.details() or "", {}
    for each in status.details if status else ():
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if each.Unpack(info):
            reason, figures = info.reason, dict(info.metadata)
        elif each.Unpack(request) and request.field_violations:
            first = request.field_violations[0]
            place, english = first.field, first.description
    return Problem(error.code(), reason, place, english, errors.chinese_of(status) if status else "", figures)


def text_of(form: Any, name: str, longest: int = 500) -> str:
    """A posted field as one line of text, line breaks being blanks; "" when absent or not text."""
    value = form.get(name, "")
    return " ".join(value.split())[:longest].strip() if isinstance(value, str) else ""
