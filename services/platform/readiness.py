"""Whether a program would do its work if it were asked now: what grpc.health.v1 answers, looked at again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from nats.aio.client import Client

from services.platform.observing.metrics import READY
from services.platform.tasks import until_cancelled

if TYPE_CHECKING:  # the portal has no database: 20 MB that it does without
    from faststream.nats import NatsBroker
    from sqlalchemy.engine import Connection, Dialect
    from sqlmodel import SQLModel

    from services.platform.data.database import Database

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
PING_SECONDS = 3600
READY_PAUSE_SECONDS = 5.0
UNREADY_PAUSE_SECONDS = 0.2

Check = Callable[[], Awaitable[None]]
"""Raises when something that the program cannot do without is not there."""


async def watch(checks: Mapping[str, Check], tell: Callable[[bool], Awaitable[None]]) -> None:
    """Until cancelled. `tell` is called with every change, and first when the checks have been made once."""
    failing: set[str] | None = None
    for _ in until_cancelled():
        now = await failing_of(checks)
        if now != failing:
            _report(now, failing or set())
            await tell(not now)
        failing = now
        await asyncio.sleep(UNREADY_PAUSE_SECONDS if failing else READY_PAUSE_SECONDS)


async def failing_of(checks: Mapping[str, Check]) -> set[str]:
    """Names of the checks that fail, or give no answer within PATIENCE_SECONDS."""
    held = await asyncio.gather(*(_holds(check) for check in checks.values()))
    for name, good in zip(checks, held, strict=True):
        READY.set(name, to=good)
    return {name for name, good in zip(checks, held, strict=True) if not good}


async def _holds(check: Check) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await check()
    except Exception:
        return False
    return True


def _report(failing: set[str], before: set[str]) -> None:
    for name in sorted(failing - before):
        log.warning("not ready: %s", name)
    for name in sorted(before - failing):
        log.info("ready again: %s", name)


def of_database(database: "Database", tables: "Iterable[type[SQLModel]]" = ()) -> Check:
    """The writer gets its transaction, which a database that is locked, away or a read-only standby does not give; and
    `tables`, all that the program needs, are there and can be read at their ends, through each of their indexes.

    SQLite is looked at in some other place each time as well: what is damaged in the middle is found, though later.
    To look at all of it would take minutes where it has grown for years.
    """
    from services.platform.data.database import query

    dialect = database.engine.dialect
    on_sqlite = dialect.name == "sqlite"
    question = "SELECT 1" if on_sqlite else "SELECT 1 / (NOT pg_is_in_recovery())::int"
    samples = [sample for model in tables for sample in samples_of(model, dialect)]

    def read(connection: "Connection") -> None:
        indexes = {name for (name,) in query(connection, INDEXES)} if on_sqlite else set()
        for sample in samples:
            if sample.by_index is None or sample.by_index in indexes:  # the next release may have taken it away
                query(connection, sample.question)

    async def check() -> None:
        await database.write(lambda connection: query(connection, question))
        await database.read_fresh(read)

    return check


INDEXES = "SELECT name FROM sqlite_master WHERE type = 'index'"


class TableSample(NamedTuple):
    """A question of one row; by an index of that name, where there is one."""

    question: str
    by_index: str | None = None


def samples_of(model: "type[SQLModel]", dialect: "Dialect") -> Iterator[TableSample]:
    """PostgreSQL chooses the way itself; it is asked for the table only."""
    import sqlalchemy as sa
    from sqlmodel import SQLModel

    table = SQLModel.metadata.tables[str(model.__tablename__)]
    by_key = sa.select(table).order_by(*(column.desc() for column in table.primary_key))
    yield TableSample(f"{by_key.compile(dialect=dialect)} LIMIT 1")
    if dialect.name != "sqlite":
        return
    rows = f"SELECT * FROM {table}"  # noqa: S608 - names of ours
    yield TableSample(f"{rows} ORDER BY rowid LIMIT 1")
    place = f"abs(random() % (SELECT max(rowid) + 1 FROM {table}))"  # noqa: S608 - names of ours
    yield TableSample(f"{rows} WHERE rowid >= {place} ORDER BY rowid LIMIT 1")
    for index in table.indexes:
        condition = index.dialect_options["sqlite"]["where"]
        where = "" if condition is None else f" WHERE {condition}"
        order = ", ".join(column.name for column in index.columns)
        # left to itself, SQLite would read and sort a good part of the table for the small index of a condition
        yield TableSample(f"{rows} INDEXED BY {index.name}{where} ORDER BY {order} LIMIT 1", str(index.name))


def of_bus(connection: Callable[[], Client | None]) -> Check:
    """A round trip: of a server that is stopped or cut off, a connection knows only minutes later.

    An unanswered ping is waited for again and never cancelled: nats-py drops the connection when a pong comes too late.
    """
    ping: asyncio.Task[None] | None = None
    sent_over: tuple[Client, int] | None = None

    async def check() -> None:
        nonlocal ping, sent_over
        client = connection()
        if client is None or not client.is_connected:
            raise ConnectionError("not connected")
        now = (client, client.stats["reconnects"])
        if ping is None or ping.done() or now != sent_over:
            ping, sent_over = asyncio.create_task(client.flush(timeout=PING_SECONDS)), now
        await asyncio.wait([ping], timeout=PATIENCE_SECONDS / 2)
        if not ping.done():
            raise TimeoutError
        ping.result()

    return check


def of_broker(broker: "NatsBroker") -> Check:
    """Questions from the bus can reach us."""

    async def check() -> None:
        if not await broker.ping(PATIENCE_SECONDS / 2):
            raise ConnectionError("not connected")

    return check
