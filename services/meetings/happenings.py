"""What happened to meetings: stored once however often it is reported, with its event in the same transaction."""

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
REPORT = SQLModel.metadata.tables[str(models.Report.__tablename__)]
SEQUENCE = SQLModel.metadata.tables[str(models.MeetingSequence.__tablename__)]


class Kind(StrEnum):
    """The last word of the event's subject."""

    ENTERED = "entered"
    LEFT = "left"
    ENDED = "ended"
    CHANGED = "changed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Happening:
    """`natural_key` holds all that makes it this happening and no other. Times are epoch ms, 0 when not told."""

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


class Happenings:
    """Any order, any number of times: each is one row and one event, or none."""

    def __init__(self, database: Database, clock: Clock, committed: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._committed = committed

    async def record(self, happenings: Iterable[Happening]) -> None:
        """Durable when it returns. Raises errors.unavailable when it cannot be stored."""
        listed = list(happenings)
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

    def store(self, connection: Connection, happenings: list[Happening]) -> None:
        """In the transaction of `connection`."""
        now = self._clock.now()
        for happening in happenings:
            if self._is_new(connection, happening, now):
                sequence = _advance(connection, happening)
                if sequence:
                    outbox.append(connection, [to_event(happening, sequence, now)])

    async def first_entry(self, key: MeetingKey, since: int | None, until: int | None) -> int | None:
        """When somebody was first reported to have entered, within [since, until); None when nobody was."""
        columns = REPORT.c
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

    def _is_new(self, connection: Connection, happening: Happening, now: int) -> bool:
        known = sa.select(REPORT.c.natural_key).where(REPORT.c.natural_key == happening.digest)
        if connection.execute(known).first():
            return False
        row = {
            "natural_key": happening.digest,
            "kind": happening.kind.value,
            "provider": happening.key.provider,
            "meeting_id": happening.key.meeting_id,
            "sub_meeting_id": happening.key.sub_meeting_id,
            "event_time": happening.event_time,
            "receive_time": now,
        }
        connection.execute(sa.insert(REPORT), [row])
        return True


def _advance(connection: Connection, happening: Happening) -> int:
    """The number of the event among those of its meeting; 0 for a change that a later one has overtaken already."""
    entity_id = happening.key.entity_id
    query = sa.select(SEQUENCE).where(SEQUENCE.c.entity_id == entity_id).with_for_update()
    row = connection.execute(query).mappings().first()
    is_change = happening.kind in (Kind.CHANGED, Kind.CANCELLED)
    changed = happening.event_time if is_change else 0
    if row is None:
        fresh = {"entity_id": entity_id, "last_seq": 1, "change_time": changed}
        connection.execute(sa.insert(SEQUENCE), [fresh])
        return 1
    if is_change and changed < row["change_time"]:
        return 0
    values = {"last_seq": row["last_seq"] + 1, "change_time": max(changed, row["change_time"])}
    connection.execute(sa.update(SEQUENCE).where(SEQUENCE.c.entity_id == entity_id).values(values))
    return int(values["last_seq"])


def to_event(happening: Happening, sequence: int, now: int) -> Event:
    key = happening.key
    message = events.MeetingEvent(
        meeting=pb.MeetingKey(provider=key.provider, meeting_id=key.meeting_id, sub_meeting_id=key.sub_meeting_id),
        meeting_code=happening.meeting_code,
        event_time=to_timestamp(happening.event_time),
        account_id=happening.account,
        everybody_left=happening.everybody_left,
        start_time=to_timestamp(happening.start_time) if happening.start_time else None,
        end_time=to_timestamp(happening.end_time) if happening.end_time else None,
    )
    return Event(
        event_id=f"evt_{ULID()}".lower(),
        subject=f"yunhui.meetings.meeting.{happening.kind}",
        entity_id=key.entity_id,
        entity_seq=sequence,
        time=now,
        payload=MessageToJson(message, indent=None, ensure_ascii=False),
    )
