"""The outbox: events committed in the same transaction as what they tell of, and the relay that publishes them."""

import asyncio
import contextlib
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError
from sqlalchemy.engine import Connection
from sqlmodel import Field, Index, SQLModel

from services.platform.clock import Clock
from services.platform.data.database import Database, ForEach, Insert, query
from services.platform.messaging import bus
from services.platform.messaging.bus import Event
from services.platform.observing import metrics, traces
from services.platform.tasks import until_cancelled, wait_at_most

log = logging.getLogger(__name__)

WINDOW = 64
WAITING = metrics.gauge("yunhui_outbox_waiting", "events that are committed and not published yet")
OLDEST = metrics.gauge("yunhui_outbox_oldest_seconds", "age of the oldest of them; 0 when there is none")
ACK_SECONDS = 5
GATHER_SECONDS = 0.05
"""What is committed within so long after a turn is read, published and marked together: a third of the work of one by
one. What comes alone does not wait for others."""
MOMENT_SECONDS = 0.005
"""Who waits for the answer of what was just committed goes first."""
PAUSES = (0.1, 0.5, 1.0, 2.0)
LEASE_MS = 10_000
FINISH_SECONDS = 3.0
LOOK_SECONDS = 3.0
"""How often a relay that nobody wakes renews its lease, or looks whether the owner's has ended."""


class OutboxRow(SQLModel, table=True):
    """One event. Rows stay after publication: the stream can be rebuilt from them."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_unpublished", "seq", sqlite_where=sa.text("publish_time IS NULL")),
        Index("outbox_entity", "entity_id", "entity_seq"),  # what happened to one thing
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    event_id: str = Field(unique=True)
    subject: str
    entity_id: str
    entity_seq: int
    time: int = Field(sa_type=sa.BigInteger, description="epoch ms")
    payload: str = Field(sa_type=sa.Text, description="proto3 JSON")
    publish_time: int | None = Field(default=None, sa_type=sa.BigInteger, description="epoch ms, real time")
    traceparent: str | None = Field(default=None, description="of what brought it about; empty or NULL: not traced")


class OutboxOwner(SQLModel, table=True):
    """The one replica that publishes. One row; real time, since it is about processes and not about bookings."""

    __tablename__ = "outbox_owner"

    id: int = Field(default=1, primary_key=True)
    name: str = Field(description="empty when it has gone in good order")
    lease_end: int = Field(sa_type=sa.BigInteger, description="epoch ms")


Lease = tuple[str, int]
"""Whose, and until when, epoch ms by their clock."""
NOBODY: Lease = ("", 0)


TABLE = SQLModel.metadata.tables["outbox"]
OWNER = SQLModel.metadata.tables["outbox_owner"]
TABLES: list[type[SQLModel]] = [OutboxRow, OutboxOwner]
"""Those of every program that publishes events."""
_INSERT = Insert(TABLE)


def append(connection: Connection, events: Iterable[Event]) -> None:
    """Stores events in the transaction of `connection`."""
    here = traces.current()
    rows = [
        {name: getattr(event, name) for name in Event.__slots__} | {"traceparent": event.traceparent or here}
        for event in events
    ]
    _INSERT.execute(connection, rows)


@dataclass(frozen=True, slots=True)
class Status:
    """How far publication has come. Times are epoch ms: of the event, and of its publication in real time."""

    last_number: int
    waiting_count: int
    oldest_waiting_time: int | None
    last_publish_time: int | None
    owner: str


class Relay:
    """Publishes stored events to JetStream: at least once, in order for each entity, with stable ids.

    Of several replicas on one database one owns the outbox and publishes for all; when it is gone, another takes over
    within LEASE_MS. Two owners at a time, which a stalled process could bring about, would only publish the same events
    in the same order, and the stream drops repeats. Woken by `wake` after a commit; idle, it looks every LOOK_SECONDS.

    No clock of another is trusted: a lease ends when the row says so, or when we have seen it unchanged for as long as
    a lease lasts. So one that an owner whose clock was ahead has left behind holds up nothing for longer than that.
    """

    def __init__(
        self, database: Database, connection: Client, program: str, gather_seconds: float = GATHER_SECONDS
    ) -> None:
        """`gather_seconds`: longer where nobody waits for the events."""
        self._database = database
        self._bus = connection
        self._stream = connection.jetstream()
        self._word = f"{program}.outbox"
        self._gather_seconds = gather_seconds
        self._rested_at = 0.0  # by the loop's clock: from then on a turn is due as soon as there is something
        self._name = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._owns_until = 0.0  # by the loop's clock, which nobody sets; 0: we do not own it
        self._seen, self._seen_since = NOBODY, 0.0
        self._woken = asyncio.Event()
        self._woken.set()
        self._woken_too: list[Callable[[], None]] = []

    def wake(self) -> None:
        """Something was committed, here or at another replica."""
        self._woken.set()
        for each in self._woken_too:
            each()

    def wake_too(self, other: Callable[[], None]) -> None:
        """Whoever publishes something beside the events, where the outbox is owned."""
        self._woken_too.append(other)

    def owns(self) -> bool:
        """Whether this replica is the one that publishes, as far as it knows."""
        return asyncio.get_running_loop().time() < self._owns_until

    async def run(self) -> None:
        """Until cancelled; then another replica may take over at once."""
        failures = 0
        subscription = await self._bus.subscribe(self._word, cb=self._on_word)
        try:
            for _ in until_cancelled():
                woken = await self._wait()
                try:
                    await self._take_turn(woken)
                    failures = 0
                except Exception as error:
                    # whatever it is, the events are safe in the table and the only way on is to try again
                    log.warning("outbox: not published, trying again: %s", error or type(error).__name__)
                    await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                    failures += 1
                    self._woken.set()
        finally:
            await self._finish()
            with contextlib.suppress(Exception):  # the lease ends by itself
                await self._release()
                await subscription.unsubscribe()

    async def _finish(self) -> None:
        """What was committed last is published now: nobody knows when this program, or another, comes again."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FINISH_SECONDS):
                if self._bus.is_connected:
                    await self._take_turn(woken=True)

    async def _wait(self) -> bool:
        """True when there is news, not only time that has passed."""
        if not await wait_at_most(self._woken, LOOK_SECONDS):
            return False
        await asyncio.sleep(max(MOMENT_SECONDS, self._rested_at - asyncio.get_running_loop().time()))
        self._woken.clear()
        return True

    async def _take_turn(self, woken: bool) -> None:
        while await self._own():
            if not await self._publish_window():
                return
        if woken and self._bus.is_connected:
            await self._bus.publish(self._word)  # lost, it is made up for by the owner's next look

    async def _on_word(self, _: Msg) -> None:
        """Another replica has committed something, or the owner has gone."""
        if self._owns_until:
            self.wake()

    async def _own(self) -> bool:
        """Whether this replica owns the outbox; renews the lease when half of it is over."""
        now = asyncio.get_running_loop().time()
        if self._owns_until < now + LEASE_MS / 2000:
            abandoned = self._seen if now - self._seen_since >= LEASE_MS / 1000 else NOBODY
            found = await self._database.write(lambda c: claim(c, self._name, real_time(), abandoned))
            if found is None and not self._owns_until:
                log.info("outbox: %s publishes", self._name)
            self._owns_until = 0.0 if found else now + LEASE_MS / 1000
            if found and found != self._seen:
                self._seen, self._seen_since = found, now
        return bool(self._owns_until)

    async def _release(self) -> None:
        if self._owns_until:
            await self._database.write(lambda c: _let_go(c, self._name))

    async def _publish_window(self) -> bool:
        """Publishes the next few events; False when there are no more."""
        window = await self._database.read(_next_rows)
        more = len(window) == WINDOW
        if len(window) > 1 and not await self._publish_as_one([event for _, event in window]):
            window, more = one_per_entity(window), True
            await asyncio.gather(*(self._publish(event) for _, event in window))
        elif len(window) == 1:
            await self._publish(window[0][1])
        if window:
            # not waited for: what the power takes back is published again, as after a crash between the two
            await self._database.note(lambda c: mark_published(c, [seq for seq, _ in window]))
            self._rested_at = asyncio.get_running_loop().time() + self._gather_seconds
        return more

    async def _publish_as_one(self, events: list[Event]) -> bool:
        """All or none, in order, for the price of one acknowledgement (JetStream atomic batch).

        False when the stream refuses: it does so when it has one of them already, from before a lost answer.
        """
        batch = uuid.uuid4().hex
        for number, event in enumerate(events[:-1], 1):
            with _publishing(event):
                await self._bus.publish(event.subject, event.payload.encode(), headers=in_batch(event, batch, number))
        last = batch_headers(batch, len(events)) | {"Nats-Batch-Commit": "1"}
        try:
            await self._publish(events[-1], last)
        except APIError as error:
            log.info("outbox: a batch was refused, its events go one by one: %s", error.description)
            return False
        return True

    async def _publish(self, event: Event, more: dict[str, str] | None = None) -> None:
        with _publishing(event):
            headers = bus.headers(event) | (more or {})
            await self._stream.publish(event.subject, event.payload.encode(), timeout=ACK_SECONDS, headers=headers)


def _publishing(event: Event) -> contextlib.AbstractContextManager[None]:
    return traces.received(f"publish {event.subject}", event.traceparent or "", "producer")


def in_batch(event: Event, batch: str, number: int) -> dict[str, str]:
    return bus.headers(event) | batch_headers(batch, number)


def batch_headers(batch: str, number: int) -> dict[str, str]:
    return {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}


def one_per_entity(rows: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """The first event of each entity: what is in flight together has no order among itself."""
    first: dict[str, tuple[int, Event]] = {}
    for row in rows:
        first.setdefault(row[1].entity_id, row)
    return list(first.values())


_NEXT = (
    f"SELECT seq, {', '.join(Event.__slots__)} FROM outbox"  # noqa: S608 - made of constants
    f" WHERE publish_time IS NULL ORDER BY seq LIMIT {WINDOW}"
)
_MARK = ForEach("UPDATE outbox SET publish_time = :now WHERE seq IN ({0}) RETURNING seq", ":seq{0}", ", ", "seq")


def _next_rows(connection: Connection) -> list[tuple[int, Event]]:
    return [(seq, Event(*fields)) for seq, *fields in query(connection, _NEXT)]


def mark_published(connection: Connection, seqs: list[int]) -> None:
    _MARK.execute(connection, [(seq,) for seq in seqs], now=real_time())


def mark_unpublished(connection: Connection, after_event_id: str) -> int | None:
    """Events stored after one, all for "", will be published again; how many. None when there is no such event."""
    after: int | None = 0
    if after_event_id:
        after = connection.scalar(sa.select(TABLE.c.seq).where(TABLE.c.event_id == after_event_id))
        if after is None:
            return None
    connection.execute(sa.update(TABLE).where(TABLE.c.seq > after).values(publish_time=None))
    return connection.scalar(sa.select(sa.func.count()).where(TABLE.c.seq > after)) or 0


def claim(connection: Connection, name: str, now: int, abandoned: Lease = NOBODY) -> Lease | None:
    """None when `name` is the owner from now on, else the lease that stands against it.

    `abandoned` is one that nobody has renewed for as long as a lease lasts: it counts no more, whatever it says.
    """
    row = connection.execute(sa.select(OWNER).with_for_update()).one_or_none()
    if row is None:  # of two who come first, one fails at the key and comes again
        connection.execute(sa.insert(OWNER).values(id=1, name=name, lease_end=now + LEASE_MS))
        return None
    found = (str(row.name), int(row.lease_end))
    if found[0] not in ("", name) and found[1] > now and found != abandoned:
        return found
    connection.execute(sa.update(OWNER).values(name=name, lease_end=now + LEASE_MS))
    return None


def _let_go(connection: Connection, name: str) -> None:
    connection.execute(sa.update(OWNER).where(OWNER.c.name == name).values(name="", lease_end=0))


def read_status(connection: Connection) -> Status:
    c = TABLE.c
    waiting = c.publish_time.is_(None)
    number, oldest = connection.execute(sa.select(sa.func.count(), sa.func.min(c.time)).where(waiting)).one()
    newest = sa.select(c.publish_time).where(c.publish_time.is_not(None)).order_by(c.seq.desc()).limit(1)
    owner = connection.execute(sa.select(OWNER)).one_or_none()
    return Status(
        last_number=connection.scalar(sa.select(sa.func.max(c.seq))) or 0,
        waiting_count=number,
        oldest_waiting_time=oldest,
        last_publish_time=connection.scalar(newest),
        owner=owner.name if owner and owner.lease_end > real_time() else "",
    )


def figures(database: Database, clock: Clock) -> metrics.Read:
    """Sets the gauges from what is stored."""

    async def read() -> None:
        status = await database.read(read_status)
        oldest = status.oldest_waiting_time
        WAITING.set(to=status.waiting_count)
        OLDEST.set(to=0 if oldest is None else max(0, clock.now() - oldest) / 1000)

    return read


def real_time() -> int:
    """Epoch ms."""
    return time.time_ns() // 1_000_000
