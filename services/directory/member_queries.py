"""Members as they are read: finding them, and how rows become messages."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import departments, fields, licences, scopes, search
from services.directory.member_requests import account_id, is_advanced, status_name
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP
from services.directory.scopes import EVERYWHERE, Scope
from services.platform.clock import to_timestamp
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors, pages
from services.platform.text.messages import message

MAX_QUERY = 100
MANY = 5_000
"""Members, of whom it takes longer to sort all than to meet a page of them among everybody."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Departments, by a condition, and how many members belong to any of them: so many, or at most so many."""

    inside: sa.ColumnElement[bool]
    number: int
    is_exact: bool = True

    @property
    def ids(self) -> sa.Select[Any]:
        return sa.select(DEPARTMENT.c.department_id).where(self.inside).correlate(None)


@dataclass(frozen=True, slots=True)
class Order:
    """By which column, and then by id, both downwards or both upwards."""

    column: str
    downwards: bool

    def after(self, rows: sa.FromClause, key: tuple[Any, str]) -> sa.ColumnElement[bool]:
        here, last = sa.tuple_(rows.c[self.column], rows.c.account_id), sa.tuple_(*key)
        return here < last if self.downwards else here > last

    def of(self, rows: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        keys = (rows.c[self.column], rows.c.account_id)
        return [key.desc() if self.downwards else key for key in keys]


BY_NAME, NEWEST = Order("sort_name", downwards=False), Order("create_time", downwards=True)


async def get(database: Database, request: api.GetMemberRequest, scope: Scope) -> pb.Member:
    """Raises errors.RpcError."""
    wanted = account_id("account_id", request.account_id)
    return await database.read(lambda connection: to_messages(connection, [find(connection, wanted, scope)])[0])


def find(connection: Connection, account_id: str, scope: Scope = EVERYWHERE) -> RowMapping:
    """Raises NOT_FOUND, also for one outside."""
    query = sa.select(MEMBER).where(MEMBER.c.account_id == account_id, scopes.belongs(connection, scope))
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise errors.not_found("member", message("there is no such member"))
    return row


def version_of(connection: Connection, account_id: str) -> int | None:
    """None when there is no such member."""
    return connection.scalar(sa.select(MEMBER.c.version).where(MEMBER.c.account_id == account_id))


def status_of(connection: Connection, account_id: str) -> str | None:
    """None when there is no such member."""
    return connection.scalar(sa.select(MEMBER.c.status).where(MEMBER.c.account_id == account_id))


def last_numbers(connection: Connection, account_ids: Collection[str]) -> dict[str, int]:
    """Of the events of whoever had these account ids before; without those that nobody had."""
    c = outbox.TABLE.c
    theirs = c.entity_id.in_(account_ids) & c.subject.like("yunhui.directory.member.%")
    query = sa.select(c.entity_id, sa.func.max(c.entity_seq)).where(theirs).group_by(c.entity_id)
    return {row[0]: row[1] for row in connection.execute(query)}


async def list_(database: Database, request: api.ListMembersRequest, now: int, scope: Scope) -> api.ListMembersResponse:
    """At `now`, in epoch ms. Raises errors.RpcError."""
    order = NEWEST if request.order == api.MEMBER_ORDER_NEWEST else BY_NAME
    if request.order not in api.MemberOrder.values():
        raise errors.invalid("order", message("{order} is not an order", order=request.order))
    read = pages.from_token if order is NEWEST else pages.from_text_token
    size, key, conditions = pages.size(request.page_size), read(request.page_token), _conditions(request)
    department_id = _department(request)

    def work(connection: Connection) -> api.ListMembersResponse:
        reach = _reach(connection, department_id, scope, below=request.below)
        total, rows = _page(connection, conditions, reach, order, key, size + 1, searched=bool(request.query.strip()))
        last = rows[size - 1] if len(rows) > size else None
        return api.ListMembersResponse(
            members=to_messages(connection, rows[:size]),
            next_page_token=pages.to_token(last[order.column], last["account_id"]) if last else "",
            total_count=total,
            as_of=to_timestamp(now),
        )

    return await database.read(work)


def _conditions(request: api.ListMembersRequest) -> list[sa.ColumnElement[bool]]:
    """All that a member must meet, but for the department."""
    c = MEMBER.c
    words = search.to_patterns(fields.text("query", request.query, MAX_QUERY))
    met: list[sa.ColumnElement[bool]] = [c.search_text.like(word, escape="\\") for word in words]
    if request.statuses:
        met.append(c.status.in_({status_name("statuses", each) for each in request.statuses}))
    types = {is_advanced("account_types", each) for each in request.account_types}
    if len(types) == 1:
        met.append(c.licence_assign_time.is_not(None) if types == {True} else c.licence_assign_time.is_(None))
    if request.HasField("verified"):
        met.append(c.verified.is_(request.verified))
    if request.HasField("hidden"):
        met.append(c.hidden.is_(request.hidden))
    if request.without_department:
        met.append(c.main_department_id == "")
    return met


def _department(request: api.ListMembersRequest) -> str:
    """Of which they must be, "" if that does not matter."""
    if request.without_department and request.department_id:
        raise errors.invalid("without_department", message("cannot be asked for together with department_id"))
    return departments.optional_id("department_id", request.department_id)


def _reach(connection: Connection, department_id: str, scope: Scope, *, below: bool) -> Reach | None:
    """None: it does not matter, not even whether they belong to any."""
    if not department_id:
        return None if scope is None else _inside(connection, scope)
    c = DEPARTMENT.c
    there = (c.department_id == department_id) & scopes.within(connection, scope)
    row = connection.execute(sa.select(c.path, c.member_count_below).where(there)).one_or_none()
    if row is None:
        return Reach(sa.false(), 0)
    if not below:
        return Reach(c.department_id == department_id, number_in(connection, [department_id]))
    return Reach(scopes.below(row.path, as_it_is=True), row.member_count_below)


def _inside(connection: Connection, scope: frozenset[str]) -> Reach:
    numbers = [top.member_count_below for top in scopes.tops(connection, scope)]
    return Reach(scopes.within(connection, scope), sum(numbers), is_exact=len(numbers) == 1)


def number_in(connection: Connection, department_ids: Sequence[str]) -> int:
    """How many belong to one of them."""
    m = MEMBERSHIP.c
    there = sa.select(sa.func.count(m.account_id.distinct())).where(m.department_id.in_(department_ids))
    return connection.execute(there).scalar_one()


def _elsewhere(reach: Reach) -> sa.Select[Any]:
    """Account ids of those who belong there while their main department lies outside: a few."""
    m = MEMBERSHIP.c
    outside = m.main_department_id.not_in(reach.ids)
    return sa.select(m.account_id).where(m.department_id.in_(reach.ids), m.main == sa.false(), outside)


def belongs(reach: Reach, *, in_order: bool) -> sa.ColumnElement[bool]:
    """Whether a row of MEMBER belongs to one of them.

    Databases go the way that they are shown: from those who are there, or past everybody. Then the main department
    stands in the row already, and of other memberships there are few. (SQLite would look both sides of an OR up by
    themselves and sort what it found, if it had an index for the first one.)

    `in_order`: everybody is met in the order of an index, until a page is full.
    """
    m = MEMBERSHIP.c
    if reach.number <= MANY:
        return MEMBER.c.account_id.in_(sa.select(m.account_id).where(m.department_id.in_(reach.ids)))
    main = MEMBER.c.main_department_id.concat("")
    if not in_order:
        return main.in_(reach.ids) | MEMBER.c.account_id.in_(_elsewhere(reach))
    theirs = (m.account_id == MEMBER.c.account_id) & (m.main == sa.false())
    there = (m.department_id == DEPARTMENT.c.department_id) & reach.inside
    return main.in_(reach.ids) | sa.exists().where(theirs, there).correlate(MEMBER)


def _page(
    connection: Connection,
    conditions: Sequence[sa.ColumnElement[bool]],
    reach: Reach | None,
    order: Order,
    key: tuple[Any, str] | None,
    limit: int,
    *,
    searched: bool,
) -> tuple[int, Sequence[RowMapping]]:
    """How many there are, and those behind `key`. `searched`: what indexes do not tell is asked for too."""
    at_once = searched or (bool(conditions) and reach is not None and reach.number <= MANY)
    met = [*conditions, *([belongs(reach, in_order=not at_once)] if reach else [])]
    if at_once:
        return looked_at_once(connection, met, order, key, limit)
    total = reach.number if reach and reach.is_exact and not conditions else _count(connection, conditions, reach)
    query = sa.select(MEMBER).where(*met).order_by(*order.of(MEMBER)).limit(limit)
    return total, connection.execute(query.where(order.after(MEMBER, key)) if key else query).mappings().all()


def _count(connection: Connection, conditions: Sequence[sa.ColumnElement[bool]], reach: Reach | None) -> int:
    """Of those that indexes tell all about: by their main department, then those who belong there besides."""
    number = sa.select(sa.func.count()).select_from(MEMBER).where(*conditions)
    if reach is None:
        return connection.execute(number).scalar_one()
    main = number.where(MEMBER.c.main_department_id.in_(reach.ids))
    others = number.where(MEMBER.c.account_id.in_(_elsewhere(reach)))
    return sum(connection.execute(each).scalar_one() for each in (main, others))


def looked_at_once(
    connection: Connection,
    met: Sequence[sa.ColumnElement[bool]],
    order: Order,
    key: tuple[Any, str] | None,
    limit: int,
) -> tuple[int, Sequence[RowMapping]]:
    """As _page. All are looked at once: counting them costs as much as the page."""
    keys = sa.select(MEMBER.c.account_id, MEMBER.c[order.column]).where(*met)
    found = keys.cte("found").prefix_with("MATERIALIZED")
    total = sa.select(sa.func.count().label("total")).select_from(found).subquery("counted")
    page = sa.select(found.c.account_id, found.c[order.column]).order_by(*order.of(found)).limit(limit)
    shown = (page.where(order.after(found, key)) if key else page).subquery("shown")
    joined = total.outerjoin(shown, sa.true()).outerjoin(MEMBER, MEMBER.c.account_id == shown.c.account_id)
    query = sa.select(MEMBER, total.c.total).select_from(joined).order_by(*order.of(shown))
    rows = connection.execute(query).mappings().all()
    return rows[0]["total"], [row for row in rows if row["account_id"] is not None]


def to_messages(connection: Connection, rows: Sequence[RowMapping]) -> list[pb.Member]:
    """Members of rows of MEMBER, with their departments. Two statements, however many rows."""
    found = memberships_of(connection, [row["account_id"] for row in rows])
    return [to_message(row, found.get(row["account_id"], ())) for row in rows]


def to_message(row: RowMapping | Mapping[str, Any], memberships: Collection[pb.Membership]) -> pb.Member:
    assigned = row["licence_assign_time"]
    return pb.Member(
        account_id=row["account_id"],
        display_name=row["display_name"],
        email=row["email"],
        phone=row["phone"],
        title=row["title"],
        staff_id=row["staff_id"] or "",
        memberships=memberships,
        status=pb.MemberStatus.Value(f"MEMBER_STATUS_{row['status']}"),
        account_type=pb.ACCOUNT_TYPE_FREE if assigned is None else pb.ACCOUNT_TYPE_ADVANCED,
        licence_assign_time=None if assigned is None else to_timestamp(assigned),
        licence_lock_time=None if assigned is None else to_timestamp(licences.lock_time(assigned)),
        verified=row["verified"],
        hidden=row["hidden"],
        provider_user_id=row["provider_user_id"] or "",
        version=row["version"],
        last_sign_in_time=None if row["sign_in_time"] is None else to_timestamp(row["sign_in_time"]),
        create_time=to_timestamp(row["create_time"]),
        update_time=to_timestamp(row["update_time"]),
    )


def memberships_of(connection: Connection, account_ids: Collection[str]) -> dict[str, list[pb.Membership]]:
    """Of each, in their order."""
    theirs = MEMBERSHIP.c.account_id.in_(account_ids)
    rows = connection.execute(sa.select(MEMBERSHIP).where(theirs)).all()
    paths, found = (
        departments.paths_of(connection, {each.department_id for each in rows}),
        dict[str, list[pb.Membership]](),
    )
    for each in rows:
        one = pb.Membership(department_id=each.department_id, main=each.main, path=paths[each.department_id])
        found.setdefault(each.account_id, []).append(one)
    for several in found.values():
        several.sort(key=lambda one: (not one.main, one.path))
    return found
