"""Which event makes which messages, for whom: the one place that knows. Pure: the same event gives the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.booking.v1.events_pb2 import AccountEvent, ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Organizer, Reservation
from yunhui.policy.v1.decision_pb2 import Obligation

from services.contracts import calendars
from services.notifier import envelope, invitations, rendering
from services.notifier.envelope import CalendarPart, Letter, Mailbox
from services.notifier.events import BookingEvent
from services.notifier.rendering import Section, Tone
from services.notifier.values import Digest, Letterhead, Values, listed, name_of
from services.notifier.wording import Calendar, Meter, language
from services.platform.text.languages import LANGUAGES
from services.platform.text.messages import pmessage

ESCALATION, WITHDRAWN = "escalation", "withdrawn"
SENDER_NAME = pmessage("mail", "Yunhui")
WITHDRAWALS: Mapping[str, str] = {
    "reservation.updated": "settled",
    "reservation.cancelled": "cancelled",
    "reservation.expired": "expired",
}
"""Why support need not decide any more. Of a change that still needs a decision they see at the desk."""


@dataclass(frozen=True, slots=True)
class Message:
    """One mail to one person. `content` is the whole RFC 5322 message."""

    kind: str
    recipient: str
    content: bytes
    message_id: str
    """As its header says it, in angle brackets."""
    addressee: str = ""
    """The account that it is written to; "" for support."""


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
    addressee: str = ""
    entries: Callable[[Calendar], list[Section]] = lambda _: []


class Composer:
    """Turns events into messages."""

    def __init__(self, letterhead: Letterhead) -> None:
        self._letterhead = letterhead
        self._values = Values(letterhead)
        self._support = envelope.mailbox(letterhead.support) if letterhead.support else None
        self._drafts: Mapping[str, Callable[[BookingEvent, Any], list[Draft]]] = {
            "reservation.confirmed": self._confirmation,
            "reservation.pending_approval": self._escalation,
            "reservation.approved": self._confirmation,
            "reservation.updated": self._change,
            "reservation.handed_over": self._handover,
            "reservation.declined": self._answer,
            "reservation.expired": self._answer,
            "reservation.cancelled": self._cancellation,
            "reservation.released": self._release,
            "account.violation_recorded": self._violation,
            "account.violation_waived": self._waived,
            "account.violation_objected": self._objection,
            "account.objection_dismissed": self._dismissal,
            "account.suspended": self._suspension,
        }

    def compose(self, event: BookingEvent, asked: Sequence[str] = ()) -> list[Message]:
        """No message for a type that nobody needs to hear of, nor for people without a usable address.

        `asked` are the addresses of support that had the reservation before them already when this happened: they are
        asked once, and told when there is nothing left to decide.
        """
        make = self._drafts.get(event.type)
        drafts = make(event, event.body) if make else []
        if asked and isinstance(event.body, ReservationEvent):
            drafts = self._after_asking(event, event.body, drafts, asked)
        return [self._write(event.event_id, event.time, draft) for draft in drafts]

    def escalation(self, event: BookingEvent, first_event_id: str) -> list[Message]:
        """What support is asked, as it is after a change, in place of what the first event asked."""
        assert isinstance(event.body, ReservationEvent)  # noqa: S101 - only those are put before support
        drafts = [draft for draft in self._escalation(event, event.body) if draft.kind == ESCALATION]
        return [self._write(first_event_id, event.time, draft) for draft in drafts]

    def remind(self, event_id: str, body: ReservationEvent, time: datetime) -> list[Message]:
        """The reminder before the start, planned by the event that last set the time."""
        drafts = self._to_booker("reminder", "waiting", body)
        return [self._write(event_id, time, draft) for draft in drafts]

    def digest(self, digest_id: str, digest: Digest) -> list[Message]:
        """Nothing when nothing is open."""
        to = envelope.mailbox(digest.address)
        if not (to and digest.cases):
            return []
        draft = Draft(
            kind="digest",
            to=to,
            languages=LANGUAGES,
            tone="waiting",
            values=lambda calendar: self._values.digest(calendar, digest),
            entries=lambda calendar: self._digest_entries(calendar, digest),
        )
        return [self._write(digest_id, datetime.fromtimestamp(digest.time / 1000, UTC), draft)]

    # What happened to a reservation

    def _confirmation(self, event: BookingEvent, body: ReservationEvent) -> list[Draft]:
        def meters(calendar: Calendar) -> list[Meter]:
            return calendar.meters(body.decision.quotas, event.time)

        shown = {"approved": event.type == "reservation.approved"}
        return self._to_booker("confirmation", "good", body, shown, method="REQUEST", meters=meters)

    def _change(self, event: BookingEvent, body: ReservationEvent) -> list[Draft]:
        """What still waits for support is told to the booker; support is asked if they never were."""
        if not body.reservation.HasField("room"):
            return self._escalation(event, body)
        return self._to_booker("change", "good", body, {"was_pending": False}, method="REQUEST")

    def _escalation(self, event: BookingEvent, body: ReservationEvent) -> list[Draft]:
        shown = {"changed": event.type == "reservation.updated"}
        return self._asking_support(body) + self._to_booker("pending", "waiting", body, shown)

    def _asking_support(self, body: ReservationEvent) -> list[Draft]:
        notices = [o for o in body.decision.obligations if o.kind == Obligation.KIND_NOTIFY_SUPPORT]
        addresses = dict.fromkeys(notice.address for notice in notices)
        supporters = [box for box in map(envelope.mailbox, addresses) if box]
        return [self._to_support(ESCALATION, box, number, body, {}) for number, box in enumerate(supporters)]

    def _handover(self, _: BookingEvent, body: ReservationEvent) -> list[Draft]:
        """The entry leaves one calendar and comes into the other. Of what waits, only new addresses of support hear."""
        before, held = ReservationEvent(), body.reservation.HasField("room")
        before.CopyFrom(body)
        before.reservation.organizer.CopyFrom(body.former_organizer)
        former, new = ({"other": name_of(each.reservation.organizer)} for each in (before, body))
        left = self._to_booker("handed_over", "quiet", before, new, method="CANCEL" if held else None)
        taken = self._to_booker(
            "taken_over", "good" if held else "waiting", body, former, method="REQUEST" if held else None
        )
        return [*(() if held else self._asking_support(body)), *left, *taken]

    def _after_asking(
        self, event: BookingEvent, body: ReservationEvent, drafts: list[Draft], asked: Sequence[str]
    ) -> list[Draft]:
        """A change that ended the waiting is told to the booker as what it is: a room."""
        if not _ends_waiting(event.type, body):
            known = {box.address for box in map(envelope.mailbox, asked) if box}
            return [draft for draft in drafts if draft.kind != ESCALATION or draft.to.address not in known]
        if event.type == "reservation.updated":
            drafts = self._to_booker("change", "good", body, {"was_pending": True}, method="REQUEST")
        return [*drafts, *self._withdrawal(event, body, asked)]

    def _withdrawal(self, event: BookingEvent, body: ReservationEvent, asked: Sequence[str]) -> list[Draft]:
        """Whoever was asked to decide learns that there is nothing left to decide."""
        shown = {"why": WITHDRAWALS[event.type]}
        supporters = [box for box in map(envelope.mailbox, asked) if box]
        return [self._to_support(WITHDRAWN, box, number, body, shown, "quiet") for number, box in enumerate(supporters)]

    def _to_support(
        self,
        kind: str,
        support: Mailbox,
        number: int,
        body: ReservationEvent,
        shown: Mapping[str, Any],
        tone: Tone = "waiting",
    ) -> Draft:
        return Draft(
            kind=kind,
            to=support,
            languages=LANGUAGES,  # nobody has told us which one they read
            tone=tone,
            values=lambda calendar: {**self._values.reservation(calendar, body), **shown, "support": ""},
            reservation=body.reservation,
            reply_to=_mailbox(body.reservation.organizer),
            number=number,
        )

    def _answer(self, event: BookingEvent, body: ReservationEvent) -> list[Draft]:
        """Support said no, or nothing in time."""
        return self._to_booker(event.type.removeprefix("reservation."), "bad", body)

    def _cancellation(self, _: BookingEvent, body: ReservationEvent) -> list[Draft]:
        # without a room there was no invitation: a calendar would show a meeting it never heard of as cancelled
        method = "CANCEL" if body.reservation.HasField("room") else None
        return self._to_booker("cancellation", "quiet", body, method=method)

    def _release(self, event: BookingEvent, body: ReservationEvent) -> list[Draft]:
        shown = ReservationEvent()
        shown.CopyFrom(body)
        if not shown.reservation.HasField("release_time"):
            shown.reservation.release_time.FromDatetime(event.time)
        return self._to_booker("release", "bad", shown, method="CANCEL")

    def _to_booker(
        self, kind: str, tone: Tone, body: ReservationEvent, shown: Mapping[str, Any] | None = None, **more: Any
    ) -> list[Draft]:
        reservation = body.reservation
        to = _mailbox(reservation.organizer)
        if not to:
            return []
        languages = (language(reservation.organizer.locale),)

        def values(calendar: Calendar) -> Mapping[str, Any]:
            return {**self._values.reservation(calendar, body), **(shown or {})}

        more = {"reservation": reservation, "addressee": reservation.organizer.account_id, **more}
        return [Draft(kind, to, languages, tone, values, reply_to=self._support, **more)]

    # What happened to an account

    def _violation(self, _: BookingEvent, body: AccountEvent) -> list[Draft]:
        return self._to_account("violation", body, body.violation.violation_time)

    def _waived(self, _: BookingEvent, body: AccountEvent) -> list[Draft]:
        return self._to_account("waived", body, body.violation.violation_time, tone="good")

    def _objection(self, _: BookingEvent, body: AccountEvent) -> list[Draft]:
        """Nobody is written to where no address of support is known; the portal shows it all the same."""
        if not self._support:
            return []
        draft = Draft(
            kind="objection",
            to=self._support,
            languages=LANGUAGES,  # nobody has told us which one they read
            tone="waiting",
            values=lambda calendar: {**self._values.objection(calendar, body), "support": ""},
            reservation=body.reservation if body.HasField("reservation") else None,
            reply_to=_mailbox(body.account),
        )
        return [draft]

    def _dismissal(self, _: BookingEvent, body: AccountEvent) -> list[Draft]:
        drafts = self._to_account("dismissed", body, body.violation.violation_time)
        return [replace(draft, values=lambda calendar: self._values.objection(calendar, body)) for draft in drafts]

    def _suspension(self, _: BookingEvent, body: AccountEvent) -> list[Draft]:
        return self._to_account("suspension", body, body.suspension.start_time)

    def _to_account(self, kind: str, body: AccountEvent, since: Timestamp, tone: Tone = "bad") -> list[Draft]:
        to = _mailbox(body.account)
        if not to:
            return []
        languages = (language(body.account.locale),)
        reservation = body.reservation if body.HasField("reservation") else None

        def values(calendar: Calendar) -> Mapping[str, Any]:
            return self._values.account(calendar, body, since)

        more: dict[str, Any] = {"reservation": reservation, "addressee": body.account.account_id}
        return [Draft(kind, to, languages, tone, values, reply_to=self._support, **more)]

    # Putting it into words

    def _write(self, source_id: str, time: datetime, draft: Draft) -> Message:
        sections = [self._section(draft, locale) for locale in draft.languages]
        sender = Mailbox(self._letterhead.sender, SENDER_NAME.to(draft.languages[0]))
        suffix = f"-{draft.number + 1}" if draft.number else ""
        letter = Letter(
            message_id=f"{source_id}.{draft.kind}{suffix}@{sender.domain}",
            sender=sender,
            recipient=draft.to,
            subject=sections[0].subject,
            time=time,
            text=rendering.as_text(sections),
            html=rendering.as_html(sections, draft.tone),
            languages=draft.languages,
            reply_to=draft.reply_to,
            references=self._thread(draft, sender),
            calendar=_calendar_part(draft, sender, sections[0], time),
        )
        message_id = f"<{letter.message_id}>"
        return Message(draft.kind + suffix, draft.to.address, letter.to_bytes(), message_id, draft.addressee)

    def _section(self, draft: Draft, locale: str) -> Section:
        calendar = Calendar(locale, self._letterhead.zone)
        return rendering.section(
            locale, draft.kind, draft.values(calendar), draft.meters(calendar), draft.entries(calendar)
        )

    def _digest_entries(self, calendar: Calendar, digest: Digest) -> list[Section]:
        entries = [self._values.digest_entry(calendar, digest, case) for case in listed(digest)]
        return [rendering.section(calendar.locale, "digest_case", entry) for entry in entries]

    def _thread(self, draft: Draft, sender: Mailbox) -> str:
        return calendars.uid(draft.reservation.reservation_id, sender.domain) if draft.reservation else ""


def _ends_waiting(event_type: str, body: ReservationEvent) -> bool:
    asks_again = event_type == "reservation.updated" and not body.reservation.HasField("room")
    return event_type in WITHDRAWALS and not asks_again


def _mailbox(person: Organizer) -> Mailbox | None:
    return envelope.mailbox(person.email, person.display_name)


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
