"""The address book: colleagues and departments as one member sees them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping
from yunhui.directory.v1 import address_book_service_pb2 as api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.directory import departments, fields, scopes, search, sight
from services.directory.member_queries import BY_NAME, MAX_QUERY, Reach, looked_at_once, number_in
from services.directory.member_requests import account_id
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP
from services.directory.scopes import Actor
from services.directory.sight import Eyes
from services.platform.data.database import Database
from services.platform.serving import errors, pages
from services.platform.text.messages import message

CARDS: Mapping[Literal["email", "phone", "title", "staff_id"], pb.CardField.ValueType] = {
    "email": pb.CARD_FIELD_EMAIL,
    "phone": pb.CARD_FIELD_PHONE,
    "title": pb.CARD_FIELD_TITLE,
    "staff_id": pb.CARD_FIELD_STAFF_ID,
}
"""What cards may say, by the column that it stands in."""

c, m = DEPARTMENT.c, MEMBERSHIP.c


async def get(database: Database, by: Actor) -> api.GetAddressBookResponse:
    def work(connection: Connection) -> api.GetAddressBookResponse:
        eyes = sight.find(connection, by)
        if eyes is None:
            return api.GetAddressBookResponse()
        shown = eyes.settings
        return api.GetAddressBookResponse(open=True, departments_shown=shown.departments_shown, fields=shown.fields)

    return await database.read(work)


async def list_(database: Database, request: api.ListColleaguesRequest, by: Actor) -> api.ListColleaguesResponse:
    """Raises errors.RpcError."""
    size, key = pages.size(request.page_size), pages.from_text_token(request.page_token)
    words = search.to_patterns(fields.text("query", request.query, MAX_QUERY))
    department_id = departments.optional_id("department_id", request.department_id)

    def work(connection: Connection) -> api.ListColleaguesResponse:
        eyes = sight.of(connection, by)
        among = _among(connection, eyes, department_id, below=request.below) if department_id else None
        rows = _page(connection, [_said(word, eyes) for word in words], eyes.people(connection, among), key, size + 1)
        last = rows[size - 1] if len(rows) > size else None
        return api.ListColleaguesResponse(
            colleagues=_to_messages(connection, rows[:size], eyes),
            next_page_token=pages.to_token(last["sort_name"], last["account_id"]) if last else "",
        )

    return await database.read(work)


async def get_colleague(database: Database, request: api.GetColleagueRequest, by: Actor) -> api.Colleague:
    """Raises errors.RpcError."""
    wanted = account_id("account_id", request.account_id)

    def work(connection: Connection) -> api.Colleague:
        eyes = sight.of(connection, by)
        query = sa.select(MEMBER).where(MEMBER.c.account_id == wanted, eyes.people(connection))
        rows = connection.execute(query).mappings().all()
        if not rows:
            raise errors.not_found("colleague", message("there is nobody of this account whom you see"))
        return _to_messages(connection, rows, eyes)[0]

    return await database.read(work)


async def list_departments(
    database: Database, request: api.ListColleagueDepartmentsRequest, by: Actor
) -> api.ListColleagueDepartmentsResponse:
    """Raises errors.RpcError."""
    size, key = pages.size(request.page_size, 100), pages.from_token(request.page_token)
    parent_id = departments.optional_id("parent_id", request.parent_id)

    def work(connection: Connection) -> api.ListColleagueDepartmentsResponse:
        eyes = sight.of(connection, by)
        seen = eyes.departments() if eyes.settings.departments_shown else sa.select(c.department_id).where(sa.false())
        parent = connection.execute(
            sa.select(DEPARTMENT).where(c.department_id == parent_id, c.department_id.in_(seen))
        ).all()
        if parent_id and not parent:
            raise errors.not_found("department", message("there is no such department"))
        there = c.parent_id == parent_id if parent_id else c.parent_id.not_in(seen)
        query = sa.select(DEPARTMENT).where(c.department_id.in_(seen), there)
        if key:
            query = query.where(sa.tuple_(c.position, c.department_id) > sa.tuple_(*key))
        rows = connection.execute(query.order_by(c.position, c.department_id).limit(size + 1)).all()
        last = rows[size - 1] if len(rows) > size else None
        return api.ListColleagueDepartmentsResponse(
            departments=_to_branches(connection, rows[:size], seen),
            next_page_token=pages.to_token(last.position, last.department_id) if last else "",
            parent=next(iter(_to_branches(connection, parent, seen)), None),
        )

    return await database.read(work)


def _page(
    connection: Connection,
    said: Sequence[sa.ColumnElement[bool]],
    seen: sa.ColumnElement[bool],
    key: tuple[str, str] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Those behind `key`. What is searched for may be rare: then all are looked at once, in the order they stand in."""
    if said:
        return looked_at_once(connection, [*said, seen], BY_NAME, key, limit)[1]
    query = sa.select(MEMBER).where(seen).order_by(*BY_NAME.of(MEMBER)).limit(limit)
    return connection.execute(query.where(BY_NAME.after(MEMBER, key)) if key else query).mappings().all()


def _among(connection: Connection, eyes: Eyes, department_id: str, *, below: bool) -> Reach:
    """None where cards do not say who belongs to it."""
    rows = scopes.tops(connection, [department_id])
    if not rows or not eyes.says(pb.CARD_FIELD_DEPARTMENTS):
        return eyes.reach(sa.false(), 0)
    if below:
        return eyes.reach(scopes.below(rows[0].path, as_it_is=True), rows[0].member_count_below)
    return eyes.reach(c.department_id == department_id, number_in(connection, [department_id]))


def _said(word: str, eyes: Eyes) -> sa.ColumnElement[bool]:
    """Whether what somebody sees of a row of MEMBER has the pattern: what they do not see must not tell by matching."""
    shown = [name for name, field in CARDS.items() if eyes.says(field)]
    met = [MEMBER.c.card_text.like(word, escape="\\")]
    met += [sa.func.lower(MEMBER.c[name]).like(word, escape="\\") for name in shown]
    if eyes.says(pb.CARD_FIELD_DEPARTMENTS):
        named = eyes.departments(c.search_text.like(word, escape="\\"))
        met.append(MEMBER.c.account_id.in_(sa.select(m.account_id).where(m.department_id.in_(named))))
    return sa.or_(*met)


def _to_messages(connection: Connection, rows: Sequence[RowMapping], eyes: Eyes) -> list[api.Colleague]:
    """The number of statements does not depend on how many they are."""
    ids = [row["account_id"] for row in rows]
    places = _departments_of(connection, ids, eyes) if eyes.says(pb.CARD_FIELD_DEPARTMENTS) else {}
    hidden = _hidden(connection, ids, eyes)
    return [
        api.Colleague(
            account_id=row["account_id"],
            display_name=row["display_name"],
            **{name: row[name] or "" for name, field in CARDS.items() if eyes.says(field)},
            departments=places.get(row["account_id"], ()),
            hidden=row["hidden"] or row["account_id"] in hidden,
        )
        for row in rows
    ]


def _departments_of(
    connection: Connection, account_ids: Sequence[str], eyes: Eyes
) -> dict[str, list[pb.NamedDepartment]]:
    places = MEMBERSHIP.join(DEPARTMENT, c.department_id == m.department_id)
    theirs = sa.select(MEMBERSHIP).select_from(places).where(m.account_id.in_(account_ids), eyes.within, eyes.shown)
    rows = connection.execute(theirs).all()
    paths = departments.paths_of(connection, {row.department_id for row in rows})
    found = dict[str, list[pb.NamedDepartment]]()
    for row in sorted(rows, key=lambda row: (not row.main, paths[row.department_id])):
        one = pb.NamedDepartment(department_id=row.department_id, path=paths[row.department_id])
        found.setdefault(row.account_id, []).append(one)
    return found


def _hidden(connection: Connection, account_ids: Sequence[str], eyes: Eyes) -> set[str]:
    """Who belongs to hidden departments only."""
    roots = frozenset(each.department_id for each in eyes.settings.hidden_departments)
    if not roots:
        return set()
    places = MEMBERSHIP.join(DEPARTMENT, c.department_id == m.department_id)
    theirs = sa.select(m.account_id).select_from(places).where(m.account_id.in_(account_ids))
    others = theirs.where(sa.not_(scopes.within(connection, roots)))
    return {*connection.scalars(theirs)} - {*connection.scalars(others)}


def _to_branches(
    connection: Connection, rows: Sequence[sa.Row[Any]], seen: sa.Select[Any]
) -> list[api.ColleagueDepartment]:
    ids: list[str] = [row.department_id for row in rows]
    paths = departments.paths_of(connection, ids)
    below = sa.select(c.parent_id).where(c.parent_id.in_(ids), c.department_id.in_(seen)).distinct()
    parents = {*connection.scalars(below)}
    return [
        api.ColleagueDepartment(
            department_id=row.department_id,
            display_name=row.display_name,
            path=paths[row.department_id],
            has_children=row.department_id in parents,
        )
        for row in rows
    ]
