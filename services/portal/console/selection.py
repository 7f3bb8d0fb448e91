"""What is done to several members at once: confirmed with all their names, done one by one, told row by row."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import grpc
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.platform.text.messages import Text, message
from services.portal.calls import ask_patiently, read, services_of, text_of
from services.portal.console import departments, members
from services.portal.console.addresses import MEMBERS, SELECTION, of_member
from services.portal.console.departments import LONGEST_QUERY, Choice
from services.portal.console.forms import ConsoleForm, FormRefusal, for_permitted, refused, typed, was_searched
from services.portal.console.member import figures_of, locks_if_given_now
from services.portal.rendering import reader_of, render, sentence

MOST = 500
AT_ONCE = 8
"""Members asked for at the same time."""
LONGEST_ID = 200
NOBODY = message("Nobody is selected. Go back and tick at least one member.")
TOO_MANY = message("At most {most} members can be changed at once: select fewer.", most=MOST)
AWAY = message("The service did not answer. Look at the member before you try again: it may have been done.")
NOT_TRIED = message("Not tried: the service did not answer before.")


@dataclass(frozen=True, slots=True)
class SelectionAct:
    """What is done to each of them, after a page that says what follows from it."""

    title: Text
    button: Text
    sentence: Text
    grave: bool = False


ACTS = {
    "enable": SelectionAct(
        message("Enable these accounts?"), message("Enable the accounts"), message("They may be used again at once.")
    ),
    "disable": SelectionAct(
        message("Disable these accounts?"),
        message("Disable the accounts"),
        message(
            "Nothing can be done with them from now on. What is known of the people stays, and so do their licences."
        ),
        grave=True,
    ),
    "put": SelectionAct(
        message("Put these members into a department"),
        message("Put them there"),
        message("It becomes their main department. They stay in those that they are in already."),
    ),
    "give-licence": SelectionAct(
        message("Give these members an advanced licence?"),
        message("Give the licences"),
        message("Their accounts become advanced accounts at once. Whoever has a licence keeps it."),
    ),
    "take-licence": SelectionAct(
        message("Take the licences of these members back?"),
        message("Take the licences back"),
        message("Their accounts become free accounts at once, and others can be given the licences."),
        grave=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Pick:
    """A member who is chosen, and the version that was seen."""

    account_id: str
    version: int


@dataclass(frozen=True, slots=True)
class SelectionOutcome:
    """What became of one of them; no `fault`: it was done. `member`: as they stand now, where that is known.

    `stops`: the service did not answer, so the rest is not tried.
    """

    account_id: str
    member: pb.Member | None = None
    fault: str = ""
    stops: bool = False


def act_of(form: Any) -> str:
    name = text_of(form, "act")
    if name not in ACTS:
        raise HTTPException(404)
    return name


def back_of(form: Any) -> str:
    """The list as it was; only to that."""
    back = text_of(form, "back", 8000)
    return back if back.partition("?")[0] == MEMBERS else MEMBERS


def picked(form: Any) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(each[:LONGEST_ID] for each in form.getlist("pick") if isinstance(each, str) and each))


async def confirm(request: Request) -> Response:
    """Whom it concerns, as they stand now."""
    form = await request.form()
    return await _confirm_page(request, form, picked(form), ConsoleForm())


async def _confirm_page(request: Request, given: Any, ids: Sequence[str], form: ConsoleForm) -> Response:
    name, language = act_of(given), reader_of(request).language
    if not ids or len(ids) > MOST:
        form, ids = replace(form, refusal=refused((TOO_MANY if ids else NOBODY).to(language))), []
    found = await _members(request, ids)
    query = text_of(given, "find", LONGEST_QUERY)
    wanted = form.value("into_department_id")
    choice = await departments.choose(request, [wanted], query) if name == "put" else Choice()
    act = ACTS[name]
    title = act.title.to(language)
    return render(
        request,
        "console/selection.html",
        form.status,
        name=name,
        act=act,
        title=title,
        form=form,
        table=members.TABLE,
        members=[each for each in found if each],
        gone=sum(each is None for each in found),
        choice=choice,
        figures=await figures_of(request) if name == "give-licence" else None,
        locks=locks_if_given_now(request),
        back=back_of(given),
        trail=[(title, "")],
    )


async def _members(request: Request, ids: Sequence[str]) -> list[pb.Member | None]:
    """None for those who are gone. Raises grpc.aio.AioRpcError."""
    places = asyncio.Semaphore(AT_ONCE)

    async def get(account_id: str) -> pb.Member | None:
        async with places:
            return await _member(request, account_id)

    return list(await asyncio.gather(*map(get, ids)))


async def _member(request: Request, account_id: str) -> pb.Member | None:
    """Raises grpc.aio.AioRpcError."""
    question = api.GetMemberRequest(account_id=account_id)
    try:
        answer = await ask_patiently(request, services_of(request).members.GetMember, question)
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
            return None
        raise
    return answer.member


async def do(request: Request) -> Response:
    given = await request.form()
    name, ids, form = act_of(given), picked(given), ConsoleForm(typed(given, "into_department_id"))
    picks = [each for each in map(to_pick, ids) if each]
    accounts = [each.account_id for each in picks]
    if was_searched(given) or not 0 < len(picks) <= MOST:
        return await _confirm_page(request, given, accounts, form)
    if name == "put" and not form.value("into_department_id"):
        refusal: FormRefusal = refused(departments.CHOOSE.to(reader_of(request).language), "into_department_id")
        return await _confirm_page(request, given, accounts, replace(form, refusal=refusal))
    outcomes = await carry_out(request, name, picks, form.value("into_department_id"))
    title = ACTS[name].button.to(reader_of(request).language)
    return render(
        request,
        "console/selection_done.html",
        name=name,
        outcomes=sorted(outcomes, key=lambda each: not each.fault),
        refused=[each.account_id for each in outcomes if each.fault],
        back=back_of(given),
        to=of_member,
        title=title,
        trail=[(title, "")],
    )


def to_pick(text: str) -> Pick | None:
    """From VERSION:ACCOUNT, as the page has it."""
    version, _, account_id = text.partition(":")
    known = version.isascii() and version.isdigit() and len(version) < 19 and account_id
    return Pick(account_id, int(version)) if known else None


async def carry_out(request: Request, name: str, picks: Sequence[Pick], department_id: str) -> list[SelectionOutcome]:
    """One after the other, as the directory takes them. When it is away, the rest is left."""
    outcomes: list[SelectionOutcome] = []
    for pick in picks:
        if outcomes and outcomes[-1].stops:
            fault = NOT_TRIED.to(reader_of(request).language)
            outcomes.append(SelectionOutcome(pick.account_id, fault=fault, stops=True))
        else:
            outcomes.append(await _one(request, name, pick, department_id))
    return outcomes


async def _one(request: Request, name: str, pick: Pick, department_id: str) -> SelectionOutcome:
    language = reader_of(request).language
    try:
        return SelectionOutcome(pick.account_id, await _change(request, name, pick, department_id))
    except grpc.aio.AioRpcError as error:
        problem = read(error)
        if problem.away or problem.code == grpc.StatusCode.UNAUTHENTICATED:
            return SelectionOutcome(pick.account_id, fault=AWAY.to(language), stops=True)
    now = None
    with suppress(grpc.aio.AioRpcError):
        now = await _member(request, pick.account_id)
    return SelectionOutcome(pick.account_id, now, sentence(problem.detail(language), language))


async def _change(request: Request, name: str, pick: Pick, department_id: str) -> pb.Member:
    """What stands so already stays as it is. Raises grpc.aio.AioRpcError."""
    stub = services_of(request).members
    mine: dict[str, Any] = {"account_id": pick.account_id, "version": pick.version}
    if name in ("enable", "disable"):
        question: Any = api.SetMemberEnabledRequest(**mine, enabled=name == "enable")
        return (await ask_patiently(request, stub.SetMemberEnabled, question)).member
    if name != "put":
        kind = pb.ACCOUNT_TYPE_ADVANCED if name == "give-licence" else pb.ACCOUNT_TYPE_FREE
        question = api.SetAccountTypeRequest(**mine, account_type=kind)
        return (await ask_patiently(request, stub.SetAccountType, question)).member
    now = await ask_patiently(request, stub.GetMember, api.GetMemberRequest(account_id=pick.account_id))
    if any(each.department_id == department_id and each.main for each in now.member.memberships):
        return now.member
    others = [each.department_id for each in now.member.memberships if each.department_id != department_id]
    wanted = [pb.Membership(department_id=department_id, main=True), *(pb.Membership(department_id=i) for i in others)]
    question = api.UpdateMemberRequest(**mine, memberships=api.Memberships(memberships=wanted))
    return (await ask_patiently(request, stub.UpdateMember, question)).member


PAGES = [
    (SELECTION, for_permitted("members.edit", confirm), "POST"),
    (f"{SELECTION}/do", for_permitted("members.edit", do), "POST"),
]
