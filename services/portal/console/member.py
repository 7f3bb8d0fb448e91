"""One member: what is known, what can be done about it, and adding one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.booking.v1 import booking_service_pb2 as booking
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api
from yunhui.directory.v1 import organization_pb2
from yunhui.directory.v1 import organization_service_pb2 as organization

from services.platform.text.messages import Text, message
from services.portal.calls import ask, may, services_of, text_of
from services.portal.console import departments, leaving, member_access, member_bookings, roles
from services.portal.console.addresses import MEMBER, MEMBERS, of_member, of_role
from services.portal.console.forms import (
    FormRefusal,
    attempt,
    for_permitted,
    version_of,
    was_searched,
)
from services.portal.rendering import reader_of, render
from services.portal.times import stamp_of

RETURNABLE = timedelta(days=7)
"""So long after it was given the directory takes a licence back."""
DONE = {
    "added": message("The member was added."),
    "saved": message("Saved."),
    "enabled": message("The account is enabled."),
    "disabled": message("The account is disabled."),
    "let-in": message("The person was let in."),
    "rejected": message("The person was not let in: the account is disabled."),
    "given": message("The licence was given."),
    "taken": message("The licence was taken back."),
    "role-given": message("The member has the role."),
    "role-taken": message("The member does not have the role any more."),
}
DELETED = message("The member was deleted.")


async def get(request: Request) -> pb.Member:
    """The one of the address. Raises grpc.aio.AioRpcError."""
    question = api.GetMemberRequest(account_id=request.query_params.get("id", ""))
    answer = await ask(request, services_of(request).members.GetMember, question)
    return answer.member


async def figures_of(request: Request) -> organization_pb2.LicenceFigures:
    """Raises grpc.aio.AioRpcError."""
    answer = await ask(request, services_of(request).organization.GetLicences, organization.GetLicencesRequest())
    return answer.figures


def locks_if_given_now(request: Request) -> Timestamp:
    return stamp_of(reader_of(request).now + RETURNABLE)


def is_locked(request: Request, member: pb.Member) -> bool:
    return (
        member.HasField("licence_lock_time") and reader_of(request).now.timestamp() >= member.licence_lock_time.seconds
    )


def trail(member: pb.Member, *more: str) -> list[tuple[str, str]]:
    return [(member.display_name, of_member(member)), *((each, "") for each in more)]


async def show(request: Request) -> Response:
    member = await get(request)
    sees_bookings = may(request, member_bookings.VIEW)
    access, bookings = await asyncio.gather(
        member_access.look(request, member.account_id) if may(request, roles.VIEW) else nothing(),
        member_bookings.look(request, member.account_id) if sees_bookings else nothing(),
    )
    return render(
        request,
        "console/member.html",
        member=member,
        access=access,
        sees_bookings=sees_bookings,
        bookings=bookings,
        may_give=may(request, roles.EDIT),
        to_role=of_role,
        locked=is_locked(request, member),
        trail=trail(member),
        may=may(request, "members.edit"),
        acts=[(name, act) for name, act in acts_on(member) if may(request, act.permission)],
        to=of_member,
        done=DONE.get(request.query_params.get("done", ""), ""),
    )


async def nothing() -> None:
    """In place of what who looks may not see."""


@dataclass(frozen=True, slots=True)
class MemberAct:
    """Something that is done to a member, after a page that says what follows from it."""

    title: Text
    button: Text
    sentence: Text
    done: str
    grave: bool = False
    permission: str = "members.edit"


ACTS = {
    "enable": MemberAct(
        message("Enable the account of {name}?"),
        message("Enable the account"),
        message("The account may be used again at once."),
        "enabled",
    ),
    "disable": MemberAct(
        message("Disable the account of {name}?"),
        message("Disable the account"),
        message(
            "Nothing can be done with the account from now on. What is known of the person stays, "
            "and so does a licence."
        ),
        "disabled",
        grave=True,
    ),
    "let-in": MemberAct(
        message("Let {name} in?"),
        message("Let in"),
        message("Within a second the person may do what every member may."),
        "let-in",
    ),
    "reject": MemberAct(
        message("Reject {name}?"),
        message("Reject"),
        message("The account becomes disabled, and the person cannot ask again. It can be enabled later."),
        "rejected",
        grave=True,
    ),
    "give-licence": MemberAct(
        message("Give {name} an advanced licence?"),
        message("Give the licence"),
        message("The account becomes an advanced account at once."),
        "given",
        permission="licences.edit",
    ),
    "take-licence": MemberAct(
        message("Take the licence of {name} back?"),
        message("Take the licence back"),
        message("The account becomes a free account at once, and somebody else can be given the licence."),
        "taken",
        grave=True,
        permission="licences.edit",
    ),
    "delete": MemberAct(
        message("Delete {name}?"),
        message("Delete the member"),
        message(
            "What is known of the person is removed; the account stays in events and in the audit log. "
            "It cannot be taken back."
        ),
        "deleted",
        grave=True,
    ),
}


ENABLING = {"enable": True, "disable": False, "let-in": True, "reject": False}


def acts_on(member: pb.Member) -> list[tuple[str, MemberAct]]:
    """What there is to do, as it stands."""
    names = [
        "take-licence" if member.account_type == pb.ACCOUNT_TYPE_ADVANCED else "give-licence",
        *_openings(member),
        *(["delete"] if member.status != pb.MEMBER_STATUS_ENABLED else []),
    ]
    return [(name, ACTS[name]) for name in names]


def _openings(member: pb.Member) -> list[str]:
    if member.status == pb.MEMBER_STATUS_WAITING:
        return ["let-in", "reject"]
    ways = {"enable": pb.MEMBER_STATUS_ENABLED, "disable": pb.MEMBER_STATUS_DISABLED}
    return [name for name, status in ways.items() if member.status != status]


def _act_of(request: Request) -> str:
    name = str(request.path_params["act"])
    if name not in ACTS:
        raise HTTPException(404)
    return name


async def ask_act(request: Request) -> Response:
    return await _act_page(request, _act_of(request), await get(request))


async def _act_page(
    request: Request,
    name: str,
    member: pb.Member,
    refusal: FormRefusal | None = None,
    given: Any = None,
    settled: Sequence[booking.ComingReservation] = (),
) -> Response:
    """`settled`: what became of the member's reservations before the act itself was refused."""
    giving, chosen = name == "give-licence", _department_in(member, given)
    act, language = ACTS[name], reader_of(request).language
    title = act.title.to(language, name=member.display_name)
    return render(
        request,
        "console/member_act.html",
        refusal.status if refusal else 200,
        member=member,
        name=name,
        act=act,
        title=title,
        refusal=refusal,
        figures=await figures_of(request) if giving else None,
        leaving=await leaving.ask_for(request, member.account_id, given) if name in leaving.ACTS else None,
        choices=leaving.CHOICES,
        choice=await departments.choose(request, [chosen], _query_in(given)) if name == "let-in" else None,
        chosen=chosen,
        settled=settled,
        outcomes=leaving.OUTCOMES,
        locks=locks_if_given_now(request),
        locked=is_locked(request, member),
        trail=trail(member, act.button.to(language)),
        to=of_member,
    )


async def do_act(request: Request) -> Response:
    name, given = _act_of(request), await request.form()
    account_id = request.query_params.get("id", "")
    mine: dict[str, Any] = {"account_id": account_id, "version": version_of(given)}
    members = services_of(request).members
    if was_searched(given):
        return await _act_page(request, name, await get(request), given=given)
    settled = await leaving.settle(request, account_id, given) if name in leaving.ACTS else []
    if isinstance(settled, FormRefusal):
        return await _act_page(request, name, await get(request), settled, given)
    before = await get(request) if settled else None
    reasons = {"DEPARTMENT_NOT_FOUND": "", "NO_LICENCE_LEFT": "", "LICENCE_LOCKED": "", "MEMBER_ENABLED": ""}
    if name in ENABLING:
        question: Any = api.SetMemberEnabledRequest(**mine, enabled=ENABLING[name])
        if name == "let-in":
            question.memberships.CopyFrom(_memberships_in(given))
        answer: Any = await attempt(request, members.SetMemberEnabled, question, reasons)
    elif name == "delete":
        answer = await attempt(request, members.DeleteMember, api.DeleteMemberRequest(**mine), reasons)
    else:
        wanted = pb.ACCOUNT_TYPE_ADVANCED if name == "give-licence" else pb.ACCOUNT_TYPE_FREE
        question = api.SetAccountTypeRequest(**mine, account_type=wanted)
        answer = await attempt(request, members.SetAccountType, question, reasons)
    if isinstance(answer, FormRefusal):
        return await _act_page(request, name, await get(request), answer, given, settled)
    if before:
        return _left_page(request, name, before, settled)
    if name == "delete":
        return RedirectResponse(f"{MEMBERS}?done={ACTS[name].done}", 303)
    return RedirectResponse(of_member(answer.member, done=ACTS[name].done), 303)


def _department_in(member: pb.Member, given: Any) -> str:
    """As it was chosen, or as it stands."""
    if given:
        return text_of(given, "department_id", 64)
    return member.memberships[0].department_id if member.memberships else ""


def _query_in(given: Any) -> str:
    return text_of(given, "find", departments.LONGEST_QUERY) if given else ""


def _memberships_in(given: Any) -> api.Memberships:
    chosen = text_of(given, "department_id", 64)
    return api.Memberships(memberships=[pb.Membership(department_id=chosen, main=True)] if chosen else [])


def _left_page(
    request: Request, name: str, member: pb.Member, settled: Sequence[booking.ComingReservation]
) -> Response:
    said = DELETED if name == "delete" else DONE[ACTS[name].done]
    return render(
        request,
        "console/member_left.html",
        title=member.display_name,
        said=said.to(reader_of(request).language),
        settled=settled,
        outcomes=leaving.OUTCOMES,
        back=MEMBERS if name == "delete" else of_member(member),
        trail=[(member.display_name, "")],
    )


PAGES = [
    (MEMBER, for_permitted("members.view", show), "GET"),
    (f"{MEMBER}/{{act}}", for_permitted("members.edit", ask_act), "GET"),
    (f"{MEMBER}/{{act}}", for_permitted("members.edit", do_act), "POST"),
]
