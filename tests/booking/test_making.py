"""A meeting that is made with its reservation: both or neither, wherever somebody dies, and whatever the provider says.

On the real gateway with the simulated provider, over a real NATS server.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2
from sqlmodel import select
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.booking import makings, models, queries, states
from services.booking.makings import PATIENCE
from services.meetings.models import SimulatedMeeting
from services.meetings.provider import AwayError, MeetingState, ProviderError, RateLimitedError, UnsupportedError
from services.platform.clock import HOUR, MINUTE, SECOND, to_timestamp
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from services.platform.serving import errors, rpc
from services.policy.decisions import Policy
from tests.booking.builders import TEN, booker, create_request
from tests.booking.conftest import Booking, LocalPolicy, ManualClock
from tests.booking.gateway import World, world
from tests.booking.test_admission import rows
from tests.booking.test_transitions import get, subjects

LEASE = makings.LEASE


class DiedError(BaseException):
    """Nothing is done after it, as after kill -9."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def there(tmp_path: Path, clock: ManualClock) -> AsyncIterator[World]:
    async with world(tmp_path, clock) as made:
        yield made


@pytest.fixture
async def booking(database: Database, policy: Policy, clock: ManualClock, there: World) -> AsyncIterator[Booking]:
    replica = Booking(database, LocalPolicy(policy), clock, there.client)
    yield replica
    await replica.stop()


@pytest.fixture
async def replicas(database_url: str, booking: Booking, policy: Policy, there: World) -> AsyncIterator[list[Booking]]:
    other = Booking(Database(database_url), LocalPolicy(policy), booking.clock, there.client)
    yield [booking, other]
    await other.stop()
    other.database.close()


def request(**fields: Any) -> api.CreateReservationRequest:
    options = meeting_pb2.MeetingOptions(**fields.pop("options", {}))
    return create_request(**{"meeting_code": "", "request_id": "once", "new_meeting": options, **fields})


async def submit(booking: Booking, caller: str = "booker", *roles: str, **fields: Any) -> api.CreateReservationResponse:
    return await ask(booking, "CreateReservation", request(**fields), caller, *roles)


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


def dies(monkeypatch: pytest.MonkeyPatch, thing: Any, name: str, *, before: bool) -> None:
    """Whoever calls it the next time, before it does anything or when it is done."""
    work = getattr(thing, name)

    async def die(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(thing, name, work)
        if not before:
            await work(*given, **named)
        raise DiedError

    monkeypatch.setattr(thing, name, die)


# Made


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


# Refused


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
    assert booking.meetings
    work = booking.meetings.makings.make

    async def overtaken(*given: Any) -> Any:
        response = await work(*given)
        for number, room in enumerate(("small-1", "small-2", "large-1")):
            other = await submit(booking, f"other-{number}", request_id="other", room_id=room)
            assert other.HasField("reservation")
        return response

    monkeypatch.setattr(booking.meetings.makings, "make", lambda *given: (monkeypatch.undo(), overtaken(*given))[1])
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


# Somebody dies

STEPS: dict[str, tuple[Callable[[Booking], Any], str, bool]] = {
    "before it is noted": (lambda booking: booking.database, "write", True),
    "when it is noted": (lambda booking: booking.meetings.makings, "make", True),  # type: ignore[union-attr] # is there
    "when it is made": (lambda booking: booking.meetings.makings, "make", False),  # type: ignore[union-attr] # is there
    "before it is stored": (lambda booking: booking.admission, "create", True),
    "when it is stored": (lambda booking: booking.admission, "create", False),
}


@pytest.mark.parametrize("step", STEPS)
async def test_whoever_dies_leaves_both_or_neither(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nobody asks again."""
    of, name, before = STEPS[step]
    dies(monkeypatch, of(booking), name, before=before)
    with pytest.raises(DiedError):
        await submit(booking)
    stored = step == "when it is stored"
    await settle(booking, PATIENCE - 1)
    assert len(await meetings_there(there)) == (stored or step in ("when it is made", "before it is stored"))
    await settle(booking, 1)
    await in_order(booking, there, int(stored))


@pytest.mark.parametrize("step", STEPS)
async def test_who_asks_again_goes_on_where_it_was(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At the last moment at which it is still there: one meeting, and one reservation."""
    of, name, before = STEPS[step]
    dies(monkeypatch, of(booking), name, before=before)
    with pytest.raises(DiedError):
        await submit(booking)
    booking.clock.time += PATIENCE - 1
    await made(booking)
    await settle(booking, PATIENCE)
    await in_order(booking, there, 1)
    assert there.provider.made == 1


@pytest.mark.parametrize("step", STEPS)
async def test_who_asks_again_too_late_begins_anew(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    of, name, before = STEPS[step]
    dies(monkeypatch, of(booking), name, before=before)
    with pytest.raises(DiedError):
        await submit(booking)
    await settle(booking, PATIENCE)
    await made(booking)
    await settle(booking, PATIENCE)
    await in_order(booking, there, 1)


async def test_another_body_does_not_take_it_over(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert booking.meetings
    dies(monkeypatch, booking.meetings.makings, "make", before=False)
    with pytest.raises(DiedError):
        await submit(booking)
    said = await refused(booking, "CreateReservation", request(subject="another"))
    assert said == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    await settle(booking, PATIENCE)
    await in_order(booking, there, 0)


async def test_what_takes_too_long_is_made_anew(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is being unmade when it would be stored: never is a reservation stored whose meeting goes."""
    assert booking.meetings
    work = booking.meetings.makings.make

    async def slow(*given: Any) -> Any:
        monkeypatch.setattr(booking.meetings.makings, "make", work)
        response = await work(*given)
        await settle(booking, PATIENCE)
        return response

    monkeypatch.setattr(booking.meetings.makings, "make", slow)
    await made(booking)
    await settle(booking, PATIENCE)
    await in_order(booking, there, 1)
    assert there.provider.made == 2


@pytest.mark.parametrize("before", [True, False])
async def test_whoever_unmakes_and_dies_is_followed(
    replicas: list[Booking], there: World, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    booking, other = replicas
    record = await made(booking)
    await ask(booking, "CancelReservation", api.CancelReservationRequest(reservation_id=record.reservation_id))
    assert booking.meetings
    dies(monkeypatch, booking.meetings.makings, "unmake", before=before)
    with pytest.raises(DiedError):
        await settle(booking)
    await settle(other, LEASE - 1)
    assert len(await rows(booking.database, models.OWED_MAKING)) == 1
    await settle(other, 1)
    await in_order(booking, there, 0)


# It ends


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


# It moves


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
    assert booking.meetings
    dies(monkeypatch, booking.meetings.makings, name, before=before)
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
    assert booking.meetings
    dies(monkeypatch, booking.meetings.makings, "move", before=False)
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
    assert booking.meetings
    work = booking.meetings.makings.move
    for number in range(3):
        await submit(booking, f"other-{number}", request_id="known", start=TEN + 4 * HOUR)

    async def overtaken(*given: Any) -> Any:
        monkeypatch.setattr(booking.meetings.makings, "move", work)
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

    monkeypatch.setattr(booking.meetings.makings, "move", overtaken)
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
    assert booking.meetings
    work = booking.meetings.makings.move

    async def overtaken(*given: Any) -> Any:
        response = await work(*given)
        cancelled = api.CancelReservationRequest(reservation_id=record.reservation_id)
        await ask(booking, "CancelReservation", cancelled)
        return response

    monkeypatch.setattr(booking.meetings.makings, "move", overtaken)
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
