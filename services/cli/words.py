"""What people read in place of the contract's own names of fields, states and reasons (docs/glossary.md)."""

import re
from collections.abc import Mapping

from services.platform.text.messages import Text, message, pmessage

FIELDS: Mapping[str, Text] = {
    "account_id": message("account"),
    "account_type": message("type"),
    "after": message("from"),
    "before": message("until"),
    "capacity": message("seats"),
    "contacts": message("contacts"),
    "count": message("how many"),
    "dead_event_id": message("event"),
    "decision_id": message("decision"),
    "delivery_id": message("delivery"),
    "department_id": message("department"),
    "description": message("name"),
    "display_name": message("name"),
    "duration": message("duration"),
    "edition": message("edition"),
    "effective_time": message("in force from"),
    "email": message("e-mail"),
    "end_time": message("end"),
    "enter_time": message("time of entry"),
    "filter": message("events"),
    "into_department_id": message("the one that takes over"),
    "meeting_code": message("meeting"),
    "memberships": message("departments"),
    "method": message("method"),
    "new_account_id": message("the account that takes over"),
    "note": message("note"),
    "notice": message("notice"),
    "page_size": message("entries per page"),
    "page_token": message("page"),
    "parent_id": message("the department above"),
    "participant_count": message("people"),
    "permission": message("permission"),
    "permissions": message("permissions"),
    "phone": message("phone"),
    "provider_name": message("provider"),
    "provider_organization_id": message("id at the provider"),
    "provider_user_id": message("id at the provider"),
    "purchase_id": message("purchase"),
    "query": message("search text"),
    "recurrence_rule": message("rule of repetition"),
    "request_id": message("idempotency key"),
    "reservation_id": message("reservation"),
    "role_id": message("role"),
    "room_id": message("room"),
    "since": message("from"),
    "source": message("rules"),
    "staff_id": message("staff number"),
    "start_time": message("start"),
    "subject": message("subject"),
    "tests": message("test table"),
    "text": pmessage("field", "objection"),
    "time_zone": message("time zone"),
    "title": message("title"),
    "topics": message("told of"),
    "url": message("address"),
    "version": message("version"),
    "violation_id": message("violation"),
    "webhook_id": message("webhook"),
}
STATES: Mapping[str, Text] = {
    "PENDING_APPROVAL": pmessage("state", "pending approval"),
    "CONFIRMED": pmessage("state", "confirmed"),
    "IN_USE": pmessage("state", "in use"),
    "COMPLETED": pmessage("state", "completed"),
    "NO_SHOW": pmessage("state", "no-show, released"),
    "CANCELLED": pmessage("state", "cancelled"),
    "DECLINED": pmessage("state", "declined"),
    "EXPIRED": pmessage("state", "expired"),
}
OUTCOMES: Mapping[str, Text] = {
    "DENIED": message("refused"),
    "REDIRECTED": message("please use your personal free account"),
    "SUSPENDED": message("booking closed until"),
    "VIOLATIONS": message("violation"),
}
UNKNOWN_BECAUSE: Mapping[str, Text] = {
    "GATEWAY_AWAY": message("the meetings gateway was away"),
    "INCOMPLETE": message("the provider's answer was incomplete"),
    "NO_SUCH_MEETING": message("the provider knows no such meeting"),
    "NOT_PERMITTED": message("the provider does not let us ask"),
    "PROVIDER_AWAY": message("the provider was away"),
    "PROVIDER_REFUSED": message("the provider refused to answer"),
    "RATE_LIMITED": message("too many questions at a time"),
}
"""Why nobody can say who came."""
NOTICES: Mapping[str, Text] = {
    "cancellation": message("somebody else cancelled"),
    "change": message("a reservation was changed"),
    "confirmation": message("a reservation is confirmed"),
    "declined": message("support declined"),
    "digest": message("to support: the daily digest"),
    "dismissed": message("an objection was dismissed"),
    "escalation": message("to support: a case"),
    "expired": message("support did not answer in time"),
    "handed_over": message("a reservation of mine was handed over"),
    "objection": message("to support: an objection"),
    "own_cancellation": message("a reservation was cancelled by its account"),
    "pending": message("support was asked"),
    "release": message("a room was released"),
    "reminder": message("a meeting begins soon"),
    "suspension": message("booking was closed or opened"),
    "taken_over": message("a reservation was handed over to me"),
    "violation": message("a violation was recorded"),
    "waived": message("a violation was waived"),
    "withdrawn": message("to support: a case is settled"),
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
