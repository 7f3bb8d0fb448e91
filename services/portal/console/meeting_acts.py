"""What is done in a running meeting: each form is one order, however often it is sent, and the answer is shown."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from ulid import ULID
from yunhui.meetings.v1 import control_service_pb2 as api
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.portal.calls import ask, read, text_of
from services.portal.console.addresses import of_meeting
from services.portal.meetings import LONGEST_ID

A = TypeVar("A")

LONGEST_REASON = 200
LONGEST_NAME = 20
AT_ONCE = 20
"""People of one order, where it may be for several."""
PATIENCE_SECONDS = 25.0
"""Of the answer to one order: the provider may take its time."""
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,40}", re.ASCII)
NOT_RUNNING, NO_VERB = "MEETING_NOT_RUNNING", "NO_SUCH_VERB"


def nonce() -> str:
    """Of a form when it is shown."""
    return str(ULID()).lower()


def nonce_in(form: Any) -> str:
    """A new one where the form says none."""
    given = text_of(form, "nonce", 64)
    return given if _NONCE.fullmatch(given) else nonce()


def value_of(target: pb.Target) -> str:
    """Whom a button means."""
    return f"{target.terminal}~{target.person_id}"


def mark_of(target: pb.Target) -> str:
    """Of somebody's place on a page that changes while it is looked at."""
    return "p-" + hashlib.sha256(value_of(target).encode()).hexdigest()[:10]


def target_of(value: str) -> pb.Target:
    terminal, _, person_id = value[: 2 * LONGEST_ID].partition("~")
    return pb.Target(person_id=person_id, terminal=terminal)


def targets_in(form: Any, name: str) -> list[pb.Target]:
    """Each once."""
    values = dict.fromkeys(each for each in form.getlist(name) if isinstance(each, str) and each)
    return [target_of(each) for each in values]


async def order(
    request: Request, key: MeetingKey, form: Any, method: Callable[..., Awaitable[Any]], question: Any
) -> str:
    """Where it leads: to the meeting, with what became of it. The same form with the same content is one order.

    Raises grpc.aio.AioRpcError for what is wrong with the question, and while nobody can say what became of it.
    """
    return await orders(request, key, form, method, [question])


async def orders(
    request: Request, key: MeetingKey, form: Any, method: Callable[..., Awaitable[Any]], questions: Sequence[Any]
) -> str:
    """One after the other; what stops one of them stops those after it."""
    done: list[str] = []
    for question in questions:
        complete(question, key, form)
        try:
            answer = await patiently(partial(ask, request, method, question, PATIENCE_SECONDS))
        except grpc.aio.AioRpcError as error:
            said = _said(error)
            if not said:
                raise
            return of_meeting(key, done=",".join(done), said=said)
        done.append(answer.act.act_id)
    return of_meeting(key, done=",".join(done))


def complete(question: Any, key: MeetingKey, form: Any) -> None:
    """The order: another content is another request, for who goes back must not get the first answer again."""
    question.order.meeting.CopyFrom(key)
    question.order.reason = text_of(form, "reason", LONGEST_REASON)
    content = question.DESCRIPTOR.full_name.encode() + question.SerializeToString(deterministic=True)
    body = hashlib.sha256(content).hexdigest()[:16]
    question.order.request_id = f"{nonce_in(form)}-{body}"


async def patiently(asking: Callable[[], Awaitable[A]]) -> A:
    """Asks again while the same is under way: the answer comes to be the same. Raises grpc.aio.AioRpcError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await asking()
        except grpc.aio.AioRpcError as error:
            problem = read(error)
            if problem.code is not grpc.StatusCode.ABORTED or time.monotonic() > deadline:
                raise
            await asyncio.sleep(max(problem.retry_seconds, 0.2))


def _said(error: grpc.aio.AioRpcError) -> str:
    """As the address says it; "" for what is none of these."""
    problem = read(error)
    if problem.reason == NOT_RUNNING:
        return "not-running"
    if problem.reason == NO_VERB or problem.code is grpc.StatusCode.UNIMPLEMENTED:
        return "no-verb"
    return "under-way" if problem.code is grpc.StatusCode.ABORTED else ""


def led(address: str) -> Response:
    return RedirectResponse(address, 303)


def in_parts(targets: Sequence[pb.Target]) -> list[Sequence[pb.Target]]:
    return [targets[start : start + AT_ONCE] for start in range(0, len(targets), AT_ONCE)]


def settings_in(form: Any) -> api.RunningSettings:
    """What was chosen; what was not stays as it is."""
    settings = api.RunningSettings()
    for field in api.RunningSettings.DESCRIPTOR.fields:
        value = text_of(form, field.name, 40)
        if field.enum_type and value in field.enum_type.values_by_name:
            setattr(settings, field.name, field.enum_type.values_by_name[value].number)
        elif not field.enum_type and value in ("on", "off"):
            setattr(settings, field.name, value == "on")
    return settings
