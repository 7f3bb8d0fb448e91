"""The meeting behind a reservation: looked up, shared by nobody, watched, and the truth about who entered.

On the real gateway with the simulated provider, over a real NATS server.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.json_format import MessageToJson, ParseError
from google.rpc import error_details_pb2
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import events_pb2, meeting_pb2

from services.booking import endings, meetings, models, queries, updates
from services.booking.attendance_checks import AT_ONCE, MeetingEvents
from services.booking.meetings import OccurrenceKey
from services.booking.meetings_client import with_meetings, with_occurrence
from services.booking.requests import to_input, with_caller
from services.booking.scopes import of_account
from services.booking.series import SeriesInput
from services.booking.series import create as create_series
from services.booking.subscriptions import take
from services.meetings.provider import Meeting, MeetingState, Occurrence
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, from_timestamp, to_timestamp
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors, rpc
from services.policy.decisions import Policy
from tests.booking.builders import MONDAY, TEN, booker, change, create_request
from tests.booking.conftest import Booking, LocalPolicy, ManualClock
from tests.booking.gateway import CODE, World, world
from tests.booking.test_admission import rows
from tests.booking.test_transitions import get, state, subjects
from tests.servers import until

RELEASE = TEN + 30 * MINUTE


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


async def submit(booking: Booking, caller: str = "booker", *roles: str, **fields: Any) -> Any:
    request = create_request(**{"meeting_code": CODE, **fields})
    rpc._principal.set(booker(caller, *roles))
    wanted = with_caller(to_input(request), booker(caller, *roles))
    return await booking.admission.create(*await with_meetings(booking.meetings, [wanted]))


async def made(booking: Booking, caller: str = "booker", roles: tuple[str, ...] = (), **fields: Any) -> pb.Reservation:
    reply = await submit(booking, caller, *roles, **fields)
    assert reply.HasField("reservation")
    record: pb.Reservation = reply.reservation
    return record


async def refused(booking: Booking, caller: str = "booker", *roles: str, **fields: Any) -> tuple[str, str]:
    """The code and the reason."""
    with pytest.raises(errors.RpcError) as caught:
        await submit(booking, caller, *roles, **fields)
    return caught.value.code.name, info(caught.value).reason


def info(error: errors.RpcError) -> error_details_pb2.ErrorInfo:
    [found] = [detail for detail in error.details if isinstance(detail, error_details_pb2.ErrorInfo)]
    return found


async def pass_time(booking: Booking, moment: int) -> None:
    """Until everything that is due has been asked about, answered and dealt with."""
    assert booking.checks
    booking.clock.time = moment
    for _ in range(4):
        await booking.deadlines.catch_up()
        await booking.checks.settle()


# Booking


async def test_a_reservation_knows_its_meeting(booking: Booking, there: World) -> None:
    meeting = await there.meeting()
    record = await made(booking)
    assert meetings.from_key(record.meeting.key) == OccurrenceKey("simulated", meeting.meeting_id, "")
    assert record.meeting.state == meeting_pb2.MEETING_STATE_SCHEDULED
    assert (record.meeting.start_time, record.meeting.end_time) == (to_timestamp(TEN), to_timestamp(TEN + HOUR))
    assert await get(booking, record) == record


async def test_without_a_meeting_of_ones_own_there_is_no_reservation(booking: Booking, there: World) -> None:
    """Of another's it is told that it is another's, not whose; support may name it on behalf of somebody."""
    assert await refused(booking) == ("INVALID_ARGUMENT", "MEETING_NOT_FOUND")
    await there.meeting("somebody")
    with pytest.raises(errors.RpcError, match="made with another account") as caught:
        await submit(booking)
    assert "somebody" not in str(caught.value.to_status())
    assert await refused(booking) == ("INVALID_ARGUMENT", "MEETING_OF_ANOTHER")
    assert await refused(booking, "helper", "support") == ("INVALID_ARGUMENT", "MEETING_OF_ANOTHER")
    for table in (models.RESERVATION, models.DECISION, models.ACCOUNT, outbox.TABLE):
        assert await rows(booking.database, table) == []
    await there.meeting("booker", "900000001", start=TEN + 5 * HOUR)
    await submit(booking, meeting_code="900000001", start=TEN + 5 * HOUR)  # the account is known from now on
    assert (await submit(booking, "helper", "support", account_id="booker")).HasField("reservation")


async def test_numbers_cannot_be_tried_by_asking_for_a_room(booking: Booking, there: World) -> None:
    """Of what an account tries in a minute 20 may find nothing; others are not kept from their meetings."""
    for number in range(20):
        assert await refused(booking, meeting_code=f"9000000{number:02}") == ("INVALID_ARGUMENT", "MEETING_NOT_FOUND")
    await there.meeting()
    assert await refused(booking) == ("RESOURCE_EXHAUSTED", "TOO_MANY_LOOK_UPS")
    await there.meeting("other", "910000000")
    assert (await submit(booking, "other", meeting_code="910000000")).HasField("reservation")


async def test_while_nobody_can_look_nothing_is_stored(booking: Booking, there: World) -> None:
    """The provider away, and the gateway itself; a repeated request still gets its answer."""
    await there.meeting()
    there.provider.away = True
    assert await refused(booking) == ("UNAVAILABLE", "SERVICE_AWAY")
    there.provider.away = False
    first = await submit(booking, request_id="once")
    await there.stop()
    assert await refused(booking, start=TEN + 2 * HOUR) == ("UNAVAILABLE", "SERVICE_AWAY")
    assert await submit(booking, request_id="once") == first
    assert len(await rows(booking.database, models.RESERVATION)) == 1


@pytest.mark.parametrize(
    ("start", "minutes", "answer"),
    [
        (TEN - HOUR, 60, "MEETING_ELSEWHERE"),
        (TEN - HOUR + SECOND, 60, ""),
        (TEN, 60, ""),
        (TEN + HOUR - SECOND, 60, ""),
        (TEN + HOUR, 60, "MEETING_ELSEWHERE"),
        (TEN + DAY, 60, "MEETING_ELSEWHERE"),
    ],
)
async def test_what_is_reserved_overlaps_the_meeting(
    booking: Booking, there: World, start: int, minutes: int, answer: str
) -> None:
    await there.meeting()
    if answer:
        assert await refused(booking, start=start, minutes=minutes) == ("INVALID_ARGUMENT", answer)
    else:
        await made(booking, start=start, minutes=minutes)


async def test_the_refusal_names_the_meetings_own_times(booking: Booking, there: World) -> None:
    await there.meeting()
    with pytest.raises(errors.RpcError) as caught:
        await submit(booking, start=TEN + DAY)
    assert str(caught.value).startswith("start_time: ")
    assert dict(info(caught.value).metadata) == {
        "start_time": "2025-07-07T02:00:00Z",
        "end_time": "2025-07-07T03:00:00Z",
    }


async def test_a_meeting_that_is_over_or_cancelled_is_not_reserved(booking: Booking, there: World) -> None:
    await there.meeting()
    await there.provider.cancel(CODE, "booker")
    assert await refused(booking) == ("INVALID_ARGUMENT", "MEETING_OVER")
    await there.meeting()
    await there.provider.end_by_host(CODE, "booker")
    assert await refused(booking) == ("INVALID_ARGUMENT", "MEETING_OVER")


async def test_one_meeting_has_one_live_reservation(booking: Booking, there: World) -> None:
    """Its id is told to whom it belongs, and to nobody else; what was cancelled makes way."""
    await there.meeting()
    first = await made(booking)
    with pytest.raises(errors.RpcError) as caught:
        await submit(booking, start=TEN + 30 * MINUTE)
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert info(caught.value).metadata["reservation_id"] == first.reservation_id
    with pytest.raises(errors.RpcError) as caught:
        await submit(booking, "helper", "support", account_id="booker")
    assert first.reservation_id not in str(caught.value)
    await endings.cancel(booking.transactions, first.reservation_id, of_account("booker"), "booker", "")
    await made(booking)


async def test_the_same_number_may_mean_another_meeting(booking: Booking, there: World) -> None:
    """Numbers are used again."""
    first = await there.meeting(minutes=60)
    await made(booking)
    await there.provider.cancel(CODE, "booker")
    second = await there.meeting(start=TEN + 3 * HOUR)
    record = await made(booking, start=TEN + 3 * HOUR)
    assert (first.meeting_id, second.meeting_id) != (record.meeting.key.meeting_id, first.meeting_id)
    assert record.meeting.key.meeting_id == second.meeting_id


async def test_of_many_at_once_one_gets_it(replicas: list[Booking], there: World) -> None:
    """Behind the question stands the wall of the database: each through its own replica, all at one moment."""
    meeting = await there.meeting()
    found = await there.client.look_up(CODE, "booker", any_owner=False)
    wanted = with_occurrence(to_input(create_request(meeting_code=CODE)), found)
    asked = (
        replicas[number % 2].admission.create(with_caller(wanted, booker(f"host-{number}"))) for number in range(8)
    )
    replies = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(reply, api.CreateReservationResponse) for reply in replies) == 1
    codes = {reply.code for reply in replies if isinstance(reply, errors.RpcError)}
    assert codes == {grpc.StatusCode.ALREADY_EXISTS}
    [stored] = await rows(replicas[0].database, models.RESERVATION)
    assert stored["meeting_id"] == meeting.meeting_id


async def test_a_change_keeps_to_the_meeting(booking: Booking, there: World) -> None:
    """Moved in the meeting client first, then here."""
    await there.meeting()
    record = await made(booking)
    moved = change(record.reservation_id, start=TEN + 2 * HOUR, minutes=60)
    with pytest.raises(errors.RpcError) as caught:
        await updates.update(booking.transactions, booking.meetings, moved, of_account("booker"), "booker")
    assert "start_time" in str(caught.value)
    there.provider.away = True
    with pytest.raises(errors.RpcError) as caught:
        await updates.update(booking.transactions, booking.meetings, moved, of_account("booker"), "booker")
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert await get(booking, record) == record
    fewer = change(record.reservation_id, participant_count=11)  # has nothing to do with the meeting
    await updates.update(booking.transactions, booking.meetings, fewer, of_account("booker"), "booker")
    there.provider.away = False
    await there.provider.move(CODE, TEN + 2 * HOUR, None)
    after = (
        await updates.update(booking.transactions, booking.meetings, moved, of_account("booker"), "booker")
    ).reservation
    assert after.meeting.start_time == after.start_time == to_timestamp(TEN + 2 * HOUR)


async def test_a_change_cannot_take_anothers_occurrence(booking: Booking, there: World) -> None:
    recurring(there, TEN, TEN + DAY)
    first, second = await made(booking), await made(booking, start=TEN + DAY)
    assert [each.meeting.key.sub_meeting_id for each in (first, second)] == ["1", "2"]
    moved = change(first.reservation_id, start=TEN + DAY, minutes=60)
    with pytest.raises(errors.RpcError) as caught:
        await updates.update(booking.transactions, booking.meetings, moved, of_account("booker"), "booker")
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert second.reservation_id in str(caught.value)


async def test_a_series_takes_an_occurrence_each(booking: Booking, there: World) -> None:
    recurring(there, TEN, TEN + DAY)
    reply = await series(booking, TEN, TEN + DAY)
    assert [each.reservation.meeting.key.sub_meeting_id for each in reply.occurrences] == ["1", "2"]


@pytest.mark.parametrize(
    ("starts", "reason"),
    [((TEN, TEN + DAY, TEN + 2 * DAY), "MEETING_ELSEWHERE"), ((TEN, TEN + 10 * MINUTE), "MEETING_ALREADY_RESERVED")],
)
async def test_a_series_beyond_the_meeting_is_refused(
    booking: Booking, there: World, starts: tuple[int, ...], reason: str
) -> None:
    recurring(there, TEN, TEN + DAY)
    with pytest.raises(errors.RpcError) as caught:
        await series(booking, *starts)
    assert info(caught.value).reason == reason
    assert await rows(booking.database, models.RESERVATION) == []


def recurring(there: World, *starts: int) -> None:
    """A meeting with occurrences, which the simulated provider does not make."""
    occurrences = tuple(Occurrence(str(number), start, start + HOUR) for number, start in enumerate(starts, 1))
    there.provider.known = Meeting(
        *("simulated", "77", CODE, "weekly", "booker", ("booker",), MeetingState.SCHEDULED, occurrences), recurring=True
    )


async def series(booking: Booking, *starts: int) -> Any:
    asked = [with_caller(to_input(create_request(meeting_code=CODE, start=start)), booker()) for start in starts]
    occurrences = await with_meetings(booking.meetings, asked)
    return await create_series(booking.transactions, SeriesInput("", b"", occurrences, all_or_none=False))


# Who came


async def test_nobody_at_thirty_minutes_is_a_no_show_with_its_evidence(booking: Booking, there: World) -> None:
    await there.meeting()
    record = await made(booking)
    await pass_time(booking, RELEASE - 1)
    assert (await state(booking, record), there.provider.asked) == ("CONFIRMED", 0)
    await pass_time(booking, RELEASE)
    after = await get(booking, record)
    assert after.state == pb.RESERVATION_STATE_NO_SHOW
    assert (after.attendance.knowledge, after.attendance.ask_count) == (meeting_pb2.KNOWLEDGE_KNOWN, 1)
    assert after.attendance.ask_time == to_timestamp(RELEASE)
    [violation] = await rows(booking.database, models.VIOLATION)
    assert violation["violation_time"] == RELEASE
    assert await rows(booking.database, models.DEADLINE) == []


@pytest.mark.parametrize(
    ("entered", "left", "outcome"),
    [
        (TEN - 59 * MINUTE, TEN - 59 * MINUTE + SECOND, "NO_SHOW"),
        (TEN - HOUR, TEN - SECOND, "NO_SHOW"),
        (TEN - HOUR, TEN, "NO_SHOW"),
        (TEN - HOUR, TEN + SECOND, "IN_USE"),
        (TEN - 90 * MINUTE, None, "IN_USE"),
        (TEN, TEN + SECOND, "IN_USE"),
        (RELEASE - SECOND, None, "IN_USE"),
        (RELEASE, None, "IN_USE"),
        (RELEASE + 1, None, "NO_SHOW"),
    ],
)
async def test_whoever_was_inside_in_time_came(
    booking: Booking, there: World, entered: int, left: int | None, outcome: str
) -> None:
    """No event arrives: the gateway is asked at the deadline, which is noticed a minute late."""
    await there.meeting()
    booking.clock.time = MONDAY
    record = await made(booking)
    booking.clock.time = entered
    await there.provider.enter(CODE, "somebody")
    if left:
        booking.clock.time = left
        await there.provider.leave(CODE, "somebody")
    await pass_time(booking, RELEASE + MINUTE)
    after = await get(booking, record)
    assert await state(booking, record) == outcome
    if outcome == "IN_USE":
        assert after.enter_time == to_timestamp(max(entered, TEN))
        assert after.attendance.knowledge == meeting_pb2.KNOWLEDGE_KNOWN


@pytest.mark.parametrize(
    ("left", "came_again", "outcome"),
    [(TEN - SECOND, RELEASE + 1, "NO_SHOW"), (TEN - SECOND, RELEASE, "IN_USE"), (TEN, RELEASE + 1, "NO_SHOW")],
)
async def test_who_comes_and_goes_is_not_there_in_between(
    booking: Booking, there: World, left: int, came_again: int, outcome: str
) -> None:
    await there.meeting()
    record = await made(booking)
    await come(booking, there, TEN - 10 * MINUTE, left)
    await come(booking, there, came_again)
    await pass_time(booking, RELEASE + MINUTE)
    assert await state(booking, record) == outcome


async def come(booking: Booking, there: World, entered: int, left: int | None = None) -> None:
    booking.clock.time = entered
    await there.provider.enter(CODE, "somebody")
    if left is not None:
        booking.clock.time = left
        await there.provider.leave(CODE, "somebody")


# Who looks in before the start


async def test_who_is_early_and_stays_has_come_when_it_begins(booking: Booking, there: World) -> None:
    """Noted until then; at the start the gateway is asked, and no later event is needed."""
    await there.publish(booking)
    await there.meeting()
    record = await made(booking)
    await come(booking, there, TEN - 5 * MINUTE)
    await there.delivered()
    noted = await get(booking, record)
    assert (noted.state, noted.early_enter_time) == (pb.RESERVATION_STATE_CONFIRMED, to_timestamp(TEN - 5 * MINUTE))
    assert (await subjects(booking))[-1] == "reservation.entered_early"
    await pass_time(booking, TEN - 1)
    assert (await state(booking, record), there.provider.asked) == ("CONFIRMED", 0)
    await pass_time(booking, TEN)
    after = await get(booking, record)
    assert (after.state, after.enter_time) == (pb.RESERVATION_STATE_IN_USE, to_timestamp(TEN))
    assert there.provider.asked == 1
    await pass_time(booking, RELEASE)
    assert await state(booking, record) == "IN_USE"


@pytest.mark.parametrize(("left", "outcome"), [(TEN - 1, "NO_SHOW"), (TEN, "NO_SHOW"), (TEN + 1, "IN_USE")])
async def test_a_stranger_who_looks_in_is_nobody(booking: Booking, there: World, left: int, outcome: str) -> None:
    """Until the start the owner could cancel; the start, late as it is noticed, changes nothing of who was there."""
    await there.publish(booking)
    await there.meeting()
    record = await made(booking)
    await come(booking, there, TEN - 59 * MINUTE, left)
    await there.delivered()
    await pass_time(booking, TEN + MINUTE)
    assert await state(booking, record) == ("IN_USE" if outcome == "IN_USE" else "CONFIRMED")
    assert "arrival" not in [row["kind"] for row in await rows(booking.database, models.DEADLINE)]
    await pass_time(booking, RELEASE)
    assert await state(booking, record) == outcome


async def test_after_a_look_in_the_owner_can_still_cancel(booking: Booking, there: World) -> None:
    await there.publish(booking)
    await there.meeting()
    record = await made(booking)
    await come(booking, there, TEN - 59 * MINUTE, TEN - 59 * MINUTE + 1)
    await there.delivered()
    assert (
        await endings.cancel(booking.transactions, record.reservation_id, of_account("booker"), "booker", "")
    ).quota_returned
    assert await rows(booking.database, models.DEADLINE) == []


async def test_a_change_keeps_the_question_and_a_move_drops_it(booking: Booking, there: World) -> None:
    await there.meeting()
    record = await made(booking)
    booking.clock.time = TEN - 50 * MINUTE
    await tell(booking, event("entered", record, TEN - 50 * MINUTE))
    await updates.update(
        booking.transactions,
        booking.meetings,
        change(record.reservation_id, participant_count=11),
        of_account("booker"),
        "booker",
    )
    assert await due(booking, "arrival") == TEN
    await there.provider.move(CODE, TEN + 2 * HOUR, None)
    moved = change(record.reservation_id, start=TEN + 2 * HOUR, minutes=60)
    after = (
        await updates.update(booking.transactions, booking.meetings, moved, of_account("booker"), "booker")
    ).reservation
    assert not after.HasField("early_enter_time")
    assert "arrival" not in [row["kind"] for row in await rows(booking.database, models.DEADLINE)]


@pytest.mark.parametrize("back", [TEN + 10 * MINUTE, RELEASE + 10 * MINUTE])
async def test_who_came_early_is_no_no_show_though_nobody_can_say_so_at_the_start(
    booking: Booking, there: World, back: int
) -> None:
    """Asked again every minute until the release, and from then on as everybody else."""
    await there.meeting()
    record = await made(booking)
    await come(booking, there, TEN - 20 * MINUTE)
    await tell(booking, event("entered", record, TEN - 20 * MINUTE))
    there.provider.away = True
    await pass_time(booking, TEN)
    assert await due(booking, "arrival") == TEN + MINUTE
    for moment in range(TEN + MINUTE, back, MINUTE):
        await pass_time(booking, moment)
        assert await state(booking, record) == "CONFIRMED"
    there.provider.away = False
    await pass_time(booking, back + 15 * MINUTE)
    after = await get(booking, record)
    assert (after.state, after.enter_time) == (pb.RESERVATION_STATE_IN_USE, to_timestamp(TEN))
    assert await rows(booking.database, models.VIOLATION) == []


async def test_an_early_entry_that_is_told_late_is_asked_about_at_once(booking: Booking, there: World) -> None:
    await there.meeting()
    record = await made(booking)
    await come(booking, there, TEN - MINUTE)
    booking.clock.time = TEN + 5 * MINUTE
    await tell(booking, event("entered", record, TEN - MINUTE))
    await pass_time(booking, TEN + 5 * MINUTE)
    assert await state(booking, record) == "IN_USE"


@pytest.mark.parametrize(("left", "outcome"), [(TEN, "NO_SHOW"), (TEN + SECOND, "COMPLETED"), (None, "COMPLETED")])
async def test_a_late_event_of_an_early_entry_proves_what_the_meeting_shows(
    booking: Booking, there: World, left: int | None, outcome: str
) -> None:
    """Told while the provider is away it is told again."""
    await there.meeting()
    record = await made(booking)
    await pass_time(booking, RELEASE)
    assert await state(booking, record) == "NO_SHOW"
    # what the provider did not show when it was asked
    visit = "INSERT INTO simulated_visit (meeting_id, account, enter_time, leave_time) VALUES (?, 'somebody', ?, ?)"
    values = (int(record.meeting.key.meeting_id), TEN - MINUTE, left)
    await there.database.write(lambda c: c.exec_driver_sql(visit, values))
    there.provider.away = True
    with pytest.raises(errors.RpcError) as caught:
        await tell(booking, event("entered", record, TEN - MINUTE))
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    there.provider.away = False
    await tell(booking, event("entered", record, TEN - MINUTE))
    assert await state(booking, record) == outcome
    [violation] = await rows(booking.database, models.VIOLATION)
    assert violation["waived"] == (outcome == "COMPLETED")


async def test_the_waiting_room_is_not_entering(booking: Booking, there: World) -> None:
    await there.meeting()
    record = await made(booking)
    booking.clock.time = TEN
    await there.provider.wait(CODE, "somebody")
    await pass_time(booking, RELEASE)
    assert await state(booking, record) == "NO_SHOW"


@pytest.mark.parametrize("came", [False, True])
async def test_unknown_for_hours_then_known(booking: Booking, there: World, came: bool) -> None:
    """Asked again with growing pauses, which do not close booking; judged rightly in the end."""
    await there.meeting(minutes=300)
    record = await made(booking, minutes=300)
    if came:
        booking.clock.time = TEN
        await there.provider.enter(CODE, "somebody")
        await there.database.write(lambda c: c.exec_driver_sql("DELETE FROM report"))  # the event was lost
    there.provider.away = True
    pauses, moment = [], RELEASE
    while moment < TEN + 3 * HOUR:
        await pass_time(booking, moment)
        pauses.append((await due(booking, "attendance") - moment) // MINUTE)
        moment += pauses[-1] * MINUTE
    assert pauses == [1, 2, 4, 8, *[15] * 9]
    unknown = await get(booking, record)
    assert (await state(booking, record), unknown.attendance.ask_count) == ("CONFIRMED", len(pauses))
    assert unknown.attendance.unknown_reason == "PROVIDER_AWAY"
    there.provider.away = False
    await there.meeting(code="900000002", start=TEN + 5 * HOUR)
    await pass_time(booking, moment)
    assert await state(booking, record) == ("IN_USE" if came else "NO_SHOW")
    violations = await rows(booking.database, models.VIOLATION)
    assert [each["violation_time"] for each in violations] == ([] if came else [RELEASE])


async def due(booking: Booking, kind: str) -> int:
    [moment] = [row["due_time"] for row in await rows(booking.database, models.DEADLINE) if row["kind"] == kind]
    return int(moment)


@pytest.mark.parametrize("noticed", [0, 2 * HOUR])
async def test_unknown_to_the_end_is_no_violation(booking: Booking, there: World, noticed: int) -> None:
    """Also when booking itself was away over deadline and end: even then it is asked twice."""
    await there.meeting()
    record = await made(booking)
    await there.stop()
    for moment in range(RELEASE + noticed, TEN + HOUR + noticed + 2 * MINUTE, MINUTE):
        await pass_time(booking, moment)
    after = await get(booking, record)
    assert after.state == pb.RESERVATION_STATE_COMPLETED
    assert (after.attendance.knowledge, after.HasField("enter_time")) == (meeting_pb2.KNOWLEDGE_UNKNOWN, False)
    assert after.attendance.unknown_reason == "GATEWAY_AWAY"
    assert after.attendance.ask_count >= 2
    assert await rows(booking.database, models.VIOLATION) == []
    assert await rows(booking.database, models.DEADLINE) == []


async def test_known_at_the_end_is_judged(booking: Booking, there: World) -> None:
    await there.meeting()
    record = await made(booking)
    there.provider.away = True
    await pass_time(booking, RELEASE)
    there.provider.away = False
    await pass_time(booking, TEN + HOUR)
    assert await state(booking, record) == "NO_SHOW"


async def test_an_hour_without_the_provider_over_fifty_deadlines(booking: Booking, there: World) -> None:
    """No violation; then all are judged rightly: every other meeting was entered, and the events were lost."""
    names = [f"account-{number}" for number in range(50)]
    fresh = [{"room_id": name, "display_name": name, "capacity": 30, "enabled": True} for name in names]
    await booking.database.write(lambda c: c.execute(sa.insert(models.ROOM), fresh))
    for number, name in enumerate(names):
        await there.meeting(name, str(900_000_000 + number), minutes=150)
    asked = [submit(booking, name, meeting_code=str(900_000_000 + n), minutes=150) for n, name in enumerate(names)]
    records = [reply.reservation for reply in await asyncio.gather(*asked)]
    booking.clock.time = TEN
    for number in range(0, 50, 2):
        await there.provider.enter(str(900_000_000 + number), names[number])
    await there.database.write(lambda c: c.exec_driver_sql("DELETE FROM report"))
    there.provider.away = True
    for minutes in range(30, 90, 5):
        await pass_time(booking, TEN + minutes * MINUTE)
    assert await rows(booking.database, models.VIOLATION) == []
    assert {await state(booking, record) for record in records} == {"CONFIRMED"}
    there.provider.away = False
    await pass_time(booking, TEN + 106 * MINUTE)
    assert [await state(booking, record) for record in records] == ["IN_USE", "NO_SHOW"] * 25
    violations = await rows(booking.database, models.VIOLATION)
    assert {each["violation_time"] for each in violations} == {RELEASE}
    assert sorted(each["account_id"] for each in violations) == sorted(names[1::2])


async def test_a_crowd_of_deadlines_waits_for_its_turn_and_nobody_asks_twice(booking: Booking, there: World) -> None:
    """While the provider takes its time, leases end and what waits is claimed again: the earlier claim is void."""
    names = [f"account-{number}" for number in range(20)]
    fresh = [{"room_id": name, "display_name": name, "capacity": 30, "enabled": True} for name in names]
    await booking.database.write(lambda c: c.execute(sa.insert(models.ROOM), fresh))
    records = []
    for number, name in enumerate(names):
        await there.meeting(name, str(900_000_000 + number))
        records.append((await submit(booking, name, meeting_code=str(900_000_000 + number))).reservation)
    there.provider.gate.clear()
    for minutes in (30, 32):
        booking.clock.time = TEN + minutes * MINUTE
        await booking.deadlines.catch_up()
        await until(lambda: there.provider.asked == AT_ONCE)
    there.provider.gate.set()
    await pass_time(booking, booking.clock.time)
    assert there.provider.asked == AT_ONCE + len(names)
    assert {await state(booking, record) for record in records} == {"NO_SHOW"}


async def test_two_replicas_ask_once_and_judge_once(replicas: list[Booking], there: World) -> None:
    await there.meeting()
    record = await made(replicas[0])
    replicas[0].clock.time = RELEASE
    for _ in range(3):
        await asyncio.gather(*(replica.deadlines.catch_up() for replica in replicas))
        await asyncio.gather(*(replica.checks.settle() for replica in replicas if replica.checks))
    assert (await state(replicas[0], record), there.provider.asked) == ("NO_SHOW", 1)
    assert len(await rows(replicas[0].database, models.VIOLATION)) == 1


async def test_an_answer_between_looking_and_claiming_is_seen(
    replicas: list[Booking], there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is back where it was then: by its time alone nobody could tell."""
    await there.meeting()
    record = await made(replicas[0])
    for replica in replicas:
        replica.clock.time = RELEASE
    first, second = (replica.checks for replica in replicas)
    assert first
    assert second
    write = second._transactions.database.write

    async def overtaken(work: Any) -> Any:
        monkeypatch.undo()
        assert not await first.judge_attendance(record.reservation_id, RELEASE)
        await first.settle()
        return await write(work)

    monkeypatch.setattr(second._transactions.database, "write", overtaken)
    assert await second.judge_attendance(record.reservation_id, RELEASE)
    await second.settle()
    assert (await state(replicas[0], record), there.provider.asked) == ("NO_SHOW", 1)


async def test_whoever_dies_while_it_asks_is_followed(booking: Booking, there: World) -> None:
    """The deadline was moved on before: it comes again."""
    await there.meeting()
    record = await made(booking)
    booking.clock.time = RELEASE
    there.provider.gate.clear()
    await booking.deadlines.catch_up()
    assert booking.checks
    for task in list(booking.checks._under_way):
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await booking.checks.settle()
    there.provider.gate.set()
    assert await due(booking, "attendance") == RELEASE + MINUTE
    await pass_time(booking, RELEASE + MINUTE)
    assert await state(booking, record) == "NO_SHOW"


# What the gateway tells


async def test_events_reach_the_reservation(booking: Booking, there: World) -> None:
    """Through the stream and the durable consumer: entered, moved."""
    await there.publish(booking)
    await there.meeting()
    record = await made(booking)
    booking.clock.time = TEN - 20 * MINUTE
    await there.provider.move(CODE, TEN + 5 * MINUTE, None)
    await there.delivered()
    shown = await get(booking, record)
    assert shown.meeting.start_time == to_timestamp(TEN + 5 * MINUTE)
    assert shown.start_time == to_timestamp(TEN)
    assert (await subjects(booking))[-1] == "reservation.meeting_changed"
    booking.clock.time = TEN
    await there.provider.enter(CODE, "somebody")
    await there.delivered()
    assert await state(booking, record) == "IN_USE"
    assert there.provider.asked == 0


async def test_an_event_is_told_again_while_nobody_can_say_what_changed(booking: Booking, there: World) -> None:
    await there.publish(booking)
    await there.meeting()
    record = await made(booking)
    await there.provider.move(CODE, TEN + 10 * MINUTE, None)
    await there.stop()
    await there.delivered(1)
    assert (await get(booking, record)).meeting.start_time == to_timestamp(TEN)
    await there.start()
    await there.delivered()
    assert (await get(booking, record)).meeting.start_time == to_timestamp(TEN + 10 * MINUTE)


def event(kind: str, record: pb.Reservation, time: int) -> tuple[str, bytes]:
    body = events_pb2.MeetingEvent(meeting=record.meeting.key, event_time=to_timestamp(time))
    return f"yunhui.meetings.meeting.{kind}", MessageToJson(body).encode()


async def tell(booking: Booking, *told: tuple[str, bytes]) -> None:
    assert booking.checks
    reports = MeetingEvents(booking.transactions, booking.checks)
    for subject, body in told:
        await take(reports, subject, body)


async def test_events_may_come_twice_late_and_in_any_order(booking: Booking, there: World) -> None:
    await there.meeting()
    record = await made(booking)
    booking.clock.time = TEN + MINUTE
    again = [event("left", record, TEN + MINUTE), *[event("entered", record, TEN)] * 2, event("ended", record, TEN)]
    await tell(booking, *again, *again)
    assert (await get(booking, record)).enter_time == to_timestamp(TEN)
    assert (await subjects(booking))[1:] == ["reservation.in_use"]


async def test_a_late_event_annuls_the_violation(booking: Booking, there: World) -> None:
    await there.meeting()
    record = await made(booking)
    await pass_time(booking, RELEASE)
    assert await state(booking, record) == "NO_SHOW"
    await tell(booking, event("entered", record, RELEASE + 1))
    assert await state(booking, record) == "NO_SHOW"
    await tell(booking, event("entered", record, RELEASE))
    assert await state(booking, record) == "COMPLETED"
    [violation] = await rows(booking.database, models.VIOLATION)
    assert violation["waived"]


@pytest.mark.parametrize("entered", [TEN - HOUR - 1, RELEASE + 1])
async def test_an_entry_on_another_occasion_proves_nothing(booking: Booking, there: World, entered: int) -> None:
    await there.meeting()
    record = await made(booking)
    booking.clock.time = max(entered, TEN - HOUR)
    await tell(booking, event("entered", record, entered))
    assert await state(booking, record) == "CONFIRMED"


async def test_what_is_no_event_is_refused_for_good(booking: Booking, there: World) -> None:
    for body in (b"{", b"[]", b"{}", b"\xff"):
        with pytest.raises((ValueError, ParseError)):
            await tell(booking, ("yunhui.meetings.meeting.entered", body))


async def test_a_cancelled_meeting_is_shown_and_its_reservation_goes_before_the_start(
    booking: Booking, there: World
) -> None:
    """In time for others to take the room, and with the quota back."""
    await there.publish(booking)
    await there.meeting()
    record = await made(booking)
    await there.provider.cancel(CODE, "booker")
    await there.delivered()
    shown = await get(booking, record)
    assert shown.state == pb.RESERVATION_STATE_CONFIRMED
    assert shown.meeting.state == meeting_pb2.MEETING_STATE_CANCELLED
    await pass_time(booking, TEN - HOUR - 1)
    assert await state(booking, record) == "CONFIRMED"
    await pass_time(booking, TEN - HOUR)
    gone = await get(booking, record)
    assert (gone.state, bool(gone.note)) == (pb.RESERVATION_STATE_CANCELLED, True)
    decision = await booking.database.read(lambda c: queries.read_cancellation(c, record.reservation_id))
    assert not decision.rules
    assert await rows(booking.database, models.DEADLINE) == []


async def test_a_meeting_cancelled_shortly_before_is_no_violation(booking: Booking, there: World) -> None:
    """Whoever cancels has not failed to come; but the quota is used, as by any late cancellation."""
    await there.meeting()
    record = await made(booking)
    await pass_time(booking, TEN - 10 * MINUTE)
    await there.provider.cancel(CODE, "booker")
    await pass_time(booking, RELEASE)
    assert await state(booking, record) == "CANCELLED"
    assert await rows(booking.database, models.VIOLATION) == []
    decision = await booking.database.read(lambda c: queries.read_cancellation(c, record.reservation_id))
    assert [rule.rule_id for rule in decision.rules] == ["LATE_CANCELLATION"]


async def test_lost_events_are_made_up_for_before_the_start(booking: Booking, there: World) -> None:
    """And again at the deadline; while the provider is away it is asked again until the start."""
    await there.meeting()
    record = await made(booking)
    await there.provider.move(CODE, TEN + 10 * MINUTE, None)
    there.provider.away = True
    await pass_time(booking, TEN - HOUR)
    assert (await get(booking, record)).meeting.start_time == to_timestamp(TEN)
    there.provider.away = False
    await pass_time(booking, TEN - HOUR + MINUTE)
    assert (await get(booking, record)).meeting.start_time == to_timestamp(TEN + 10 * MINUTE)
    assert [row["kind"] for row in await rows(booking.database, models.DEADLINE)] == ["attendance", "completion"]
    await there.provider.move(CODE, TEN + 2 * HOUR, None)
    await pass_time(booking, RELEASE)
    assert (await get(booking, record)).meeting.start_time == to_timestamp(TEN + 2 * HOUR)


async def test_other_times_are_offered_although_the_meeting_must_be_moved_there(booking: Booking, there: World) -> None:
    """Whoever made it can move it; then the request is confirmed."""
    await there.meeting()
    booking.clock.time = TEN - 29 * MINUTE
    reply = await submit(booking)
    assert [rule.rule_id for rule in reply.decision.rules] == ["BOOKING_CUTOFF"]
    assert [from_timestamp(each.start_time) for each in reply.alternatives] == [
        TEN + 30 * MINUTE,
        TEN + HOUR,
        TEN + 90 * MINUTE,
    ]
    assert await refused(booking, start=TEN + HOUR) == ("INVALID_ARGUMENT", "MEETING_ELSEWHERE")
    await there.provider.move(CODE, TEN + HOUR, None)
    await made(booking, start=TEN + HOUR)
