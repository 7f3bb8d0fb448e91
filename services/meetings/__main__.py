"""The program meetings: providers, gateway and webhooks on the host that all services share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.meetings import assembly, models, webhooks
from services.meetings.settings import MeetingsSettings
from services.meetings.subscriptions import create_broker
from services.meetings.webhook_events import WebhookEvents
from services.platform import readiness
from services.platform.host import Host, Service, run
from services.platform.messaging import request_reply
from services.platform.messaging.outbox import Relay


@asynccontextmanager
async def start(host: Host[MeetingsSettings]) -> AsyncIterator[Service]:
    settings = host.settings
    async with host.bus() as connection:
        relay = Relay(host.database, connection, host.name)
        webhook_events = WebhookEvents(host.database, host.clock, relay.wake)
        meetings = assembly.build(settings, host.database, host.clock, webhook_events, host.grants, relay.wake)
        broker = create_broker(settings, meetings.gateway, meetings.making)
        try:
            yield Service(
                servicers=meetings.servicers,
                tables=models.TABLES,
                connection=lambda: connection,
                wake=relay.wake,
                loops=[
                    request_reply.serve(broker),
                    relay.run(),
                    webhooks.serve(meetings.webhooks, settings.webhook_listen),
                    *meetings.loops(relay.owns),
                ],
                before_stop=meetings.watchers.close,
                checks={"questions": readiness.of_broker(broker)},
            )
        finally:
            await meetings.close()


if __name__ == "__main__":
    run("meetings", MeetingsSettings, start)
