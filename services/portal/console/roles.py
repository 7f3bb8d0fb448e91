"""The roles: what each permits, as a matrix, and one of them with those who have it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.platform.text.messages import Text, message
from services.portal.calls import ask, may, services_of
from services.portal.console.addresses import ROLES, of_member, of_role
from services.portal.console.forms import for_permitted
from services.portal.rendering import reader_of, render, told

VIEW, EDIT = "roles.view", "roles.edit"
EVERYBODYS, SUPER_ADMINISTRATOR = "booker", "super_admin"
HOLDERS = 50
"""On one page."""
OTHER = message("Other")
MODULES: Mapping[str, Text] = {
    "reservations": message("Reservations"),
    "violations": message("Reservations"),
    "rooms": message("Rooms and rules"),
    "rules": message("Rooms and rules"),
    "meetings": message("Meetings"),
    "recordings": message("Meetings"),
    "notices": message("Notices"),
    "address_book": message("Address book"),
    "members": message("Members and departments"),
    "departments": message("Members and departments"),
    "roles": message("Roles"),
    "organization": message("Organization and licences"),
    "licences": message("Organization and licences"),
    "webhooks": message("Operation"),
    "events": message("Operation"),
    "audit": message("Operation"),
    "attendance": message("Meetings"),
}
"""By what stands before the dot of a permission; those of one title follow each other."""
DONE = {
    "made": message("The role was made. It can be given on the page of a member."),
    "saved": message("Saved. It holds for all who have the role."),
    "deleted": message("The role was deleted."),
}


@dataclass(frozen=True, slots=True)
class PermissionModule:
    """Permissions that people read together."""

    title: Text
    permissions: Sequence[pb.Permission]


def modules(permissions: Iterable[pb.Permission]) -> list[PermissionModule]:
    """In their order."""
    grouped = groupby(permissions, lambda each: MODULES.get(each.permission.partition(".")[0], OTHER))
    return [PermissionModule(title, list(some)) for title, some in grouped]


async def every(request: Request) -> Sequence[pb.Role]:
    """Raises grpc.aio.AioRpcError, here and below."""
    return (await ask(request, services_of(request).roles.ListRoles, api.ListRolesRequest())).roles


async def permissions(request: Request) -> Sequence[pb.Permission]:
    answer = await ask(request, services_of(request).roles.ListPermissions, api.ListPermissionsRequest())
    return answer.permissions


async def get(request: Request, role_id: str = "") -> pb.Role:
    """That of the address, if no other."""
    question = api.GetRoleRequest(role_id=role_id or str(request.path_params["role_id"]))
    return (await ask(request, services_of(request).roles.GetRole, question)).role


async def holders(request: Request, role_id: str, page_token: str = "") -> api.ListRoleHoldersResponse:
    """Who has it; booker has no list."""
    if role_id == EVERYBODYS:
        return api.ListRoleHoldersResponse()
    question = api.ListRoleHoldersRequest(role_id=role_id, page_size=HOLDERS, page_token=page_token)
    return await ask(request, services_of(request).roles.ListRoleHolders, question)


def trail(request: Request, role: pb.Role, *more: str) -> list[tuple[str, str]]:
    name = told(role.display_name, reader_of(request).language)
    name = name[:1].upper() + name[1:] if role.built_in else name
    return [(name, of_role(role.role_id)), *((each, "") for each in more)]


async def show(request: Request) -> Response:
    """All at a glance. What no role here can permit is for programs, and left out."""
    known, listed = await asyncio.gather(permissions(request), every(request))
    permitted = {each.role_id: {*each.permissions} for each in listed}
    possible = [
        each for each in known if each.assignable or any(each.permission in some for some in permitted.values())
    ]
    return render(
        request,
        "console/roles.html",
        modules=modules(possible),
        roles=listed,
        permitted=permitted,
        to=of_role,
        may=may(request, EDIT),
        done=DONE.get(request.query_params.get("done", ""), ""),
    )


async def show_one(request: Request) -> Response:
    role, known = await asyncio.gather(get(request), permissions(request))
    found = await holders(request, role.role_id, request.query_params.get("page", "")[:4096])
    return render(
        request,
        "console/role.html",
        role=role,
        modules=modules(each for each in known if each.permission in role.permissions),
        holders=found,
        trail=trail(request, role),
        to=of_role,
        to_member=of_member,
        may=may(request, EDIT),
        done=DONE.get(request.query_params.get("done", ""), ""),
    )


PAGES = [
    (ROLES, for_permitted(VIEW, show), "GET"),
    (f"{ROLES}/{{role_id}}", for_permitted(VIEW, show_one), "GET"),
]
