"""The consumer on a real bus, as the directory publishes and with the rights that booking has."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from yunhui.directory.v1 import events_pb2, member_pb2

from services.booking import directory_events, models
from services.platform.data.database import Database
from services.platform.messaging import bus
from services.platform.messaging.proto_json import to_json
from services.platform.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Bus]:
    server = Bus(tmp_path / "bus")
    await server.start()
    yield server
    await server.stop()


def settings(server: Bus, user: str) -> Settings:
    return Settings(environment="development", nats_url=server.url, nats_user=user, nats_password=password(user))


async def members(database: Database) -> list[sa.Row[Any]]:
    return await database.read(lambda c: [*c.execute(sa.select(models.DIRECTORY_MEMBER))])


async def test_what_the_directory_publishes_is_stored(server: Bus, database: Database) -> None:
    await server.set_up()
    told = events_pb2.MemberEvent(
        member=member_pb2.Member(account_id="li", version=1, status=member_pb2.MEMBER_STATUS_DISABLED)
    )
    client = await bus.connect(settings(server, "directory"), "directory")
    await client.jetstream().publish("yunhui.directory.member.disabled", to_json(told).encode())
    await client.close()
    running = asyncio.create_task(directory_events.create_consumer(settings(server, "booking"), database).run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (rows := await members(database)):  # noqa: ASYNC110 - a row can only be looked for
            await asyncio.sleep(0.05)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert [(row.account_id, row.status) for row in rows] == [("li", member_pb2.MEMBER_STATUS_DISABLED)]
