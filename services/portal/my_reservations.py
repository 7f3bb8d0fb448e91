"""My reservations: all of them, one with its history, changing, ending and cancelling it, its calendar file."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import grpc
import segno
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.notifier.v1 import notifier_service_pb2 as notices
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.platform.clock import to_timestamp
from services.portal import history, meetings, my_meetings, policies
from services.portal.booking import BookingForm, read_typed, with_interval
from services.portal.calendars import MEDIA_TYPE, to_file
from services.portal.calls import Problem, ask, may, now_of, person_of, read, services_of, text_of
from services.portal.meetings import mark_of
from services.portal.rendering import reader_of, render
from services.portal.times import Reader
from services.portal.verdicts import CORRECTABLE, IN_DOUBT, MADE, MAKING_SECONDS, live_verdict, said

TABS = {
    "upcoming": (
        pb.RESERVATION_STATE_PENDING_APPROVAL,
        pb.RESERVATION_STATE_CONFIRMED,
        pb.RESERVATION_STATE_IN_USE,
    ),
    "past": (
        pb.RESERVATION_STATE_COMPLETED,
        pb.RESERVATION_STATE_NO_SHOW,
        pb.RESERVATION_STATE_DECLINED,
        pb.RESERVATION_STATE_EXPIRED,
    ),
    "cancelled": (pb.RESERVATION_STATE_CANCELLED,),
}
UNCHANGEABLE = (*CORRECTABLE, grpc.StatusCode.ABORTED)
TO_COME = TABS["upcoming"]
OPEN = (pb.RESERVATION_STATE_PENDING_APPROVAL, pb.RESERVATION_STATE_CONFIRMED)
PAGE = 30
MOST_MAILS = 100


@dataclass(frozen=True, slots=True)
class WayIn:
    """How others come to a meeting that was made with its reservation; "" is no link, or none that one may see."""

    invitation: str
    join_url: str


async def show_all(request: Request) -> Response:
    tab = request.query_params.get("tab", "upcoming")
    tab = tab if tab in TABS else "upcoming"
    question = api.ListReservationsRequest(
        account_id=person_of(request).account_id,
        states=TABS[tab],
        page_size=500 if tab == "upcoming" else PAGE,
        page_token=request.query_params.get("page", "")[:500],
    )
    listed = await ask(request, services_of(request).booking.ListReservations, question)
    found = list(listed.reservations)
    if tab == "upcoming":
        found.reverse()
    return render(request, "reservations.html", tab=tab, reservations=found, following=listed.next_page_token)


async def get(request: Request) -> pb.Reservation:
    """Raises grpc.aio.AioRpcError: NOT_FOUND also for another's."""
    question = api.GetReservationRequest(reservation_id=str(request.path_params["reservation_id"]))
    return (await ask(request, services_of(request).booking.GetReservation, question)).reservation


async def show_one(request: Request) -> Response:
    record = await get(request)
    question = api.GetDecisionRequest(decision_id=record.decision_id)
    decided, happened, written, again, made = await asyncio.gather(
        ask(request, services_of(request).booking.GetDecision, question),
        history.read(request, record),
        mails(request, record),
        undo(request, record),
        made_meeting(request, record),
    )
    decision = decided.decision
    return render(
        request,
        "reservation.html",
        record=record,
        new="new" in request.query_params,
        cancelled=request.query_params.get("cancelled", ""),
        changed="changed" in request.query_params,
        history=happened,
        free_rooms=decision.facts.get("free_room_count", 0),
        quotas=decision.quotas,
        mails=written,
        qr=segno.make(_address(request, record)).svg_data_uri(scale=4),
        undo=again,
        made=made,
        mark=mark_of,
        own=record.organizer.account_id == person_of(request).account_id,
        open=record.state in OPEN,
        running=record.state == pb.RESERVATION_STATE_IN_USE,
    )


def _address(request: Request, record: pb.Reservation) -> str:
    return str(request.url.replace(path=f"/reservations/{record.reservation_id}", query="", fragment=""))


async def mails(request: Request, record: pb.Reservation) -> list[Any]:
    """Support sees all deliveries, others the mails to themselves."""
    question = notices.ListDeliveriesRequest(reservation_id=record.reservation_id, page_size=MOST_MAILS)
    return list((await ask(request, services_of(request).notifier.ListDeliveries, question)).deliveries)


async def made_meeting(request: Request, record: pb.Reservation) -> WayIn | None:
    """The one that was made with it, as long as it is to take place."""
    if not record.meeting.made_here or record.state not in TO_COME:
        return None
    link, reader, planned = "", reader_of(request), record.meeting
    if may(request, my_meetings.PERMISSION):
        try:
            link = my_meetings.link_in(await meetings.get(request, planned.key))
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                raise
            # whoever cannot answer must not take the page away
    known = planned if planned.HasField("start_time") else record
    text = my_meetings.invitation(record.subject, known.start_time, known.end_time, record.meeting_code, reader, link)
    return WayIn(text, link)


async def undo(request: Request, record: pb.Reservation) -> BookingForm | None:
    """The same reservation once more, while it would still be confirmed; asked as the form would ask for it. Not of
    one whose meeting was made with it: that was cancelled, too."""
    mine = record.organizer.account_id == person_of(request).account_id
    ahead = record.start_time.seconds * 1000 > now_of(request)
    if not (record.state == pb.RESERVATION_STATE_CANCELLED and mine and ahead) or record.meeting.made_here:
        return None
    typed = BookingForm.of(record, reader_of(request))
    question = api.CheckReservationRequest(request=typed.request())
    try:
        answer = await ask(request, services_of(request).booking.CheckReservation, question)
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise
        return None  # whoever cannot answer must not take the page away
    return typed if answer.outcome == pb.OUTCOME_CONFIRMED else None


async def ask_cancel(request: Request) -> Response:
    record = await get(request)
    if record.state not in OPEN:
        return RedirectResponse(f"/reservations/{record.reservation_id}", 303)
    organizer, person = record.organizer, person_of(request)
    roles = sorted(person.roles) if organizer.account_id == person.account_id else ()  # another's are not told
    question = pdp.DecideRequest(
        action=pdp.ACTION_CANCEL,
        now=to_timestamp(now_of(request)),
        account=pdp.Account(account_id=organizer.account_id, department=organizer.department, roles=roles),
        subject=pdp.Subject(
            start_time=record.start_time,
            end_time=record.end_time,
            participant_count=record.participant_count,
            former_starts=record.former_starts,
        ),
    )
    decision = (await ask(request, services_of(request).policy.Decide, question)).decision
    return render(request, "cancel.html", record=record, returned=not decision.rules)


async def cancel(request: Request) -> Response:
    form = await request.form()
    reservation_id = str(request.path_params["reservation_id"])
    question = api.CancelReservationRequest(reservation_id=reservation_id, note=text_of(form, "note"))
    answer = await ask(request, services_of(request).booking.CancelReservation, question)
    kept = "returned" if answer.quota_returned else "kept"
    return RedirectResponse(f"/reservations/{answer.reservation.reservation_id}?cancelled={kept}", 303)


async def ask_change(request: Request) -> Response:
    record = await get(request)
    if record.state not in OPEN:
        return RedirectResponse(f"/reservations/{record.reservation_id}", 303)
    typed = with_interval(
        BookingForm(subject=record.subject, people=str(record.participant_count)),
        record.start_time,
        record.end_time,
        reader_of(request),
    )
    return await _change_page(request, record, typed)


async def _change_page(
    request: Request, record: pb.Reservation, typed: BookingForm, status: int = 200, refused: Problem | None = None
) -> Response:
    shown = said(typed, problem=refused) if refused else await _verdict(request, record, typed)
    return render(request, "change.html", status, record=record, refused=refused, reasons=[], **shown)


async def check_change(request: Request) -> Response:
    """As `reserving.check`, for a change."""
    record, form = await get(request), await request.form()
    typed = _typed(form, record, reader_of(request))
    if "hx-request" not in request.headers:
        return await _change_page(request, record, typed)
    again = f"/reservations/{record.reservation_id}/change/check"
    return await live_verdict(request, _verdict(request, record, typed), again)


async def _verdict(request: Request, record: pb.Reservation, typed: BookingForm) -> dict[str, Any]:
    """What would be said to the change; nothing as long as nothing is to change."""
    if typed.faults or not typed.between or not _differs(record, typed):
        return said(typed)
    question = api.CheckUpdateRequest(request=_to_change(typed, record))
    try:
        answer, (_, policy) = await asyncio.gather(
            ask(request, services_of(request).booking.CheckUpdate, question), policies.in_force(request)
        )
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code not in UNCHANGEABLE:
            raise
        return said(typed, problem=problem)
    return said(typed, answer, policies.lines(policy, answer.decision, reader_of(request).language))


def _differs(record: pb.Reservation, typed: BookingForm) -> bool:
    now = (record.start_time, record.end_time), str(record.participant_count)
    return (typed.between, typed.people) != now


def _typed(form: Any, record: pb.Reservation, reader: Reader) -> BookingForm:
    """As for a new one, but subject and meeting stay, and a start that has passed may stay too: booking says so."""
    typed = read_typed({**form, "subject": record.subject}, reader)
    faults = {name: fault for name, fault in typed.faults.items() if name != "start" or typed.between is None}
    return replace(typed, meeting_code=record.meeting_code, faults=faults)


async def change(request: Request) -> Response:
    record, form = await get(request), await request.form()
    typed = _typed(form, record, reader_of(request))
    if typed.faults:
        return await _change_page(request, record, typed, 422)
    try:
        question = _to_change(typed, record, text_of(form, "version", 18))
        seconds = MAKING_SECONDS if record.meeting.made_here else None
        answer = await ask(request, services_of(request).booking.UpdateReservation, question, seconds)
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code not in UNCHANGEABLE and problem.reason != IN_DOUBT:
            raise
        return await _change_page(request, record, typed, 503 if problem.away else 409, problem)
    if answer.outcome in MADE:
        return RedirectResponse(f"/reservations/{record.reservation_id}?changed=1", 303)
    _, policy = await policies.in_force(request)
    lines = policies.lines(policy, answer.decision, reader_of(request).language)
    # the answer to a change tells all that a check of it would
    shown = said(typed, api.CheckUpdateResponse(outcome=answer.outcome, decision=answer.decision), lines)
    reasons = policies.deciding(lines, answer.decision)
    return render(request, "change.html", record=answer.reservation, refused=None, reasons=reasons, **shown)


def _to_change(typed: BookingForm, record: pb.Reservation, version: str = "") -> api.UpdateReservationRequest:
    """Only without faults."""
    assert typed.between  # noqa: S101 - no faults
    return api.UpdateReservationRequest(
        reservation_id=record.reservation_id,
        start_time=typed.between[0],
        end_time=typed.between[1],
        participant_count=int(typed.people),
        version=int(version) if version.isascii() and version.isdigit() else 0,
    )


async def end(request: Request) -> Response:
    reservation_id = str(request.path_params["reservation_id"])
    question = api.EndReservationRequest(reservation_id=reservation_id)
    answer = await ask(request, services_of(request).booking.EndReservation, question)
    return RedirectResponse(f"/reservations/{answer.reservation.reservation_id}", 303)


async def calendar(request: Request) -> Response:
    record = await get(request)
    body = to_file(record, request.app.state.calendar_domain)
    name = f"yunhui-{record.meeting_code}.ics"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(body, media_type=MEDIA_TYPE, headers=headers)
