"""HTTP plumbing: a server that ends in order when the program is told to stop, and that nobody fills by doing nothing.

uvicorn waits for a client as long as the client likes. Here a connection whose client is to move has a limited time for
it, and gives way before that when somebody else needs its place. What we are to answer is never given up.
"""

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.platform.tasks import wait_at_most

log = logging.getLogger(__name__)

MOST_AT_ONCE = 1000
GRACE_SECONDS = 5
BACKLOG = 1024
"""So many connections may be accepted before the first of them is looked at."""
CHANCE_SECONDS = 1.0
"""Who is to move may do so for so long before giving way, also while the `BACKLOG` comes at once."""
DATE_SECONDS = 1.0
"""What the header Date tells."""
SPARE_FILES = 256
"""Besides connections: the bus, the services, files."""
UNHEARD_SECONDS = 60
"""What was sent and is not acknowledged for so long went to nobody: the network, or the machine behind it, is gone."""


class Step(Enum):
    """What a client may have to do next."""

    ASK = "to send the head of a request, after it came or after the last answer"
    SEND = "to send the rest of the request; who reads it may be less patient"
    FETCH = "to take what we have said"


SECONDS = {Step.ASK: 10.0, Step.SEND: 30.0, Step.FETCH: 60.0}
"""For all of a step, however many bytes at a time it is made of."""


class Waiting:
    """Connections whose client is to move, by peer, those first that have been waiting longest."""

    def __init__(self) -> None:
        self._of: dict[str, dict[WebConnection, None]] = {}

    def add(self, connection: "WebConnection") -> None:
        self._of.setdefault(connection.peer, {})[connection] = None

    def remove(self, connection: "WebConnection") -> None:
        mine = self._of.get(connection.peer, {})
        mine.pop(connection, None)
        if not mine:
            self._of.pop(connection.peer, None)

    def longest(self, but: "WebConnection") -> "WebConnection | None":
        """Of the peer that has most of them, so that whoever opens many loses their own."""
        most = max(self._of.values(), key=len, default={})
        return next((each for each in most if each is not but), None)


class WebConnection(H11Protocol):
    """One of at most `most` connections, of `peer`. `step` is what its client is to do; None while we are to answer."""

    def __init__(self, *arguments: Any, waiting: Waiting, most: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.peer = ""
        self.step: Step | None = None
        self.since = 0.0
        """When the step began, in the loop's time."""
        self._waiting = waiting
        self._most = most
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that we are told of every byte that nobody takes
        self.peer = peer_of(self.client[0] if self.client else "")
        hear(transport.get_extra_info("socket"))
        self._look()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look()

    def _look(self) -> None:
        if (step := self._next_step()) is not self.step:
            self._expect(step)

    def _next_step(self) -> Step | None:
        if self.flow.write_paused:
            return Step.FETCH
        if self.conn.their_state is h11.IDLE:
            return Step.ASK
        return Step.SEND if self.conn.their_state is h11.SEND_BODY else None

    def _expect(self, step: Step | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._waiting.remove(self)
        self.step, self.since, self._timer = step, self.loop.time(), None
        if step:
            self._waiting.add(self)
            self._timer = self.loop.call_later(SECONDS[step], self.give_up)

    def _make_room(self) -> None:
        while (over := len(self.connections) - self._most) > 0:
            other = self._waiting.longest(but=self)
            if other is None:
                self.limit_concurrency = 0  # all others wait for us: uvicorn answers 503, and closes it
                return
            if over <= BACKLOG and self.loop.time() - other.since < CHANCE_SECONDS:
                return
            other.give_up()

    def give_up(self) -> None:
        """Without a word: who says nothing, or takes nothing, reads nothing."""
        self._expect(None)
        self.connections.discard(self)
        self.transport.abort()


class WebServer(uvicorn.Server):
    """Serves `app` at `listen`, host:port. `stop` takes no new requests and lets those under way finish."""

    def __init__(self, app: ASGIApp, listen: str, most_at_once: int = MOST_AT_ONCE) -> None:
        host, _, port = listen.rpartition(":")
        allow_files(most_at_once + BACKLOG + SPARE_FILES)
        protocol: Any = partial(WebConnection, waiting=Waiting(), most=most_at_once)  # uvicorn takes it for a class
        config = uvicorn.Config(
            app,
            host=host.strip("[]"),
            port=int(port),
            http=protocol,
            ws="none",
            backlog=BACKLOG,
            # of connections, and of requests, which still take their time when the client has gone away
            limit_concurrency=most_at_once + max(most_at_once, BACKLOG) + 1,
            timeout_graceful_shutdown=GRACE_SECONDS,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # the settings say where people find us, no header of theirs
        )
        super().__init__(config)
        self._told_to_stop = asyncio.Event()

    async def main_loop(self) -> None:
        """uvicorn's looks ten times a second whether it is to stop. Ours is told, and only keeps the date up."""
        while not await self.on_tick(0):
            await wait_at_most(self._told_to_stop, DATE_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The program itself decides when to stop."""
        yield

    def stop(self) -> None:
        self.should_exit = True
        self._told_to_stop.set()


def peer_of(address: str) -> str:
    """Whom we count connections by: an address, of IPv6 the network of one line (/64)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address) or parsed.ipv4_mapped:
        return address
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


def hear(connection: Any) -> None:
    """Has the system end a connection whose other side is gone without a word, where it can (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_SECONDS * 1000)


def allow_files(number: int) -> None:
    """Takes what the system allows us, when it gave us less to begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= number:
        return
    allowed = number if hard == resource.RLIM_INFINITY else min(number, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < number:
        log.warning("only %d files may be open at once, fewer than %d: raise the limit (ulimit -n)", allowed, number)


class Pages:
    """An application at `listen` as a program of its own serves it; see process.run_until_stopped.

    Ends the program with status 1 when the address is taken.
    """

    def __init__(self, app: ASGIApp, listen: str) -> None:
        self._server = WebServer(app, listen)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._serving = asyncio.create_task(self._server.serve())

    async def set_ready(self, ready: bool) -> None:
        """Whoever wants to know asks for a page."""

    async def stop(self) -> None:
        self._server.stop()
        if self._serving:
            await self._serving
