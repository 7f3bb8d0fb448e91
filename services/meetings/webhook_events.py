"""What providers report of meetings: each event is stored once however often it comes, and ours with it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from google.protobuf.json_format import MessageToJson
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel
from ulid import ULID
from yunhui.meetings.v1 import events_pb2 as events
from yunhui.meetings.v1 import meeting_pb2 as pb

from services.meetings import models
from services.meetings.provider import MeetingKey
from services.platform.clock import Clock, to_timestamp
from services.platform.data.database import ConflictError, Database
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event

ATTEMPTS = 5
EVENT = SQLModel.metadata.tables[str(models.WebhookEventRow.__tablename__)]
SEQUENCE = SQLModel.metadata.tables[str(models.MeetingSequence.__tablename__)]


class Kind(StrEnum):
    """The last word of the event's subject."""

    ENTERED = "entered"
    LEFT = "left"
    ENDED = "ended"
    CHANGED = "changed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """`natural_key` holds all that makes it this event and no other. Times are epoch ms, 0 when not told."""

    kind: Kind
    key: MeetingKey
    event_time: int
    natural_key: tuple[str, ...]
    meeting_code: str = ""
    account: str = ""
    everybody_left: bool = False
    start_time: int = 0
    end_time: int = 0

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
        for event in reported:
            if self._is_new(connection, event, now):
                sequence = _advance(connection, event)
                if sequence:
                    outbox.append(connection, [to_event(event, sequence, now)])

    async def first_entry(self, key: MeetingKey, since: int | None, until: int | None) -> int | None:
        """When somebody was first reported to have entered, within [since, until); None when nobody was."""
        columns = EVENT.c
        query = sa.select(sa.func.min(columns.event_time)).where(
            columns.provider == key.provider,
            columns.meeting_id == key.meeting_id,
            columns.sub_meeting_id == key.sub_meeting_id,
            columns.kind == Kind.ENTERED,
            columns.event_time >= (since or 0),
        )
        if until is not None:
            query = query.where(columns.event_time < until)
        return await self._database.read(lambda connection: connection.scalar(query))

    def _is_new(self, connection: Connection, event: WebhookEvent, now: int) -> bool:
        known = sa.select(EVENT.c.natural_key).where(EVENT.c.natural_key == event.digest)
        if connection.execute(known).first():
            return False
        row = {
            "natural_key": event.digest,
            "kind": event.kind.value,
            "provider": event.key.provider,
            "meeting_id": event.key.meeting_id,
            "sub_meeting_id": event.key.sub_meeting_id,
            "event_time": event.event_time,
            "receive_time": now,
        }
        connection.execute(sa.insert(EVENT), [row])
        return True


def _advance(connection: Connection, event: WebhookEvent) -> int:
    """The number of the event among those of its meeting; 0 for a change that a later one has overtaken already."""
    entity_id = event.key.entity_id
    query = sa.select(SEQUENCE).where(SEQUENCE.c.entity_id == entity_id).with_for_update()
    row = connection.execute(query).mappings().first()
    is_change = event.kind in (Kind.CHANGED, Kind.CANCELLED)
    changed = event.event_time if is_change else 0
    if row is None:
        fresh = {"entity_id": entity_id, "last_seq": 1, "change_time": changed}
        connection.execute(sa.insert(SEQUENCE), [fresh])
        return 1
    if is_change and changed < row["change_time"]:
        return 0
    values = {"last_seq": row["last_seq"] + 1, "change_time": max(changed, row["change_time"])}
    connection.execute(sa.update(SEQUENCE).where(SEQUENCE.c.entity_id == entity_id).values(values))
    return int(values["last_seq"])


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
        event_id=f"evt_{ULID()}".lower(),
        subject=f"yunhui.meetings.meeting.{event.kind}",
        entity_id=key.entity_id,
        entity_seq=sequence,
        time=now,
        payload=MessageToJson(message, indent=None, ensure_ascii=False),
    )
