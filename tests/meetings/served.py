"""The gateway as it is served, with the simulated provider behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1.control_service_pb2_grpc import ControlServiceStub, add_ControlServiceServicer_to_server
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub, add_MeetingServiceServicer_to_server

from services.meetings import api, control_api
from services.meetings.control import Control
from services.meetings.gateway import Gateway
from services.meetings.people_now import PeopleNow
from services.meetings.provider import MeetingKey, Provider
from services.meetings.providers import Providers
from services.meetings.watchers import MeetingWatchers
from services.meetings.webhook_events import WebhookEvents
from services.platform.data.database import Database
from services.platform.serving import rpc
from services.platform.serving.identity import Principal, Verifier
from tests.meetings.builders import HandClock


class NamedTokens(Verifier):
    """The token is role:account."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        role, _, account = token.partition(":")
        return Principal(account, frozenset({role}))


@dataclass(frozen=True, slots=True)
class Replica:
    """One of those that serve the same database."""

    meetings: Any
    control: Any
    parts: Control
    people: PeopleNow
    watchers: MeetingWatchers


@asynccontextmanager
async def serve(database: Database, clock: HandClock, provider: Provider) -> AsyncIterator[Replica]:
    providers, people, watchers = Providers({"": provider}), PeopleNow(clock), MeetingWatchers(database)
    events = WebhookEvents(database, clock, lambda: None)
    control = Control(database, clock, providers, people, lambda: None)
    meetings = api.MeetingService(Gateway(providers, events, database), database, people, watchers)
    steering = control_api.ControlService(control, database)
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), api.NEEDED),
        {
            api.SERVICE: lambda bare: add_MeetingServiceServicer_to_server(meetings, bare),
            control_api.SERVICE: lambda bare: add_ControlServiceServicer_to_server(steering, bare),
        },
        with_reflection=False,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Replica(MeetingServiceStub(channel), ControlServiceStub(channel), control, people, watchers)
    await server.stop()


def as_(who: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {who}"),)


ADMIN = as_("admin:boss")


def to_key(key: MeetingKey) -> pb.MeetingKey:
    return pb.MeetingKey(provider=key.provider, meeting_id=key.meeting_id, sub_meeting_id=key.sub_meeting_id)
