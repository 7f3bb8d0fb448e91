"""Composition root of the policy: published versions read and compiled, served over gRPC and NATS until SIGTERM."""

import asyncio

import grpc
from nats.aio.client import Client
from pydantic import Field
from yunhui.booking.v1 import export_pb2 as export
from yunhui.policy.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server

from services import audit_service, bus, clock, errors, metrics, outbox, outbox_service, readiness, rpc, telemetry
from services.database import Database
from services.identity import create_verifier
from services.outbox import Relay
from services.policy import api, models
from services.policy.simulation import Fetch, Simulator
from services.policy.subscriptions import create_broker
from services.policy.versions import Versions
from services.process import migrate, run_until_stopped
from services.settings import ServerSettings, load

EXPORT_SUBJECT = "booking.requests"
EXPORT_SECONDS = 10.0


class PolicySettings(ServerSettings):
    database_url: str = Field(description="sqlite:///FILE or postgresql+psycopg://...")


def fetch_over(nats: Client) -> Fetch:
    """Stored requests, page by page, from booking. Raises errors.unavailable."""

    async def fetch(asked: export.ExportRequestsRequest) -> export.ExportRequestsResponse:
        try:
            reply = await nats.request(EXPORT_SUBJECT, asked.SerializeToString(), timeout=EXPORT_SECONDS)
        except Exception as error:
            raise errors.unavailable("booking") from error
        return export.ExportRequestsResponse.FromString(reply.data)

    return fetch


async def main(settings: PolicySettings) -> None:
    time = clock.create(settings.clock_file)
    database = Database(settings.database_url)
    migrate(database, "services.policy")
    telemetry.start(settings, "policy")
    connection = await bus.connect(settings, "policy")
    relay = Relay(database, connection, "policy")
    versions = Versions(database, time, relay.wake)
    await versions.start()
    service = api.PolicyService(versions, time, Simulator(fetch_over(connection)))
    verifier = create_verifier(settings)

    def add(server: grpc.aio.Server) -> None:
        add_PolicyServiceServicer_to_server(service, server)
        outbox_service.add(database, relay.wake, server)
        audit_service.add(database, server)

    server = rpc.Server(
        settings.listen,
        rpc.Guard(verifier, api.ROLES | outbox_service.ROLES | audit_service.ROLES, rpc.Rate(settings.calls_a_minute)),
        [api.SERVICE, outbox_service.SERVICE, audit_service.SERVICE],
        add,
        with_reflection=settings.environment == "development",
        credentials=rpc.server_credentials(settings),
    )
    broker = create_broker(settings, versions)
    metrics.read_with(outbox.figures(database, time))
    checks = {
        "bus": readiness.of_bus(lambda: connection),
        "questions": readiness.of_broker(broker),
        "database": readiness.of_database(database, models.TABLES),
    }
    await run_until_stopped(server, bus.serve(broker), relay.run(), versions.follow(), checks=checks)
    await bus.close(connection)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(load(PolicySettings)))
