"""What can be done to booking, each as a call to make and as what the model says will be answered.

A plan is drawn without knowing the world, so that the same example is always drawn the same way; it becomes an act when
it is its turn. Moments are chosen near the edges of the rules.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any, ClassVar, Protocol

from google.protobuf.message import Message
from hypothesis import strategies as st
from yunhui.booking.v1 import booking_service_pb2 as api

from services.platform.clock import to_timestamp
from services.platform.serving.identity import Principal
from tests.booking.builders import booker
from tests.booking.model import (
    BARRED,
    DAY,
    DEPUTY,
    HOUR,
    MINUTE,
    PER_DAY,
    PER_WEEK,
    SECOND,
    STRICT,
    SUPPORT,
    Member,
    Request,
    World,
)
from tests.callers import caller

ACCOUNTS = ("ann", "bob", "cat")
ANY = 9
GROUP = "group"
"""A department that moves."""
FORMER = "former"
"""Who was of support, and is a booker today."""
GATEWAY = caller("gateway", "service")


@dataclass(frozen=True)
class Act:
    """One call, and what the world has to say to it. `key`: under what its answer is kept, "" for nothing."""

    caller: Principal
    method: str
    request: Any
    expect: Callable[[World], Any]
    key: str = ""

    def keep(self) -> tuple[str, str] | None:
        return (self.caller.account_id, self.key) if self.key else None


class Plan(Protocol):
    @property
    def needs(self) -> "Create | None":
        """What makes something to do it to."""
        ...

    def act(self, world: World, key: str) -> Act | None:
        """None when there is nothing to do it to."""
        ...


@dataclass(frozen=True)
class OnDay:
    """So many days ahead, when the clock of the zone shows an hour; `fold` 1 is the second time it does."""

    days: int
    clock: str
    fold: int = 0

    def moment(self, world: World) -> int:
        day = world.day(world.now) + timedelta(self.days)
        wall = datetime.combine(day, time.fromisoformat(self.clock), world.zone).replace(fold=self.fold)
        return int(wall.timestamp()) * SECOND


@dataclass(frozen=True)
class Ahead:
    milliseconds: int

    def moment(self, world: World) -> int:
        return (world.now + self.milliseconds) // SECOND * SECOND


When = OnDay | Ahead


def principal(name: str) -> Principal:
    if name == FORMER:
        return booker(SUPPORT)
    return booker(name, "support" if name in (SUPPORT, DEPUTY) else "booker")


def body(request: Message) -> tuple[str, bytes]:
    return request.DESCRIPTOR.name, request.SerializeToString(deterministic=True)


def pick(world: World, which: int, *states: str) -> int | None:
    """The number of a reservation in these states, newest first; of any one for a high `which`. None: there is none."""
    everywhere = which >= ANY
    numbers = [number for number, each in enumerate(world.reservations) if everywhere or each.state in states][::-1]
    return numbers[which % len(numbers)] if numbers else None


@dataclass(frozen=True)
class Create:
    account: str
    when: When
    seconds: int
    people: int
    room: str = ""
    by_support: bool = False
    needs: ClassVar[None] = None

    def act(self, world: World, key: str) -> Act:
        start = self.when.moment(world)
        actor = SUPPORT if self.by_support else self.account
        return creating(Request(self.account, actor, start, start + self.seconds * SECOND, self.people, self.room), key)


def creating(wanted: Request, key: str) -> Act:
    request = to_create_request(wanted, key)
    return Act(
        principal(wanted.actor),
        "CreateReservation",
        request,
        lambda world: world.create(wanted, key, body(request)),
        key,
    )


def to_create_request(wanted: Request, key: str) -> api.CreateReservationRequest:
    return api.CreateReservationRequest(
        request_id=key,
        meeting_code="123456789",
        subject="group meeting",
        start_time=to_timestamp(wanted.start),
        end_time=to_timestamp(wanted.end),
        participant_count=wanted.people,
        room_id=wanted.room,
        account_id="" if wanted.actor == wanted.account else wanted.account,
    )


USUAL = Create("ann", OnDay(1, "10:00"), 3600, 12)


@dataclass(frozen=True)
class Series:
    """The same again every day."""

    first: Create
    count: int
    all_or_none: bool
    needs: ClassVar[None] = None

    def act(self, world: World, key: str) -> Act:
        first = self.first
        start, actor = first.when.moment(world), SUPPORT if first.by_support else first.account
        starts = [start, *(world.days_later(start, days) for days in range(1, self.count))]
        wanted = [
            Request(first.account, actor, each, each + first.seconds * SECOND, first.people, first.room)
            for each in starts
        ]
        request = api.CreateReservationSeriesRequest(
            request_id=key,
            first=to_create_request(wanted[0], ""),
            recurrence_rule=f"FREQ=DAILY;COUNT={self.count}",
            time_zone=world.zone.key,
            all_or_none=self.all_or_none,
        )
        return Act(
            principal(actor),
            "CreateReservationSeries",
            request,
            lambda world: world.series(wanted, key, body(request), all_or_none=self.all_or_none),
            key,
        )


@dataclass(frozen=True)
class Update:
    """`change`: when, how many seconds, how many people; None is as it is. `stale`: by who knows the version before."""

    which: int
    change: tuple[When | None, int | None, int | None]
    stale: bool = False
    by: str = ""
    needs: ClassVar[Create] = USUAL

    def number(self, world: World) -> int | None:
        return pick(world, self.which, "CONFIRMED", "PENDING_APPROVAL")

    def act(self, world: World, key: str) -> Act | None:
        number = self.number(world)
        if number is None:
            return None
        mine = world.reservations[number]
        actor = self.by or mine.account
        when, seconds, people = self.change
        start = when.moment(world) if when else None
        end = (start or mine.start) + seconds * SECOND if seconds else None
        version = mine.version - 1 if self.stale else 0
        request = api.UpdateReservationRequest(request_id=key, reservation_id=mine.id, version=version)
        if start:
            request.start_time.CopyFrom(to_timestamp(start))
        if end:
            request.end_time.CopyFrom(to_timestamp(end))
        if people:
            request.participant_count = people
        wanted = (start, end, people)
        return Act(
            principal(actor),
            "UpdateReservation",
            request,
            lambda world: world.update(world.reservations[number], actor, wanted, version, key, body(request)),
            key,
        )


@dataclass(frozen=True)
class Cancel:
    which: int
    by: str = ""
    needs: ClassVar[Create] = USUAL

    def number(self, world: World) -> int | None:
        return pick(world, self.which, "CONFIRMED", "PENDING_APPROVAL")

    def act(self, world: World, key: str) -> Act | None:
        number = self.number(world)
        if number is None:
            return None
        mine = world.reservations[number]
        actor = self.by or mine.account
        request = api.CancelReservationRequest(reservation_id=mine.id)
        return Act(
            principal(actor),
            "CancelReservation",
            request,
            lambda world: world.cancel(world.reservations[number], actor),
        )


@dataclass(frozen=True)
class End:
    which: int
    by: str = ""
    needs: ClassVar[Create | None] = None

    def act(self, world: World, key: str) -> Act | None:
        number = pick(world, self.which, "IN_USE")
        if number is None:
            return None
        mine = world.reservations[number]
        actor = self.by or mine.account
        request = api.EndReservationRequest(reservation_id=mine.id)
        return Act(
            principal(actor), "EndReservation", request, lambda world: world.end(world.reservations[number], actor)
        )


@dataclass(frozen=True)
class Leave:
    """What an account has coming is handed over to another, or cancelled."""

    account: str
    to: str = ""
    by: str = DEPUTY
    needs: ClassVar[Create | None] = None

    def act(self, world: World, key: str) -> Act:
        if not self.to:
            cancelling = api.CancelComingReservationsRequest(account_id=self.account, page_size=50)
            return Act(
                principal(self.by),
                "CancelComingReservations",
                cancelling,
                lambda world: world.cancel_coming(self.account, self.by),
            )
        request = api.HandOverReservationsRequest(account_id=self.account, new_account_id=self.to, page_size=50)
        return Act(
            principal(self.by),
            "HandOverReservations",
            request,
            lambda world: world.hand_over(self.account, self.to, self.by),
        )


@dataclass(frozen=True)
class Resolve:
    which: int
    approve: bool
    room: str = ""
    by: str = DEPUTY
    needs: ClassVar[Create] = replace(USUAL, people=120)

    def act(self, world: World, key: str) -> Act | None:
        number = pick(world, self.which, "PENDING_APPROVAL")
        if number is None:
            return None
        request = api.ResolveEscalationRequest(
            reservation_id=world.reservations[number].id, approve=self.approve, room_id=self.room
        )
        return Act(
            principal(self.by),
            "ResolveEscalation",
            request,
            lambda world: world.resolve(world.reservations[number], self.by, approve=self.approve, room=self.room),
        )


@dataclass(frozen=True)
class Enter:
    """Somebody entered `after` ms after the start; `state` is that of the reservation that is told of."""

    which: int
    after: int
    state: str
    needs: ClassVar[Create] = replace(USUAL, when=Ahead(45 * MINUTE))

    def number(self, world: World) -> int | None:
        return pick(world, self.which, self.state)

    def act(self, world: World, key: str) -> Act | None:
        number = self.number(world)
        if number is None:
            return None
        moment = world.reservations[number].start + self.after
        request = api.ReportAttendanceRequest(
            reservation_id=world.reservations[number].id, enter_time=to_timestamp(moment)
        )
        return Act(GATEWAY, "ReportAttendance", request, lambda world: world.enter(world.reservations[number], moment))


def waiving(violation_id: str, by: str, find: Callable[[World], Any]) -> Act:
    request = api.WaiveViolationRequest(violation_id=violation_id, note="on request")
    return Act(principal(by), "WaiveViolation", request, lambda world: world.waive(find(world), by))


def otherwise(act: Act, world: World) -> Act:
    """The same key with another body."""
    caller, start = act.caller.account_id, (world.now + DAY) // SECOND * SECOND
    return creating(Request(caller, caller, start, start + HOUR, people=7), act.key)


_CLOCKS = (
    "00:00",
    "00:30",
    "01:30",
    "02:30",
    "03:00",
    "09:00",
    "10:00",
    "10:30",
    "11:00",
    "14:00",
    "23:00",
    "23:59:59",
)
_LEADS = (30 * MINUTE - SECOND, 30 * MINUTE, 30 * MINUTE + SECOND, 45 * MINUTE, 2 * HOUR)

on_days = st.builds(
    OnDay,
    days=st.sampled_from((1, 2, 0, 1, 2, 3, 5, 6, 7, 8)),
    clock=st.sampled_from(_CLOCKS),
    fold=st.sampled_from((0, 0, 0, 1)),
)
whens = on_days | st.builds(Ahead, st.sampled_from(_LEADS))
seconds = st.sampled_from((60 * 60, 60 * 60, 60 * 60, 90 * 60, 40 * 60 + 1, 40 * 60, 180 * 60, 20 * 60, 30 * 60))
peoples = st.sampled_from((12, 12, 12, 3, 12, 30, 31, 99, 100, 120, 300, 2, 301))
accounts = st.sampled_from((ACCOUNTS[0], ACCOUNTS[0], *ACCOUNTS))
rooms = st.sampled_from(("", "", "", "", "", "", "small-2", "large-1", "nowhere"))
numbers = st.integers(0, ANY + 2)
callers = st.sampled_from(("", "", "", SUPPORT, "cat", FORMER))
supporters = st.sampled_from((DEPUTY, DEPUTY, SUPPORT))
members = st.sampled_from(
    (
        Member(),
        Member(closed=True),
        Member(closed=True),
        Member(free=True, unverified=True),
        *(Member(department=each) for each in (BARRED, STRICT, GROUP, GROUP)),
        *(Member(free=True, department=each) for each in (STRICT, GROUP)),
        *(Member(unverified=True, department=each) for each in (STRICT, GROUP)),
    )
)
places = st.sampled_from(("", BARRED, STRICT))
"""Where the group can lie."""
rarely = st.sampled_from((False, False, False, True))

creates = st.builds(Create, accounts, whens, seconds, peoples, rooms, rarely)
series = st.builds(Series, creates, st.integers(2, 9), st.booleans())
changes = st.one_of(
    st.tuples(whens, st.just(3600), st.none()),
    st.tuples(st.none(), seconds, st.none()),
    st.tuples(st.builds(Ahead, st.sampled_from((5 * MINUTE, 40 * MINUTE))), st.sampled_from((2500, 3600)), st.none()),
    st.tuples(st.none(), st.none(), peoples),
    st.tuples(whens, seconds, peoples),
)
updates = st.builds(Update, numbers, changes, rarely, callers)
cancels = st.builds(Cancel, numbers, callers)
ends = st.builds(End, numbers, callers)
leaves = st.sampled_from(
    (
        *(Leave("ann", "bob"), Leave("ann", "cat"), Leave("bob", "ann"), Leave("cat", "ann"), Leave("ann")),
        *(Leave("ann", "bob", SUPPORT), Leave("ann", SUPPORT, SUPPORT), Leave("ann", "nobody"), Leave("bob")),
    )
)
resolves = st.builds(Resolve, numbers, st.sampled_from((True, True, False)), rooms, supporters)
enters = st.builds(
    Enter,
    numbers,
    st.sampled_from(
        (
            0,
            10 * MINUTE,
            30 * MINUTE,
            30 * MINUTE + SECOND,
            -HOUR,
            -HOUR - SECOND,
            -5 * MINUTE,
            -1,
            30 * MINUTE - 1,
            70 * MINUTE,
        )
    ),
    st.sampled_from(("CONFIRMED", "CONFIRMED", "NO_SHOW")),
)
durations = st.sampled_from((MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 10 * DAY))


@dataclass(frozen=True)
class Pass:
    """Time, with everything that is due by then, dealt with by so many replicas at once."""

    until: When
    caught_up: int = 1


@dataclass(frozen=True)
class Again:
    """What was asked last under a key."""


@dataclass(frozen=True)
class Race:
    one: Plan
    other: Plan


def _meeting(clock: str, account: str = "ann", days: int = 1, people: int = 12, seconds: int = 3600) -> Create:
    return Create(account, OnDay(days, clock), seconds, people)


_CLOSED = (_meeting("09:00"), _meeting("11:00"), Pass(OnDay(1, "12:00")))
"""Two that nobody comes to: booking is closed."""

SCENES: dict[str, tuple[Plan | Pass | Again | Race, ...]] = {
    "the last of a day": (_meeting("09:00"), _meeting("10:00"), Race(_meeting("11:30"), _meeting("14:00"))),
    "the last room": (Race(_meeting("10:00", people=99), _meeting("10:30", "bob", people=99)),),
    "twice cancelled": (_meeting("10:00"), Race(Cancel(0), Cancel(0, SUPPORT))),
    "moved within a full day": (
        *(_meeting("09:00"), _meeting("11:00"), _meeting("13:00")),
        Update(0, (OnDay(1, "16:00"), 3600, None)),
    ),
    "declined": (
        *(_meeting("09:00", people=120), _meeting("11:00", people=120), _meeting("13:00", people=120)),
        *(Resolve(0, approve=False), _meeting("16:00")),
    ),
    "cancelled late": (
        *(_meeting("10:00"), _meeting("12:00"), _meeting("14:00")),
        *(Pass(OnDay(1, "09:31")), Cancel(2), _meeting("16:00", days=0)),
    ),
    "kept among equals": (_meeting("10:00", "bob"), _meeting("10:00"), Cancel(1), Update(0, (None, 5400, None))),
    "over before the release": (
        *(_meeting("10:00", people=120, seconds=1200), Resolve(0, approve=True), Pass(OnDay(1, "12:00"))),
    ),
    "asked again when it is over": (_meeting("10:00"), Pass(OnDay(2, "10:00")), Again()),
    "approved while something else is due": (
        *(_meeting("10:00"), _meeting("12:00", days=2, people=120)),
        *(Pass(OnDay(1, "10:30"), caught_up=0), Resolve(0, approve=True)),
    ),
    "reported late": (
        *(_meeting("10:00"), Pass(OnDay(1, "10:31"), caught_up=0)),
        *(Enter(0, 10 * MINUTE, "CONFIRMED"), Pass(OnDay(0, "12:00"))),
    ),
    "entered in the last moment": (
        *(_meeting("10:00"), Pass(OnDay(1, "10:30"), caught_up=0)),
        *(Enter(0, 30 * MINUTE, "CONFIRMED"), Pass(OnDay(0, "12:00"))),
    ),
    "moved from hour to hour after the start": (
        *(_meeting("09:00"), Pass(OnDay(1, "09:29")), Update(0, (OnDay(0, "10:00"), 3600, None)), Cancel(0)),
        *(_meeting("12:00", days=0), _meeting("14:00", days=0), _meeting("16:00", days=0)),
    ),
    "moved away a second too late": (
        *(_meeting("09:00"), _meeting("12:00"), Pass(OnDay(1, "08:30"), caught_up=0)),
        *(Update(1, (OnDay(0, "15:00"), 3600, None)), Pass(OnDay(0, "11:30:01"))),
        *(Update(0, (OnDay(0, "17:00"), 3600, None)), Update(0, (None, 5400, None)), Update(0, (None, 2500, None))),
    ),
    "put off late and cancelled": (
        *(_meeting("09:00", seconds=4 * 3600), Pass(OnDay(1, "08:45")), Update(0, (OnDay(0, "10:00"), 3 * 3600, None))),
        *(Pass(OnDay(0, "08:59")), Update(0, (OnDay(0, "11:00"), 2 * 3600, None)), Cancel(0)),
        *(_meeting("14:00", days=0), _meeting("15:00", days=0), _meeting("16:00", days=0)),
    ),
    "put off until nobody was waited for": (
        *(_meeting("09:00", seconds=4 * 3600), Pass(OnDay(1, "08:59")), Update(0, (OnDay(0, "10:00"), 3 * 3600, None))),
        *(Pass(OnDay(0, "09:59")), Update(0, (OnDay(0, "11:00"), 2 * 3600, None)), Pass(OnDay(0, "10:30"))),
    ),
    "a pending one of who may not book": (
        *(_meeting("15:00", days=2, people=120), _meeting("17:00", days=2, people=120), *_CLOSED),
        *(Update(0, (None, None, 12)), Update(0, (None, 3000, None)), Update(0, (None, None, 130))),
        *(Update(0, (OnDay(1, "18:00"), 3600, None)), Cancel(0)),
    ),
    "a larger room for who may not book": (
        *(_meeting("15:00", days=2), *_CLOSED, Update(0, (None, None, 60)), Update(0, (None, None, 30))),
        *(Update(0, (None, 3000, 20)), Update(0, (OnDay(1, "15:05"), 2700, 12))),
    ),
    "a large room is kept by who gives back": (
        *(_meeting("10:00", people=60), Update(0, (None, None, 12)), Update(0, (None, 3000, None))),
        *(_meeting("10:00", "bob", people=60), Update(1, (None, 5400, None))),
    ),
    "looked in, then cancelled": (
        *(_meeting("10:00"), Pass(OnDay(1, "09:01"))),
        *(Enter(0, -59 * MINUTE, "CONFIRMED"), Cancel(0), _meeting("16:00", days=0)),
    ),
    "looked in, then moved": (
        *(_meeting("10:00"), Pass(OnDay(1, "09:01"))),
        *(Enter(0, -59 * MINUTE, "CONFIRMED"), Update(0, (OnDay(0, "14:00"), 3600, None))),
        *(Pass(OnDay(0, "13:30")), Enter(0, -30 * MINUTE, "CONFIRMED"), Pass(OnDay(0, "14:30"))),
    ),
    "looked in, then changed": (
        *(_meeting("10:00"), Pass(OnDay(1, "09:01")), Enter(0, -59 * MINUTE, "CONFIRMED")),
        *(Update(0, (None, 5400, 31)), Enter(0, -60 * MINUTE, "CONFIRMED"), Pass(OnDay(0, "10:30"))),
    ),
    "looked in, and came": (
        *(_meeting("10:00"), Pass(OnDay(1, "09:59:59")), Enter(0, -SECOND, "CONFIRMED")),
        *(Pass(OnDay(0, "10:00")), Enter(0, 0, "CONFIRMED"), End(0)),
    ),
    "looked in is no late proof": (
        *(_meeting("10:00"), Pass(OnDay(1, "10:30")), Enter(0, -1, "NO_SHOW"), Enter(0, 0, "NO_SHOW")),
    ),
    "two wake after a stop": (
        *(_meeting("09:00"), _meeting("11:00"), _meeting("13:00")),
        Pass(OnDay(2, "10:00"), caught_up=2),
    ),
    "asked and withdrawn again and again": (
        *(each for days in (1, 2, 3) for each in (_meeting("10:00", days=days, people=120), Cancel(0))),
        *(_meeting("10:00", days=4, people=120), _meeting("10:00", days=4, people=99)),
        *(Update(0, (None, None, 120)), Pass(OnDay(1, "00:00")), _meeting("10:00", days=4, people=120)),
    ),
    "waits since yesterday": (
        *(_meeting("10:00", days=2, people=120), Pass(OnDay(1, "00:00"))),
        *(_meeting("10:00", days=days, people=120) for days in (2, 3, 4)),
        *(Update(3, (None, None, 130)), Series(_meeting("10:00", "bob", people=120), 5, all_or_none=False)),
    ),
    "decided by who asked": (
        *(_meeting("14:00"), replace(_meeting("10:00", people=120), by_support=True)),
        *(Resolve(0, approve=True, by=SUPPORT), Resolve(0, approve=False, by=SUPPORT), Resolve(0, approve=True)),
    ),
    "decided by who changed it": (
        *(_meeting("10:00", people=120), Update(0, (None, None, 130), by=SUPPORT), Update(0, (None, None, 140))),
        *(Resolve(0, approve=True, by=SUPPORT), Resolve(0, approve=True)),
    ),
    "no longer of support": (
        *(_meeting("14:00"), replace(_meeting("10:00"), by_support=True)),
        *(Update(0, (None, 5400, None), by=FORMER), Cancel(0, FORMER), Cancel(0, SUPPORT)),
    ),
    "handed over": (
        *(_meeting("10:00"), _meeting("12:00"), _meeting("15:00", people=120), _meeting("10:00", "bob")),
        *(Leave("ann", "bob"), Update(0, (None, 5400, None)), Leave("bob", "ann"), Cancel(0)),
    ),
    "handed over to whose day is full": (
        *(_meeting("10:00"), _meeting("12:00"), _meeting("09:00", "bob"), _meeting("14:00", "bob")),
        *(Leave("ann", "bob"), Leave("ann"), Leave("bob", "ann")),
    ),
    "handed over with its approval": (
        *(_meeting("10:00", people=120), _meeting("10:00", "bob"), Resolve(0, approve=True)),
        *(Leave("ann", "bob"), Leave("bob", "ann"), Leave("bob", "ann", SUPPORT), Resolve(0, approve=True)),
    ),
    "handed over while something is due": (
        *(_meeting("10:00"), _meeting("12:00"), _meeting("10:00", "bob", days=2), Pass(OnDay(1, "10:30"), 0)),
        *(Leave("ann", "bob"), Leave("bob", "ann")),
    ),
    "handed over after a late change": (
        *(_meeting("10:00", seconds=10800), _meeting("09:00", "bob"), Pass(OnDay(1, "09:40"))),
        *(Update(1, (OnDay(0, "11:00"), 7200, None)), Leave("ann", "bob"), Cancel(0), _meeting("18:00", days=0)),
    ),
    "from the hour that comes twice": (Series(Create("ann", OnDay(2, "01:30", 1), 3600, 12), 3, all_or_none=False),),
}

rivals = st.sampled_from(
    (
        *((Cancel(0), Cancel(0, SUPPORT)), (Cancel(0), Update(0, (None, 5400, None)))),
        *((Resolve(0, approve=True), Resolve(0, approve=False)), (Resolve(0, approve=True), Cancel(0))),
        (Resolve(0, approve=True, by=SUPPORT), Update(0, (None, None, 130), by=SUPPORT)),
        *((Update(0, (None, 5400, None)), Update(0, (None, None, 31))), (Enter(0, 0, "CONFIRMED"), Cancel(0))),
        *(
            (Enter(0, -5 * MINUTE, "CONFIRMED"), Cancel(0)),
            (Enter(0, -5 * MINUTE, "CONFIRMED"), Enter(0, -1, "CONFIRMED")),
        ),
    )
)
"""Two who want something else with one reservation."""
leavings = st.sampled_from(
    (
        *((Leave("ann", "bob"), Cancel(0)), (Leave("ann", "bob"), Leave("ann", "cat")), (Leave("ann"), Cancel(0))),
        *((Leave("ann", "bob"), Update(0, (None, 5400, None))), (Leave("ann"), Leave("ann", "bob"))),
        *((Leave("ann", "bob"), replace(USUAL, account="bob")), (Leave("ann"), Leave("ann"))),
    )
)
"""Two of whom one speaks of all that ann has: of a single reservation, for several are no one act."""

plans = st.one_of(creates, creates, series, updates, cancels, resolves, enters, ends)


def replace_people(people: int) -> Create:
    return replace(USUAL, people=people)


def replace_when(plan: Create, lead: int) -> Create:
    return replace(plan, when=Ahead(lead))


def asking(account: str, moment: int) -> Act:
    request = api.GetStandingRequest(time=to_timestamp(moment))

    def expect(world: World) -> Any:
        day, week = world.used(account, moment)
        return {"DAILY_QUOTA": (day, PER_DAY - day), "WEEKLY_QUOTA": (week, PER_WEEK - week)}, world.suspended_until(
            account
        )

    return Act(principal(account), "GetStanding", request, expect)
