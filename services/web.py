"""HTTP plumbing: a server that ends in order when the program is told to stop."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

MOST_AT_ONCE = 1000
GRACE_SECONDS = 5


class Server(uvicorn.Server):
    """Serves `app` at `listen`, host:port. `stop` takes no new requests and lets those under way finish."""

    def __init__(self, app: ASGIApp, listen: str, most_at_once: int = MOST_AT_ONCE) -> None:
        host, _, port = listen.rpartition(":")
        config = uvicorn.Config(
            app,
            host=host.strip("[]"),
            port=int(port),
            limit_concurrency=most_at_once,
            timeout_graceful_shutdown=GRACE_SECONDS,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # the settings say where people find us, no header of theirs
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The program itself decides when to stop."""
        yield

    def stop(self) -> None:
        self.should_exit = True


async def serve_until_stopped(app: ASGIApp, listen: str) -> None:
    """Until SIGTERM or SIGINT. Ends the program with status 1 when the address is taken."""
    server = Server(app, listen)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    await server.serve()
