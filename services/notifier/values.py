"""What the templates may say: the facts of an event in the words, times and links of one language."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.booking.v1.events_pb2 import AccountEvent, ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Organizer, Reservation
from yunhui.policy.v1.decision_pb2 import Decision, Obligation

from services.contracts.invitations import dashed
from services.notifier import envelope
from services.notifier.wording import Calendar, localized, single_line, span
from services.platform.clock import to_timestamp

DIGEST_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all mails of an installation share."""

    sender: str
    portal_url: str
    zone: ZoneInfo
    support: str = ""
    """Where people write to when they object or ask; answers to mails go there. Empty: nowhere is named."""


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A request that support has been asked about and nobody has answered. Times are epoch milliseconds."""

    reservation: Reservation
    open_time: int
    cutoff: int
    """Until when it can be answered; 0 when no rule says."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What is open for one address of support at one moment (epoch ms). `failed` counts mails of the last day."""

    address: str
    time: int
    cases: Sequence[OpenCase]
    failed: int


@dataclass(frozen=True, slots=True)
class Values:
    """Everything is one printable line: no value can make up a header, a row or a property."""

    letterhead: Letterhead

    def reservation(self, calendar: Calendar, body: ReservationEvent) -> dict[str, Any]:
        reservation, portal = body.reservation, self.letterhead.portal_url
        case = self._case_link(reservation)
        return {
            **_basics(calendar, reservation),
            "reasons": _reasons(body.decision, calendar.locale),
            "deadline": _deadline(calendar, reservation, body.decision),
            "decided": body.HasField("decision"),
            "by_system": body.actor == "system",
            "by_other": body.actor not in {"", reservation.organizer.account_id},
            "link": f"{portal}/reservations/{quote(reservation.reservation_id, safe='')}",
            "case": case,
            "approve": f"{case}?answer=approve",
            "decline": f"{case}?answer=decline",
            **self._objection(reservation),
        }

    def _case_link(self, reservation: Reservation) -> str:
        """A page that shows the case and asks for the answer there; opening it changes nothing."""
        return f"{self.letterhead.portal_url}/support/escalations/{quote(reservation.reservation_id, safe='')}"

    def _objection(self, reservation: Reservation | None) -> dict[str, str]:
        """Where the reader can object: on the page of their standing, at what came of this reservation."""
        place = f"#{quote(reservation.reservation_id, safe='')}" if reservation else ""
        return {"support": self.letterhead.support, "object": f"{self.letterhead.portal_url}/standing{place}"}

    def account(self, calendar: Calendar, body: AccountEvent, since: Timestamp) -> dict[str, Any]:
        known = body.HasField("reservation")
        basics = _basics(calendar, body.reservation) if known else {"subject": "", "department": "", "address": ""}
        return {
            **basics,
            "known": known,
            "name": name_of(body.account),
            "account": single_line(body.account.account_id, 80),
            "since": calendar.moment(since),
            "until": calendar.moment(body.suspension.end_time),
            "until_short": calendar.short_moment(body.suspension.end_time),
            "suspended": bool(body.violation.suspension_id),
            "waive_note": single_line(body.violation.waive_note, 500),
            "reasons": _reasons(body.decision, calendar.locale),
            "standing": f"{self.letterhead.portal_url}/standing",
            **self._objection(body.reservation if known else None),
        }

    def objection(self, calendar: Calendar, body: AccountEvent) -> dict[str, Any]:
        """All that is needed to decide about one, or to understand the answer."""
        objection, attendance = body.violation.objection, body.reservation.attendance
        return {
            **self.account(calendar, body, body.violation.violation_time),
            "text": single_line(objection.text, 1000),
            "objected": calendar.moment(objection.object_time),
            "answer_note": single_line(objection.answer_note, 500),
            "looked_up": calendar.moment(attendance.ask_time) if body.reservation.HasField("attendance") else "",
            "case": f"{self.letterhead.portal_url}/support#{quote(body.violation.violation_id, safe='')}",
        }

    def digest(self, calendar: Calendar, digest: Digest) -> dict[str, Any]:
        now = to_timestamp(digest.time)
        return {
            "total": len(digest.cases),
            "more": max(0, len(digest.cases) - DIGEST_LIMIT),
            "failed": digest.failed,
            "day": calendar.date(calendar.local(now)),
            "moment": calendar.moment(now),
            "cases": f"{self.letterhead.portal_url}/support/escalations",
            "support": "",
        }

    def digest_entry(self, calendar: Calendar, digest: Digest, case: OpenCase) -> dict[str, Any]:
        return {
            **_basics(calendar, case.reservation),
            "age": span(digest.time - case.open_time, calendar.locale),
            "asked": calendar.moment(to_timestamp(case.open_time)),
            "cutoff": calendar.moment(to_timestamp(case.cutoff)) if case.cutoff else "",
            "left": span(case.cutoff - digest.time, calendar.locale),
            "case": self._case_link(case.reservation),
            "support": "",
        }


def name_of(person: Organizer) -> str:
    return single_line(person.display_name, 80) or single_line(person.account_id, 80)


WORDS = [each for each in Reservation.DESCRIPTOR.fields if each.type == each.TYPE_STRING and not each.is_repeated]


def _basics(calendar: Calendar, reservation: Reservation) -> dict[str, Any]:
    room, held = reservation.room, reservation.HasField("release_time")
    box = envelope.mailbox(reservation.organizer.email)
    words = {each.name: single_line(getattr(reservation, each.name)) for each in WORDS}
    return {
        **words,
        "name": name_of(reservation.organizer),
        "department": single_line(reservation.organizer.department, 80),
        "address": box.address if box else "",
        "room": single_line(room.display_name or room.room_id, 100),
        "when": calendar.interval(reservation.start_time, reservation.end_time),
        "short_when": calendar.short_interval(reservation.start_time, reservation.end_time),
        "start": calendar.hour(reservation.start_time),
        "starts": calendar.zoned_hour(reservation.start_time),
        "release": calendar.zoned_hour(reservation.release_time) if held else "",
        "release_moment": calendar.moment(reservation.release_time) if held else "",
        "number": single_line(dashed(reservation.meeting_code), 20),
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


def listed(digest: Digest) -> Sequence[OpenCase]:
    """The most urgent first; those without a limit last."""
    return sorted(digest.cases, key=lambda case: (not case.cutoff, case.cutoff, case.open_time))[:DIGEST_LIMIT]
