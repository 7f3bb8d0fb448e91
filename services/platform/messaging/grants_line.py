"""How the directory's grants reach a program: it watches their bucket on a connection of its own."""

import asyncio
import base64
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from yunhui.access.v1.access_pb2 import Grant

from services.platform.messaging import bus
from services.platform.serving import errors
from services.platform.serving.grants import Grants, GrantsLine
from services.platform.settings import Settings
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

STREAM = "KV_grants"
"""A bucket: a key is a subject, the newest message its value."""
PREFIX = "$KV.grants.account."
SUBJECT = f"{PREFIX}*"
NO_FURTHER = 10037
"""What JetStream says when there is no message from there on."""
RETRY_SECONDS = 0.5
CONFIRM_SECONDS = 5.0
"""However late the answer comes, it proves what was so when it was asked for."""
GIVEN_UP_SECONDS = 60
FRESH_SECONDS = 0.4
"""What was confirmed so recently is not confirmed again: who loses a permission has lost it within a second."""
PING_SECONDS = 20
"""A server that says nothing is given up after three of them."""


def to_subject(account_id: str) -> str:
    """Where the account's grant is: account ids hold characters that subjects may not."""
    return PREFIX + base64.urlsafe_b64encode(account_id.encode()).rstrip(b"=").decode()


def to_account_id(subject: str) -> str:
    """Raises ValueError."""
    encoded = subject.removeprefix(PREFIX)
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()


class BusLine(GrantsLine):
    """Fills and follows `grants`. `run` it."""

    def __init__(self, settings: Settings, program: str, grants: Grants) -> None:
        self._settings = settings
        self._program = program
        self._grants = grants
        self._connection: Client | None = None
        self._heard: Subscription | None = None
        self._followed = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._held_at = -math.inf
        self._confirmed_at = -math.inf
        self._ping: asyncio.Task[None] | None = None
        self._pings: set[asyncio.Task[None]] = set()
        self._pinged_at = -math.inf
        grants.line = self

    def silent_for(self) -> float:
        if self._followed.is_set() and self._connection and self._connection.is_connected:
            self._held_at = time.monotonic()
            return 0.0
        return time.monotonic() - self._held_at

    async def check(self) -> None:
        """For readiness. Raises ConnectionError while it is not heard what is granted."""
        if self.silent_for():
            raise ConnectionError("grants are not followed")

    async def confirm(self) -> None:
        if time.monotonic() - self._confirmed_at >= FRESH_SECONDS and not await self._answers():
            raise errors.unavailable("directory", retry_seconds=2)

    async def _answers(self) -> bool:
        """What the server sent before its answer has come before it."""
        if not self._followed.is_set() or self._connection is None or self._heard is None:
            return False
        if self._ping is None or self._ping.done() or time.monotonic() - self._pinged_at > FRESH_SECONDS:
            self._ping = asyncio.create_task(self._connection.flush(timeout=GIVEN_UP_SECONDS))
            self._pings.add(self._ping)
            self._ping.add_done_callback(self._pings.discard)
            self._pinged_at = time.monotonic()
        ping, asked_at = self._ping, self._pinged_at
        # never cancelled: nats-py drops the connection when a pong comes for nobody
        await asyncio.wait((ping,), timeout=CONFIRM_SECONDS)
        if not ping.done() or ping.exception():
            return False
        self._confirmed_at = max(self._confirmed_at, asked_at)
        while self._heard.pending_msgs:  # noqa: ASYNC110 - a task of the library's hands on what has come
            await asyncio.sleep(0)
        return self._followed.is_set()

    async def run(self) -> None:
        """Until cancelled."""
        async with self._connected() as connection:
            await run_forever(lambda: self._follow(connection), "grants of the directory", RETRY_SECONDS)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        options = {**bus.connect_options(self._settings, f"{self._program} grants", self._interrupt)}
        self._connection = await nats.connect(self._settings.nats_url, **options, ping_interval=PING_SECONDS)
        try:
            yield self._connection
        finally:
            await bus.close(self._connection)

    async def _interrupt(self) -> None:
        self._followed.clear()
        self._interrupted.set()

    async def _follow(self, connection: Client) -> None:
        """Hears what comes and takes in all that there is, until something could have been missed."""
        self._interrupted.clear()
        self._heard = await connection.subscribe(SUBJECT, cb=self._on_grant)
        try:
            await self._take_in(connection.jetstream())
            self._followed.set()
            await self._interrupted.wait()
        finally:
            self._followed.clear()
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._heard.unsubscribe()

    async def _take_in(self, stream: JetStreamContext) -> None:
        """One by one and from the leader: a replica of the bucket could be behind what we have begun to hear."""
        seq = 0
        try:
            while True:
                found = await stream.get_msg(STREAM, seq=seq + 1, subject=SUBJECT, next=True)
                self._put(found.subject or "", found.data or b"")
                seq = found.seq or seq + 1
        except NotFoundError as error:
            if error.err_code != NO_FURTHER:  # but no such bucket: nobody knows what was granted
                raise

    async def _on_grant(self, msg: Msg) -> None:
        self._put(msg.subject, msg.data)

    def _put(self, subject: str, value: bytes) -> None:
        try:
            self._grants.put(to_account_id(subject), Grant.FromString(value))
        except (ValueError, DecodeError):
            log.error("grants: one cannot be read: its account keeps what it had")
