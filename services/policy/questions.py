"""The door: a DecideRequest checked field by field and read into plain integers. Moments are epoch nanoseconds."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.directory.v1 import member_pb2 as directory
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.policy.document import MAX_ID

SECOND = 1_000_000_000
MAX_ITEMS = 10_000
MAX_TEXT = 1024
MAX_PEOPLE = 1_000_000
MAX_LEVELS = 64
_LAST_SECOND = 253_370_764_800  # 9999-01-01, so that the week after a moment still has a date

_ACTIONS = {
    pb.ACTION_CREATE: "CREATE",
    pb.ACTION_UPDATE: "UPDATE",
    pb.ACTION_CANCEL: "CANCEL",
    pb.ACTION_NO_SHOW: "NO_SHOW",
}
_LAST_STATUS = max(pb.ReservationStatus.values())


class InvalidRequestError(ValueError):
    """Names the field, as in the proto, and what would be right."""

    def __init__(self, field: str, description: str) -> None:
        self.field = field
        self.description = description
        super().__init__(f"{field}: {description}")


@dataclass(frozen=True, slots=True)
class FormerStart:
    """A start that a reservation had, until it was left for another one; `given_back`: what followed lay within it."""

    start: int
    left: int
    given_back: bool


FormerStarts = tuple[FormerStart, ...]
"""Oldest first."""


class UntoldError(InvalidRequestError):
    """A count reaches beyond what the history tells."""


class Reservations(list[tuple[int, int, int, str, FormerStarts]]):
    """Start, status, moment of cancelling (0 when not cancelled), id, starts before."""

    def __init__(self, until: int | None = None) -> None:
        """`until`: what lies here or later is not told; None: all is."""
        super().__init__()
        self._until = until
        self.counted: dict[tuple[frozenset[int], int], list[tuple[int, str]]] = {}
        """What counted of them, by what was looked for: remedies and candidates count the same again and again."""

    def check_told(self, end: int) -> None:
        """Whoever counts up to `end`, exclusive, asks first. Raises UntoldError."""
        if self._until is not None and end > self._until:
            raise UntoldError("history.until_time", "too soon for what is counted")


@dataclass(frozen=True, slots=True)
class Former:
    """What is reserved so far; `seats` are those of the room held, 0 when none is."""

    start: int
    end: int
    people: int
    seats: int


class AccountFacts(NamedTuple):
    """What the directory says against an account; nothing of one that it does not know."""

    unverified: bool = False
    free: bool = False
    closed: bool = False


@dataclass(slots=True)
class Question:
    action: str
    now: int
    start: int
    end: int
    participant_count: int
    free_room_count: int
    enter: int | None
    next_free: int | None
    """The next start at which a room is free; only where none is free now."""
    former: Former | None
    """Only for a change."""
    former_starts: FormerStarts
    """Those of the reservation in question; for a change, before the start that it has so far."""
    waits_for_support: bool
    """Support has been asked about what is to be changed, and has not answered."""
    escalations: list[tuple[int, str]]
    """When support was asked about a past reservation, and its id."""
    reservations: Reservations
    violations: list[tuple[int, bool, bool, str]]
    """Moment, waived, used up, id."""
    suspensions: list[tuple[int, int]]
    """From, until."""
    account: AccountFacts
    takes_room: bool = False
    """For a change of what holds no room: it would get one."""


class HistoryFields(NamedTuple):
    """The fields of a Question that come of its history, in their order."""

    escalations: list[tuple[int, str]]
    reservations: Reservations
    violations: list[tuple[int, bool, bool, str]]
    suspensions: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """What is asked about usage: the moment of the question, the one whose periods are meant, and the history."""

    now: int
    time: int
    reservations: Reservations
    violations: list[tuple[int, bool, bool, str]]
    suspensions: list[tuple[int, int]]


def read_usage_question(request: pb.UsageRequest) -> UsageQuestion:
    """Raises InvalidRequestError for the first field that cannot be meant."""
    _check_account(request.account)
    return UsageQuestion(
        _moment(request, "now", ""),
        _moment(request, "time", ""),
        _reservations(request.history),
        _violations(request.history),
        _suspensions(request.history),
    )


def read_question(request: pb.DecideRequest) -> Question:
    """Raises InvalidRequestError for the first field that cannot be meant."""
    _check_text(request.decision_id, 64, "decision_id")
    action = _ACTIONS.get(request.action)
    if action is None:
        raise InvalidRequestError("action", "must be CREATE, UPDATE, CANCEL or NO_SHOW")
    _check_account(request.account)
    past, account = _past(request.history), _account_facts(request.account)
    return _question(action, _moment(request, "now", ""), request.subject, "subject", past, account)


def read_variants(request: pb.AllowedSubjectsRequest) -> Iterator[Question]:
    """The question with each candidate in place of its subject, in order; the history is read once.

    Raises InvalidRequestError for the first field that cannot be meant.
    """
    asked = read_question(request.question)
    past = HistoryFields(asked.escalations, asked.reservations, asked.violations, asked.suspensions)
    for index, subject in enumerate(request.candidates):
        yield _question(asked.action, asked.now, subject, f"candidates[{index}]", past, asked.account)


def _question(
    action: str, now: int, subject: pb.Subject, name: str, past: HistoryFields, account: AccountFacts
) -> Question:
    start, end = _interval(subject, name)
    return Question(
        action,
        now,
        start,
        end,
        _within(subject.participant_count, 1, MAX_PEOPLE, f"{name}.participant_count"),
        _within(subject.free_room_count, 0, MAX_PEOPLE, f"{name}.free_room_count"),
        _moment(subject, "enter_time", f"{name}.") if subject.HasField("enter_time") else None,
        _moment(subject, "next_free_time", f"{name}.") if subject.HasField("next_free_time") else None,
        _former(subject, name) if subject.HasField("former_start_time") else None,
        _former_starts(subject, f"{name}."),
        subject.waits_for_support,
        *past,
        account,
    )


def _account_facts(account: pb.Account) -> AccountFacts:
    return AccountFacts(
        account.HasField("verified") and not account.verified,
        account.account_type == directory.ACCOUNT_TYPE_FREE,
        account.status == directory.MEMBER_STATUS_DISABLED,
    )


def _past(history: pb.History) -> HistoryFields:
    return HistoryFields(_escalations(history), _reservations(history), _violations(history), _suspensions(history))


def starts(question: Question) -> Iterator[int]:
    """All starts that counts may be about: the one asked for, the next that is free, the one so far, those before."""
    yield question.start
    if question.next_free is not None:
        yield question.next_free
    if question.former:
        yield question.former.start
    yield from (each.start for each in question.former_starts)


def _check_account(account: pb.Account) -> None:
    if not account.account_id:
        raise InvalidRequestError("account.account_id", "is required")
    _check_text(account.account_id, MAX_TEXT, "account.account_id")
    _check_text(account.department, MAX_TEXT, "account.department")
    if len(account.roles) > MAX_TEXT:
        raise InvalidRequestError("account.roles", f"at most {MAX_TEXT}")
    for role in account.roles:
        _check_text(role, MAX_TEXT, "account.roles")
    if account.department_path:
        _check_path(account.department_path)


def _check_path(ids: Collection[str]) -> None:
    name = "account.department_path"
    if len(ids) > MAX_LEVELS:
        raise InvalidRequestError(name, f"at most {MAX_LEVELS} departments")
    if "" in ids:
        raise InvalidRequestError(name, "ids must not be empty")
    for each in ids:
        _check_text(each, MAX_ID, name)
    _check_ids(ids, name)


def _reservations(history: pb.History) -> Reservations:
    """Histories are long: each look into a message counts."""
    name = "history.reservations"
    _check_number(len(history.reservations), name)
    until = history.until_time
    told = until.seconds * SECOND + until.nanos if history.HasField("until_time") else None
    found = Reservations(told)
    for index, item in enumerate(history.reservations):
        status, id_, stamp = item.status, item.reservation_id, item.start_time
        seconds, nanos = stamp.seconds, stamp.nanos
        if not (1 <= status <= _LAST_STATUS and id_ and 0 < seconds < _LAST_SECOND and 0 <= nanos < SECOND):
            _refuse_reservation(item, f"{name}[{index}]")
            _nanoseconds(stamp, f"{name}[{index}].start_time")
        cancelled = 0
        if status == pb.RESERVATION_STATUS_CANCELLED:
            cancelled = _moment(item, "cancel_time", f"{name}[{index}].")
        former = _former_starts(item, f"{name}[{index}].") if item.former_starts else ()
        found.append((seconds * SECOND + nanos, status, cancelled, id_, former))
    _check_ids([item[3] for item in found], name)
    return found


def _escalations(history: pb.History) -> list[tuple[int, str]]:
    name = "history.reservations"
    return [
        (_moment(item, "escalate_time", f"{name}[{index}]."), item.reservation_id)
        for index, item in enumerate(history.reservations)
        if item.HasField("escalate_time")
    ]


def _refuse_reservation(item: pb.PastReservation, name: str) -> None:
    if not item.reservation_id:
        raise InvalidRequestError(f"{name}.reservation_id", "is required")
    if not 1 <= item.status <= _LAST_STATUS:
        raise InvalidRequestError(f"{name}.status", "must be a known status")
    if not item.HasField("start_time"):
        raise InvalidRequestError(f"{name}.start_time", "is required")


def _violations(history: pb.History) -> list[tuple[int, bool, bool, str]]:
    if not history.violations:
        return []
    name = "history.violations"
    _check_number(len(history.violations), name)
    found = []
    for index, item in enumerate(history.violations):
        if not item.violation_id:
            raise InvalidRequestError(f"{name}[{index}].violation_id", "is required")
        moment = _moment(item, "violation_time", f"{name}[{index}].")
        found.append((moment, item.waived, item.used_up, item.violation_id))
    _check_ids([item[3] for item in found], name)
    return found


def _suspensions(history: pb.History) -> list[tuple[int, int]]:
    """One that was lifted before it began is empty, not wrong."""
    if not history.suspensions:
        return []
    name = "history.suspensions"
    _check_number(len(history.suspensions), name)
    return [
        (_moment(item, "start_time", f"{name}[{index}]."), _moment(item, "end_time", f"{name}[{index}]."))
        for index, item in enumerate(history.suspensions)
    ]


def _interval(subject: pb.Subject, name: str) -> tuple[int, int]:
    start, end = _moment(subject, "start_time", f"{name}."), _moment(subject, "end_time", f"{name}.")
    if start >= end:
        raise InvalidRequestError(f"{name}.end_time", "must be after start_time")
    return start, end


def _former(subject: pb.Subject, name: str) -> Former:
    return Former(
        _moment(subject, "former_start_time", f"{name}."),
        _moment(subject, "former_end_time", f"{name}."),
        _within(subject.former_participant_count, 0, MAX_PEOPLE, f"{name}.former_participant_count"),
        _within(subject.former_room_capacity, 0, MAX_PEOPLE, f"{name}.former_room_capacity"),
    )


def _former_starts(message: pb.Subject | pb.PastReservation, prefix: str) -> FormerStarts:
    name = f"{prefix}former_starts"
    _check_number(len(message.former_starts), name)
    return tuple(
        FormerStart(
            _moment(item, "start_time", f"{name}[{index}]."),
            _moment(item, "leave_time", f"{name}[{index}]."),
            item.given_back,
        )
        for index, item in enumerate(message.former_starts)
    )


def _moment(
    message: pb.DecideRequest
    | pb.UsageRequest
    | pb.Subject
    | pb.FormerStart
    | pb.PastReservation
    | pb.PastViolation
    | pb.PastSuspension,
    field: str,
    prefix: str,
) -> int:
    stamp: Timestamp = getattr(message, field)
    seconds, nanos = stamp.seconds, stamp.nanos
    if 0 < seconds < _LAST_SECOND and 0 <= nanos < SECOND:
        return seconds * SECOND + nanos
    if not message.HasField(field):  # type: ignore[arg-type] # one reader for messages of seven types
        raise InvalidRequestError(f"{prefix}{field}", "is required")
    return _nanoseconds(stamp, f"{prefix}{field}")


def _nanoseconds(timestamp: Timestamp, name: str) -> int:
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not (0 <= seconds < _LAST_SECOND and 0 <= nanos < SECOND):
        raise InvalidRequestError(name, "must lie between 1970 and 9998, with nanos from 0 to 999999999")
    return seconds * SECOND + nanos


def _within(value: int, least: int, most: int, name: str) -> int:
    if not least <= value <= most:
        raise InvalidRequestError(name, f"must be {least} to {most}, not {value}")
    return value


def _check_text(text: str, most: int, name: str) -> None:
    if len(text) > most:
        raise InvalidRequestError(name, f"at most {most} characters")


def _check_number(number: int, name: str) -> None:
    if number > MAX_ITEMS:
        raise InvalidRequestError(name, f"at most {MAX_ITEMS} entries")


def _check_ids(ids: Iterable[str], name: str) -> None:
    """Listed twice would count twice."""
    ids = [*ids]
    if len(set(ids)) != len(ids):
        twice = next(item for index, item in enumerate(ids) if item in ids[:index])
        raise InvalidRequestError(name, f"lists {twice[:100]!r} twice")
