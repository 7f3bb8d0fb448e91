"""Support's desk: escalations with all that is needed to decide, violations to waive, mails that failed."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.notifier.v1 import delivery_pb2
from yunhui.notifier.v1 import notifier_service_pb2 as notices
from yunhui.policy.v1 import decision_pb2

from services.portal import deliveries, policies, standing
from services.portal.calls import A, ask, may, person_of, services_of, text_of
from services.portal.rendering import reader_of, render
from services.portal.sign_in import local
from services.portal.tables import forbidden

SHOWN = 20
"""Cases and objections on one page: each takes two or three questions, of which an account may ask 600 a minute."""
DELIVERIES, MOST = 50, 500


@dataclass(frozen=True, slots=True)
class Case:
    """One escalation: who wants what, why it is here, until when, and the rooms that could be given.

    `own`: the reader asked for it or changed it, or it is for them; then somebody else answers.
    """

    record: pb.Reservation
    lines: list[policies.Line]
    quotas: list[decision_pb2.QuotaUsage]
    expires: Timestamp | None
    rooms: list[pb.Room]
    own: bool


@dataclass(frozen=True, slots=True)
class Dispute:
    """One open objection: the violation with its evidence, and how its account stands."""

    evidence: standing.Evidence
    standing: pb.Standing


async def show(request: Request) -> Response:
    """The desk; with the id of a case, that one comes first, for a mail has led to it."""
    if refused := forbidden(request, "reservations.manage"):
        return refused
    services = services_of(request)
    sees_mails, waives = may(request, deliveries.TABLE.permission), may(request, "violations.waive")
    pending = api.ListReservationsRequest(states=[pb.RESERVATION_STATE_PENDING_APPROVAL], page_size=MOST)
    failed = notices.ListDeliveriesRequest(states=[delivery_pb2.DELIVERY_STATE_FAILED], page_size=DELIVERIES)
    objected = api.ListObjectionsRequest(outcomes=[pb.OBJECTION_OUTCOME_OPEN], page_size=MOST)
    listed, failures, objections = await asyncio.gather(
        ask(request, services.booking.ListReservations, pending),
        ask(request, services.notifier.ListDeliveries, failed)
        if sees_mails
        else _none(notices.ListDeliveriesResponse()),
        ask(request, services.booking.ListObjections, objected) if waives else _none(api.ListObjectionsResponse()),
    )
    first = list(listed.reservations)[: -SHOWN - 1 : -1]  # listed by start, and those that expire soonest come last
    if wanted := request.path_params.get("reservation_id"):
        meant = [each for each in listed.reservations if each.reservation_id == wanted]
        if not meant:  # it was answered, or is not open: its own page says what came of it
            return RedirectResponse(f"/reservations/{quote(str(wanted), safe='')}", 303)
        first = meant + [each for each in first if each.reservation_id != wanted][: SHOWN - 1]
    cases = await asyncio.gather(*(case(request, record) for record in first))
    disputes = await asyncio.gather(*(dispute(request, each.violation) for each in objections.objections[:SHOWN]))
    return render(
        request,
        "support.html",
        cases=cases,
        case_count=len(listed.reservations),
        disputes=disputes,
        dispute_count=len(objections.objections),
        table=deliveries.TABLE if sees_mails else None,
        failures=failures.deliveries,
        more_failures=bool(failures.next_page_token),
        done=request.query_params.get("done", ""),
    )


async def _none(answer: A) -> A:
    """In place of what who looks may not ask."""
    return answer


async def dispute(request: Request, violation: pb.Violation) -> Dispute:
    account = api.GetStandingRequest(account_id=violation.account_id)
    evidence, answer = await asyncio.gather(
        standing.evidence(request, violation), ask(request, services_of(request).booking.GetStanding, account)
    )
    return Dispute(evidence, answer.standing)


async def case(request: Request, record: pb.Reservation) -> Case:
    booking = services_of(request).booking
    free = api.SearchAvailabilityRequest(
        start_time=record.start_time, end_time=record.end_time, participant_count=record.participant_count
    )
    decided, found = await asyncio.gather(
        ask(request, booking.GetDecision, api.GetDecisionRequest(decision_id=record.decision_id)),
        ask(request, booking.SearchAvailability, free),
    )
    whole = (record.start_time, record.end_time)
    rooms = [each.room for each in found.intervals if (each.start_time, each.end_time) == whole]
    lines = policies.fired_lines(decided.decision, reader_of(request).language)
    own = standing.is_own(request, record) or decided.actor == person_of(request).account_id
    return Case(record, lines, list(decided.decision.quotas), _expires(record, decided.decision), rooms, own)


def _expires(record: pb.Reservation, decision: decision_pb2.Decision) -> Timestamp | None:
    for each in decision.obligations:
        if each.kind == decision_pb2.Obligation.KIND_EXPIRE_ESCALATION:
            return Timestamp(seconds=record.start_time.seconds - each.seconds)
    return None


async def resolve(request: Request) -> Response:
    """Declining needs a reason, and is asked about once more."""
    form = await request.form()
    if text_of(form, "answer") != "approve" and not (text_of(form, "sure") and text_of(form, "note")):
        return await _ask_decline(request, form)
    question = api.ResolveEscalationRequest(
        reservation_id=str(request.path_params["reservation_id"]),
        approve=text_of(form, "answer") == "approve",
        note=text_of(form, "note"),
        room_id=text_of(form, "room_id", 64) or None,
        version=_number(text_of(form, "version", 18)),
    )
    await ask(request, services_of(request).booking.ResolveEscalation, question)
    return RedirectResponse(f"/support?done={'approved' if question.approve else 'declined'}", 303)


async def _ask_decline(request: Request, form: Any) -> Response:
    wanted = api.GetReservationRequest(reservation_id=str(request.path_params["reservation_id"]))
    found = await ask(request, services_of(request).booking.GetReservation, wanted)
    sent = bool(text_of(form, "sure"))
    values = {"record": found.reservation, "note": text_of(form, "note"), "missing": sent}
    return render(request, "decline.html", 422 if sent else 200, **values)


def _number(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() else 0


async def show_account(request: Request) -> Response:
    if refused := forbidden(request, "reservations.manage"):
        return refused
    account_id = request.query_params.get("account_id", "").strip()[:128]
    if not account_id:
        return RedirectResponse("/support", 303)
    return await standing.page(request, account_id, support=True)


async def waive(request: Request) -> Response:
    form = await request.form()
    violation_id = str(request.path_params["violation_id"])
    question = api.WaiveViolationRequest(violation_id=violation_id, note=text_of(form, "note"))
    answer = await ask(request, services_of(request).booking.WaiveViolation, question)
    return RedirectResponse(f"/support/accounts?account_id={quote(answer.violation.account_id, safe='')}", 303)


async def answer_objection(request: Request) -> Response:
    """Waiving the violation upholds the objection."""
    form, violation_id = await request.form(), str(request.path_params["violation_id"])
    note, booking = text_of(form, "note"), services_of(request).booking
    if upheld := text_of(form, "answer") == "waive":
        await ask(request, booking.WaiveViolation, api.WaiveViolationRequest(violation_id=violation_id, note=note))
    else:
        await ask(request, booking.DismissObjection, api.DismissObjectionRequest(violation_id=violation_id, note=note))
    return RedirectResponse(f"/support?done={'waived' if upheld else 'dismissed'}", 303)


async def resend(request: Request) -> Response:
    """From the desk or from the table, to which whoever pressed the button comes back as they left it."""
    back = text_of(await request.form(), "back")
    question = notices.ResendDeliveryRequest(delivery_id=str(request.path_params["delivery_id"]))
    await ask(request, services_of(request).notifier.ResendDelivery, question)
    return RedirectResponse(local(back) if back else "/support?done=resent", 303)
