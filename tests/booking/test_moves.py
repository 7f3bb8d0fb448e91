"""Who moves, shortens or puts off a reservation keeps no room past the cut-off without its counting as used.

Each law is tried under the rules as delivered, and under a draft without the rule that refuses late changes.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import attendance, endings, escalations, models, standing, states, updates
from services.booking.scopes import EVERYBODY, of_account
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, from_timestamp, to_timestamp
from services.platform.serving import errors
from services.policy.decisions import Policy
from tests.booking.builders import MONDAY, TEN, change
from tests.booking.conftest import Booking, LocalPolicy, ManualClock
from tests.booking.test_admission import create, rows, rule_ids
from tests.booking.test_transitions import get, made, pass_time, state, verdict
from tests.booking.test_updates import update
from tests.policy.samples import SOURCE

NINE = TEN - HOUR
LATE_CHANGE = SOURCE[SOURCE.index("  # Else a reservation could be moved") : SOURCE.index("  # 以上 includes")]


@pytest.fixture(scope="session")
def lenient() -> Policy:
    """Nothing refuses a late change."""
    return Policy.load(SOURCE.replace(LATE_CHANGE, ""), "default@2")


def rules(reply: api.UpdateReservationResponse) -> list[str]:
    return [rule.rule_id for rule in reply.decision.rules]


async def used(booking: Booking, moment: int, account: str = "booker") -> int:
    """Of the daily quota on the day of `moment`."""
    record = await booking.database.read(lambda c: standing.read(c, account, booking.clock.time))
    usage = await booking.policy.usage(standing.to_usage_request(record, moment, booking.clock.time))
    return next(quota.usage.used for quota in usage.quotas if quota.usage.rule_id == "DAILY_QUOTA")


# moved from hour to hour


async def move_from_hour_to_hour(booking: Booking) -> int:
    """Three reservations at nine, each moved on by an hour, 29 minutes after its start, and cancelled at last.

    How many times a room was held when nobody else could take it any more.
    """
    mine = [await made(booking, start=NINE) for _ in range(3)]
    held = 3
    for hour in range(1, 9):
        await pass_time(booking, NINE + (hour - 1) * HOUR + 29 * MINUTE)
        for each in mine:
            if (await get(booking, each)).state == pb.RESERVATION_STATE_CONFIRMED:
                reply = await update(booking, each, start=NINE + hour * HOUR, minutes=60)
                held += reply.outcome == pb.OUTCOME_CONFIRMED
    await pass_time(booking, NINE + 8 * HOUR + 29 * MINUTE)
    for each in mine:
        if (await get(booking, each)).state == pb.RESERVATION_STATE_CONFIRMED:
            await endings.cancel(booking.transactions, each.reservation_id, of_account("booker"), "booker", "")
    return held


async def test_27_times_a_room_of_one_day_are_not_to_be_had(booking: Booking) -> None:
    assert await move_from_hour_to_hour(booking) == 3
    assert await used(booking, NINE) == 3
    assert len(await rows(booking.database, models.VIOLATION)) == 3


async def test_nor_under_rules_that_let_people_move_late(booking: Booking, lenient: Policy) -> None:
    booking.policy.policy = lenient
    assert await move_from_hour_to_hour(booking) == 3
    assert await used(booking, NINE) == 3


async def test_a_room_is_not_kept_for_nobody_by_moving_forward(booking: Booking) -> None:
    reservation = await made(booking, start=NINE)
    for hour in range(1, 9):
        booking.clock.time = NINE + 29 * MINUTE
        reply = await update(booking, reservation, start=NINE + hour * HOUR, minutes=60)
        assert (reply.outcome, rules(reply)) == (pb.OUTCOME_DENIED, ["LATE_CHANGE"])
    await pass_time(booking, NINE + 30 * MINUTE)
    assert await state(booking, reservation) == "NO_SHOW"


async def test_a_start_that_was_left_late_counts_on_its_own_day(booking: Booking, lenient: Policy) -> None:
    booking.policy.policy = lenient
    reservation = await made(booking)
    booking.clock.time = TEN - 30 * MINUTE + SECOND
    assert (await update(booking, reservation, start=TEN + DAY, minutes=60)).outcome == pb.OUTCOME_CONFIRMED
    assert (await used(booking, TEN), await used(booking, TEN + DAY)) == (1, 1)
    booking.clock.time = TEN
    assert (
        await endings.cancel(booking.transactions, reservation.reservation_id, of_account("booker"), "booker", "")
    ).quota_returned
    assert (await used(booking, TEN), await used(booking, TEN + DAY)) == (1, 0)


async def test_a_start_that_was_left_in_good_time_does_not_count(booking: Booking) -> None:
    reservation = await made(booking)
    booking.clock.time = TEN - 30 * MINUTE
    assert (await update(booking, reservation, start=TEN + DAY, minutes=60)).outcome == pb.OUTCOME_CONFIRMED
    assert (await used(booking, TEN), await used(booking, TEN + DAY)) == (0, 1)


# giving time back


async def test_within_the_cutoff_time_can_be_given_back(booking: Booking) -> None:
    reservation = await made(booking, minutes=120)
    booking.clock.time = TEN - MINUTE
    assert rules(await update(booking, reservation, minutes=110)) == []
    assert rules(await update(booking, reservation, start=TEN + 10 * MINUTE, minutes=100)) == []
    assert rules(await update(booking, reservation, participant_count=5)) == []
    booking.clock.time = TEN + MINUTE
    assert rules(await update(booking, reservation, start=TEN + 11 * MINUTE, minutes=99)) == ["LATE_CHANGE"]
    reply = await update(booking, reservation, minutes=100)
    assert rules(reply) == []
    assert reply.reservation.room == reservation.room
    assert reply.reservation.release_time == to_timestamp(TEN + 40 * MINUTE)


async def test_put_off_late_and_cancelled_it_was_cancelled_late(booking: Booking) -> None:
    reservation = await made(booking, minutes=180)
    booking.clock.time = TEN - 15 * MINUTE
    assert rules(await update(booking, reservation, start=TEN + HOUR, minutes=120)) == []
    reply = await endings.cancel(booking.transactions, reservation.reservation_id, of_account("booker"), "booker", "")
    assert [rule.rule_id for rule in reply.decision.rules] == ["LATE_CANCELLATION"]
    assert not reply.quota_returned
    assert await used(booking, TEN) == 1


async def test_so_it_was_under_rules_that_know_only_the_start_that_it_has(booking: Booking) -> None:
    """As in installations whose rules are from before."""
    old = SOURCE.replace(
        "when: {fact: committed_lead_seconds, op: less_than", "when: {fact: lead_seconds, op: less_than"
    )
    booking.policy.policy = Policy.load(old, "default@2")
    reservation = await made(booking, minutes=180)
    booking.clock.time = TEN - 15 * MINUTE
    await update(booking, reservation, start=TEN + HOUR, minutes=120)
    assert not (
        await endings.cancel(booking.transactions, reservation.reservation_id, of_account("booker"), "booker", "")
    ).quota_returned


async def test_put_off_in_good_time_it_can_be_cancelled_by_the_new_start(booking: Booking) -> None:
    reservation = await made(booking, minutes=180)
    booking.clock.time = TEN - 30 * MINUTE
    await update(booking, reservation, start=TEN + HOUR, minutes=120)
    booking.clock.time = TEN + 30 * MINUTE
    assert (
        await endings.cancel(booking.transactions, reservation.reservation_id, of_account("booker"), "booker", "")
    ).quota_returned


async def test_what_ends_early_is_judged_all_the_same(booking: Booking, lenient: Policy) -> None:
    """Whatever the numbers are: here nothing is too short."""
    brief = SOURCE.replace("small_meeting_seconds: {value: 2400,", "small_meeting_seconds: {value: 0,")
    booking.policy.policy = Policy.load(brief, "default@2")
    reservation = await made(booking, minutes=120)
    booking.clock.time = TEN + 5 * MINUTE
    assert rules(await update(booking, reservation, minutes=10)) == []
    await pass_time(booking, TEN + 20 * MINUTE)
    assert await state(booking, reservation) == "CONFIRMED"
    assert rule_ids(await create(booking, account_id="other", start=TEN + HOUR, participant_count=60)) == []
    await pass_time(booking, TEN + 30 * MINUTE)
    assert await state(booking, reservation) == "NO_SHOW"
    assert [row["violation_time"] for row in await rows(booking.database, models.VIOLATION)] == [TEN + 30 * MINUTE]


async def test_what_ends_early_is_over_when_it_is_known_that_somebody_came(booking: Booking) -> None:
    pending = await made(booking, participant_count=120, minutes=20)
    await escalations.resolve(booking.transactions, pending.reservation_id, verdict(), whose=EVERYBODY)
    booking.clock.time = TEN + 5 * MINUTE
    await attendance.report(booking.transactions, pending.reservation_id, TEN + 5 * MINUTE, "gateway")
    await pass_time(booking, TEN + 30 * MINUTE)
    assert await state(booking, pending) == "COMPLETED"
    assert await rows(booking.database, models.VIOLATION) == []


# while booking is closed


async def close_booking(booking: Booking) -> None:
    for start in (TEN, TEN + 2 * HOUR):
        await made(booking, start=start)
    await pass_time(booking, TEN + 3 * HOUR)


async def test_a_suspended_account_gets_no_room_for_what_waits_for_support(booking: Booking) -> None:
    pending = await made(booking, start=TEN + DAY, participant_count=120)
    await close_booking(booking)
    reply = await update(booking, pending, participant_count=12)
    assert (reply.outcome, rules(reply)) == (pb.OUTCOME_DENIED, ["SUSPENSION"])
    assert await get(booking, pending) == pending


async def test_a_suspended_account_can_make_less_of_what_waits_for_support(booking: Booking) -> None:
    pending = await made(booking, start=TEN + DAY, participant_count=120)
    await close_booking(booking)
    for fields in ({"participant_count": 110}, {"start": TEN + DAY, "minutes": 50}):
        reply = await update(booking, pending, **fields)
        assert (reply.outcome, rules(reply)) == (pb.OUTCOME_PENDING_APPROVAL, ["LARGE_MEETING"])
    assert "SUSPENSION" in rules(await update(booking, pending, participant_count=111))
    assert "SUSPENSION" in rules(await update(booking, pending, start=TEN + DAY + HOUR, minutes=50))
    assert (
        await endings.cancel(booking.transactions, pending.reservation_id, of_account("booker"), "booker", "")
    ).quota_returned


async def test_a_suspended_account_gets_no_other_room(booking: Booking) -> None:
    mine = await made(booking, start=TEN + DAY)
    await close_booking(booking)
    reply = await update(booking, mine, participant_count=60)
    assert (reply.outcome, rules(reply)) == (pb.OUTCOME_DENIED, ["SUSPENSION"])
    reply = await update(booking, mine, participant_count=30)
    assert (rules(reply), reply.reservation.room) == ([], mine.room)
    assert (await update(booking, mine, start=TEN + DAY, minutes=50)).reservation.room == mine.room


async def test_who_only_gives_back_is_not_moved_even_from_a_room_that_is_lent_no_more(booking: Booking) -> None:
    mine = await made(booking, start=TEN + DAY, minutes=120, participant_count=60)
    off = models.ROOM.update().where(models.ROOM.c.room_id == mine.room.room_id).values(enabled=False)
    await booking.database.write(lambda c: c.execute(off))
    reply = await update(booking, mine, start=TEN + DAY, minutes=60)
    assert (rules(reply), reply.reservation.room.room_id) == ([], mine.room.room_id)
    reply = await update(booking, mine, participant_count=12)
    assert (rules(reply), reply.reservation.room.room_id) == ([], mine.room.room_id)


# whatever is done


@dataclass
class Watch:
    """What one account holds: `kept` are the days of all times that it still held when nobody else could take them.

    A part of such a time is no other one, if it was made so before the time began.
    """

    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    kept: dict[str, list[int]] = field(default_factory=dict)
    first: dict[str, int | None] = field(default_factory=dict)

    def note(self, record: pb.Reservation, now: int, changed: bool) -> None:
        """To be told before and after everything that happens to the reservation."""
        name, span = record.reservation_id, (from_timestamp(record.start_time), from_timestamp(record.end_time))
        before, begun = self.spans.get(name, span), self.first.get(name)
        if changed and before != span:
            part = before[0] <= span[0] and span[1] <= before[1]
            if not part or (begun is not None and now > begun and span[0] > before[0]):
                self.first[name] = None
        self.spans[name] = span
        if (
            states.from_proto(record.state) in ("CONFIRMED", "NO_SHOW")
            and self.first.get(name) is None
            and span[0] - now < 30 * MINUTE
        ):
            self.first[name] = span[0]
            self.kept.setdefault(name, []).append(span[0])

    def per_day(self) -> Counter[int]:
        return Counter((start + 8 * HOUR) // DAY for starts in self.kept.values() for start in starts)


steps = st.lists(
    st.tuples(
        st.sampled_from(("create", "move", "move", "move", "put off", "shorten", "fewer", "cancel")),
        st.sampled_from((60, 30, 29, 29, 1, 0, -1, -29)),  # minutes before the start when it is done
        st.integers(0, 3),
        st.sampled_from((20, 31, 45, 60, 120, 240)),
    ),
    min_size=4,
    max_size=16,
)


class Player:
    """One account through one day."""

    def __init__(self, booking: Booking, account: str) -> None:
        self.booking, self.account, self.watch = booking, account, Watch()
        self.mine: list[pb.Reservation] = []

    @property
    def now(self) -> int:
        return self.booking.clock.time

    async def play(self, step: tuple[str, int, int, int]) -> None:
        act, minutes, which, amount = step
        if self.mine:
            record = await get(self.booking, self.mine[which % len(self.mine)])
            await pass_time(self.booking, max(self.now, from_timestamp(record.start_time) - minutes * MINUTE))
        await self.look(changed=False)
        try:
            await self.act(act, which, amount)
        except errors.RpcError:
            return
        await self.look(changed=True)

    async def act(self, act: str, which: int, amount: int) -> None:
        if act == "create" or not self.mine:
            reply = await create(self.booking, account_id=self.account, start=self.now + 31 * MINUTE, minutes=240)
            self.mine += [reply.reservation] if reply.HasField("reservation") else []
            return
        record = await get(self.booking, self.mine[which % len(self.mine)])
        name = record.reservation_id
        if act == "cancel":
            await endings.cancel(self.booking.transactions, name, of_account(self.account), self.account, "")
            return
        start, end = from_timestamp(record.start_time), from_timestamp(record.end_time)
        fields: dict[str, Any] = {
            "move": {"start": self.now + amount * MINUTE, "minutes": 240},
            "put off": {"start": start + amount * MINUTE, "minutes": (end - start) // MINUTE - amount},
            "shorten": {"start": start, "minutes": amount},
            "fewer": {"participant_count": 5},
        }[act]
        await updates.update(
            self.booking.transactions,
            self.booking.meetings,
            change(name, **fields),
            of_account(self.account),
            self.account,
        )

    async def look(self, *, changed: bool) -> None:
        for each in self.mine:
            self.watch.note(await get(self.booking, each), self.now, changed)

    async def check(self) -> None:
        for day, kept in self.watch.per_day().items():
            assert kept <= 3
            assert kept <= await used(self.booking, day * DAY, self.account)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("rules_in_force", ["as delivered", "lenient"])
def test_no_more_is_held_past_the_cutoff_than_counts(
    database: Any, policy: Policy, lenient: Policy, rules_in_force: str
) -> None:
    chosen = policy if rules_in_force == "as delivered" else lenient
    clock, number = ManualClock(), iter(range(10**6))
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:

        async def story(plan: list[tuple[str, int, int, int]]) -> None:
            index = next(number)  # each has a week of its own, so that nothing of another one is in its way
            clock.time = MONDAY + (index + 1) * 7 * DAY
            booking = Booking(database, LocalPolicy(chosen), clock)
            player = Player(booking, f"account-{index}")
            try:
                for step in plan:
                    await player.play(step)
                    await player.check()
            finally:
                await booking.stop()

        @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
        @given(steps)
        def whatever_is_done(plan: list[tuple[str, int, int, int]]) -> None:
            runner.run(story(plan))

        whatever_is_done()
