"""From a question to named integers: every fact that a policy declares becomes one function, built once."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.commitments import ALWAYS, as_asked, commitment, extends, least_lead, so_far
from services.policy.document import Document, EscalationCount, Fact, Measure, ReservationCount, ViolationCount
from services.policy.periods import Period, PeriodCalendar
from services.policy.questions import SECOND, Question, Reservations

_DAY = 86_400 * SECOND
_WEEK_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

Thresholds = Mapping[str, int]
Derivation = Callable[[Question, Thresholds], int]


@dataclass(slots=True)
class CountResult:
    """What a count found: ids by time, the latest moment in nanoseconds (0 when none), the period in epoch seconds.

    `rolling_seconds` is the length of a period that moves along, 0 for one of the calendar.
    """

    value: int
    ids: list[str]
    latest: int
    period: Period
    rolling_seconds: int = 0


Count = Callable[[Question, Thresholds], CountResult]
Violations = Iterable[tuple[int, bool, bool, str]]
"""As in Question."""
Used = Callable[[Reservations, int, Thresholds], tuple[Period, list[tuple[int, str]], int]]
"""The period (epoch seconds), each start in it that counts with its reservation, by time, and the length if rolling."""


def calendar_of(document: Document) -> PeriodCalendar:
    return PeriodCalendar(ZoneInfo(document.zone), _WEEK_DAYS.index(document.week_start))


def measure(fact: Measure, calendar: PeriodCalendar) -> Derivation:
    """Spans are rounded as the policy says: down for "at least", up for "at most", so that no fraction is lost."""
    if fact.within:
        return _committed(fact, fact.within)
    if fact.measure == "entered":
        return _entered(fact.early)
    exact = _MEASURES.get(fact.measure)
    if exact is None:
        return lambda question, _: _days_ahead(question, calendar)
    if fact.round == "up":
        return lambda question, _: -(-exact(question) // SECOND)
    if fact.round == "down" or fact.measure in ("start", "end", "now"):
        return lambda question, _: exact(question) // SECOND
    return lambda question, _: exact(question)


def _committed(fact: Measure, within: str) -> Derivation:
    """The start that the reservation is committed to so far, or how far ahead that is."""

    def derive(question: Question, thresholds: Thresholds) -> int:
        since = so_far(question, thresholds[within] * SECOND).since
        exact = since if fact.measure == "committed_start" else since - question.now
        return -(-exact // SECOND) if fact.round == "up" else exact // SECOND

    return derive


def count(fact: Fact, calendar: PeriodCalendar) -> Count:
    if isinstance(fact, ReservationCount):
        return _reservation_count(fact, calendar)
    if isinstance(fact, EscalationCount):
        return _escalation_count(fact, calendar)
    assert isinstance(fact, ViolationCount)  # noqa: S101 - narrows the type; measures are not counted
    return _violation_count(fact)


def _days_ahead(question: Question, calendar: PeriodCalendar) -> int:
    return calendar.day_number(question.start // SECOND) - calendar.day_number(question.now // SECOND)


def suspended_until(suspensions: Iterable[tuple[int, int]], now: int) -> int:
    """The end of the suspension in force, or 0. Touching or overlapping ones read as one."""
    until = 0
    for start, end in sorted(suspensions):
        if start <= max(now, until) and end > max(now, until):
            until = end
    return until


def _suspension_remaining(question: Question) -> int:
    until = suspended_until(question.suspensions, question.now)
    return until - question.now if until else 0


def _lead(question: Question) -> int:
    return least_lead(question) if question.action == "CANCEL" else question.start - question.now


def _postpones(question: Question) -> int:
    return int(question.former is not None and question.start > question.former.start)


def _entered(early: str | None) -> Derivation:
    """Whether somebody was inside between the start, or `early` before it, and now: whoever only looked in was not."""

    def derive(question: Question, thresholds: Thresholds) -> int:
        first = question.start - (thresholds[early] * SECOND if early else 0)
        return int(question.enter is not None and first <= question.enter <= question.now)

    return derive


_MEASURES: dict[str, Callable[[Question], int]] = {
    "start": lambda question: question.start,
    "end": lambda question: question.end,
    "now": lambda question: question.now,
    "lead": _lead,
    "elapsed": lambda question: question.now - question.start,
    "duration": lambda question: question.end - question.start,
    "participant_count": lambda question: question.participant_count,
    "free_room_count": lambda question: question.free_room_count,
    "suspension_remaining": _suspension_remaining,
    "suspension_end": lambda question: -(-suspended_until(question.suspensions, question.now) // SECOND),
    "extends": lambda question: int(extends(question)),
    "postpones": _postpones,
    "escalates_anew": lambda question: int(not question.waits_for_support),
    "unverified": lambda question: int(question.account.unverified),
    "free_account": lambda question: int(question.account.free),
    "closed_account": lambda question: int(question.account.closed),
}


def _reservation_count(fact: ReservationCount, calendar: PeriodCalendar) -> Count:
    """With every start that the reservation in question leaves late."""
    used, of_start, within = reservations_used(fact, calendar), fact.of == "start", fact.cancelled_within

    def tally(question: Question, thresholds: Thresholds) -> CountResult:
        own = as_asked(question, thresholds[within] * SECOND if within else ALWAYS)
        period, found, length = used(question.reservations, own.since if of_start else question.now, thresholds)
        first, end = period[0] * SECOND, period[1] * SECOND
        left = sum(first <= start < end for start in own.left)
        return CountResult(len(found) + left, [id_ for _, id_ in found], found[-1][0] if found else 0, period, length)

    return tally


def reservations_used(fact: ReservationCount, calendar: PeriodCalendar) -> Used:
    """What counts of a history, and in which period, when the fact is about a moment."""
    statuses = frozenset(pb.ReservationStatus.Value(f"RESERVATION_STATUS_{name}") for name in fact.statuses)
    within = fact.cancelled_within
    rolling = fact.days if fact.period == "rolling_days" else None
    period_of = _period(fact, calendar)

    def used(history: Reservations, moment: int, thresholds: Thresholds) -> tuple[Period, list[tuple[int, str]], int]:
        period = period_of(moment, thresholds)
        first, end = period[0] * SECOND, period[1] * SECOND
        history.check_told(end)
        late = thresholds[within] * SECOND if within else ALWAYS
        counted = history.counted.get((statuses, late))
        if counted is None:
            counted = history.counted[statuses, late] = sorted(_starts(history, statuses, late))
        found = counted[bisect_left(counted, (first,)) : bisect_left(counted, (end,))]
        return period, found, thresholds[rolling] * _DAY // SECOND if rolling else 0

    return used


def _starts(history: Reservations, statuses: Collection[int], late: int) -> Iterator[tuple[int, str]]:
    """Every start that counts, with its reservation: where it is now, and each start that it left late."""
    for start, status, cancelled, id_, former in history:
        since = start
        if former:
            committed = commitment(start, former, late)
            since = committed.since
            yield from ((each, id_) for each in committed.left)
        if status in statuses or (cancelled and since - cancelled < late):
            yield since, id_


def _escalation_count(fact: EscalationCount, calendar: PeriodCalendar) -> Count:
    """By when support was asked, not by when the meeting is; what is withdrawn was asked about all the same."""
    period_of = calendar.day if fact.period == "calendar_day" else calendar.week

    def tally(question: Question, _: Thresholds) -> CountResult:
        period = period_of(question.now // SECOND)
        first, end = period[0] * SECOND, period[1] * SECOND
        question.reservations.check_told(end)
        found = sorted(each for each in question.escalations if first <= each[0] < end)
        return CountResult(len(found), [id_ for _, id_ in found], found[-1][0] if found else 0, period)

    return tally


def _period(fact: ReservationCount, calendar: PeriodCalendar) -> Callable[[int, Thresholds], Period]:
    """A rolling span ends with the second of its anchor; a reservation exactly so many days before is outside."""
    if fact.period == "calendar_day":
        return lambda moment, _: calendar.day(moment // SECOND)
    if fact.period == "calendar_week":
        return lambda moment, _: calendar.week(moment // SECOND)
    days = fact.days or ""

    def rolling(moment: int, thresholds: Thresholds) -> Period:
        end = moment // SECOND + 1
        return end - thresholds[days] * _DAY // SECOND, end

    return rolling


def violations_counted(
    fact: ViolationCount, history: Violations, now: int, thresholds: Thresholds
) -> list[tuple[int, str]]:
    """Less than `within` apart, to either side: checks that were late may come in any order."""
    without_waived, without_used = "waived" in fact.leave_out, "used_up" in fact.leave_out
    span = thresholds[fact.within] * SECOND
    return sorted(
        (moment, id_)
        for moment, waived, used_up, id_ in history
        if abs(now - moment) < span and not (waived and without_waived) and not (used_up and without_used)
    )


def _violation_count(fact: ViolationCount) -> Count:
    extra = int(fact.this_one_too)

    def tally(question: Question, thresholds: Thresholds) -> CountResult:
        now, span = question.now, thresholds[fact.within] * SECOND
        found = violations_counted(fact, question.violations, now, thresholds)
        period = ((now - span) // SECOND + 1, now // SECOND + 1)
        return CountResult(len(found) + extra, [id_ for _, id_ in found], found[-1][0] if found else 0, period)

    return tally
