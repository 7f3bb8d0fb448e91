"""Something that happened to a meeting, as its provider reports it. Pure."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from services.meetings.provider import MeetingKey


class Kind(StrEnum):
    """The last word of the event's subject."""

    ENTERED = "entered"
    LEFT = "left"
    ENDED = "ended"
    CHANGED = "changed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """`natural_key` holds all that makes it this event and no other. Times are epoch ms, 0 when not told.

    `subject` and `creator` are the meeting's; `person_id`, `terminal` and `display_name` are those of whoever entered
    or left, as in `people.Target`. What is not told is empty.
    """

    kind: Kind
    key: MeetingKey
    event_time: int
    natural_key: tuple[str, ...]
    meeting_code: str = ""
    account: str = ""
    everybody_left: bool = False
    start_time: int = 0
    end_time: int = 0
    subject: str = ""
    creator: str = ""
    person_id: str = ""
    terminal: str = ""
    display_name: str = ""

    @property
    def digest(self) -> str:
        parts = [self.key.entity_id, self.kind, str(self.event_time), *self.natural_key]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()
