"""scim2-tester against the door as it runs: a port, uvicorn, a thread of its own, both databases."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from services.directory.changes import Changes
from services.directory.scim import door
from services.installation.ports import free_port
from tests.directory.scim import token
from tests.servers import HOST, until


async def answers(address: str) -> bool:
    async with httpx2.AsyncClient() as client:
        try:
            return (await client.get(f"{address}/ServiceProviderConfig")).status_code == 200
        except httpx2.TransportError:
            return False


@pytest.fixture
async def address(changes: Changes) -> AsyncIterator[str]:
    listen = f"{HOST}:{free_port()}"
    serving = asyncio.create_task(door.serve(changes, listen, "externalId", ""))
    await until(lambda: answers(f"http://{listen}/v2"))
    yield f"http://{listen}/v2"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_nothing_is_found_wrong(changes: Changes, address: str) -> None:
    secret = await token(changes)

    def check() -> list[str]:
        headers = {"Authorization": f"Bearer {secret}"}
        with httpx2.Client(base_url=address, headers=headers, timeout=60) as client:
            results = check_server(SyncSCIMClient(client))
        assert len([each for each in results if each.status == Status.SUCCESS]) > 80
        kept = (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE, Status.SKIPPED)
        return [f"{each.title} {each.status.name}: {each.reason}" for each in results if each.status not in kept]

    assert await asyncio.to_thread(check) == []
