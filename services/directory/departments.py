"""The tree of departments as it is read: a page of it, what is found by name, names of the way down, counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import department_pb2 as pb
from yunhui.directory.v1 import department_service_pb2 as api

from services.directory import fields, scopes
from services.directory.models import DEPARTMENT
from services.directory.scopes import EVERYWHERE, Scope
from services.directory.search import to_patterns
from services.platform.clock import to_timestamp
from services.platform.data.database import Database
from services.platform.serving import errors, pages
from services.platform.text.messages import message

TOP = ""
"""Whose children have no department above."""
MOST_IN_QUERY = 100
"""Characters."""
LAST_POSITION = 2**31 - 1

c = DEPARTMENT.c
COUNTS: Mapping[Literal["child_count", "member_count"], str] = {
    "child_count": "SELECT parent_id, count(*) FROM department WHERE parent_id IN :ids GROUP BY parent_id",
    "member_count": "SELECT department_id, count(*) FROM membership WHERE department_id IN :ids GROUP BY department_id",
}
"""Of some departments, by field. Members below are not counted here: memberships.py keeps how many they are."""
COUNTED: Sequence[Literal["child_count", "member_count", "member_count_below"]] = (*COUNTS, "member_count_below")


async def list_children(
    database: Database, request: api.ListDepartmentsRequest, scope: Scope
) -> api.ListDepartmentsResponse:
    """Raises errors.RpcError. For whom there is no top, the list begins with the highest that they may see."""
    parent_id = optional_id("parent_id", request.parent_id)
    size, first = pages.size(request.page_size, 100), pages.from_number(request.page_token)

    def work(connection: Connection) -> api.ListDepartmentsResponse:
        if parent_id:
            load(connection, parent_id, scope)
        elif scope is not None:
            return _list_tops(connection, scope, size, first)
        there = c.parent_id == parent_id
        beginning = sa.and_(there, c.position >= min(first, LAST_POSITION))
        rows = connection.execute(sa.select(DEPARTMENT).where(beginning).order_by(c.position).limit(size + 1)).all()
        return api.ListDepartmentsResponse(
            departments=to_messages(connection, rows[:size]),
            next_page_token=str(rows[size].position) if len(rows) > size else "",
            total_count=connection.execute(sa.select(sa.func.count()).where(there)).scalar_one(),
        )

    return await database.read(work)


def _list_tops(connection: Connection, scope: frozenset[str], size: int, first: int) -> api.ListDepartmentsResponse:
    rows = scopes.tops(connection, scope)  # as few as were given to one person
    return api.ListDepartmentsResponse(
        departments=to_messages(connection, rows[first : first + size]),
        next_page_token=str(first + size) if len(rows) > first + size else "",
        total_count=len(rows),
    )


async def search(
    database: Database, request: api.SearchDepartmentsRequest, scope: Scope
) -> api.SearchDepartmentsResponse:
    """Raises errors.RpcError."""
    size = pages.size(request.page_size, 20)
    patterns = to_patterns(fields.required_text("query", request.query, MOST_IN_QUERY))
    named = [c.search_text.like(pattern, escape="\\") for pattern in patterns]

    def work(connection: Connection) -> api.SearchDepartmentsResponse:
        wanted = sa.and_(*named, scopes.within(connection, scope))
        found = connection.scalars(sa.select(c.department_id).where(wanted)).all()
        names = names_from_top(connection, wanted)
        shown = sorted(found, key=names.__getitem__)[:size]
        departments = to_messages(connection, rows_of(connection, shown))
        return api.SearchDepartmentsResponse(departments=departments, total_count=len(found))

    return await database.read(work)


async def get(database: Database, request: api.GetDepartmentRequest, scope: Scope) -> pb.Department:
    """Raises errors.RpcError."""
    department_id = fields.identifier("department_id", request.department_id)
    return await database.read(lambda connection: read(connection, department_id, scope))


def read(connection: Connection, department_id: str, scope: Scope = EVERYWHERE) -> pb.Department:
    """Raises errors.RpcError."""
    (found,) = to_messages(connection, [load(connection, department_id, scope)])
    return found


def load(connection: Connection, department_id: str, scope: Scope = EVERYWHERE) -> sa.Row[Any]:
    """Raises NOT_FOUND, also for one outside."""
    row = next(iter(_rows(connection, (c.department_id == department_id) & scopes.within(connection, scope))), None)
    if row is None:
        raise errors.not_found("department", message("there is no such department"))
    return row


def rows_of(connection: Connection, department_ids: Sequence[str]) -> list[sa.Row[Any]]:
    """In the order of the ids; all of them exist."""
    found = {row.department_id: row for row in _rows(connection, c.department_id.in_([*department_ids]))}
    return [found[each] for each in department_ids]


def optional_id(field: str, given: str) -> str:
    return fields.identifier(field, given) if given else ""


def to_messages(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[pb.Department]:
    """Complete ones, in the order of `rows`; the number of statements does not depend on how many they are."""
    found = describe(connection, rows)
    known = {each.department_id: each for each in found}
    for row in rows:
        known[row.department_id].member_count_below = row.member_count_below
    for field, statement in COUNTS.items():
        counts = sa.text(statement).bindparams(sa.bindparam("ids", [*known], sa.String, expanding=True))
        for department_id, count in connection.execute(counts):
            setattr(known[department_id], field, count)
    return found


def describe(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[pb.Department]:
    """Without counts, as events tell of them."""
    paths = paths_of(connection, [row.department_id for row in rows])
    return [
        pb.Department(
            department_id=row.department_id,
            display_name=row.display_name,
            parent_id=row.parent_id,
            position=row.position,
            path=paths[row.department_id],
            version=row.version,
            create_time=to_timestamp(row.create_time),
            update_time=to_timestamp(row.update_time),
        )
        for row in rows
    ]


def paths_of(connection: Connection, department_ids: Iterable[str]) -> dict[str, str]:
    """Names from the top down, as in Department.path, by id; also of the departments above."""
    names = names_from_top(connection, c.department_id.in_([*department_ids]))
    return {department_id: "/".join(way) for department_id, way in names.items()}


def names_from_top(connection: Connection, wanted: sa.ColumnElement[bool]) -> dict[str, tuple[str, ...]]:
    """Names from the top down to each that is wanted, and to those above it, by id."""
    columns = (c.department_id, c.parent_id, c.display_name)
    way = sa.select(*columns).where(wanted).cte("way", recursive=True)
    way = way.union(sa.select(*columns).join(way, c.department_id == way.c.parent_id))
    rows = {row.department_id: row for row in connection.execute(sa.select(way))}
    names: dict[str, tuple[str, ...]] = {TOP: ()}
    for department_id in rows:
        climbed = [department_id]
        while (above := rows[climbed[-1]].parent_id) not in names:
            if above in climbed:
                raise RuntimeError(f"departments in a cycle: {', '.join(climbed)}")
            climbed.append(above)
        for each in reversed(climbed):
            names[each] = (*names[rows[each].parent_id], rows[each].display_name)
    return names


def _rows(connection: Connection, wanted: sa.ColumnElement[bool]) -> Sequence[sa.Row[Any]]:
    return connection.execute(sa.select(DEPARTMENT).where(wanted)).all()
