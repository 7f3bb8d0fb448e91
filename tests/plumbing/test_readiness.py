"""grpc.health.v1 tells whether the work would be done: with a bus and a database that come and go."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pysqlite3.dbapi2 as sqlite
import pytest
import sqlalchemy as sa
from grpc_health.v1 import health_pb2, health_pb2_grpc
from yunhui.booking.v1 import booking_service_pb2_grpc as api_grpc

from services.booking import models
from services.booking.api import NEEDED, SERVICE
from services.platform import readiness
from services.platform.data.database import Database
from services.platform.messaging import bus
from services.platform.process import run_until_stopped
from services.platform.serving import errors, rpc
from services.platform.settings import Settings
from tests import templates
from tests.plumbing.test_rpc import NamedTokens, Servicer
from tests.servers import Bus, partly, password, until

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Bus]:
    made = Bus(tmp_path / "nats")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/ready.db")
    yield made
    made.close()


@pytest.fixture(params=templates.DATABASES)
def booking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """With all that the program makes, and an account."""
    on_sqlite = request.param == "sqlite"
    made = Database(f"sqlite:///{tmp_path}/booking.db" if on_sqlite else request.getfixturevalue("postgres"))
    made.migrate("services.booking")
    yield made
    made.close()


async def test_a_table_that_is_gone_is_missed_until_it_is_back(booking: Database) -> None:
    """Each that the program names; the database answers all the while."""
    checks = {"database": readiness.of_database(booking, models.TABLES)}
    assert await readiness.failing_of(checks) == set()
    for table in ("reservation", "outbox", "audit"):
        await rename(booking, table, "away")
        assert await readiness.failing_of(checks) == {"database"}
        await rename(booking, "away", table)
        assert await readiness.failing_of(checks) == set()


async def rename(database: Database, before: str, after: str) -> None:
    await database.write(lambda c: c.execute(sa.text(f"ALTER TABLE {before} RENAME TO {after}")))


INDEXES = ["reservation_start", "reservation_holding", "reservation_meeting"]
"""Of all rows, and of those that a condition holds for."""


@pytest.mark.parametrize("name", ["reservation", "account", "sqlite_autoindex_account_1", *INDEXES])
async def test_a_damaged_table_or_index_is_noticed_and_its_repair_too(name: str, tmp_path: Path) -> None:
    """Though the connections that the program keeps remember it as it was; afterwards they work with what is there."""
    database = Database(f"sqlite:///{tmp_path}/booking.db")
    database.migrate("services.booking")
    checks = {"database": readiness.of_database(database, models.TABLES)}
    everything = sa.select(models.ACCOUNT.c.account_id).order_by(models.ACCOUNT.c.account_id)
    await database.write(lambda c: c.execute(sa.insert(models.ACCOUNT).values(ACCOUNT)))
    await database.read(lambda c: c.execute(everything).all())
    with damaged(tmp_path / "booking.db", name):
        assert await readiness.failing_of(checks) == {"database"}
        with contextlib.suppress(errors.RpcError):
            await database.read(lambda c: c.execute(everything).all())
    assert await readiness.failing_of(checks) == set()
    assert await database.read(lambda c: c.scalar(everything)) == "ann"
    database.close()


async def test_an_index_that_the_next_release_takes_away_is_not_missed(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/booking.db")
    database.migrate("services.booking")
    await database.write(lambda c: c.execute(sa.text("DROP INDEX reservation_holding")))
    assert await readiness.failing_of({"database": readiness.of_database(database, models.TABLES)}) == set()
    database.close()


ACCOUNT = {"account_id": "ann", "version": 1, "event_seq": 0, "roles": ""} | dict.fromkeys(
    ("display_name", "email", "locale", "department"), ""
)


@contextmanager
def damaged(file: Path, name: str) -> Iterator[None]:
    """The first page of a table or an index is overwritten, and later as it was."""
    connection = sqlite.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    [page] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    [size] = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with file.open("r+b") as content:
        content.seek((page - 1) * size)
        before = content.read(size)
        content.seek((page - 1) * size)
        content.write(b"\xff" * size)
        content.flush()
        yield
        content.seek((page - 1) * size)
        content.write(before)


async def asked(server: rpc.RpcServer, service: str) -> Any:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True)).status


async def test_it_is_as_ready_as_what_it_needs(nats: Bus, database: Database, tmp_path: Path) -> None:
    """Not before the bus is reached; not while the bus is stopped or stalled, or the database locked; ready after."""
    settings = Settings(nats_url=nats.url, nats_user="booking", nats_password=password("booking"))
    connection: Any = None
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED),
        {SERVICE: partly(api_grpc.add_BookingServiceServicer_to_server, Servicer)},
        with_reflection=False,
    )
    checks = {"bus": readiness.of_bus(lambda: connection), "database": readiness.of_database(database)}
    running = asyncio.create_task(run_until_stopped(server, checks=checks))

    async def says(status: Any) -> bool:
        return {await asked(server, ""), await asked(server, SERVICE)} == {status}

    try:
        await until(lambda: says(NOT_SERVING))
        assert await asked(server, rpc.LIVE) == SERVING
        connection = await bus.connect(settings, "ready")
        await until(lambda: says(SERVING))
        async with nats.paused():
            await until(lambda: says(NOT_SERVING))
        await until(lambda: says(SERVING))
        await nats.stop()
        await until(lambda: says(NOT_SERVING))
        assert await asked(server, rpc.LIVE) == SERVING
        await nats.start()
        await until(lambda: says(SERVING))
        other = sqlite.connect(tmp_path / "ready.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await until(lambda: says(NOT_SERVING))
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: says(SERVING))
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        await connection.close()
