"""How far back a policy looks: so much of an account's history is enough for the same decision, and less for none.

All that is to come is always told, so only the past has a bound: what a remedy tries lies later, never earlier.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.document import LONGEST, Document, EscalationCount, ReservationCount, ViolationCount
from services.policy.questions import SECOND, InvalidRequestError

_DAY = 86_400
_SHIFT = _DAY  # a day, or a week, is longer where clocks are put back meanwhile; never by more
_CALENDAR = {"calendar_day": _DAY + _SHIFT, "calendar_week": 7 * _DAY + _SHIFT}


class ShortHistoryError(InvalidRequestError):
    """The history begins later than `window` reaches back."""

    def __init__(self, field: str, window: pb.HistoryWindow) -> None:
        self.window = window
        super().__init__(field, f"begins too late for {window.policy_version}, which looks further back")


def window_of(document: Document, version: str, counted: Iterable[str]) -> pb.HistoryWindow:
    """`counted`: the facts that the rules need. Thresholds are taken at their largest, whoever has it."""
    facts = [document.facts[name] for name in counted]
    reservations = [fact for fact in facts if isinstance(fact, ReservationCount)]
    return pb.HistoryWindow(
        policy_version=version,
        before_start_seconds=max((_span(document, each) for each in reservations if each.of == "start"), default=0),
        before_now_seconds=max(
            (
                *(_span(document, each) for each in reservations if each.of == "now"),
                *(_CALENDAR[each.period] for each in facts if isinstance(each, EscalationCount)),
            ),
            default=0,
        ),
        violations_before_now_seconds=max(
            (max(_values(document, each.within)) for each in facts if isinstance(each, ViolationCount)), default=0
        ),
    )


def _span(document: Document, fact: ReservationCount) -> int:
    if fact.period == "rolling_days":
        return max(_values(document, fact.days or "")) * _DAY
    return _CALENDAR.get(fact.period, LONGEST["seconds"])  # of a period that is not known here: all there is


def _values(document: Document, threshold: str) -> Iterator[int]:
    yield document.thresholds[threshold].value
    yield from (each.thresholds[threshold] for each in document.overrides if threshold in each.thresholds)


def check(history: pb.History, starts: Iterable[int], now: int, window: pb.HistoryWindow) -> None:
    """`starts` and `now` in epoch nanoseconds. Raises ShortHistoryError."""
    if history.HasField("from_time"):
        earliest = min(min(starts) - window.before_start_seconds * SECOND, now - window.before_now_seconds * SECOND)
        if _nanoseconds(history.from_time) > earliest:
            raise ShortHistoryError("history.from_time", window)
    if history.HasField("violations_from_time"):
        earliest = now - window.violations_before_now_seconds * SECOND
        if _nanoseconds(history.violations_from_time) > earliest:
            raise ShortHistoryError("history.violations_from_time", window)


def _nanoseconds(stamp: Timestamp) -> int:
    return stamp.seconds * SECOND + stamp.nanos
