"""An account's past, of which a question tells what the rules in force look at: selected by time, without a scan."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

from yunhui.policy.v1 import policy_service_pb2 as policy

from services.platform.clock import SECOND, from_timestamp, to_timestamp


@dataclass(frozen=True, slots=True)
class Horizon:
    """From when on, and until when, exclusive, reservations and violations are told; epoch ms. `until` None: all."""

    reservations: int
    violations: int
    until: int | None = None


EVERYTHING = Horizon(0, 0)


def horizon(window: policy.HistoryWindow, starts: Iterable[int], now: int) -> Horizon:
    """How far rules look; `starts` are all that the subject (or each candidate) names, as HistoryWindow says."""
    starts, until = list(starts), None
    if window.HasField("after_start_seconds"):  # else the policy would not notice what is missing
        until = max(max(starts) + window.after_start_seconds * SECOND, now + window.after_now_seconds * SECOND)
    return Horizon(
        min(min(starts) - window.before_start_seconds * SECOND, now - window.before_now_seconds * SECOND),
        now - window.violations_before_now_seconds * SECOND,
        until,
    )


def starts_of(subject: policy.Subject) -> Iterator[int]:
    """All starts that the subject names; epoch ms."""
    yield from_timestamp(subject.start_time)
    for field in ("next_free_time", "former_start_time"):
        if subject.HasField(field):
            yield from_timestamp(getattr(subject, field))
    yield from (from_timestamp(each.start_time) for each in subject.former_starts)


class Past:
    """A history, sorted by the last moment by which an entry can count. Of one that is bounded no more is told."""

    def __init__(self, history: policy.History) -> None:
        found = sorted(((*moments(each), each) for each in history.reservations), key=itemgetter(1))
        self._reservations = [each for _, _, each in found]
        self._last = [last for _, last, _ in found]
        self._spread = [each for each in found if each[0] < each[1]]
        """First and last moment of those that have several: few, so they are looked through."""
        self._violations = sorted(history.violations, key=lambda each: from_timestamp(each.violation_time))
        self._violated = [from_timestamp(each.violation_time) for each in self._violations]
        self._suspensions = list(history.suspensions)
        self._since = from_timestamp(history.from_time) if history.HasField("from_time") else 0
        self._until = from_timestamp(history.until_time) if history.HasField("until_time") else None

    def add(self, entry: policy.PastReservation) -> None:
        """One more, which the history does not have yet."""
        first, last = moments(entry)
        place = bisect_right(self._last, last)
        self._last.insert(place, last)
        self._reservations.insert(place, entry)
        if first < last:
            self._spread.insert(bisect_right(self._spread, last, key=itemgetter(1)), (first, last, entry))

    def within(self, horizon: Horizon) -> policy.History:
        """What lies at the horizon or later, and before its end, and says so."""
        since = max(horizon.reservations, self._since)
        until = min((each for each in (horizon.until, self._until) if each is not None), default=None)
        return policy.History(
            reservations=self._told(since, until),
            violations=self._violations[bisect_left(self._violated, horizon.violations) :],
            suspensions=self._suspensions,
            from_time=to_timestamp(since),
            violations_from_time=to_timestamp(horizon.violations),
            until_time=None if until is None else to_timestamp(until),
        )

    def _told(self, since: int, until: int | None) -> Iterable[policy.PastReservation]:
        """Each whose first moment is before `until` and whose last is not before `since`."""
        begin = bisect_left(self._last, since)
        if until is None:
            return self._reservations[begin:]
        later = self._spread[bisect_left(self._spread, max(since, until), key=itemgetter(1)) :]
        begun = (each for first, _, each in later if first < until)
        return chain(self._reservations[begin : bisect_left(self._last, until)], begun)


def moments(reservation: policy.PastReservation) -> tuple[int, int]:
    """The first and the last of its starts, and of when support was asked; epoch ms."""
    start = from_timestamp(reservation.start_time)
    if not reservation.former_starts and not reservation.HasField("escalate_time"):
        return start, start
    found = [start, *(from_timestamp(each.start_time) for each in reservation.former_starts)]
    if reservation.HasField("escalate_time"):
        found.append(from_timestamp(reservation.escalate_time))
    return min(found), max(found)
