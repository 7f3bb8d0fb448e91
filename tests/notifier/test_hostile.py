"""Text that people type is text: it never becomes a header, a calendar property or markup."""

from email.headerregistry import AddressHeader
from functools import cache

import pytest
from icalendar import Calendar
from yunhui.booking.v1.reservation_pb2 import Reservation

from services.notifier.messages import Composer, Message
from services.notifier.wording import single_line
from tests.notifier import samples
from tests.notifier.test_messages import compose, content, read

PAYLOADS = [
    "x\nBcc: evil@example.com",
    "x\r\n\r\n<h1>body</h1>",
    "a, evil@example.com",
    'x" <evil@example.com>, "y',
    "=?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5jb20=?=",
    '"><img src=x onerror=alert(1)>',
    "</title><script>alert(1)</script>",
    "{{ 7*7 }} {% raw %}",
    "x\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:evil",
    'CN";X-EVIL=1:mailto:evil@example.com',
    "x\u2028Bcc: evil@example.com\u2029y\u0085z",
    "x\x00\x07\x1b[31m\x7f",
    "会议" * 200,
]
MORE = [
    "x\r\nBcc: evil@example.com",
    "x\rBcc: evil@example.com",
    "x\r\n.\r\nMAIL FROM:<evil@example.com>",
    "evil@example.com",
    '"quoted" <evil@example.com>',
    "x; evil@example.com",
    "group: evil@example.com;",
    "(comment) evil@example.com",
    "=?utf-8?q?Bcc=3A_evil=40example=2Ecom?=",
    "<script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "<!--",
    "x\nATTENDEE:mailto:evil@example.com",
    "a;b,c:d\\n\\e^n",
    "x :: y :: z",
    "\u202egnp.exe\u2066x\u2069",
    "👩‍💻 é ﷽ \U0001f468‍👩",
    "   ",
]
"""Of the same kinds."""
ALL = [*PAYLOADS, *(pytest.param(payload, marks=pytest.mark.long) for payload in MORE)]
IDS = [f"payload-{number}" for number in range(len(ALL))]
HEADERS = {
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "References", "Auto-Submitted",
    "Content-Language", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
}  # fmt: skip
PROPERTIES = {
    "UID", "SEQUENCE", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "STATUS", "TRANSP", "LOCATION", "DESCRIPTION",
    "ORGANIZER", "ATTENDEE",
}  # fmt: skip


@cache
def hostile_messages(payload: str) -> list[Message]:
    """Every mail there is, with the payload wherever a person could have typed it."""
    messages = []
    for locale in ("zh-CN", "en"):
        who = samples.organizer(locale, display_name=payload, department=payload)
        for event_type, sample in samples.SAMPLES.items():
            body = sample(who)
            if body.HasField("reservation"):
                _spoil(body.reservation, payload)
            messages += compose(event_type, body, asked=[samples.SUPPORT])
            if event_type == "reservation.confirmed":
                messages += Composer(samples.LETTERHEAD).remind("event-1", body, samples.moment(samples.NOW))
        messages += Composer(samples.LETTERHEAD).digest("digest-1", samples.digest(who, subject=payload))
    return messages


def _spoil(reservation: Reservation, payload: str) -> None:
    reservation.subject = payload
    reservation.note = payload
    if reservation.HasField("room"):
        reservation.room.display_name = payload


@pytest.mark.parametrize("payload", ALL, ids=IDS)
def test_headers_stay_as_they_are(payload: str) -> None:
    """No header more, and each address header names exactly the one person meant."""
    for message in hostile_messages(payload):
        parsed = read(message)
        assert set(parsed.keys()) <= HEADERS
        assert len(parsed.keys()) == len(set(parsed.keys()))
        assert _people(parsed["To"]) == [message.recipient]
        assert _people(parsed["From"]) == [samples.LETTERHEAD.sender]
        assert _people(parsed["Reply-To"]) in ([], [samples.SUPPORT], [samples.BOOKER])
        assert all(b"\r" not in line for line in message.content.split(b"\r\n"))


def _people(header: AddressHeader | None) -> list[str]:
    return [address.addr_spec for address in header.addresses] if header else []


@pytest.mark.parametrize("payload", ALL, ids=IDS)
def test_calendar_stays_one_event(payload: str) -> None:
    """One VEVENT, no property more, the summary word for word."""
    calendars = [read(message) for message in hostile_messages(payload) if b"text/calendar" in message.content]
    assert len(calendars) == 14
    for message in calendars:
        calendar = Calendar.from_ical(content(message, "calendar"))
        [event] = calendar.walk("VEVENT")
        assert set(event) <= PROPERTIES
        assert set(calendar) == {"PRODID", "VERSION", "CALSCALE", "METHOD"}
        assert event["SUMMARY"] == single_line(payload)
        assert str(event["ATTENDEE"]) == f"mailto:{_people(message['To'])[0]}"
        assert set(event["ATTENDEE"].params) == {"CN", "ROLE", "PARTSTAT", "RSVP"}


@pytest.mark.parametrize("payload", ALL[:-1], ids=IDS[:-1])  # blanks leave out what nobody filled in
def test_markup_stays_text(payload: str) -> None:
    """What was typed shows up escaped; the tags in the mail are those of an innocent one."""
    innocent = [_tags(message) for message in hostile_messages("x")]
    assert [_tags(message) for message in hostile_messages(payload)] == innocent


def _tags(message: Message) -> int:
    html = content(read(message), "html")
    assert "<script" not in html
    assert "<img" not in html
    return html.count("<")


@pytest.mark.parametrize("payload", ALL, ids=IDS)
def test_single_line_is_one_printable_line(payload: str) -> None:
    """The one gate that all foreign text goes through."""
    line = single_line(payload)
    assert len(line) <= 200
    assert len(line.splitlines()) <= 1
    assert all(character >= " " for character in line)


def test_ids_cannot_break_out_of_links() -> None:
    """A reservation id is quoted in URLs, whatever it holds."""
    body = samples.pending(reservation_id='r/../?answer=approve"><x&')
    html = content(read(compose("reservation.pending_approval", body)[0]), "html")
    assert "/support/escalations/r%2F..%2F%3Fanswer%3Dapprove%22%3E%3Cx%26?answer=decline" in html
