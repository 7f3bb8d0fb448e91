"""What booking keeps of the directory, as its events tell it: what the rules look at of people, and where they belong.

Paths stand with the departments, not with the people: a department that moves takes those below it along, and nobody's
row is written. What is told twice, or in another order, comes to the same: older versions are left aside.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping
from yunhui.directory.v1 import department_pb2, member_pb2

from services.booking.models import DIRECTORY_DEPARTMENT, DIRECTORY_MEMBERSHIP

AT_ONCE = 500
"""So many ids in a statement: databases have limits."""

FACTS = "m.account_type, m.verified, m.status, d.path"
"""For `to_facts`, of what JOINS adds to a statement about accounts that are `asked`."""
JOINS = (
    " LEFT JOIN directory_member m ON m.account_id = asked.account_id"
    " LEFT JOIN directory_department d ON d.department_id = m.department_id"
)


class MemberFacts(NamedTuple):
    """What the directory says of an account, in the numbers of its contract."""

    department_path: tuple[str, ...] = ()
    account_type: int = member_pb2.ACCOUNT_TYPE_UNSPECIFIED
    verified: bool | None = None
    status: int = member_pb2.MEMBER_STATUS_UNSPECIFIED

    @property
    def closed(self) -> bool:
        return self.status == member_pb2.MEMBER_STATUS_DISABLED


UNKNOWN = MemberFacts()


def to_facts(account_type: int | None, verified: bool | None, status: int | None, path: str | None) -> MemberFacts:
    if not status:
        return UNKNOWN
    return MemberFacts(tuple(path.split("/")) if path else (), account_type or 0, bool(verified), status)


_PUT_MEMBER = sa.text(
    "INSERT INTO directory_member (account_id, version, department_id, account_type, verified, status)"
    " VALUES (:account_id, :version, :department_id, :account_type, :verified, :status)"
    " ON CONFLICT (account_id) DO UPDATE SET version = excluded.version, department_id = excluded.department_id,"
    " account_type = excluded.account_type, verified = excluded.verified, status = excluded.status"
    " WHERE directory_member.version < excluded.version RETURNING account_id"
)
_PUT_DEPARTMENT = sa.text(
    "INSERT INTO directory_department (department_id, version, parent_id, display_name, path, names)"
    " VALUES (:department_id, :version, :parent_id, :display_name, '', '')"
    " ON CONFLICT (department_id) DO UPDATE SET version = excluded.version, parent_id = excluded.parent_id,"
    " display_name = excluded.display_name, path = '', names = ''"
    " WHERE directory_department.version < excluded.version RETURNING department_id"
)


def store_member(connection: Connection, member: member_pb2.Member) -> bool:
    """Whether that was news. Of one who was removed only the version is told, and kept."""
    row = {
        "account_id": member.account_id,
        "version": member.version,
        "department_id": next((each.department_id for each in member.memberships if each.main), ""),
        "account_type": member.account_type,
        "verified": member.verified,
        "status": member.status,
    }
    if connection.execute(_PUT_MEMBER, row).first() is None:
        return False
    _store_memberships(connection, member.account_id, {each.department_id for each in member.memberships})
    return True


def _store_memberships(connection: Connection, account_id: str, department_ids: Collection[str]) -> None:
    connection.execute(sa.delete(DIRECTORY_MEMBERSHIP).where(DIRECTORY_MEMBERSHIP.c.account_id == account_id))
    rows = [{"account_id": account_id, "department_id": each} for each in sorted(department_ids)]
    if rows:
        connection.execute(sa.insert(DIRECTORY_MEMBERSHIP), rows)


def store_department(connection: Connection, department: department_pb2.Department, *, removed: bool) -> None:
    """Of one that was removed the version stays; what was below it tells by itself where it is now."""
    row = {
        "department_id": department.department_id,
        "version": department.version,
        "parent_id": "" if removed else department.parent_id,
        "display_name": "" if removed else department.display_name,
    }
    if connection.execute(_PUT_DEPARTMENT, row).first() and not removed:
        _write_paths(connection, department.department_id)


class _Path(NamedTuple):
    ids: str
    names: str


_TOP = _Path("", "")


def _write_paths(connection: Connection, department_id: str) -> None:
    """Of a department and all below it. While a parent is not known yet, paths begin below it."""
    c = DIRECTORY_DEPARTMENT.c
    itself = sa.select(DIRECTORY_DEPARTMENT).where(c.department_id == department_id)
    level = [*connection.execute(itself).mappings()]
    written = {level[0]["parent_id"]: _path_of_parent(connection, level[0])}
    while level:
        paths = {row["department_id"]: _below(written.get(row["parent_id"], _TOP), row) for row in level}
        _update(connection, paths)
        written |= paths
        level = [row for row in _children(connection, paths) if row["department_id"] not in written]


def _path_of_parent(connection: Connection, row: RowMapping) -> _Path:
    """Moves that are told in another order can put a department below itself for a moment: then it is at the top."""
    c = DIRECTORY_DEPARTMENT.c
    parent = connection.execute(sa.select(c.path, c.names).where(c.department_id == row["parent_id"])).first()
    return _Path(*parent) if parent and row["department_id"] not in parent.path.split("/") else _TOP


def _below(parent: _Path, row: RowMapping) -> _Path:
    if not parent.ids:
        return _Path(row["department_id"], row["display_name"])
    return _Path(f"{parent.ids}/{row['department_id']}", f"{parent.names}/{row['display_name']}")


def _update(connection: Connection, paths: Mapping[str, _Path]) -> None:
    c = DIRECTORY_DEPARTMENT.c
    statement = sa.update(DIRECTORY_DEPARTMENT).where(c.department_id == sa.bindparam("of"))
    values = [{"of": id_, "path": path.ids, "names": path.names} for id_, path in paths.items()]
    connection.execute(statement, values)


def _children(connection: Connection, ids: Collection[str]) -> Iterator[RowMapping]:
    c = DIRECTORY_DEPARTMENT.c
    parents = [*ids]
    for start in range(0, len(parents), AT_ONCE):
        below = sa.select(DIRECTORY_DEPARTMENT).where(c.parent_id.in_(parents[start : start + AT_ONCE]))
        yield from connection.execute(below).mappings().all()


_CHANGED = sa.text("UPDATE account SET version = version + 1 WHERE account_id = :account_id")


def make_stale(connection: Connection, account_ids: Collection[str]) -> None:
    """What is being decided about them is decided again. In order of id, as all accounts are locked."""
    if account_ids:
        connection.execute(_CHANGED, [{"account_id": each} for each in sorted(account_ids)])
