"""What becomes of a meeting that was made with its reservation when that ends."""

from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import models
from services.platform.clock import HOUR, MINUTE
from tests.booking.builders import TEN
from tests.booking.conftest import Booking
from tests.booking.gateway import World
from tests.booking.made_here.acts import ask, in_order, made, meetings_there, settle
from tests.booking.test_admission import rows
from tests.booking.test_transitions import get


async def test_cancelled_with_its_reservation(booking: Booking, there: World) -> None:
    record = await made(booking)
    await ask(booking, "CancelReservation", api.CancelReservationRequest(reservation_id=record.reservation_id))
    await settle(booking)
    await in_order(booking, there, 0)


async def test_while_the_provider_is_away_it_is_owed(booking: Booking, there: World) -> None:
    record = await made(booking)
    there.provider.away = True
    await ask(booking, "CancelReservation", api.CancelReservationRequest(reservation_id=record.reservation_id))
    for _ in range(4):
        await settle(booking, MINUTE)
    assert booking.settlement
    await booking.settlement.figures()
    assert len(await meetings_there_when_back(there)) == 1
    await settle(booking, 10 * MINUTE)
    await in_order(booking, there, 0)


async def meetings_there_when_back(there: World) -> dict[str, tuple[int, int]]:
    there.provider.away = False
    return await meetings_there(there)


async def test_all_that_is_coming_goes_with_its_meetings(booking: Booking, there: World) -> None:
    for number in range(2):
        await made(booking, request_id=f"r-{number}", start=TEN + 2 * number * HOUR)
    asked = api.CancelComingReservationsRequest(account_id="booker")
    await ask(booking, "CancelComingReservations", asked, "helper", "support")
    await settle(booking)
    await in_order(booking, there, 0)


async def test_declined_it_is_unmade(booking: Booking, there: World) -> None:
    """It stands while support thinks about it."""
    record = await made(booking, participant_count=120)
    assert record.state == pb.RESERVATION_STATE_PENDING_APPROVAL
    await in_order(booking, there, 1)
    declined = api.ResolveEscalationRequest(reservation_id=record.reservation_id, note="no")
    await ask(booking, "ResolveEscalation", declined, "helper", "support")
    await settle(booking)
    await in_order(booking, there, 0)


async def test_approved_it_stays(booking: Booking, there: World) -> None:
    record = await made(booking, participant_count=120)
    approved = api.ResolveEscalationRequest(reservation_id=record.reservation_id, approve=True)
    await ask(booking, "ResolveEscalation", approved, "helper", "support")
    await settle(booking)
    await in_order(booking, there, 1)


async def test_expired_it_is_unmade(booking: Booking, there: World) -> None:
    record = await made(booking, participant_count=120)
    booking.clock.time = TEN
    await booking.deadlines.catch_up()
    assert (await get(booking, record)).state == pb.RESERVATION_STATE_EXPIRED
    await settle(booking)
    await in_order(booking, there, 0)


async def test_a_meeting_that_was_cancelled_takes_its_reservation_along(booking: Booking, there: World) -> None:
    """In the meeting client: nothing is owed."""
    await there.publish(booking)
    record = await made(booking)
    await there.provider.cancel(record.meeting_code, "booker")
    await there.delivered()
    booking.clock.time = TEN - HOUR
    assert booking.checks
    for _ in range(4):
        await booking.deadlines.catch_up()
        await booking.checks.settle()
    assert (await get(booking, record)).state == pb.RESERVATION_STATE_CANCELLED
    await in_order(booking, there, 0)


async def test_a_no_show_keeps_its_meeting(booking: Booking, there: World) -> None:
    """It may still take place, without its room."""
    record = await made(booking)
    booking.clock.time = TEN + 30 * MINUTE
    assert booking.checks
    for _ in range(4):
        await booking.deadlines.catch_up()
        await booking.checks.settle()
    assert (await get(booking, record)).state == pb.RESERVATION_STATE_NO_SHOW
    assert await rows(booking.database, models.OWED_MAKING) == []
    assert len(await meetings_there(there)) == 1
