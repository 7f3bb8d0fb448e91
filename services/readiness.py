"""Whether a program would do its work if it were asked now: what grpc.health.v1 answers, looked at again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from faststream.nats import NatsBroker
from nats.aio.client import Client
from sqlalchemy import text

from services.database import Database
from services.metrics import READY

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
    while True:
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


def of_database(database: Database) -> Check:
    """The writer gets its transaction: a database that is locked, away or a read-only standby gives none."""
    question = "SELECT 1"
    if database.engine.dialect.name == "postgresql":
        question = "SELECT 1 / (NOT pg_is_in_recovery())::int"

    async def check() -> None:
        await database.write(lambda connection: connection.execute(text(question)).close())

    return check


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


def of_broker(broker: NatsBroker) -> Check:
    """Questions from the bus can reach us."""

    async def check() -> None:
        if not await broker.ping(PATIENCE_SECONDS / 2):
            raise ConnectionError("not connected")

    return check
