"""A meeting that was made with its reservation is where that is, whatever comes between."""

import asyncio
from typing import Any

import pytest
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import queries
from services.meetings.provider import AwayError, ProviderError, RateLimitedError
from services.platform.clock import HOUR, SECOND, to_timestamp
from services.platform.serving import errors, rpc
from tests.booking.builders import TEN, booker
from tests.booking.conftest import Booking
from tests.booking.gateway import World
from tests.booking.made_here.acts import (
    LEASE,
    DiedError,
    ask,
    asking,
    dies,
    in_order,
    made,
    meetings_there,
    move,
    refused,
    reserved,
    settle,
    submit,
    to_move,
)
from tests.booking.test_transitions import get


async def test_moved_with_its_reservation(booking: Booking, there: World) -> None:
    await there.publish(booking)
    record = await made(booking)
    reply = await move(booking, record, TEN + 2 * HOUR, request_id="moving", version=record.version)
    after = reply.reservation
    assert after.meeting.start_time == after.start_time == to_timestamp(TEN + 2 * HOUR)
    assert after.meeting.made_here
    assert await move(booking, record, TEN + 2 * HOUR, request_id="moving", version=record.version) == reply
    await in_order(booking, there, 1)
    await there.delivered()
    assert await get(booking, record) == after


async def test_a_change_that_is_refused_moves_nothing(booking: Booking, there: World) -> None:
    record = await made(booking)
    asked = to_move(record, TEN + 2 * HOUR)
    asked.participant_count = 9000
    assert (await ask(booking, "UpdateReservation", asked)).outcome == pb.OUTCOME_DENIED
    await in_order(booking, there, 1)
    assert await ask(booking, "CheckUpdate", api.CheckUpdateRequest(request=to_move(record, TEN + HOUR)))
    await in_order(booking, there, 1)


async def test_more_people_need_no_other_meeting(booking: Booking, there: World) -> None:
    record = await made(booking)
    there.provider.away = True
    asked = api.UpdateReservationRequest(reservation_id=record.reservation_id, participant_count=20)
    assert (await ask(booking, "UpdateReservation", asked)).outcome == pb.OUTCOME_CONFIRMED


async def test_the_provider_does_not_move_it(booking: Booking, there: World) -> None:
    """Refused in its words, away, or nobody knows: the reservation stays, and the meeting comes back to it."""
    record = await made(booking)
    asked = to_move(record, TEN + 2 * HOUR)
    there.provider.instead = ProviderError("so nicht")
    assert await refused(booking, "UpdateReservation", asked) == ("FAILED_PRECONDITION", "MEETING_NOT_MOVED")
    await settle(booking)
    there.provider.instead = RateLimitedError("later")
    assert (await refused(booking, "UpdateReservation", asked))[0] == "UNAVAILABLE"
    there.provider.instead = None
    await settle(booking, LEASE)
    there.provider.afterwards = AwayError("cut off")
    assert (await refused(booking, "UpdateReservation", asked))[0] == "UNAVAILABLE"
    assert await meetings_there(there) != await reserved(booking)
    assert await refused(booking, "UpdateReservation", asked) == ("UNAVAILABLE", "MEETING_IN_DOUBT")
    there.provider.afterwards = None
    await settle(booking)
    await in_order(booking, there, 1)
    assert await get(booking, record) == record
    await move(booking, record, TEN + 2 * HOUR)
    await in_order(booking, there, 1)


@pytest.mark.parametrize(("name", "before"), [("move", True), ("move", False)])
async def test_whoever_dies_while_moving_is_put_right(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, name: str, *, before: bool
) -> None:
    """And until then nobody moves it elsewhere."""
    record = await made(booking)
    dies(monkeypatch, asking(booking), name, before=before)
    monkeypatch.setattr("services.booking.meeting_moves.Move.put_right", died)
    with pytest.raises(DiedError):
        await move(booking, record, TEN + 2 * HOUR)
    asked = to_move(record, TEN + 3 * HOUR)
    assert await refused(booking, "UpdateReservation", asked) == ("ABORTED", "MEETING_BEING_MOVED")
    await settle(booking, LEASE)
    await in_order(booking, there, 1)
    assert (await get(booking, record)).start_time == record.start_time


async def test_our_own_moves_are_no_news(booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the meeting is where it belongs nothing is shown of it; the event comes again."""
    await there.publish(booking)
    record = await made(booking)
    dies(monkeypatch, asking(booking), "move", before=False)
    monkeypatch.setattr("services.booking.meeting_moves.Move.put_right", died)
    with pytest.raises(DiedError):
        await move(booking, record, TEN + 2 * HOUR)
    await there.delivered(1)
    assert await get(booking, record) == record
    await settle(booking, LEASE)
    await there.delivered()
    assert await get(booking, record) == record


@pytest.mark.parametrize("between", ["another change", "a long pause", "all rooms taken"])
async def test_what_comes_between_moving_and_storing(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    """It is decided again, and moved again or back."""
    record = await made(booking)
    work = asking(booking).move
    for number in range(3):
        await submit(booking, f"other-{number}", request_id="known", start=TEN + 4 * HOUR)

    async def overtaken(*given: Any) -> Any:
        monkeypatch.setattr(asking(booking), "move", work)
        response = await work(*given)
        if between == "another change":
            fewer = api.UpdateReservationRequest(reservation_id=record.reservation_id, participant_count=11)
            await ask(booking, "UpdateReservation", fewer)
        if between == "a long pause":
            await settle(booking, LEASE)
        if between == "all rooms taken":
            for number, room in enumerate(("small-1", "small-2", "large-1")):
                other = await submit(booking, f"other-{number}", start=TEN + 2 * HOUR, room_id=room)
                assert other.HasField("reservation")
        rpc._principal.set(booker())
        return response

    monkeypatch.setattr(asking(booking), "move", overtaken)
    reply = await move(booking, record, TEN + 2 * HOUR)
    lost = between == "all rooms taken"
    assert (reply.outcome == pb.OUTCOME_DENIED) == lost
    assert (reply.reservation.start_time == to_timestamp(TEN + 2 * HOUR)) != lost
    await settle(booking)
    await in_order(booking, there, 7 if lost else 4)


async def died(_move: Any) -> None:
    """Does nothing any more."""


async def test_moved_and_cancelled_in_one_moment(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is owed last counts: it goes."""
    record = await made(booking)
    work = asking(booking).move

    async def overtaken(*given: Any) -> Any:
        response = await work(*given)
        cancelled = api.CancelReservationRequest(reservation_id=record.reservation_id)
        await ask(booking, "CancelReservation", cancelled)
        return response

    monkeypatch.setattr(asking(booking), "move", overtaken)
    said = await refused(booking, "UpdateReservation", to_move(record, TEN + 2 * HOUR))
    assert said == ("FAILED_PRECONDITION", "STATE")
    await settle(booking)
    await in_order(booking, there, 0)


async def test_moved_to_two_places_at_once(replicas: list[Booking], there: World) -> None:
    record = await made(replicas[0])
    asked = [move(replicas[number % 2], record, TEN + (number + 1) * HOUR) for number in range(4)]
    replies = await asyncio.gather(*asked, return_exceptions=True)
    assert any(isinstance(reply, api.UpdateReservationResponse) for reply in replies)
    assert all(isinstance(reply, api.UpdateReservationResponse | errors.RpcError) for reply in replies)
    await settle(replicas[0], LEASE + SECOND)
    await in_order(replicas[0], there, 1)


async def test_handed_over_it_stays_its_creators(booking: Booking, there: World) -> None:
    """And goes on being moved with its reservation."""
    record = await made(booking)
    await made(booking, request_id="known", start=TEN + 4 * HOUR)
    await submit(booking, "new", request_id="known", participant_count=9000)
    asked = api.HandOverReservationsRequest(account_id="booker", new_account_id="new", page_size=1)
    await ask(booking, "HandOverReservations", asked, "helper", "support")
    await ask(booking, "UpdateReservation", to_move(record, TEN + 2 * HOUR), "new")
    after = await booking.database.read(lambda c: queries.read_reservation(c, record.reservation_id))
    assert after
    assert (after.organizer.account_id, after.start_time) == ("new", to_timestamp(TEN + 2 * HOUR))
    assert (await there.provider.get(after.meeting.key.meeting_id, None)).creator == "booker"
    await in_order(booking, there, 3)
