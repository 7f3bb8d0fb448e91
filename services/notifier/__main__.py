"""Composition root of the notifier: database, mail server and bus put together, served until SIGTERM."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time
from typing import NoReturn, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator

from services import clock, rpc
from services.database import Database
from services.identity import InvalidTokenError, Principal, Verifier
from services.notifier import envelope
from services.notifier.channels import Encryption, Smtp
from services.notifier.courier import Courier
from services.notifier.deliveries import Deliveries
from services.notifier.messages import Composer
from services.notifier.planner import Deliver, Planner, Timetable
from services.notifier.subscriptions import Receiver, Retry, Subscription
from services.notifier.values import Letterhead
from services.process import run_until_stopped
from services.settings import Settings, load

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
LEASE_MARGIN_SECONDS = 15.0


class NotifierSettings(Settings):
    """Settings of the notifier."""

    listen: str = Field("127.0.0.1:0", description="host:port for gRPC, of which there is only health")
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
    smtp_timeout_seconds: float = Field(20.0, description="for sending one mail", gt=0, le=40)
    retry_first_seconds: float = Field(5.0, description="pause before a second attempt; doubled each time", gt=0)
    retry_longest_seconds: float = Field(300.0, description="longest pause between attempts", gt=0)

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
    """What runs. Each call of `subscription` makes a fresh one on a fresh connection."""

    subscription: Callable[[], Subscription]
    planner: Planner
    deliver: Deliver


def build(options: NotifierSettings, database: Database) -> Parts:
    """The parts put together."""
    zone = ZoneInfo(options.display_zone)
    letterhead = Letterhead(options.mail_from, options.portal_url, zone, options.support_mail)
    channel = Smtp(
        host=options.smtp_host,
        port=options.smtp_port,
        sender=options.mail_from,
        encryption=options.smtp_tls,
        user=options.smtp_user,
        password=options.smtp_password.get_secret_value(),
        timeout=options.smtp_timeout_seconds,
    )
    lease_ms = int((options.smtp_timeout_seconds + LEASE_MARGIN_SECONDS) * clock.SECOND)
    now = clock.create(options.clock_file)
    deliveries = Deliveries(database, now, lease_ms)
    composer = Composer(letterhead)
    timetable = Timetable(options.reminder_minutes * clock.MINUTE, options.digest_time, zone)
    planner = Planner(database, now, composer, timetable)
    courier = Courier(composer, deliveries, channel, planner.note)
    retry = Retry(options.retry_first_seconds, options.retry_longest_seconds)
    receiver = Receiver(courier, retry)
    graceful_seconds = 2 * options.smtp_timeout_seconds + 5  # an event has at most a few mails
    return Parts(lambda: Subscription(options, receiver, graceful_seconds), planner, courier.deliver)


async def receive_forever(subscription: Callable[[], Subscription]) -> NoReturn:
    """Begins again, on a fresh connection, whenever the bus turns the old one away for good."""
    while True:
        try:
            await subscription().run()
        except Exception as error:
            log.warning("NATS: %s: trying again", type(error).__name__)
        await asyncio.sleep(RESTART_SECONDS)


NICENESS = 19
"""Where processors are shared, mail may wait a second and whoever is booking may not."""


class NobodyVerifier(Verifier):
    """Lets nobody in: there is nothing but health to ask, so mail does not depend on the issuer's keys."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        raise InvalidTokenError("the notifier answers no calls")


async def main(options: NotifierSettings) -> None:
    os.nice(NICENESS)
    database = Database(options.database_url)
    database.migrate("services.notifier")
    guard = rpc.Guard(NobodyVerifier(), {})
    server = rpc.Server(options.listen, guard, [], lambda _: None, with_reflection=False)
    parts = build(options, database)
    await run_until_stopped(server, receive_forever(parts.subscription), parts.planner.run(parts.deliver))
    database.close()


if __name__ == "__main__":
    asyncio.run(main(load(NotifierSettings)))
