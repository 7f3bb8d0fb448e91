"""A TCP proxy between two programs on this machine that cuts, stalls and delays what passes through it."""

import asyncio
from asyncio import StreamReader, StreamWriter

from services.installation.ports import free_port
from tests.servers import HOST

CHUNK = 65_536


class Proxy:
    """Listens on `port` and hands everything on to the port `target`, until told otherwise."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._links: set[StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pause_seconds = 0.0
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Breaks all connections, with whatever was on its way."""
        for link in self._links:
            link.transport.abort()

    async def stall(self, seconds: float) -> None:
        """Nothing passes, and nobody is told."""
        self._flowing.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._flowing.set()

    async def delay(self, seconds: float, pause_seconds: float) -> None:
        """For so long each piece takes the pause longer."""
        self._pause_seconds = pause_seconds
        try:
            await asyncio.sleep(seconds)
        finally:
            self._pause_seconds = 0.0

    async def _serve(self, near: StreamReader, answer: StreamWriter) -> None:
        try:
            far, question = await asyncio.open_connection(HOST, self._target)
        except OSError:
            answer.transport.abort()
            return
        self._links |= {answer, question}
        await asyncio.gather(self._pump(near, question), self._pump(far, answer))
        self._links -= {answer, question}

    async def _pump(self, source: StreamReader, sink: StreamWriter) -> None:
        try:
            while piece := await source.read(CHUNK):
                await asyncio.sleep(self._pause_seconds)
                await self._flowing.wait()
                sink.write(piece)
                await sink.drain()
        except OSError:  # the other direction ends the same way
            sink.transport.abort()
        else:
            sink.close()
