"""A role of the organization's own made, changed and deleted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.platform.text.messages import message
from services.portal.calls import services_of
from services.portal.console.addresses import ROLES, of_role
from services.portal.console.forms import (
    LACKING,
    ConsoleForm,
    FormRefusal,
    attempt,
    for_permitted,
    refused,
    typed,
    version_of,
)
from services.portal.console.roles import EDIT, get, modules, permissions, trail
from services.portal.rendering import reader_of, render, told

TEXTS = ("display_name", "description")
FIELDS = {
    **{name: name for name in (*TEXTS, "permissions")},
    "ROLE_EXISTS": "display_name",
    "GIVES_MORE_THAN_HELD": LACKING,
}
CHOOSE = message("Choose at least one permission.")


def values_of(request: Request, role: pb.Role) -> dict[str, str]:
    name = told(role.display_name, reader_of(request).language)
    return {"display_name": name, "description": role.description}


def chosen_in(given: Any) -> list[str]:
    return list(dict.fromkeys(each[:64] for each in given.getlist("permissions") if isinstance(each, str)))


async def ask_new(request: Request) -> Response:
    """With the permissions of another one, if the address names it."""
    like = request.query_params.get("like", "")
    model = await get(request, like) if like else pb.Role()
    return await _page(request, None, ConsoleForm(), model.permissions)


async def ask_edit(request: Request) -> Response:
    role = await get(request)
    return await _page(request, role, ConsoleForm(values_of(request, role), role.version), role.permissions)


async def _page(request: Request, role: pb.Role | None, form: ConsoleForm, chosen: Sequence[str]) -> Response:
    title = (message("Edit the role") if role else message("Make a role")).to(reader_of(request).language)
    known = await permissions(request)
    return render(
        request,
        "console/role_edit.html",
        form.status,
        role=role,
        form=form,
        title=title,
        known=known,
        modules=modules(each for each in known if each.assignable),
        chosen=set(chosen),
        trail=trail(request, role, title) if role else [(title, "")],
        to=of_role,
    )


async def make(request: Request) -> Response:
    given = await request.form()
    form, chosen = ConsoleForm(typed(given, *TEXTS)), chosen_in(given)
    name, description = (form.value(each) for each in TEXTS)
    question = api.CreateRoleRequest(display_name=name, description=description, permissions=chosen)
    answer = await attempt(request, services_of(request).roles.CreateRole, question, FIELDS)
    if isinstance(answer, FormRefusal):
        return await _page(request, None, replace(form, refusal=answer), chosen)
    return RedirectResponse(of_role(answer.role.role_id, done="made"), 303)


async def edit(request: Request) -> Response:
    given = await request.form()
    form, chosen = ConsoleForm(typed(given, *TEXTS), version_of(given)), chosen_in(given)
    if not chosen:  # to the service that would be: as they are
        refusal = refused(CHOOSE.to(reader_of(request).language), "permissions")
        return await _page(request, await get(request), replace(form, refusal=refusal), chosen)
    name, description = (form.value(each) for each in TEXTS)
    question = api.UpdateRoleRequest(
        role_id=str(request.path_params["role_id"]),
        version=form.version,
        display_name=name,
        description=description,
        permissions=chosen,
    )
    answer = await attempt(request, services_of(request).roles.UpdateRole, question, FIELDS)
    if not isinstance(answer, FormRefusal):
        return RedirectResponse(of_role(answer.role.role_id, done="saved"), 303)
    role = await get(request)
    if answer.stale:
        now = {key: value for key, value in values_of(request, role).items() if value != form.value(key)}
        form = replace(form, now=now, version=role.version)
    return await _page(request, role, replace(form, refusal=answer), chosen)


async def ask_delete(request: Request) -> Response:
    return await _delete_page(request, await get(request))


async def _delete_page(request: Request, role: pb.Role, refusal: FormRefusal | None = None) -> Response:
    title = message("Delete the role").to(reader_of(request).language)
    form = ConsoleForm(version=role.version, refusal=refusal)
    known = await permissions(request) if refusal else ()
    here = trail(request, role, title)
    values = {"role": role, "form": form, "title": title, "known": known, "trail": here, "to": of_role}
    return render(request, "console/role_delete.html", form.status, **values)


async def delete(request: Request) -> Response:
    question = api.DeleteRoleRequest(
        role_id=str(request.path_params["role_id"]), version=version_of(await request.form())
    )
    fields = {"GIVES_MORE_THAN_HELD": LACKING}
    answer = await attempt(request, services_of(request).roles.DeleteRole, question, fields)
    if isinstance(answer, FormRefusal):
        return await _delete_page(request, await get(request), answer)
    return RedirectResponse(f"{ROLES}?done=deleted", 303)


PAGES = [
    (f"{ROLES}/new", for_permitted(EDIT, ask_new), "GET"),
    (f"{ROLES}/new", for_permitted(EDIT, make), "POST"),
    (f"{ROLES}/{{role_id}}/edit", for_permitted(EDIT, ask_edit), "GET"),
    (f"{ROLES}/{{role_id}}/edit", for_permitted(EDIT, edit), "POST"),
    (f"{ROLES}/{{role_id}}/delete", for_permitted(EDIT, ask_delete), "GET"),
    (f"{ROLES}/{{role_id}}/delete", for_permitted(EDIT, delete), "POST"),
]
