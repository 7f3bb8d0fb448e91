"""grpc.health.v1 tells whether the work would be done: with a bus and a database that come and go."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pysqlite3.dbapi2 as sqlite
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from yunhui.booking.v1 import booking_service_pb2_grpc as api_grpc

from services import bus, readiness, rpc
from services.booking.api import ROLES, SERVICE
from services.database import Database
from services.process import run_until_stopped
from services.settings import Settings
from tests.plumbing.test_rpc import NamedTokens, Servicer
from tests.servers import Bus, password, until

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


async def asked(server: rpc.Server, service: str) -> Any:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True)).status


async def test_it_is_as_ready_as_what_it_needs(nats: Bus, database: Database, tmp_path: Path) -> None:
    """Not before the bus is reached; not while the bus is stopped or stalled, or the database locked; ready after."""
    settings = Settings(nats_url=nats.url, nats_user="booking", nats_password=password("booking"))
    connection: Any = None
    server = rpc.Server(
        "127.0.0.1:0",
        rpc.Guard(NamedTokens(), ROLES),
        [SERVICE],
        lambda bare: api_grpc.add_BookingServiceServicer_to_server(Servicer(), bare),  # type: ignore[abstract] # on purpose
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
