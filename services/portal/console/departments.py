"""The departments: their tree, one of them, and the choice of some in forms."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from yunhui.directory.v1 import department_pb2 as pb
from yunhui.directory.v1 import department_service_pb2 as api

from services.platform.text.messages import Text, message
from services.portal.calls import ask, may, services_of
from services.portal.console.forms import (
    GENERAL,
    FormRefusal,
    attempt,
    for_permitted,
)
from services.portal.rendering import render

PATH = "/console/departments"
SHOWN, FOUND = 200, 50
"""Children on one page, and those that a search shows."""
LONGEST_QUERY = 100
CHOOSE = message("Search for the department, and choose one of those found.")
DONE = {
    "added": message("The department was added."),
    "renamed": message("The department has its new name."),
    "moved": message("The department was moved, with all below it."),
    "merged": message("They are one department now."),
    "deleted": message("The department was deleted."),
}
KINDS = {
    "department": "radio",
    "parent_id": "radio",
    "into_department_id": "radio",
    "memberships": "checkbox",
    "chosen": "several",
}
"""Fields that choose departments, by name."""


@dataclass(frozen=True, slots=True)
class Level:
    """One page of the departments right below one."""

    departments: Sequence[pb.Department]
    next_page_token: str
    total: int
    parent_id: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Of departments in a form: those that stand there already, what was searched for, and what was found besides."""

    chosen: Sequence[pb.Department] = ()
    query: str = ""
    found: Sequence[pb.Department] = ()
    total: int = 0


async def get(request: Request, department_id: str) -> pb.Department:
    """Raises grpc.aio.AioRpcError."""
    question = api.GetDepartmentRequest(department_id=department_id)
    answer = await ask(request, services_of(request).departments.GetDepartment, question)
    return answer.department


async def below(request: Request, parent_id: str = "", page_token: str = "", size: int = SHOWN) -> Level:
    """Raises grpc.aio.AioRpcError."""
    question = api.ListDepartmentsRequest(parent_id=parent_id, page_size=size, page_token=page_token)
    answer = await ask(request, services_of(request).departments.ListDepartments, question)
    return Level(list(answer.departments), answer.next_page_token, answer.total_count, parent_id)


async def search(request: Request, query: str) -> api.SearchDepartmentsResponse:
    """Raises grpc.aio.AioRpcError."""
    question = api.SearchDepartmentsRequest(query=query, page_size=FOUND)
    return await ask(request, services_of(request).departments.SearchDepartments, question)


async def choose(request: Request, chosen: Iterable[str], query: str = "") -> Choice:
    """Departments that are gone meanwhile are not among the `chosen` any more. Raises grpc.aio.AioRpcError."""
    ids = [each for each in dict.fromkeys(chosen) if each]
    standing = await asyncio.gather(*(found_or_none(request, each) for each in ids))
    made = Choice([each for each in standing if each], query[:LONGEST_QUERY])
    if not made.query:
        return made
    answer = await search(request, made.query)
    return replace(
        made, found=[each for each in answer.departments if each.department_id not in ids], total=answer.total_count
    )


async def found_or_none(request: Request, department_id: str) -> pb.Department | None:
    answer = await attempt(
        request,
        services_of(request).departments.GetDepartment,
        api.GetDepartmentRequest(department_id=department_id),
        {"DEPARTMENT_NOT_FOUND": GENERAL},
    )
    return None if isinstance(answer, FormRefusal) else answer.department


async def show(request: Request) -> Response:
    """The top of the tree, or what was searched for in it."""
    query = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
    found = await search(request, query) if query else None
    level = None if found else await below(request, page_token=request.query_params.get("page", ""))
    return render(
        request,
        "console/departments.html",
        query=query,
        found=found,
        level=level,
        may=may(request, "departments.edit"),
        done=done(request),
    )


async def show_one(request: Request) -> Response:
    department = await of_address(request)
    token = request.query_params.get("page", "")
    level, above = await asyncio.gather(below(request, department.department_id, token), ancestors(request, department))
    return render(
        request,
        "console/department.html",
        department=department,
        level=level,
        trail=trail(above, department),
        may=may(request, "departments.edit"),
        done=done(request),
    )


async def show_below(request: Request) -> Response:
    """A part of the tree."""
    level = await below(request, str(request.path_params["department_id"]), request.query_params.get("page", ""))
    return render(request, "console/_level.html", level=level)


async def show_found(request: Request) -> Response:
    """A part of a form: what was searched for."""
    given = request.query_params
    name = given.get("name", "")
    query = given.get("find", "").strip()
    choice = await choose(request, (), query)
    taken = {*given.getlist("memberships"), *given.getlist("chosen")}
    found = [each for each in choice.found if each.department_id not in taken]
    return render(
        request, "console/_found.html", name=name, kind=KINDS.get(name, "radio"), choice=replace(choice, found=found)
    )


def done(request: Request) -> Text | str:
    return DONE.get(request.query_params.get("done", ""), "")


def address(department_id: str, **query: str) -> str:
    return f"{PATH}/{department_id}" + (f"?{urlencode(query)}" if query else "")


async def of_address(request: Request) -> pb.Department:
    return await get(request, str(request.path_params["department_id"]))


async def ancestors(request: Request, department: pb.Department) -> list[pb.Department]:
    """From the top down, without itself."""
    above: list[pb.Department] = []
    while parent_id := (above[0] if above else department).parent_id:
        above.insert(0, await get(request, parent_id))
    return above


def trail(above: Sequence[pb.Department], department: pb.Department, *more: str) -> list[tuple[str, str]]:
    known = [(each.display_name, address(each.department_id)) for each in (*above, department)]
    return [*known, *((each, "") for each in more)]


PAGES = [
    (PATH, for_permitted("members.view", show), "GET"),
    (f"{PATH}/found", for_permitted("members.view", show_found), "GET"),
    (f"{PATH}/{{department_id}}", for_permitted("members.view", show_one), "GET"),
    (f"{PATH}/{{department_id}}/below", for_permitted("members.view", show_below), "GET"),
]
