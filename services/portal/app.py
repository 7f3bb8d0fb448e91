"""The portal put together: the door that every request goes through, the sign-in, and the pages."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.platform import readiness
from services.platform.clock import Clock
from services.platform.serving import errors
from services.platform.serving.grants import IMPOSSIBLE, WAITING, Grants
from services.portal import assets, calendars, csrf, headers, notices, uploads
from services.portal.client import Services
from services.portal.navigation import Area
from services.portal.session_store import StoreAwayError
from services.portal.sessions import Sessions, introduced, with_grants
from services.portal.sign_in import SIGN_OUT, SignIn, again, here, typed

log = logging.getLogger(__name__)

OPEN = ("/static/", "/health", "/readyz")
"""Without a session, at whatever name we were called."""
LARGEST_BODY = 64 * 1024
BODY_SECONDS = 10.0
COMPRESSION = 6


class TooLargeError(Exception):
    """More than LARGEST_BODY."""


@dataclass(frozen=True, slots=True)
class Door:
    """Middleware: who is there, and whether a form may come in, before any code of a page runs."""

    app: ASGIApp
    sessions: Sessions
    grants: Grants
    cookie: str
    portal_url: str
    uploads: Collection[str] = ()
    """Addresses whose forms carry a file: those pages read it themselves, once we know who sends it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OPEN):
            await self.app(scope, receive, send)
            return
        try:
            answer, receive = await self._read(scope, receive)
        except TooLargeError:
            answer = notices.show(Request(scope), notices.TOO_LARGE, 413)
        except (TimeoutError, ClientDisconnect):
            answer = Response(status_code=408, headers={"connection": "close"})
        await (answer or self.app)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """The refusal, if there is one, and where the body is to be read from."""
        if scope["path"] in self.uploads and scope["method"] not in csrf.SAFE:
            async with asyncio.timeout(BODY_SECONDS):
                head, more = await uploads.read_head(receive)
            return await self._answer(uploads.without_file(scope, head)), uploads.put_back(head, more, receive)
        body = await read_body(Request(scope, receive))
        answer = await self._answer(Request(scope, replayed(scope, body, receive)))
        return answer, replayed(scope, body, receive)

    async def _answer(self, request: Request) -> Response | None:
        """None lets it through."""
        request.state.person = None
        request.state.session_secret = request.cookies.get(self.cookie, "")
        if request.method in csrf.SAFE and request.headers.get("host") != urlsplit(self.portal_url).netloc:
            return RedirectResponse(self.portal_url + here(request), 307)
        try:
            await self._recognize(request)
        except StoreAwayError:
            return await store_away(request)
        except errors.RpcError as refusal:
            if request.url.path != SIGN_OUT or not refusal.reason.endswith(WAITING):
                return await self._without_grant(request, refusal)
        return None if request.method in csrf.SAFE else await self._refusal(request)

    async def _recognize(self, request: Request) -> None:
        # what a page fetches by itself says nothing about whether anybody sits before it
        by_itself = request.method == "GET" and request.headers.get("sec-fetch-mode", "navigate") != "navigate"
        session = await self.sessions.find(request.state.session_secret, sign_of_life=not by_itself)
        request.state.session = session
        if session:
            await introduced(session.person, self.grants)
            request.state.person = with_grants(session.person, self.grants)

    async def _without_grant(self, request: Request, refusal: errors.RpcError) -> Response:
        """Of somebody whose account is disabled the session ends, and of who waits to be let in it goes on; else it is
        not known what was granted."""
        session, request.state.session = request.state.session, None
        if refusal.code is not grpc.StatusCode.PERMISSION_DENIED:
            return await store_away(request)
        if refusal.reason.endswith(WAITING):
            return notices.show_waiting(request, session.person, self.grants.joining, here(request))
        await self.sessions.end(request.state.session_secret)
        impossible = refusal.reason.endswith(IMPOSSIBLE)
        return notices.show(request, notices.IMPOSSIBLE if impossible else notices.DISABLED, 403)

    async def _refusal(self, request: Request) -> Response | None:
        if csrf.is_foreign(request, self.portal_url):
            return notices.show(request, notices.FORGED, 403)
        if await csrf.is_genuine(request):
            return None
        if "origin" not in request.headers:
            return notices.show(request, notices.FORGED, 403)
        # a page of ours, of an earlier sign-in: nothing is done, and nothing typed is lost
        if request.state.person is None:
            return await again(request)
        return notices.show(request, notices.STALE, 403, form=await typed(request))


class Portal(Starlette):
    """Starlette with security headers around everything, the errors included."""

    def __init__(self, safe: Any, **options: Any) -> None:
        super().__init__(**options)
        self._safe = safe

    def build_middleware_stack(self) -> ASGIApp:
        return headers.SecurityHeaders(super().build_middleware_stack(), self._safe)


def build(
    sign_in: SignIn,
    sessions: Sessions,
    services: Services,
    clock: Clock,
    portal_url: str,
    pages: Sequence[BaseRoute],
    opened: Callable[[], AbstractAsyncContextManager[None]],
    grants: Grants,
    report_uri: str = "",
    calendar_domain: str = "",
    areas: Sequence[Area] = (),
    with_files: Collection[str] = (),
) -> Portal:
    """`opened` is open as long as the portal serves; `report_uri` is where browsers tell what the policy stopped;
    `calendar_domain` is what reservations are named after in calendars, the portal's host when empty;
    forms at `with_files` carry a file (uploads.py)."""

    ready = Readiness(sessions.reachable)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with opened(), ready.watched():
            yield
        await services.close()

    static = Mount("/static", assets.Assets(directory=assets.FOLDER, check_dir=False))
    handlers: dict[Any, Any] = {HTTPException: no_page, StoreAwayError: store_went_away, Exception: failed}
    app = Portal(
        headers.fixed(https=portal_url.startswith("https:"), report_uri=report_uri),
        routes=[Route("/health", healthy), Route("/readyz", ready.show), static, *sign_in.routes(), *pages],
        middleware=[
            Middleware(GZipMiddleware, compresslevel=COMPRESSION),  # never a stream of events, which must not wait
            Middleware(
                Door,
                sessions=sessions,
                grants=grants,
                cookie=sign_in.cookies.session,
                portal_url=portal_url,
                uploads=frozenset(with_files),
            ),
        ],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    app.state.services, app.state.sign_in, app.state.clock = services, sign_in, clock
    app.state.portal_url, app.state.areas = portal_url, areas
    app.state.streams = Counter()
    app.state.calendar_domain = calendar_domain or urlsplit(portal_url).hostname
    return app


async def read_body(request: Request) -> bytes:
    """Of a form, to look for its token before the page reads it. Raises TooLargeError, TimeoutError."""
    body = bytearray()
    if request.method in csrf.SAFE:
        return bytes(body)
    async with asyncio.timeout(BODY_SECONDS):
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BODY:
                raise TooLargeError
    return bytes(body)


def replayed(scope: Scope, body: bytes, receive: Receive) -> Receive:
    """What was read once is there again; what comes after it comes from the browser."""
    if scope["method"] in csrf.SAFE:
        return receive
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def store_away(request: Request) -> Response:
    form = None if request.method in csrf.SAFE else await typed(request)
    return notices.show(request, notices.STORE_AWAY, 503, target=here(request), form=form)


async def store_went_away(request: Request, _: Exception) -> Response:
    return await store_away(request)


async def no_page(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    notice = {404: notices.NOT_FOUND, 405: notices.WRONG_METHOD}.get(status, notices.FAILED)
    return notices.show(request, notice, status)


async def failed(request: Request, error: Exception) -> Response:
    log.exception("%s %s failed", request.method, calendars.without_secret(request.scope["path"]), exc_info=error)
    return notices.show(request, notices.FAILED, 500)


async def healthy(_: Request) -> Response:
    """It runs; whoever restarts programs should ask this."""
    return PlainTextResponse("ok")


class Readiness:
    """Whether people can be recognized: looked at every few seconds, and not by whoever asks."""

    def __init__(self, check: readiness.Check) -> None:
        self._check = check
        self._ready = False

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(readiness.watch({"sessions": self._check}, self._tell))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _tell(self, ready: bool) -> None:
        self._ready = ready

    async def show(self, _: Request) -> Response:
        return PlainTextResponse("ready") if self._ready else PlainTextResponse("not ready", 503)
