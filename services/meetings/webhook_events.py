"""What providers report of meetings: each event is stored once however often it comes, and ours with it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.engine import Connection
from sqlmodel import Session, func, select
from yunhui.meetings.v1 import events_pb2 as events
from yunhui.meetings.v1 import meeting_pb2 as pb

from services.meetings.models import MeetingSequence, WebhookEventRow
from services.meetings.provider import MeetingKey
from services.platform.clock import Clock, to_timestamp
from services.platform.data.database import ConflictError, Database
from services.platform.data.rows import open_session
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json

ATTEMPTS = 5


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

    `subject` and `creator` are the meeting's; `person_id`, `terminal` and `display_name` are those of whoever entered or
    left, as in `people.Target`. What is not told is empty.
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


class WebhookEvents:
    """Any order, any number of times: each is one row and one event, or none."""

    def __init__(self, database: Database, clock: Clock, committed: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._committed = committed

    async def record(self, reported: Iterable[WebhookEvent]) -> None:
        """Durable when it returns. Raises errors.unavailable when it cannot be stored."""
        listed = list(reported)
        await self.write(lambda connection: self.store(connection, listed))

    async def write(self, work: Callable[[Connection], Any]) -> None:
        """One transaction, begun again when another replica stores the same at the same time."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._database.write(work)
                break
            except ConflictError:
                if attempt == ATTEMPTS:
                    raise
        self._committed()

    def store(self, connection: Connection, reported: list[WebhookEvent]) -> None:
        """In the transaction of `connection`."""
        now = self._clock.now()
        with open_session(connection) as session:
            for event in reported:
                if _is_new(session, event, now) and (sequence := _advance(session, event)):
                    outbox.append(connection, [to_event(event, sequence, now)])

    async def first_entry(self, key: MeetingKey, since: int | None, until: int | None) -> int | None:
        """When somebody was first reported to have entered, within [since, until); None when nobody was."""
        entries = select(func.min(WebhookEventRow.event_time)).where(
            WebhookEventRow.provider == key.provider,
            WebhookEventRow.meeting_id == key.meeting_id,
            WebhookEventRow.sub_meeting_id == key.sub_meeting_id,
            WebhookEventRow.kind == Kind.ENTERED,
            WebhookEventRow.event_time >= (since or 0),
        )
        if until is not None:
            entries = entries.where(WebhookEventRow.event_time < until)

        def work(connection: Connection) -> int | None:
            with open_session(connection) as session:
                return session.exec(entries).one()

        return await self._database.read(work)


def _is_new(session: Session, event: WebhookEvent, now: int) -> bool:
    """Stores it then."""
    if session.get(WebhookEventRow, event.digest):
        return False
    row = WebhookEventRow(
        natural_key=event.digest,
        kind=event.kind.value,
        provider=event.key.provider,
        meeting_id=event.key.meeting_id,
        sub_meeting_id=event.key.sub_meeting_id,
        event_time=event.event_time,
        receive_time=now,
    )
    session.add(row)
    session.flush()
    return True


def _advance(session: Session, event: WebhookEvent) -> int:
    """The number of the event among those of its meeting; 0 for a change that a later one has overtaken already."""
    is_change = event.kind in (Kind.CHANGED, Kind.CANCELLED)
    changed = event.event_time if is_change else 0
    sequence = session.get(MeetingSequence, event.key.entity_id, with_for_update=True)
    if sequence is None:
        sequence = MeetingSequence(entity_id=event.key.entity_id, last_seq=0, change_time=changed)
        session.add(sequence)
    elif is_change and changed < sequence.change_time:
        return 0
    sequence.last_seq += 1
    sequence.change_time = max(changed, sequence.change_time)
    session.flush()
    return sequence.last_seq


def to_event(event: WebhookEvent, sequence: int, now: int) -> Event:
    key = event.key
    message = events.MeetingEvent(
        meeting=pb.MeetingKey(provider=key.provider, meeting_id=key.meeting_id, sub_meeting_id=key.sub_meeting_id),
        meeting_code=event.meeting_code,
        event_time=to_timestamp(event.event_time),
        account_id=event.account,
        everybody_left=event.everybody_left,
        start_time=to_timestamp(event.start_time) if event.start_time else None,
        end_time=to_timestamp(event.end_time) if event.end_time else None,
    )
    return Event(
        event_id=new_id("evt"),
        subject=f"yunhui.meetings.meeting.{event.kind}",
        entity_id=key.entity_id,
        entity_seq=sequence,
        time=now,
        payload=to_json(message),
    )
