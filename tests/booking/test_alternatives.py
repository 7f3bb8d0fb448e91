"""A refusal offers up to three other times; every one of them would really be confirmed."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import requests
from services.booking.alternatives import near_starts
from services.platform.clock import DAY, HOUR, MINUTE, from_timestamp
from tests.booking.builders import MONDAY, TEN, create_request, wanted
from tests.booking.conftest import Booking
from tests.booking.test_admission import create, rule_ids


def starts(reply: api.CreateReservationResponse) -> list[int]:
    return [from_timestamp(each.start_time) for each in reply.alternatives]


async def test_a_full_day_is_answered_with_other_days(booking: Booking) -> None:
    for index in range(3):
        await create(booking, start=TEN + index * 2 * HOUR)
    reply = await create(booking, start=TEN + 8 * HOUR)
    assert rule_ids(reply) == ["DAILY_QUOTA"]
    assert starts(reply) == [TEN + 8 * HOUR + days * DAY for days in (1, 2, 3)]
    assert {each.room.room_id for each in reply.alternatives} == {"small-1"}


async def test_a_taken_pool_is_answered_with_the_nearest_free_times(booking: Booking) -> None:
    for index in range(3):
        await create(booking, account_id=f"a{index}", participant_count=20)
    reply = await create(booking, account_id="b", participant_count=20)
    assert rule_ids(reply) == ["NO_ROOM_FREE"]
    assert starts(reply) == [TEN + HOUR, TEN - HOUR, TEN + 90 * MINUTE]


async def test_a_named_room_that_is_taken_is_answered_with_another_room_at_once(booking: Booking) -> None:
    await create(booking, account_id="a", room_id="small-1")
    reply = await create(booking, account_id="b", room_id="small-1")
    assert starts(reply)[0] == TEN
    assert reply.alternatives[0].room.room_id == "small-2"


async def test_what_no_other_time_would_change_offers_none(booking: Booking) -> None:
    assert not (await create(booking, minutes=30)).alternatives
    assert not (await create(booking, participant_count=120)).alternatives
    assert not (await create(booking)).alternatives


async def test_the_repeated_answer_has_the_same_alternatives(booking: Booking) -> None:
    for index in range(3):
        await create(booking, start=TEN + index * 2 * HOUR)
    first = await create(booking, start=TEN + 8 * HOUR, request_id="again")
    assert first.alternatives
    assert await create(booking, start=TEN + 8 * HOUR, request_id="again") == first


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wishes=st.lists(
        st.fixed_dictionaries(
            {
                "start": st.integers(0, 7 * 48).map(lambda slot: MONDAY + HOUR + slot * 30 * MINUTE),
                "minutes": st.sampled_from([45, 60, 120]),
                "participant_count": st.sampled_from([3, 20, 99]),
                "account_id": st.sampled_from(["a", "b", "c"]),
            }
        ),
        min_size=4,
        max_size=20,
    )
)
async def test_every_alternative_would_be_confirmed(booking: Booking, wishes: list[dict[str, Any]]) -> None:
    for wish in wishes:
        reply = await create(booking, **wish)
        for other in reply.alternatives:
            moved = wish | {"start": from_timestamp(other.start_time), "room_id": other.room.room_id}
            check = await booking.admission.check(wanted(**moved))
            assert check.outcome == pb.OUTCOME_CONFIRMED


def test_near_starts_are_near_and_never_past() -> None:
    wish = requests.to_input(create_request(start=MONDAY + 45 * MINUTE))
    found = near_starts(wish, MONDAY)
    assert found[:3] == [wish.start_time, wish.start_time + 30 * MINUTE, wish.start_time - 30 * MINUTE]
    assert min(found) > MONDAY
    assert len(found) == len(set(found)) == 15
