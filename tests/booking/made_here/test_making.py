"""A meeting that is made with its reservation: both or neither, whatever the policy and the provider say."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import makings, models
from services.meetings.provider import AwayError, ProviderError, RateLimitedError, UnsupportedError
from services.platform.clock import HOUR, MINUTE
from services.platform.data.database import Database
from services.platform.serving import errors
from services.policy.decisions import Policy
from tests.booking.builders import TEN, create_request
from tests.booking.conftest import Booking, LocalPolicy, ManualClock
from tests.booking.gateway import World
from tests.booking.made_here.acts import ask, asking, in_order, made, meetings_there, refused, request, settle, submit
from tests.booking.test_admission import rows
from tests.booking.test_transitions import get, subjects


async def test_both_come_about(booking: Booking, there: World) -> None:
    """With what was asked for; the event tells it, and nothing is owed."""
    options = {"host_account_ids": ["host", "host"], "invitee_account_ids": ["guest"], "password": "1234"}
    record = await made(booking, subject="组会", options=options | {"waiting_room": True, "time_zone": "Asia/Tokyo"})
    assert (record.meeting.made_here, record.state) == (True, pb.RESERVATION_STATE_CONFIRMED)
    found = await there.provider.get(record.meeting.key.meeting_id, None)
    assert (found.subject, found.creator, found.hosts) == ("组会", "booker", ("booker", "host"))
    assert record.meeting_code == found.meeting_code
    assert await get(booking, record) == record
    assert await subjects(booking) == ["reservation.confirmed"]
    await in_order(booking, there, 1)


async def test_what_others_made_is_not_made_here(booking: Booking, there: World) -> None:
    meeting = await there.meeting()
    reply = await ask(booking, "CreateReservation", create_request(meeting_code=meeting.meeting_code))
    assert not reply.reservation.meeting.made_here
    await ask(
        booking, "CancelReservation", api.CancelReservationRequest(reservation_id=reply.reservation.reservation_id)
    )
    await settle(booking)
    assert list(await meetings_there(there)) == [meeting.meeting_id]


async def test_support_has_one_made_for_another(booking: Booking, there: World) -> None:
    await made(booking, request_id="known")
    reply = await submit(booking, "helper", "support", account_id="booker", start=TEN + 2 * HOUR)
    found = await there.provider.get(reply.reservation.meeting.key.meeting_id, None)
    assert found.creator == "booker"


async def test_the_same_request_again_asks_nobody(booking: Booking, there: World) -> None:
    first = await submit(booking)
    there.provider.away = True
    assert await submit(booking) == first
    assert there.provider.made == 1
    with pytest.raises(errors.RpcError, match="another body"):
        await submit(booking, subject="another")


async def test_the_same_request_twice_at_once_is_one(replicas: list[Booking], there: World) -> None:
    replies = await asyncio.gather(*(submit(replicas[number % 2]) for number in range(6)))
    assert all(reply == replies[0] for reply in replies)
    assert there.provider.made == 1
    await in_order(replicas[0], there, 1)


async def test_many_at_once_each_get_theirs(replicas: list[Booking], there: World) -> None:
    """Of one account and of several; what finds no room has no meeting."""
    asked = [
        submit(replicas[number % 2], f"host-{number % 4}", request_id=f"r-{number}", start=TEN + number % 3 * HOUR)
        for number in range(12)
    ]
    replies = await asyncio.gather(*asked)
    await settle(replicas[0])
    await in_order(replicas[0], there, sum(reply.HasField("reservation") for reply in replies))


async def test_a_password_does_not_change_the_request(booking: Booking, there: World) -> None:
    """A hash of it could be turned back."""
    first = await submit(booking, options={"password": "123456"})
    assert await submit(booking, options={"password": "654321"}) == first
    assert await submit(booking) == first


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"request_id": ""}, "request_id"),
        ({"meeting_code": "123456789"}, "new_meeting"),
        ({"subject": ""}, "subject"),
        *(({"options": {"password": word}}, "new_meeting.password") for word in ("123", "1234567", "12a4", "１２３４")),
        ({"options": {"time_zone": "Mars/Base"}}, "new_meeting.time_zone"),
        ({"options": {"host_account_ids": [f"h-{n}" for n in range(11)]}}, "new_meeting.host_account_ids"),
        ({"options": {"invitee_account_ids": [f"h-{n}" for n in range(301)]}}, "new_meeting.invitee_account_ids"),
        ({"options": {"invitee_account_ids": [""]}}, "new_meeting.invitee_account_ids"),
        ({"options": {"host_account_ids": ["x" * 129]}}, "new_meeting.host_account_ids"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(
    booking: Booking, there: World, fields: dict[str, Any], field: str
) -> None:
    assert await refused(booking, "CreateReservation", request(**fields)) == ("INVALID_ARGUMENT", field)
    assert there.provider.made == 0


@pytest.mark.parametrize(
    "options",
    [
        {"password": "1234"},
        {"password": "123456"},
        {"host_account_ids": [f"h-{n}" for n in range(10)]},
        {"invitee_account_ids": [f"h-{n}" for n in range(300)]},
    ],
)
async def test_what_is_just_possible(booking: Booking, there: World, options: dict[str, Any]) -> None:
    await made(booking, options=options)


async def test_a_check_needs_no_more_than_without_a_number(booking: Booking, there: World) -> None:
    asked = api.CheckReservationRequest(request=request(subject="", request_id=""))
    reply = await ask(booking, "CheckReservation", asked)
    assert (reply.outcome, reply.HasField("room")) == (pb.OUTCOME_CONFIRMED, True)
    assert there.provider.made == 0


async def test_a_series_makes_none(booking: Booking) -> None:
    asked = api.CreateReservationSeriesRequest(first=request(request_id=""), recurrence_rule="FREQ=DAILY;COUNT=2")
    said = await refused(booking, "CreateReservationSeries", asked)
    assert said == ("INVALID_ARGUMENT", "first.new_meeting")


async def test_where_no_meetings_are_looked_up_none_are_made(database: Database, policy: Policy) -> None:
    alone = Booking(database, LocalPolicy(policy), ManualClock())
    assert await refused(alone, "CreateReservation", request()) == ("INVALID_ARGUMENT", "new_meeting")
    checked = api.CheckReservationRequest(request=request())
    assert await refused(alone, "CheckReservation", checked) == ("INVALID_ARGUMENT", "new_meeting")
    await alone.stop()


async def test_what_is_refused_makes_nothing(booking: Booking, there: World) -> None:
    """The answer is stored as ever."""
    booking.clock.time = TEN - 29 * MINUTE
    first = await submit(booking)
    assert first.outcome == pb.OUTCOME_DENIED
    assert await submit(booking) == first
    assert there.provider.made == 0
    await in_order(booking, there, 0)


async def test_what_is_refused_only_then_is_unmade(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Allowed, then the room went to others while the meeting was made: the answer is stored, the meeting goes."""
    work = asking(booking).make

    async def overtaken(*given: Any) -> Any:
        monkeypatch.undo()
        response = await work(*given)
        for number, room in enumerate(("small-1", "small-2", "large-1")):
            other = await submit(booking, f"other-{number}", request_id="other", room_id=room)
            assert other.HasField("reservation")
        return response

    monkeypatch.setattr(asking(booking), "make", overtaken)
    reply = await submit(booking)
    assert reply.outcome == pb.OUTCOME_DENIED
    assert await submit(booking) == reply
    [owed] = await rows(booking.database, models.OWED_MAKING)
    assert owed["state"] == makings.UNMAKE
    await settle(booking)
    await in_order(booking, there, 3)


@pytest.mark.parametrize("instead", [ProviderError("so nicht"), UnsupportedError("so nicht")])
async def test_the_provider_refuses(booking: Booking, there: World, instead: ProviderError) -> None:
    """In its words; the same request may be sent again."""
    there.provider.instead = instead
    with pytest.raises(errors.RpcError, match="so nicht") as caught:
        await submit(booking)
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.reason == "FAILED_PRECONDITION MEETING_NOT_MADE"
    await settle(booking)
    await in_order(booking, there, 0)
    there.provider.instead = None
    await made(booking)
    await in_order(booking, there, 1)


@pytest.mark.parametrize("instead", [RateLimitedError("later"), AwayError("now what")])
async def test_the_provider_is_away(booking: Booking, there: World, instead: ProviderError) -> None:
    there.provider.instead = instead
    with pytest.raises(errors.RpcError) as caught:
        await submit(booking)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert any(isinstance(detail, error_details_pb2.RetryInfo) for detail in caught.value.details)
    there.provider.instead = None
    await made(booking)
    await settle(booking)
    await in_order(booking, there, 1)


async def test_an_answer_that_is_lost(booking: Booking, there: World) -> None:
    """It was made, and nobody knows: unmade, and the same request makes another."""
    there.provider.afterwards = AwayError("cut off")
    assert (await refused(booking, "CreateReservation", request()))[0] == "UNAVAILABLE"
    assert len(await meetings_there(there)) == 1
    there.provider.afterwards = None
    await made(booking)
    await settle(booking)
    await in_order(booking, there, 1)
    assert there.provider.made == 2


async def test_without_the_gateway_nothing_is_made(booking: Booking, there: World) -> None:
    first = await submit(booking, request_id="before")
    await there.stop()
    assert (await refused(booking, "CreateReservation", request(start=TEN + HOUR)))[0] == "UNAVAILABLE"
    assert await submit(booking, request_id="before") == first
    await there.start()
    await settle(booking, MINUTE)
    await in_order(booking, there, 1)
