"""The meeting made here, and its room reserved in the same step: one form, and one answer for both."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import grpc
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.booking.v1 import booking_service_pb2 as api

from services.portal import choosing, new_meeting
from services.portal.booking import BookingForm, read_typed
from services.portal.calls import Problem, ask, read, services_of
from services.portal.rendering import reader_of, render, sentence
from services.portal.times import ZONES
from services.portal.verdicts import CORRECTABLE, MADE, MAKING_SECONDS, live_verdict, refused, said, verdict

PATH = "/book/new"
CHECK, FOUND = f"{PATH}/check", f"{PATH}/found"
FIELDS: Mapping[str, str] = {
    "subject": "subject",
    "start_time": "start",
    "end_time": "start",
    "participant_count": "people",
    "room_id": "room_id",
    "ROOM_NOT_FOUND": "room_id",
}
"""Of the form, by booking's names for them, or by its reasons."""


async def show(request: Request) -> Response:
    """What was chosen among the free rooms comes along."""
    typed = read_typed(request.query_params, reader_of(request), check=False, new=True)
    return await _page(request, _without_secrets(typed))


def _without_secrets(typed: BookingForm) -> BookingForm:
    """No password is taken from an address: it would be in histories and logs."""
    return replace(typed, new=replace(typed.new, password="")) if typed.new else typed


async def check(request: Request) -> Response:
    """As `reserving.check`; also who was searched for, for a browser without JavaScript."""
    typed = read_typed(await request.form(), reader_of(request), new=True)
    if "hx-request" not in request.headers:
        return await _page(request, typed)
    return await live_verdict(request, verdict(request, _so_far(typed)), CHECK)


def _so_far(typed: BookingForm) -> BookingForm:
    """Whoever is still typing is not told of fields that they have not come to."""
    empty = {
        "subject": not typed.subject,
        "people": not typed.people,
        "start": not (typed.day and typed.start and typed.end),
    }
    return replace(typed, faults={name: fault for name, fault in typed.faults.items() if not empty.get(name)})


async def make(request: Request) -> Response:
    typed = read_typed(await request.form(), reader_of(request), new=True)
    if typed.faults:
        return await _page(request, typed, 422)
    create = services_of(request).booking.CreateReservation
    try:
        answer = await ask(request, create, typed.request(), seconds=MAKING_SECONDS)
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        # with a reason it is booking's answer that nothing was kept; without one nobody answered, and it is sent again
        if not (problem.code in CORRECTABLE or (problem.away and problem.reason)):
            raise
        return await _page(request, typed, 503 if problem.away else 409, problem)
    if answer.outcome in MADE:
        return RedirectResponse(f"/reservations/{answer.reservation.reservation_id}?new=1", 303)
    return await refused(request, typed, answer)


async def _page(request: Request, typed: BookingForm, status: int = 200, problem: Problem | None = None) -> Response:
    new = typed.new
    assert new  # noqa: S101 - this form is about nothing else
    rooms, searchable = await asyncio.gather(
        ask(request, services_of(request).booking.ListRooms, api.ListRoomsRequest()), choosing.is_open(request)
    )
    invitees, hosts = await asyncio.gather(
        choosing.choose(request, new.invitees, searchable=searchable),
        choosing.choose(request, new.hosts, searchable=searchable),
    )
    beside = _beside(request, problem)
    typed = replace(typed, faults={**typed.faults, **beside})
    return render(
        request,
        "making.html",
        status,
        rooms=[room for room in rooms.rooms if room.enabled],
        new=new,
        zones=ZONES,
        searchable=searchable,
        choices={"invitee": invitees, "host": hosts},
        switches=new_meeting.SWITCHES,
        unfolded=new.touched or bool(set(typed.faults) & set(new_meeting.FIELDS.values())),
        refused=problem,
        **(said(typed, problem=problem) if problem and not beside else await verdict(request, typed)),
    )


def _beside(request: Request, problem: Problem | None) -> dict[str, str]:
    """What the service has against a field, said there."""
    if problem is None:
        return {}
    places = (problem.field, problem.reason)
    name = new_meeting.field_of(problem.field) or next((FIELDS[each] for each in places if each in FIELDS), "")
    language = reader_of(request).language
    return {name: sentence(problem.detail(language), language)} if name else {}
