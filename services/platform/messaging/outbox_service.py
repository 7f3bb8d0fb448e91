"""What administrators ask a program about its outbox over gRPC: how far it has come, and to publish again."""

from collections.abc import Callable

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.outbox.v1 import outbox_service_pb2 as api
from yunhui.outbox.v1 import outbox_service_pb2_grpc as api_grpc

from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors, permissions, rpc
from services.platform.text.messages import message

SERVICE = "yunhui.outbox.v1.OutboxService"
NEEDED = permissions.of(SERVICE)


class OutboxService(api_grpc.OutboxServiceServicer):
    """The same in every program that publishes events."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake

    async def GetOutboxStatus(
        self, request: api.GetOutboxStatusRequest, context: rpc.Context
    ) -> api.GetOutboxStatusResponse:
        status = await self._database.read(outbox.read_status)
        return api.GetOutboxStatusResponse(
            last_number=status.last_number,
            waiting_count=status.waiting_count,
            oldest_waiting_time=_moment(status.oldest_waiting_time),
            last_publish_time=_moment(status.last_publish_time),
            owner=status.owner,
        )

    async def ReplayOutbox(self, request: api.ReplayOutboxRequest, context: rpc.Context) -> api.ReplayOutboxResponse:
        by = audit.caller()

        def describe(number: int | None) -> audit.AuditEntry | None:
            about = {"after": request.after_event_id, "events": number}
            return None if number is None else audit.AuditEntry(by, "outbox", "", detail=about)

        work = audit.audited(lambda c: outbox.mark_unpublished(c, request.after_event_id), describe)
        number = await self._database.write(work)
        if number is None:
            raise errors.not_found("event", message("there is no such event"))
        self._wake()
        return api.ReplayOutboxResponse(event_count=number)


def _moment(time: int | None) -> Timestamp | None:
    return None if time is None else to_timestamp(time)


def add(database: Database, wake: Callable[[], None], server: grpc.aio.Server) -> None:
    """`wake` tells the relay that there is something to publish."""
    api_grpc.add_OutboxServiceServicer_to_server(OutboxService(database, wake), server)
