"""My standing: how much of each quota is used, violations with their evidence, and whether booking is open."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.portal import policies
from services.portal.calls import ask, services_of
from services.portal.rendering import reader_of, render


@dataclass(frozen=True, slots=True)
class Evidence:
    violation: pb.Violation
    reservation: pb.Reservation
    lines: list[policies.Line]


async def show(request: Request) -> Response:
    return await page(request, "", support=False)


async def page(request: Request, account_id: str, *, support: bool) -> Response:
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
        standing=standing,
        found=found,
        policy=policy,
        support=support,
        rules=[rule for rule in policy.rules if "NO_SHOW" in rule.on],
    )


async def evidence(request: Request, violation: pb.Violation) -> Evidence:
    booking = services_of(request).booking
    about, decided = await asyncio.gather(
        ask(request, booking.GetReservation, api.GetReservationRequest(reservation_id=violation.reservation_id)),
        ask(request, booking.GetDecision, api.GetDecisionRequest(decision_id=violation.decision_id)),
    )
    lines = policies.fired_lines(decided.decision, reader_of(request).language)
    return Evidence(violation, about.reservation, lines)
