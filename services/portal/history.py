"""What happened to one reservation, in words: each of its events with who, what changed and by which rules."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from google.protobuf.timestamp_pb2 import Timestamp
from markupsafe import Markup, escape
from starlette.requests import Request
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.policy.v1 import decision_pb2

from services.contracts import event_names
from services.platform.text.messages import Text, message
from services.portal import policies
from services.portal.calls import ask, services_of
from services.portal.rendering import reader_of
from services.portal.times import Reader

SYSTEM = "system"
TONES: Mapping[str, str] = {
    "reservation.confirmed": "good",
    "reservation.approved": "good",
    "reservation.in_use": "good",
    "reservation.pending_approval": "wait",
    "reservation.declined": "bad",
    "reservation.expired": "bad",
    "reservation.released": "bad",
    "account.violation_recorded": "bad",
    "account.violation_waived": "good",
}
TO_COME = message("Released, if nobody has entered by then")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is another than before; `label` is a message id."""

    label: str
    before: Markup
    after: Markup


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the history, in the reader's language."""

    time: Timestamp
    text: str
    tone: str = ""
    note: str = ""
    who: str = ""
    changes: tuple[Change, ...] = ()
    decision_id: str = ""
    lines: tuple[policies.Line, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """Oldest first; what is to come is at the end."""

    happenings: list[Happening]
    shortened: bool


async def read(request: Request, record: pb.Reservation) -> History:
    """Raises grpc.aio.AioRpcError."""
    question = api.GetReservationHistoryRequest(reservation_id=record.reservation_id)
    answer = await ask(request, services_of(request).booking.GetReservationHistory, question)
    reader = reader_of(request)
    found = [*told(answer.events, record, reader), *besides(record, reader)]
    return History(sorted(found, key=lambda each: (each.time.seconds, each.time.nanos)), answer.shortened)


def told(events: Iterable[api.HistoryEvent], record: pb.Reservation, reader: Reader) -> Iterator[Happening]:
    """What the events say, in their order."""
    before: pb.Reservation | None = None
    for event in events:
        after = event.reservation.reservation if event.HasField("reservation") else None
        yield _happening(event, before, after, record, reader)
        before = after or before


def _happening(
    event: api.HistoryEvent,
    before: pb.Reservation | None,
    after: pb.Reservation | None,
    record: pb.Reservation,
    reader: Reader,
) -> Happening:
    body = event.reservation if after else event.account
    return Happening(
        event.time,
        sentence(event.type, reader.language),
        TONES.get(event.type.removeprefix("yunhui.booking."), ""),
        note=_note(before, after) if after else event.account.violation.waive_note,
        who=_who(body.actor, record, reader),
        changes=tuple(changes(before, after, reader)) if before and after else (),
        decision_id=body.decision.decision_id,
        lines=_lines(body.decision, reader),
    )


def sentence(subject: str, language: str) -> str:
    """What the event means to a person; the subject itself for one that is not known here yet."""
    known = event_names.NAMES.get(subject)
    if known is None:
        return subject
    return (known.sentence or known.name).to(language)


def _note(before: pb.Reservation | None, after: pb.Reservation) -> str:
    """A note stays with the reservation: it is told where it was given."""
    return "" if before and before.note == after.note else after.note


def _who(actor: str, record: pb.Reservation, reader: Reader) -> str:
    if actor == SYSTEM:
        return message("the system").to(reader.language)
    return record.organizer.display_name if actor == record.organizer.account_id else actor


def _lines(decision: decision_pb2.Decision, reader: Reader) -> tuple[policies.Line, ...]:
    return tuple(policies.fired_lines(decision, reader.language))


def changes(before: pb.Reservation, after: pb.Reservation, reader: Reader) -> Iterator[Change]:
    """What a person would notice."""
    pairs = {
        message("Time"): [reader.interval(each.start_time, each.end_time) for each in (before, after)],
        message("People"): [escape(each.participant_count) for each in (before, after)],
        message("Room"): [escape(each.room.display_name or "–") for each in (before, after)],
    }
    if before.organizer.account_id != after.organizer.account_id:  # a name can change by itself
        pairs[message("Booker")] = [escape(each.organizer.display_name) for each in (before, after)]
    for label, values in pairs.items():
        yield from (Change(label, old, new) for old, new in pairwise(values) if old != new)


def besides(record: pb.Reservation, reader: Reader) -> Iterator[Happening]:
    """What no event tells: that somebody was asked who came, and what is to come."""
    if record.HasField("attendance"):
        yield Happening(record.attendance.ask_time, _asked(record.attendance).to(reader.language))
    if record.state == pb.RESERVATION_STATE_CONFIRMED and record.release_time.seconds > reader.now.timestamp():
        yield Happening(record.release_time, TO_COME.to(reader.language), "coming")


def _asked(attendance: pb.Attendance) -> Text:
    known = attendance.knowledge == meeting_pb2.KNOWLEDGE_KNOWN
    return message("Looked up who came") if known else message("Nobody could say who came; it counts against nobody")
