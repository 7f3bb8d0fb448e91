"""Calendar invitations (RFC 5545, RFC 5546): the reserved interval as people's calendars understand it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from icalendar.parser import Contentline, param_value
from icalendar.prop import vText
from yunhui.booking.v1.reservation_pb2 import Reservation

from services.contracts.calendars import sequence, uid
from services.notifier.wording import single_line

Method = Literal["REQUEST", "CANCEL"]
LINE_OCTETS = 74  # icalendar folds what is longer
STATUSES: Mapping[Method, str] = {"REQUEST": "CONFIRMED", "CANCEL": "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the calendar part of a mail needs besides the reservation."""

    method: Method
    sender: str
    sender_name: str
    attendee: str
    description: str
    stamp: datetime


def render(reservation: Reservation, invitation: Invitation) -> bytes:
    """One VCALENDAR with one VEVENT.

    The properties are always the same few; icalendar writes their values and folds the lines. Its Component would
    take them in any form, check and sort them: six times the cost.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//yunhui//notifier//EN",
        "CALSCALE:GREGORIAN",
        f"METHOD:{invitation.method}",
        "BEGIN:VEVENT",
        *_event(reservation, invitation),
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return b"".join(_folded(line) + b"\r\n" for line in lines)


def _folded(line: str) -> bytes:
    octets = line.encode()
    if len(octets) <= LINE_OCTETS:
        return octets
    return bytes(Contentline(line).to_ical())  # type: ignore[no-untyped-call] # icalendar types only its components


def _event(reservation: Reservation, invitation: Invitation) -> Iterator[str]:
    yield f"UID:{uid(reservation.reservation_id, invitation.sender.rpartition('@')[2])}"
    yield f"SEQUENCE:{sequence(reservation.version)}"
    yield f"DTSTAMP:{_utc(invitation.stamp)}"
    yield f"DTSTART:{_utc(reservation.start_time.ToDatetime(UTC))}"
    yield f"DTEND:{_utc(reservation.end_time.ToDatetime(UTC))}"
    yield _text("SUMMARY", single_line(reservation.subject))
    yield f"STATUS:{STATUSES[invitation.method]}"
    yield "TRANSP:OPAQUE"
    if reservation.HasField("room"):
        yield _text("LOCATION", single_line(reservation.room.display_name or reservation.room.room_id))
    if invitation.description:
        yield _text("DESCRIPTION", invitation.description)
    yield _person("ORGANIZER", "", invitation.sender, invitation.sender_name)
    # the booker asked for it: already accepted, and no answer is expected
    accepted = ";PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=FALSE"
    yield _person("ATTENDEE", accepted, invitation.attendee, reservation.organizer.display_name)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(name: str, value: str) -> str:
    return f"{name}:{vText(value).to_ical().decode()}"


def _person(name: str, parameters: str, address: str, display_name: str) -> str:
    return f"{name};CN={param_value(single_line(display_name) or address)}{parameters}:mailto:{address}"
