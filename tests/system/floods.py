"""Somebody who opens many connections to an HTTP door and gets on with nothing, and somebody who just wants a page."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from services.platform.serving.web import allow_files
from tests.servers import HOST

TRICKLE_SECONDS, REOPEN_SECONDS = 1.0, 5.0
OPENED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Way:
    """What is sent at first, and then again and again, of which nothing is ever read."""

    first: bytes = b""
    then: bytes = b""


IDLE = Way()
SLOW_HEAD = Way(b"GET / HTTP/1.1\r\nhost: here\r\n", b"x: y\r\n")
SLOW_BODY = Way(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 50000\r\n\r\n", b"x")


def unread(path: str, times: int = 200) -> Way:
    """More answers are asked for than the network holds."""
    return Way(f"GET {path} HTTP/1.1\r\nhost: here\r\n\r\n".encode() * times)


@dataclass
class Flood:
    """`number` connections from `source`; one that was closed is opened again, until it is told to stop."""

    port: int
    number: int
    way: Way
    source: str = HOST
    opened: int = 0
    closed: int = 0
    open_now: int = 0
    stopping: bool = False
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OPENED_AT_ONCE))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.number):
                group.create_task(self._keep_one())

    async def _keep_one(self) -> None:
        while not self.stopping:
            with contextlib.suppress(OSError):
                await self._hold_one()
            await asyncio.sleep(REOPEN_SECONDS)

    async def _hold_one(self) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.bind((self.source, 0))
            async with self._gate:
                await loop.sock_connect(connection, (HOST, self.port))
            self.opened += 1
            self.open_now += 1
            try:
                await loop.sock_sendall(connection, self.way.first)
                while not await self._is_over(connection):
                    if self.way.then:
                        await loop.sock_sendall(connection, self.way.then)
            finally:
                self.open_now -= 1
                self.closed += 1

    async def _is_over(self, connection: socket.socket) -> bool:
        """Whether the other side has closed; looked at without taking what it said."""
        await asyncio.sleep(TRICKLE_SECONDS)
        try:
            said = connection.recv(65536, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return not said or state != TCP_ESTABLISHED


TCP_ESTABLISHED = 1


@asynccontextmanager
async def flooded(*floods: Flood) -> AsyncIterator[None]:
    allow_files(2 * sum(flood.number for flood in floods))
    running = [asyncio.create_task(flood.run()) for flood in floods]
    try:
        yield
    finally:
        for flood in running:
            flood.cancel()
        await asyncio.wait(running)


async def codes(ask: Callable[[httpx2.AsyncClient], httpx2.Request], times: int) -> list[int]:
    """What somebody is answered who comes anew each time; 0 for a connection that broke."""
    found = []
    for _ in range(times):
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            try:
                found.append((await client.send(ask(client))).status_code)
            except httpx2.HTTPError:
                found.append(0)
    return found


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
