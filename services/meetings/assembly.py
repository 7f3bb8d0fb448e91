"""The gateway put together from the providers that the settings name."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.routing import BaseRoute
from yunhui.meetings.v1.control_service_pb2_grpc import add_ControlServiceServicer_to_server
from yunhui.meetings.v1.meeting_service_pb2_grpc import add_MeetingServiceServicer_to_server
from yunhui.meetings.v1.recording_service_pb2_grpc import add_RecordingServiceServicer_to_server

from services.meetings import api, control_api, recordings_api, simulated, simulator, sweeper
from services.meetings.control import Control
from services.meetings.gateway import Gateway
from services.meetings.making import Making
from services.meetings.people_now import PeopleNow
from services.meetings.providers import Installed, Providers
from services.meetings.recording_control import RecordingControl
from services.meetings.recording_lists import RecordingLists
from services.meetings.recordings_api import RecordingService
from services.meetings.settings import MeetingsSettings
from services.meetings.sweeper import Sweeper
from services.meetings.tencent import assembly as tencent_assembly
from services.meetings.tencent import tencent
from services.meetings.watchers import MeetingWatchers
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import Clock
from services.platform.data.database import Database
from services.platform.serving import rpc
from services.platform.serving.grants import Grants

INSTALL: Mapping[str, Callable[[MeetingsSettings, Database, Clock, WebhookEvents], Installed]] = {
    simulated.NAME: simulator.install,
    tencent.NAME: tencent_assembly.install,
}


@dataclass(frozen=True, slots=True)
class MeetingsAssembly:
    """The parts that the program serves, whoever the providers are."""

    database: Database
    grants: Grants
    gateway: Gateway
    control: Control
    making: Making
    people: PeopleNow
    watchers: MeetingWatchers
    sweepers: Sequence[Sweeper]
    installed: Sequence[Installed]
    recording_control: RecordingControl
    recordings: RecordingService

    @property
    def servicers(self) -> dict[str, rpc.Add]:
        """gRPC services by full name."""
        meetings = api.MeetingService(self.gateway, self.database, self.people, self.watchers, self.grants)
        control = control_api.ControlService(self.control, self.database)
        own: dict[str, rpc.Add] = {
            api.SERVICE: partial(add_MeetingServiceServicer_to_server, meetings),
            control_api.SERVICE: partial(add_ControlServiceServicer_to_server, control),
            recordings_api.SERVICE: partial(add_RecordingServiceServicer_to_server, self.recordings),
        }
        return own | {name: add for each in self.installed for name, add in each.servicers.items()}

    @property
    def webhooks(self) -> list[BaseRoute]:
        return [route for each in self.installed for route in each.webhooks]

    def loops(self, owns: Callable[[], bool]) -> list[Coroutine[Any, Any, None]]:
        """What runs until the program ends. `owns`: whether this replica is the one that looks at the provider."""
        return [
            self.watchers.run(),
            self.control.acts.run(),
            self.recording_control.acts.run(),
            sweeper.run(self.sweepers, owns),
        ]

    async def close(self) -> None:
        await self.control.acts.close()
        await self.making.close()
        await self.recording_control.acts.close()
        for each in self.installed:
            await each.close()


def build(
    settings: MeetingsSettings,
    database: Database,
    clock: Clock,
    webhook_events: WebhookEvents,
    grants: Grants | None = None,
    committed: Callable[[], None] = lambda: None,
) -> MeetingsAssembly:
    """`grants`: of tokens alone when none are given. `committed` is called when there are new events."""
    names = settings.routes
    installed = {
        name: INSTALL[name](settings, database, clock, webhook_events) for name in dict.fromkeys(names.values())
    }
    providers = Providers({prefix: installed[name].provider for prefix, name in names.items()})
    people, pace = PeopleNow(clock), sweeper.SweepPace.of(settings)
    lists = RecordingLists(clock)
    recordings = {each.provider.name: each.recordings for each in installed.values() if each.recordings}
    recording_control = RecordingControl(database, clock, committed, lists.forget)
    swept = providers.all() if settings.sweep_seconds else ()
    return MeetingsAssembly(
        database,
        grants or Grants(),
        Gateway(providers, webhook_events, database),
        Control(database, clock, providers, people, committed),
        Making(database, clock, providers),
        people,
        MeetingWatchers(database),
        [Sweeper(database, clock, each, pace) for each in swept],
        list(installed.values()),
        recording_control,
        RecordingService(providers, recordings, database, clock, recording_control, lists),
    )
