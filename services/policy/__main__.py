"""The program policy: published versions, read and compiled, on the host that all services share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from yunhui.policy.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server

from services.platform import readiness
from services.platform.host import Host, HostSettings, Service, run
from services.platform.messaging.outbox import Relay
from services.policy import api, models
from services.policy.booking_client import fetch_over
from services.policy.simulation import Simulator
from services.policy.subscriptions import create_replies
from services.policy.versions import Versions


@asynccontextmanager
async def start(host: Host[HostSettings]) -> AsyncIterator[Service]:
    async with host.bus() as connection:
        relay = Relay(host.database, connection, host.name)
        versions = Versions(host.database, host.clock, relay.wake)
        await versions.start()
        service = api.PolicyService(versions, host.clock, Simulator(fetch_over(connection)))
        replies = create_replies(host.settings, versions)
        yield Service(
            servicers={api.SERVICE: partial(add_PolicyServiceServicer_to_server, service)},
            tables=models.TABLES,
            connection=lambda: connection,
            wake=relay.wake,
            loops=[replies.serve(), relay.run(), versions.follow()],
            checks={"questions": readiness.of_bus(lambda: replies.connection)},
        )


if __name__ == "__main__":
    run("policy", HostSettings, start)
