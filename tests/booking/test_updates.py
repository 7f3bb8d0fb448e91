"""Changing a reservation: decided again without counting itself, taken over whole or not at all."""

import asyncio
from typing import Any

import grpc
import pytest
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import escalations, models, updates
from services.booking.scopes import EVERYBODY, of_account
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, to_timestamp
from services.platform.serving import errors
from tests.booking.builders import MONDAY, TEN, change
from tests.booking.conftest import Booking
from tests.booking.test_admission import create, rows, rule_ids
from tests.booking.test_transitions import get, made, pass_time, subjects, verdict


async def update(booking: Booking, reservation: pb.Reservation, **fields: Any) -> api.UpdateReservationResponse:
    return await updates.update(
        booking.transactions,
        booking.meetings,
        change(reservation.reservation_id, **fields),
        of_account("booker"),
        "booker",
    )


async def test_another_interval_moves_room_deadlines_and_quota_along(booking: Booking) -> None:
    reservation = await made(booking)
    reply = await update(booking, reservation, start=TEN + DAY, minutes=90)
    changed = reply.reservation
    assert (reply.outcome, changed.version, changed.state) == (pb.OUTCOME_CONFIRMED, 2, pb.RESERVATION_STATE_CONFIRMED)
    assert (changed.start_time, changed.end_time) == (to_timestamp(TEN + DAY), to_timestamp(TEN + DAY + 90 * MINUTE))
    assert changed.decision_id == reply.decision.decision_id != reservation.decision_id
    assert changed == await get(booking, reservation)
    due = {row["kind"]: row["due_time"] for row in await rows(booking.database, models.DEADLINE)}
    assert due == {"attendance": TEN + DAY + 30 * MINUTE, "completion": TEN + DAY + 90 * MINUTE}
    assert (await subjects(booking))[1:] == ["reservation.updated"]
    for index in range(3):  # the whole quota of the old day is there again
        assert rule_ids(await create(booking, start=TEN + index * 2 * HOUR)) == []


async def test_it_does_not_count_itself(booking: Booking) -> None:
    first, *_ = [await made(booking, start=TEN + index * 2 * HOUR) for index in range(3)]
    assert (await update(booking, first, start=TEN + 8 * HOUR, minutes=60)).outcome == pb.OUTCOME_CONFIRMED
    assert rule_ids(await create(booking, start=TEN + 10 * HOUR)) == ["DAILY_QUOTA"]


async def test_a_refused_change_leaves_everything_as_it_was_but_is_on_record(booking: Booking) -> None:
    for index in range(3):
        await made(booking, start=TEN + DAY + index * 2 * HOUR)
    reservation = await made(booking)
    reply = await update(booking, reservation, start=TEN + DAY + 8 * HOUR, minutes=60)
    assert reply.outcome == pb.OUTCOME_DENIED
    assert [rule.rule_id for rule in reply.decision.rules] == ["DAILY_QUOTA"]
    assert reply.decision.rules[0].remedy.changes
    assert reply.reservation == reservation == await get(booking, reservation)
    assert "reservation.updated" not in await subjects(booking)
    stored = [row for row in await rows(booking.database, models.DECISION) if row["action"] == "UPDATE"]
    assert [(row["effect"], row["reservation_id"]) for row in stored] == [("DENY", reservation.reservation_id)]


async def test_shortened_to_forty_minutes_it_belongs_to_the_personal_account(booking: Booking) -> None:
    reservation = await made(booking)
    assert (await update(booking, reservation, minutes=40)).outcome == pb.OUTCOME_REDIRECTED
    assert await get(booking, reservation) == reservation
    assert (await update(booking, reservation, minutes=41)).outcome == pb.OUTCOME_CONFIRMED


async def test_its_own_hold_is_not_in_its_way(booking: Booking) -> None:
    reservation = await made(booking, participant_count=60)  # the only large room
    moved = await update(booking, reservation, start=TEN + 30 * MINUTE, minutes=60)
    assert (moved.outcome, moved.reservation.room.room_id) == (pb.OUTCOME_CONFIRMED, "large-1")


async def test_for_more_the_room_that_fits_is_taken_and_the_same_among_equals(booking: Booking) -> None:
    await made(booking, account_id="other")
    reservation = await made(booking)
    assert reservation.room.room_id == "small-2"
    assert (await update(booking, reservation, minutes=90)).reservation.room.room_id == "small-2"
    assert (await update(booking, reservation, participant_count=60)).reservation.room.room_id == "large-1"
    assert (await update(booking, reservation, participant_count=20)).reservation.room.room_id == "large-1"
    assert (await update(booking, reservation, minutes=120)).reservation.room.room_id == "small-2"


async def test_no_room_for_the_new_time_is_a_refusal(booking: Booking) -> None:
    for index in range(3):
        await made(booking, account_id=f"a{index}", start=TEN + 2 * HOUR)
    reservation = await made(booking)
    reply = await update(booking, reservation, start=TEN + 2 * HOUR, minutes=60)
    [rule] = reply.decision.rules
    assert (rule.rule_id, rule.remedy.changes[0].value) == ("NO_ROOM_FREE", '"2025-07-07T05:00:00Z"')
    assert await get(booking, reservation) == reservation


async def test_what_holds_a_room_is_not_given_up_for_what_support_may_decline(booking: Booking) -> None:
    reservation = await made(booking, participant_count=60)
    reply = await update(booking, reservation, participant_count=120)
    assert (reply.outcome, reply.decision.effect) == (pb.OUTCOME_DENIED, policy.EFFECT_ESCALATE)
    assert await get(booking, reservation) == reservation


async def test_a_pending_one_stays_with_support_or_is_confirmed(booking: Booking) -> None:
    pending = await made(booking, participant_count=120)
    reply = await update(booking, pending, start=TEN + HOUR, minutes=60)
    assert (reply.outcome, reply.reservation.state) == (
        pb.OUTCOME_PENDING_APPROVAL,
        pb.RESERVATION_STATE_PENDING_APPROVAL,
    )
    [deadline] = await rows(booking.database, models.DEADLINE)
    assert (deadline["kind"], deadline["due_time"]) == ("escalation", TEN + 30 * MINUTE)
    reply = await update(booking, pending, participant_count=99)
    assert (reply.outcome, reply.reservation.room.room_id) == (pb.OUTCOME_CONFIRMED, "large-1")
    assert (await subjects(booking))[1:] == ["reservation.updated"] * 2
    await pass_time(booking, TEN + HOUR + 30 * MINUTE)
    assert (await get(booking, pending)).state == pb.RESERVATION_STATE_NO_SHOW


async def test_an_approval_rests_on_the_changed_request(booking: Booking) -> None:
    pending = await made(booking, participant_count=120)
    await update(booking, pending, start=TEN + HOUR, minutes=60)
    record = await escalations.resolve(booking.transactions, pending.reservation_id, verdict(), whose=EVERYBODY)
    assert record.release_time == to_timestamp(TEN + HOUR + 30 * MINUTE)


async def test_the_cutoff_closes_changes_too(booking: Booking) -> None:
    reservation = await made(booking)
    booking.clock.time = TEN - 30 * MINUTE
    assert (await update(booking, reservation, minutes=90)).outcome == pb.OUTCOME_CONFIRMED
    booking.clock.time += SECOND
    reply = await update(booking, reservation, minutes=91)
    assert [rule.rule_id for rule in reply.decision.rules] == ["BOOKING_CUTOFF", "LATE_CHANGE"]
    booking.clock.time = TEN + MINUTE  # begun, nobody there yet
    assert (await update(booking, reservation, minutes=91)).outcome == pb.OUTCOME_DENIED


async def test_while_suspended_time_can_be_given_back_but_not_taken(booking: Booking) -> None:
    kept = await made(booking, start=TEN + DAY, minutes=120)
    for start in (TEN, TEN + 2 * HOUR):
        await made(booking, start=start)
    await pass_time(booking, TEN + 3 * HOUR)
    for fields, rules in (
        ({"start": TEN + DAY, "minutes": 121}, ["SUSPENSION"]),
        ({"start": TEN + DAY + MINUTE, "minutes": 120}, ["SUSPENSION"]),
        ({"start": TEN + DAY + HOUR, "minutes": 60}, []),
    ):
        reply = await update(booking, kept, **fields)
        assert [rule.rule_id for rule in reply.decision.rules] == rules


async def test_a_suspension_that_is_due_is_dealt_with_first(booking: Booking) -> None:
    kept = await made(booking, start=TEN + DAY)
    for start in (TEN, TEN + 2 * HOUR):
        await made(booking, start=start)
    booking.clock.time = TEN + 3 * HOUR
    reply = await update(booking, kept, start=TEN + DAY, minutes=90)
    assert [rule.rule_id for rule in reply.decision.rules] == ["SUSPENSION"]


async def test_the_same_request_changes_once(booking: Booking) -> None:
    reservation = await made(booking)
    fields = {"start": TEN + HOUR, "minutes": 60, "request_id": "once"}
    replies = await asyncio.gather(*(update(booking, reservation, **fields) for _ in range(4)))
    assert all(reply == replies[0] for reply in replies)
    assert (await get(booking, reservation)).version == 2
    with pytest.raises(errors.RpcError) as caught:
        await update(booking, reservation, minutes=90, request_id="once")
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS
    with pytest.raises(errors.RpcError) as caught:
        await create(booking, request_id="once")
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS


async def test_a_stale_version_is_told(booking: Booking) -> None:
    reservation = await made(booking)
    await update(booking, reservation, minutes=90, version=1)
    with pytest.raises(errors.RpcError) as caught:
        await update(booking, reservation, minutes=100, version=1)
    assert caught.value.code is grpc.StatusCode.ABORTED
    assert (await get(booking, reservation)).version == 2


async def test_changes_and_requests_at_once_do_not_pass_the_quota(replicas: list[Booking]) -> None:
    """Two moved onto a day and three new ones there: three in all, however they interleave."""
    outside = [await made(replicas[0], start=TEN + DAY + index * HOUR) for index in range(2)]
    moves = [
        updates.update(
            replicas[index].transactions,
            replicas[index].meetings,
            change(each.reservation_id, start=TEN + (index + 4) * HOUR, minutes=60),
            of_account("booker"),
            "booker",
        )
        for index, each in enumerate(outside)
    ]
    news = [create(replicas[index % 2], start=TEN + index * HOUR) for index in range(3)]
    await asyncio.gather(*moves, *news)
    starts = [row["start_time"] for row in await rows(replicas[0].database, models.RESERVATION)]
    assert sum(start < MONDAY + 16 * HOUR for start in starts) == 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "start_time"),
        ({"minutes": -1}, "end_time"),
        ({"minutes": 25 * 60}, "end_time"),
        ({"start": MONDAY - HOUR, "minutes": 60}, "start_time"),
        ({"participant_count": 0}, "participant_count"),
        ({"version": -1, "minutes": 90}, "version"),
        ({"request_id": "no spaces", "minutes": 90}, "request_id"),
    ],
)
async def test_bad_input_names_the_field(booking: Booking, fields: dict[str, Any], field: str) -> None:
    reservation = await made(booking)
    with pytest.raises(errors.RpcError) as caught:
        await update(booking, reservation, **fields)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(caught.value)
    assert await get(booking, reservation) == reservation


async def test_anothers_reservation_is_not_there(booking: Booking) -> None:
    reservation = await made(booking)
    with pytest.raises(errors.RpcError) as caught:
        await updates.update(
            booking.transactions,
            booking.meetings,
            change(reservation.reservation_id, minutes=90),
            of_account("other"),
            "other",
        )
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


async def test_without_the_policy_nothing_changes(booking: Booking) -> None:
    reservation = await made(booking)
    booking.policy.away = True
    with pytest.raises(errors.RpcError) as caught:
        await update(booking, reservation, minutes=90)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert await get(booking, reservation) == reservation


async def test_the_stored_question_can_be_decided_again(booking: Booking) -> None:
    reservation = await made(booking)
    reply = await update(booking, reservation, minutes=90)
    [row] = [row for row in await rows(booking.database, models.DECISION) if row["action"] == "UPDATE"]
    question = pdp.DecideRequest.FromString(row["request"])
    assert booking.policy.policy.replay(question, reply.decision) == reply.decision
