"""Violations that are taken back, suspensions that are lifted, quota that comes back."""

import asyncio
from typing import Any, cast

import grpc
import pytest
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import attendance, endings, models, standing
from services.booking.scopes import EVERYBODY, of_account
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, to_timestamp
from services.platform.messaging import outbox
from services.platform.serving import errors, rpc
from tests.booking.builders import TEN, booker
from tests.booking.conftest import Booking
from tests.booking.test_admission import create, rows, rule_ids
from tests.booking.test_transitions import get, made, pass_time, subjects


async def missed(booking: Booking, *starts: int) -> list[pb.Reservation]:
    """Reservations that nobody came to."""
    reservations = []
    for start in starts:
        booking.clock.time = start - HOUR
        reservations.append(await made(booking, start=start))
        await pass_time(booking, start + 30 * MINUTE)
    return reservations


async def violation_ids(booking: Booking) -> list[str]:
    found = sorted(await rows(booking.database, models.VIOLATION), key=lambda row: row["violation_time"])
    return [row["violation_id"] for row in found]


async def test_given_back_early_the_room_is_free_at_once_and_the_quota_stays_used(booking: Booking) -> None:
    reservation = await made(booking, participant_count=60, minutes=180)
    booking.clock.time = TEN
    await attendance.report(booking.transactions, reservation.reservation_id, TEN, "gateway")
    booking.clock.time = TEN + 20 * MINUTE
    record = await endings.end(booking.transactions, reservation.reservation_id, of_account("booker"), "booker")
    assert record.state == pb.RESERVATION_STATE_COMPLETED
    assert record.update_time == to_timestamp(TEN + 20 * MINUTE)
    again = await endings.end(booking.transactions, reservation.reservation_id, of_account("booker"), "booker")
    assert again == record
    assert rule_ids(await create(booking, account_id="other", start=TEN + HOUR, participant_count=60)) == []
    for index in (4, 6):
        await made(booking, start=TEN + index * HOUR)
    assert rule_ids(await create(booking, start=TEN + 8 * HOUR)) == ["DAILY_QUOTA"]
    assert (await subjects(booking)).count("reservation.completed") == 1


async def test_a_waived_violation_lifts_the_suspension_it_led_to(booking: Booking) -> None:
    await missed(booking, TEN, TEN + 2 * HOUR)
    assert rule_ids(await create(booking, start=TEN + DAY)) == ["SUSPENSION"]
    _, second = await violation_ids(booking)
    reply = await standing.waive(booking.transactions, second, "support", "the link was wrong", whose=EVERYBODY)
    violation = reply.violation
    assert (violation.waived, violation.waived_by, violation.waive_note) == (True, "support", "the link was wrong")
    assert violation.waive_time == reply.lifted.lift_time == to_timestamp(booking.clock.time)
    assert rule_ids(await create(booking, start=TEN + DAY)) == []
    told = await subjects(booking)
    assert told[told.index("account.suspended") + 1 :][:3] == [
        "reservation.denied",
        "account.violation_waived",
        "account.reinstated",
    ]
    assert {row["kind"] for row in await rows(booking.database, models.DEADLINE)} == {"attendance", "completion"}


async def test_the_other_violation_counts_again(booking: Booking) -> None:
    await missed(booking, TEN, TEN + 2 * HOUR)
    _, second = await violation_ids(booking)
    await standing.waive(booking.transactions, second, "support", "sorry", whose=EVERYBODY)
    await missed(booking, TEN + 2 * DAY)
    assert rule_ids(await create(booking, start=TEN + 3 * DAY)) == ["SUSPENSION"]


async def test_a_waived_violation_does_not_count(booking: Booking) -> None:
    await missed(booking, TEN)
    [first] = await violation_ids(booking)
    reply = await standing.waive(booking.transactions, first, "support", "sorry", whose=EVERYBODY)
    assert not reply.HasField("lifted")
    await missed(booking, TEN + 2 * HOUR)
    assert rule_ids(await create(booking, start=TEN + DAY)) == []


async def test_waiving_again_changes_nothing(replicas: list[Booking]) -> None:
    await missed(replicas[0], TEN, TEN + 2 * HOUR)
    first, _ = await violation_ids(replicas[0])
    replies = await asyncio.gather(
        *(
            standing.waive(each.transactions, first, "support", f"note {index}", whose=EVERYBODY)
            for index, each in enumerate(replicas * 3)
        )
    )
    assert all(reply == replies[0] for reply in replies)
    assert replies[0].HasField("lifted")
    told = await subjects(replicas[0])
    assert (told.count("account.violation_waived"), told.count("account.reinstated")) == (1, 1)


async def test_a_suspension_that_is_over_is_not_lifted(booking: Booking) -> None:
    await missed(booking, TEN, TEN + 2 * HOUR)
    await pass_time(booking, TEN + 10 * DAY)
    for each in await violation_ids(booking):
        assert not (await standing.waive(booking.transactions, each, "support", "late", whose=EVERYBODY)).HasField(
            "lifted"
        )
    assert (await subjects(booking)).count("account.reinstated") == 1


async def test_an_unknown_violation_is_not_found(booking: Booking) -> None:
    with pytest.raises(errors.RpcError) as caught:
        await standing.waive(booking.transactions, "vio_none", "support", "why", whose=EVERYBODY)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


async def test_events_of_an_account_are_numbered_without_a_gap(booking: Booking) -> None:
    await missed(booking, TEN, TEN + 2 * HOUR)
    for each in await violation_ids(booking):
        await standing.waive(booking.transactions, each, "support", "sorry", whose=EVERYBODY)
    stored = await rows(booking.database, outbox.TABLE)
    numbers = [row["entity_seq"] for row in stored if ".account." in row["subject"]]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("entered", [TEN, TEN + 30 * MINUTE])
async def test_a_late_proof_annuls_the_violation_and_its_suspension(booking: Booking, entered: int) -> None:
    first, _ = await missed(booking, TEN, TEN + 2 * HOUR)
    record = await attendance.report(booking.transactions, first.reservation_id, entered, "gateway")
    assert (record.state, record.enter_time) == (pb.RESERVATION_STATE_COMPLETED, to_timestamp(entered))
    waived = [row for row in await rows(booking.database, models.VIOLATION) if row["waived"]]
    assert [(row["reservation_id"], row["waived_by"]) for row in waived] == [(first.reservation_id, "system")]
    assert rule_ids(await create(booking, start=TEN + DAY)) == []
    assert (await subjects(booking))[-4:] == [
        "reservation.completed",
        "account.violation_waived",
        "account.reinstated",
        "reservation.confirmed",
    ]
    again = await attendance.report(booking.transactions, first.reservation_id, entered, "gateway")
    assert again == record


@pytest.mark.parametrize("entered", [TEN - HOUR - SECOND, TEN - 1, TEN + 30 * MINUTE + SECOND, TEN + HOUR])
async def test_what_proves_nothing_annuls_nothing(booking: Booking, entered: int) -> None:
    [first] = await missed(booking, TEN)
    booking.clock.time = TEN + 2 * HOUR
    with pytest.raises(errors.RpcError):
        await attendance.report(booking.transactions, first.reservation_id, entered, "gateway")
    assert (await get(booking, first)).state == pb.RESERVATION_STATE_NO_SHOW
    assert not any(row["waived"] for row in await rows(booking.database, models.VIOLATION))


async def test_a_standing_says_how_near_violations_are_to_closing_and_until_when_it_is_closed(booking: Booking) -> None:
    await missed(booking, TEN)
    seen = await standing_of(booking)
    assert (seen.closing.violations, seen.closing.limit, seen.closing.within_seconds) == (1, 2, 7 * 86_400)
    assert not seen.HasField("closed_until")
    await missed(booking, TEN + 2 * HOUR)
    seen = await standing_of(booking)
    assert seen.closing.violations == 0  # the suspension has used them up
    assert seen.closed_until == seen.suspension.end_time
    for each in await violation_ids(booking):
        await standing.waive(booking.transactions, each, "support", "sorry", whose=EVERYBODY)
    assert not (await standing_of(booking)).HasField("closed_until")


async def test_a_standing_is_of_the_day_that_is_asked_for(booking: Booking) -> None:
    for start in (TEN, TEN + 2 * HOUR, TEN + DAY):
        await create(booking, start=start)
    today, tomorrow = await standing_of(booking), await standing_of(booking, TEN + DAY)
    assert [quota.usage.used for quota in today.quotas] == [2, 3]
    assert [quota.usage.used for quota in tomorrow.quotas] == [1, 3]
    assert [quota.remaining for quota in tomorrow.quotas] == [2, 7]


async def standing_of(booking: Booking, moment: int | None = None) -> pb.Standing:
    rpc._principal.set(booker())
    asked = api.GetStandingRequest(time=None if moment is None else to_timestamp(moment))
    return (await booking.service.GetStanding(asked, cast(Any, None))).standing
