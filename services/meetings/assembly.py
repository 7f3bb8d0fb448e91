"""The gateway put together from the providers that the settings name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.routing import BaseRoute
from yunhui.meetings.v1.meeting_service_pb2_grpc import add_MeetingServiceServicer_to_server

from services.meetings import api, simulated, simulator
from services.meetings.gateway import Gateway
from services.meetings.providers import Installed, Providers
from services.meetings.settings import MeetingsSettings
from services.meetings.tencent import assembly as tencent_assembly
from services.meetings.tencent import tencent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import Clock
from services.platform.data.database import Database
from services.platform.serving import rpc

INSTALL: Mapping[str, Callable[[MeetingsSettings, Database, Clock, WebhookEvents], Installed]] = {
    simulated.NAME: simulator.install,
    tencent.NAME: tencent_assembly.install,
}


@dataclass(frozen=True, slots=True)
class MeetingsAssembly:
    """The parts that the program serves, whoever the providers are."""

    gateway: Gateway
    installed: Sequence[Installed]

    @property
    def servicers(self) -> dict[str, rpc.Add]:
        """gRPC services by full name."""
        own: dict[str, rpc.Add] = {
            api.SERVICE: partial(add_MeetingServiceServicer_to_server, api.MeetingService(self.gateway))
        }
        return own | {name: add for each in self.installed for name, add in each.servicers.items()}

    @property
    def webhooks(self) -> list[BaseRoute]:
        return [route for each in self.installed for route in each.webhooks]

    async def close(self) -> None:
        for each in self.installed:
            await each.close()


def build(
    settings: MeetingsSettings, database: Database, clock: Clock, webhook_events: WebhookEvents
) -> MeetingsAssembly:
    names = settings.routes
    installed = {
        name: INSTALL[name](settings, database, clock, webhook_events) for name in dict.fromkeys(names.values())
    }
    providers = Providers({prefix: installed[name].provider for prefix, name in names.items()})
    return MeetingsAssembly(Gateway(providers, webhook_events), list(installed.values()))
