"""The program meetings: provider, gateway and webhooks on the host that all services share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from yunhui.meetings.v1.meeting_service_pb2_grpc import add_MeetingServiceServicer_to_server
from yunhui.meetings.v1.simulator_service_pb2_grpc import add_SimulatorServiceServicer_to_server

from services.meetings import api, models, tencent, webhooks
from services.meetings.accounts import Accounts
from services.meetings.callbacks import Checker
from services.meetings.gateway import Gateway
from services.meetings.happenings import Happenings
from services.meetings.settings import MeetingsSettings
from services.meetings.signature import Credentials
from services.meetings.simulated import Simulated
from services.meetings.subscriptions import create_broker
from services.meetings.tencent import Client, Tencent
from services.platform import readiness
from services.platform.clock import Clock
from services.platform.host import Host, Service, run
from services.platform.messaging import bus
from services.platform.messaging.outbox import Relay


def create_tencent(settings: MeetingsSettings, time: Clock) -> tuple[Tencent, Client]:
    return tencent.create(
        settings.tencent_address,
        Credentials(
            settings.tencent_app_id,
            settings.tencent_sdk_id,
            settings.tencent_secret_id,
            settings.tencent_secret_key,
        ),
        Accounts(settings.tencent_userid),
        settings.tencent_operator,
        time,
        calls_a_minute=settings.tencent_calls_a_minute,
    )


async def serve_webhooks(settings: MeetingsSettings, happenings: Happenings) -> None:
    """Real time, not the development clock, is what senders sign."""
    token = settings.webhook_token.get_secret_value()
    if not token:
        await asyncio.Event().wait()
    key, accounts = settings.webhook_aes_key.get_secret_value(), Accounts(settings.tencent_userid)
    receiver = webhooks.Receiver(Checker(token), key, accounts, happenings)
    await webhooks.serve(receiver.app(), settings.webhook_listen)


@asynccontextmanager
async def start(host: Host[MeetingsSettings]) -> AsyncIterator[Service]:
    settings = host.settings
    async with host.bus() as connection:
        relay = Relay(host.database, connection, host.name)
        happenings = Happenings(host.database, host.clock, relay.wake)
        simulated, client = None, None
        if settings.meetings_provider == "simulated":
            provider: Simulated | Tencent = (simulated := Simulated(host.database, host.clock, happenings))
        else:
            provider, client = create_tencent(settings, host.clock)
        gateway = Gateway(provider, happenings)
        servicers = {api.SERVICE: partial(add_MeetingServiceServicer_to_server, api.MeetingService(gateway))}
        if simulated:
            simulator = api.SimulatorService(simulated)
            servicers[api.SIMULATOR] = partial(add_SimulatorServiceServicer_to_server, simulator)
        broker = create_broker(settings, gateway)
        yield Service(
            servicers=servicers,
            tables=models.TABLES,
            connection=lambda: connection,
            wake=relay.wake,
            loops=[bus.serve(broker), relay.run(), serve_webhooks(settings, happenings)],
            checks={"questions": readiness.of_broker(broker)},
        )
        if client:
            await client.close()


if __name__ == "__main__":
    run("meetings", MeetingsSettings, start)
