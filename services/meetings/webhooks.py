"""The port at which providers call: what may come in and how long it may take, and what faults are answered with.

Which calls there are, what proves them and what they tell is each provider's own: it brings routes.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from services.platform.data.database import ConflictError
from services.platform.serving import errors
from services.platform.serving.web import WebServer

log = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024
BODY_SECONDS = 3.0
MOST_AT_ONCE = 256
"""With the largest bodies of all of them in hand, 64 MB."""


class WebhookRefusedError(Exception):
    """The caller did not prove to be the provider, or not now. The message holds nothing of what was sent."""

    @property
    def reason(self) -> str:
        return str(self)


class WebhookUnreadableError(Exception):
    """The call is genuine, or nothing at all is proved yet, and its content cannot be read. As above."""

    @property
    def reason(self) -> str:
        return str(self)


class BodyTooLargeError(Exception):
    """More than LARGEST_BODY."""


def app(routes: Sequence[BaseRoute]) -> Starlette:
    """Answers, besides those of `routes`: 403 not proved; 400 unreadable; 408 too slow; 413 too large; 503 again."""
    handlers: dict[Any, Any] = {
        WebhookRefusedError: _forbidden,
        WebhookUnreadableError: _unreadable,
        ClientDisconnect: _unreadable,
        BodyTooLargeError: _too_large,
        TimeoutError: _too_slow,
        errors.RpcError: _later,
        ConflictError: _later,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


async def read_body(request: Request) -> bytes:
    """Raises TooLargeError before the rest is read, TimeoutError for one that trickles."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        raise BodyTooLargeError
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BODY:
                raise BodyTooLargeError
    return bytes(body)


def _forbidden(_: Request, error: WebhookRefusedError) -> Response:
    log.warning("a webhook is refused: %s", error)
    return PlainTextResponse(str(error), 403)


def _unreadable(_: Request, error: Exception) -> Response:
    log.warning("a webhook cannot be read: %s", error)
    return PlainTextResponse(str(error), 400)


def _too_large(_: Request, __: BodyTooLargeError) -> Response:
    log.warning("a webhook is larger than %d bytes", LARGEST_BODY)
    return PlainTextResponse("too large", 413, headers={"connection": "close"})


def _too_slow(_: Request, __: TimeoutError) -> Response:
    log.warning("a webhook took longer than %g s to arrive", BODY_SECONDS)
    return PlainTextResponse("too slow", 408, headers={"connection": "close"})


def _later(_: Request, error: Exception) -> Response:
    log.error("a webhook cannot be stored now: %s", type(error).__name__)
    return PlainTextResponse("cannot be stored now, send it again", 503)


async def serve(routes: Sequence[BaseRoute], listen: str) -> None:
    """Until cancelled; then finishes what is under way. `listen` is host:port, not opened when nobody calls."""
    if not routes:
        await asyncio.Event().wait()
    server = WebServer(app(routes), listen, MOST_AT_ONCE)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()
        await serving
