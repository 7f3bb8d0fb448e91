"""The simulated provider put together, with the gRPC service that plays its people."""

from functools import partial

from yunhui.meetings.v1.simulator_service_pb2_grpc import add_SimulatorServiceServicer_to_server

from services.meetings import api, routes, simulator_api
from services.meetings.providers import Installed
from services.meetings.settings import MeetingsSettings
from services.meetings.simulated import NAME, Simulated
from services.meetings.simulated_recordings import SimulatedRecordings
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import Clock
from services.platform.data.database import Database


def install(settings: MeetingsSettings, database: Database, clock: Clock, webhook_events: WebhookEvents) -> Installed:
    by_prefix = settings.routes
    provider = Simulated(database, clock, webhook_events, lambda code: routes.lead(by_prefix, code) == NAME)
    add = partial(add_SimulatorServiceServicer_to_server, simulator_api.SimulatorService(provider))
    return Installed(provider, {api.SIMULATOR: add}, recordings=SimulatedRecordings(database, clock))
