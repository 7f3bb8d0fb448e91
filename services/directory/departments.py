"""The tree of departments as it is read: a page of it, what is found by name, names of the way down, counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import department_pb2 as pb
from yunhui.directory.v1 import department_service_pb2 as api

from services.directory import fields
from services.directory.models import DEPARTMENT
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
_BELOW = "d.path >= t.path AND d.path < substr(t.path, 1, length(t.path) - 1) || '0'"
"""d is t or lies below it: 0 comes right after /. LIKE could not use the index."""
COUNTS: Mapping[Literal["child_count", "member_count", "member_count_below"], str] = {
    "child_count": "SELECT parent_id, count(*) FROM department WHERE parent_id IN :ids GROUP BY parent_id",
    "member_count": "SELECT department_id, count(*) FROM membership WHERE department_id IN :ids GROUP BY department_id",
    "member_count_below": "SELECT t.department_id, count(*)"  # noqa: S608 - made of constants
    " FROM department t CROSS JOIN department d CROSS JOIN membership m"
    f" WHERE t.department_id IN :ids AND {_BELOW} AND m.department_id = d.department_id AND m.main = true"
    " GROUP BY t.department_id"
    # and who has another main department: only these few can occur twice
    " UNION ALL SELECT t.department_id, count(DISTINCT o.account_id)"
    " FROM department t CROSS JOIN department d CROSS JOIN membership o CROSS JOIN membership m"
    " CROSS JOIN department h"
    f" WHERE t.department_id IN :ids AND {_BELOW} AND o.department_id = d.department_id AND o.main = false"
    " AND m.account_id = o.account_id AND m.main AND h.department_id = m.department_id"
    f" AND NOT ({_BELOW.replace('d.', 'h.')}) GROUP BY t.department_id",
}
"""Of some departments, by field. DISTINCT over all members takes up to three times as long where few have
two departments. CROSS JOIN: SQLite keeps to that order, and without figures of the tables would choose one that takes
seconds."""


async def list_children(database: Database, request: api.ListDepartmentsRequest) -> api.ListDepartmentsResponse:
    """Raises errors.RpcError."""
    parent_id = optional_id("parent_id", request.parent_id)
    size, first = pages.size(request.page_size, 100), pages.from_number(request.page_token)

    def work(connection: Connection) -> api.ListDepartmentsResponse:
        if parent_id:
            load(connection, parent_id)
        there = c.parent_id == parent_id
        beginning = sa.and_(there, c.position >= min(first, LAST_POSITION))
        rows = connection.execute(sa.select(DEPARTMENT).where(beginning).order_by(c.position).limit(size + 1)).all()
        return api.ListDepartmentsResponse(
            departments=to_messages(connection, rows[:size]),
            next_page_token=str(rows[size].position) if len(rows) > size else "",
            total_count=connection.execute(sa.select(sa.func.count()).where(there)).scalar_one(),
        )

    return await database.read(work)


async def search(database: Database, request: api.SearchDepartmentsRequest) -> api.SearchDepartmentsResponse:
    """Raises errors.RpcError."""
    size = pages.size(request.page_size, 20)
    patterns = to_patterns(fields.required_text("query", request.query, MOST_IN_QUERY))
    wanted = sa.and_(*(c.search_text.like(pattern, escape="\\") for pattern in patterns))

    def work(connection: Connection) -> api.SearchDepartmentsResponse:
        found = connection.scalars(sa.select(c.department_id).where(wanted)).all()
        names = names_from_top(connection, wanted)
        shown = sorted(found, key=names.__getitem__)[:size]
        departments = to_messages(connection, rows_of(connection, shown))
        return api.SearchDepartmentsResponse(departments=departments, total_count=len(found))

    return await database.read(work)


async def get(database: Database, request: api.GetDepartmentRequest) -> pb.Department:
    """Raises errors.RpcError."""
    department_id = fields.identifier("department_id", request.department_id)
    return await database.read(lambda connection: read(connection, department_id))


def read(connection: Connection, department_id: str) -> pb.Department:
    """Raises errors.RpcError."""
    (found,) = to_messages(connection, [load(connection, department_id)])
    return found


def load(connection: Connection, department_id: str) -> sa.Row[Any]:
    """Raises errors.RpcError."""
    row = next(iter(_rows(connection, c.department_id == department_id)), None)
    if row is None:
        raise errors.not_found("department", message("there is no such department"))
    return row


def rows_of(connection: Connection, department_ids: Sequence[str]) -> list[sa.Row[Any]]:
    """In the order of the ids; all of them exist."""
    found = {row.department_id: row for row in _rows(connection, c.department_id.in_([*department_ids]))}
    return [found[each] for each in department_ids]


def optional_id(field: str, given: str) -> str:
    return fields.identifier(field, given) if given else ""


def below(path: str, *, as_it_is: bool = False) -> sa.ColumnElement[bool]:
    """Whether a row is the department with that path, or lies below it. `as_it_is`: it stands in the statement."""
    first, end = (sa.literal(each, literal_execute=as_it_is) for each in (path, path[:-1] + "0"))
    return sa.and_(c.path >= first, c.path < end)


def to_messages(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[pb.Department]:
    """Complete ones, in the order of `rows`; the number of statements does not depend on how many they are."""
    found = describe(connection, rows)
    known = {each.department_id: each for each in found}
    for field, statement in COUNTS.items():
        counts = sa.text(statement).bindparams(sa.bindparam("ids", [*known], sa.String, expanding=True))
        for department_id, count in connection.execute(counts):
            setattr(known[department_id], field, getattr(known[department_id], field) + count)
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
