"""Carries out what a plan says of the rows that did not fail, inside one change: many members with few statements."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import member_pb2

from services.directory import bindings, department_changes, departments, grants, member_queries, members, memberships
from services.directory.import_plan import CREATE, REMOVE, UPDATE, ImportPlan, PlannedRow
from services.directory.member_queries import to_message
from services.directory.member_requests import in_order
from services.directory.memberships import in_pieces
from services.directory.models import DEPARTMENT, MEMBER
from services.directory.scopes import Actor
from services.platform.data.database import Insert
from services.platform.ids import new_id
from services.platform.messaging.bus import Event

_DEPARTMENTS, _MEMBERS = Insert(DEPARTMENT), Insert(MEMBER)


def carry_out(connection: Connection, plan: ImportPlan, by: Actor, now: int) -> list[Event]:
    """In the turn of the change in which the plan was made; what it knows is brought up to date."""
    events = _make_departments(connection, plan, by, now)
    made = [row for row in plan.rows if row.verdict == CREATE]
    changed = [row for row in plan.rows if row.verdict in (UPDATE, REMOVE)]
    numbers = _last_numbers(connection, [row.values["account_id"] for row in made])
    _mark(connection, made, changed, numbers, by)
    stored = []
    for row in (*made, *changed):
        member = row.before or _new(row, numbers.get(row.values["account_id"], 0) + 1, now)
        for what in _steps(row, member, plan, now):
            told = to_message(member, _memberships(plan, member["account_id"]))
            events.append(members.event_of(what, told, by, now))
        stored.append(member)
    _MEMBERS.execute(connection, stored[: len(made)])
    _update(connection, stored[len(made) :])
    moved = [row.values["account_id"] for row in (*made, *changed) if row.departments is not None]
    memberships.put(connection, {each: plan.known.departments[each] for each in moved})
    return events


def _mark(
    connection: Connection, made: list[PlannedRow], changed: list[PlannedRow], numbers: Mapping[str, int], by: Actor
) -> None:
    """Whose account is opened or closed, and who comes back: as in members."""
    other = [row.values["account_id"] for row in changed if row.status]
    for some in in_pieces(other):
        bindings.check_may_change(connection, by, some)
    closed = [row.values["account_id"] for row in made if row.status == "DISABLED"]
    grants.mark(connection, {*other, *closed, *numbers})


def _make_departments(connection: Connection, plan: ImportPlan, by: Actor, now: int) -> list[Event]:
    known, c = plan.known, DEPARTMENT.c
    count = sa.select(c.parent_id, sa.func.count()).group_by(c.parent_id)
    children: dict[str, int] = {row[0]: row[1] for row in connection.execute(count)}
    rows = []
    for way in plan.new_departments:
        department_id, parent_id = new_id("dep"), known.ids[way[:-1]]
        position = children.get(parent_id, 0)
        children[parent_id] = position + 1
        row = department_changes.new_row(department_id, parent_id, way[-1], known.paths[way[:-1]], position, now)
        known.ids[way], known.ways[department_id], known.paths[way] = department_id, way, row["path"]
        rows.append(row)
    _DEPARTMENTS.execute(connection, rows)
    events = []
    for some in in_pieces(row["department_id"] for row in rows):
        found = departments.describe(connection, departments.rows_of(connection, some))
        events += [department_changes.event_of("created", each, by, now) for each in found]
    return events


def _last_numbers(connection: Connection, account_ids: Sequence[str]) -> dict[str, int]:
    """Of the events of who had these account ids before."""
    return {
        account_id: number
        for some in in_pieces(account_ids)
        for account_id, number in member_queries.last_numbers(connection, some).items()
    }


def _new(row: PlannedRow, version: int, now: int) -> dict[str, Any]:
    """What the row does not say."""
    return {
        **dict.fromkeys(("display_name", "email", "phone", "title", "main_department_id"), ""),
        **dict.fromkeys(("staff_id", "provider_user_id", "licence_assign_time", "sign_in_time")),
        "account_id": row.values["account_id"],
        "status": row.status or "NOT_ACTIVATED",
        "verified": False,
        "hidden": False,
        "version": version,
        "create_time": now,
        "update_time": now,
    }


def _steps(row: PlannedRow, member: dict[str, Any], plan: ImportPlan, now: int) -> Iterator[str]:
    """What happens to the member, as events tell of it, one version each; after each, `member` is as it is then."""
    parts = list(_parts(row))
    for number, (what, facts) in enumerate(parts):
        if row.before is not None:
            member |= {"version": member["version"] + 1, "update_time": now}
        if row.departments is not None and number == 0:
            ids = [plan.known.ids[way] for way in row.departments]
            plan.known.departments[member["account_id"]] = in_order(ids, *ids[:1])
            member["main_department_id"] = memberships.main_of(ids)
        member |= facts
        if row.advanced is not None and (row.before is None or what.startswith("licence")):
            member["licence_assign_time"] = now if row.advanced else None
        if facts.keys() & {"display_name", *members.FOUND_BY} or row.before is None:
            member |= _found_by(row, member)
        yield what


def _parts(row: PlannedRow) -> Iterator[tuple[str, dict[str, Any]]]:
    if row.before is None:
        yield "created", row.facts
        return
    if row.facts or row.departments is not None:
        yield "updated", row.facts
    if row.status:
        yield row.status.lower(), {"status": row.status}
    if row.advanced is not None:
        yield "licence_assigned" if row.advanced else "licence_returned", {}


def _found_by(row: PlannedRow, member: dict[str, Any]) -> dict[str, str]:
    """As members.found_by; what the name is read as was found out with the table."""
    if "display_name" not in row.facts:
        return members.found_by(member)
    sort_name, *lines = row.given.found_by
    return members.texts_of(member, sort_name, lines)


def _memberships(plan: ImportPlan, account_id: str) -> list[member_pb2.Membership]:
    found = [
        member_pb2.Membership(department_id=each, main=place == 0, path="/".join(plan.known.ways[each]))
        for place, each in enumerate(plan.known.departments.get(account_id, ()))
    ]
    return sorted(found, key=lambda each: (not each.main, each.path))


KEPT = ("account_id", "create_time", "sign_in_time")
"""Columns that no table is about."""


def _update(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    names = [column.name for column in MEMBER.c if column.name not in KEPT]
    query = sa.update(MEMBER).where(MEMBER.c.account_id == sa.bindparam("wanted"))
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    given = [{"wanted": row["account_id"]} | {f"new_{name}": row[name] for name in names} for row in rows]
    connection.execute(query.values(values), given)
