"""The tree of departments as it is changed: siblings stay numbered without gaps, and nothing comes to lie below itself.

Only what Changes.make runs is here: nobody else changes anything meanwhile.
"""

from collections.abc import Iterator
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import department_pb2 as pb
from yunhui.directory.v1 import department_service_pb2 as api
from yunhui.directory.v1 import events_pb2

from services.directory import bindings, departments, fields, member_queries, memberships, scopes, visibility
from services.directory.changes import Changes, Outcome, Work, event, stale
from services.directory.departments import TOP, optional_id
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP
from services.directory.scopes import Actor, Scope
from services.directory.search import to_text
from services.platform.data import audit
from services.platform.ids import new_id
from services.platform.messaging.bus import Event
from services.platform.serving import errors
from services.platform.text.messages import message

PERMISSION = "departments.edit"
AT_ONCE = 500
"""So many ids in a statement: databases have limits."""

c, m = DEPARTMENT.c, MEMBERSHIP.c


async def create(changes: Changes, request: api.CreateDepartmentRequest, by: Actor) -> pb.Department:
    """Raises errors.RpcError."""
    return await changes.make(creating(request, by))


def creating(request: api.CreateDepartmentRequest, by: Actor) -> Work[pb.Department]:
    name, parent_id = fields.department_name(request.display_name), optional_id("parent_id", request.parent_id)

    def work(connection: Connection, now: int) -> Outcome[pb.Department]:
        above, department_id = _path(connection, parent_id, by.scope(PERMISSION)), new_id("dep")
        _check_levels(above.count("/") + 1)
        _check_free(connection, parent_id, name)
        values = new_row(department_id, parent_id, name, above, _count_children(connection, parent_id), now)
        connection.execute(sa.insert(DEPARTMENT).values(values))
        return _changed(connection, "created", department_id, by, now, {"parent_id": parent_id})

    return work


async def rename(changes: Changes, request: api.RenameDepartmentRequest, by: Actor) -> pb.Department:
    """Raises errors.RpcError."""
    return await changes.make(renaming(request, by))


def renaming(request: api.RenameDepartmentRequest, by: Actor) -> Work[pb.Department]:
    department_id, name = (
        fields.identifier("department_id", request.department_id),
        fields.department_name(request.display_name),
    )
    version = fields.version(request.version)

    def work(connection: Connection, now: int) -> Outcome[pb.Department]:
        row = departments.load(connection, department_id, by.scope(PERMISSION))
        if name == row.display_name:
            return Outcome(departments.read(connection, department_id), [], [])
        _check_version(row, version)
        _check_free(connection, row.parent_id, name)
        _update(connection, row, now, display_name=name, search_text=to_text([name]))
        return _changed(connection, "renamed", department_id, by, now, {"changed": ["display_name"]})

    return work


async def move(changes: Changes, request: api.MoveDepartmentRequest, by: Actor) -> pb.Department:
    """Raises errors.RpcError."""
    return await changes.make(moving(request, by))


def moving(request: api.MoveDepartmentRequest, by: Actor) -> Work[pb.Department]:
    department_id = fields.identifier("department_id", request.department_id)
    parent_id = optional_id("parent_id", request.parent_id)
    before_id = optional_id("before_department_id", request.before_department_id)
    version = fields.version(request.version)

    def work(connection: Connection, now: int) -> Outcome[pb.Department]:
        scope = by.scope(PERMISSION)
        row, above = departments.load(connection, department_id, scope), _path(connection, parent_id, scope)
        _check_place(connection, row, scope)
        position = _place(connection, row, parent_id, before_id)
        if (parent_id, position) == (row.parent_id, row.position):
            return Outcome(departments.read(connection, department_id), [], [])
        _check_version(row, version)
        if parent_id != row.parent_id:
            _check_cycle(row, above)
            _check_levels(_levels_below(connection, row) + above.count("/") + 1)
            _check_free(connection, parent_id, row.display_name)
        _close_gap(connection, row)
        behind = sa.and_(c.parent_id == parent_id, c.position >= position, c.department_id != department_id)
        connection.execute(sa.update(DEPARTMENT).where(behind).values(position=c.position + 1))
        _update(connection, row, now, parent_id=parent_id, position=position)
        if parent_id != row.parent_id:
            after = f"{above}{department_id}/"
            _rewrite_paths(connection, row.path, after)
            memberships.recount(connection, row.path, after)
        detail = {
            "before": {"parent_id": row.parent_id, "position": row.position},
            "after": {"parent_id": parent_id, "position": position},
        }
        return _changed(connection, "moved", department_id, by, now, detail)

    return work


async def merge(changes: Changes, request: api.MergeDepartmentRequest, by: Actor) -> pb.Department:
    """Raises errors.RpcError."""
    department_id = fields.identifier("department_id", request.department_id)
    into_id = fields.identifier("into_department_id", request.into_department_id)
    version = fields.version(request.version)
    if into_id == department_id:
        raise errors.invalid("into_department_id", message("must be another department"))

    def work(connection: Connection, now: int) -> Outcome[pb.Department]:
        scope = by.scope(PERMISSION)
        row, into = (departments.load(connection, each, scope) for each in (department_id, into_id))
        _check_place(connection, row, scope)
        _check_version(row, version)
        _check_cycle(row, into.path)
        _check_levels(_levels_below(connection, row) + into.path.count("/"))
        _check_children(connection, row, into)
        visibility.check_not_named(connection, department_id)
        removed = _removed(connection, "merged", row, by, now, into_id)
        account_ids = _move_members(connection, department_id, into_id, now)
        moved = bindings.move(connection, department_id, into, by, now)
        connection.execute(sa.delete(DEPARTMENT).where(c.department_id == department_id))
        _close_gap(connection, row)
        child_ids = _move_children(connection, row, into, now)
        memberships.recount(connection, row.path, into.path)
        detail = {
            "parent_id": row.parent_id,
            "into_department_id": into_id,
            "members": len(account_ids),
            "departments": len(child_ids),
            "bindings": sum(each.subject.endswith(".removed") for each in moved),
        }
        entry = audit.AuditEntry(by, "department", department_id, detail=detail)
        events = [
            removed,
            *_child_events(connection, child_ids, by, now),
            *_member_events(connection, account_ids, by, now),
            *moved,
        ]
        return Outcome(departments.read(connection, into_id), events, [entry])

    return await changes.make(work)


async def delete(changes: Changes, request: api.DeleteDepartmentRequest, by: Actor) -> None:
    """Raises errors.RpcError."""
    await changes.make(deleting(request, by))


def deleting(request: api.DeleteDepartmentRequest, by: Actor) -> Work[None]:
    department_id, version = fields.identifier("department_id", request.department_id), fields.version(request.version)

    def work(connection: Connection, now: int) -> Outcome[None]:
        row = departments.load(connection, department_id, by.scope(PERMISSION))
        _check_place(connection, row, by.scope(PERMISSION))
        _check_version(row, version)
        if _count_children(connection, department_id) or _count_members(connection, department_id):
            words = message("it has members or departments: move them, or merge it into another one")
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "DEPARTMENT_NOT_EMPTY", words)
        bindings.check_not_named(connection, department_id)
        visibility.check_not_named(connection, department_id)
        removed = _removed(connection, "deleted", row, by, now)
        connection.execute(sa.delete(DEPARTMENT).where(c.department_id == department_id))
        _close_gap(connection, row)
        entry = audit.AuditEntry(by, "department", department_id, detail={"parent_id": row.parent_id})
        return Outcome(None, [removed], [entry])

    return work


def new_row(department_id: str, parent_id: str, name: str, above: str, position: int, now: int) -> dict[str, Any]:
    """Of the table. `above` is the path of ids down to the parent."""
    return {
        "department_id": department_id,
        "parent_id": parent_id,
        "display_name": name,
        "search_text": to_text([name]),
        "position": position,
        "path": f"{above}{department_id}/",
        "version": 1,
        "create_time": now,
        "update_time": now,
    }


def _path(connection: Connection, parent_id: str, scope: Scope) -> str:
    """Of ids, down to the parent; "" for the top, which lies inside no department."""
    if parent_id != TOP:
        return str(departments.load(connection, parent_id, scope).path)
    if scope is not None:
        raise scopes.outside(message("you cannot change what stands at the top: choose a department of yours"))
    return ""


def _check_place(connection: Connection, row: sa.Row[Any], scope: Scope) -> None:
    """Whoever takes a department away changes what lies below its parent."""
    inside = (c.department_id == row.parent_id) & scopes.within(connection, scope)
    if scope is not None and not connection.scalar(sa.select(c.department_id).where(inside)):
        words = message("the place of this department is not one of yours: ask somebody who may change the one above")
        raise scopes.outside(words)


def _place(connection: Connection, row: sa.Row[Any], parent_id: str, before_id: str) -> int:
    """The position that `row` will have: as if it were not there yet."""
    stays = int(parent_id == row.parent_id)
    if not before_id:
        return _count_children(connection, parent_id) - stays
    sibling = sa.and_(c.department_id == before_id, c.parent_id == parent_id, c.department_id != row.department_id)
    position = connection.scalar(sa.select(c.position).where(sibling))
    if position is None:
        raise errors.invalid("before_department_id", message("must be another department of that parent"))
    return int(position) - (stays and int(row.position < position))


def _check_version(row: sa.Row[Any], version: int) -> None:
    if row.version != version:
        raise stale()


def _check_cycle(row: sa.Row[Any], path: str) -> None:
    if path.startswith(row.path):
        words = message("a department cannot come to lie below itself")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "CYCLE", words)


def _check_levels(levels: int) -> None:
    if levels > fields.MOST_LEVELS:
        words = message("there can be at most {most} levels of departments", most=fields.MOST_LEVELS)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_DEEP", words)


def _levels_below(connection: Connection, row: sa.Row[Any]) -> int:
    """How many there are below it: 0 without children."""
    levels = sa.func.length(c.path) - sa.func.length(sa.func.replace(c.path, "/", ""))
    deepest = connection.execute(sa.select(sa.func.max(levels)).where(scopes.below(row.path))).scalar_one()
    return int(deepest) - int(row.path.count("/"))


def _check_free(connection: Connection, parent_id: str, name: str) -> None:
    taken = sa.and_(c.parent_id == parent_id, c.display_name == name)
    if connection.scalar(sa.select(c.department_id).where(taken)):
        raise _exists(name)


def _check_children(connection: Connection, row: sa.Row[Any], into: sa.Row[Any]) -> None:
    """Those of both must have different names; `row` itself goes."""
    other = DEPARTMENT.alias()
    same = sa.and_(other.c.parent_id == into.department_id, other.c.display_name == c.display_name)
    both = sa.select(c.display_name).join(other, same).where(c.parent_id == row.department_id)
    name = connection.scalar(both.where(other.c.department_id != row.department_id).limit(1))
    if name is not None:
        raise _exists(name)


def _exists(name: str) -> errors.RpcError:
    words = message('there is a department "{name}" there already: choose another name', name=name)
    return errors.failure(grpc.StatusCode.ALREADY_EXISTS, "DEPARTMENT_EXISTS", words)


def _count_children(connection: Connection, parent_id: str) -> int:
    count = sa.select(sa.func.count()).where(c.parent_id == parent_id)
    return int(connection.execute(count).scalar_one())


def _count_members(connection: Connection, department_id: str) -> int:
    count = sa.select(sa.func.count()).where(m.department_id == department_id)
    return int(connection.execute(count).scalar_one())


def _update(connection: Connection, row: sa.Row[Any], now: int, **values: Any) -> None:
    changed = sa.update(DEPARTMENT).where(c.department_id == row.department_id)
    connection.execute(changed.values(version=row.version + 1, update_time=now, **values))


def _close_gap(connection: Connection, row: sa.Row[Any]) -> None:
    """Siblings behind where it was go forward."""
    behind = sa.and_(c.parent_id == row.parent_id, c.position > row.position)
    connection.execute(sa.update(DEPARTMENT).where(behind).values(position=c.position - 1))


def _rewrite_paths(connection: Connection, before: str, after: str) -> None:
    """Of all whose paths begin with `before`."""
    path = sa.literal(after) + sa.func.substr(c.path, len(before) + 1)
    connection.execute(sa.update(DEPARTMENT).where(scopes.below(before)).values(path=path))


def _move_children(connection: Connection, row: sa.Row[Any], into: sa.Row[Any], now: int) -> list[str]:
    """To the end of the other's, in their order; which they are."""
    children = c.parent_id == row.department_id
    child_ids = connection.scalars(sa.select(c.department_id).where(children).order_by(c.position)).all()
    values = {
        "parent_id": into.department_id,
        "position": c.position + _count_children(connection, into.department_id),
        "version": c.version + 1,
        "update_time": now,
    }
    connection.execute(sa.update(DEPARTMENT).where(children).values(values))
    _rewrite_paths(connection, row.path, into.path)
    return [*child_ids]


def _move_members(connection: Connection, department_id: str, into_id: str, now: int) -> list[str]:
    """Whose memberships changed. Who is in both keeps one, which is the main one if either was."""
    here, there = m.department_id == department_id, m.department_id == into_id
    account_ids = connection.scalars(sa.select(m.account_id).where(here).order_by(m.account_id)).all()
    of_these = MEMBER.c.account_id.in_(sa.select(m.account_id).where(here))
    main = MEMBER.c.main_department_id
    values = {
        "version": MEMBER.c.version + 1,
        "update_time": now,
        "main_department_id": sa.case((main == department_id, into_id), else_=main),
    }
    connection.execute(sa.update(MEMBER).where(of_these).values(values))
    other = MEMBERSHIP.alias()
    in_both = m.account_id.in_(sa.select(other.c.account_id).where(other.c.department_id == into_id))
    connection.execute(sa.delete(MEMBERSHIP).where(here, in_both))
    has_main = sa.exists().where(other.c.account_id == m.account_id, other.c.main)
    connection.execute(sa.update(MEMBERSHIP).where(there, ~has_main).values(main=True))
    connection.execute(sa.update(MEMBERSHIP).where(here).values(department_id=into_id))
    of_main = m.account_id.in_(sa.select(MEMBER.c.account_id).where(main == into_id))
    connection.execute(
        sa.update(MEMBERSHIP).where(of_main, m.main_department_id == department_id).values(main_department_id=into_id)
    )
    return [*account_ids]


def _changed(
    connection: Connection, what: str, department_id: str, by: Actor, now: int, detail: dict[str, Any]
) -> Outcome[pb.Department]:
    after = departments.read(connection, department_id)
    entry = audit.AuditEntry(by, "department", department_id, detail=detail)
    return Outcome(after, [event_of(what, after, by, now)], [entry])


def _removed(connection: Connection, what: str, row: sa.Row[Any], by: Actor, now: int, into_id: str = "") -> Event:
    """To be made before it is gone."""
    (told,) = departments.describe(connection, [row])
    told.version += 1
    return event_of(what, told, by, now, into_id)


def event_of(what: str, department: pb.Department, by: Actor, now: int, into_id: str = "") -> Event:
    payload = events_pb2.DepartmentEvent(department=department, into_department_id=into_id, actor=by.account_id)
    for field in departments.COUNTED:
        payload.department.ClearField(field)
    return event(f"department.{what}", department.department_id, department.version, payload, now)


def _child_events(connection: Connection, child_ids: list[str], by: Actor, now: int) -> Iterator[Event]:
    for start in range(0, len(child_ids), AT_ONCE):
        rows = departments.rows_of(connection, child_ids[start : start + AT_ONCE])
        for department in departments.describe(connection, rows):
            yield event_of("moved", department, by, now)


def _member_events(connection: Connection, account_ids: list[str], by: Actor, now: int) -> Iterator[Event]:
    for start in range(0, len(account_ids), AT_ONCE):
        some = MEMBER.c.account_id.in_(account_ids[start : start + AT_ONCE])
        rows = connection.execute(sa.select(MEMBER).where(some).order_by(MEMBER.c.account_id)).mappings().all()
        for member in member_queries.to_messages(connection, rows):
            payload = events_pb2.MemberEvent(member=member, actor=by.account_id)
            yield event("member.updated", member.account_id, member.version, payload, now)
