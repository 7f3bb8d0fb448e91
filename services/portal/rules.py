"""The rules in force, in words, from the live policy."""

from starlette.requests import Request
from starlette.responses import Response

from services.portal import policies
from services.portal.rendering import render


async def show(request: Request) -> Response:
    version, policy = await policies.in_force(request)
    return render(request, "rules.html", version=version, policy=policy)
