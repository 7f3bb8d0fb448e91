"""Composition root of the meetings gateway: provider, questions and webhooks put together, served until SIGTERM."""

import asyncio
import base64
import binascii
from typing import Literal, Self
from urllib.parse import urlsplit

import grpc
from pydantic import Field, SecretStr, field_validator, model_validator
from yunhui.meetings.v1.meeting_service_pb2_grpc import add_MeetingServiceServicer_to_server
from yunhui.meetings.v1.simulator_service_pb2_grpc import add_SimulatorServiceServicer_to_server

from services import audit_service, bus, clock, metrics, outbox, outbox_service, readiness, rpc, telemetry
from services.clock import Clock
from services.database import Database
from services.identity import create_verifier
from services.meetings import api, models, tencent, webhooks
from services.meetings.accounts import PLACEHOLDER, Accounts
from services.meetings.callbacks import Checker
from services.meetings.gateway import Gateway
from services.meetings.happenings import Happenings
from services.meetings.signature import Credentials
from services.meetings.simulated import Simulated
from services.meetings.subscriptions import create_broker
from services.meetings.tencent import Client, Tencent
from services.outbox import Relay
from services.process import migrate, run_until_stopped
from services.settings import ServerSettings, load

NONE = SecretStr("")


class MeetingsSettings(ServerSettings):
    """Settings of the meetings gateway."""

    database_url: str = Field(description="sqlite:///FILE or postgresql+psycopg://...")
    meetings_provider: Literal["simulated", "tencent"] = Field(
        "simulated", description="who holds the meetings; simulated is for development only"
    )
    tencent_address: str = Field(tencent.ADDRESS, description="where Tencent Meeting's REST API is")
    tencent_app_id: str = Field("", description="AppId: the enterprise")
    tencent_sdk_id: str = Field("", description="SdkId: the application; empty if none was allotted")
    tencent_secret_id: str = Field("", description="SecretId of the application")
    tencent_secret_key: SecretStr = Field(NONE, description="SecretKey of the application")
    tencent_operator: str = Field("", description="userid of an administrator: asks who came, and ends meetings")
    tencent_userid: str = Field(PLACEHOLDER, description="which userid an account is; {account} stands for its id")
    tencent_calls_a_minute: int = Field(
        tencent.CALLS_A_MINUTE, description="share of the application's 300 for this replica", ge=10, le=300
    )
    webhook_listen: str = Field("127.0.0.1:0", description="host:port for webhooks")
    webhook_token: SecretStr = Field(NONE, description="Token of the event subscription; no webhooks when empty")
    webhook_aes_key: SecretStr = Field(NONE, description="EncodingAESKey of the event subscription, 43 characters")

    @field_validator("tencent_userid")
    @classmethod
    def check_userid(cls, pattern: str) -> str:
        return Accounts(pattern or PLACEHOLDER).pattern

    @field_validator("tencent_address")
    @classmethod
    def check_address(cls, address: str) -> str:
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("must be https (http only on this machine)")
        return address.rstrip("/")

    @field_validator("webhook_listen")
    @classmethod
    def check_listen(cls, listen: str) -> str:
        if not listen.rpartition(":")[2].isdigit():
            raise ValueError("must be host:port")
        return listen

    @field_validator("webhook_aes_key")
    @classmethod
    def check_key(cls, key: SecretStr) -> SecretStr:
        given = key.get_secret_value()
        try:
            fits = not given or len(base64.b64decode(given + "=", validate=True)) == 32
        except binascii.Error:
            fits = False
        if not fits:
            raise ValueError("must be the 43 characters that were set as EncodingAESKey")
        return key

    @model_validator(mode="after")
    def check_provider(self) -> Self:
        if self.environment == "production" and self.meetings_provider == "simulated":
            raise ValueError("simulated meetings are refused in production: set YUNHUI_MEETINGS_PROVIDER=tencent")
        if self.meetings_provider == "tencent":
            needed = ("tencent_app_id", "tencent_secret_id", "tencent_secret_key", "tencent_operator")
            missing = [f"YUNHUI_{name.upper()}" for name in needed if not getattr(self, name)]
            if missing:
                raise ValueError(f"Tencent Meeting needs {', '.join(missing)}")
        return self


def create_tencent(settings: MeetingsSettings, time: Clock) -> tuple[Tencent, Client]:
    return tencent.create(
        settings.tencent_address,
        Credentials(
            settings.tencent_app_id,
            settings.tencent_sdk_id,
            settings.tencent_secret_id,
            settings.tencent_secret_key,
        ),
        Accounts(settings.tencent_userid),
        settings.tencent_operator,
        time,
        calls_a_minute=settings.tencent_calls_a_minute,
    )


async def serve_webhooks(settings: MeetingsSettings, happenings: Happenings) -> None:
    """Real time, not the development clock, is what senders sign."""
    token = settings.webhook_token.get_secret_value()
    if not token:
        await asyncio.Event().wait()
    key, accounts = settings.webhook_aes_key.get_secret_value(), Accounts(settings.tencent_userid)
    receiver = webhooks.Receiver(Checker(token), key, accounts, happenings)
    await webhooks.serve(receiver.app(), settings.webhook_listen)


def create_server(
    settings: MeetingsSettings, gateway: Gateway, simulated: Simulated | None, database: Database, relay: Relay
) -> rpc.Server:
    def add(server: grpc.aio.Server) -> None:
        add_MeetingServiceServicer_to_server(api.MeetingService(gateway), server)
        if simulated:
            add_SimulatorServiceServicer_to_server(api.SimulatorService(simulated), server)
        outbox_service.add(database, relay.wake, server)
        audit_service.add(database, server)

    verifier = create_verifier(settings)
    return rpc.Server(
        settings.listen,
        rpc.Guard(verifier, api.ROLES | outbox_service.ROLES | audit_service.ROLES, rpc.Rate(settings.calls_a_minute)),
        [api.SERVICE, outbox_service.SERVICE, audit_service.SERVICE, *([api.SIMULATOR] if simulated else [])],
        add,
        with_reflection=settings.environment == "development",
        credentials=rpc.server_credentials(settings),
    )


async def main(settings: MeetingsSettings) -> None:
    time = clock.create(settings.clock_file)
    database = Database(settings.database_url)
    migrate(database, "services.meetings")
    telemetry.start(settings, "meetings")
    connection = await bus.connect(settings, "meetings")
    relay = Relay(database, connection, "meetings")
    happenings = Happenings(database, time, relay.wake)
    simulated, client = None, None
    if settings.meetings_provider == "simulated":
        provider: Simulated | Tencent = (simulated := Simulated(database, time, happenings))
    else:
        provider, client = create_tencent(settings, time)
    gateway = Gateway(provider, happenings)
    server = create_server(settings, gateway, simulated, database, relay)
    broker = create_broker(settings, gateway)
    metrics.read_with(outbox.figures(database, time))
    checks = {
        "bus": readiness.of_bus(lambda: connection),
        "questions": readiness.of_broker(broker),
        "database": readiness.of_database(database, models.TABLES),
    }
    loops = (bus.serve(broker), relay.run(), serve_webhooks(settings, happenings))
    await run_until_stopped(server, *loops, checks=checks)
    if client:
        await client.close()
    await bus.close(connection)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(load(MeetingsSettings)))
