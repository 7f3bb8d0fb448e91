"""What tests of meetings that are made with their reservations share."""

from typing import Any, cast

import pytest
from google.rpc import error_details_pb2
from sqlmodel import select
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.booking import makings, models, states
from services.booking.making_client import MakingClient
from services.meetings.models import SimulatedMeeting
from services.meetings.provider import MeetingState
from services.platform.clock import HOUR, to_timestamp
from services.platform.data.rows import open_session
from services.platform.serving import errors, rpc
from tests.booking.builders import booker, create_request
from tests.booking.conftest import Booking
from tests.booking.gateway import World
from tests.booking.test_admission import rows

LEASE = makings.LEASE


class DiedError(BaseException):
    """Nothing is done after it, as after kill -9."""


def request(**fields: Any) -> api.CreateReservationRequest:
    options = meeting_pb2.MeetingOptions(**fields.pop("options", {}))
    return create_request(**{"meeting_code": "", "request_id": "once", "new_meeting": options, **fields})


async def submit(booking: Booking, caller: str = "booker", *roles: str, **fields: Any) -> api.CreateReservationResponse:
    created: api.CreateReservationResponse
    created = await ask(booking, "CreateReservation", request(**fields), caller, *roles)
    return created


async def ask(booking: Booking, method: str, asked: Any, caller: str = "booker", *roles: str) -> Any:
    rpc._principal.set(booker(caller, *roles))
    return await getattr(booking.service, method)(asked, cast(Any, None))


async def made(booking: Booking, **fields: Any) -> pb.Reservation:
    reply = await submit(booking, **fields)
    assert reply.HasField("reservation")
    return reply.reservation


async def refused(booking: Booking, method: str, asked: Any) -> tuple[str, str]:
    """The code, and the reason or the field."""
    with pytest.raises(errors.RpcError) as caught:
        await ask(booking, method, asked)
    for detail in caught.value.details:
        if isinstance(detail, error_details_pb2.ErrorInfo):
            return caught.value.code.name, detail.reason
    return caught.value.code.name, str(caught.value).partition(":")[0]


async def move(booking: Booking, record: pb.Reservation, start: int, **more: Any) -> api.UpdateReservationResponse:
    moved: api.UpdateReservationResponse = await ask(booking, "UpdateReservation", to_move(record, start, **more))
    return moved


def to_move(record: pb.Reservation, start: int, **more: Any) -> api.UpdateReservationRequest:
    return api.UpdateReservationRequest(
        reservation_id=record.reservation_id,
        start_time=to_timestamp(start),
        end_time=to_timestamp(start + HOUR),
        **more,
    )


async def settle(booking: Booking, later: int = 0) -> None:
    """Whoever sees to what is owed has had its turn, so much later (ms)."""
    assert booking.settlement
    booking.clock.time += later
    await booking.settlement.catch_up()


async def meetings_there(there: World) -> dict[str, tuple[int, int]]:
    """Their times, by id, of those that are not cancelled."""

    def work(connection: Any) -> list[str]:
        with open_session(connection) as session:
            return [str(each.id) for each in session.exec(select(SimulatedMeeting))]

    found = [await there.provider.get(each, None) for each in await there.database.read(work)]
    return {
        each.meeting_id: (each.occurrences[0].start_time, each.occurrences[0].end_time)
        for each in found
        if each.state is not MeetingState.CANCELLED
    }


async def reserved(booking: Booking) -> dict[str, tuple[int, int]]:
    """The times of live reservations, by the id of their meeting."""
    return {
        row["meeting_id"]: (row["start_time"], row["end_time"])
        for row in await rows(booking.database, models.RESERVATION)
        if row["state"] in states.DEADLINES
    }


async def in_order(booking: Booking, there: World, number: int) -> None:
    """So many meetings, each with its reservation, at the same time, and nothing is owed."""
    assert await meetings_there(there) == await reserved(booking)
    assert len(await reserved(booking)) == number
    assert await rows(booking.database, models.OWED_MAKING) == []


def asking(booking: Booking) -> MakingClient:
    """Whoever asks the gateway for it."""
    assert booking.meetings
    return booking.meetings.makings


def dies(monkeypatch: pytest.MonkeyPatch, thing: Any, name: str, *, before: bool) -> None:
    """Whoever calls it the next time, before it does anything or when it is done."""
    work = getattr(thing, name)

    async def die(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(thing, name, work)
        if not before:
            await work(*given, **named)
        raise DiedError

    monkeypatch.setattr(thing, name, die)
