"""What providers report of meetings: each event is stored once however often it comes, and ours with it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy.engine import Connection
from sqlmodel import Session, col, func, select
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
            new = _store_new(session, reported, now)
            outbox.append(connection, _number(session, new, now))
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


def _store_new(session: Session, reported: Sequence[WebhookEvent], now: int) -> list[WebhookEvent]:
    """Those that nobody reported before, each once, in their order."""
    events = {event.digest: event for event in reported}
    known = set(session.exec(select(WebhookEventRow.natural_key).where(col(WebhookEventRow.natural_key).in_(events))))
    new = {digest: event for digest, event in events.items() if digest not in known}
    session.add_all(
        WebhookEventRow(
            natural_key=digest,
            kind=event.kind.value,
            provider=event.key.provider,
            meeting_id=event.key.meeting_id,
            sub_meeting_id=event.key.sub_meeting_id,
            event_time=event.event_time,
            receive_time=now,
        )
        for digest, event in new.items()
    )
    session.flush()
    return [*new.values()]


def _number(session: Session, new: Iterable[WebhookEvent], now: int) -> list[Event]:
    """What others are told: nothing of a change that a later one has overtaken already."""
    sequences: dict[str, MeetingSequence] = {}
    told = []
    for event in new:
        name = event.key.entity_id
        sequence = sequences.get(name) or sequences.setdefault(name, _sequence(session, name))
        is_change = event.kind in (Kind.CHANGED, Kind.CANCELLED)
        if number := _advance(sequence, event.event_time if is_change else None):
            told.append(to_event(event, number, now))
    session.flush()
    return told


def next_number(session: Session, key: MeetingKey) -> int:
    """Of an event of the meeting that no provider reported."""
    number = _advance(_sequence(session, key.entity_id), None)
    session.flush()
    return number


def _sequence(session: Session, entity_id: str) -> MeetingSequence:
    """Nobody else has it until the transaction ends."""
    sequence = session.get(MeetingSequence, entity_id, with_for_update=True)
    if sequence is None:
        sequence = MeetingSequence(entity_id=entity_id, last_seq=0, change_time=0)
        session.add(sequence)
    return sequence


def _advance(sequence: MeetingSequence, change_time: int | None) -> int:
    """`change_time`: of a change; 0 is answered when a later one was told already."""
    if change_time is not None and change_time < sequence.change_time:
        return 0
    sequence.last_seq += 1
    sequence.change_time = max(change_time or 0, sequence.change_time)
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
