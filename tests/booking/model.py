"""Booking once more, in plain Python written from docs/rules.md and docs/life.md alone: nothing of services/.

All times are epoch milliseconds. Every act either changes the world and returns what is to be answered, or raises
Refused with the name of the gRPC code and changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
PER_DAY, PER_WEEK = 3, 10
AHEAD_DAYS = 7
CUTOFF = GRACE = 30 * MINUTE
LARGE, SMALL, SHORT = 100, 2, 40 * MINUTE
ASKED_PER_DAY = 3
SUPPORT, DEPUTY = "support", "deputy"

BARRED, STRICT = "barred", "strict"
"""Departments: who belongs to one may not book, or only with an advanced account and checked."""

HOLDING = {"CONFIRMED", "IN_USE"}
COMING = {"PENDING_APPROVAL", "CONFIRMED"}
COUNTING = {"PENDING_APPROVAL", "CONFIRMED", "IN_USE", "COMPLETED", "NO_SHOW"}


class Refused(Exception):  # noqa: N818 - an answer like another
    """The name of the gRPC code that is to be answered."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(eq=False)
class Reservation:
    """`id` is what the system under test calls it; `told` are the names of its events.

    `promised` is the start that it stands by: the one that it has, unless that was put off too late.
    """

    account: str
    creator: str
    start: int
    end: int
    people: int
    state: str
    room: str | None = None
    id: str = ""
    entered: int | None = None
    looked_in: int | None = None
    cancelled: int | None = None
    resolved: tuple[str, str] | None = None
    """How, and by whom."""
    asked: int | None = None
    """When support was asked about it, whatever came of that."""
    parties: set[str] = field(default_factory=set)
    """Who it is for, and who asked for it, or for a change of it that no rule refused: they decide nothing about it."""
    told: list[str] = field(default_factory=list)
    promised: int = 0

    def __post_init__(self) -> None:
        self.promised = self.promised or self.start

    @property
    def version(self) -> int:
        return len(self.told)

    def become(self, state: str, event: str) -> None:
        self.state = state
        self.told.append(event)

    def counts(self) -> bool:
        late = self.state == "CANCELLED" and self.cancelled is not None and self.promised - self.cancelled < CUTOFF
        return late or self.state in COUNTING

    def due(self) -> dict[str, int]:
        """What the clock has still to do with it, and when."""
        if self.state == "PENDING_APPROVAL":
            return {"escalation": self.start - CUTOFF}
        watched = {"attendance": self.start + GRACE} if self.state == "CONFIRMED" else {}
        over = max(self.end, self.start + GRACE)  # who makes it end sooner is judged all the same
        return watched | ({"completion": over} if self.state in HOLDING else {})

    def keeps(self, start: int, end: int) -> bool:
        """Whether that is only a part of the time that it has."""
        return self.start <= start and end <= self.end

    def is_late(self, now: int) -> bool:
        return self.promised - now < CUTOFF

    def promised_with(self, start: int, end: int, now: int) -> int:
        """The start that it stands by when it is changed to that."""
        return self.promised if self.is_late(now) and self.keeps(start, end) else start


@dataclass(eq=False)
class Suspension:
    account: str
    start: int
    end: int
    lifted: int | None = None
    told_over: bool = False

    def runs(self, now: int) -> bool:
        return self.start <= now < self.end and self.lifted is None


@dataclass(eq=False)
class Violation:
    reservation: Reservation
    time: int
    waived: bool = False
    lifted: bool = False
    suspension: Suspension | None = None

    def speaks(self, now: int) -> bool:
        """Whether it still counts towards a suspension."""
        used_up = self.suspension is not None and self.suspension.lifted is None
        return not self.waived and not used_up and abs(now - self.time) < WEEK


@dataclass(frozen=True)
class Answer:
    """To a request for a room, or for a change: the rules that spoke, and what there is now, if it was accepted."""

    outcome: str
    rules: frozenset[str]
    reservation: Reservation | None = None


@dataclass(frozen=True)
class Cancelled:
    reservation: Reservation
    quota_returned: bool


@dataclass(frozen=True)
class HandedOver:
    """Or refused, by which rules."""

    reservation: Reservation
    rules: frozenset[str]
    taken: bool


@dataclass(frozen=True)
class Repeated:
    """The answer that was given to this key before."""

    key: tuple[str, str]


@dataclass(frozen=True)
class Request:
    """What is asked for; `room` "" is any."""

    account: str
    actor: str
    start: int
    end: int
    people: int
    room: str = ""


def outcome_of(rules: Iterable[str]) -> str:
    spoken = set(rules)
    if "SMALL_MEETING" in spoken:
        return "REDIRECTED"
    if spoken - {"LARGE_MEETING"}:
        return "DENIED"
    return "PENDING_APPROVAL" if spoken else "CONFIRMED"


@dataclass(frozen=True)
class Member:
    """What the directory says of somebody."""

    closed: bool = False
    free: bool = False
    unverified: bool = False
    department: str = ""


@dataclass
class World:
    """Everything that booking should know."""

    zone: ZoneInfo
    seats: dict[str, int]
    now: int
    reservations: list[Reservation] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    suspensions: list[Suspension] = field(default_factory=list)
    known: dict[str, list[str]] = field(default_factory=dict)
    """Accounts with the names of their events."""
    refusals: list[str] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)
    """Whom the directory knows."""
    above: dict[str, str] = field(default_factory=dict)
    """By department the one above it, "" at the top."""
    answered: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What was asked under each key."""
    decisions: int = 0

    # time

    def local(self, moment: int) -> datetime:
        return datetime.fromtimestamp(moment // SECOND, UTC).astimezone(self.zone)

    def day(self, moment: int) -> date:
        return self.local(moment).date()

    def week(self, moment: int) -> date:
        """Its Monday."""
        return self.day(moment) - timedelta(days=self.day(moment).weekday())

    def days_later(self, moment: int, days: int) -> int:
        """The same hour on the clock of the zone."""
        wall = self.local(moment)
        day = wall.date() + timedelta(days)
        return int(wall.replace(year=day.year, month=day.month, day=day.day, fold=0).timestamp()) * SECOND

    # rules

    def rules(self, wanted: Request, changed: Reservation | None = None) -> frozenset[str]:
        """Every rule that speaks about a request, or about a change of `changed`."""
        if changed is None or self.is_more(wanted, changed):
            return self.spoken(wanted, changed, more=True)
        rules = self.spoken(wanted, changed, more=False)
        gets_a_room = changed.room is None and outcome_of(rules) == "CONFIRMED"
        return self.spoken(wanted, changed, more=True) if gets_a_room else rules

    def is_more(self, wanted: Request, changed: Reservation) -> bool:
        """Than there is: than the room seats, or where there is none yet, than was asked for."""
        most = self.seats[changed.room] if changed.room else changed.people
        return not changed.keeps(wanted.start, wanted.end) or wanted.people > most

    def spoken(self, wanted: Request, changed: Reservation | None, *, more: bool) -> frozenset[str]:
        start, people = wanted.start, wanted.people
        counted = [each.promised for each in self.of(wanted.account) if each is not changed and each.counts()]
        counts_at = changed.promised_with(start, wanted.end, self.now) if changed else start
        late = changed is not None and changed.is_late(self.now)
        put_off = changed is not None and start > changed.start and self.now > changed.promised
        if changed and late and start != changed.start and (put_off or not changed.keeps(start, wanted.end)):
            counted.append(changed.promised)  # left too late, it would count beside the new start
        member = self.members.get(wanted.account, Member())
        departments = self.with_all_above(member.department)
        strict = more and STRICT in departments
        spoken = {
            "ACCOUNT_CLOSED": more and member.closed,
            "MAY_NOT_BOOK": more and BARRED in departments,
            "ADVANCED_ONLY": strict and member.free,
            "UNVERIFIED": strict and member.unverified,
            "DAILY_QUOTA": sum(self.day(each) == self.day(counts_at) for each in counted) >= PER_DAY,
            "WEEKLY_QUOTA": sum(self.week(each) == self.week(counts_at) for each in counted) >= PER_WEEK,
            "SUSPENSION": more and self.suspended_until(wanted.account) is not None,
            "BOOKING_HORIZON": (self.day(start) - self.day(self.now)).days > AHEAD_DAYS,
            "BOOKING_CUTOFF": more and start - self.now < CUTOFF,
            "LATE_CHANGE": late and (more or put_off),
            "LARGE_MEETING": people >= LARGE,
            "ESCALATION_LIMIT": people >= LARGE and self.asks_too_often(wanted.account, changed),
            "SMALL_MEETING": people < LARGE and (wanted.end - start <= SHORT or people <= SMALL),
            "NO_ROOM_FREE": people < LARGE and not self.free_rooms(wanted, changed),
        }
        return frozenset(rule for rule, speaks in spoken.items() if speaks)

    def with_all_above(self, department: str) -> set[str]:
        return {department, *self.with_all_above(self.above[department])} if department else set()

    def asks_too_often(self, account: str, changed: Reservation | None) -> bool:
        """Whether support would be asked once more; about what waits already it is not asked anew."""
        if changed is not None and changed.state == "PENDING_APPROVAL":
            return False
        asked = [each.asked for each in self.of(account) if each is not changed and each.asked is not None]
        return sum(self.day(moment) == self.day(self.now) for moment in asked) >= ASKED_PER_DAY

    def free_rooms(self, wanted: Request, without: Reservation | None = None) -> list[str]:
        """First the one that `without` has if that is enough, then smallest first; among equals the one it has."""
        held = {
            each.room
            for each in self.reservations
            if each is not without and each.state in HOLDING and each.start < wanted.end and wanted.start < each.end
        }
        fitting = [
            room
            for room, seats in self.seats.items()
            if seats >= wanted.people and room not in held and wanted.room in ("", room)
        ]
        kept = without.room if without else None
        fitting.sort(key=lambda room: (self.seats[room], room != kept, room))
        if without and kept and not self.is_more(wanted, without):
            fitting = [kept, *(room for room in fitting if room != kept)]
        return fitting

    def of(self, account: str) -> list[Reservation]:
        return [each for each in self.reservations if each.account == account]

    def suspended_until(self, account: str) -> int | None:
        return max(
            (each.end for each in self.suspensions if each.account == account and each.runs(self.now)), default=None
        )

    def used(self, account: str, moment: int) -> tuple[int, int]:
        """Quota used on the day and in the week of a moment."""
        starts = [each.promised for each in self.of(account) if each.counts()]
        return (
            sum(self.day(start) == self.day(moment) for start in starts),
            sum(self.week(start) == self.week(moment) for start in starts),
        )

    # requests

    def create(self, wanted: Request, key: str, body: Any) -> Answer | Repeated:
        self.settle(wanted.account)
        if wanted.start < self.now and (wanted.actor, key) not in self.answered:
            raise Refused("INVALID_ARGUMENT")
        if earlier := self.repeated(wanted.actor, key, body):
            return earlier
        self.check(wanted)
        self.remember(wanted.actor, key, body)
        self.known.setdefault(wanted.account, [])
        return self.make(wanted, self.rules(wanted))

    def series(self, wanted: list[Request], key: str, body: Any, *, all_or_none: bool) -> list[Answer] | Repeated:
        self.settle(wanted[0].account)
        if wanted[0].start < self.now and (wanted[0].actor, key) not in self.answered:
            raise Refused("INVALID_ARGUMENT")
        if earlier := self.repeated(wanted[0].actor, key, body):
            return earlier
        for each in wanted:
            self.check(each)
        self.remember(wanted[0].actor, key, body)
        self.known.setdefault(wanted[0].account, [])
        before = len(self.reservations), len(self.refusals), self.decisions
        answers = [self.make(each, self.rules(each)) for each in wanted]
        refused = [each for each in answers if each.reservation is None]
        if all_or_none and refused:
            del self.reservations[before[0] :]
            self.decisions = before[2] + len(refused)
            answers = [Answer(each.outcome, each.rules) for each in answers]
        return answers

    def check(self, wanted: Request) -> None:
        if wanted.actor != wanted.account and wanted.account not in self.known:
            raise Refused("NOT_FOUND")
        if wanted.room and wanted.room not in self.seats:
            raise Refused("NOT_FOUND")
        if wanted.room and self.seats[wanted.room] < wanted.people:
            raise Refused("INVALID_ARGUMENT")

    def make(self, wanted: Request, rules: frozenset[str]) -> Answer:
        self.decisions += 1
        outcome = outcome_of(rules)
        if outcome in ("DENIED", "REDIRECTED"):
            self.refusals.append(outcome.lower())
            return Answer(outcome, rules)
        room = self.free_rooms(wanted)[0] if outcome == "CONFIRMED" else None
        made = Reservation(
            wanted.account, wanted.actor, wanted.start, wanted.end, wanted.people, outcome, room, told=[outcome.lower()]
        )
        made.asked = self.now if outcome == "PENDING_APPROVAL" else None
        made.parties = {wanted.account, wanted.actor}
        self.reservations.append(made)
        return Answer(outcome, rules, made)

    def update(
        self,
        mine: Reservation,
        actor: str,
        wanted: tuple[int | None, int | None, int | None],
        version: int,
        key: str,
        body: Any,
    ) -> Answer | Repeated:
        """`wanted`: start, end, people, each None for as it is; `version` 0 is any."""
        self.see(mine, actor)
        self.settle(mine.account)
        if earlier := self.repeated(actor, key, body):
            return earlier
        self.require(mine, "PENDING_APPROVAL", "CONFIRMED")
        if version not in (0, mine.version):
            raise Refused("ABORTED")
        start, end, people = (new or old for new, old in zip(wanted, (mine.start, mine.end, mine.people), strict=True))
        if (start != mine.start and start < self.now) or not start < end <= start + DAY:
            raise Refused("INVALID_ARGUMENT")
        self.remember(actor, key, body)
        self.decisions += 1
        after = Request(mine.account, actor, start, end, people)
        rules = self.rules(after, mine)
        outcome = outcome_of(rules)
        if outcome in ("PENDING_APPROVAL", "CONFIRMED"):
            mine.parties.add(actor)
        if outcome == "PENDING_APPROVAL" and mine.state == "CONFIRMED":
            outcome = "DENIED"  # what holds a room is not given up for what support may decline
        if outcome in ("DENIED", "REDIRECTED"):
            return Answer(outcome, rules, mine)
        mine.room = self.free_rooms(after, mine)[0] if outcome == "CONFIRMED" else None
        mine.promised = mine.promised_with(start, end, self.now)
        mine.looked_in = mine.looked_in if start == mine.start else None
        mine.start, mine.end, mine.people = start, end, people
        mine.become(outcome, "updated")
        return Answer(outcome, rules, mine)

    def repeated(self, actor: str, key: str, body: Any) -> Repeated | None:
        if not key or (actor, key) not in self.answered:
            return None
        if self.answered[actor, key] != body:
            raise Refused("ALREADY_EXISTS")
        return Repeated((actor, key))

    def remember(self, actor: str, key: str, body: Any) -> None:
        if key:
            self.answered[actor, key] = body

    # life

    def cancel(self, mine: Reservation, actor: str) -> Cancelled:
        self.see(mine, actor)
        self.settle(mine.account)
        if mine.state != "CANCELLED":
            self.require(mine, "PENDING_APPROVAL", "CONFIRMED")
            mine.cancelled = self.now
            self.decisions += 1
            mine.become("CANCELLED", "cancelled")
        return Cancelled(mine, quota_returned=not mine.counts())

    def coming(self, account: str) -> list[Reservation]:
        """What has not begun, earliest start first."""
        found = [each for each in self.of(account) if each.start > self.now and each.state in COMING]
        return sorted(found, key=lambda each: (each.start, each.id))

    def cancel_coming(self, account: str, actor: str) -> list[Cancelled]:
        found = self.coming(account)
        for _ in found:
            self.settle(account)
        return [self.cancel(each, actor) for each in found if each.state in COMING]

    def hand_over(self, account: str, to: str, actor: str) -> list[HandedOver]:
        if actor == to:
            raise Refused("PERMISSION_DENIED")
        if to not in self.known:
            raise Refused("NOT_FOUND")
        found = self.coming(account)
        for _ in found:
            self.settle(account)
            self.settle(to)
        return [self.hand_one_over(each, to, actor) for each in found if each.state in COMING]

    def hand_one_over(self, mine: Reservation, to: str, actor: str) -> HandedOver:
        """As if it were asked for anew, but it has its room, or waits for support already."""
        rules = self.spoken(Request(to, actor, mine.start, mine.end, mine.people), None, more=True) - {"NO_ROOM_FREE"}
        if mine.state == "PENDING_APPROVAL":
            rules -= {"ESCALATION_LIMIT"}
        outcome = outcome_of(rules)
        if outcome == "PENDING_APPROVAL" and mine.state == "CONFIRMED" and actor in mine.parties:
            return HandedOver(mine, rules, taken=False)
        self.decisions += 1
        if outcome not in ("PENDING_APPROVAL", "CONFIRMED"):
            return HandedOver(mine, rules, taken=False)
        mine.account, mine.promised = to, mine.start
        mine.parties |= {to, actor}
        mine.become(mine.state, "handed_over")
        return HandedOver(mine, rules, taken=True)

    def end(self, mine: Reservation, actor: str) -> Reservation:
        self.see(mine, actor)
        self.settle(mine.account)
        if mine.state != "COMPLETED":
            self.require(mine, "IN_USE")
            mine.become("COMPLETED", "completed")
        return mine

    def resolve(self, mine: Reservation, actor: str, *, approve: bool, room: str = "") -> Reservation:
        self.settle(mine.account)
        answer = "approved" if approve else "declined", actor
        if mine.resolved == answer and (not approve or room in ("", mine.room)):
            return mine
        self.require(mine, "PENDING_APPROVAL")
        if approve and self.members.get(mine.account, Member()).closed:
            raise Refused("FAILED_PRECONDITION")
        self.require_second_person(mine, actor)
        if not approve:
            mine.become("DECLINED", "declined")
            mine.resolved = answer
            return mine
        if room and room not in self.seats:
            raise Refused("NOT_FOUND")
        free = self.free_rooms(Request(mine.account, actor, mine.start, mine.end, mine.people, room))
        if not free:
            raise Refused("FAILED_PRECONDITION")
        mine.room = free[0]
        mine.become("CONFIRMED", "approved")
        mine.resolved = answer
        return mine

    def enter(self, mine: Reservation, moment: int) -> Reservation:
        if moment > self.now:
            raise Refused("INVALID_ARGUMENT")
        if mine.entered is not None:
            return mine
        self.require(mine, "CONFIRMED", "NO_SHOW")
        if moment < mine.start:
            return self.look_in(mine, moment)
        if moment >= mine.end:
            raise Refused("INVALID_ARGUMENT")
        if moment > mine.start + GRACE:
            raise Refused("FAILED_PRECONDITION")
        mine.entered = moment
        if mine.state == "CONFIRMED":
            mine.become("IN_USE", "in_use")
            return mine
        mine.become("COMPLETED", "completed")
        self.waive(next(each for each in self.violations if each.reservation is mine))
        return mine

    def look_in(self, mine: Reservation, moment: int) -> Reservation:
        """Before the start: noted once, and nothing else is different; afterwards it proves nothing."""
        if mine.state == "NO_SHOW" or moment < mine.start - HOUR:
            raise Refused("FAILED_PRECONDITION")
        if mine.looked_in is None:
            mine.looked_in = moment
            mine.become("CONFIRMED", "entered_early")
        return mine

    def waive(self, violation: Violation, actor: str = "") -> bool:
        """Whether that lifted a suspension, now or when it was waived before. `actor` "": a late proof does it."""
        self.require_second_person(violation.reservation, actor)
        if violation.waived:
            return violation.lifted
        violation.waived = True
        told, caused = self.known[violation.reservation.account], violation.suspension
        told.append("violation_waived")
        if caused is None or not caused.runs(self.now):
            return False
        caused.lifted, caused.told_over, violation.lifted = self.now, True, True
        told.append("reinstated")
        return True

    def see(self, mine: Reservation, actor: str) -> None:
        if actor not in (mine.account, SUPPORT, DEPUTY):
            raise Refused("NOT_FOUND")

    def require_second_person(self, mine: Reservation, actor: str) -> None:
        if actor in mine.parties:
            raise Refused("PERMISSION_DENIED")

    def require(self, mine: Reservation, *states: str) -> None:
        if mine.state not in states:
            raise Refused("FAILED_PRECONDITION")

    # the clock

    def deadlines(self) -> Iterator[tuple[int, str, str, Reservation | Suspension]]:
        """(when, what, id, of what): everything that is still to happen by itself."""
        for each in self.reservations:
            for kind, due in each.due().items():
                yield due, kind, each.id, each
        for suspension in self.suspensions:
            if not suspension.told_over:
                yield suspension.end, "suspension_end", "", suspension

    def overdue(self, account: str) -> bool:
        return any(due <= self.now and of.account == account for due, _, _, of in self.deadlines())

    def settle(self, account: str) -> None:
        """Nothing is accepted for an account while something of it is due."""
        if self.overdue(account):
            self.catch_up()

    def catch_up(self) -> None:
        """Everything that is due, in the order in which it was, as of then."""
        while page := sorted((each for each in self.deadlines() if each[0] <= self.now), key=lambda each: each[:3]):
            for due, kind, _, of in page:
                if isinstance(of, Suspension):
                    of.told_over = True
                    self.known[of.account].append("reinstated")
                elif kind in of.due():
                    self.pass_by(of, kind, due)

    def pass_by(self, mine: Reservation, kind: str, due: int) -> None:
        if kind == "attendance":
            mine.become("NO_SHOW", "released")
            self.decisions += 1
            self.record_violation(mine, due)
        elif kind == "completion":
            mine.become("COMPLETED", "completed")
        else:
            mine.become("EXPIRED", "expired")

    def record_violation(self, mine: Reservation, due: int) -> None:
        earlier = [each for each in self.violations if each.reservation.account == mine.account and each.speaks(due)]
        violation = Violation(mine, due)
        self.violations.append(violation)
        self.known[mine.account].append("violation_recorded")
        if earlier:
            suspension = Suspension(mine.account, due, due + WEEK)
            self.suspensions.append(suspension)
            for each in (*earlier, violation):
                each.suspension = suspension
            self.known[mine.account].append("suspended")
