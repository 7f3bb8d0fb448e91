"""What a change of a role costs that 10,000 members have: until every one's grant has reached whoever hears of them."""

import asyncio
import time

import nats
from nats.aio.msg import Msg
from yunhui.directory.v1 import role_service_pb2 as api

from bench.lag import Bus
from bench.organization import HOLDERS, ROLE
from services.cli.client import Connection, DirectoryStubs
from services.platform.messaging.grants_line import SUBJECT

PATIENCE_SECONDS = 120.0


def spread(address: str, token: str, bus: Bus) -> float:
    """Seconds from the answer until the last of them was heard, on a connection as programs have it."""
    return asyncio.run(_spread(address, token, bus))


async def _spread(address: str, token: str, bus: Bus) -> float:
    heard, last = set[str](), asyncio.Event()

    async def on_grant(msg: Msg) -> None:
        heard.add(msg.subject)
        if len(heard) == HOLDERS:
            last.set()

    connection = await nats.connect(bus.url, user=bus.user, password=bus.password)
    await connection.subscribe(SUBJECT, cb=on_grant)
    await connection.flush()
    await asyncio.to_thread(_change, address, token)
    answered = time.perf_counter()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await last.wait()
    seconds = time.perf_counter() - answered
    await connection.close()
    return seconds


def _change(address: str, token: str) -> None:
    with Connection(DirectoryStubs, address, token) as directory:
        request = api.UpdateRoleRequest(role_id=ROLE, version=1, permissions=["members.view", "rooms.edit"])
        directory.ask(directory.stub.roles.UpdateRole, request, PATIENCE_SECONDS)
