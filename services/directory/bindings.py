"""Who has which role, and for which department. Nobody gives or takes what they may not do themselves.

Only what Changes.make runs changes anything here: it also sees to it that a super administrator is left.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.directory import changes, departments, fields, grants, member_queries, roles, scopes
from services.directory.changes import Changes, Outcome
from services.directory.member_requests import account_id
from services.directory.models import BINDING, DEPARTMENT, MEMBER
from services.directory.scopes import Actor, Scope
from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.ids import new_id
from services.platform.messaging.bus import Event
from services.platform.serving import errors, pages
from services.platform.serving.permissions import SUPER_ADMINISTRATOR
from services.platform.text.messages import message

VIEW, EDIT = "roles.view", "roles.edit"
MOST_OF_ONE = 100

b = BINDING.c


async def give(made: Changes, request: api.GiveRoleRequest, by: Actor) -> pb.Binding:
    """Raises errors.RpcError; then nothing was changed, here and below."""
    wanted = _key(request)
    if wanted["role_id"] == SUPER_ADMINISTRATOR and wanted["department_id"]:
        raise errors.invalid("department_id", message("must be empty: this role is for the whole organization"))

    def work(connection: Connection, now: int) -> Outcome[pb.Binding]:
        member_queries.find(connection, wanted["account_id"], by.scope(EDIT))
        if wanted["department_id"]:
            departments.load(connection, wanted["department_id"], by.scope(EDIT))
        _check_may(connection, by, wanted["role_id"], wanted["department_id"])
        if before := _find(connection, _is(wanted)):
            return Outcome(to_messages(connection, [before])[0], (), ())
        _check_number(connection, wanted["account_id"])
        added = add(connection, [wanted], by, now)
        [after] = to_messages(connection, _rows(connection, _is(wanted)))
        return Outcome(after, added, [_entry(by, after.binding_id, wanted, "given")])

    return await made.make(work)


async def take(made: Changes, request: api.TakeRoleRequest, by: Actor) -> None:
    wanted = _key(request)

    def work(connection: Connection, now: int) -> Outcome[None]:
        row = _find(connection, _is(wanted) & seen(connection, by.scope(EDIT)))
        if row is None:
            raise errors.not_found("binding", message("this member has not got this role there"))
        _check_may(connection, by, row.role_id, row.department_id)
        return Outcome(None, remove(connection, [row], by, now), [_entry(by, row.binding_id, wanted, "taken")])

    await made.make(work)


async def list_holders(
    database: Database, request: api.ListRoleHoldersRequest, scope: Scope
) -> api.ListRoleHoldersResponse:
    """Raises errors.RpcError."""
    role_id, size = fields.identifier("role_id", request.role_id), pages.size(request.page_size)
    if role_id == roles.EVERYBODYS:
        raise errors.invalid("role_id", message("is everybody's"))
    key = pages.from_text_token(request.page_token)

    def work(connection: Connection) -> api.ListRoleHoldersResponse:
        roles.read(connection, role_id)
        there = (b.role_id == role_id) & seen(connection, scope)
        query = sa.select(BINDING).where(there).order_by(b.account_id, b.department_id).limit(size + 1)
        if key:
            query = query.where(sa.tuple_(b.account_id, b.department_id) > sa.tuple_(*key))
        rows = connection.execute(query).all()
        last = rows[size - 1] if len(rows) > size else None
        return api.ListRoleHoldersResponse(
            bindings=to_messages(connection, rows[:size]),
            next_page_token=pages.to_token(last.account_id, last.department_id) if last else "",
            total_count=connection.execute(sa.select(sa.func.count()).select_from(BINDING).where(there)).scalar_one(),
        )

    return await database.read(work)


async def list_of(database: Database, request: api.ListRolesOfRequest, scope: Scope) -> api.ListRolesOfResponse:
    """Raises errors.RpcError."""
    wanted = account_id("account_id", request.account_id)

    def work(connection: Connection) -> api.ListRolesOfResponse:
        member_queries.find(connection, wanted, scope)
        return api.ListRolesOfResponse(bindings=to_messages(connection, of_member(connection, wanted)))

    return await database.read(work)


def of_member(connection: Connection, account_id: str) -> Sequence[sa.Row[Any]]:
    return _rows(connection, b.account_id == account_id)


def seen(connection: Connection, scope: Scope) -> sa.ColumnElement[bool]:
    """Of a binding: that it is for a department inside, or that its member belongs to one."""
    if scope is None:
        return sa.true()
    inside = sa.select(DEPARTMENT.c.department_id).where(scopes.within(connection, scope))
    theirs = sa.select(MEMBER.c.account_id).where(scopes.belongs(connection, scope))
    return b.department_id.in_(inside) | b.account_id.in_(theirs)


def add(connection: Connection, keys: Iterable[Mapping[str, Any]], by: Actor, now: int) -> list[Event]:
    """`keys`: account, role and department, none of which there is yet."""
    events = []
    for key in keys:
        binding_id = new_id("bin")
        connection.execute(sa.insert(BINDING).values(**key, binding_id=binding_id, create_time=now))
        told = pb.Binding(**key, binding_id=binding_id, create_time=to_timestamp(now))
        events.append(_event("added", told, 1, by, now))
        grants.mark(connection, [key["account_id"]])
    return events


def remove(connection: Connection, rows: Iterable[sa.Row[Any]], by: Actor, now: int) -> list[Event]:
    events = []
    for row in rows:
        connection.execute(sa.delete(BINDING).where(b.binding_id == row.binding_id))
        events.append(_event("removed", _to_message(row), 2, by, now))
        grants.mark(connection, [row.account_id])
    return events


def move(connection: Connection, department_id: str, into: sa.Row[Any], by: Actor, now: int) -> list[Event]:
    """What was given for a department that goes is given for another one: that, too, must be the caller's to give."""
    rows = _rows(connection, b.department_id == department_id)
    for role_id in {row.role_id for row in rows}:
        roles.check_held(connection, by, roles.read(connection, role_id).permissions, into.department_id)
    removed, there = remove(connection, rows, by, now), _rows(connection, b.department_id == into.department_id)
    known = {(row.account_id, row.role_id) for row in there}
    new = [
        {"account_id": row.account_id, "role_id": row.role_id, "department_id": into.department_id}
        for row in rows
        if (row.account_id, row.role_id) not in known
    ]
    return removed + add(connection, new, by, now)


def check_not_named(connection: Connection, department_id: str) -> None:
    """A role for a department that is gone would be for none: whoever removes the department says so before."""
    if _find(connection, b.department_id == department_id):
        words = message("roles were given for this department: take them first, or merge it into another one")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "DEPARTMENT_NAMED", words)


def check_may_change(connection: Connection, by: Actor, account_ids: Iterable[str]) -> None:
    """Who opens, closes or removes an account gives or takes all of its roles."""
    if by.is_identity_provider:
        _check_no_super_administrator(connection, account_ids)
        return
    for row in _rows(connection, b.account_id.in_([*account_ids])):
        roles.check_held(connection, by, roles.read(connection, row.role_id).permissions, row.department_id)


def _check_no_super_administrator(connection: Connection, account_ids: Iterable[str]) -> None:
    """Else whoever has a token made could shut out those who may do more, one after the other."""
    held = sa.and_(b.role_id == SUPER_ADMINISTRATOR, b.account_id.in_([*account_ids]))
    if _find(connection, held):
        words = message(
            "a super administrator is not enabled, disabled or deleted by an identity provider:"
            " take the role super_admin first"
        )
        raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, "SUPER_ADMINISTRATOR", words)


def to_messages(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[pb.Binding]:
    """With names, in their order."""
    m = MEMBER.c
    some = sa.select(m.account_id, m.display_name).where(m.account_id.in_({row.account_id for row in rows}))
    names = {row.account_id: row.display_name for row in connection.execute(some)}
    known = {each.role_id: each for each in roles.to_messages(connection, [*{row.role_id for row in rows}])}
    paths = departments.paths_of(connection, {row.department_id for row in rows} - {""})
    found = []
    for row in rows:
        binding = _to_message(row)
        binding.display_name = names[row.account_id]
        binding.department_path = paths.get(row.department_id, "")
        binding.role_name.CopyFrom(known[row.role_id].display_name)
        found.append(binding)
    return found


def _to_message(row: sa.Row[Any]) -> pb.Binding:
    return pb.Binding(
        binding_id=row.binding_id,
        account_id=row.account_id,
        role_id=row.role_id,
        department_id=row.department_id,
        create_time=to_timestamp(row.create_time),
    )


def _key(request: api.GiveRoleRequest | api.TakeRoleRequest) -> dict[str, str]:
    role_id = fields.identifier("role_id", request.role_id)
    if role_id == roles.EVERYBODYS:
        raise errors.invalid("role_id", message("is everybody's: it is not given or taken"))
    return {
        "account_id": account_id("account_id", request.account_id),
        "role_id": role_id,
        "department_id": departments.optional_id("department_id", request.department_id),
    }


def _is(key: dict[str, str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(b[name] == value for name, value in key.items()))


def _rows(connection: Connection, wanted: sa.ColumnElement[bool]) -> Sequence[sa.Row[Any]]:
    query = sa.select(BINDING).where(wanted)
    return connection.execute(query.order_by(b.role_id, b.account_id, b.department_id)).all()


def _find(connection: Connection, wanted: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
    return connection.execute(sa.select(BINDING).where(wanted).limit(1)).one_or_none()


def _check_may(connection: Connection, by: Actor, role_id: str, department_id: str) -> None:
    permissions = roles.read(connection, role_id).permissions
    roles.check_held(connection, by, [EDIT, *permissions], department_id)


def _check_number(connection: Connection, account_id: str) -> None:
    if len(of_member(connection, account_id)) >= MOST_OF_ONE:
        words = message("this member has {most} roles: take some first", most=MOST_OF_ONE)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_BINDINGS", words)


def _entry(by: Actor, binding_id: str, key: dict[str, str], what: str) -> audit.AuditEntry:
    held = {name: key[name] for name in ("role_id", "department_id")}
    detail = {"before": held, "after": None} if what == "taken" else {"before": None, "after": held}
    return audit.AuditEntry(by, "binding", binding_id, key["account_id"], detail=detail)


def _event(what: str, binding: pb.Binding, number: int, by: Actor, now: int) -> Event:
    told = events_pb2.BindingEvent(binding=binding, actor=by.account_id)
    return changes.event(f"binding.{what}", binding.binding_id, number, told, now)
