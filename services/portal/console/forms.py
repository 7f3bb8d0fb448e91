"""Forms of the console: what was typed is kept, and what a service has against it stands beside its field."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response

from services.portal.calls import ask_patiently, read, text_of
from services.portal.rendering import reader_of, sentence
from services.portal.tables import forbidden

A = TypeVar("A", bound=Message)
Endpoint = Callable[[Request], Awaitable[Response]]

GENERAL = ""
"""The field of what concerns no single one."""
LACKING = "lacking"
"""That of GIVES_MORE_THAN_HELD: said with `FormRefusal.lacking`."""
CORRECTABLE = {
    grpc.StatusCode.INVALID_ARGUMENT: 422,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
}


@dataclass(frozen=True, slots=True)
class FormRefusal:
    """A service took nothing of a form: why, by field, in the reader's language; `stale`: others were faster."""

    status: int
    faults: Mapping[str, str]
    stale: bool = False
    place: str = ""
    """The service's own name for the field."""
    lacking: Sequence[str] = ()
    """Permissions that it would take to give this, or to take it."""

    @property
    def said(self) -> str:
        return next(iter(self.faults.values()))


@dataclass(frozen=True, slots=True)
class ConsoleForm:
    """What stands in the fields, what is wrong with them, and how it stands now where others changed it meanwhile."""

    values: Mapping[str, str] = field(default_factory=dict)
    version: int = 0
    refusal: FormRefusal | None = None
    now: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        return self.values.get(name, "")

    def fault(self, name: str) -> str:
        return self.refusal.faults.get(name, "") if self.refusal else ""

    @property
    def status(self) -> int:
        return self.refusal.status if self.refusal else 200


def for_permitted(permission: str, endpoint: Endpoint) -> Endpoint:
    """The services would refuse others anyway."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        return forbidden(request, permission) or await endpoint(request)

    return guarded


async def attempt(
    request: Request,
    method: Callable[..., Awaitable[A]],
    question: Message,
    fields: Mapping[str, str],
    seconds: float | None = None,
) -> A | FormRefusal:
    """Asks for a change. `fields` are those of the form, by the name that the service has for them or by its reason.

    Raises grpc.aio.AioRpcError for what no other typing would mend.
    """
    try:
        return await ask_patiently(request, method, question, seconds)
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code not in CORRECTABLE and problem.reason not in fields:
            raise
        parts = [part.partition("[")[0] for part in problem.field.split(".")]
        beside = next((fields[each] for each in (problem.reason, *parts) if each in fields), GENERAL)
        language = reader_of(request).language
        said = sentence(problem.detail(language), language)
        stale = problem.reason == "STALE_VERSION"
        lacking = problem.figures.get("permissions", "").split()
        return FormRefusal(CORRECTABLE.get(problem.code, 409), {beside: said}, stale, problem.field, lacking)


def refused(fault: str, name: str = GENERAL) -> FormRefusal:
    """What a page finds itself; `fault` in the reader's language."""
    return FormRefusal(422, {name: fault})


def typed(form: Any, *names: str) -> dict[str, str]:
    return {name: text_of(form, name, 2000) for name in names}


def version_of(form: Any) -> int:
    return number_of(form, "version")


def number_of(form: Any, name: str) -> int:
    """0 for what is none."""
    text = text_of(form, name, 20)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def was_searched(form: Any) -> bool:
    """By the button for browsers without JavaScript, beside a field that looks for something."""
    return bool(text_of(form, "search"))
