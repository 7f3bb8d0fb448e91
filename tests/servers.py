"""Real servers for tests: a mail sink that can misbehave, and a nats-server with the real rules."""

import asyncio
import email
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import grpc
import nats
from aiosmtpd.smtp import SMTP
from nats.aio.client import Client
from nats.js.api import ConsumerInfo

from services.installation import topology
from services.installation.ports import free_port
from services.installation.registry import BUS_USERS
from services.notifier.subscriptions import CONSUMER, STREAM
from services.platform.serving import rpc
from tests.patience import PATIENCE_SECONDS

HOST = "127.0.0.1"
CONFIGURATION = Path(topology.__file__).with_name("nats.conf")


def password(user: str) -> str:
    return f"p-{user}"


async def until(condition: Any, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for a condition, plain or awaitable, to hold. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if await held if asyncio.iscoroutine(held) else held:
                return
            await asyncio.sleep(0.02)


class MailSink:
    """An SMTP server that keeps what it takes. `answers` are given to the next DATA commands, in order.

    Besides answers: "close" cuts the connection after DATA, "lost" takes the mail and cuts it before the answer,
    "stall" takes it and never answers. `options` are aiosmtpd's, for encryption and sign-in.
    """

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.taken: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.refused_recipients: Mapping[str, str] = {}
        self.answers: list[str] = []
        self.asked = 0
        self.sessions = 0
        self.gate: asyncio.Event | None = None
        self._options = options
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._session, HOST, self.port)

    def _session(self) -> SMTP:
        self.sessions += 1
        return SMTP(self, hostname="sink.test", loop=asyncio.get_running_loop(), **self._options)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if address in self.refused_recipients:
            return self.refused_recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer in ("close", "lost") and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        if self.gate:
            await self.gate.wait()
        if answer.startswith("250") or answer in ("lost", "stall"):
            self.raw.append(envelope.content)
            message = email.message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append(message)
        if answer == "stall":
            await asyncio.sleep(PATIENCE_SECONDS)
        return answer

    def message_ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.taken]


class Bus:
    """nats-server under the configuration that installations use: the notifier may do what it may do there.

    `tls` are the NATS_TLS_* of nats-tls.conf.
    """

    def __init__(self, folder: Path, tls: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._folder = folder
        self._tls = tls
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    async def start(self, **passwords: str) -> None:
        given = {user: password(user) for user in BUS_USERS} | passwords
        configuration = CONFIGURATION.with_name("nats-tls.conf") if self._tls else CONFIGURATION
        words = {f"NATS_{user.upper()}_PASSWORD": word for user, word in given.items()}
        self._process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("nats-server")),
            *("-c", str(configuration), "-a", HOST, "-p", str(self.port), "-sd", str(self._folder)),
            env={**os.environ, **words, **(self._tls or {})},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until(self._greets)

    async def _greets(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        greeting = b"INFO" if self._tls else await reader.readline()  # behind TLS it waits for us to begin
        writer.close()
        return greeting.startswith(b"INFO")

    async def stop(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """It keeps its connections, and answers nobody."""
        assert self._process
        status = Path(f"/proc/{self._process.pid}/stat")
        self._process.send_signal(signal.SIGSTOP)
        try:
            await until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def connect(self, user: str = "admin") -> Client:
        return await nats.connect(self.url, user=user, password=password(user), inbox_prefix=f"_INBOX_{user}")

    async def set_up(self) -> None:
        client = await self.connect()
        await topology.apply(client)
        await client.close()

    async def publish(self, headers: Mapping[str, str], payload: bytes, subject: str = "") -> None:
        client = await self.connect("booking")
        target = subject or headers["ce-type"]
        await client.jetstream().publish(target, payload, headers=dict(headers))
        await client.close()

    async def messages(self, stream: str) -> list[Any]:
        """All of a stream, in order."""
        client = await self.connect()
        jetstream = client.jetstream()
        state = (await jetstream.stream_info(stream)).state
        found = [await jetstream.get_msg(stream, seq) for seq in range(state.first_seq, state.last_seq + 1)]
        await client.close()
        return found

    async def count(self, stream: str, wanted: int) -> bool:
        client = await self.connect()
        info = await client.jetstream().stream_info(stream)
        await client.close()
        return bool(info.state.messages == wanted)

    async def drained(self) -> bool:
        """Whether the notifier has settled all there is."""
        info = await self.consumer()
        return not info.num_pending and not info.num_ack_pending

    async def consumer(self) -> ConsumerInfo:
        client = await self.connect()
        info: ConsumerInfo = await client.jetstream().consumer_info(STREAM, CONSUMER)
        await client.close()
        return info


def partly(add: Callable[[Any, grpc.aio.Server], None], servicer: Any) -> rpc.Add:
    """Adds a servicer that answers some of its methods only; mypy would call such a class abstract."""
    return lambda server: add(servicer(), server)
