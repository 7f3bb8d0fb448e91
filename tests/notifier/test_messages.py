"""What people get to read. The golden files are the mails themselves: GOLDEN=write pytest rewrites them."""

import email
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.message import Message as ProtoMessage
from icalendar import Component, Event
from yunhui.booking.v1.events_pb2 import ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Organizer, Room

from services.notifier.messages import Composer, Message
from services.notifier.wording import Calendar
from tests.notifier import samples

GOLDEN = Path(__file__).with_name("golden")
WRITE = os.environ.get("GOLDEN") == "write"
SHOWN = ("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "References", "Auto-Submitted", "Content-Language")
CASES = [
    ("reservation.confirmed", "confirmation"),
    ("reservation.pending_approval", "escalation"),
    ("reservation.pending_approval", "pending"),
    ("reservation.updated", "change"),
    ("reservation.handed_over", "handed_over"),
    ("reservation.handed_over", "taken_over"),
    ("reservation.declined", "declined"),
    ("reservation.expired", "expired"),
    ("reservation.cancelled", "cancellation"),
    ("reservation.released", "release"),
    ("account.violation_recorded", "violation"),
    ("account.violation_waived", "waived"),
    ("account.violation_objected", "objection"),
    ("account.objection_dismissed", "dismissed"),
    ("account.suspended", "suspension"),
]


def test_support_is_asked_once_however_often_the_request_is_changed() -> None:
    """An address that was not asked before, for the rules name another one now, is asked."""
    changed = samples.pending(version=2)
    assert [message.kind for message in compose("reservation.updated", changed, asked=[samples.SUPPORT])] == ["pending"]
    messages = compose("reservation.updated", changed, asked=["former@example.org"])
    assert [message.kind for message in messages] == ["escalation", "pending"]


def test_an_approval_is_a_confirmation_with_the_words_of_support() -> None:
    [message] = compose("reservation.approved", samples.approved())
    parsed = read(message)
    assert message.kind == "confirmation"
    assert "8:30 起可以调试设备" in content(parsed, "plain")
    assert any(part.get_param("method") == "REQUEST" for part in parsed.walk())


def test_a_hand_over_moves_the_entry_from_one_calendar_to_the_other() -> None:
    """The same entry, with one number: whoever is asked first, both end up right."""
    left, taken = compose("reservation.handed_over", samples.handed_over())
    assert [(each.addressee, each.recipient) for each in (left, taken)] == [
        ("account-1", samples.BOOKER),
        ("account-2", samples.COLLEAGUE),
    ]
    entries = [content(read(each), "calendar") for each in (left, taken)]
    assert [re.findall("METHOD:(.*)", entry) for entry in entries] == [["CANCEL"], ["REQUEST"]]
    for name in ("UID", "SEQUENCE"):
        assert len({tuple(re.findall(f"{name}:(.*)", entry)) for entry in entries}) == 1
    assert samples.BOOKER in entries[0]
    assert samples.COLLEAGUE in entries[1]


def test_of_a_waiting_request_that_is_handed_over_only_who_was_not_asked_hears() -> None:
    body = samples.handed_over_waiting()
    known = compose("reservation.handed_over", body, asked=[samples.SUPPORT])
    assert [message.kind for message in known] == ["handed_over", "taken_over"]
    new = compose("reservation.handed_over", body, asked=["former@example.org"])
    assert [message.kind for message in new] == ["escalation", "handed_over", "taken_over"]


def compose(
    event_type: str, body: ProtoMessage, composer: Composer | None = None, asked: Sequence[str] = ()
) -> list[Message]:
    return (composer or Composer(samples.LETTERHEAD)).compose(samples.event(event_type, body), asked)


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


def remind(who: Organizer) -> list[Message]:
    body = samples.confirmed(who)
    return Composer(samples.LETTERHEAD).remind("event-1", body, samples.moment("2025-07-14T05:45:00Z"))


def summarize(who: Organizer) -> list[Message]:
    return Composer(samples.LETTERHEAD).digest("digest-2025-07-14", samples.digest(who))


def withdraw(event_type: str, body: ReservationEvent) -> list[Message]:
    messages = compose(event_type, body, asked=[samples.SUPPORT])
    return [message for message in messages if message.kind == "withdrawn"]


def hand_over_waiting(who: Organizer, kind: str) -> list[Message]:
    messages = compose("reservation.handed_over", samples.handed_over_waiting(who))
    return [message for message in messages if message.kind == kind]


OTHERS: dict[str, Callable[[Organizer], list[Message]]] = {
    "reminder": remind,
    "digest": summarize,
    "withdrawn": lambda who: withdraw("reservation.cancelled", samples.withdrawn(who)),
    "withdrawn-expired": lambda who: withdraw("reservation.expired", samples.expired(who)),
    "withdrawn-settled": lambda who: withdraw("reservation.updated", samples.changed(who)),
    "handed_over-waiting": lambda who: hand_over_waiting(who, "handed_over"),
    "taken_over-waiting": lambda who: hand_over_waiting(who, "taken_over"),
    "approved": lambda who: compose("reservation.approved", samples.approved(who)),
    "cancellation-pending": lambda who: compose("reservation.cancelled", samples.withdrawn(who)),
    "change-settled": lambda who: compose("reservation.updated", samples.changed(who), asked=[samples.SUPPORT]),
}


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
@pytest.mark.parametrize("name", OTHERS)
def test_other_mail_reads_as_agreed(name: str, locale: str) -> None:
    """Planned notices, what support hears after it was asked, and the variants of the mails above."""
    message = read(OTHERS[name](samples.organizer(locale))[0])
    check_golden(f"{name}.{locale}.txt", shown(message))
    check_golden(f"{name}.{locale}.html", content(message, "html"))


def test_support_learns_that_there_is_nothing_to_decide() -> None:
    """Only who was asked, and only where it is over: a change that still waits makes no mail."""
    for event_type, body in (
        ("reservation.cancelled", samples.withdrawn()),
        ("reservation.expired", samples.expired()),
        ("reservation.updated", samples.changed()),
    ):
        [message] = withdraw(event_type, body)
        assert message.recipient == samples.SUPPORT
        assert "?answer=" not in content(read(message), "plain")
        assert not any(message.kind == "withdrawn" for message in compose(event_type, body))
    assert withdraw("reservation.updated", samples.pending(version=2)) == []
    assert withdraw("reservation.approved", samples.approved()) == []


def test_pending_request_cancelled_touches_no_calendar() -> None:
    """It was never invited to: a calendar would show a cancelled meeting that it had not heard of."""
    assert b"text/calendar" not in compose("reservation.cancelled", samples.withdrawn())[0].content


def test_reader_can_object() -> None:
    """By a reply, by the address in the text, by a link to the violation on the page of their standing."""
    for event_type in ("reservation.released", "account.violation_recorded", "account.suspended"):
        parsed = read(compose(event_type, samples.SAMPLES[event_type]())[0])
        assert str(parsed["Reply-To"]) == samples.SUPPORT
        assert samples.SUPPORT in content(parsed, "plain")
        place = "" if event_type == "account.suspended" else "#reservation-1"
        assert f'href="https://yunhui.example.org/standing{place}"' in content(parsed, "html")


def test_without_an_address_of_support_none_is_made_up() -> None:
    composer = Composer(replace(samples.LETTERHEAD, support=""))
    parsed = read(compose("account.suspended", samples.suspended(), composer)[0])
    assert parsed["Reply-To"] is None
    assert "@" not in content(parsed, "plain").partition("https://")[0]
    assert compose("account.violation_objected", samples.objected(), composer) == []


def test_an_objection_goes_to_support_and_its_answer_to_the_booker() -> None:
    [asked] = compose("account.violation_objected", samples.objected())
    [answered] = compose("account.objection_dismissed", samples.dismissed())
    assert asked.recipient == str(read(answered)["Reply-To"]) == samples.SUPPORT
    assert answered.recipient in str(read(asked)["Reply-To"])
    assert "https://yunhui.example.org/support#violation-1" in content(read(asked), "plain")


def test_links_of_an_escalation_only_lead_to_the_portal() -> None:
    """Programs that open every link of a mail must not decide anything: what they open is a page that asks."""
    [message, _] = compose("reservation.pending_approval", samples.pending())
    links = set(re.findall(r'href="([^"]*)"', content(read(message), "html")))
    assert {link.partition("?")[0] for link in links} == {
        "https://yunhui.example.org/support/escalations/reservation-1"
    }


def test_digest_lists_the_most_urgent_first() -> None:
    text = content(read(summarize(samples.organizer("en"))[0]), "plain").partition("=====")[2]
    assert text.index("4 hours 30 minutes left") < text.index("22 hours 20 minutes, since Sun 13 Jul 2025 10:40")
    assert "2 mails were refused for good" in text


def test_digest_of_nothing_is_no_mail() -> None:
    empty = replace(samples.digest(), cases=[])
    assert Composer(samples.LETTERHEAD).digest("digest-2025-07-14", empty) == []


def test_sequence_grows_along_a_life() -> None:
    """Requested, changed, approved, changed, released: each supersedes what the calendar had."""
    life = [
        ("reservation.updated", samples.changed(version=2)),
        ("reservation.approved", samples.approved(version=3)),
        ("reservation.updated", samples.changed(version=4)),
        ("reservation.released", samples.released(version=5)),
    ]
    entries = [_event_of(compose(event_type, body)) for event_type, body in life]
    assert [entry["SEQUENCE"] for entry in entries] == [1, 2, 3, 4]
    assert len({str(entry["UID"]) for entry in entries}) == 1
    assert [str(entry["STATUS"]) for entry in entries] == ["CONFIRMED"] * 3 + ["CANCELLED"]


def test_another_room_reaches_the_calendar() -> None:
    body = samples.changed(room=Room(room_id="room-50", display_name="50 方云会议室", capacity=50))
    assert _event_of(compose("reservation.updated", body))["LOCATION"] == "50 方云会议室"


def test_envelope_is_what_the_email_package_would_read() -> None:
    """Parts, encodings and line lengths as RFC 5322 and RFC 2045 have them; ASCII throughout."""
    for event_type in ("reservation.confirmed", "reservation.pending_approval", "account.suspended"):
        for locale in ("zh-CN", "en"):
            who = samples.organizer(locale, display_name="很长的名字" * 16)
            for message in compose(event_type, samples.SAMPLES[event_type](who)):
                assert message.content.isascii()
                assert message.content.endswith(b"\r\n")
                assert max(map(len, message.content.split(b"\r\n"))) <= 78
                read(message)


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
    assert "Mon 14 Jul 2025 08:00–Tue 15 Jul 09:00 (Central European Summer Time UTC+02:00)" in text


def test_meter_names_the_period_it_counts() -> None:
    """A meeting next week is not counted under today."""
    body = samples.confirmed()
    for quota in body.decision.quotas:
        quota.period_start.seconds += 7 * 86400
        quota.period_end.seconds += 7 * 86400
    text = content(read(compose("reservation.confirmed", body)[0]), "plain")
    assert "7月21日 周一 1/3 · 7月21日 周一起一周 4/10" in text


@pytest.mark.parametrize(
    ("zone", "said"), [("Asia/Urumqi", "（UTC+06:00）"), ("Europe/Berlin", "（中欧夏令时间 UTC+02:00）")]
)
def test_a_zone_without_a_name_is_its_offset(zone: str, said: str) -> None:
    composer = Composer(replace(samples.LETTERHEAD, zone=ZoneInfo(zone)))
    assert said in content(read(compose("reservation.confirmed", samples.confirmed(), composer)[0]), "plain")


def test_somebody_else_cancelled() -> None:
    """The booker learns that it was not they, and why."""
    body = samples.cancelled(note="设备\n检修")
    body.actor = "account-2"
    text = content(read(compose("reservation.cancelled", body)[0]), "plain")
    assert "管理人员取消了这次预约" in text
    assert "设备 检修" in text


def test_a_cancelled_meeting_took_its_reservation_with_it() -> None:
    """Nobody is said to have cancelled the reservation, and the meeting is not said to be untouched."""
    body = samples.cancelled()
    body.actor = "system"
    text = content(read(compose("reservation.cancelled", body)[0]), "plain")
    assert "会议已在腾讯会议中取消" in text
    assert "管理人员" not in text
    assert "不受影响" not in text


def test_pending_request_cancelled_promises_no_room() -> None:
    """Without a room nothing was given back, and nobody is thanked for it."""
    body: ReservationEvent = samples.cancelled(room=None)
    assert "归还" not in content(read(compose("reservation.cancelled", body)[0]), "plain")


def test_cancellation_says_what_became_of_the_quota() -> None:
    """A rule that speaks on cancelling says why it was kept; otherwise it came back."""
    body = samples.cancelled(samples.organizer("en"))
    assert "quota" not in content(read(compose("reservation.cancelled", body)[0]), "plain")
    body.decision.decision_id = "decision-1"
    assert "no longer counts" in content(read(compose("reservation.cancelled", body)[0]), "plain")
    body.decision.rules.append(
        samples.rule("LATE", "预定截止后取消，仍计入", "cancelled after booking closed: it counts")
    )
    text = content(read(compose("reservation.cancelled", body)[0]), "plain")
    assert "it counts" in text
    assert "no longer counts" not in text


def test_an_hour_that_comes_twice_has_two_names() -> None:
    """Where clocks are put back; whichever was said first."""
    calendar = Calendar("en", ZoneInfo("Europe/Berlin"))
    said = [calendar.zoned_hour(samples.time(f"2025-10-26T0{hour}:30:00Z")) for hour in (0, 1, 0)]
    assert said[0] == said[2]
    assert [text[:5] for text in said] == ["02:30"] * 3
    assert ("+02:00" in said[0], "+01:00" in said[1]) == (True, True)
