"""What the form of a booking holds, how it is read, and what is wrong with it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from ulid import ULID
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.contracts import invitations
from services.platform.text.messages import Text, message
from services.portal import new_meeting
from services.portal.calls import text_of
from services.portal.new_meeting import NewMeeting
from services.portal.times import Reader, typed_interval

MAX_PEOPLE = 10_000
MAX_SUBJECT = 200
_EPOCH = re.compile(r"\d{9,10}", re.ASCII)
CARRIED = ("meeting_code", "day", "start", "end", "people", "room_id")
CHOSEN = ("day", "start", "end")


@dataclass(frozen=True, slots=True)
class BookingForm:
    """What the form holds. `nonce` is its own: the same form sent twice is one request.

    `meeting_code`: the digits, or what was pasted when they are not to be found in it.
    """

    meeting_code: str = ""
    subject: str = ""
    day: str = ""
    start: str = ""
    end: str = ""
    people: str = ""
    room_id: str = ""
    nonce: str = field(default_factory=lambda: str(ULID()).lower())
    between: tuple[Timestamp, Timestamp] | None = None
    """The interval, once it could be read."""
    new: NewMeeting | None = None
    """The meeting that is made with it; None where there is one, with a number."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by field, in the reader's language."""

    @classmethod
    def of(cls, record: pb.Reservation, reader: Reader) -> "BookingForm":
        """The same once more."""
        typed = cls(
            meeting_code=record.meeting_code,
            subject=record.subject,
            people=str(record.participant_count),
            room_id=record.room.room_id,
        )
        return with_interval(typed, record.start_time, record.end_time, reader)

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What a form that offers another time carries along."""
        names = (each.name for each in fields(self) if each.name not in CHOSEN)
        own = [(name, value) for name in names if isinstance(value := getattr(self, name), str)]
        return own + (self.new.hidden if self.new else [])

    @property
    def path(self) -> str:
        """Where it is sent to."""
        return "/book/new" if self.new else "/book"

    def request(self) -> api.CreateReservationRequest:
        """Only without faults."""
        assert self.between  # noqa: S101 - no faults
        wanted = api.CreateReservationRequest(
            meeting_code=self.meeting_code,
            subject=self.subject,
            start_time=self.between[0],
            end_time=self.between[1],
            participant_count=int(self.people),
            room_id=self.room_id or None,
        )
        if self.new:
            wanted.new_meeting.CopyFrom(self.new.options(with_password=False))
        # another body is another request: who goes back and corrects the form must not get the first answer again; but
        # from what is kept of it a password of six digits could be found out by trying all of them
        body = hashlib.sha256(wanted.SerializeToString(deterministic=True)).hexdigest()[:16]
        wanted.request_id = f"{self.nonce[:40]}-{body}"
        if self.new:
            wanted.new_meeting.password = self.new.password
        return wanted


def carried(typed: BookingForm) -> str:
    """What goes from step to step in an address."""
    return urlencode({name: value for name in CARRIED if (value := getattr(typed, name))})


def with_interval(typed: BookingForm, start: Timestamp, end: Timestamp, reader: Reader) -> BookingForm:
    first, last = reader.local(start), reader.local(end)
    return replace(
        typed,
        day=first.date().isoformat(),
        start=f"{first:%H:%M}",
        end=f"{last:%H:%M}",
        between=(start, end),
    )


def read_typed(form: Any, reader: Reader, *, check: bool = True, new: bool = False) -> BookingForm:
    """Faults name their field; an interval that was offered ("take") stands above what is typed.

    `new`: the meeting is made with it.
    """
    typed = BookingForm(
        meeting_code=_number(text_of(form, "meeting_code", invitations.LONGEST)),
        subject=text_of(form, "subject", MAX_SUBJECT + 1),
        day=text_of(form, "day", 10),
        start=text_of(form, "start", 8),
        end=text_of(form, "end", 8),
        people=text_of(form, "people", 6),
        room_id=text_of(form, "room_id", 64),
        nonce=_nonce(text_of(form, "nonce", 40)),
        new=new_meeting.read_new(form, reader) if new else None,
    )
    taken = _taken(text_of(form, "take", 40))
    typed = with_interval(typed, *taken, reader) if taken else _with_typed_interval(typed, reader)
    if not check:
        return typed if _is_count(typed.people) else replace(typed, people="")
    return replace(typed, faults={name: fault.to(reader.language) for name, fault in _faults(typed, reader).items()})


def _number(pasted: str) -> str:
    """The digits, when it is sure which; else what was pasted."""
    found = invitations.numbers(pasted)
    return found[0] if len(found) == 1 else pasted


def _nonce(said: str) -> str:
    return (
        said
        if said and all(each.isascii() and (each.isalnum() or each in "-_.") for each in said)
        else BookingForm().nonce
    )


def _taken(said: str) -> tuple[Timestamp, Timestamp] | None:
    start, _, end = said.partition("-")
    if not (_EPOCH.fullmatch(start) and _EPOCH.fullmatch(end)):
        return None
    return Timestamp(seconds=int(start)), Timestamp(seconds=int(end))


def _with_typed_interval(typed: BookingForm, reader: Reader) -> BookingForm:
    try:
        return replace(typed, between=typed_interval(typed.day, typed.start, typed.end, reader.zone))
    except (ValueError, OverflowError):
        return typed


def _is_count(people: str) -> bool:
    return people.isascii() and people.isdigit() and 1 <= int(people) <= MAX_PEOPLE


def _faults(typed: BookingForm, reader: Reader) -> dict[str, Text]:
    found: dict[str, Text] = {}
    if not typed.subject:
        found["subject"] = message("Say what the meeting is about.")
    elif len(typed.subject) > MAX_SUBJECT:
        found["subject"] = message("At most 200 characters, please.")
    if not _is_count(typed.people):
        found["people"] = message("How many people are expected? A number from 1 to 10,000.")
    if typed.between is None:
        found["start"] = message("Give a day, a start and an end.")
    elif typed.between[0].seconds <= reader.now.timestamp():
        found["start"] = message("That time is over: choose a later one.")
    return found | (new_meeting.faults(typed.new) if typed.new else {})
