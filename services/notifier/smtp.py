"""Mail: one session for several messages while there are many, no faster than is polite."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, TypeVar

import aiosmtplib
from sqlalchemy.engine import Connection

from services.notifier.channels import MAIL, DeliveryClaim, SendResult, SendVerdict

T = TypeVar("T")
Encryption = Literal["auto", "required", "off", "implicit"]
START_TLS: dict[Encryption, bool | None] = {"auto": None, "required": True, "off": False, "implicit": False}
INSTALLATION_CODES = {421, 530, 534, 535, 538}
"""Closing down (RFC 5321), or sign-in and encryption wanted (RFC 3207, 4954), in answer to whatever was said."""
MOST_IN_A_SESSION = 100  # many servers allow no more


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes out. `ca_file`: authorities to trust in place of the system's. `rate`: mails a second."""

    host: str
    port: int
    sender: str
    encryption: Encryption = "auto"
    user: str = ""
    password: str = ""
    ca_file: str | None = None
    timeout: float = 20.0
    rate: float = 50.0


class SmtpSession:
    """A connection that has greeted, encrypted and signed in."""

    def __init__(self, server: SmtpServer) -> None:
        self.sent = 0
        self.client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.encryption == "implicit",
            start_tls=START_TLS[server.encryption],
            username=server.user or None,
            password=server.password or None,
            cert_bundle=server.ca_file,
            timeout=server.timeout,
        )


class NoSessionError(Exception):
    """No session could be opened."""

    def __init__(self, answer: SendResult) -> None:
        super().__init__(answer.verdict)
        self.answer = answer


class Smtp:
    """Keeps sessions that worked for the next mail; `rest` ends them."""

    name = MAIL
    shared = True

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._idle: list[SmtpSession] = []
        self._pace = Pace(server.rate)

    async def send(self, claim: DeliveryClaim) -> SendResult:
        """Two times `timeout` seconds bound it: one for a session, one for the message."""
        await self._pace.wait()
        try:
            session = await self._session()
        except NoSessionError as error:
            return error.answer
        answer = await self._hand_over(session, claim)
        if answer.verdict is SendVerdict.ACCEPTED and session.sent < MOST_IN_A_SESSION:
            self._idle.append(session)
        else:
            session.client.close()  # without QUIT: once the message is taken, a lost goodbye must not make it fail
        return answer

    async def _session(self) -> SmtpSession:
        """One that still answers, or a new one. Raises AwayError."""
        while self._idle:
            session = self._idle.pop()
            try:
                await self._in_time(session.client.rset())
            except (aiosmtplib.SMTPException, OSError):
                session.client.close()  # the server may end what is idle: that is no outage
            else:
                return session
        session = SmtpSession(self._server)
        try:
            await self._in_time(session.client.connect())
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            session.client.close()
            raise NoSessionError(away(error)) from None
        return session

    async def _hand_over(self, session: SmtpSession, claim: DeliveryClaim) -> SendResult:
        sending = session.client.sendmail(self._server.sender, [claim.recipient], claim.content)
        try:
            _, text = await self._in_time(sending)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return classify(error)
        session.sent += 1
        return SendResult(SendVerdict.ACCEPTED, 250, text)

    async def _in_time(self, conversation: Awaitable[T]) -> T:
        """Each step has a timeout of its own too, but a server that drips could go on for ever."""
        async with asyncio.timeout(self._server.timeout):
            return await conversation

    def record(self, connection: Connection, claim: DeliveryClaim, answer: SendResult, now: int) -> None:
        """Mail servers are not kept account of."""

    async def rest(self) -> None:
        """Says goodbye; whether it is heard does not matter."""
        while self._idle:
            client = self._idle.pop().client
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await self._in_time(client.quit())
            client.close()


class Pace:
    """Lets pass so many a second, evenly."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0

    async def wait(self) -> None:
        now = time.monotonic()
        mine = max(now, self._next)
        self._next = mine + self._interval
        await asyncio.sleep(mine - now)


def away(error: Exception) -> SendResult:
    """What keeps a session from opening, a wrong password too, speaks about the installation, not about the mail."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return SendResult(SendVerdict.AWAY, error.code, f"{error.code} {error.message}")
    return SendResult(SendVerdict.AWAY, 0, f"{type(error).__name__}: {error}")


def classify(error: Exception) -> SendResult:
    """Final is only a 5xx that answers this very message: sender, recipient or content."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    if isinstance(error, ValueError):
        return SendResult(SendVerdict.PERMANENT, 0, "not a sendable address")
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return SendResult(SendVerdict.TEMPORARY, 0, f"{type(error).__name__}: {error}")
    if error.code in INSTALLATION_CODES:
        return away(error)
    about_message = isinstance(
        error, (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError)
    )
    final = about_message and 500 <= error.code < 600
    verdict = SendVerdict.PERMANENT if final else SendVerdict.TEMPORARY
    return SendResult(verdict, error.code, f"{error.code} {error.message}")
