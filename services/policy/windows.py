"""How far back and ahead a policy looks: so much of a history is enough for the same decision, and less for none.

What a remedy tries lies later, never earlier, and mostly soon. So what rules look at is enough to begin with; where a
remedy comes to what is not told, the window that is needed reaches as far as remedies may go.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.conditions import comparisons
from services.policy.document import LONGEST, Document, EscalationCount, Remedy, ReservationCount, Rule, ViolationCount
from services.policy.questions import SECOND, InvalidRequestError, Question
from services.policy.remedies import SECONDS_LATER

_DAY = 86_400
_SHIFT = _DAY  # a day, or a week, is longer where clocks are put back meanwhile; never by more
_CALENDAR = {"calendar_day": _DAY + _SHIFT, "calendar_week": 7 * _DAY + _SHIFT}


class ShortHistoryError(InvalidRequestError):
    """The history does not reach as far as `window` says."""

    def __init__(self, field: str, window: pb.HistoryWindow) -> None:
        self.window = window
        short = "ends too soon" if field == "history.until_time" else "begins too late"
        super().__init__(field, f"{short} for {window.policy_version}, which looks further")


def window_of(document: Document, version: str, counted: Iterable[str]) -> pb.HistoryWindow:
    """`counted`: the facts that the rules need. Thresholds are taken at their largest, whoever has it."""
    facts = [document.facts[name] for name in counted]
    reservations = [fact for fact in facts if isinstance(fact, ReservationCount)]
    escalations = [_CALENDAR[fact.period] for fact in facts if isinstance(fact, EscalationCount)]
    return pb.HistoryWindow(
        policy_version=version,
        before_start_seconds=max((_span(document, each) for each in reservations if each.of == "start"), default=0),
        before_now_seconds=max(
            (*(_span(document, each) for each in reservations if each.of == "now"), *escalations), default=0
        ),
        violations_before_now_seconds=max(
            (max(_values(document, each.within)) for each in facts if isinstance(each, ViolationCount)), default=0
        ),
        after_start_seconds=max((_ahead(each) for each in reservations if each.of == "start"), default=0),
        after_now_seconds=max((*(_ahead(each) for each in reservations if each.of == "now"), *escalations), default=0),
    )


def seconds_later(document: Document) -> int:
    """How much later than the latest start known a remedy may count."""
    return max((_seconds_later(document, rule) for rule in document.rules), default=0)


def _seconds_later(document: Document, rule: Rule) -> int:
    """The second move may begin where the first one ends."""
    compared = (document.facts[each.fact] for _, each in comparisons(rule.when))
    counts = any(isinstance(each, ReservationCount | EscalationCount) for each in compared)
    if counts and isinstance(rule.remedy, Remedy):
        return sum(SECONDS_LATER.get(move, 0) for move in rule.remedy.moves or ())
    return 0


def with_remedies(window: pb.HistoryWindow, later: int, question: Question) -> pb.HistoryWindow:
    """As far as any remedy may go: starts `later`, and waits until the last of them, or until a suspension is over."""
    over = max((end for _, end in question.suspensions), default=question.now)
    widened = pb.HistoryWindow()
    widened.CopyFrom(window)
    widened.after_start_seconds = later + max(window.after_start_seconds, window.after_now_seconds)
    widened.after_now_seconds += max(0, -(-(over - question.now) // SECOND) + 1)
    return widened


def _span(document: Document, fact: ReservationCount) -> int:
    if fact.period == "rolling_days":
        return max(_values(document, fact.days or "")) * _DAY
    return _CALENDAR.get(fact.period, LONGEST["seconds"])  # of a period that is not known here: all there is


def _ahead(fact: ReservationCount) -> int:
    """A rolling span ends with the second of its anchor."""
    return 1 if fact.period == "rolling_days" else _CALENDAR.get(fact.period, LONGEST["seconds"])


def _values(document: Document, threshold: str) -> Iterator[int]:
    yield document.thresholds[threshold].value
    yield from (each.thresholds[threshold] for each in document.overrides if threshold in each.thresholds)


def check(history: pb.History, starts: Iterable[int], now: int, window: pb.HistoryWindow) -> None:
    """That the rules' own counts can be made. `starts` and `now` in epoch nanoseconds. Raises ShortHistoryError."""
    starts = list(starts)
    if history.HasField("from_time"):
        earliest = min(min(starts) - window.before_start_seconds * SECOND, now - window.before_now_seconds * SECOND)
        if _nanoseconds(history.from_time) > earliest:
            raise ShortHistoryError("history.from_time", window)
    if history.HasField("until_time"):
        latest = max(max(starts) + window.after_start_seconds * SECOND, now + window.after_now_seconds * SECOND)
        if _nanoseconds(history.until_time) < latest:
            raise ShortHistoryError("history.until_time", window)
    if history.HasField("violations_from_time"):
        earliest = now - window.violations_before_now_seconds * SECOND
        if _nanoseconds(history.violations_from_time) > earliest:
            raise ShortHistoryError("history.violations_from_time", window)


def _nanoseconds(stamp: Timestamp) -> int:
    return stamp.seconds * SECOND + stamp.nanos
