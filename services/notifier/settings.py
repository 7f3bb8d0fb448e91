"""What the notifier is told by its environment."""

from datetime import time
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator

from services.notifier import envelope
from services.notifier.addresses import AddressGuard
from services.notifier.channels import MAIL
from services.notifier.sender import Retry
from services.notifier.smtp import Encryption, SmtpServer
from services.platform import clock
from services.platform.host import HostSettings


class NotifierSettings(HostSettings):
    """Settings of the notifier."""

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

    def guard(self) -> AddressGuard:
        ports = frozenset(int(port) for port in self.webhook_ports.split(","))
        return AddressGuard(development=self.environment == "development", ports=ports)

    def mail_server(self) -> SmtpServer:
        return SmtpServer(
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
