"""Who belongs to which departments, and how many members each has below: stored, and kept by every change here.

Only what Changes.make runs is here: nobody else changes anything meanwhile.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.directory.models import DEPARTMENT, MEMBERSHIP
from services.platform.data.database import Insert

AT_ONCE = 500
"""Values in one statement: databases have limits."""

T = TypeVar("T")

_MEMBERSHIPS = Insert(MEMBERSHIP)
_RECOUNT = sa.text(
    "UPDATE department SET member_count_below = (SELECT count(DISTINCT m.account_id)"
    " FROM department d CROSS JOIN membership m WHERE d.path >= department.path"
    " AND d.path < substr(department.path, 1, length(department.path) - 1) || '0'"  # 0 comes right after /
    " AND m.department_id = d.department_id) WHERE department_id IN :ids"
).bindparams(sa.bindparam("ids", type_=sa.String, expanding=True))
"""CROSS JOIN: SQLite keeps to that order, and without figures of the tables would choose one that takes seconds."""


def in_pieces(items: Iterable[T]) -> Iterator[list[T]]:
    """Of AT_ONCE items each."""
    left = iter(items)
    while some := [*islice(left, AT_ONCE)]:
        yield some


def put(connection: Connection, departments: Mapping[str, Sequence[str]]) -> None:
    """By account the ids of departments that there are, in place of all that there were; the first is the main one."""
    before = _departments(connection, departments)
    paths = _paths(connection, {each for some in (*before.values(), *departments.values()) for each in some})
    changes = Counter[str]()
    for account_id, ids in departments.items():
        changes.update(_with_those_above(ids, paths))
        changes.subtract(_with_those_above(before.get(account_id, ()), paths))
    for some in in_pieces(before):
        connection.execute(sa.delete(MEMBERSHIP).where(MEMBERSHIP.c.account_id.in_(some)))
    rows = [
        {"account_id": account_id, "department_id": each, "main": place == 0, "main_department_id": main_of(ids)}
        for account_id, ids in departments.items()
        for place, each in enumerate(ids)
    ]
    _MEMBERSHIPS.execute(connection, rows)
    _add(connection, changes)


def main_of(departments: Sequence[str]) -> str:
    """What a member's own row says beside the memberships."""
    return departments[0] if departments else ""


def recount(connection: Connection, before: str, after: str) -> None:
    """What lay at the path `before` lies at `after` now: whatever is above both has the same members as ever."""
    ids = {*before.split("/")} ^ {*after.split("/")}
    connection.execute(_RECOUNT, {"ids": sorted(ids)})


def _departments(connection: Connection, account_ids: Iterable[str]) -> dict[str, list[str]]:
    """Their ids, of each account that belongs to any."""
    c, found = MEMBERSHIP.c, dict[str, list[str]]()
    for some in in_pieces(account_ids):
        query = sa.select(c.account_id, c.department_id).where(c.account_id.in_(some))
        for account_id, department_id in connection.execute(query):
            found.setdefault(account_id, []).append(department_id)
    return found


def _paths(connection: Connection, department_ids: Iterable[str]) -> dict[str, str]:
    c = DEPARTMENT.c
    return {
        department_id: path
        for some in in_pieces(sorted(department_ids))
        for department_id, path in connection.execute(
            sa.select(c.department_id, c.path).where(c.department_id.in_(some))
        )
    }


def _with_those_above(department_ids: Collection[str], paths: Mapping[str, str]) -> set[str]:
    """All departments that count a member who belongs to these."""
    return {above for each in department_ids for above in paths[each].split("/")[:-1]}


def _add(connection: Connection, changes: Mapping[str, int]) -> None:
    c = DEPARTMENT.c
    by_number: dict[int, list[str]] = {}
    for department_id, number in sorted(changes.items()):
        by_number.setdefault(number, []).append(department_id)
    by_number.pop(0, None)
    for number, ids in by_number.items():
        for some in in_pieces(ids):
            added = sa.update(DEPARTMENT).where(c.department_id.in_(some))
            connection.execute(added.values(member_count_below=c.member_count_below + number))
