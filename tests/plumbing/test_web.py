"""The HTTP server as a real one: whoever gets on has time, whoever does not is closed, and gives way before that."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from services.installation.ports import free_port
from services.platform.serving import web
from services.platform.serving.web import SECONDS, Step, WebServer, peer_of
from tests.servers import HOST, until

MOST = 10
LARGE = b"x" * 30_000_000
GET = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


class Place:
    """A server with few places. `let_go` ends what /held waits for."""

    def __init__(self) -> None:
        self.port = free_port()
        self.let_go = asyncio.Event()
        self.held = 0
        self.server = WebServer(self._app(), f"{HOST}:{self.port}", MOST)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def _app(self) -> Starlette:
        async def show(_: Request) -> Response:
            return PlainTextResponse("here")

        async def take(request: Request) -> Response:
            return PlainTextResponse(str(len(await request.body())))

        async def large(_: Request) -> Response:
            return Response(LARGE)

        async def hold(_: Request) -> Response:
            self.held += 1
            await self.let_go.wait()
            return PlainTextResponse("held")

        async def stream(_: Request) -> Response:
            async def lines() -> AsyncIterator[str]:
                while not self.let_go.is_set():
                    yield ": still here\n\n"
                    await asyncio.sleep(0.05)

            return StreamingResponse(lines())

        routes = [
            Route("/", show, methods=["GET"]),
            Route("/", take, methods=["POST"]),
            Route("/deaf", show, methods=["POST"]),
            Route("/large", large),
            Route("/held", hold),
            Route("/stream", stream),
        ]
        return Starlette(routes=routes)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    serving = asyncio.create_task(made.server.serve())
    await until(lambda: made.server.started)
    yield made
    made.let_go.set()
    made.server.stop()
    await serving


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in Step:
        monkeypatch.setitem(SECONDS, step, 0.5)


@asynccontextmanager
async def visitor(place: Place, source: str = HOST) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.bind((source, 0))
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (HOST, place.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\n", b"x: y\r\n"),
        (GET, b""),
        (GET + b"GET /", b"x"),
        (b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 50000\r\n\r\n", b"x"),
        (b"POST /deaf HTTP/1.1\r\nhost: here\r\ncontent-length: 50000\r\n\r\n", b"x"),
        (b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n", b""),
        (b"GET /large HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n", b""),
        (b"GET / HTTP/1.0\r\n\r\n" + b"x" * 200_000, b"x"),
    ],
    ids=[
        "nothing", "head that trickles", "nothing more", "next head that trickles", "body that trickles",
        "body that nobody wants", "answer not taken", "last answer not taken", "more than was asked",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("impatient")
async def test_a_step_has_one_time(place: Place, first: bytes, then: bytes) -> None:
    """However it is drawn out, the connection is over."""
    async with visitor(place) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(first)
        await until(lambda: place.connections == 1)

        async def over() -> bool:
            with contextlib.suppress(OSError):
                writer.write(then)
            await asyncio.sleep(0.05)
            return place.connections == 0

        await until(over)


@pytest.mark.usefixtures("impatient")
async def test_whoever_gets_on_has_all_the_time(place: Place) -> None:
    """Many requests on one connection, and one answer that goes on, last longer than any step."""
    async with (
        httpx2.AsyncClient(base_url=place.url, trust_env=False, timeout=30) as client,
        client.stream("GET", "/stream") as long,
    ):
        heard = aiter(long.aiter_bytes())
        for _ in range(20):
            assert await anext(heard)
            assert (await client.post("/", content=b"x" * 100_000)).text == "100000"
            await asyncio.sleep(0.1)
        place.let_go.set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the machine has one address of its own")
async def test_who_holds_most_gives_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's connection, as slow and older, is left alone; and whoever comes is answered."""
    monkeypatch.setitem(SECONDS, Step.ASK, 600)
    monkeypatch.setattr(web, "CHANCE_SECONDS", 0.0)
    async with contextlib.AsyncExitStack() as stack:
        reader, writer = await stack.enter_async_context(visitor(place))
        writer.write(GET[:-2])
        await until(lambda: place.connections == 1)
        for number in range(3 * MOST):
            await stack.enter_async_context(visitor(place, "127.0.0.2"))
            if number % MOST == 0:
                assert await answered(place) == 200
        assert place.connections <= MOST
        writer.write(GET[-2:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_many_at_once_leave_everybody_a_chance(place: Place) -> None:
    """A crowd from one's own address comes between one's connection and one's request."""
    async with contextlib.AsyncExitStack() as stack:
        reader, writer = await stack.enter_async_context(visitor(place))
        for _ in range(3 * MOST):
            await stack.enter_async_context(visitor(place))
        await until(lambda: place.connections > 3 * MOST)
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_no_crowd_is_larger_than_the_backlog(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BACKLOG", 1)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3 * MOST):
            await stack.enter_async_context(visitor(place))
        assert await answered(place) == 200
        assert place.connections <= MOST + 1


async def test_what_is_being_answered_never_gives_way(place: Place) -> None:
    """When all places are taken by it the next is told so, and not left to wait."""
    held = [asyncio.create_task(answered(place, "/held")) for _ in range(MOST)]
    await until(lambda: place.held == MOST)
    for _ in range(3):
        assert await answered(place) == 503
    place.let_go.set()
    assert await asyncio.gather(*held) == [200] * MOST
    assert await answered(place) == 200


async def test_answers_tell_the_date_of_the_moment(place: Place) -> None:
    async def date() -> str:
        async with httpx2.AsyncClient(trust_env=False) as client:
            return str((await client.get(place.url)).headers["date"])

    first = await date()

    async def moves_on() -> bool:
        return await date() != first

    await until(moves_on)


def test_a_line_is_one_peer() -> None:
    """Of IPv6 everybody has a network."""
    assert peer_of("192.0.2.1") != peer_of("192.0.2.2")
    assert peer_of("2001:db8::1") == peer_of("2001:db8::ffff:2") != peer_of("2001:db8:0:1::1")
    assert peer_of("::ffff:192.0.2.1") != peer_of("::ffff:192.0.2.2")


async def answered(place: Place, path: str = "/") -> int:
    async with httpx2.AsyncClient(base_url=place.url, trust_env=False, timeout=30) as client:
        return (await client.get(path)).status_code
