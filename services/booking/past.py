"""An account's past, of which a question tells what the rules in force look at: selected by time, without a scan."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from yunhui.policy.v1 import policy_service_pb2 as policy

from services.platform.clock import SECOND, from_timestamp, to_timestamp


@dataclass(frozen=True, slots=True)
class Horizon:
    """From when on reservations and violations are told; epoch ms."""

    reservations: int
    violations: int


def horizon(window: policy.HistoryWindow, starts: Iterable[int], now: int) -> Horizon:
    """How far back rules look; `starts` are all that the subject (or each candidate) names, as HistoryWindow says."""
    return Horizon(
        min(min(starts) - window.before_start_seconds * SECOND, now - window.before_now_seconds * SECOND),
        now - window.violations_before_now_seconds * SECOND,
    )


def starts_of(subject: policy.Subject) -> Iterator[int]:
    """All starts that the subject names; epoch ms."""
    yield from_timestamp(subject.start_time)
    for field in ("next_free_time", "former_start_time"):
        if subject.HasField(field):
            yield from_timestamp(getattr(subject, field))
    yield from (from_timestamp(each.start_time) for each in subject.former_starts)


class Past:
    """A whole history, sorted by the last moment by which an entry can count."""

    def __init__(self, history: policy.History) -> None:
        self._reservations = sorted(history.reservations, key=last_moment)
        self._moments = [last_moment(each) for each in self._reservations]
        self._violations = sorted(history.violations, key=lambda each: from_timestamp(each.violation_time))
        self._violated = [from_timestamp(each.violation_time) for each in self._violations]
        self._suspensions = list(history.suspensions)

    def since(self, horizon: Horizon) -> policy.History:
        """What lies at the horizon or later, and says so."""
        return policy.History(
            reservations=self._reservations[bisect_left(self._moments, horizon.reservations) :],
            violations=self._violations[bisect_left(self._violated, horizon.violations) :],
            suspensions=self._suspensions,
            from_time=to_timestamp(horizon.reservations),
            violations_from_time=to_timestamp(horizon.violations),
        )


def last_moment(reservation: policy.PastReservation) -> int:
    """The last of its starts, or when support was asked; epoch ms."""
    moments = [from_timestamp(reservation.start_time)]
    moments += [from_timestamp(each.start_time) for each in reservation.former_starts]
    if reservation.HasField("escalate_time"):
        moments.append(from_timestamp(reservation.escalate_time))
    return max(moments)
