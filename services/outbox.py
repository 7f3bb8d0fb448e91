"""The outbox: events committed in the same transaction as what they tell of, and the relay that publishes them."""

import asyncio
import logging
import time
import uuid
from collections.abc import Iterable

import sqlalchemy as sa
from nats.aio.client import Client
from nats.js.errors import APIError
from sqlalchemy.engine import Connection
from sqlmodel import Field, Index, SQLModel

from services import bus
from services.bus import Event
from services.database import Database

log = logging.getLogger(__name__)

WINDOW = 64
ACK_SECONDS = 5
GATHER_SECONDS = 0.02
"""What is committed within this time is read, published and marked together: a third of the work of one by one."""
PAUSES = (0.1, 0.5, 1.0, 2.0)


class OutboxRow(SQLModel, table=True):
    """One event. Rows stay after publication: the stream can be rebuilt from them."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "outbox_unpublished",
            "seq",
            sqlite_where=sa.text("publish_time IS NULL"),
            postgresql_where=sa.text("publish_time IS NULL"),
        ),
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    event_id: str = Field(unique=True)
    subject: str
    entity_id: str
    entity_seq: int
    time: int = Field(sa_type=sa.BigInteger, description="epoch ms")
    payload: str = Field(sa_type=sa.Text, description="proto3 JSON")
    publish_time: int | None = Field(default=None, sa_type=sa.BigInteger, description="epoch ms, real time")


TABLE = SQLModel.metadata.tables["outbox"]
_INSERT = sa.insert(TABLE)
EVENT_COLUMNS = [TABLE.c[name] for name in ("event_id", "subject", "entity_id", "entity_seq", "time", "payload")]


def append(connection: Connection, events: Iterable[Event]) -> None:
    """Stores events in the transaction of `connection`."""
    rows = [{name: getattr(event, name) for name in Event.__slots__} for event in events]
    if rows:
        connection.execute(_INSERT, rows)


class Relay:
    """Publishes stored events to JetStream: at least once, in order for each entity, with stable ids.

    Woken by `wake` after a commit; looks through the table once at start. An idle relay does nothing.
    """

    def __init__(self, database: Database, connection: Client) -> None:
        self._database = database
        self._bus = connection
        self._stream = connection.jetstream()
        self._woken = asyncio.Event()
        self._woken.set()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        failures = 0
        while True:
            await self._woken.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._woken.clear()
            try:
                while await self._publish_window():
                    failures = 0
            except Exception as error:
                # whatever it is, the events are safe in the table and the only way on is to try again
                log.warning("outbox: not published, trying again: %s", error or type(error).__name__)
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
                self._woken.set()

    async def _publish_window(self) -> bool:
        """Publishes the next few events; False when there were none."""
        window = await self._database.read(_next_rows)
        if len(window) > 1 and not await self._publish_as_one([event for _, event in window]):
            window = one_per_entity(window)
            await asyncio.gather(*(self._publish(event) for _, event in window))
        elif len(window) == 1:
            await self._publish(window[0][1])
        if window:
            await self._database.write(lambda c: _mark_published(c, [seq for seq, _ in window]))
        return bool(window)

    async def _publish_as_one(self, events: list[Event]) -> bool:
        """All or none, in order, for the price of one acknowledgement (JetStream atomic batch).

        False when the stream refuses: it does so when it has one of them already, from before a lost answer.
        """
        batch = uuid.uuid4().hex
        for number, event in enumerate(events[:-1], 1):
            await self._bus.publish(event.subject, event.payload.encode(), headers=in_batch(event, batch, number))
        last = in_batch(events[-1], batch, len(events)) | {"Nats-Batch-Commit": "1"}
        try:
            await self._publish(events[-1], last)
        except APIError as error:
            log.info("outbox: a batch was refused, its events go one by one: %s", error.description)
            return False
        return True

    async def _publish(self, event: Event, headers: dict[str, str] | None = None) -> None:
        headers = headers or bus.headers(event)
        await self._stream.publish(event.subject, event.payload.encode(), timeout=ACK_SECONDS, headers=headers)


def in_batch(event: Event, batch: str, number: int) -> dict[str, str]:
    return bus.headers(event) | {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}


def one_per_entity(rows: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """The first event of each entity: what is in flight together has no order among itself."""
    first: dict[str, tuple[int, Event]] = {}
    for row in rows:
        first.setdefault(row[1].entity_id, row)
    return list(first.values())


def _next_rows(connection: Connection) -> list[tuple[int, Event]]:
    query = (
        sa.select(TABLE.c.seq, *EVENT_COLUMNS).where(TABLE.c.publish_time.is_(None)).order_by(TABLE.c.seq).limit(WINDOW)
    )
    return [(seq, Event(*fields)) for seq, *fields in connection.execute(query)]


def _mark_published(connection: Connection, seqs: list[int]) -> None:
    now = time.time_ns() // 1_000_000
    connection.execute(sa.update(TABLE).where(TABLE.c.seq.in_(seqs)).values(publish_time=now))
