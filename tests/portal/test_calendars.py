"""Calendars: a reservation is the same entry in a mail, a file and a feed; and the secret of a feed stays one."""

from datetime import UTC, datetime

import pytest
from icalendar import Calendar
from yunhui.booking.v1 import reservation_pb2 as pb

from services.notifier import invitations
from services.portal import calendars
from tests.notifier import samples

DOMAIN = samples.LETTERHEAD.sender.rpartition("@")[2]


def invited(record: pb.Reservation, method: invitations.Method) -> Calendar:
    """The .ics of a mail."""
    stamp = datetime(2025, 7, 7, tzinfo=UTC)
    invitation = invitations.Invitation(method, samples.LETTERHEAD.sender, "云会", samples.BOOKER, "", stamp)
    return Calendar.from_ical(invitations.render(record, invitation))


def entry(calendar: Calendar) -> dict[str, object]:
    [event] = calendar.events
    named = ("uid", "sequence", "status", "summary", "location")
    return {name: event.get(name) for name in named} | {"start": event.start, "end": event.end}


@pytest.mark.parametrize(
    ("event_type", "state", "method"),
    [
        ("reservation.confirmed", pb.RESERVATION_STATE_CONFIRMED, "REQUEST"),
        ("reservation.updated", pb.RESERVATION_STATE_CONFIRMED, "REQUEST"),
        ("reservation.cancelled", pb.RESERVATION_STATE_CANCELLED, "CANCEL"),
        ("reservation.released", pb.RESERVATION_STATE_NO_SHOW, "CANCEL"),
    ],
)
def test_a_mail_and_the_feed_are_one_entry(
    event_type: str, state: pb.ReservationState.ValueType, method: invitations.Method
) -> None:
    """Read back by the library: the same UID and SEQUENCE, and everything else that both say."""
    record = samples.SAMPLES[event_type]().reservation
    record.state = state
    fed = Calendar.from_ical(calendars.to_feed([record], DOMAIN))
    assert entry(fed) == entry(invited(record, method))
    assert fed["method"] == "PUBLISH"


@pytest.mark.parametrize("state", sorted(set(pb.ReservationState.values()) - {0}))
def test_every_state_is_something_to_a_calendar(state: pb.ReservationState.ValueType) -> None:
    """What holds or held a room is confirmed, what may come to hold one tentative, the rest cancelled."""
    record = samples.SAMPLES["reservation.confirmed"]().reservation
    record.state = state
    holds = {pb.RESERVATION_STATE_CONFIRMED, pb.RESERVATION_STATE_IN_USE, pb.RESERVATION_STATE_COMPLETED}
    waits = {pb.RESERVATION_STATE_PENDING_APPROVAL}
    expected = "CONFIRMED" if state in holds else "TENTATIVE" if state in waits else "CANCELLED"
    assert entry(Calendar.from_ical(calendars.to_feed([record], DOMAIN)))["status"] == expected


def test_what_people_wrote_stays_text() -> None:
    record = samples.SAMPLES["reservation.confirmed"]().reservation
    record.subject = "a\r\nEND:VEVENT\r\nATTENDEE:mailto:eve@example.org;x,y\\n"
    [event] = Calendar.from_ical(calendars.to_feed([record], DOMAIN)).events
    assert "attendee" not in event
    assert "ATTENDEE:mailto:eve" in str(event["summary"])


def test_the_same_reservations_are_the_same_bytes() -> None:
    """Or no calendar would ever be told that nothing is new."""
    records = [samples.SAMPLES["reservation.confirmed"]().reservation]
    assert calendars.to_feed(records, DOMAIN) == calendars.to_feed(records, DOMAIN)


def test_logs_never_see_the_secret() -> None:
    assert calendars.without_secret("/calendar/s3cret.ics") == "/calendar/…"
    assert calendars.without_secret("/calendar/s3/cret/more") == "/calendar/…"
    assert calendars.without_secret("/reservations/rsv_1/calendar.ics") == "/reservations/rsv_1/calendar.ics"
