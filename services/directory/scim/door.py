"""The port at which identity providers keep members and departments up: who they are, and how faults are answered.

It has a thread of its own: what is large there takes long to read and to write, and calls over gRPC do not wait for it.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from scim2_models import InvalidSyntaxException, SCIMException, UnauthorizedException
from scim2_server.applications.asgi import ASGIApplication, Receive, Send
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse

from services.directory import provisioning_tokens
from services.directory.changes import Changes
from services.directory.scim.names import to_scim_error
from services.directory.scim.schemas import provider
from services.directory.scim.service import DirectoryScimHandler, DirectoryScimService
from services.directory.scim.storage import CALLER, AccountIdFrom, DirectoryStorage
from services.directory.scopes import Actor
from services.platform.serving.web import WebServer

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32
"""With the largest bodies of all of them in hand, 32 MB."""
ROLES = frozenset({"scim"})
BEARER = "bearer "


class ScimDoor(ASGIApplication):
    """`address`: where identity providers find it, "" for the one that they asked at."""

    def __init__(self, changes: Changes, account_id_from: AccountIdFrom, address: str = "") -> None:
        described = provider()
        storage = DirectoryStorage(changes, account_id_from)
        super().__init__(storage, described, DirectoryScimService(described))
        self.handler = DirectoryScimHandler(self.service, storage)
        self._database, self._address = changes.database, address.rstrip("/")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except UnicodeDecodeError:  # before there is a request, which would have an answer of its own
            error = InvalidSyntaxException(detail="The head of the request is not in UTF-8")
            await self.send_response(self.service.error_response(error), send)

    def get_base_url(self, scope: dict[str, Any]) -> str:  # type: ignore[override] # ours may know better
        return self._address or super().get_base_url(scope)

    async def dispatch_request(self, request: ScimRequest) -> ScimResponse:
        if self.needs_auth(request):
            request.subject = await self._find_token(request)
            CALLER.set(self._actor(request))
        return await super().dispatch_request(request)

    async def _find_token(self, request: ScimRequest) -> str:
        """Its name. An account id has no "@", so nobody is taken for it."""
        given = request.header("Authorization") or ""
        secret = given[len(BEARER) :].strip() if given[: len(BEARER)].lower() == BEARER else ""
        name = await provisioning_tokens.find_name(self._database, secret) if secret else None
        if name is None:
            raise UnauthorizedException(detail="A token that holds is required: Authorization: Bearer TOKEN")
        return name

    def _actor(self, request: ScimRequest) -> Actor:
        everywhere = dict.fromkeys(provisioning_tokens.PERMITTED, frozenset[str]())
        return Actor(f"{request.subject}@scim", ROLES, self._method(request), everywhere, is_identity_provider=True)

    def _method(self, request: ScimRequest) -> str:
        """As the audit log has it."""
        target = self.service.match(request)
        return f"scim.v2.{target.endpoint or 'Service'}/{target.operation.value}"

    def handle_exception(self, request: ScimRequest, exception: Exception) -> ScimResponse:
        error = to_scim_error(exception)
        if isinstance(error, SCIMException):
            log.info("SCIM %s: %d %s", request.method, error.status, error.scim_type)
        else:
            log.exception("SCIM %s failed", request.method, exc_info=exception)
        return self.service.error_response(error)


async def serve(changes: Changes, listen: str, account_id_from: AccountIdFrom, address: str) -> None:
    """Until cancelled; then finishes what is under way."""
    here = asyncio.get_running_loop()

    def committed() -> None:
        here.call_soon_threadsafe(changes.committed)

    app: Any = ScimDoor(replace(changes, committed=committed), account_id_from, address)
    server, there = WebServer(app, listen, MOST_AT_ONCE), asyncio.Queue[Any](1)

    async def run() -> None:
        here.call_soon_threadsafe(there.put_nowait, asyncio.get_running_loop())
        await server.serve()

    serving = asyncio.create_task(asyncio.to_thread(asyncio.run, run()))
    loop = await there.get()
    try:
        await asyncio.shield(serving)
    finally:
        if not serving.done():
            loop.call_soon_threadsafe(server.stop)
        await serving
