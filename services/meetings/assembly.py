"""The gateway put together from the provider that the settings name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from yunhui.meetings.v1.meeting_service_pb2_grpc import add_MeetingServiceServicer_to_server

from services.meetings import api, simulated, simulator
from services.meetings.gateway import Gateway
from services.meetings.happenings import Happenings
from services.meetings.providers import Installed
from services.meetings.settings import MeetingsSettings
from services.meetings.tencent import assembly as tencent_assembly
from services.meetings.tencent import tencent
from services.platform.clock import Clock
from services.platform.data.database import Database
from services.platform.serving import rpc

INSTALL: Mapping[str, Callable[[MeetingsSettings, Database, Clock, Happenings], Installed]] = {
    simulated.NAME: simulator.install,
    tencent.NAME: tencent_assembly.install,
}


@dataclass(frozen=True, slots=True)
class Meetings:
    """The parts that the program serves, whoever the provider is."""

    gateway: Gateway
    installed: Installed

    @property
    def servicers(self) -> dict[str, rpc.Add]:
        """gRPC services by full name."""
        own: dict[str, rpc.Add] = {
            api.SERVICE: partial(add_MeetingServiceServicer_to_server, api.MeetingService(self.gateway))
        }
        return own | dict(self.installed.servicers)


def build(settings: MeetingsSettings, database: Database, clock: Clock, happenings: Happenings) -> Meetings:
    installed = INSTALL[settings.meetings_provider](settings, database, clock, happenings)
    return Meetings(Gateway(installed.provider, happenings), installed)
