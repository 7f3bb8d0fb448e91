"""The program booking: its settings, and its parts on the host that all services share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

from pydantic import Field
from yunhui.booking.v1.booking_service_pb2_grpc import add_BookingServiceServicer_to_server

from services.booking import api, directory_events, models
from services.booking.assembly import build
from services.booking.decisions import PolicyClient
from services.booking.meetings_client import MeetingsClient
from services.booking.subscriptions import create_broker, create_consumer
from services.booking.watchers import Watchers
from services.platform import readiness
from services.platform.host import Host, HostSettings, Service, run
from services.platform.messaging import request_reply
from services.platform.messaging.consumer import receive_forever
from services.platform.messaging.outbox import Relay


class BookingSettings(HostSettings):
    """Settings of booking."""

    meetings: Literal["required", "off"] = Field(
        "required", description="off: no gateway; numbers are not looked up, and who entered is reported by a program"
    )


@asynccontextmanager
async def start(host: Host[BookingSettings]) -> AsyncIterator[Service]:
    watchers = Watchers()
    async with host.bus(watchers.interrupt) as connection:
        watchers.attach(connection)
        policy = PolicyClient(connection)
        gateway = MeetingsClient(connection) if host.settings.meetings == "required" else None
        relay = Relay(host.database, connection, host.name)
        booking = build(host.database, policy, host.clock, gateway, watchers, relay.wake, host.grants)
        broker = create_broker(host.settings, host.database, host.clock)
        loops = [
            *(relay.run(), booking.deadlines.run(), booking.admission.run(), request_reply.serve(broker)),
            receive_forever(lambda: directory_events.create_consumer(host.settings, host.database)),
        ]
        if meeting_events := booking.meeting_events:
            loops.append(receive_forever(lambda: create_consumer(host.settings, meeting_events)))
        if settlement := booking.settlement:
            loops.append(settlement.run())
        yield Service(
            servicers={api.SERVICE: partial(add_BookingServiceServicer_to_server, booking.service)},
            tables=models.TABLES,
            connection=lambda: connection,
            wake=relay.wake,
            loops=loops,
            checks={
                "questions": readiness.of_broker(broker),
                "policy": policy.check,
                **({"meetings": gateway.check} if gateway else {}),
            },
            figures=[booking.deadlines.figures, *([settlement.figures] if settlement else [])],
            before_stop=watchers.close,
        )


if __name__ == "__main__":
    run("booking", BookingSettings, start)
