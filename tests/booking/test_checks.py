"""What a check says is what happens: the same outcome, or the same error, and nothing of it is stored."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import endings, models
from services.booking.scopes import of_account
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors, rpc
from services.policy.decisions import Policy
from tests.booking.builders import TEN, booker, create_request
from tests.booking.conftest import Booking, LocalPolicy, ManualClock
from tests.booking.gateway import CODE, World, world
from tests.booking.test_admission import rows
from tests.booking.test_meetings import made, pass_time

Said = tuple[str, str]
Before = Callable[[Booking, World], Awaitable[None]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def there(tmp_path: Path, clock: ManualClock) -> AsyncIterator[World]:
    async with world(tmp_path, clock) as opened:
        yield opened


@pytest.fixture
async def booking(database: Database, policy: Policy, clock: ManualClock, there: World) -> AsyncIterator[Booking]:
    replica = Booking(database, LocalPolicy(policy), clock, there.client)
    yield replica
    await replica.stop()


async def said(method: Callable[[Any, Any], Awaitable[Any]], question: Message) -> Said:
    """The outcome with the rules that spoke and the room, or the error's code with its words."""
    rpc._principal.set(booker())
    try:
        answer = await method(question, None)
    except errors.RpcError as error:
        return error.reason, str(error)
    given = answer if hasattr(answer, "room") else answer.reservation
    room = given.room.room_id if answer.outcome == pb.OUTCOME_CONFIRMED else ""
    rules = " ".join(f"{rule.rule_id}: {rule.reason.en}" for rule in answer.decision.rules)
    return f"{pb.Outcome.Name(answer.outcome)} {room}".strip(), rules


async def state(booking: Booking) -> list[Any]:
    tables = (models.RESERVATION, models.DECISION, models.ACCOUNT, models.DEADLINE, outbox.TABLE)
    return [await rows(booking.database, table) for table in tables]


async def nothing(_: Booking, there: World) -> None:
    await there.meeting()


async def no_meeting(_: Booking, there: World) -> None:
    await there.meeting(code="111111111")


async def anothers(_: Booking, there: World) -> None:
    await there.meeting("other")


async def called_off(_: Booking, there: World) -> None:
    await there.meeting()
    await there.provider.cancel(CODE, "booker")


async def reserved_by_me(booking: Booking, there: World) -> None:
    await there.meeting()
    await made(booking)


async def reserved_for_another(booking: Booking, there: World) -> None:
    """By support, on behalf of somebody who is known."""
    await there.meeting("other", "111111111")
    await made(booking, caller="other", meeting_code="111111111")
    await there.meeting()
    await made(booking, caller="helper", roles=("support",), account_id="other")


async def quota_used_up(booking: Booking, there: World) -> None:
    await there.meeting()
    for index in range(3):
        code = f"22222222{index}"
        await there.meeting(code=code, start=TEN + (2 + 2 * index) * HOUR)
        await made(booking, meeting_code=code, start=TEN + (2 + 2 * index) * HOUR)


async def suspended(booking: Booking, there: World) -> None:
    for index in range(2):
        code, start = f"33333333{index}", TEN + (1 + 2 * index) * HOUR
        await there.meeting(code=code, start=start)
        await made(booking, meeting_code=code, start=start)
    await pass_time(booking, TEN + 5 * HOUR)
    await there.meeting(start=TEN + DAY)


async def no_room(booking: Booking, there: World) -> None:
    await there.meeting()
    for index, people in enumerate((12, 12, 60)):
        account, code = f"a{index}", f"44444444{index}"
        await there.meeting(account, code)
        await made(booking, caller=account, meeting_code=code, participant_count=people)


ASKED: list[tuple[Before, dict[str, Any], str]] = [
    (nothing, {}, "OUTCOME_CONFIRMED"),
    (nothing, {"participant_count": 120}, "OUTCOME_PENDING_APPROVAL"),
    (nothing, {"participant_count": 2}, "OUTCOME_REDIRECTED"),
    (nothing, {"minutes": 40}, "OUTCOME_REDIRECTED"),
    (nothing, {"room_id": "large-1"}, "OUTCOME_CONFIRMED large-1"),
    (nothing, {"room_id": "none"}, "NOT_FOUND ROOM_NOT_FOUND"),
    (nothing, {"room_id": "small-1", "participant_count": 31}, "INVALID_ARGUMENT"),
    (nothing, {"start": TEN + 2 * HOUR}, "INVALID_ARGUMENT MEETING_ELSEWHERE"),
    (nothing, {"start": TEN - HOUR}, "INVALID_ARGUMENT MEETING_ELSEWHERE"),
    (nothing, {"start": TEN - DAY}, "INVALID_ARGUMENT"),
    (nothing, {"start": TEN - 30 * MINUTE}, "OUTCOME_CONFIRMED"),
    (nothing, {"meeting_code": "1234"}, "INVALID_ARGUMENT"),
    (no_meeting, {}, "INVALID_ARGUMENT MEETING_NOT_FOUND"),
    (anothers, {}, "INVALID_ARGUMENT MEETING_OF_ANOTHER"),
    (called_off, {}, "INVALID_ARGUMENT MEETING_OVER"),
    (reserved_by_me, {}, "ALREADY_EXISTS MEETING_ALREADY_RESERVED"),
    (reserved_for_another, {}, "ALREADY_EXISTS MEETING_ALREADY_RESERVED"),
    (quota_used_up, {}, "OUTCOME_DENIED"),
    (suspended, {"start": TEN + DAY}, "OUTCOME_DENIED"),
    (no_room, {}, "OUTCOME_DENIED"),
]


@pytest.mark.parametrize(
    ("before", "fields", "expected"), ASKED, ids=[f"{case[0].__name__}-{index}" for index, case in enumerate(ASKED)]
)
async def test_a_check_says_what_a_request_would_be_told(
    booking: Booking, there: World, before: Before, fields: dict[str, Any], expected: str
) -> None:
    await before(booking, there)
    untouched = await state(booking)
    request = create_request(**fields)
    checked = await said(booking.service.CheckReservation, api.CheckReservationRequest(request=request))
    assert await state(booking) == untouched
    told = await said(booking.service.CreateReservation, request)
    assert checked == told
    assert told[0].startswith(expected)


async def other_meeting_then(booking: Booking, there: World) -> None:
    """Two reservations of one meeting that repeats would fall on the same occurrence; here it is just reserved."""
    await reserved_by_me(booking, there)
    await there.provider.move(CODE, TEN + 3 * HOUR, TEN + 4 * HOUR)


async def full_quota_beside(booking: Booking, there: World) -> None:
    await reserved_by_me(booking, there)
    for index in range(3):
        code = f"55555555{index}"
        await there.meeting(code=code, start=TEN + DAY + 2 * index * HOUR)
        await made(booking, meeting_code=code, start=TEN + DAY + 2 * index * HOUR)
    await there.provider.move(CODE, TEN + DAY + 8 * HOUR, TEN + DAY + 9 * HOUR)


async def cancelled(booking: Booking, there: World) -> None:
    await reserved_by_me(booking, there)
    [record] = await rows(booking.database, models.RESERVATION)
    await endings.cancel(booking.transactions, record["reservation_id"], of_account("booker"), "booker", "", None)


CHANGED: list[tuple[Before, dict[str, Any], str]] = [
    (reserved_by_me, {"participant_count": 20}, "OUTCOME_CONFIRMED small-1"),
    (reserved_by_me, {"participant_count": 60}, "OUTCOME_CONFIRMED large-1"),
    (reserved_by_me, {"participant_count": 120}, "OUTCOME_DENIED"),
    (reserved_by_me, {"participant_count": 2}, "OUTCOME_REDIRECTED"),
    (reserved_by_me, {"end_time": to_timestamp(TEN + 90 * MINUTE)}, "OUTCOME_CONFIRMED small-1"),
    (reserved_by_me, {"end_time": to_timestamp(TEN - MINUTE)}, "INVALID_ARGUMENT"),
    (
        reserved_by_me,
        {"start_time": to_timestamp(TEN + 3 * HOUR), "end_time": to_timestamp(TEN + 4 * HOUR)},
        "INVALID_ARGUMENT MEETING_ELSEWHERE",
    ),
    (
        other_meeting_then,
        {"start_time": to_timestamp(TEN + 3 * HOUR), "end_time": to_timestamp(TEN + 4 * HOUR)},
        "OUTCOME_CONFIRMED small-1",
    ),
    (
        full_quota_beside,
        {"start_time": to_timestamp(TEN + DAY + 8 * HOUR), "end_time": to_timestamp(TEN + DAY + 9 * HOUR)},
        "OUTCOME_DENIED",
    ),
    (reserved_by_me, {"version": 7, "participant_count": 20}, "ABORTED VERSION"),
    (cancelled, {"participant_count": 20}, "FAILED_PRECONDITION"),
]


@pytest.mark.parametrize(
    ("before", "fields", "expected"), CHANGED, ids=[f"{case[0].__name__}-{index}" for index, case in enumerate(CHANGED)]
)
async def test_a_checked_change_is_told_what_the_change_would_be(
    booking: Booking, there: World, before: Before, fields: dict[str, Any], expected: str
) -> None:
    await before(booking, there)
    first = min(await rows(booking.database, models.RESERVATION), key=lambda row: row["start_time"])
    wanted = api.UpdateReservationRequest(reservation_id=first["reservation_id"], **fields)
    untouched = await state(booking)
    checked = await said(booking.service.CheckUpdate, api.CheckUpdateRequest(request=wanted))
    assert await state(booking) == untouched
    told = await said(booking.service.UpdateReservation, wanted)
    assert checked == told
    assert told[0].startswith(expected)
