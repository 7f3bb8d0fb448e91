"""What providers report of meetings: each event is stored once however often it comes, and ours with it."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.engine import Connection
from sqlmodel import Session, func, select
from yunhui.meetings.v1 import events_pb2 as events
from yunhui.meetings.v1 import meeting_pb2 as pb

from services.meetings import ledger
from services.meetings.models import MeetingSequence, WebhookEventRow
from services.meetings.provider import MeetingKey
from services.meetings.webhook_event import Kind, WebhookEvent
from services.platform.clock import Clock, to_timestamp
from services.platform.data.database import ConflictError, Database
from services.platform.data.rows import open_session
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json

ATTEMPTS = 5


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
        if not reported:
            return
        now = self._clock.now()
        ledger.lock(connection)
        with open_session(connection) as session:
            new = [event for event in reported if _is_new(session, event, now)]
            for event in new:
                if sequence := _advance(session, event):
                    outbox.append(connection, [to_event(event, sequence, now)])
            ledger.note(session, new, now)

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
    return next_number(session, event.key, event.event_time if is_change else None)


def next_number(session: Session, key: MeetingKey, change_time: int | None = None) -> int:
    """Of an event of the meeting. `change_time`: of a change; 0 is answered when a later one was told already."""
    sequence = session.get(MeetingSequence, key.entity_id, with_for_update=True)
    if sequence is None:
        sequence = MeetingSequence(entity_id=key.entity_id, last_seq=0, change_time=0)
        session.add(sequence)
    if change_time is not None and change_time < sequence.change_time:
        return 0
    sequence.last_seq += 1
    sequence.change_time = max(change_time or 0, sequence.change_time)
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
