"""Booking a room: step 1 asks for the meeting's number, step 2 for the time, and then comes the answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import grpc
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.contracts import invitations
from services.platform.text.messages import message
from services.portal.booking import BookingForm, carried, read_typed, with_interval
from services.portal.calls import Problem, ask, person_of, read, services_of
from services.portal.rendering import reader_of, render
from services.portal.times import Reader
from services.portal.verdicts import CORRECTABLE, MADE, live_verdict, look_up, refused, said, verdict

NEW = "/book/new"
"""Where the meeting is made, too."""
SEVERAL = message("This holds the numbers of several meetings. Which one is meant?")


async def ask_number(request: Request) -> Response:
    """Step 1. What was chosen among the free rooms comes along."""
    typed = read_typed(request.query_params, reader_of(request), check=False)
    services = services_of(request)
    upcoming = api.ListReservationsRequest(
        account_id=person_of(request).account_id,
        states=[pb.RESERVATION_STATE_CONFIRMED, pb.RESERVATION_STATE_IN_USE],
        page_size=100,
    )
    listed = await ask(request, services.booking.ListReservations, upcoming)
    return await _step_one(request, typed, following=list(reversed(listed.reservations))[:2])


async def find(request: Request) -> Response:
    """From what was pasted to step 2. A form, for an invitation holds a password, which is not for addresses."""
    typed = read_typed(await request.form(), reader_of(request), check=False)
    if len(invitations.numbers(typed.meeting_code)) != 1:
        return await _number_again(request, typed)
    return RedirectResponse(f"/book?{carried(typed)}", 303)


async def show_meeting(request: Request) -> Response:
    """Step 2 with the meeting's own times, unless others came along."""
    typed = read_typed(request.query_params, reader_of(request), check=False)
    if not any(character.isdigit() for character in typed.meeting_code):
        return RedirectResponse("/", 303)
    return await _step_two(request, typed, propose=True)


async def check(request: Request) -> Response:
    """The rules beside what is typed; the whole page for a browser without JavaScript."""
    typed = read_typed(await request.form(), reader_of(request))
    if "hx-request" not in request.headers:
        return await _step_two(request, typed)
    return await live_verdict(request, verdict(request, typed), "/book/check")


async def reserve(request: Request) -> Response:
    typed = read_typed(await request.form(), reader_of(request))
    if typed.faults:
        return await _step_two(request, typed, status=422)
    try:
        answer = await ask(request, services_of(request).booking.CreateReservation, typed.request())
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code not in CORRECTABLE:
            raise
        return await _step_two(request, typed, status=409, problem=problem)
    if answer.outcome in MADE:
        return RedirectResponse(f"/reservations/{answer.reservation.reservation_id}?new=1", 303)
    return await refused(request, typed, answer)


async def _step_two(
    request: Request,
    typed: BookingForm,
    *,
    propose: bool = False,
    status: int = 200,
    problem: Problem | None = None,
) -> Response:
    (meeting, fault), rooms = await asyncio.gather(
        look_up(request, typed.meeting_code),
        ask(request, services_of(request).booking.ListRooms, api.ListRoomsRequest()),
    )
    if meeting is None:
        return await _number_again(request, typed, fault)
    reader = reader_of(request)
    occurrences = to_come(meeting, reader)
    if propose:
        typed = proposed(typed, meeting, occurrences, reader)
    return render(
        request,
        "meeting.html",
        status,
        meeting=meeting,
        occurrences=occurrences,
        rooms=[room for room in rooms.rooms if room.enabled],
        refused=problem,
        **(said(typed, problem=problem) if problem else await verdict(request, typed, meeting)),
    )


async def _number_again(request: Request, typed: BookingForm, fault: str = "") -> Response:
    """Step 1 with what is wrong with the number, in the gateway's words; with a choice when there are several."""
    choices = invitations.numbers(typed.meeting_code)
    if len(choices) > 1:
        fault = SEVERAL.to(reader_of(request).language)
    elif not fault:
        _, fault = await look_up(request, typed.meeting_code)
    return await _step_one(request, typed, 404, choices if len(choices) > 1 else [], fault)


async def _step_one(
    request: Request,
    typed: BookingForm,
    status: int = 200,
    choices: Sequence[str] = (),
    fault: str = "",
    following: Sequence[pb.Reservation] = (),
) -> Response:
    asked = await ask(request, services_of(request).booking.GetStanding, api.GetStandingRequest())
    return render(
        request,
        "number.html",
        status,
        typed=typed,
        standing=asked.standing,
        following=following,
        choices=[(each, carried(replace(typed, meeting_code=each))) for each in choices],
        fault=fault,
        making=f"{NEW}?{chosen}" if (chosen := carried(replace(typed, meeting_code=""))) else NEW,
    )


def to_come(meeting: meeting_pb2.Meeting, reader: Reader) -> list[meeting_pb2.Occurrence]:
    """Those that are not over, at most eight."""
    now = reader.now.timestamp()
    return [each for each in meeting.occurrences if not each.cancelled and each.end_time.seconds > now][:8]


def proposed(
    typed: BookingForm, meeting: meeting_pb2.Meeting, occurrences: list[meeting_pb2.Occurrence], reader: Reader
) -> BookingForm:
    """The meeting's next time and its subject, where nothing else was said."""
    typed = replace(typed, subject=typed.subject or meeting.subject)
    if typed.between or not occurrences:
        return typed
    start, end = occurrences[0].start_time, occurrences[0].end_time
    return with_interval(typed, start, end, reader)
