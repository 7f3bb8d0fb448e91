"""The way out: sends one message over SMTP and says whether the answer is final."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

import aiosmtplib

Encryption = Literal["auto", "required", "off", "implicit"]
START_TLS: dict[Encryption, bool | None] = {"auto": None, "required": True, "off": False, "implicit": False}


class Verdict(Enum):
    ACCEPTED = "accepted"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is the SMTP reply code, 0 when there was none. `text` may hold an address: never log it."""

    verdict: Verdict
    code: int
    text: str


class Channel(Protocol):
    """Whatever takes a message to a person."""

    async def send(self, recipient: str, content: bytes) -> Answer:
        """Never raises for what the other side does; that is what the Answer says."""
        ...


@dataclass(frozen=True, slots=True)
class Smtp:
    """One connection a message: mails are rare, and a connection kept open goes stale unseen."""

    host: str
    port: int
    sender: str
    encryption: Encryption = "auto"
    user: str = ""
    password: str = ""
    timeout: float = 20.0

    async def send(self, recipient: str, content: bytes) -> Answer:
        """`timeout` seconds bound the whole conversation, in which each step has a timeout of its own too."""
        try:
            async with asyncio.timeout(self.timeout):
                return await self._converse(recipient, content)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return classify(error)

    async def _converse(self, recipient: str, content: bytes) -> Answer:
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.encryption == "implicit",
            start_tls=START_TLS[self.encryption],
            username=self.user or None,
            password=self.password or None,
            timeout=self.timeout,
        )
        try:
            await client.connect()
            _, text = await client.sendmail(self.sender, [recipient], content)
            return Answer(Verdict.ACCEPTED, 250, text)
        finally:
            client.close()  # without QUIT: once the message is taken, a lost goodbye must not make it fail


def classify(error: Exception) -> Answer:
    """Final is only a 5xx that answers this very message: sender, recipient or content.

    A 5xx to the greeting, to TLS or to the password speaks about the installation; once that is put right the
    mail can still go.
    """
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    if isinstance(error, ValueError):
        return Answer(Verdict.PERMANENT, 0, "not a sendable address")
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return Answer(Verdict.TEMPORARY, 0, f"{type(error).__name__}: {error}")
    about_message = isinstance(
        error, (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError)
    )
    final = about_message and 500 <= error.code < 600
    verdict = Verdict.PERMANENT if final else Verdict.TEMPORARY
    return Answer(verdict, error.code, f"{error.code} {error.message}")
