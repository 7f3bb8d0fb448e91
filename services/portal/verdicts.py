"""What the rules say to a booking: before it is asked for, as it is typed, and when it was refused."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import Response
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as lookups

from services.portal import policies
from services.portal.booking import BookingForm
from services.portal.calls import Problem, ask, read, services_of
from services.portal.rendering import reader_of, render, sentence
from services.portal.texts import LOOK_UPS

MADE = (pb.OUTCOME_CONFIRMED, pb.OUTCOME_PENDING_APPROVAL)
CORRECTABLE = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
)
MAKING_SECONDS = 30.0
"""The provider of a meeting that is made here is asked, too, and to undo it where it does not say what it did."""
IN_DOUBT = "MEETING_IN_DOUBT"
"""Its reason, when it was undone."""


async def look_up(request: Request, code: str) -> tuple[meeting_pb2.Meeting | None, str]:
    """The meeting, or why there is none, in the reader's language."""
    language, question = reader_of(request).language, lookups.LookUpMeetingRequest(meeting_code=code)
    try:
        answer = await ask(request, services_of(request).meetings.LookUpMeeting, question)
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED):
            raise
        return None, sentence(read(error).detail(language), language)
    if answer.outcome == lookups.LOOK_UP_OUTCOME_FOUND:
        return answer.meeting, ""
    return None, LOOK_UPS.get(answer.outcome, LOOK_UPS[lookups.LOOK_UP_OUTCOME_NOT_FOUND]).to(language)


async def verdict(request: Request, typed: BookingForm, meeting: meeting_pb2.Meeting | None = None) -> dict[str, Any]:
    """What the templates say about a request that is not made yet: what would be said to it."""
    if typed.faults or not typed.people or not typed.between:
        return said(typed)
    question = typed.request()
    question.ClearField("request_id")
    try:
        answer, (_, policy) = await asyncio.gather(
            ask(request, services_of(request).booking.CheckReservation, api.CheckReservationRequest(request=question)),
            policies.in_force(request),
        )
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code not in CORRECTABLE:
            raise
        return said(typed, problem=problem)
    if answer.alternatives and meeting is None and typed.new is None:
        meeting, _ = await look_up(request, typed.meeting_code)
    lines = policies.lines(policy, answer.decision, reader_of(request).language)
    return said(typed, answer, lines, alternatives=offers(answer.alternatives, meeting))


def said(
    typed: BookingForm,
    answer: api.CheckReservationResponse | api.CheckUpdateResponse | None = None,
    lines: Sequence[policies.Line] = (),
    *,
    alternatives: Sequence[tuple[pb.Alternative, bool]] = (),
    problem: Problem | None = None,
) -> dict[str, Any]:
    """What _verdict.html shows; `problem` stands in the way of any decision."""
    return {"typed": typed, "answer": answer, "lines": lines, "alternatives": alternatives, "problem": problem}


async def live_verdict(request: Request, asked: Awaitable[Mapping[str, Any]], again: str) -> Response:
    """The part of a page that follows what is typed; asked for again at the address `again` when a service is away."""
    try:
        return render(request, "_verdict.html", live=True, **await asked)
    except grpc.aio.AioRpcError as error:
        if not read(error).away and error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return render(request, "_away.html", again=again)


async def refused(request: Request, typed: BookingForm, answer: api.CreateReservationResponse) -> Response:
    _, policy = await policies.in_force(request)
    meeting = None if typed.new else (await look_up(request, typed.meeting_code))[0]
    lines = policies.lines(policy, answer.decision, reader_of(request).language)
    return render(
        request,
        "refusal.html",
        typed=replace(typed, nonce=BookingForm().nonce),
        answer=answer,
        lines=lines,
        reasons=policies.deciding(lines, answer.decision),
        alternatives=offers(answer.alternatives, meeting),
        redirected=answer.outcome == pb.OUTCOME_REDIRECTED,
    )


def offers(alternatives: Any, meeting: meeting_pb2.Meeting | None) -> list[tuple[pb.Alternative, bool]]:
    """Each with whether the meeting takes place then: if not, it has to be moved first."""
    return [(each, meeting is None or _overlaps(meeting, each)) for each in alternatives]


def _overlaps(meeting: meeting_pb2.Meeting, other: pb.Alternative) -> bool:
    return any(
        each.start_time.seconds < other.end_time.seconds and other.start_time.seconds < each.end_time.seconds
        for each in meeting.occurrences
        if not each.cancelled
    )
