"""Composition root of booking: settings in, parts wired, served until SIGTERM."""

import asyncio

import grpc
from pydantic import Field
from yunhui.booking.v1.booking_service_pb2_grpc import add_BookingServiceServicer_to_server

from services import bus, clock, outbox_service, rpc
from services.booking import api
from services.booking.deadlines import Deadlines
from services.booking.intake import Intake
from services.booking.lifecycle import Lifecycle
from services.booking.policy_client import PolicyClient
from services.booking.series import Series
from services.booking.subscriptions import create_broker
from services.booking.updates import Updates
from services.booking.watchers import Watchers
from services.database import Database
from services.identity import KeySource, Verifier
from services.outbox import Relay
from services.process import migrate, run_until_stopped
from services.settings import ServerSettings, load


class BookingSettings(ServerSettings):
    database_url: str = Field(description="sqlite:///FILE or postgresql+psycopg://...")


async def main(settings: BookingSettings) -> None:
    time = clock.create(settings.clock_file)
    database = Database(settings.database_url)
    migrate(database, "services.booking")
    watchers = Watchers()
    connection = await bus.connect(settings, "booking", watchers.interrupt)
    watchers.attach(connection)
    policy = PolicyClient(connection)
    relay = Relay(database, connection, "booking")

    def committed() -> None:
        relay.wake()
        deadlines.wake()

    lifecycle = Lifecycle(database, policy, time, lambda: deadlines.catch_up(), committed)
    deadlines = Deadlines(database, time, lifecycle)
    intake = Intake(database, policy, time, deadlines.catch_up, committed)
    updates = Updates(database, policy, time, deadlines.catch_up, committed)
    series = Series(database, policy, time, deadlines.catch_up, committed)
    service = api.BookingService(database, policy, time, intake, lifecycle, updates, series, watchers)
    verifier = Verifier(settings.issuer, settings.audience, KeySource(settings.jwks))

    def add(server: grpc.aio.Server) -> None:
        add_BookingServiceServicer_to_server(service, server)
        outbox_service.add(database, relay.wake, server)

    server = rpc.Server(
        settings.listen,
        rpc.Guard(verifier, api.ROLES | outbox_service.ROLES),
        [api.SERVICE, outbox_service.SERVICE],
        add,
        with_reflection=settings.environment == "development",
        before_stop=watchers.close,
    )
    broker = create_broker(settings, database)
    await run_until_stopped(server, relay.run(), deadlines.run(), intake.run(), bus.serve(broker))
    await bus.close(connection)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(load(BookingSettings)))
