"""Composition root of booking: settings in, parts wired, served until SIGTERM."""

import asyncio
from typing import Literal

import grpc
from pydantic import Field
from yunhui.booking.v1.booking_service_pb2_grpc import add_BookingServiceServicer_to_server

from services import audit_service, bus, clock, metrics, outbox, outbox_service, readiness, rpc, telemetry
from services.booking import api, models
from services.booking.deadlines import Deadlines
from services.booking.inquiries import Inquiries, Reports
from services.booking.intake import Intake
from services.booking.lifecycle import Lifecycle
from services.booking.lookups import Lookups
from services.booking.meetings_client import MeetingsClient
from services.booking.policy_client import PolicyClient
from services.booking.series import Series
from services.booking.subscriptions import create_broker, create_consumer
from services.booking.updates import Updates
from services.booking.watchers import Watchers
from services.consumer import receive_forever
from services.database import Database
from services.identity import create_verifier
from services.outbox import Relay
from services.process import migrate, run_until_stopped
from services.settings import ServerSettings, load


class BookingSettings(ServerSettings):
    database_url: str = Field(description="sqlite:///FILE or postgresql+psycopg://...")
    meetings: Literal["required", "off"] = Field(
        "required", description="off: no gateway; numbers are not looked up, and who entered is reported by a program"
    )


async def main(settings: BookingSettings) -> None:
    time = clock.create(settings.clock_file)
    database = Database(settings.database_url)
    migrate(database, "services.booking")
    telemetry.start(settings, "booking")
    watchers = Watchers()
    connection = await bus.connect(settings, "booking", watchers.interrupt)
    watchers.attach(connection)
    policy = PolicyClient(connection)
    relay = Relay(database, connection, "booking")

    def committed() -> None:
        relay.wake()
        deadlines.wake()

    lifecycle = Lifecycle(database, policy, time, lambda: deadlines.catch_up(), committed)
    gateway = MeetingsClient(connection) if settings.meetings == "required" else None
    inquiries = Inquiries(database, time, gateway, lifecycle, committed) if gateway else None
    lookups = Lookups(gateway)
    deadlines = Deadlines(database, time, lifecycle, inquiries)
    intake = Intake(database, policy, time, deadlines.catch_up, committed)
    updates = Updates(database, policy, time, deadlines.catch_up, committed, lookups)
    series = Series(database, policy, time, deadlines.catch_up, committed)
    service = api.BookingService(database, policy, time, intake, lifecycle, updates, series, watchers, lookups)
    verifier = create_verifier(settings)

    def add(server: grpc.aio.Server) -> None:
        add_BookingServiceServicer_to_server(service, server)
        outbox_service.add(database, relay.wake, server)
        audit_service.add(database, server)

    server = rpc.Server(
        settings.listen,
        rpc.Guard(verifier, api.ROLES | outbox_service.ROLES | audit_service.ROLES, rpc.Rate(settings.calls_a_minute)),
        [api.SERVICE, outbox_service.SERVICE, audit_service.SERVICE],
        add,
        with_reflection=settings.environment == "development",
        credentials=rpc.server_credentials(settings),
        before_stop=watchers.close,
    )
    broker = create_broker(settings, database, time)
    loops = [relay.run(), deadlines.run(), intake.run(), bus.serve(broker)]
    if inquiries:
        reports = Reports(database, lifecycle, inquiries)
        loops.append(receive_forever(lambda: create_consumer(settings, reports)))
    metrics.read_with(outbox.figures(database, time))
    metrics.read_with(deadlines.figures)
    checks: dict[str, readiness.Check] = {
        "bus": readiness.of_bus(lambda: connection),
        "questions": readiness.of_broker(broker),
        "database": readiness.of_database(database, models.TABLES),
        "policy": policy.check,
        **({"meetings": gateway.check} if gateway else {}),
    }
    await run_until_stopped(server, *loops, checks=checks)
    await bus.close(connection)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(load(BookingSettings)))
