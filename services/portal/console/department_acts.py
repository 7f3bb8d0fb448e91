"""What is done to departments: added, renamed, moved, merged, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from yunhui.directory.v1 import department_pb2 as pb
from yunhui.directory.v1 import department_service_pb2 as api

from services.platform.text.messages import Text, message
from services.portal.calls import services_of, text_of
from services.portal.console import departments
from services.portal.console.departments import (
    LONGEST_QUERY,
    PATH,
    Choice,
    address,
    ancestors,
    below,
    choose,
    get,
    of_address,
    trail,
)
from services.portal.console.forms import (
    ConsoleForm,
    FormRefusal,
    attempt,
    for_permitted,
    refused,
    typed,
    version_of,
    was_searched,
)
from services.portal.rendering import reader_of, render

PLACES = 500
"""Siblings that one can be put in front of."""


@dataclass(frozen=True, slots=True)
class DepartmentAct:
    """Something that is done to a department, after a page that asks for what it needs."""

    title: Text
    button: Text
    done: str
    fields: Sequence[str] = ()
    warning: Text | None = None


ACTS = {
    "rename": DepartmentAct(message("Rename the department"), message("Rename"), "renamed", ["display_name"]),
    "move": DepartmentAct(
        message("Move the department"), message("Move"), "moved", ["parent_id", "old_parent_id", "before_department_id"]
    ),
    "merge": DepartmentAct(
        message("Merge the department into another"),
        message("Merge"),
        "merged",
        ["into_department_id"],
        message(
            "Its members and the departments below it go to the other one, and it is removed. It cannot be taken back."
        ),
    ),
    "delete": DepartmentAct(
        message("Delete the department?"),
        message("Delete the department"),
        "deleted",
        warning=message("It cannot be taken back."),
    ),
}
FIELDS = {
    "display_name": "display_name",
    "DEPARTMENT_EXISTS": "display_name",
    "parent_id": "parent_id",
    "before_department_id": "before_department_id",
    "into_department_id": "into_department_id",
    "CYCLE": "place",
    "TOO_DEEP": "place",
    "DEPARTMENT_NOT_FOUND": "place",
}


def _act_of(request: Request) -> str:
    name = str(request.path_params["act"])
    if name not in ACTS:
        raise HTTPException(404)
    return name


async def ask_act(request: Request) -> Response:
    name, department = _act_of(request), await of_address(request)
    values = {"display_name": department.display_name, "parent_id": department.parent_id}
    return await _act_page(request, department, name, ConsoleForm(values, department.version))


async def _act_page(
    request: Request, department: pb.Department, name: str, form: ConsoleForm, query: str = ""
) -> Response:
    act = ACTS[name]
    above = await ancestors(request, department)
    wanted = form.value("into_department_id") if name == "merge" else form.value("parent_id")
    standing = {wanted, department.parent_id} if name == "move" else {wanted}
    choice = await choose(request, sorted(standing), query) if name in {"move", "merge"} else Choice()
    listed = await below(request, department.parent_id, size=PLACES) if name == "move" else None
    places = [each for each in listed.departments if each.department_id != department.department_id] if listed else []
    if "before_department_id" not in form.values:  # where it stands
        following = next((each.department_id for each in places if each.position > department.position), "")
        form = replace(form, values={**form.values, "before_department_id": following})
    language = reader_of(request).language
    return render(
        request,
        "console/department_act.html",
        form.status,
        department=department,
        act=act,
        name=name,
        form=form,
        choice=choice,
        places=places,
        trail=trail(above, department, act.title.to(language)),
    )


async def do_act(request: Request) -> Response:
    name, given = _act_of(request), await request.form()
    act, department_id = ACTS[name], str(request.path_params["department_id"])
    form = ConsoleForm(typed(given, *act.fields), version_of(given))
    query = text_of(given, "find", LONGEST_QUERY)
    if was_searched(given):
        return await _act_page(request, await of_address(request), name, form, query)
    if "into_department_id" in act.fields and not form.value("into_department_id"):
        refusal = refused(departments.CHOOSE.to(reader_of(request).language), "into_department_id")
        return await _act_page(request, await of_address(request), name, replace(form, refusal=refusal), query)
    answer = await _changed(request, name, department_id, form)
    if isinstance(answer, FormRefusal):
        department = await of_address(request)
        now = {"display_name": department.display_name} if answer.stale else {}
        version = department.version if answer.stale else form.version
        return await _act_page(
            request, department, name, replace(form, refusal=answer, now=now, version=version), query
        )
    if name == "delete":
        return RedirectResponse(f"{PATH}?done={act.done}", 303)
    return RedirectResponse(address(answer.department.department_id, done=act.done), 303)


async def _changed(request: Request, name: str, department_id: str, form: ConsoleForm) -> Any:
    """The service's answer, or a FormRefusal."""
    departments = services_of(request).departments
    mine: dict[str, Any] = {"department_id": department_id, "version": form.version}
    fields = FIELDS | ({"DEPARTMENT_EXISTS": "place"} if name != "rename" else {})
    if name == "rename":
        question: Any = api.RenameDepartmentRequest(**mine, display_name=form.value("display_name"))
        return await attempt(request, departments.RenameDepartment, question, fields)
    if name == "move":
        stays = form.value("parent_id") == form.value("old_parent_id")
        before = form.value("before_department_id") if stays else ""
        question = api.MoveDepartmentRequest(**mine, parent_id=form.value("parent_id"), before_department_id=before)
        return await attempt(request, departments.MoveDepartment, question, fields)
    if name == "merge":
        question = api.MergeDepartmentRequest(**mine, into_department_id=form.value("into_department_id"))
        return await attempt(request, departments.MergeDepartment, question, fields)
    return await attempt(request, departments.DeleteDepartment, api.DeleteDepartmentRequest(**mine), fields)


async def ask_new(request: Request) -> Response:
    return await _new_page(request, ConsoleForm({"parent_id": request.query_params.get("below", "")}))


async def _new_page(request: Request, form: ConsoleForm) -> Response:
    parent = await get(request, form.value("parent_id")) if form.value("parent_id") else None
    above = await ancestors(request, parent) if parent else []
    title = message("Add a department").to(reader_of(request).language)
    here = trail(above, parent, title) if parent else [(title, "")]
    return render(request, "console/department_new.html", form.status, form=form, parent=parent, trail=here)


async def add(request: Request) -> Response:
    form = ConsoleForm(typed(await request.form(), "display_name", "parent_id"))
    question = api.CreateDepartmentRequest(display_name=form.value("display_name"), parent_id=form.value("parent_id"))
    fields = {"display_name": "display_name", "DEPARTMENT_EXISTS": "display_name"}
    answer = await attempt(request, services_of(request).departments.CreateDepartment, question, fields)
    if isinstance(answer, FormRefusal):
        return await _new_page(request, replace(form, refusal=answer))
    return RedirectResponse(address(answer.department.department_id, done="added"), 303)


PAGES = [
    (f"{PATH}/new", for_permitted("departments.edit", ask_new), "GET"),
    (f"{PATH}/new", for_permitted("departments.edit", add), "POST"),
    *departments.PAGES,  # after `new`, which is no department, and before the acts: `below` is none
    (f"{PATH}/{{department_id}}/{{act}}", for_permitted("departments.edit", ask_act), "GET"),
    (f"{PATH}/{{department_id}}/{{act}}", for_permitted("departments.edit", do_act), "POST"),
]
