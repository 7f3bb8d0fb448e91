"""A replica behind real gRPC, and callers of it. A caller's token is its role and its account."""

from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from yunhui.booking.v1.booking_service_pb2_grpc import BookingServiceStub
from yunhui.booking.v1.booking_service_pb2_grpc import add_BookingServiceServicer_to_server as add

from services.booking.api import NEEDED, SERVICE, BookingService
from services.booking.watchers import Watchers
from services.platform.serving import rpc
from services.platform.serving.identity import Principal, Verifier

if TYPE_CHECKING:
    from tests.booking.conftest import Booking  # which serves it


class NamedTokens(Verifier):
    """`role:account`."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        role, _, account_id = token.partition(":")
        return Principal(account_id, frozenset({role}))


async def serve(booking: "Booking", changes: Watchers) -> rpc.RpcServer:
    """Started; `changes` end when it stops."""
    servicer = BookingService(booking.transactions, booking.admission, None, changes, booking.grants)
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED, grants=booking.grants),
        {SERVICE: lambda bare: add(servicer, bare)},
        with_reflection=False,
        before_stop=changes.close,
    )
    await server.start()
    return server


class Caller:
    """Somebody signed in at one replica."""

    def __init__(self, channel: grpc.aio.Channel, role: str, account_id: str = "somebody") -> None:
        self.stub = BookingServiceStub(channel)
        self.metadata = (("authorization", f"Bearer {role}:{account_id}"),)

    async def ask(self, method: str, request: Message) -> Any:
        return await getattr(self.stub, method)(request, metadata=self.metadata)

    async def refused(self, method: str, request: Message) -> tuple[str, str]:
        """The code, and what it is about: the field, or the reason."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(method, request)
        return caught.value.code().name, subject_of(caught.value)


def subject_of(error: grpc.aio.AioRpcError) -> str:
    for detail in rpc_status.from_call(cast(grpc.Call, error)).details:
        bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        if detail.Unpack(bad):
            return str(bad.field_violations[0].field)
        if detail.Unpack(info):
            return str(info.reason)
    return ""
