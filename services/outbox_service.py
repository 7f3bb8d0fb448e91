"""What administrators ask a program about its outbox over gRPC: how far it has come, and to publish again."""

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.outbox.v1 import outbox_service_pb2 as api
from yunhui.outbox.v1 import outbox_service_pb2_grpc as api_grpc

from services import rpc
from services.clock import to_timestamp
from services.outbox import Relay

SERVICE = "yunhui.outbox.v1.OutboxService"
ROLES = {f"/{SERVICE}/{method}": frozenset({"admin"}) for method in ("GetOutboxStatus", "ReplayOutbox")}


class OutboxService(api_grpc.OutboxServiceServicer):
    """The same in every program that publishes events."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def GetOutboxStatus(
        self, request: api.GetOutboxStatusRequest, context: rpc.Context
    ) -> api.GetOutboxStatusResponse:
        status = await self._relay.status()
        return api.GetOutboxStatusResponse(
            last_number=status.last_number,
            waiting_count=status.waiting_count,
            oldest_waiting_time=_moment(status.oldest_waiting_time),
            last_publish_time=_moment(status.last_publish_time),
            owner=status.owner,
        )

    async def ReplayOutbox(self, request: api.ReplayOutboxRequest, context: rpc.Context) -> api.ReplayOutboxResponse:
        number = await self._relay.replay(request.after_event_id)
        if number is None:
            raise rpc.not_found("event")
        return api.ReplayOutboxResponse(event_count=number)


def _moment(time: int | None) -> Timestamp | None:
    return None if time is None else to_timestamp(time)


def add(relay: Relay, server: grpc.aio.Server) -> None:
    api_grpc.add_OutboxServiceServicer_to_server(OutboxService(relay), server)
