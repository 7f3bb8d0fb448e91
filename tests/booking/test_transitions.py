"""What happens to a reservation after it was made, by people and by the clock."""

import asyncio
import importlib.resources
from typing import Any

import grpc
import pytest
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import attendance, endings, escalations, models, queries, standing, states, updates
from services.booking.escalations import Resolution
from services.booking.scopes import EVERYBODY, of_account
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, from_timestamp, to_timestamp
from services.platform.messaging import outbox
from services.platform.serving import errors
from services.policy.decisions import Policy
from tests.booking.builders import MONDAY, TEN, change
from tests.booking.conftest import Booking
from tests.booking.test_admission import create, rows, rule_ids
from tests.patience import PATIENCE_SECONDS


async def made(booking: Booking, **fields: Any) -> pb.Reservation:
    reply = await create(booking, **fields)
    assert reply.HasField("reservation")
    return reply.reservation


async def get(booking: Booking, reservation: pb.Reservation) -> pb.Reservation:
    record = await booking.database.read(lambda c: queries.read_reservation(c, reservation.reservation_id))
    assert record
    return record


async def state(booking: Booking, reservation: pb.Reservation) -> str:
    return states.from_proto((await get(booking, reservation)).state)


async def subjects(booking: Booking) -> list[str]:
    return [row["subject"].removeprefix("yunhui.booking.") for row in await rows(booking.database, outbox.TABLE)]


async def pass_time(booking: Booking, until: int) -> None:
    booking.clock.time = until
    await booking.deadlines.catch_up()


async def test_cancelled_before_the_cutoff_gives_room_and_quota_back(booking: Booking) -> None:
    reservations = [await made(booking, start=TEN + index * 2 * HOUR) for index in range(3)]
    booking.clock.time = TEN - 30 * MINUTE
    reply = await endings.cancel(
        booking.transactions, reservations[0].reservation_id, of_account("booker"), "booker", "not needed"
    )
    assert reply.quota_returned
    assert (reply.reservation.version, reply.reservation.note) == (2, "not needed")
    assert reply.reservation.state == pb.RESERVATION_STATE_CANCELLED
    assert rule_ids(await create(booking, start=TEN + 6 * HOUR)) == []
    assert (await subjects(booking))[-2:] == ["reservation.cancelled", "reservation.confirmed"]


async def test_cancelled_after_the_cutoff_gives_the_room_back_but_not_the_quota(booking: Booking) -> None:
    first, *_ = [await made(booking, start=TEN + index * 2 * HOUR) for index in range(3)]
    booking.clock.time = TEN - 30 * MINUTE + SECOND
    reply = await endings.cancel(booking.transactions, first.reservation_id, of_account("booker"), "booker", "")
    assert not reply.quota_returned
    assert [rule.rule_id for rule in reply.decision.rules] == ["LATE_CANCELLATION"]
    assert rule_ids(await create(booking, start=TEN + 6 * HOUR)) == ["DAILY_QUOTA"]
    assert await rows(booking.database, models.DEADLINE)  # only those of the two others
    assert first.reservation_id not in {row["entity_id"] for row in await rows(booking.database, models.DEADLINE)}


async def test_cancelling_twice_answers_the_same_and_tells_once(booking: Booking) -> None:
    reservation = await made(booking)
    replies = await asyncio.gather(
        *(
            endings.cancel(booking.transactions, reservation.reservation_id, of_account("booker"), "booker", "")
            for _ in range(4)
        )
    )
    assert all(reply == replies[0] for reply in replies)
    assert (await subjects(booking)).count("reservation.cancelled") == 1


@pytest.mark.parametrize("owner", ["somebody-else", ""])
async def test_anothers_reservation_is_not_there(booking: Booking, owner: str) -> None:
    reservation = await made(booking)
    with pytest.raises(errors.RpcError) as caught:
        await endings.cancel(booking.transactions, reservation.reservation_id, of_account(owner), owner, "")
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert await state(booking, reservation) == "CONFIRMED"


async def test_nobody_at_thirty_minutes_releases_the_room_and_records_one_violation(booking: Booking) -> None:
    reservation = await made(booking)
    await pass_time(booking, TEN + 30 * MINUTE - 1)
    assert await state(booking, reservation) == "CONFIRMED"
    await pass_time(booking, TEN + 30 * MINUTE)
    assert await state(booking, reservation) == "NO_SHOW"
    [violation] = await rows(booking.database, models.VIOLATION)
    assert (violation["violation_time"], violation["suspension_id"]) == (TEN + 30 * MINUTE, None)
    assert (await subjects(booking))[1:] == ["reservation.released", "account.violation_recorded"]
    await pass_time(booking, TEN + 3 * HOUR)
    assert len(await rows(booking.database, models.VIOLATION)) == 1
    assert await rows(booking.database, models.DEADLINE) == []


async def test_a_released_room_is_free_at_once_but_the_quota_is_kept(booking: Booking) -> None:
    for index in range(3):
        await made(booking, start=TEN + index * HOUR, minutes=240, account_id=f"a{index}", participant_count=20)
    assert rule_ids(await create(booking, account_id="b", start=TEN + 2 * HOUR, participant_count=20)) == [
        "NO_ROOM_FREE"
    ]
    await pass_time(booking, TEN + 30 * MINUTE)
    assert rule_ids(await create(booking, account_id="b", start=TEN + 2 * HOUR, participant_count=20)) == []


@pytest.mark.parametrize("entered", [TEN, TEN + SECOND, TEN + 30 * MINUTE - SECOND, TEN + 30 * MINUTE])
async def test_whoever_entered_in_time_keeps_the_room(booking: Booking, entered: int) -> None:
    reservation = await made(booking)
    booking.clock.time = entered
    record = await attendance.report(booking.transactions, reservation.reservation_id, entered, "gateway")
    assert (record.state, record.enter_time.seconds * 1000) == (pb.RESERVATION_STATE_IN_USE, entered)
    await pass_time(booking, TEN + 30 * MINUTE)
    assert await state(booking, reservation) == "IN_USE"
    again = await attendance.report(booking.transactions, reservation.reservation_id, entered + MINUTE, "gateway")
    assert again == await get(booking, reservation)
    await pass_time(booking, TEN + HOUR)
    assert await state(booking, reservation) == "COMPLETED"
    assert await rows(booking.database, models.VIOLATION) == []


@pytest.mark.parametrize("entered", [TEN - HOUR, TEN - 59 * MINUTE, TEN - 1])
async def test_whoever_looks_in_before_the_start_takes_nothing_from_the_owner(booking: Booking, entered: int) -> None:
    """It is noted once; nobody came by that, and it is no late proof either."""
    reservation = await made(booking)
    booking.clock.time = TEN - 31 * MINUTE
    noted = await attendance.report(booking.transactions, reservation.reservation_id, entered, "gateway")
    assert (noted.state, noted.early_enter_time) == (pb.RESERVATION_STATE_CONFIRMED, to_timestamp(entered))
    assert not noted.HasField("enter_time")
    assert noted == await attendance.report(booking.transactions, reservation.reservation_id, TEN - 2, "gateway")
    changed = await updates.update(
        booking.transactions,
        booking.meetings,
        change(reservation.reservation_id, minutes=90),
        of_account("booker"),
        "booker",
    )
    assert changed.reservation.early_enter_time == to_timestamp(entered)
    await pass_time(booking, TEN + 30 * MINUTE)
    assert await state(booking, reservation) == "NO_SHOW"
    with pytest.raises(errors.RpcError) as caught:
        await attendance.report(booking.transactions, reservation.reservation_id, entered, "gateway")
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    [violation] = await rows(booking.database, models.VIOLATION)
    assert not violation["waived"]


async def test_who_looked_in_does_not_keep_the_owner_from_cancelling_or_moving(booking: Booking) -> None:
    """The note stays with the time at which somebody looked in."""
    first, second = await made(booking), await made(booking, start=TEN + 4 * HOUR)
    booking.clock.time = TEN - 59 * MINUTE
    for each in (first, second):
        moment = from_timestamp(each.start_time) - HOUR
        booking.clock.time = max(booking.clock.time, moment)
        await attendance.report(booking.transactions, each.reservation_id, moment, "gateway")
        if each is first:
            assert (
                await endings.cancel(booking.transactions, each.reservation_id, of_account("booker"), "booker", "")
            ).quota_returned
    moved = await updates.update(
        booking.transactions,
        booking.meetings,
        change(second.reservation_id, start=TEN + 6 * HOUR, minutes=60),
        EVERYBODY,
        "booker",
    )
    assert not moved.reservation.HasField("early_enter_time")
    assert await state(booking, second) == "CONFIRMED"


async def test_how_early_counts_is_what_the_policy_says(booking: Booking) -> None:
    """Ten minutes before the start, in a policy that says so: known with the reservation, judged by the policy."""
    rules = (importlib.resources.files("services.policy") / "rules" / "default.yaml").read_text()
    lenient = "early_entry_counts_seconds: {value: 600,"
    booking.policy.policy = Policy.load(rules.replace("early_entry_counts_seconds: {value: 0,", lenient), "default@2")
    first, second = await made(booking), await made(booking, start=TEN + HOUR)
    assert first.attendance_start_time == to_timestamp(TEN - 10 * MINUTE)
    booking.clock.time = TEN
    for each, early, expected in ((first, 10 * MINUTE, "IN_USE"), (second, 10 * MINUTE + 1, "CONFIRMED")):
        moment = from_timestamp(each.start_time) - early
        booking.clock.time = max(booking.clock.time, moment)
        await attendance.report(booking.transactions, each.reservation_id, moment, "gateway")
        assert await state(booking, each) == expected
    await pass_time(booking, TEN + 90 * MINUTE)
    assert await state(booking, second) == "NO_SHOW"


async def test_whoever_entered_too_late_does_not(booking: Booking) -> None:
    """Also when the release itself is late: what counts is when, not which message came first."""
    reservation = await made(booking)
    booking.clock.time = TEN + 31 * MINUTE
    with pytest.raises(errors.RpcError) as caught:
        await attendance.report(booking.transactions, reservation.reservation_id, TEN + 30 * MINUTE + SECOND, "gateway")
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    await booking.deadlines.catch_up()
    assert await state(booking, reservation) == "NO_SHOW"


async def test_whoever_was_there_on_another_occasion_does_not_count(booking: Booking) -> None:
    reservation = await made(booking)
    booking.clock.time = TEN
    with pytest.raises(errors.RpcError) as caught:
        await attendance.report(booking.transactions, reservation.reservation_id, TEN - HOUR - SECOND, "gateway")
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert await state(booking, reservation) == "CONFIRMED"


async def no_shows(booking: Booking, first: int, second: int) -> None:
    """Two reservations that nobody comes to."""
    for start in (first, second):
        booking.clock.time = max(booking.clock.time, start - 7 * DAY + 8 * HOUR)
        await made(booking, start=start)
    await pass_time(booking, second + 30 * MINUTE)


async def test_two_in_a_week_suspend_for_exactly_seven_days(booking: Booking) -> None:
    second = TEN + DAY
    await no_shows(booking, TEN, second)
    from_time = second + 30 * MINUTE
    [suspension] = await rows(booking.database, models.SUSPENSION)
    assert (suspension["start_time"], suspension["end_time"]) == (from_time, from_time + 7 * DAY)
    assert {row["suspension_id"] for row in await rows(booking.database, models.VIOLATION)} == {
        suspension["suspension_id"]
    }
    assert (await subjects(booking))[-3:] == [
        "reservation.released",
        "account.violation_recorded",
        "account.suspended",
    ]
    booking.clock.time = from_time + 7 * DAY - 1
    assert rule_ids(await create(booking, start=from_time + 8 * DAY - 30 * MINUTE)) == ["SUSPENSION"]
    booking.clock.time = from_time + 7 * DAY
    assert rule_ids(await create(booking, start=from_time + 8 * DAY - 30 * MINUTE)) == []
    assert "account.reinstated" in await subjects(booking)


@pytest.mark.parametrize(("apart", "suspended"), [(7 * DAY - SECOND, True), (7 * DAY, False)])
async def test_exactly_a_week_apart_does_not_count_together(booking: Booking, apart: int, *, suspended: bool) -> None:
    await no_shows(booking, TEN, TEN + apart)
    assert len(await rows(booking.database, models.VIOLATION)) == 2
    assert bool(await rows(booking.database, models.SUSPENSION)) is suspended


async def test_a_violation_is_used_up_by_the_suspension_it_caused(booking: Booking) -> None:
    for start in (TEN, TEN + 2 * HOUR, TEN + 4 * HOUR):
        await made(booking, start=start)
    await pass_time(booking, TEN + 5 * HOUR)
    assert len(await rows(booking.database, models.VIOLATION)) == 3
    assert len(await rows(booking.database, models.SUSPENSION)) == 1


async def test_existing_reservations_stay_and_can_be_cancelled_while_suspended(booking: Booking) -> None:
    kept = await made(booking, start=TEN + 3 * DAY)
    await no_shows(booking, TEN, TEN + 2 * HOUR)
    assert await state(booking, kept) == "CONFIRMED"
    reply = await endings.cancel(booking.transactions, kept.reservation_id, of_account("booker"), "booker", "")
    assert reply.quota_returned


async def test_late_after_a_stop_they_catch_up_in_order_as_of_when_they_were_due(booking: Booking) -> None:
    for start in (TEN, TEN + DAY):
        await made(booking, start=start)
    await made(booking, start=TEN + 2 * DAY, participant_count=120)
    await pass_time(booking, MONDAY + 30 * DAY)
    assert [row["violation_time"] for row in await rows(booking.database, models.VIOLATION)] == [
        TEN + 30 * MINUTE,
        TEN + DAY + 30 * MINUTE,
    ]
    assert (await subjects(booking))[3:] == [
        "reservation.released",
        "account.violation_recorded",
        "reservation.released",
        "account.violation_recorded",
        "account.suspended",
        "reservation.expired",
        "account.reinstated",
    ]


async def test_each_deadline_happens_once_with_two_replicas(replicas: list[Booking]) -> None:
    for index in range(12):
        await made(replicas[0], account_id=f"a{index}", start=TEN + index % 6 * HOUR, participant_count=12)
    replicas[0].clock.time = TEN + DAY
    await asyncio.gather(*(replica.deadlines.catch_up() for replica in replicas))
    told = await subjects(replicas[0])
    assert told.count("reservation.released") == 12
    assert told.count("account.violation_recorded") == 12
    assert len(await rows(replicas[0].database, models.VIOLATION)) == 12


async def test_without_the_policy_nobody_is_judged_and_nothing_is_forgotten(booking: Booking) -> None:
    reservation = await made(booking)
    booking.policy.away = True
    with pytest.raises(errors.RpcError):
        await pass_time(booking, TEN + 40 * MINUTE)
    assert await state(booking, reservation) == "CONFIRMED"
    booking.policy.away = False
    await booking.deadlines.catch_up()
    assert await state(booking, reservation) == "NO_SHOW"


async def test_a_deadline_that_cannot_be_dealt_with_does_not_hold_the_rest_up(booking: Booking) -> None:
    stuck, other = await made(booking), await made(booking, account_id="other")

    async def judge(reservation_id: str, due: int) -> None:
        if reservation_id == stuck.reservation_id:
            raise RuntimeError("cannot")
        await attendance.judge(booking.transactions, reservation_id, due)

    booking.deadlines.handlers = {**booking.deadlines.handlers, "attendance": judge}
    with pytest.raises(RuntimeError):
        await pass_time(booking, TEN + 30 * MINUTE)
    assert await state(booking, other) == "NO_SHOW"


async def test_the_loop_follows_a_clock_that_jumps(booking: Booking) -> None:
    reservation = await made(booking)
    loop = asyncio.create_task(booking.deadlines.run())
    await asyncio.sleep(0.05)
    booking.clock.time = TEN + 30 * MINUTE
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await state(booking, reservation) != "NO_SHOW":  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.01)
    loop.cancel()


async def test_the_end_of_a_suspension_is_told_once_however_often_it_is_dealt_with(replicas: list[Booking]) -> None:
    await no_shows(replicas[0], TEN, TEN + 2 * HOUR)
    [suspension] = await rows(replicas[0].database, models.SUSPENSION)
    ends = suspension["end_time"]
    await asyncio.gather(
        *(standing.reinstate(each.transactions, suspension["suspension_id"], ends) for each in replicas * 3)
    )
    assert (await subjects(replicas[0])).count("account.reinstated") == 1


async def test_a_policy_that_is_away_is_asked_once_and_not_for_every_deadline(booking: Booking) -> None:
    """Else whoever asks for a room meanwhile would wait for all of them in turn."""
    for index in range(5):
        await made(booking, account_id=f"a{index}", start=TEN + index % 2 * HOUR)
    asked = []
    booking.policy.away = True

    async def note(reservation_id: str, due: int) -> None:
        asked.append(reservation_id)
        await attendance.judge(booking.transactions, reservation_id, due)

    booking.deadlines.handlers = {**booking.deadlines.handlers, "attendance": note}
    with pytest.raises(errors.RpcError):
        await pass_time(booking, TEN + 3 * HOUR)
    assert len(asked) == 1


async def test_who_has_no_deadline_due_does_not_wait_for_those_who_have(booking: Booking) -> None:
    """A deadline that cannot be dealt with closes its own account and no other."""
    await made(booking, account_id="stuck")

    async def fail(_: str, __: int) -> None:
        raise RuntimeError("cannot")

    booking.deadlines.handlers = {**booking.deadlines.handlers, "attendance": fail}
    booking.clock.time = TEN + 40 * MINUTE
    later = TEN + 5 * HOUR
    stuck, free = await asyncio.gather(
        *(create(booking, account_id=name, start=later) for name in ("stuck", "free")), return_exceptions=True
    )
    assert isinstance(stuck, errors.RpcError)
    assert stuck.code is grpc.StatusCode.UNAVAILABLE
    assert not isinstance(free, BaseException)
    assert free.HasField("reservation")


def verdict(*, approve: bool = True, note: str = "fine", room_id: str = "") -> Resolution:
    return Resolution(approve=approve, actor="support", note=note, room_id=room_id)


async def test_an_approved_escalation_gets_a_room_and_lives_on_like_any_other(booking: Booking) -> None:
    pending = await made(booking, participant_count=120)
    record = await escalations.resolve(booking.transactions, pending.reservation_id, verdict(), whose=EVERYBODY)
    assert (record.state, record.room.room_id) == (pb.RESERVATION_STATE_CONFIRMED, "large-1")
    assert (record.version, record.note) == (2, "fine")
    deadlines = {row["kind"]: row["due_time"] for row in await rows(booking.database, models.DEADLINE)}
    assert deadlines == {"attendance": TEN + 30 * MINUTE, "completion": TEN + HOUR}
    assert (await subjects(booking))[-1] == "reservation.approved"
    await pass_time(booking, TEN + 30 * MINUTE)
    assert await state(booking, pending) == "NO_SHOW"


async def test_a_declined_escalation_gives_the_quota_back(booking: Booking) -> None:
    pending = [await made(booking, participant_count=120, start=TEN + index * 2 * HOUR) for index in range(3)]
    assert rule_ids(await create(booking, start=TEN + 8 * HOUR)) == ["DAILY_QUOTA"]
    record = await escalations.resolve(
        booking.transactions,
        pending[0].reservation_id,
        verdict(approve=False, note="too many"),
        whose=EVERYBODY,
    )
    assert (record.state, record.note) == (pb.RESERVATION_STATE_DECLINED, "too many")
    assert not record.HasField("room")
    assert rule_ids(await create(booking, start=TEN + 8 * HOUR)) == []
    assert pending[0].reservation_id not in {row["entity_id"] for row in await rows(booking.database, models.DEADLINE)}


async def test_approving_takes_a_free_room_or_changes_nothing(booking: Booking) -> None:
    first, second = [await made(booking, participant_count=120, account_id=name) for name in ("a", "b")]
    results = await asyncio.gather(
        *(
            escalations.resolve(booking.transactions, each.reservation_id, verdict(), whose=EVERYBODY)
            for each in (first, second)
        ),
        return_exceptions=True,
    )
    [error] = [each for each in results if isinstance(each, errors.RpcError)]
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert sorted([await state(booking, first), await state(booking, second)]) == ["CONFIRMED", "PENDING_APPROVAL"]


@pytest.mark.parametrize("approve", [True, False])
async def test_the_same_answer_to_an_escalation_again_gets_the_same_reservation(
    replicas: list[Booking], approve: bool
) -> None:
    """Whose answer was lost asks again; another answer, or another person's, comes too late."""
    booking = replicas[0]
    pending = (await made(booking, participant_count=120)).reservation_id
    room = {"room_id": "large-1"} if approve else {}
    answers = await asyncio.gather(
        *(
            escalations.resolve(each.transactions, pending, verdict(approve=approve, **room), whose=EVERYBODY)
            for each in replicas * 2
        )
    )
    assert all(answer == answers[0] for answer in answers)
    told = "approved" if approve else "declined"
    assert (await subjects(booking)).count(f"reservation.{told}") == 1
    others = [
        verdict(approve=not approve),
        Resolution(approve=approve, actor="another", note="fine"),
        *([verdict(room_id="small-1")] if approve else []),
    ]
    for other in others:
        with pytest.raises(errors.RpcError) as caught:
            await escalations.resolve(booking.transactions, pending, other, whose=EVERYBODY)
        assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    if approve:
        await endings.cancel(booking.transactions, pending, of_account("booker"), "booker", "")
        again = await escalations.resolve(booking.transactions, pending, verdict(), whose=EVERYBODY)
        assert again.state == pb.RESERVATION_STATE_CANCELLED


@pytest.mark.parametrize("room_id", ["small-1", "nowhere"])
async def test_a_room_that_does_not_fit_is_not_given(booking: Booking, room_id: str) -> None:
    pending = await made(booking, participant_count=120)
    with pytest.raises(errors.RpcError):
        await escalations.resolve(
            booking.transactions, pending.reservation_id, verdict(room_id=room_id), whose=EVERYBODY
        )
    assert await state(booking, pending) == "PENDING_APPROVAL"


async def test_an_answer_that_comes_too_late_is_none(booking: Booking) -> None:
    pending = await made(booking, participant_count=120)
    booking.clock.time = TEN - 30 * MINUTE
    for _ in range(2):  # before and after the deadline was dealt with
        with pytest.raises(errors.RpcError) as caught:
            await escalations.resolve(booking.transactions, pending.reservation_id, verdict(), whose=EVERYBODY)
        assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
        await booking.deadlines.catch_up()
    assert await state(booking, pending) == "EXPIRED"
