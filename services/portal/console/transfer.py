"""The organization handed over: a super administrator begins it, the successor accepts, either may look."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import member_pb2
from yunhui.directory.v1 import member_service_pb2 as members
from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import role_pb2 as pb

from services.platform.text.messages import message
from services.portal.calls import ask, may, person_of, services_of, text_of
from services.portal.console.addresses import TRANSFER
from services.portal.console.forms import GENERAL, FormRefusal, attempt, for_permitted, refused
from services.portal.console.members import LONGEST_QUERY
from services.portal.rendering import reader_of, render

EVERYBODYS, HANDS_OVER = "reservations.view", "organization.transfer"
FOUND = 20
"""Members that a search shows."""
NONE_OPEN = "TRANSFER_NOT_FOUND"
DONE = {
    "begun": message("The handover has begun: the successor has to accept."),
    "accepted": message("You are super administrator now."),
    "cancelled": message("The handover was called off. Nothing has changed."),
}
CHOOSE = message("Search for the successor, and choose one of those found.")


@dataclass(frozen=True, slots=True)
class HandingOver:
    """One that is open; `names` by account, as far as who looks may know them."""

    transfer: pb.Transfer
    names: Mapping[str, str]

    def name(self, account_id: str) -> str:
        return self.names.get(account_id, account_id)


async def find(request: Request) -> HandingOver | None:
    """None where none is open, or it is not for who looks. Raises grpc.aio.AioRpcError."""
    answer = await attempt(
        request, services_of(request).organization.GetTransfer, api.GetTransferRequest(), {NONE_OPEN: GENERAL}
    )
    if isinstance(answer, FormRefusal):
        return None
    accounts = (answer.transfer.from_account_id, answer.transfer.to_account_id)
    return HandingOver(answer.transfer, {each: await _name(request, each) for each in accounts})


async def _name(request: Request, account_id: str) -> str:
    person = person_of(request)
    if account_id == person.account_id:
        return person.display_name or account_id
    if not may(request, "members.view"):
        return account_id
    question = members.GetMemberRequest(account_id=account_id)
    answer = await attempt(request, services_of(request).members.GetMember, question, {"MEMBER_NOT_FOUND": GENERAL})
    return account_id if isinstance(answer, FormRefusal) else answer.member.display_name


async def show(request: Request) -> Response:
    return await _page(request)


async def _page(request: Request, refusal: FormRefusal | None = None, query: str = "", chosen: str = "") -> Response:
    over, begins = await find(request), may(request, HANDS_OVER)
    done = DONE.get(request.query_params.get("done", ""), "")
    query = query or request.query_params.get("find", "").strip()[:LONGEST_QUERY]
    status = refusal.status if refusal else 200 if over or begins or done else 404
    return render(
        request,
        "console/transfer.html",
        status,
        over=over,
        begins=begins,
        successor=over is not None and over.transfer.to_account_id == person_of(request).account_id,
        query=query,
        found=await _search(request, query) if begins and query and not over else [],
        chosen=chosen,
        refusal=refusal,
        done=done,
        address=f"{request.app.state.portal_url}{TRANSFER}",
        trail=[(message("Hand the organization over").to(reader_of(request).language), "")],
    )


async def _search(request: Request, query: str) -> list[member_pb2.Member]:
    """Those who could be it."""
    statuses = [member_pb2.MEMBER_STATUS_ENABLED, member_pb2.MEMBER_STATUS_NOT_ACTIVATED]
    question = members.ListMembersRequest(query=query, statuses=statuses, page_size=FOUND)
    answer = await ask(request, services_of(request).members.ListMembers, question)
    return [each for each in answer.members if each.account_id != person_of(request).account_id]


async def begin(request: Request) -> Response:
    given = await request.form()
    account_id, query = text_of(given, "account_id"), text_of(given, "find", LONGEST_QUERY)
    if not account_id:
        return await _page(request, refused(CHOOSE.to(reader_of(request).language)), query)
    question = api.BeginTransferRequest(account_id=account_id)
    fields = {"MEMBER_NOT_FOUND": GENERAL}
    answer = await attempt(request, services_of(request).organization.BeginTransfer, question, fields)
    if isinstance(answer, FormRefusal):
        return await _page(request, answer, query, account_id)
    return _done("begun")


async def accept(request: Request) -> Response:
    """Back to the same page: what comes with the role reaches the other programs a moment later."""
    question = api.AcceptTransferRequest(transfer_id=text_of(await request.form(), "transfer_id"))
    method = services_of(request).organization.AcceptTransfer
    answer = await attempt(request, method, question, {NONE_OPEN: GENERAL})
    return await _page(request, answer) if isinstance(answer, FormRefusal) else _done("accepted")


async def cancel(request: Request) -> Response:
    question = api.CancelTransferRequest(transfer_id=text_of(await request.form(), "transfer_id"))
    method = services_of(request).organization.CancelTransfer
    answer = await attempt(request, method, question, {NONE_OPEN: GENERAL})
    return await _page(request, answer) if isinstance(answer, FormRefusal) else _done("cancelled")


def _done(what: str) -> Response:
    return RedirectResponse(f"{TRANSFER}?done={what}", 303)


PAGES = [
    (TRANSFER, for_permitted(EVERYBODYS, show), "GET"),
    (TRANSFER, for_permitted(HANDS_OVER, begin), "POST"),
    (f"{TRANSFER}/accept", for_permitted(EVERYBODYS, accept), "POST"),
    (f"{TRANSFER}/cancel", for_permitted(HANDS_OVER, cancel), "POST"),
]
