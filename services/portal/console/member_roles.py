"""A role given to a member, for a department or everywhere, and taken."""

import asyncio
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.platform.text.messages import message
from services.portal.calls import ask, services_of, text_of
from services.portal.console import departments
from services.portal.console.addresses import MEMBER, of_member
from services.portal.console.forms import (
    LACKING,
    ConsoleForm,
    FormRefusal,
    attempt,
    for_permitted,
    typed,
    was_searched,
)
from services.portal.console.member import get, trail
from services.portal.console.roles import EDIT, EVERYBODYS, every, permissions
from services.portal.rendering import reader_of, render

FIELDS = {
    "role_id": "role_id",
    "ROLE_NOT_FOUND": "role_id",
    "department_id": "department_id",
    "DEPARTMENT_NOT_FOUND": "department_id",
    "GIVES_MORE_THAN_HELD": LACKING,
}
GONE = "BINDING_NOT_FOUND"


async def ask_give(request: Request) -> Response:
    return await _give_page(request, ConsoleForm({"role_id": request.query_params.get("role", "")}))


async def _give_page(request: Request, form: ConsoleForm, query: str = "") -> Response:
    member, listed, known, choice = await asyncio.gather(
        get(request),
        every(request),
        permissions(request),
        departments.choose(request, [form.value("department_id")], query),
    )
    return render(
        request,
        "console/role_give.html",
        form.status,
        member=member,
        form=form,
        roles=[each for each in listed if each.role_id != EVERYBODYS],
        known=known,
        choice=choice,
        trail=trail(member, message("Give a role").to(reader_of(request).language)),
        to=of_member,
    )


async def give(request: Request) -> Response:
    given = await request.form()
    form = ConsoleForm(typed(given, "role_id", "department_id"))
    query = text_of(given, "find", departments.LONGEST_QUERY)
    if was_searched(given):
        return await _give_page(request, form, query)
    question = api.GiveRoleRequest(
        account_id=request.query_params.get("id", ""),
        role_id=form.value("role_id"),
        department_id=form.value("department_id"),
    )
    answer = await attempt(request, services_of(request).roles.GiveRole, question, FIELDS)
    if isinstance(answer, FormRefusal):
        return await _give_page(request, replace(form, refusal=answer), query)
    return RedirectResponse(of_member(answer.binding, done="role-given"), 303)


async def ask_take(request: Request) -> Response:
    """Which role stands in the address."""
    given = request.query_params
    return await _take_page(request, ConsoleForm({name: given.get(name, "") for name in ("role_id", "department_id")}))


async def _take_page(request: Request, form: ConsoleForm) -> Response:
    question = api.ListRolesOfRequest(account_id=request.query_params.get("id", ""))
    member, held, known = await asyncio.gather(
        get(request), ask(request, services_of(request).roles.ListRolesOf, question), permissions(request)
    )
    return render(
        request,
        "console/role_take.html",
        form.status,
        member=member,
        form=form,
        binding=_find(held, form),
        known=known,
        trail=trail(member, message("Take the role back").to(reader_of(request).language)),
        to=of_member,
    )


def _find(held: api.ListRolesOfResponse, form: ConsoleForm) -> pb.Binding:
    wanted = (form.value("role_id"), form.value("department_id"))
    for each in held.bindings:
        if (each.role_id, each.department_id) == wanted:
            return each
    raise HTTPException(404)


async def take(request: Request) -> Response:
    """What was taken by others meanwhile is taken."""
    form = ConsoleForm(typed(await request.form(), "role_id", "department_id"))
    question = api.TakeRoleRequest(
        account_id=request.query_params.get("id", ""),
        role_id=form.value("role_id"),
        department_id=form.value("department_id"),
    )
    fields = {"GIVES_MORE_THAN_HELD": LACKING, GONE: GONE}
    answer = await attempt(request, services_of(request).roles.TakeRole, question, fields)
    if isinstance(answer, FormRefusal) and GONE not in answer.faults:
        return await _take_page(request, replace(form, refusal=answer))
    return RedirectResponse(of_member(question, done="role-taken"), 303)


PAGES = [
    (f"{MEMBER}/give-role", for_permitted(EDIT, ask_give), "GET"),
    (f"{MEMBER}/give-role", for_permitted(EDIT, give), "POST"),
    (f"{MEMBER}/take-role", for_permitted(EDIT, ask_take), "GET"),
    (f"{MEMBER}/take-role", for_permitted(EDIT, take), "POST"),
]
