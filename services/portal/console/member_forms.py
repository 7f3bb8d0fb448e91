"""A member added, and what is known of one changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.platform.text.messages import message
from services.portal.calls import services_of, text_of
from services.portal.console import departments
from services.portal.console.addresses import MEMBER, MEMBERS, of_member
from services.portal.console.forms import (
    ConsoleForm,
    FormRefusal,
    attempt,
    for_permitted,
    typed,
    version_of,
    was_searched,
)
from services.portal.console.member import figures_of, get, locks_if_given_now, trail
from services.portal.rendering import reader_of, render

TEXTS = ("display_name", "email", "phone", "title", "staff_id", "provider_user_id")
"""Fields of a member that are text, as the service names them."""
MARKS = ("verified", "hidden")
FIELDS = {
    **{name: name for name in (*TEXTS, "account_id", "memberships", "status", "account_type")},
    "MEMBER_EXISTS": "account_id",
    "STAFF_ID_TAKEN": "staff_id",
    "PROVIDER_USER_TAKEN": "provider_user_id",
    "DEPARTMENT_NOT_FOUND": "memberships",
    "NO_LICENCE_LEFT": "account_type",
}


def values_of(member: pb.Member) -> dict[str, str]:
    return {name: getattr(member, name) for name in TEXTS} | {
        name: "1" if getattr(member, name) else "" for name in MARKS
    }


def chosen_of(member: pb.Member) -> tuple[list[str], str]:
    """Its departments, and the main one."""
    ids = [each.department_id for each in member.memberships]
    return ids, next((each.department_id for each in member.memberships if each.main), "")


async def ask_edit(request: Request) -> Response:
    member = await get(request)
    ids, main = chosen_of(member)
    return await _edit_page(request, member, ConsoleForm(values_of(member) | {"main": main}, member.version), ids)


async def _edit_page(
    request: Request, member: pb.Member, form: ConsoleForm, chosen: Sequence[str], query: str = ""
) -> Response:
    title = message("Edit").to(reader_of(request).language)
    return render(
        request,
        "console/member_edit.html",
        form.status,
        member=member,
        form=form,
        choice=await departments.choose(request, chosen, query),
        trail=trail(member, title),
        to=of_member,
    )


async def edit(request: Request) -> Response:
    given = await request.form()
    form = ConsoleForm(typed(given, *TEXTS, *MARKS, "main"), version_of(given))
    chosen = departments_of(given)
    query = text_of(given, "find", departments.LONGEST_QUERY)
    if was_searched(given):
        return await _edit_page(request, await get(request), form, chosen, query)
    question = api.UpdateMemberRequest(
        account_id=request.query_params.get("id", ""),
        version=form.version,
        **{name: form.value(name) for name in TEXTS},
        verified=bool(form.value("verified")),
        hidden=bool(form.value("hidden")),
        memberships=api.Memberships(memberships=memberships(form, chosen)),
    )
    answer = await attempt(request, services_of(request).members.UpdateMember, question, FIELDS)
    if isinstance(answer, FormRefusal):
        member = await get(request)
        if answer.stale:
            now = {name: value for name, value in values_of(member).items() if value != form.value(name)}
            form = replace(form, now=now, version=member.version)
        return await _edit_page(request, member, replace(form, refusal=answer), chosen, query)
    return RedirectResponse(of_member(answer.member, done="saved"), 303)


def departments_of(given: Any) -> list[str]:
    return list(dict.fromkeys(each[:64] for each in given.getlist("memberships") if isinstance(each, str) and each))


def memberships(form: ConsoleForm, chosen: Sequence[str]) -> list[pb.Membership]:
    return [pb.Membership(department_id=each, main=each == form.value("main")) for each in chosen]


async def ask_new(request: Request) -> Response:
    department_id = request.query_params.get("department", "")
    return await _new_page(request, ConsoleForm({"main": department_id}), [department_id])


async def _new_page(request: Request, form: ConsoleForm, chosen: Sequence[str], query: str = "") -> Response:
    choice, figures = await asyncio.gather(departments.choose(request, chosen, query), figures_of(request))
    return render(
        request,
        "console/member_new.html",
        form.status,
        form=form,
        choice=choice,
        figures=figures,
        locks=locks_if_given_now(request),
        trail=[(message("Add a member").to(reader_of(request).language), "")],
    )


async def add(request: Request) -> Response:
    given = await request.form()
    form = ConsoleForm(typed(given, *TEXTS, *MARKS, "account_id", "main", "account_type", "status"))
    chosen = departments_of(given)
    query = text_of(given, "find", departments.LONGEST_QUERY)
    if was_searched(given):
        return await _new_page(request, form, chosen, query)
    texts: dict[str, Any] = {name: form.value(name) for name in TEXTS}
    member = pb.Member(
        account_id=form.value("account_id"),
        **texts,
        verified=bool(form.value("verified")),
        hidden=bool(form.value("hidden")),
        memberships=memberships(form, chosen),
        status=pb.MEMBER_STATUS_ENABLED if form.value("status") else pb.MEMBER_STATUS_NOT_ACTIVATED,
        account_type=pb.ACCOUNT_TYPE_ADVANCED if form.value("account_type") else pb.ACCOUNT_TYPE_FREE,
    )
    question = api.CreateMemberRequest(member=member)
    answer = await attempt(request, services_of(request).members.CreateMember, question, FIELDS)
    if isinstance(answer, FormRefusal):
        return await _new_page(request, replace(form, refusal=answer), chosen, query)
    return RedirectResponse(of_member(answer.member, done="added"), 303)


PAGES = [
    (f"{MEMBERS}/new", for_permitted("members.edit", ask_new), "GET"),
    (f"{MEMBERS}/new", for_permitted("members.edit", add), "POST"),
    (f"{MEMBER}/edit", for_permitted("members.edit", ask_edit), "GET"),
    (f"{MEMBER}/edit", for_permitted("members.edit", edit), "POST"),
]
