"""Which event makes which messages, for whom: the one place that knows. Pure: the same event gives the same bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.booking.v1.events_pb2 import AccountEvent, ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Organizer, Reservation
from yunhui.policy.v1.decision_pb2 import Decision, Obligation

from services.notifier import envelope, invitations, rendering
from services.notifier.envelope import CalendarPart, Letter, Mailbox
from services.notifier.events import Event
from services.notifier.rendering import Section, Tone
from services.notifier.wording import (
    CHINESE,
    ENGLISH,
    Calendar,
    Meter,
    language,
    localized,
    meeting_number,
    single_line,
)

SENDER_NAMES = {CHINESE: "云会", ENGLISH: "Yunhui"}


@dataclass(frozen=True, slots=True)
class Message:
    """One mail to one person. `content` is the whole RFC 5322 message."""

    kind: str
    recipient: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all mails of an installation share."""

    sender: str
    portal_url: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Draft:
    """One mail before it is put into words and bytes. The wording templates carry the name of `kind`."""

    kind: str
    to: Mailbox
    languages: tuple[str, ...]
    tone: Tone
    values: Callable[[Calendar], Mapping[str, Any]]
    meters: Callable[[Calendar], list[Meter]] = lambda _: []
    method: invitations.Method | None = None
    reservation: Reservation | None = None
    reply_to: Mailbox | None = None
    number: int = 0


class Composer:
    """Turns events into messages."""

    def __init__(self, letterhead: Letterhead) -> None:
        self._letterhead = letterhead
        self._drafts: Mapping[str, Callable[[Event, Any], list[Draft]]] = {
            "reservation.confirmed": self._confirmation,
            "reservation.pending_approval": self._escalation,
            "reservation.approved": self._confirmation,
            "reservation.updated": self._change,
            "reservation.declined": self._answer,
            "reservation.expired": self._answer,
            "reservation.cancelled": self._cancellation,
            "reservation.released": self._release,
            "account.violation_recorded": self._violation,
            "account.violation_waived": self._waived,
            "account.suspended": self._suspension,
        }

    def compose(self, event: Event) -> list[Message]:
        """No message for a type that nobody needs to hear of, nor for people without a usable address."""
        drafts = self._drafts.get(event.type)
        return [self._write(event, draft) for draft in drafts(event, event.body)] if drafts else []

    # What happened to a reservation

    def _confirmation(self, event: Event, body: ReservationEvent) -> list[Draft]:
        def meters(calendar: Calendar) -> list[Meter]:
            return calendar.meters(body.decision.quotas, event.time)

        return self._to_booker("confirmation", "good", body, method="REQUEST", meters=meters)

    def _change(self, event: Event, body: ReservationEvent) -> list[Draft]:
        """What still waits for support is asked again: they would decide on figures that no longer hold."""
        if not body.reservation.HasField("room"):
            return self._escalation(event, body)
        return self._to_booker("change", "good", body, method="REQUEST")

    def _escalation(self, _: Event, body: ReservationEvent) -> list[Draft]:
        notices = [o for o in body.decision.obligations if o.kind == Obligation.KIND_NOTIFY_SUPPORT]
        addresses = dict.fromkeys(notice.address for notice in notices)
        supporters = [box for box in map(envelope.mailbox, addresses) if box]
        drafts = [self._to_support(box, number, body) for number, box in enumerate(supporters)]
        return drafts + self._to_booker("pending", "waiting", body)

    def _to_support(self, support: Mailbox, number: int, body: ReservationEvent) -> Draft:
        return Draft(
            kind="escalation",
            to=support,
            languages=(CHINESE, ENGLISH),  # nobody has told us which one they read
            tone="waiting",
            values=lambda calendar: self._reservation_values(calendar, body),
            reservation=body.reservation,
            reply_to=_mailbox(body.reservation.organizer),
            number=number,
        )

    def _answer(self, event: Event, body: ReservationEvent) -> list[Draft]:
        """Support said no, or nothing in time."""
        return self._to_booker(event.type.removeprefix("reservation."), "bad", body)

    def _cancellation(self, _: Event, body: ReservationEvent) -> list[Draft]:
        return self._to_booker("cancellation", "quiet", body, method="CANCEL")

    def _release(self, event: Event, body: ReservationEvent) -> list[Draft]:
        shown = ReservationEvent()
        shown.CopyFrom(body)
        if not shown.reservation.HasField("release_time"):
            shown.reservation.release_time.FromDatetime(event.time)
        return self._to_booker("release", "bad", shown, method="CANCEL")

    def _to_booker(self, kind: str, tone: Tone, body: ReservationEvent, **more: Any) -> list[Draft]:
        reservation = body.reservation
        to = _mailbox(reservation.organizer)
        if not to:
            return []
        languages = (language(reservation.organizer.locale),)

        def values(calendar: Calendar) -> Mapping[str, Any]:
            return self._reservation_values(calendar, body)

        return [Draft(kind, to, languages, tone, values, reservation=reservation, **more)]

    # What happened to an account

    def _violation(self, _: Event, body: AccountEvent) -> list[Draft]:
        return self._to_account("violation", body, body.violation.violation_time)

    def _waived(self, _: Event, body: AccountEvent) -> list[Draft]:
        return self._to_account("waived", body, body.violation.violation_time, tone="good")

    def _suspension(self, _: Event, body: AccountEvent) -> list[Draft]:
        return self._to_account("suspension", body, body.suspension.start_time)

    def _to_account(self, kind: str, body: AccountEvent, since: Timestamp, tone: Tone = "bad") -> list[Draft]:
        to = _mailbox(body.account)
        if not to:
            return []
        languages = (language(body.account.locale),)
        reservation = body.reservation if body.HasField("reservation") else None

        def values(calendar: Calendar) -> Mapping[str, Any]:
            return self._account_values(calendar, body, since)

        return [Draft(kind, to, languages, tone, values, reservation=reservation)]

    # Putting it into words

    def _write(self, event: Event, draft: Draft) -> Message:
        sections = [self._section(draft, locale) for locale in draft.languages]
        sender = Mailbox(self._letterhead.sender, SENDER_NAMES[draft.languages[0]])
        suffix = f"-{draft.number + 1}" if draft.number else ""
        letter = Letter(
            message_id=f"{event.event_id}.{draft.kind}{suffix}@{sender.domain}",
            sender=sender,
            recipient=draft.to,
            subject=sections[0].subject,
            time=event.time,
            text=rendering.as_text(sections),
            html=rendering.as_html(sections, draft.tone),
            languages=draft.languages,
            reply_to=draft.reply_to,
            references=self._thread(draft, sender),
            calendar=_calendar_part(draft, sender, sections[0], event.time),
        )
        return Message(draft.kind + suffix, draft.to.address, letter.to_bytes())

    def _section(self, draft: Draft, locale: str) -> Section:
        calendar = Calendar(locale, self._letterhead.zone)
        return rendering.section(locale, draft.kind, draft.values(calendar), draft.meters(calendar))

    def _thread(self, draft: Draft, sender: Mailbox) -> str:
        return invitations.uid(draft.reservation.reservation_id, sender.domain) if draft.reservation else ""

    def _reservation_values(self, calendar: Calendar, body: ReservationEvent) -> dict[str, Any]:
        reservation, portal = body.reservation, self._letterhead.portal_url
        case = f"{portal}/support/escalations/{quote(reservation.reservation_id, safe='')}"
        return {
            **_basics(calendar, reservation),
            "reasons": _reasons(body.decision, calendar.locale),
            "deadline": _deadline(calendar, reservation, body.decision),
            "by_other": body.actor not in {"", reservation.organizer.account_id},
            "link": f"{portal}/reservations/{quote(reservation.reservation_id, safe='')}",
            "approve": f"{case}?answer=approve",
            "decline": f"{case}?answer=decline",
        }

    def _account_values(self, calendar: Calendar, body: AccountEvent, since: Timestamp) -> dict[str, Any]:
        known = body.HasField("reservation")
        basics = _basics(calendar, body.reservation) if known else {"subject": ""}
        return {
            **basics,
            "known": known,
            "name": _name(body.account),
            "since": calendar.moment(since),
            "until": calendar.moment(body.suspension.end_time),
            "until_short": calendar.short_moment(body.suspension.end_time),
            "suspended": bool(body.violation.suspension_id),
            "waive_note": single_line(body.violation.waive_note, 500),
            "reasons": _reasons(body.decision, calendar.locale),
            "standing": f"{self._letterhead.portal_url}/standing",
        }


def _mailbox(person: Organizer) -> Mailbox | None:
    return envelope.mailbox(person.email, person.display_name)


def _name(person: Organizer) -> str:
    return single_line(person.display_name, 80) or single_line(person.account_id, 80)


def _basics(calendar: Calendar, reservation: Reservation) -> dict[str, Any]:
    room, held = reservation.room, reservation.HasField("release_time")
    box = _mailbox(reservation.organizer)
    return {
        "name": _name(reservation.organizer),
        "department": single_line(reservation.organizer.department, 80),
        "address": box.address if box else "",
        "subject": single_line(reservation.subject),
        "room": single_line(room.display_name or room.room_id, 100),
        "when": calendar.interval(reservation.start_time, reservation.end_time),
        "short_when": calendar.short_interval(reservation.start_time, reservation.end_time),
        "start": calendar.hour(reservation.start_time),
        "release": calendar.hour(reservation.release_time) if held else "",
        "release_moment": calendar.moment(reservation.release_time) if held else "",
        "number": meeting_number(reservation.meeting_code),
        "count": reservation.participant_count,
        "note": single_line(reservation.note, 500),
    }


def _reasons(decision: Decision, locale: str) -> list[str]:
    sentences = (localized(rule.reason, locale) for rule in decision.rules)
    return [sentence for sentence in sentences if sentence]


def _deadline(calendar: Calendar, reservation: Reservation, decision: Decision) -> str:
    for obligation in decision.obligations:
        if obligation.kind == Obligation.KIND_EXPIRE_ESCALATION:
            return calendar.moment(Timestamp(seconds=reservation.start_time.seconds - obligation.seconds))
    return ""


def _calendar_part(draft: Draft, sender: Mailbox, section: Section, time: datetime) -> CalendarPart | None:
    if not (draft.method and draft.reservation):
        return None
    invitation = invitations.Invitation(
        method=draft.method,
        sender=sender.address,
        sender_name=sender.name,
        attendee=draft.to.address,
        description=section.calendar,
        stamp=time,
    )
    return CalendarPart(draft.method, invitations.render(draft.reservation, invitation))
