"""The portal's connections to the services: many open pages leave room for those who ask."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import booking_service_pb2_grpc as api_grpc

from services.booking.api import NEEDED, SERVICE
from services.platform.serving import rpc
from services.platform.serving.identity import Principal, Verifier
from services.portal.client import open_channel
from tests.servers import partly

PATIENCE_SECONDS = 60.0


class NamedTokens(Verifier):
    """The token is the account of a booker."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        return Principal(token, frozenset({"booker"}))


class Servicer(api_grpc.BookingServiceServicer):
    async def ListRooms(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        return api.ListRoomsResponse()

    async def WatchReservations(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield api.WatchReservationsResponse()
        await asyncio.Event().wait()


async def test_more_open_pages_than_a_connection_carries_leave_room_for_calls() -> None:
    """Each page that shows reservations holds a stream of its person, and all of them share the portal's channel."""
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED),
        {SERVICE: partly(api_grpc.add_BookingServiceServicer_to_server, Servicer)},
        with_reflection=False,
    )
    await server.start()
    async with open_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = api_grpc.BookingServiceStub(channel)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for number in range(2 * rpc.STREAMS_OF_CONNECTION + 10):
                page = stub.WatchReservations(api.WatchReservationsRequest(), metadata=bearer(f"person-{number}"))
                assert await page.read() is not grpc.aio.EOF
            answer = await stub.ListRooms(api.ListRoomsRequest(), metadata=bearer("somebody"))
        assert answer == api.ListRoomsResponse()
    await server.stop()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
