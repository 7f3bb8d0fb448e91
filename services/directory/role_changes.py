"""Changes of the organization's own roles. Who changes one needs what they add or take away, everywhere."""

from collections.abc import Collection, Sequence

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.directory import changes, fields, grants, roles
from services.directory.changes import Changes, Outcome
from services.directory.models import BINDING, ROLE, ROLE_PERMISSION
from services.directory.scopes import Actor
from services.platform.data import audit
from services.platform.ids import new_id
from services.platform.messaging.bus import Event
from services.platform.serving import errors
from services.platform.serving.permissions import CATALOGUE, NAMES
from services.platform.text.languages import LANGUAGES
from services.platform.text.messages import message

MAX_NAME, MAX_DESCRIPTION = 50, 500
MAX_ROLES = 200

c = ROLE.c


async def create(made: Changes, request: api.CreateRoleRequest, by: Actor) -> pb.Role:
    """Raises errors.RpcError; then nothing was changed, here and below."""
    name = fields.required_text("display_name", request.display_name, MAX_NAME)
    description = fields.text("description", request.description, MAX_DESCRIPTION)
    permissions = _permissions(request.permissions)

    def work(connection: Connection, now: int) -> Outcome[pb.Role]:
        roles.check_held(connection, by, permissions)
        _check_number(connection)
        _check_free(connection, name)
        role_id = new_id("role")
        values = {"role_id": role_id, "display_name": name, "description": description}
        times = {"version": 1, "create_time": now, "update_time": now}
        connection.execute(sa.insert(ROLE).values(values | times))
        _put_permissions(connection, role_id, permissions)
        return _told(connection, None, role_id, "created", by, now)

    return await made.make(work)


async def update(made: Changes, request: api.UpdateRoleRequest, by: Actor) -> pb.Role:
    role_id, version = fields.identifier("role_id", request.role_id), fields.version(request.version)
    wanted = _values(request)
    permissions = _permissions(request.permissions) if request.permissions else None

    def work(connection: Connection, now: int) -> Outcome[pb.Role]:
        before = _own(connection, role_id)
        now_so = {"display_name": before.display_name.en, "description": before.description}
        new = {name: value for name, value in wanted.items() if value != now_so[name]}
        differing = {*before.permissions} ^ {*(before.permissions if permissions is None else permissions)}
        if not new and not differing:
            return Outcome(before, (), ())
        _check_version(before, version)
        roles.check_held(connection, by, differing)
        if "display_name" in new:
            _check_free(connection, new["display_name"])
        is_it = c.role_id == role_id
        connection.execute(sa.update(ROLE).where(is_it).values(**new, version=version + 1, update_time=now))
        if permissions is not None and differing:
            _put_permissions(connection, role_id, permissions)
            grants.mark_holders(connection, [role_id])
        return _told(connection, before, role_id, "updated", by, now)

    return await made.make(work)


async def delete(made: Changes, request: api.DeleteRoleRequest, by: Actor) -> None:
    role_id, version = fields.identifier("role_id", request.role_id), fields.version(request.version)

    def work(connection: Connection, now: int) -> Outcome[None]:
        before = _own(connection, role_id)
        _check_version(before, version)
        roles.check_held(connection, by, before.permissions)
        if connection.scalar(sa.select(BINDING.c.account_id).where(BINDING.c.role_id == role_id).limit(1)) is not None:
            words = message("somebody has this role: take it from them first")
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "ROLE_HELD", words)
        for table in (ROLE_PERMISSION, ROLE):
            connection.execute(sa.delete(table).where(table.c.role_id == role_id))
        entry = audit.AuditEntry(by, "role", role_id, detail={"before": [*before.permissions], "after": None})
        before.version += 1
        return Outcome(None, [_event("deleted", before, by, now)], [entry])

    await made.make(work)


def _values(request: api.UpdateRoleRequest) -> dict[str, str]:
    """Columns of what is given."""
    values = {}
    if request.HasField("display_name"):
        values["display_name"] = fields.required_text("display_name", request.display_name, MAX_NAME)
    if request.HasField("description"):
        values["description"] = fields.text("description", request.description, MAX_DESCRIPTION)
    if not values and not request.permissions:
        raise errors.invalid("display_name", message("give what is to change"))
    return values


def _permissions(given: Sequence[str]) -> list[str]:
    """In the order of the catalogue."""
    if not given:
        raise errors.invalid("permissions", errors.REQUIRED)
    for place, each in enumerate(given):
        field = f"permissions[{place}]"
        if each not in CATALOGUE:
            raise errors.invalid(field, message("is not one of those that there are"))
        if each in roles.FIXED:
            raise errors.invalid(field, message("goes with a built-in role only"))
        if each in given[:place]:
            raise errors.invalid(field, message("name each once"))
    return roles.in_order(given)


def _own(connection: Connection, role_id: str) -> pb.Role:
    """Raises errors.RpcError for a built-in one, and for none."""
    found = roles.read(connection, role_id)
    if found.built_in:
        words = message("a built-in role stays as it is: make one of your own")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "BUILT_IN_ROLE", words)
    return found


def _check_version(before: pb.Role, version: int) -> None:
    if before.version != version:
        raise changes.stale()


def _check_number(connection: Connection) -> None:
    if connection.execute(sa.select(sa.func.count()).select_from(ROLE)).scalar_one() >= MAX_ROLES:
        words = message("there are {most} roles: delete some that nobody has", most=MAX_ROLES)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_ROLES", words)


def _check_free(connection: Connection, name: str) -> None:
    built_in = {NAMES[role_id].to(language) for role_id in roles.MEMBERS_ROLES for language in LANGUAGES}
    if name in built_in or connection.scalar(sa.select(c.role_id).where(c.display_name == name)):
        words = message('there is a role "{name}" already: choose another name', name=name)
        raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, "ROLE_EXISTS", words)


def _put_permissions(connection: Connection, role_id: str, permissions: Collection[str]) -> None:
    """In place of all that there were."""
    connection.execute(sa.delete(ROLE_PERMISSION).where(ROLE_PERMISSION.c.role_id == role_id))
    connection.execute(sa.insert(ROLE_PERMISSION), [{"role_id": role_id, "permission": each} for each in permissions])


def _told(
    connection: Connection, before: pb.Role | None, role_id: str, what: str, by: Actor, now: int
) -> Outcome[pb.Role]:
    after = roles.read(connection, role_id)
    detail = {
        "before": None if before is None else [*before.permissions],
        "after": [*after.permissions],
        "changed": [
            name
            for name in ("display_name", "description")
            if before is not None and getattr(before, name) != getattr(after, name)
        ],
    }
    return Outcome(after, [_event(what, after, by, now)], [audit.AuditEntry(by, "role", role_id, detail=detail)])


def _event(what: str, role: pb.Role, by: Actor, now: int) -> Event:
    told = events_pb2.RoleEvent(role=role, actor=by.account_id)
    told.role.ClearField("holder_count")
    return changes.event(f"role.{what}", role.role_id, role.version, told, now)
