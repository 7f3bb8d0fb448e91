"""Roles as they are read: what there is to be permitted, and the roles that permit it, built-in and own ones."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.directory import departments, fields
from services.directory.models import BINDING, ROLE, ROLE_PERMISSION
from services.directory.scopes import Actor
from services.platform.clock import to_timestamp
from services.platform.data.database import Database
from services.platform.serving import errors
from services.platform.serving.permissions import BUILT_IN, CATALOGUE, NAMES
from services.platform.text.languages import CHINESE, ENGLISH
from services.platform.text.messages import Text, message

EVERYBODYS = "booker"
MEMBERS_ROLES = tuple(role_id for role_id in BUILT_IN if role_id != "service")
"""Built-in ones that a member can have."""
FIXED = frozenset({"attendance.report", "organization.transfer"})
"""What only a built-in role permits."""

c = ROLE.c


def list_permissions() -> api.ListPermissionsResponse:
    found = [
        pb.Permission(permission=name, description=to_text(words), assignable=name not in FIXED)
        for name, words in CATALOGUE.items()
    ]
    return api.ListPermissionsResponse(permissions=found)


async def list_(database: Database) -> api.ListRolesResponse:
    def work(connection: Connection) -> api.ListRolesResponse:
        own = connection.scalars(sa.select(c.role_id).order_by(c.display_name)).all()
        return api.ListRolesResponse(roles=to_messages(connection, [*MEMBERS_ROLES, *own]))

    return await database.read(work)


async def get(database: Database, request: api.GetRoleRequest) -> pb.Role:
    """Raises errors.RpcError."""
    role_id = fields.identifier("role_id", request.role_id)
    return await database.read(lambda connection: read(connection, role_id))


def read(connection: Connection, role_id: str) -> pb.Role:
    """Raises NOT_FOUND."""
    found = to_messages(connection, [role_id])
    if not found:
        raise errors.not_found("role", message("there is no such role"))
    return found[0]


def to_messages(connection: Connection, role_ids: Sequence[str]) -> list[pb.Role]:
    """In their order; without those that there are not."""
    own = {row.role_id: row for row in connection.execute(sa.select(ROLE).where(c.role_id.in_(role_ids)))}
    permitted, holders = permissions_of(connection, role_ids), _count_holders(connection, role_ids)
    found = []
    for role_id in role_ids:
        if role_id in own:
            role = _own(own[role_id])
        elif role_id in MEMBERS_ROLES:
            role = pb.Role(role_id=role_id, display_name=to_text(NAMES[role_id]), built_in=True)
        else:
            continue
        role.permissions.extend(permitted[role_id])
        role.holder_count = holders.get(role_id, 0)
        found.append(role)
    return found


def _own(row: sa.Row[Any]) -> pb.Role:
    return pb.Role(
        role_id=row.role_id,
        display_name=pb.RoleText(zh_cn=row.display_name, en=row.display_name),
        description=row.description,
        version=row.version,
        create_time=to_timestamp(row.create_time),
        update_time=to_timestamp(row.update_time),
    )


def to_text(words: Text) -> pb.RoleText:
    return pb.RoleText(zh_cn=words.to(CHINESE), en=words.to(ENGLISH))


def permissions_of(connection: Connection, role_ids: Collection[str]) -> dict[str, list[str]]:
    """In the order of the catalogue, by role."""
    held = {role_id: set(BUILT_IN[role_id] if role_id in MEMBERS_ROLES else ()) for role_id in role_ids}
    theirs = ROLE_PERMISSION.c.role_id.in_(role_ids)
    for row in connection.execute(sa.select(ROLE_PERMISSION).where(theirs)):
        held[row.role_id].add(row.permission)
    return {role_id: in_order(some) for role_id, some in held.items()}


def in_order(permissions: Collection[str]) -> list[str]:
    """Of the catalogue; what a later version of this program permitted is left out."""
    return [name for name in CATALOGUE if name in permissions]


def _count_holders(connection: Connection, role_ids: Collection[str]) -> dict[str, int]:
    b = BINDING.c
    count = sa.select(b.role_id, sa.func.count(b.account_id.distinct())).where(b.role_id.in_(role_ids))
    return {row[0]: row[1] for row in connection.execute(count.group_by(b.role_id))}


def check_held(connection: Connection, by: Actor, permissions: Iterable[str], department_id: str = "") -> None:
    """Raises PERMISSION_DENIED unless they have all of them, for that department or everywhere."""
    missing = in_order({*permissions} - _held(connection, by, department_id))
    if missing:
        words = message(
            "you cannot give or take what you may not do yourself: {permissions}", permissions=tuple(missing)
        )
        figures = {"permissions": " ".join(missing)}
        raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, "GIVES_MORE_THAN_HELD", words, figures=figures)


def _held(connection: Connection, by: Actor, department_id: str) -> set[str]:
    """What they may do in the department, or everywhere."""
    path = departments.load(connection, department_id).path if department_id else ""
    way = {*path.split("/")[:-1]}  # itself and all above
    scopes = {name: by.scope(name) for name in CATALOGUE}
    return {name for name, scope in scopes.items() if scope is None or not way.isdisjoint(scope)}
