"""The receiver of webhooks, on a port of its own: proves, stores, and only then acknowledges."""

import asyncio
import json
import logging
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.meetings import callbacks
from services.meetings.accounts import Accounts
from services.meetings.callbacks import Checker, Proof, RefusedError, UnreadableError
from services.meetings.happenings import Happenings
from services.platform.data.database import ConflictError
from services.platform.serving import errors
from services.platform.serving.web import Server

log = logging.getLogger(__name__)

PATH = "/tencent"
ACKNOWLEDGED = "successfully received callback"
LARGEST_BODY = 256 * 1024
LARGEST_CHECK = 4096
BODY_SECONDS = 3.0
MOST_AT_ONCE = 256
"""With the largest bodies of all of them in hand, 64 MB."""


class TooLargeError(Exception):
    """More than LARGEST_BODY."""


class Receiver:
    """Answers: 200 stored, or of no concern; 403 not proved; 400 unreadable; 408 too slow; 413 too large; 503 again."""

    def __init__(self, checker: Checker, aes_key: str, accounts: Accounts, happenings: Happenings) -> None:
        self._checker = checker
        self._aes_key = aes_key
        self._accounts = accounts
        self._happenings = happenings

    def app(self) -> Starlette:
        handlers: dict[Any, Any] = {
            RefusedError: _forbidden,
            UnreadableError: _unreadable,
            ClientDisconnect: _unreadable,
            TooLargeError: _too_large,
            TimeoutError: _too_slow,
            errors.RpcError: _later,
            ConflictError: _later,
        }
        routes = [Route(PATH, self.verify, methods=["GET"]), Route(PATH, self.receive, methods=["POST"])]
        return Starlette(routes=routes, exception_handlers=handlers)

    async def verify(self, request: Request) -> Response:
        """The check of the address, also sent as a heartbeat: the plain text back, and nothing else."""
        # "+" has a meaning in base64 and another in a query, and not every sender escapes it
        check = request.query_params.get("check_str", "").replace(" ", "+")
        if not 0 < len(check) <= LARGEST_CHECK:
            raise UnreadableError("check_str is missing or too long")
        self._checker.check(_proof(request), check)
        return Response(callbacks.decode(check, self._aes_key), media_type="text/plain")

    async def receive(self, request: Request) -> Response:
        data = read_data(await read_body(request))
        proof = _proof(request)
        self._checker.check(proof, data)
        if not self._checker.settled_before(proof):
            plain = callbacks.decode(data, self._aes_key)
            await self._happenings.record(callbacks.read(plain, self._accounts))
            self._checker.settle(proof)
        return PlainTextResponse(ACKNOWLEDGED)


async def read_body(request: Request) -> bytes:
    """Raises TooLargeError before the rest is read, TimeoutError for one that trickles."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        raise TooLargeError
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BODY:
                raise TooLargeError
    return bytes(body)


def read_data(body: bytes) -> str:
    """`data` of the envelope, exactly as it was sent. Raises UnreadableError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("the body is no JSON") from error
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, str) or not data:
        raise UnreadableError("the body has no data")
    return data


def _proof(request: Request) -> Proof:
    timestamp, nonce, signature = (request.headers.get(name, "") for name in ("timestamp", "nonce", "signature"))
    return Proof(timestamp, nonce, signature)


def _forbidden(_: Request, error: RefusedError) -> Response:
    log.warning("a webhook is refused: %s", error)
    return PlainTextResponse(str(error), 403)


def _unreadable(_: Request, error: Exception) -> Response:
    log.warning("a webhook cannot be read: %s", error)
    return PlainTextResponse(str(error), 400)


def _too_large(_: Request, __: TooLargeError) -> Response:
    log.warning("a webhook is larger than %d bytes", LARGEST_BODY)
    return PlainTextResponse("too large", 413, headers={"connection": "close"})


def _too_slow(_: Request, __: TimeoutError) -> Response:
    log.warning("a webhook took longer than %g s to arrive", BODY_SECONDS)
    return PlainTextResponse("too slow", 408, headers={"connection": "close"})


def _later(_: Request, error: Exception) -> Response:
    log.error("a webhook cannot be stored now: %s", type(error).__name__)
    return PlainTextResponse("cannot be stored now, send it again", 503)


async def serve(app: Starlette, listen: str) -> None:
    """Until cancelled; then finishes what is under way. `listen` is host:port."""
    server = Server(app, listen, MOST_AT_ONCE)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()
        await serving
