"""What people get to read. The golden files are the mails themselves: GOLDEN=write pytest rewrites them."""

import email
import os
from collections.abc import Iterator
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.message import Message as ProtoMessage
from icalendar import Component, Event
from yunhui.booking.v1.events_pb2 import ReservationEvent

from services.notifier.messages import Composer, Message
from tests.notifier import samples

GOLDEN = Path(__file__).with_name("golden")
WRITE = os.environ.get("GOLDEN") == "write"
SHOWN = ("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "References", "Auto-Submitted", "Content-Language")
CASES = [
    ("reservation.confirmed", "confirmation"),
    ("reservation.pending_approval", "escalation"),
    ("reservation.pending_approval", "pending"),
    ("reservation.updated", "change"),
    ("reservation.declined", "declined"),
    ("reservation.expired", "expired"),
    ("reservation.cancelled", "cancellation"),
    ("reservation.released", "release"),
    ("account.violation_recorded", "violation"),
    ("account.violation_waived", "waived"),
    ("account.suspended", "suspension"),
]


def test_a_changed_request_goes_to_support_again() -> None:
    messages = compose("reservation.updated", samples.pending(version=2))
    assert [message.kind for message in messages] == ["escalation", "pending"]


def test_an_approval_is_a_confirmation_with_the_words_of_support() -> None:
    [message] = compose("reservation.approved", samples.approved())
    parsed = read(message)
    assert message.kind == "confirmation"
    assert "8:30 起可以调试设备" in content(parsed, "plain")
    assert any(part.get_param("method") == "REQUEST" for part in parsed.walk())


def compose(event_type: str, body: ProtoMessage, composer: Composer | None = None) -> list[Message]:
    return (composer or Composer(samples.LETTERHEAD)).compose(samples.event(event_type, body))


def read(message: Message) -> EmailMessage:
    parsed = email.message_from_bytes(message.content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def content(message: EmailMessage, subtype: str) -> str:
    parts = [part for part in message.walk() if part.get_content_subtype() == subtype]
    assert len(parts) == 1
    found = parts[0].get_content()
    text = found.decode() if isinstance(found, bytes) else str(found)
    return text.replace("\r\n", "\n")


def outline(message: EmailMessage, depth: int = 0) -> Iterator[str]:
    method = message.get_param("method")
    name = message.get_filename()
    notes = [f"method={method}"] * bool(method) + [f"filename={name}"] * bool(name)
    yield " ".join(["  " * depth + message.get_content_type(), *notes])
    if message.is_multipart():
        for part in message.iter_parts():
            assert isinstance(part, EmailMessage)
            yield from outline(part, depth + 1)


def shown(message: EmailMessage) -> str:
    headers = [f"{name}: {message[name]}" for name in SHOWN if message[name]]
    return "\n".join([*headers, "", *outline(message), "", content(message, "plain")])


def check_golden(name: str, text: str) -> None:
    file = GOLDEN / name
    if WRITE:
        file.write_text(text, newline="\n")
    assert text == file.read_text(), f"{name} differs; if that is meant, run GOLDEN=write pytest tests/notifier"


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
@pytest.mark.parametrize(("event_type", "kind"), CASES)
def test_mail_reads_as_agreed(event_type: str, kind: str, locale: str) -> None:
    """Headers, structure, text, HTML and calendar part of every mail in both languages."""
    messages = compose(event_type, samples.SAMPLES[event_type](samples.organizer(locale)))
    message = read(next(message for message in messages if message.kind == kind))
    check_golden(f"{kind}.{locale}.txt", shown(message))
    check_golden(f"{kind}.{locale}.html", content(message, "html"))
    if any(part.get_content_subtype() == "calendar" for part in message.walk()):
        check_golden(f"{kind}.{locale}.ics", content(message, "calendar"))


def test_same_event_gives_same_bytes() -> None:
    """A repeated mail is the same mail, so programs that compare see one."""
    assert compose("reservation.confirmed", samples.confirmed()) == compose(
        "reservation.confirmed", samples.confirmed()
    )


def test_invitation_comes_as_alternative_and_as_file() -> None:
    """The same bytes twice, folded at 75 octets with CRLF as RFC 5545 has it."""
    message = read(compose("reservation.confirmed", samples.confirmed())[0])
    parts = {part.get_content_subtype(): part.get_payload(decode=True) for part in message.walk()}
    assert parts["calendar"] == parts["ics"]
    lines = bytes(parts["ics"]).split(b"\r\n")
    assert all(len(line) <= 75 and b"\n" not in line for line in lines)


def test_cancellation_follows_its_invitation() -> None:
    """Same UID, higher SEQUENCE: only then does a calendar take the entry out."""
    invited = _event_of(compose("reservation.confirmed", samples.confirmed()))
    cancelled = _event_of(compose("reservation.cancelled", samples.cancelled()))
    released = _event_of(compose("reservation.released", samples.released()))
    assert invited["UID"] == cancelled["UID"] == released["UID"]
    assert (invited["SEQUENCE"], cancelled["SEQUENCE"], released["SEQUENCE"]) == (0, 1, 1)
    changed = _event_of(compose("reservation.updated", samples.changed()))
    assert (changed["UID"], changed["SEQUENCE"]) == (invited["UID"], 1)
    assert "reservation-1" not in str(invited["UID"])


def _event_of(messages: list[Message]) -> Component:
    return Event.from_ical(content(read(messages[0]), "calendar")).walk("VEVENT")[0]


@pytest.mark.parametrize("address", ["", "not an address", "a@b@c", "booker@localhost", "a@example.org,b@example.org"])
def test_nobody_is_written_to_without_a_usable_address(address: str) -> None:
    """Support is still asked; there is only nobody to reply to."""
    nameless = samples.organizer(email=address)
    assert compose("reservation.confirmed", samples.confirmed(nameless)) == []
    assert compose("account.suspended", samples.suspended(nameless)) == []
    [message] = compose("reservation.pending_approval", samples.pending(nameless))
    assert message.recipient == samples.SUPPORT
    assert read(message)["Reply-To"] is None


def test_escalation_reaches_every_address_of_the_policy_once() -> None:
    """Two addresses, one named twice: two mails with Message-IDs of their own."""
    body = samples.pending()
    for address in (samples.SUPPORT, "second@example.org", "broken"):
        body.decision.obligations.add(kind=body.decision.obligations[0].kind, address=address)
    mails = [message for message in compose("reservation.pending_approval", body) if message.kind != "pending"]
    assert [message.recipient for message in mails] == [samples.SUPPORT, "second@example.org"]
    assert len({read(message)["Message-ID"] for message in mails}) == 2


@pytest.mark.parametrize("event_type", ["reservation.completed", "reservation.in_use", "account.reinstated"])
def test_other_events_make_no_mail(event_type: str) -> None:
    """Unknown types are ignored on purpose: booking may say more than people need to hear."""
    assert compose(event_type, samples.cancelled() if "reservation" in event_type else samples.suspended()) == []


def test_time_is_shown_in_the_zone_of_the_installation() -> None:
    """With its name and offset, and over midnight with both dates."""
    body = samples.confirmed(samples.organizer("en"), end_time=samples.time("2025-07-15T07:00:00Z"))
    composer = Composer(replace(samples.LETTERHEAD, zone=ZoneInfo("Europe/Berlin")))
    text = content(read(compose("reservation.confirmed", body, composer)[0]), "plain")
    assert "Mon 14 Jul 2025 08:00–Tue 15 Jul 09:00 (Europe/Berlin UTC+02:00)" in text


def test_meter_names_the_period_it_counts() -> None:
    """A meeting next week is not counted under today."""
    body = samples.confirmed()
    for quota in body.decision.quotas:
        quota.period_start.seconds += 7 * 86400
        quota.period_end.seconds += 7 * 86400
    text = content(read(compose("reservation.confirmed", body)[0]), "plain")
    assert "7月21日 周一 1/3 · 7月21日 周一起一周 4/10" in text


def test_somebody_else_cancelled() -> None:
    """The booker learns that it was not they, and why."""
    body = samples.cancelled(note="设备\n检修")
    body.actor = "account-2"
    text = content(read(compose("reservation.cancelled", body)[0]), "plain")
    assert "管理人员取消了这次预定" in text
    assert "设备 检修" in text


def test_pending_request_cancelled_promises_no_room() -> None:
    """Without a room nothing was given back, and nobody is thanked for it."""
    body: ReservationEvent = samples.cancelled(room=None)
    assert "归还" not in content(read(compose("reservation.cancelled", body)[0]), "plain")
