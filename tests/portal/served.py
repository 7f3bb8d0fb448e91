"""The portal served for tests, a browser without scripts, and the issuer to sign in with."""

import asyncio
import html
import json
import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.booking.v1.booking_service_pb2_grpc import BookingServiceServicer
from yunhui.booking.v1.booking_service_pb2_grpc import add_BookingServiceServicer_to_server as add_to

from services.installation.ports import free_port
from services.platform.clock import SystemClock
from services.platform.serving import rpc
from services.platform.serving.grants import Grants
from services.platform.serving.identity import KeySource, Verifier
from services.platform.serving.permissions import Needed
from services.platform.serving.web import WebServer
from services.platform.settings import Settings
from services.portal import app, csrf, live
from services.portal.attempts import to_key
from services.portal.client import Services
from services.portal.oidc import Client, Issuer
from services.portal.session_store import Bucket, Store
from services.portal.sessions import Session, Sessions
from services.portal.sign_in import CALLBACK, SignIn, required
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, Bus, partly, password, until

CLIENT_ID, CLIENT_SECRET = "yunhui-portal", "a-secret-of-tests-only"
PEOPLE = {
    "ann": {"name": "安 Ann", "email": "ann@example.org", "roles": ["booker"], "locale": "en"},
    "bob": {"name": "Bob", "email": "bob@example.org", "roles": ["support"], "locale": "zh-CN"},
}


@dataclass
class Provider:
    """oidc-provider as a process. `jwt`: access tokens are JWTs meant for `audience`, else the id token serves."""

    folder: Path
    scratch: Path
    portal: str
    jwt: bool = True
    refresh: bool = False
    seconds: int = 3600
    auth_method: str = "client_secret_basic"
    audience: str = "yunhui"
    port: int = field(default_factory=free_port)

    @property
    def issuer(self) -> str:
        return f"http://{HOST}:{self.port}"

    def set_roles(self, account: str, *roles: str) -> None:
        people = json.loads(self._people.read_text())
        people[account]["roles"] = list(roles)
        self._people.write_text(json.dumps(people))

    @property
    def _people(self) -> Path:
        return self.scratch / "people.json"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._people.write_text(json.dumps(PEOPLE))
        settings = {
            "port": self.port,
            "portal": self.portal,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "authMethod": self.auth_method,
            "jwt": self.jwt,
            "refresh": self.refresh,
            "seconds": self.seconds,
            "audience": self.audience,
            "people": str(self._people),
        }
        process = await asyncio.create_subprocess_exec(
            "node",
            "provider.js",
            cwd=self.folder,
            env={**os.environ, "PROVIDER": json.dumps(settings)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (line := await process.stdout.readline()) != b"ready\n":
                    assert line, "the provider ended"
            yield
        finally:
            process.terminate()
            await process.wait()


class Rooms(BookingServiceServicer):
    """Says whom a call's token proves."""

    async def ListRooms(self, request: api.ListRoomsRequest, context: Any) -> api.ListRoomsResponse:  # noqa: N802
        caller = rpc.principal()
        return api.ListRoomsResponse(rooms=[pb.Room(room_id=f"{caller.account_id} {sorted(caller.roles)}")])

    async def WatchReservations(  # noqa: N802
        self, request: api.WatchReservationsRequest, context: Any
    ) -> AsyncIterator[api.WatchReservationsResponse]:
        """Nothing happens."""
        await context.send_initial_metadata(())
        while True:
            await asyncio.sleep(60)
            yield api.WatchReservationsResponse()


@dataclass
class Served:
    """A portal at work. `now` is the time that it believes, in epoch seconds; `posted` is what its page took."""

    url: str
    shift: float = 0.0
    posted: list[dict[str, str]] = field(default_factory=list)
    grants: Grants = field(default_factory=Grants)

    def now(self) -> float:
        return time.time() + self.shift


class Browser:
    """Keeps cookies, follows redirects and refreshes one by one, runs no scripts, and says where a form comes from."""

    def __init__(self, portal: str) -> None:
        self.portal = portal
        self.client = httpx2.AsyncClient(timeout=PATIENCE_SECONDS)
        self.visited: list[str] = []

    async def open(self, address: str, **options: Any) -> httpx2.Response:
        return await self.follow(await self.client.get(urljoin(self.portal, address), **options))

    async def step(self, address: str) -> httpx2.Response:
        self.visited.append(address)
        return await self.client.get(address)

    async def follow(self, answer: httpx2.Response, stop: str = "\0") -> httpx2.Response:
        """On until a page, or until an address that begins with `stop` would be opened."""
        while (target := next_address(answer)) and not target.startswith(stop):
            answer = await self.step(target)
        return answer

    async def post(self, address: str, form: Mapping[str, str], **options: Any) -> httpx2.Response:
        headers = {"origin": self.portal} | options.pop("headers", {})
        return await self.client.post(urljoin(self.portal, address), data=dict(form), headers=headers, **options)

    async def submit(self, answer: httpx2.Response, **more: str) -> httpx2.Response:
        """The form of a page, filled in as it is, sent as a browser would."""
        action, fields = form_of(answer)
        site = urlsplit(str(answer.url))
        target = urljoin(str(answer.url), action)
        headers = {"origin": f"{site.scheme}://{site.netloc}"}
        return await self.client.post(target, data=fields | more, headers=headers)

    async def sign_in(self, account: str, path: str = "/page", stop: str = "\0") -> httpx2.Response:
        """Through the issuer's own pages."""
        begun = await self.client.get(urljoin(self.portal, path))
        return await self.through_issuer(await self.follow(begun, stop), account, stop)

    async def through_issuer(self, answer: httpx2.Response, account: str, stop: str = "\0") -> httpx2.Response:
        while "/interaction/" in str(answer.url):
            answer = await self.follow(await self.submit(answer, login=account, password="x"), stop)
        return answer

    def cookie(self, name: str = "yunhui") -> str:
        return next((cookie.value or "" for cookie in self.client.cookies.jar if cookie.name == name), "")


def next_address(answer: httpx2.Response) -> str:
    if answer.is_redirect:
        return urljoin(str(answer.url), answer.headers["location"])
    refresh = answer.headers.get("refresh", "")
    return urljoin(str(answer.url), refresh.partition("url=")[2]) if refresh.startswith("0;") else ""


def form_of(answer: httpx2.Response) -> tuple[str, dict[str, str]]:
    """The first one below the header."""
    text = answer.text[max(0, answer.text.find("<main")) :]
    action = re.search(r'<form[^>]*action="([^"]+)"', text)
    assert action, answer.text
    inputs = re.findall(r"<input[^>]*>", text)
    fields = {}
    for tag in inputs:
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name:
            fields[html.unescape(name[1])] = html.unescape(value[1]) if value else ""
    return html.unescape(action[1]), fields


def pages(served: Served) -> list[Route]:
    """One page with a form, and one that asks a service."""

    @required
    async def show(request: Request) -> Response:
        person = request.state.person
        return Response(
            f"<p>{person.account_id} {sorted(person.roles)} {person.locale}</p>"
            f'<form method="post" action="/page"><input name="csrf_token" value="{csrf.field(request)}"></form>',
            media_type="text/html",
        )

    @required
    async def take(request: Request) -> Response:
        form = await request.form()
        served.posted.append({name: str(value) for name, value in form.items() if name != csrf.FIELD})
        return PlainTextResponse("taken")

    @required
    async def ask(request: Request) -> Response:
        services: Services = request.app.state.services
        metadata = services.metadata(request.state.person)
        answer = await services.booking.ListRooms(api.ListRoomsRequest(), metadata=metadata, timeout=services.timeout)
        return PlainTextResponse(answer.rooms[0].room_id)

    async def broken(_: Request) -> Response:
        raise RuntimeError("on purpose")

    return [
        Route("/page", show, methods=["GET"]),
        Route("/page", take, methods=["POST"]),
        Route("/ask", ask),
        Route("/broken", broken),
        Route("/live", required(live.reservations)),
    ]


@asynccontextmanager
async def serve_portal(
    bus: Bus, client: Client, port: int, portal_url: str = "", booking: str = f"{HOST}:1"
) -> AsyncIterator[Served]:
    """One replica of the portal, on `port`."""
    url = portal_url or f"http://{HOST}:{port}"
    served = Served(url)
    settings = Settings(
        environment="development", nats_url=bus.url, nats_user="portal", nats_password=password("portal")
    )
    bucket, issuer = Bucket(settings), Issuer(client)
    sessions = Sessions(Store(bucket, Session), issuer.renew, served.now)
    sign_in = SignIn(issuer, sessions, to_key(client.client_secret), url, served.now)
    services = Services(booking, *[f"{HOST}:1"] * 4)
    made = app.build(sign_in, sessions, services, SystemClock(), url, pages(served), bucket.open, served.grants, "/csp")
    server = WebServer(made, f"{HOST}:{port}")
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        await until(lambda: bucket.connected)
        yield served
    finally:
        server.stop()
        await serving


def client_of(provider: Provider, **changes: Any) -> Client:
    usual: dict[str, Any] = {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "audience": provider.audience,
        "redirect_uri": provider.portal + CALLBACK,
        "allow_http": True,
    }
    return Client(**(usual | changes))


BOOKING = "yunhui.booking.v1.BookingService"


@asynccontextmanager
async def serve_rooms(provider: Provider, folder: Path) -> AsyncIterator[str]:
    """A guarded gRPC service that believes the provider's tokens. Gives its address."""
    async with httpx2.AsyncClient() as client:
        keys = folder / "jwks.json"
        keys.write_text((await client.get(f"{provider.issuer}/jwks")).text)
    verifier = Verifier(provider.issuer, provider.audience, KeySource(str(keys)))
    methods = ("ListRooms", "WatchReservations")
    needed = {f"/{BOOKING}/{each}": Needed("reservations.view") for each in methods}

    server = rpc.RpcServer(
        f"{HOST}:0",
        rpc.RpcGuard(verifier, needed),
        {BOOKING: partly(add_to, Rooms)},
        with_reflection=False,
    )
    await server.start()
    try:
        yield f"{HOST}:{server.port}"
    finally:
        await server.stop()
