"""What people read in place of the contract's own names of fields, states and reasons (docs/glossary.md)."""

import re
from collections.abc import Mapping

from services.cli import texts
from services.cli.texts import Text

FIELDS: Mapping[str, Text] = {
    "account_id": texts.ACCOUNT,
    "after": texts.FIELD_AFTER,
    "before": texts.FIELD_BEFORE,
    "capacity": texts.CAPACITY,
    "dead_event_id": texts.EVENT,
    "decision_id": texts.FIELD_DECISION,
    "delivery_id": texts.DELIVERY,
    "description": texts.NAME,
    "display_name": texts.NAME,
    "duration": texts.FIELD_DURATION,
    "effective_time": texts.EFFECTIVE_AT,
    "end_time": texts.FIELD_END,
    "enter_time": texts.FIELD_ENTERED,
    "filter": texts.EVENTS_WANTED,
    "meeting_code": texts.MEETING,
    "note": texts.FIELD_NOTE,
    "notice": texts.NOTICE,
    "page_size": texts.FIELD_PAGE_SIZE,
    "page_token": texts.FIELD_PAGE,
    "participant_count": texts.PEOPLE,
    "recurrence_rule": texts.FIELD_RULE,
    "request_id": texts.FIELD_REQUEST,
    "reservation_id": texts.RESERVATION,
    "room_id": texts.ROOM,
    "since": texts.FIELD_AFTER,
    "source": texts.FIELD_SOURCE,
    "start_time": texts.FIELD_START,
    "subject": texts.SUBJECT,
    "tests": texts.FIELD_TESTS,
    "text": texts.FIELD_OBJECTION,
    "time_zone": texts.FIELD_ZONE,
    "url": texts.ADDRESS,
    "version": texts.VERSION,
    "violation_id": texts.VIOLATION,
    "webhook_id": texts.WEBHOOK,
}
STATES: Mapping[str, Text] = {
    "PENDING_APPROVAL": texts.STATE_PENDING,
    "CONFIRMED": texts.STATE_CONFIRMED,
    "IN_USE": texts.STATE_IN_USE,
    "COMPLETED": texts.STATE_COMPLETED,
    "NO_SHOW": texts.STATE_NO_SHOW,
    "CANCELLED": texts.STATE_CANCELLED,
    "DECLINED": texts.STATE_DECLINED,
    "EXPIRED": texts.STATE_EXPIRED,
}
OUTCOMES: Mapping[str, Text] = {
    "DENIED": texts.DENIED,
    "REDIRECTED": texts.REDIRECTED,
    "SUSPENDED": texts.CLOSED_UNTIL,
    "VIOLATIONS": texts.VIOLATION,
}
UNKNOWN_BECAUSE: Mapping[str, Text] = {
    "GATEWAY_AWAY": texts.BECAUSE_GATEWAY_AWAY,
    "INCOMPLETE": texts.BECAUSE_INCOMPLETE,
    "NO_SUCH_MEETING": texts.BECAUSE_NO_MEETING,
    "NOT_PERMITTED": texts.BECAUSE_NOT_PERMITTED,
    "PROVIDER_AWAY": texts.BECAUSE_PROVIDER_AWAY,
    "PROVIDER_REFUSED": texts.BECAUSE_REFUSED,
    "RATE_LIMITED": texts.BECAUSE_RATE_LIMITED,
}
"""Why nobody can say who came."""
NOTICES: Mapping[str, Text] = {
    "cancellation": texts.NOTICE_CANCELLATION,
    "change": texts.NOTICE_CHANGE,
    "confirmation": texts.NOTICE_CONFIRMATION,
    "declined": texts.NOTICE_DECLINED,
    "digest": texts.NOTICE_DIGEST,
    "dismissed": texts.NOTICE_DISMISSED,
    "escalation": texts.NOTICE_ESCALATION,
    "expired": texts.NOTICE_EXPIRED,
    "objection": texts.NOTICE_OBJECTION,
    "own_cancellation": texts.NOTICE_OWN_CANCELLATION,
    "pending": texts.NOTICE_PENDING,
    "release": texts.NOTICE_RELEASE,
    "reminder": texts.NOTICE_REMINDER,
    "suspension": texts.NOTICE_SUSPENSION,
    "violation": texts.NOTICE_VIOLATION,
    "waived": texts.NOTICE_WAIVED,
    "withdrawn": texts.NOTICE_WITHDRAWN,
}
RAW = re.compile(r"\b(?:[a-z]+(?:_[a-z]+)+|[A-Z]+(?:_[A-Z]+)*)\b", re.ASCII)
"""A name as contracts write them; a lone lower-case word is a word."""


def field(path: str) -> Text | str:
    """`first.meeting_code` and `notices[0].notice` by their last name; one that nobody named stays a word or two."""
    last = re.sub(r"\[\d*\]$", "", path).rpartition(".")[2]
    return FIELDS.get(last, last.replace("_", " "))


def in_words(sentence: str, language: str) -> str:
    """What a service says, with words for the names of fields and states in it."""

    def word(found: re.Match[str]) -> str:
        known = FIELDS.get(found[0]) if "_" in found[0] else None
        known = known or STATES.get(found[0]) or OUTCOMES.get(found[0])
        return known.to(language) if known else found[0]

    return RAW.sub(word, sentence)


def notice(kind: str, language: str) -> str:
    """`kind` may carry a number: escalation-2."""
    known = NOTICES.get(kind.partition("-")[0])
    return known.to(language) if known else kind
