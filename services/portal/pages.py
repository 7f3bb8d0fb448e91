"""Every page of the portal, by its address."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.portal.sign_in import required


@required
async def start(request: Request) -> Response:
    return PlainTextResponse(request.state.person.display_name)


routes: list[Route] = [Route("/", start)]
