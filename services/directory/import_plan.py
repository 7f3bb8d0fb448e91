"""What an import would change: each row against the directory as it is, and what rows do to each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import import_pb2 as pb

from services.directory import import_columns, licences
from services.directory.departments import TOP
from services.directory.memberships import in_pieces
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP
from services.platform.serving import errors
from services.platform.text.languages import CHINESE
from services.platform.text.messages import Text, message

MOST_NEW_DEPARTMENTS = 1_000
CREATE, UPDATE, UNCHANGED, FAILED, REMOVE = "CREATE", "UPDATE", "UNCHANGED", "FAILED", "REMOVE"
UNIQUE = {
    "staff_id": message("the member {account} has this staff id"),
    "provider_user_id": message("the member {account} has this user id of the provider"),
}
FACTS = ("display_name", "email", "phone", "title", *UNIQUE, "verified")

Way = tuple[str, ...]
"""Names from the top down."""


@dataclass(slots=True)
class Known:
    """What the directory knows that a table speaks of."""

    members: dict[str, dict[str, Any]]
    departments: dict[str, list[str]]
    """Ids by account, the main one first."""
    holders: Mapping[str, Mapping[str, str]]
    """For each field of UNIQUE: account by value."""
    ways: dict[str, Way]
    ids: dict[Way, str]
    paths: dict[Way, str]
    """Of ids, down to each department."""
    licences_left: int


@dataclass(slots=True)
class PlannedRow:
    """What becomes of one. `facts`: columns that change; None: departments, status and licence stay as they are.

    `gone`: came from the provider, and is no longer there.
    """

    given: import_columns.Given
    faults: list[import_columns.Fault]
    before: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    departments: list[Way] | None = None
    status: str | None = None
    advanced: bool | None = None
    differences: list[pb.ImportDifference] = field(default_factory=list)
    gone: bool = False

    @property
    def values(self) -> Mapping[str, Any]:
        return self.given.values

    @property
    def verdict(self) -> str:
        if self.faults:
            return FAILED
        if self.gone:
            return REMOVE
        if self.before is None:
            return CREATE
        return UPDATE if self.differences else UNCHANGED

    def fail(self, name: str, words: Text, columns: Mapping[str, int]) -> None:
        self.faults.append(import_columns.to_fault(name, columns.get(name, 0), words))

    def to_message(self) -> pb.ImportRow:
        verdict = self.verdict
        return pb.ImportRow(
            line=self.given.line,
            verdict=pb.ImportVerdict.Value(f"IMPORT_VERDICT_{verdict}"),
            account_id=self.values.get("account_id", ""),
            display_name=self.values.get("display_name", "") or (self.before or {}).get("display_name", ""),
            differences=self.differences if verdict in (UPDATE, REMOVE) else (),
            faults=[
                pb.ImportFault(field=name, column=column, english=english, chinese=chinese)
                for name, column, english, chinese in self.faults
            ],
        )


@dataclass(slots=True)
class ImportPlan:
    known: Known
    rows: list[PlannedRow]
    new_departments: list[Way]
    """Those above first."""

    def summary(self) -> pb.ImportSummary:
        counts = dict.fromkeys((CREATE, UPDATE, UNCHANGED, FAILED, REMOVE), 0)
        for row in self.rows:
            counts[row.verdict] += 1
        return pb.ImportSummary(
            create_count=counts[CREATE],
            update_count=counts[UPDATE],
            unchanged_count=counts[UNCHANGED],
            failed_count=counts[FAILED],
            department_count=len(self.new_departments),
            remove_count=counts[REMOVE],
        )


def make(
    connection: Connection,
    head: Sequence[str],
    given: Iterable[import_columns.Given],
    now: int,
    gone: Iterable[import_columns.Given] = (),
) -> ImportPlan:
    """By line; those who are `gone` last. Holds until the end of a transaction that has its turn."""
    rows = [PlannedRow(each, [*each.faults]) for each in given]
    rows += [PlannedRow(each, [], gone=True) for each in gone]
    columns = {column.field: place + 1 for place, column in import_columns.read_head(head).items()}
    known = _look(connection, rows, now)
    for row in rows:
        _compare(row, known, columns, now)
    _new_departments(rows, known, columns)  # first: a row that fails there gives no licence back
    _share_licences(rows, known, columns)
    return ImportPlan(known, rows, _new_departments(rows, known, columns))


def _look(connection: Connection, rows: Sequence[PlannedRow], now: int) -> Known:
    accounts = {row.values["account_id"] for row in rows if "account_id" in row.values}
    members = {
        row["account_id"]: dict(row) for row in _of(connection, sa.select(MEMBER), MEMBER.c.account_id, accounts)
    }
    departments: dict[str, list[str]] = {}
    of_these = sa.select(MEMBERSHIP).order_by(MEMBERSHIP.c.main.desc(), MEMBERSHIP.c.department_id)
    for each in _of(connection, of_these, MEMBERSHIP.c.account_id, members):
        departments.setdefault(each["account_id"], []).append(each["department_id"])
    ways, paths = _tree(connection)
    return Known(
        members,
        departments,
        {name: _holders(connection, rows, name) for name in UNIQUE},
        ways,
        {way: department_id for department_id, way in ways.items()},
        paths,
        licences.bought(connection, now) - licences.used(connection),
    )


def _holders(connection: Connection, rows: Sequence[PlannedRow], name: str) -> dict[str, str]:
    column = MEMBER.c[name]
    wanted = {row.values[name] for row in rows if name in row.values}
    query = sa.select(column, MEMBER.c.account_id)
    return {each[name]: each["account_id"] for each in _of(connection, query, column, wanted)}


def _of(
    connection: Connection, query: sa.Select[Any], column: sa.ColumnElement[str], values: Iterable[str]
) -> Iterator[sa.RowMapping]:
    """The rows of `query` whose `column` is among the values."""
    for some in in_pieces(sorted(values)):
        yield from connection.execute(query.where(column.in_(some))).mappings()


def _tree(connection: Connection) -> tuple[dict[str, Way], dict[Way, str]]:
    """All departments: names from the top down by id, and paths of ids by those."""
    c = DEPARTMENT.c
    query = sa.select(c.department_id, c.parent_id, c.display_name, c.path)
    ways: dict[str, Way] = {TOP: ()}
    paths: dict[Way, str] = {(): ""}
    for row in sorted(connection.execute(query), key=lambda row: row.path.count("/")):
        ways[row.department_id] = (*ways[row.parent_id], row.display_name)
        paths[ways[row.department_id]] = row.path
    return ways, paths


def _compare(row: PlannedRow, known: Known, columns: Mapping[str, int], now: int) -> None:
    """With the member as they are."""
    values = row.values
    row.before = known.members.get(values.get("account_id", ""))
    before = row.before or {}
    said = {*values, *(name for name, *_ in row.faults)}
    if row.before is None and "display_name" not in said:
        row.fail("display_name", errors.REQUIRED, columns)
    for name, words in UNIQUE.items():
        holder = known.holders[name].get(values.get(name, ""))
        if holder not in (None, values.get("account_id")):
            row.fail(name, Text(words, values={"account": holder}), columns)
    for name in FACTS:
        if name in values and values[name] != before.get(name):
            row.facts[name] = values[name]
            _tell(row, name, _said(before.get(name)), _said(values[name]))
    if "departments" in values:
        _compare_departments(row, known)
    status = values.get("status")
    if before.get("status") == "WAITING" and status in (None, "NOT_ACTIVATED"):
        status = "ENABLED"  # whoever the organization's own list names is let in
    if status and status != before.get("status"):
        if row.before and status == "NOT_ACTIVATED":
            row.fail("status", message("an account that was opened or closed cannot become not activated"), columns)
        row.status = status
        _tell(row, "status", before.get("status", ""), status)
    _compare_type(row, columns, now)


def _compare_departments(row: PlannedRow, known: Known) -> None:
    wanted = [tuple(way) for way in row.values["departments"]]
    there = [known.ways[each] for each in known.departments.get(row.values.get("account_id", ""), ())]
    if (wanted[:1], {*wanted}) != (there[:1], {*there}):
        row.departments = wanted
        _tell(row, "departments", _said_ways(there), _said_ways(wanted))


def _compare_type(row: PlannedRow, columns: Mapping[str, int], now: int) -> None:
    advanced = row.values.get("account_type")
    assigned = (row.before or {}).get("licence_assign_time")
    if advanced is None or advanced == (assigned is not None):
        return
    if assigned is not None and now >= licences.lock_time(assigned):
        row.fail("account_type", message("the licence stays with the member: it was given too long ago"), columns)
    row.advanced = advanced
    _tell(row, "account_type", *(("FREE", "ADVANCED") if advanced else ("ADVANCED", "FREE")))


def _tell(row: PlannedRow, name: str, before: str, after: str) -> None:
    if row.before is not None:
        row.differences.append(pb.ImportDifference(field=name, before=before, after=after))


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else value or ""


def _said_ways(ways: Iterable[Way]) -> str:
    return ";".join(map("/".join, ways))


def _share_licences(rows: Sequence[PlannedRow], known: Known, columns: Mapping[str, int]) -> None:
    """In the order of the lines; those that the table takes back can be given at once."""
    left = known.licences_left + sum(row.advanced is False and row.before is not None for row in rows if not row.faults)
    for row in rows:
        if row.advanced and not row.faults:
            left -= 1
            if left < 0:
                row.fail("account_type", message("no licence is left: buy more, or take one back"), columns)


def _new_departments(rows: Sequence[PlannedRow], known: Known, columns: Mapping[str, int]) -> list[Way]:
    """All that the good rows need and that are not there; rows that would need too many fail."""
    made: dict[Way, None] = {}
    for row in rows:
        if row.faults:
            continue
        needed = dict.fromkeys(
            way[:level]
            for way in row.departments or ()
            for level in range(1, len(way) + 1)
            if way[:level] not in known.ids and way[:level] not in made
        )
        if len(made) + len(needed) > MOST_NEW_DEPARTMENTS:
            words = message("an import can make at most {most:,} departments", most=MOST_NEW_DEPARTMENTS)
            row.fail("departments", words, columns)
        else:
            made |= needed
    return [*made]


def reasons(row: pb.ImportRow, language: str) -> str:
    """All that is wrong with it, as one cell."""
    return "; ".join(fault.chinese if language == CHINESE else fault.english for fault in row.faults)
