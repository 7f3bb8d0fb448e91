"""Somebody who speaks HTTP/2 badly on purpose: frames made by hand (RFC 9113), bounded in number."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

DATA, HEADERS, RST_STREAM, SETTINGS, CONTINUATION = 0, 1, 3, 4, 9
NO_WINDOW = b"\x00\x04\x00\x00\x00\x00"
"""As settings: not a byte of an answer may be sent."""
END_STREAM = ACK = 1
END_HEADERS = 4
CANCEL = (8).to_bytes(4, "big")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STEP = 100
"""Frames that go out together: each step waits until the last has left, so that what is sent lies with the server."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: str, value: str) -> bytes:
    """A header that no table remembers (RFC 7541, 6.2.2)."""
    return b"\x00" + b"".join(_length(len(part)) + part.encode() for part in (name, value))


def _length(number: int) -> bytes:
    """An integer with a prefix of 7 bits (RFC 7541, 5.1)."""
    if number < 127:
        return bytes([number])
    found, number = [127], number - 127
    while number >= 128:
        found.append(number % 128 + 128)
        number //= 128
    return bytes([*found, number])


def block(path: str, **more: str) -> bytes:
    """The headers of a gRPC call."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "yunhui", "te": "trailers"}
    return b"".join(field(*each) for each in (fields | {"content-type": "application/grpc"} | more).items())


def message(body: bytes) -> bytes:
    """One message of gRPC, as the payload of DATA."""
    return b"\x00" + len(body).to_bytes(4, "big") + body


class Stranger:
    """One connection; `ended` when the server has closed it, `greeted` when it has said what it allows."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.greeted = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(reader))
        self._next = 1

    @property
    def ended(self) -> bool:
        return self._listening.done()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Reads all and acknowledges the settings, as whoever wants to be heard must."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == SETTINGS and not head[4] & ACK:
                    self._writer.write(frame(SETTINGS, ACK, 0))
                    self.greeted.set()

    def stream(self) -> int:
        self._next += 2
        return self._next

    async def send(self, frames: Iterable[bytes]) -> None:
        """All of them, or until the server has closed the connection."""
        waiting: list[bytes] = []
        with contextlib.suppress(ConnectionError):
            for each in frames:
                if self.ended:
                    return
                waiting.append(each)
                if len(waiting) == STEP:
                    self._writer.write(b"".join(waiting))
                    waiting.clear()
                    await self._writer.drain()
                    await asyncio.sleep(0)
            self._writer.write(b"".join(waiting))
            await self._writer.drain()

    def close(self) -> None:
        self._listening.cancel()
        self._writer.close()


@asynccontextmanager
async def strangers(address: str, number: int, settings: bytes, source: str) -> AsyncIterator[list[Stranger]]:
    """So many connections to a program from the address `source`, of which each has agreed on the settings."""
    host, _, port = address.rpartition(":")
    made: list[Stranger] = []
    try:
        for _ in range(number):
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
            writer.write(PREFACE + frame(SETTINGS, 0, 0, settings))
            made.append(Stranger(reader, writer))
            await made[-1].greeted.wait()
        yield made
    finally:
        for each in made:
            each.close()
