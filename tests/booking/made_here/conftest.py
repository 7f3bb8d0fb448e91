"""Booking beside the real gateway with the simulated provider, over a real NATS server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.platform.data.database import Database
from services.policy.decisions import Policy
from tests.booking.conftest import Booking, LocalPolicy, ManualClock
from tests.booking.gateway import World, world


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def there(tmp_path: Path, clock: ManualClock) -> AsyncIterator[World]:
    async with world(tmp_path, clock) as made:
        yield made


@pytest.fixture
async def booking(database: Database, policy: Policy, clock: ManualClock, there: World) -> AsyncIterator[Booking]:
    replica = Booking(database, LocalPolicy(policy), clock, there.client)
    yield replica
    await replica.stop()


@pytest.fixture
async def replicas(database_url: str, booking: Booking, policy: Policy, there: World) -> AsyncIterator[list[Booking]]:
    other = Booking(Database(database_url), LocalPolicy(policy), booking.clock, there.client)
    yield [booking, other]
    await other.stop()
    other.database.close()
