"""Calendar invitations (RFC 5545, RFC 5546): the reserved interval as people's calendars understand it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from icalendar import Calendar, Event, vCalAddress
from yunhui.booking.v1.reservation_pb2 import Reservation

from services.notifier.wording import single_line

Method = Literal["REQUEST", "CANCEL"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the calendar part of a mail needs besides the reservation."""

    method: Method
    sender: str
    sender_name: str
    attendee: str
    description: str
    stamp: datetime


def uid(reservation_id: str, domain: str) -> str:
    """Stable for the life of a reservation and opaque: the id itself stays out of other people's calendars."""
    digest = hashlib.sha256(f"reservation {reservation_id}".encode()).hexdigest()
    return f"{digest[:32]}@{domain}"


def render(reservation: Reservation, invitation: Invitation) -> bytes:
    """One VCALENDAR with one VEVENT. Every change of a reservation raises its version, so SEQUENCE rises too."""
    calendar = Calendar()
    calendar.add("prodid", "-//yunhui//notifier//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", invitation.method)
    calendar.add_component(_event(reservation, invitation))
    return bytes(calendar.to_ical())


def _event(reservation: Reservation, invitation: Invitation) -> Event:
    event = Event()
    event.add("uid", uid(reservation.reservation_id, invitation.sender.rpartition("@")[2]))
    event.add("sequence", max(0, reservation.version - 1))
    event.add("dtstamp", invitation.stamp.replace(microsecond=0))
    event.add("dtstart", reservation.start_time.ToDatetime(UTC))
    event.add("dtend", reservation.end_time.ToDatetime(UTC))
    event.add("summary", single_line(reservation.subject))
    event.add("status", "CANCELLED" if invitation.method == "CANCEL" else "CONFIRMED")
    event.add("transp", "OPAQUE")
    if reservation.HasField("room"):
        event.add("location", single_line(reservation.room.display_name or reservation.room.room_id))
    if invitation.description:
        event.add("description", invitation.description)
    event.add("organizer", _address(invitation.sender, invitation.sender_name))
    event.add("attendee", _attendee(reservation, invitation.attendee))
    return event


def _address(address: str, name: str) -> vCalAddress:
    person = vCalAddress(f"mailto:{address}")
    person.params["CN"] = single_line(name) or address
    return person


def _attendee(reservation: Reservation, address: str) -> vCalAddress:
    """The booker asked for it: already accepted, and no answer is expected."""
    person = _address(address, reservation.organizer.display_name)
    person.params["ROLE"] = "REQ-PARTICIPANT"
    person.params["PARTSTAT"] = "ACCEPTED"
    person.params["RSVP"] = "FALSE"
    return person
