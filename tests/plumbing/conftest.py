"""Fixtures of the tests of what all programs stand on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from tests.servers import Bus


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Bus]:
    """A bus without streams."""
    made = Bus(tmp_path / "nats")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def bus(server: Bus) -> Bus:
    await server.set_up()
    return server


@asynccontextmanager
async def connected(bus: Bus, user: str) -> AsyncIterator[Client]:
    client = await bus.connect(user)
    yield client
    await client.close()


@pytest.fixture
async def directory(bus: Bus) -> AsyncIterator[Client]:
    async with connected(bus, "directory") as client:
        yield client
