"""My standing: how much of each quota is used, violations with their evidence, and whether booking is open."""

import asyncio
from dataclasses import dataclass

import grpc
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as policy_api

from services.portal import policies, texts
from services.portal.calls import ask, may, person_of, read, services_of, text_of
from services.portal.rendering import reader_of, render


@dataclass(frozen=True, slots=True)
class Evidence:
    """`own`: the reader has a part in the reservation."""

    violation: pb.Violation
    reservation: pb.Reservation
    lines: list[policies.Line]
    own: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """An objection that was not taken: what was typed, and why not."""

    violation_id: str = ""
    text: str = ""
    fault: str = ""


LONGEST_TYPED = 10_000
"""Characters kept of what was typed: more than an objection may have, so that nothing is cut off in silence."""


async def show(request: Request) -> Response:
    return await page(request, "", support=False)


async def object_to(request: Request) -> Response:
    violation_id = str(request.path_params["violation_id"])
    text = text_of(await request.form(), "text", LONGEST_TYPED)
    question = api.ObjectToViolationRequest(violation_id=violation_id, text=text)
    try:
        answer = await ask(request, services_of(request).booking.ObjectToViolation, question)
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        fault = texts.OBJECTION_TROUBLE.get("" if problem.field == "text" else problem.reason or "?")
        if fault is None:
            raise
        status = 422 if problem.field else 409
        return await page(request, "", support=False, refused=Refused(violation_id, text, fault), status=status)
    return RedirectResponse(f"/standing#{answer.violation.reservation_id}", 303)


async def page(
    request: Request, account_id: str, *, support: bool, refused: Refused = Refused(), status: int = 200
) -> Response:
    """One's own, or for support anybody's."""
    question = api.GetStandingRequest(account_id=account_id)
    asked, (_, policy) = await asyncio.gather(
        ask(request, services_of(request).booking.GetStanding, question), policies.in_force(request)
    )
    standing = asked.standing
    found = await asyncio.gather(*(evidence(request, each) for each in standing.violations[:20]))
    return render(
        request,
        "standing.html",
        status,
        standing=standing,
        found=found,
        policy=policy,
        support=support,
        objects=not support and may(request, "reservations.book"),
        refused=refused,
        rules=policy.rules(policy_api.ACTION_NO_SHOW),
    )


def is_own(request: Request, record: pb.Reservation) -> bool:
    """For the reader, or asked for by them: then somebody else decides about it, and about what came of it."""
    return person_of(request).account_id in (record.organizer.account_id, record.created_by)


async def evidence(request: Request, violation: pb.Violation) -> Evidence:
    booking = services_of(request).booking
    about, decided = await asyncio.gather(
        ask(request, booking.GetReservation, api.GetReservationRequest(reservation_id=violation.reservation_id)),
        ask(request, booking.GetDecision, api.GetDecisionRequest(decision_id=violation.decision_id)),
    )
    lines = policies.fired_lines(decided.decision, reader_of(request).language)
    return Evidence(violation, about.reservation, lines, is_own(request, about.reservation))
