"""RecordingService as it is served, with the simulated provider behind it, and meetings that were recorded."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from yunhui.meetings.v1.recording_service_pb2_grpc import (
    RecordingServiceStub,
    add_RecordingServiceServicer_to_server,
)

from services.meetings import recordings_api
from services.meetings.models import SimulatedMeeting
from services.meetings.provider import Provider
from services.meetings.providers import Providers
from services.meetings.recording_control import RecordingControl
from services.meetings.recording_lists import RecordingLists
from services.meetings.recording_models import SimulatedRecording, SimulatedRecordingFile
from services.meetings.recordings import RecordingProvider
from services.meetings.recordings_api import RecordingService
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_recordings import TRANSCODING
from services.meetings.simulated_scene import Visitor
from services.platform.clock import HOUR, MINUTE
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from services.platform.serving import rpc
from tests.meetings import test_gateway
from tests.meetings.builders import HandClock
from tests.meetings.served import NamedTokens

CODE = "123456789"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One of those that serve the same database."""

    api: Any
    control: RecordingControl


@asynccontextmanager
async def serve(
    database: Database, clock: HandClock, provider: Provider, recordings: Mapping[str, RecordingProvider]
) -> AsyncIterator[Recorded]:
    lists = RecordingLists(clock, clock.seconds())
    control = RecordingControl(database, clock, changed=lists.forget)
    service = RecordingService(Providers({"": provider}), recordings, database, clock, control, lists, clock.seconds())
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), recordings_api.NEEDED),
        {recordings_api.SERVICE: lambda bare: add_RecordingServiceServicer_to_server(service, bare)},
        with_reflection=False,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Recorded(RecordingServiceStub(channel), control)
    await server.stop()


async def record(simulated: Simulated, clock: HandClock, creator: str = "li", code: str = CODE) -> str:
    """A meeting that was recorded for ten minutes, and was over some time ago. Its id."""
    made = await simulated.create(code, "canary-subject", creator, clock.time, clock.time + HOUR)
    await simulated.enter(code, creator)
    await simulated.play(code, Deed.RECORD, Visitor(creator))
    clock.time += 10 * MINUTE
    await simulated.leave(code, creator)
    clock.time += TRANSCODING
    return made.meeting_id


def many(database: Database, clock: HandClock, number: int) -> None:
    """So many meetings of one account, a minute each, the last one a minute ago."""
    with database.engine.begin() as connection, open_session(connection) as session:
        for each in range(number):
            start = clock.now() - (number - each + 1) * MINUTE
            made = SimulatedMeeting(
                meeting_code=f"{100_000_000 + each}",
                subject=f"m {each}",
                creator="li",
                start_time=start,
                end_time=start,
            )
            session.add(made)
            session.flush()
            kept = SimulatedRecording(meeting_id=made.id or 0, occurrence=0, start_time=start)
            session.add(kept)
            session.flush()
            session.add(
                SimulatedRecordingFile(recording_id=kept.id or 0, start_time=start, end_time=start + MINUTE // 2)
            )


async def refused(call: Any, code: grpc.StatusCode, reason: str = "") -> None:
    """With the code, for the reason if one is said."""
    found, details = await test_gateway.refused(call)
    assert found is code
    assert not reason or details["ErrorInfo"].reason == reason
    if code is grpc.StatusCode.UNAVAILABLE:
        assert details["RetryInfo"].retry_delay.seconds > 0
