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
from yunhui.access.v1.access_pb2 import Grant, IntroduceRequest, IntroduceResponse, Joining

from services.platform.messaging import bus
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.serving.grants import Grants, GrantsLine
from services.platform.serving.identity import Principal
from services.platform.settings import Settings
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

STREAM = "KV_grants"
"""A bucket: a key is a subject, the newest message its value."""
PREFIX = "$KV.grants.account."
JOINING = "$KV.grants.joining"
SUBJECT = "$KV.grants.>"
STRANGERS = ""
"""In place of an account id: what becomes of accounts that have no grant."""
INTRODUCE = "directory.introduce"
INTRODUCE_SECONDS = 5.0
MOST_INTRODUCTIONS = 16
"""At once: however many strangers come, the directory has others to answer too."""
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
    if account_id == STRANGERS:
        return JOINING
    return PREFIX + base64.urlsafe_b64encode(account_id.encode()).rstrip(b"=").decode()


def to_account_id(subject: str) -> str:
    """Raises ValueError."""
    if subject == JOINING:
        return STRANGERS
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
        self._introductions: dict[str, asyncio.Task[IntroduceResponse | None]] = {}
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

    async def introduce(self, stranger: Principal) -> IntroduceResponse:
        """Asked once at a time of an account, for all who wait."""
        asking = self._introductions.get(stranger.account_id)
        if asking is None:
            connection = self._connection
            if connection is None or not connection.is_connected or len(self._introductions) >= MOST_INTRODUCTIONS:
                raise errors.unavailable("directory", retry_seconds=2)
            asking = asyncio.create_task(_introduce(connection, stranger))
            self._introductions[stranger.account_id] = asking
            asking.add_done_callback(lambda _: self._introductions.pop(stranger.account_id, None))
        answer = await asyncio.shield(asking)
        if answer is None:
            raise errors.unavailable("directory", retry_seconds=2)
        return answer

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
            account_id = to_account_id(subject)
            if account_id == STRANGERS:
                self._grants.put_joining(Joining.FromString(value))
            else:
                self._grants.put(account_id, Grant.FromString(value))
        except (ValueError, DecodeError):
            log.error("grants: one cannot be read: its account keeps what it had")


async def _introduce(connection: Client, stranger: Principal) -> IntroduceResponse | None:
    """None when the directory does not answer."""
    asked = IntroduceRequest(
        account_id=stranger.account_id,
        display_name=stranger.display_name,
        email=stranger.email,
        email_verified=stranger.email_verified,
        department=stranger.department,
    )
    body, headers = asked.SerializeToString(), traces.headers()
    try:
        reply = await connection.request(INTRODUCE, body, timeout=INTRODUCE_SECONDS, headers=headers)
        return IntroduceResponse.FromString(reply.data)
    except (nats.errors.Error, OSError, TimeoutError, DecodeError) as error:
        log.warning("%s: no answer: %s", INTRODUCE, type(error).__name__)
        return None
