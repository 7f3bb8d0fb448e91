"""What a member has to do with the pool: how much of each quota is used, what closes booking, what comes next."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from starlette.requests import Request
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.portal.calls import ask, read, services_of
from services.portal.my_reservations import TABS

VIEW = "reservations.view_all"
SHOWN = 10


@dataclass(frozen=True, slots=True)
class BookingsOfMember:
    """`coming` are the first ones, in the order in which they start; there are `more`. Whom booking has never seen has
    no quotas."""

    standing: pb.Standing
    coming: Sequence[pb.Reservation]
    more: bool


async def look(request: Request, account_id: str) -> BookingsOfMember | None:
    """None where booking is away: the page stands without it. Raises grpc.aio.AioRpcError."""
    booking = services_of(request).booking
    wanted = api.ListReservationsRequest(account_id=account_id, states=TABS["upcoming"], page_size=500)
    try:
        asked, listed = await asyncio.gather(
            ask(request, booking.GetStanding, api.GetStandingRequest(account_id=account_id)),
            ask(request, booking.ListReservations, wanted),
        )
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.code is grpc.StatusCode.NOT_FOUND:
            return BookingsOfMember(pb.Standing(account_id=account_id), (), more=False)
        if problem.away:
            return None
        raise
    coming = list(reversed(listed.reservations))
    return BookingsOfMember(asked.standing, coming[:SHOWN], len(coming) > SHOWN)
