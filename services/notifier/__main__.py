"""Composition root of the notifier: database, mail server and bus put together, served until SIGTERM."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import grpc
from pydantic import Field, SecretStr, field_validator, model_validator
from yunhui.notifier.v1.notifier_service_pb2_grpc import add_NotifierServiceServicer_to_server

from services import audit_service, clock, metrics, outbox, outbox_service, readiness, rpc, telemetry
from services.consumer import PullConsumer, receive_forever
from services.database import Database
from services.identity import create_verifier
from services.notifier import api, envelope, models
from services.notifier.addresses import Guard
from services.notifier.channels import MAIL, Channel
from services.notifier.deliveries import Deliveries
from services.notifier.intake import Intake
from services.notifier.messages import Composer
from services.notifier.outlet import Outlet
from services.notifier.planner import Planner, Timetable
from services.notifier.sender import Retry, Sender
from services.notifier.smtp import Encryption, Server, Smtp
from services.notifier.subscriptions import Receiver, create_consumer
from services.notifier.values import Letterhead
from services.notifier.webhooks import Caller
from services.process import migrate, run_until_stopped
from services.settings import ServerSettings, load
from services.tasks import until_cancelled

log = logging.getLogger(__name__)

LEASE_MARGIN_SECONDS = 15.0
FORGET_SECONDS = 3600.0
KEEP_MS = 14 * clock.DAY
"""So long a notice that was settled can be sent again; then its content, personal data, is removed."""


class NotifierSettings(ServerSettings):
    """Settings of the notifier."""

    database_url: str = Field(description="sqlite:///FILE or postgresql+psycopg://...")
    portal_url: str = Field("http://127.0.0.1:8080", description="the pages for people, for links in mails")
    display_zone: str = Field("Asia/Shanghai", description="IANA zone in which mails show times")
    mail_from: str = Field(description="sender of all mails")
    support_mail: str = Field("", description="where people write to when they object; named nowhere when empty")
    reminder_minutes: int = Field(15, description="a reminder so long before the start; 0: none", ge=0, le=1440)
    digest_time: time | None = Field(
        time(8, 30), description="HH:MM in the display zone: what is open for support; none: no digest"
    )
    smtp_host: str = Field("127.0.0.1", description="mail server")
    smtp_port: int = Field(25, description="25, 587, or 465 with implicit encryption", ge=1, le=65535)
    smtp_tls: Encryption = Field(
        "auto", description="auto (STARTTLS if offered), required (STARTTLS), implicit (TLS from the start), off"
    )
    smtp_user: str = Field("", description="user at the mail server; none when empty")
    smtp_password: SecretStr = Field(SecretStr(""), description="its password")
    smtp_ca_file: Path | None = Field(None, description="authorities to trust, PEM; the system's when not given")
    smtp_timeout_seconds: float = Field(
        20.0, description="for opening a session, and for sending one mail", gt=0, le=40
    )
    mails_per_second: float = Field(50.0, description="no faster than that", gt=0, le=10_000)
    retry_first_seconds: float = Field(5.0, description="pause before a second attempt; doubled each time", gt=0)
    retry_longest_seconds: float = Field(300.0, description="longest pause between attempts", gt=0)
    mail_give_up_hours: float = Field(96.0, description="a mail that no server took for so long has failed", gt=0)
    webhook_timeout_seconds: float = Field(10.0, description="for one call", gt=0, le=40)
    webhook_ports: str = Field("443", description="where webhooks may lead, for example 443,8443; any in development")
    webhook_give_up_hours: float = Field(
        72.0, description="a call that was not accepted for so long has failed, and such a webhook is off", gt=0
    )

    def guard(self) -> Guard:
        ports = frozenset(int(port) for port in self.webhook_ports.split(","))
        return Guard(development=self.environment == "development", ports=ports)

    def mail_server(self) -> Server:
        return Server(
            host=self.smtp_host,
            port=self.smtp_port,
            sender=self.mail_from,
            encryption=self.smtp_tls,
            user=self.smtp_user,
            password=self.smtp_password.get_secret_value(),
            ca_file=str(self.smtp_ca_file) if self.smtp_ca_file else None,
            timeout=self.smtp_timeout_seconds,
            rate=self.mails_per_second,
        )

    def retry(self, channel: str) -> Retry:
        hours = self.mail_give_up_hours if channel == MAIL else self.webhook_give_up_hours
        return Retry(self.retry_first_seconds, self.retry_longest_seconds, int(hours * clock.HOUR))

    @field_validator("mail_from")
    @classmethod
    def check_sender(cls, address: str) -> str:
        box = envelope.mailbox(address)
        if not box:
            raise ValueError("not an e-mail address")
        return box.address

    @field_validator("support_mail")
    @classmethod
    def check_support(cls, address: str) -> str:
        return cls.check_sender(address) if address else ""

    @field_validator("digest_time", mode="before")
    @classmethod
    def check_digest_time(cls, text: object) -> object:
        if isinstance(text, str) and text.lower() in {"", "none"}:
            return None
        try:
            return time.fromisoformat(text) if isinstance(text, str) else text
        except ValueError:
            raise ValueError("not a time of day, for example 08:30, or none for no digest") from None

    @field_validator("webhook_ports")
    @classmethod
    def check_ports(cls, ports: str) -> str:
        for port in ports.split(","):
            if not (port.strip().isdecimal() and 0 < int(port) < 65536):
                raise ValueError("must be ports, for example 443,8443")
        return ports

    @field_validator("display_zone")
    @classmethod
    def check_zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("not an IANA time zone, for example Asia/Shanghai") from None

    @field_validator("portal_url")
    @classmethod
    def check_portal(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// (http:// only in development)")
        return url.rstrip("/")

    @model_validator(mode="after")
    def refuse_unsafe_mail(self) -> Self:
        if self.environment == "production" and self.smtp_user and self.smtp_tls in {"auto", "off"}:
            raise ValueError("a password needs encryption: set YUNHUI_SMTP_TLS to required or implicit")
        if self.environment == "production" and self.portal_url.startswith("http:"):
            raise ValueError("support signs in there: YUNHUI_PORTAL_URL must be https")
        return self


@dataclass(frozen=True, slots=True)
class Parts:
    """The notifier put together, without servers; each `consumer()` is a fresh one on a fresh connection."""

    deliveries: Deliveries
    outlet: Outlet
    senders: list[Sender]
    intake: Intake
    planner: Planner
    consumer: Callable[[], PullConsumer]
    service: api.NotifierService

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        sending = [sender.run() for sender in self.senders]
        return [
            receive_forever(self.consumer),
            self.outlet.run(),
            self.planner.run(self.intake.queue, self.intake.queued),
            *sending,
            forget_forever(self.deliveries),
        ]


def build(options: NotifierSettings, database: Database) -> Parts:
    now, zone = clock.create(options.clock_file), ZoneInfo(options.display_zone)
    composer = Composer(Letterhead(options.mail_from, options.portal_url, zone, options.support_mail))
    timetable = Timetable(options.reminder_minutes * clock.MINUTE, options.digest_time, zone)
    planner = Planner(database, now, composer, timetable)
    guard = options.guard()
    outlet = Outlet(options, database)
    longest_seconds = max(2 * options.smtp_timeout_seconds, options.webhook_timeout_seconds)
    lease_ms = int((longest_seconds + LEASE_MARGIN_SECONDS) * clock.SECOND)
    deliveries = Deliveries(database, now, lease_ms, outlet.wake)
    channels: list[Channel] = [Smtp(options.mail_server()), webhook_caller(options, database, guard)]
    senders = [Sender(deliveries, channel, now, options.retry(channel.name)) for channel in channels]

    def queued() -> None:
        for sender in senders:
            sender.wake()

    intake = Intake(database, now, composer, planner, queued)
    receiver = Receiver(intake, outlet.bury)
    service = api.NotifierService(database, now, deliveries, intake, senders, guard)
    return Parts(deliveries, outlet, senders, intake, planner, lambda: create_consumer(options, receiver), service)


def webhook_caller(options: NotifierSettings, database: Database, guard: Guard) -> Caller:
    patience_ms = int(options.webhook_give_up_hours * clock.HOUR)
    return Caller(database, guard, options.webhook_timeout_seconds, patience_ms)


NICENESS = 19
"""Where processors are shared, mail may wait a second and whoever is booking may not."""


async def forget_forever(deliveries: Deliveries) -> None:
    """What was settled long ago loses its content."""
    for _ in until_cancelled():
        try:
            await deliveries.forget(KEEP_MS)
        except Exception as error:
            log.warning("old content stays for now: %s", type(error).__name__)
        await asyncio.sleep(FORGET_SECONDS)


async def main(options: NotifierSettings) -> None:
    os.nice(NICENESS)
    database = Database(options.database_url)
    migrate(database, "services.notifier")
    telemetry.start(options, "notifier")
    parts = build(options, database)
    verifier = create_verifier(options)

    def add(server: grpc.aio.Server) -> None:
        add_NotifierServiceServicer_to_server(parts.service, server)
        outbox_service.add(database, parts.outlet.wake, server)
        audit_service.add(database, server)

    server = rpc.Server(
        options.listen,
        rpc.Guard(verifier, api.ROLES | outbox_service.ROLES | audit_service.ROLES, rpc.Rate(options.calls_a_minute)),
        [api.SERVICE, outbox_service.SERVICE, audit_service.SERVICE],
        add,
        with_reflection=options.environment == "development",
        credentials=rpc.server_credentials(options),
    )
    metrics.read_with(outbox.figures(database, clock.create(options.clock_file)))
    metrics.read_with(parts.deliveries.figures)
    checks = {
        "bus": readiness.of_bus(parts.outlet.connection),
        "database": readiness.of_database(database, models.TABLES),
    }
    await run_until_stopped(server, *parts.loops(), checks=checks)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(load(NotifierSettings)))
