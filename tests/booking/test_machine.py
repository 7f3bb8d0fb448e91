"""Booking against a model of it (model.py), on both databases: whatever is done in whatever order, they agree.

Short runs that are always the same are part of the tests; `make machine` draws 500 new examples on each database.
"""

import asyncio
import copy
import dataclasses
import importlib.resources
import itertools
import os
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.booking import models
from services.booking.directory_events import DirectoryEvent
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors, rpc
from services.policy.decisions import Policy
from tests.booking import acts, agreement
from tests.booking.acts import ACCOUNTS, SCENES, Act, Again, Ahead, Create, OnDay, Pass, Plan, Race
from tests.booking.agreement import Replies, Stored
from tests.booking.builders import ROOMS
from tests.booking.conftest import Booking, LocalPolicy, ManualClock
from tests.booking.model import (
    AHEAD_DAYS,
    BARRED,
    GRACE,
    HOUR,
    MINUTE,
    PER_DAY,
    PER_WEEK,
    SECOND,
    STRICT,
    Member,
    World,
)
from tests.booking.test_directory import DISABLED, FREE, of_department, of_member, tell

ZONES = ("Asia/Shanghai", "America/New_York")
EDGES = (
    "2025-12-30T22:00",  # a week over the end of a year
    "2026-03-06T20:00",  # New York loses an hour on Sunday the 8th
    "2026-10-30T10:00",  # and gets it back on Sunday the 1st
    "2026-05-29T23:40",  # a month that ends with a week
    "2028-02-26T09:00",
)
SEATS = {str(room["room_id"]): cast(int, room["capacity"]) for room in ROOMS}
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "0"))
"""0: the short runs."""
SIZES = [EXAMPLES] if EXAMPLES else [10, pytest.param(25, marks=pytest.mark.long)]


LIMITED = f"""
overrides:
  - {{department: {{id: {BARRED}, below: true}}, thresholds: {{may_book: 0}}}}
  - {{department: {{id: {STRICT}, below: true}}, thresholds: {{free_account_may_book: 0, unverified_may_book: 0}}}}
"""


@cache
def policy(zone: str) -> Policy:
    source = (importlib.resources.files("services.policy") / "rules" / "default.yaml").read_text()
    return Policy.load(source.replace("zone: Asia/Shanghai", f"zone: {zone}") + LIMITED, "default@1")


SEEN = (
    *(models.RESERVATION, models.VIOLATION, models.SUSPENSION, models.DEADLINE),
    *(outbox.TABLE, models.DECISION, models.ANSWER),
)
"""In the order of Stored's fields."""


def ordered(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table).order_by(*table.primary_key)


def open_database(url: str) -> Database:
    """Without waiting for the disk at each commit: here no machine stops, only programs."""
    if url.startswith("postgresql"):
        return Database(
            sa.make_url(url).update_query_dict({"options": "-csynchronous_commit=off"}).render_as_string(False)
        )
    database = Database(url)
    sa.event.listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF").close())
    return database


class Stage:
    """Two replicas' databases and one to look through, kept from example to example."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.observer = open_database(url)
        self.observer.migrate("services.booking")
        with self.observer.engine.begin() as connection:
            connection.execute(sa.insert(models.ROOM), ROOMS)
        self.databases = [open_database(url), open_database(url)]

    def clear(self) -> None:
        with self.observer.engine.begin() as connection:
            for table in (*SEEN, models.ACCOUNT, models.DIRECTORY_MEMBER, models.DIRECTORY_DEPARTMENT):
                connection.execute(sa.delete(table))

    def reopen(self, replica: int) -> Database:
        self.databases[replica].close()
        self.databases[replica] = open_database(self.url)
        return self.databases[replica]

    def look(self) -> Stored:
        with self.observer.engine.execution_options(read_only=True).begin() as connection:
            return Stored(*(list(connection.execute(ordered(table)).mappings()) for table in SEEN))

    def close(self) -> None:
        for database in (self.observer, *self.databases):
            database.close()


replicas = st.integers(0, 1)
catchers_up = st.sampled_from((0, 1, 2))


class Machine(RuleBasedStateMachine):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        stage.clear()
        self.clock = ManualClock()
        self.policy = LocalPolicy(policy(ZONES[0]))
        self.world = World(ZoneInfo(ZONES[0]), SEATS, 0)
        self.keys = itertools.count(1)
        self.versions = itertools.count(1)
        self.asked: list[Act] = []
        self.replies: Replies = {}
        self.agreed = True
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.booking = [self.runner.run(self.open(database)) for database in stage.databases]

    async def open(self, database: Database) -> Booking:
        return Booking(database, self.policy, self.clock)

    def teardown(self) -> None:
        for each in self.booking:
            self.runner.run(each.stop())
        self.runner.close()
        if self.agreed:
            agreement.check_decisions(self.stage.look(), self.policy.policy)

    @initialize(zone=st.sampled_from(ZONES), edge=st.sampled_from(EDGES))
    def begin(self, zone: str, edge: str) -> None:
        self.world.zone, self.policy.policy = ZoneInfo(zone), policy(zone)
        self.travel(int(datetime.fromisoformat(edge).replace(tzinfo=self.world.zone).timestamp()) * SECOND)
        for department in (BARRED, STRICT, acts.GROUP):
            self.move_department(department, "")

    def play(self, plan: Plan | Pass | Again | Race) -> None:
        if isinstance(plan, Pass):
            self.travel(plan.until.moment(self.world))
            self.catch_up(plan.caught_up)
        elif isinstance(plan, Again):
            self.ask_again(which=0, otherwise=False, replica=1)
        elif isinstance(plan, Race):
            self.race(plan.one, plan.other, same=False, keyed=False)
        else:
            self.try_out(plan, keyed=True, replica=0)

    # acts

    @rule(plan=acts.creates, keyed=st.booleans(), replica=replicas)
    def create(self, plan: Plan, keyed: bool, replica: int) -> None:
        self.try_out(plan, keyed, replica)

    @rule(plan=acts.creates, count=st.integers(2, 5), replica=replicas)
    def create_several(self, plan: Create, count: int, replica: int) -> None:
        """One after the other on one day."""
        for number in range(count):
            start = plan.when.moment(self.world) + number * HOUR
            self.try_out(acts.replace_when(plan, start - self.world.now), keyed=False, replica=replica)

    @rule(plan=acts.series, keyed=st.booleans(), replica=replicas)
    def create_series(self, plan: Plan, keyed: bool, replica: int) -> None:
        self.try_out(plan, keyed, replica)

    @rule(people=st.sampled_from((12, 99)), replica=replicas)
    def rearrange_a_full_day(self, people: int, replica: int) -> None:
        account, days = self.free_day()
        for hour in (9, 11, 13):
            self.try_out(Create(account, OnDay(days, f"{hour:02}:00"), 3600, people), keyed=False, replica=replica)
        for change in ((OnDay(days, "16:00"), 3600, None), (OnDay(days, "16:30"), 3600, None)):
            self.try_out(acts.Update(0, change), keyed=False, replica=replica)

    @rule(account=acts.accounts, days=st.integers(0, 7), replica=replicas)
    def fill_a_week(self, account: str, days: int, replica: int) -> None:
        for hour in (9, 12, 15):
            first = Create(account, OnDay(days, f"{hour:02}:00"), 3600, 12)
            self.try_out(acts.Series(first, 7, all_or_none=False), keyed=False, replica=replica)

    @rule(which=st.integers(0, 5), otherwise=acts.rarely, replica=replicas)
    def ask_again(self, which: int, otherwise: bool, replica: int) -> None:
        """Under the same key: the same, or something else."""
        if not self.asked:
            self.try_out(acts.USUAL, keyed=True, replica=replica)
        if self.asked:
            act = self.asked[-1 - which % len(self.asked)]
            if otherwise:
                act = acts.otherwise(act, self.world)
            self.do(act, replica)

    @rule(plan=acts.updates, keyed=st.booleans(), replica=replicas)
    def update(self, plan: Plan, keyed: bool, replica: int) -> None:
        self.try_out(plan, keyed, replica)

    @rule(
        plan=acts.updates,
        before=st.sampled_from((30 * MINUTE, 30 * MINUTE - SECOND, 10 * MINUTE, 0, -SECOND, -29 * MINUTE)),
        then=acts.updates | acts.cancels,
        replica=replicas,
    )
    def update_near_the_start(self, plan: acts.Update, before: int, then: Plan, replica: int) -> None:
        self.prepare(plan, "")
        number = plan.number(self.world)
        if number is not None:
            self.travel(self.world.reservations[number].start - before)
        self.try_out(plan, keyed=False, replica=replica)
        self.try_out(then, keyed=False, replica=replica)

    @rule(account=acts.accounts, people=st.sampled_from((12, 120)), change=acts.changes, replica=replicas)
    def update_while_suspended(self, account: str, people: int, change: Any, replica: int) -> None:
        if not self.world.suspended_until(account):
            self.try_out(Create(account, OnDay(3, "15:00"), 7200, people), keyed=False, replica=replica)
            self.stay_away(account, count=2, people=12, caught_up=True)
        mine = [each.account for each in self.world.reservations if each.state in ("CONFIRMED", "PENDING_APPROVAL")]
        if account in mine:
            self.try_out(acts.Update(mine[::-1].index(account), change), keyed=False, replica=replica)

    @rule(
        plan=acts.cancels,
        before=st.sampled_from((None, 30 * MINUTE - SECOND, 30 * MINUTE, -5 * MINUTE)),
        replica=replicas,
    )
    def cancel(self, plan: acts.Cancel, before: int | None, replica: int) -> None:
        """So long before the start, or whenever it is now."""
        self.prepare(plan, "")
        number = plan.number(self.world)
        if before is not None and number is not None:
            self.travel(self.world.reservations[number].start - before)
        self.try_out(plan, keyed=False, replica=replica)

    @rule(plan=acts.leaves, made=st.lists(acts.creates, max_size=3), replica=replicas)
    def leave(self, plan: Plan, made: list[Create], replica: int) -> None:
        for each in made:
            self.try_out(each, keyed=False, replica=replica)
        self.try_out(plan, keyed=False, replica=replica)

    @rule(plan=acts.ends, replica=replicas)
    def end(self, plan: Plan, replica: int) -> None:
        self.try_out(plan, keyed=False, replica=replica)

    @rule(plan=acts.resolves, replica=replicas)
    def approve_or_decline(self, plan: Plan, replica: int) -> None:
        self.try_out(plan, keyed=False, replica=replica)

    @rule(plan=acts.enters, in_time=st.booleans(), replica=replicas)
    def enter(self, plan: acts.Enter, in_time: bool, replica: int) -> None:
        """`in_time`: reported as it happens, without the clock's own doings; else whenever it is now."""
        self.prepare(plan, "")
        number = plan.number(self.world)
        if in_time and number is not None:
            self.travel(self.world.reservations[number].start + plan.after)
        self.try_out(plan, keyed=False, replica=replica)

    @rule(which=st.integers(0, 5), by=acts.supporters, replica=replicas)
    def waive(self, which: int, by: str, replica: int) -> None:
        if not self.world.violations:
            self.stay_away("ann", count=2, people=12, caught_up=True)
        if self.world.violations:
            self.do(self.waiving(which, by), replica)

    def waiving(self, which: int, by: str) -> Act:
        number = which % len(self.world.violations)
        mine = self.world.violations[number].reservation.id
        [row] = [row for row in self.stage.look().violations if row["reservation_id"] == mine]
        return acts.waiving(row["violation_id"], by, lambda world: world.violations[number])

    @rule(first=acts.plans, second=acts.plans, same=st.booleans(), keyed=st.booleans())
    def race(self, first: Plan, second: Plan, same: bool, keyed: bool) -> None:
        """Two at once, each to another replica."""
        key = self.key(keyed)
        one, other = self.prepare(first, key), self.prepare(first if same else second, key if same else "")
        if one and other:
            self.do_at_once(one, other)

    @rule(plans=acts.rivals)
    def race_over_one(self, plans: tuple[Plan, Plan]) -> None:
        if isinstance(plans[0], acts.Enter) and (number := plans[0].number(self.world)) is not None:
            self.travel(self.world.reservations[number].start)
        self.race(*plans, same=False, keyed=False)

    @rule(plans=acts.leavings, people=st.sampled_from((12, 120)))
    def race_over_what_a_leaver_has(self, plans: tuple[Plan, Plan], people: int) -> None:
        self.try_out(acts.Leave("ann"), keyed=False, replica=0)
        self.try_out(acts.replace_people(people), keyed=False, replica=0)
        self.race(*plans, same=False, keyed=False)

    @rule(people=st.sampled_from((12, 99)), one_account=st.booleans())
    def race_for_the_last(self, people: int, one_account: bool) -> None:
        """The last of a day's quota, or the last room."""
        account, days = self.free_day()
        if one_account:
            for clock in ("09:00", "10:00"):
                self.try_out(Create(account, OnDay(days, clock), 3600, people), keyed=False, replica=0)
        other = account if one_account else ACCOUNTS[ACCOUNTS.index(account) - 1]
        plans = (Create(account, OnDay(days, "11:30"), 3600, people), Create(other, OnDay(days, "12:00"), 3600, people))
        self.do_at_once(*(plan.act(self.world, "") for plan in plans))

    def free_day(self) -> tuple[str, int]:
        """An account, and how many days ahead it has its whole quota, if there are any such."""
        choices = [
            (account, days)
            for account in ACCOUNTS
            for days in range(1, AHEAD_DAYS + 1)
            if not self.world.suspended_until(account)
            and not self.world.used(account, OnDay(days, "12:00").moment(self.world))[0]
            and self.world.used(account, OnDay(days, "12:00").moment(self.world))[1] + PER_DAY <= PER_WEEK
        ]
        return choices[0] if choices else (ACCOUNTS[0], 1)

    def do_at_once(self, one: Act, other: Act) -> None:
        """It must have been one after the other: as answered, and as stored."""
        self.catch_up(1)
        self.agreed = False
        replies = self.runner.run(self.at_once(one, other))
        stored, pairs = self.stage.look(), [(one, replies[0]), (other, replies[1])]
        errors = []
        for order in (pairs, pairs[::-1]):
            world, known = copy.deepcopy(self.world), dict(self.replies)
            try:
                for act, reply in order:
                    agreement.run_forever(world, known, act, reply)
                agreement.check(stored, world)
            except AssertionError as error:
                errors.append(error)
                continue
            self.world, self.replies = world, known
            return
        raise errors[0]

    async def at_once(self, one: Act, other: Act) -> list[Any]:
        pairs = zip(self.booking, (one, other), strict=True)
        return list(await asyncio.gather(*(call(*pair) for pair in pairs)))

    # what the directory tells

    @rule(account=acts.accounts, member=acts.members, then=acts.plans, stays=acts.rarely, replica=replicas)
    def be_known(self, account: str, member: Member, then: Plan, stays: bool, replica: int) -> None:
        self.tell_of(account, member)
        self.try_out(then, keyed=False, replica=replica)
        if not stays:
            self.tell_of(account, Member())

    @rule(account=acts.accounts, member=acts.members, place=acts.places, then=acts.plans, replica=replicas)
    def be_moved(self, account: str, member: Member, place: str, then: Plan, replica: int) -> None:
        """Between the account's own request and the next, which may be the same."""
        self.tell_of(account, dataclasses.replace(member, department=acts.GROUP))
        self.try_out(Create(account, OnDay(2, "11:00"), 3600, 12), keyed=False, replica=replica)
        self.move_department(acts.GROUP, place)
        self.try_out(Create(account, OnDay(3, "11:00"), 3600, 12), keyed=False, replica=replica)
        self.try_out(then, keyed=False, replica=replica)
        self.tell_of(account, Member())

    def tell_of(self, account: str, member: Member) -> None:
        facts: dict[str, Any] = {"department": member.department, "verified": not member.unverified}
        facts |= ({"status": DISABLED} if member.closed else {}) | ({"account_type": FREE} if member.free else {})
        self.tell(of_member(next(self.versions), account, **facts))
        self.world.members[account] = member

    def move_department(self, department: str, place: str) -> None:
        self.tell(of_department(department, next(self.versions), place))
        self.world.above[department] = place

    def tell(self, event: DirectoryEvent) -> None:
        self.runner.run(tell(self.stage.databases[0], event))

    @rule(account=acts.accounts, when=acts.on_days)
    def ask_for_standing(self, account: str, when: OnDay) -> None:
        if account in self.world.known:
            self.do(acts.asking(account, when.moment(self.world)), 0)

    # the clock

    @rule(duration=acts.durations | st.none(), off=st.sampled_from((0, -1, SECOND)), caught_up=catchers_up)
    def pass_time(self, duration: int | None, off: int, caught_up: int) -> None:
        """None: until the next midnight."""
        midnight = OnDay(1, "00:00").moment(self.world)
        self.travel((midnight if duration is None else self.world.now + duration) + off)
        self.catch_up(caught_up)

    @rule(which=st.integers(0, 3), off=st.sampled_from((0, -1, SECOND)), caught_up=catchers_up)
    def pass_time_until_something_is_due(self, which: int, off: int, caught_up: int) -> None:
        if dues := sorted({due for due, *_ in self.world.deadlines() if due > self.world.now}):
            self.travel(dues[which % len(dues)] + off)
            self.catch_up(caught_up)

    @rule(account=acts.accounts, count=st.integers(1, 3), people=st.sampled_from((12, 99)), caught_up=st.booleans())
    def stay_away(self, account: str, count: int, people: int, caught_up: bool) -> None:
        """Reservations that nobody comes to, and somebody who wants a room then."""
        for _ in range(count):
            self.try_out(Create(account, Ahead(30 * MINUTE + SECOND), 3 * 3600, people), keyed=False, replica=0)
        self.travel(self.world.now + 30 * MINUTE + SECOND + GRACE)
        self.catch_up(int(caught_up))
        self.try_out(Create("bob", Ahead(30 * MINUTE), 3600, people), keyed=False, replica=1)

    @rule(replica=replicas)
    def restart(self, replica: int) -> None:
        self.runner.run(self.booking[replica].stop())
        self.booking[replica] = self.runner.run(self.open(self.stage.reopen(replica)))

    def travel(self, moment: int) -> None:
        self.world.now = self.clock.time = max(self.world.now, moment)

    def catch_up(self, by: int) -> None:
        """By no, one, or both replicas at once."""
        if by:
            self.world.catch_up()
            self.runner.run(self.catch_up_at_once(self.booking[:by]))

    async def catch_up_at_once(self, booking: list[Booking]) -> None:
        await asyncio.gather(*(each.deadlines.catch_up() for each in booking))

    # how

    def key(self, keyed: bool) -> str:
        return f"key-{next(self.keys)}" if keyed else ""

    def try_out(self, plan: Plan, keyed: bool, replica: int) -> None:
        if act := self.prepare(plan, self.key(keyed)):
            self.do(act, replica)

    def prepare(self, plan: Plan, key: str) -> Act | None:
        act = plan.act(self.world, key)
        if act is None and plan.needs:
            self.do(plan.needs.act(self.world, ""), 0)
            act = plan.act(self.world, key)
        return act

    def do(self, act: Act, replica: int) -> None:
        self.agreed = False
        reply = self.runner.run(call(self.booking[replica], act))
        agreement.run_forever(self.world, self.replies, act, reply)
        if act.keep() in self.replies:
            self.asked.append(act)

    @invariant()
    def booking_is_as_the_model_says(self) -> None:
        self.agreed = False
        agreement.check(self.stage.look(), self.world)
        self.agreed = True


async def call(booking: Booking, act: Act) -> Any:
    """The answer, or the error that was the answer."""
    rpc._principal.set(act.caller)
    try:
        return await getattr(booking.service, act.method)(act.request, cast(Any, None))
    except errors.RpcError as error:
        return error


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    stage = Stage(database_url)
    yield stage
    stage.close()


@pytest.mark.parametrize("scene", SCENES)
def test_what_random_acts_seldom_come_to(stage: Stage, scene: str) -> None:
    for zone, edge in itertools.product(ZONES, EDGES):
        machine = Machine(stage)
        try:
            machine.begin(zone, edge)
            for plan in SCENES[scene]:
                machine.play(plan)
                machine.booking_is_as_the_model_says()
        finally:
            machine.teardown()


@pytest.mark.parametrize("examples", SIZES)
def test_whatever_is_done_booking_and_its_model_agree(stage: Stage, examples: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=40 if EXAMPLES else 20,
        derandomize=not EXAMPLES,
        print_blob=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Machine(stage), settings=chosen)  # type: ignore[arg-type] # a factory will do
