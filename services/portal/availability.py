"""Which rooms are free: rooms by capacity, half hours of a day; times that a rule forbids are not offered."""

import asyncio
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.platform.text.messages import message
from services.portal import policies
from services.portal.calls import ask, services_of
from services.portal.rendering import reader_of, render
from services.portal.times import Reader, stamp_of

SLOT = timedelta(minutes=30)
MOST_DAYS = 31
"""So far ahead days are shown, whatever the rules allow."""
DAYTIME = (7, 22)
USUAL = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Gap:
    """Free in one room, from one local time until another; when drawn, `until` is the end that is proposed."""

    start: datetime
    end: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    start: datetime
    state: str
    """free, approval, taken or closed"""
    offer: tuple[datetime, datetime] | None = None
    """For one that can be reserved: the interval around it that is proposed."""


@dataclass(frozen=True, slots=True)
class Row:
    room: pb.Room
    slots: list[Slot]
    free: list[Gap]
    """Whole free intervals, for the table."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the policy is about times."""

    earliest: datetime
    beyond: datetime
    """What starts then or later cannot be reserved yet."""
    shortest: timedelta
    """What is no longer than that belongs on the personal account."""
    days: int
    approval: bool
    closed: str
    """Why nothing at all is offered that day; "" when something is."""

    @property
    def usual(self) -> timedelta:
        """What is proposed: an hour, or the next half hour that is long enough."""
        return max(USUAL, self.shortest // SLOT * SLOT + SLOT)

    def allowed(self, start: datetime, end: datetime) -> Gap | None:
        """The part of a free interval in which something can be reserved: whether any rule would allow it."""
        start = max(start, self.earliest)
        if start >= self.beyond or end - start <= self.shortest or self.closed:
            return None
        return Gap(start, end, min(start + self.usual, end))


async def show(request: Request) -> Response:
    reader = reader_of(request)
    people = _people(request)
    day = day_of(request, reader)
    (_, policy), standing = await asyncio.gather(policies.in_force(request), _standing(request, day))
    rules = _rules(reader, day, policy, standing, people)
    wide = "all" in request.query_params
    return render(
        request,
        "rooms.html",
        day=day,
        days=[reader.today + timedelta(days=ahead) for ahead in range(rules.days + 1)],
        people=people,
        wide=wide,
        rules=rules,
        rows=await _rows(request, day, people, rules, wide),
        hours=[] if wide else list(DAYTIME),
    )


def _people(request: Request) -> int:
    said = request.query_params.get("people", "")
    return min(int(said), 10_000) if said.isascii() and said.isdigit() and len(said) < 6 else 0


def day_of(request: Request, reader: Reader) -> date:
    try:
        asked = date.fromisoformat(request.query_params.get("day", ""))
    except ValueError:
        return reader.today
    return asked if reader.today <= asked <= reader.today + timedelta(days=MOST_DAYS) else reader.today


async def _standing(request: Request, day: date) -> pb.Standing:
    noon = stamp_of(datetime.combine(day, time(12), reader_of(request).zone))
    question = api.GetStandingRequest(time=noon)
    return (await ask(request, services_of(request).booking.GetStanding, question)).standing


def _rules(reader: Reader, day: date, policy: policies.PolicyInForce, standing: pb.Standing, people: int) -> Rules:
    bounds = policy.bounds(standing.thresholds)
    days = MOST_DAYS if bounds.days is None else min(bounds.days, MOST_DAYS)
    approval = bool(bounds.large and people >= bounds.large)
    zone = ZoneInfo(policy.zone)
    over = reader.now.astimezone(zone).date() + timedelta(days=days + 1)
    cutoff = reader.now + timedelta(seconds=bounds.soonest)
    return Rules(
        earliest=_next_slot(cutoff, datetime.combine(day, time(0), reader.zone)),
        beyond=datetime.combine(over, time(0), zone),
        shortest=timedelta(seconds=0 if approval else bounds.shortest),
        days=days,
        approval=approval,
        closed=_closed(standing, few=0 < people <= bounds.fewest),
    )


def _closed(standing: pb.Standing, *, few: bool) -> str:
    if standing.HasField("closed_until"):
        return message("Booking is closed for you at present, so no time is offered.")
    if any(not quota.remaining for quota in standing.quotas):
        return message("Your quota for this day or week is used up, so no time is offered.")
    return message("So few people meet with a personal free account, so no room is offered.") if few else ""


async def _rows(request: Request, day: date, people: int, rules: Rules, wide: bool) -> list[Row]:
    reader, booking = reader_of(request), services_of(request).booking
    first = datetime.combine(day, time(0), reader.zone)
    last = datetime.combine(day + timedelta(days=1), time(0), reader.zone)
    question = api.SearchAvailabilityRequest(
        start_time=stamp_of(first),
        end_time=stamp_of(last + rules.usual),  # what begins late in the evening may go on after midnight
        participant_count=people,
    )
    found = await ask(request, booking.SearchAvailability, question)
    rooms = await ask(request, booking.ListRooms, api.ListRoomsRequest())
    free: dict[str, list[tuple[datetime, datetime]]] = {}
    for each in found.intervals:
        if (start := reader.local(each.start_time)) < last:
            free.setdefault(each.room.room_id, []).append((start, reader.local(each.end_time)))
    slots = _slots(first, last, wide)
    shown = [room for room in rooms.rooms if room.enabled and room.capacity >= people]
    return [_row(room, slots, free.get(room.room_id, []), rules) for room in shown]


def _next_slot(moment: datetime, first: datetime) -> datetime:
    over = (moment - first) % SLOT
    return (moment if not over else moment + SLOT - over).astimezone(first.tzinfo)


def _slots(first: datetime, last: datetime, wide: bool) -> list[datetime]:
    number = int((last.timestamp() - first.timestamp()) // SLOT.total_seconds())
    starts = [datetime.fromtimestamp(first.timestamp() + n * 1800, first.tzinfo) for n in range(number)]
    return starts if wide else [each for each in starts if DAYTIME[0] <= each.hour < DAYTIME[1]]


def _row(room: pb.Room, starts: list[datetime], free: list[tuple[datetime, datetime]], rules: Rules) -> Row:
    gaps = [gap for each in free if (gap := rules.allowed(*each))]
    return Row(room, [_slot(start, free, gaps, rules) for start in starts], gaps)


def _slot(start: datetime, free: list[tuple[datetime, datetime]], gaps: list[Gap], rules: Rules) -> Slot:
    for gap in gaps:
        if gap.start <= start < rules.beyond and start + SLOT <= gap.end:
            since = start if gap.end - start > rules.shortest else max(gap.start, gap.end - rules.usual)
            return Slot(start, "approval" if rules.approval else "free", (since, min(since + rules.usual, gap.end)))
    idle = any(first <= start and start + SLOT <= last for first, last in free)
    return Slot(start, "closed" if idle or start < rules.earliest or rules.closed else "taken")
