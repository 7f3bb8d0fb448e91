"""Identity providers: the address for them, and the tokens that let them in, made, shown once and revoked."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import provisioning_service_pb2 as api

from services.platform.text.messages import message
from services.portal.calls import ask, services_of
from services.portal.console.addresses import PROVISIONING
from services.portal.console.forms import GENERAL, ConsoleForm, FormRefusal, attempt, for_permitted, typed
from services.portal.rendering import reader_of, render

PERMISSION = "members.edit"
"""Everywhere."""
MOST = 2
"""That hold at a time."""
TITLE = message("Identity providers")
FIELDS = {
    **dict.fromkeys(("display_name", "TOKEN_EXISTS"), "display_name"),
    **dict.fromkeys(("GIVES_MORE_THAN_HELD", "TOO_MANY_TOKENS"), GENERAL),
}
DONE = {"revoked": message("The token does not hold any more.")}


async def _read(request: Request) -> api.ListProvisioningTokensResponse:
    question = api.ListProvisioningTokensRequest()
    return await ask(request, services_of(request).provisioning.ListProvisioningTokens, question)


async def show(request: Request) -> Response:
    return await _page(request, ConsoleForm())


async def _page(
    request: Request, form: ConsoleForm, made: api.CreateProvisioningTokenResponse | None = None
) -> Response:
    found = await _read(request)
    return render(
        request,
        "console/provisioning.html",
        form.status,
        form=form,
        made=made,
        address=found.address,
        tokens=found.tokens,
        room=len(found.tokens) < MOST,
        done=DONE.get(request.query_params.get("done", ""), ""),
        trail=[(TITLE.to(reader_of(request).language), "")],
    )


async def make(request: Request) -> Response:
    """The secret is in this answer alone: sent again, the form is refused, for there is a token of this name."""
    form = ConsoleForm(typed(await request.form(), "display_name"))
    question = api.CreateProvisioningTokenRequest(display_name=form.value("display_name"))
    answer = await attempt(request, services_of(request).provisioning.CreateProvisioningToken, question, FIELDS)
    if isinstance(answer, FormRefusal):
        return await _page(request, ConsoleForm(form.values, refusal=answer))
    return await _page(request, ConsoleForm(), answer)


async def ask_revoke(request: Request) -> Response:
    wanted = request.query_params.get("name", "")
    token = next((each for each in (await _read(request)).tokens if each.display_name == wanted), None)
    if token is None:
        raise HTTPException(404)
    said = message("Revoke a token").to(reader_of(request).language)
    trail = [(TITLE.to(reader_of(request).language), PROVISIONING), (said, "")]
    return render(request, "console/provisioning_revoke.html", token=token, trail=trail)


async def revoke(request: Request) -> Response:
    question = api.RevokeProvisioningTokenRequest(display_name=request.query_params.get("name", ""))
    await ask(request, services_of(request).provisioning.RevokeProvisioningToken, question)
    return RedirectResponse(f"{PROVISIONING}?done=revoked", 303)


PAGES = [
    (PROVISIONING, for_permitted(PERMISSION, show), "GET"),
    (PROVISIONING, for_permitted(PERMISSION, make), "POST"),
    (f"{PROVISIONING}/revoke", for_permitted(PERMISSION, ask_revoke), "GET"),
    (f"{PROVISIONING}/revoke", for_permitted(PERMISSION, revoke), "POST"),
]
