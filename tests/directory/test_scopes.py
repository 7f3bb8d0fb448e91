"""Whoever may do something for some departments sees and changes what everybody sees and changes there, and no more."""

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import department_changes, departments, member_queries, members
from services.directory.changes import Changes
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP
from services.directory.scopes import EVERYWHERE, Actor, Scope
from services.platform.data.database import Database
from tests.directory.conftest import METHOD, MONDAY
from tests.directory.people import add, department, memberships, purchase
from tests.directory.tree import refused

TREE = {"a": "", "ab": "a", "abc": "ab", "a_": "", "x": "", "xy": "x"}
MEMBER_MISSING, DEPARTMENT_MISSING = "NOT_FOUND MEMBER_NOT_FOUND", "NOT_FOUND DEPARTMENT_NOT_FOUND"
OUTSIDE = "PERMISSION_DENIED OUTSIDE_SCOPE"
SCOPED = ("members.view", "members.edit", "departments.edit", "licences.edit")


def local(*department_ids: str) -> Actor:
    return Actor("local", frozenset(), METHOD, dict.fromkeys(SCOPED, frozenset(department_ids)))


@pytest.fixture(autouse=True)
async def house(changes: Changes) -> None:
    def work(connection: sa.Connection) -> None:
        for department_id, parent in TREE.items():
            department(connection, department_id, department_id.upper(), parent)
        purchase(connection, 5)

    await changes.database.write(work)


def inside(department_id: str, scope: Scope) -> bool:
    """By climbing, in Python."""
    if scope is None or department_id in scope:
        return True
    return bool(department_id) and bool(TREE[department_id]) and inside(TREE[department_id], scope)


async def list_members(database: Database, scope: Scope, **asked: Any) -> tuple[list[str], int]:
    """All pages, and the total that each of them tells."""
    found, token, totals = [], "", set()
    while True:
        request = api.ListMembersRequest(page_size=2, page_token=token, **asked)
        page = await member_queries.list_(database, request, MONDAY, scope)
        found += [each.account_id for each in page.members]
        totals.add(page.total_count)
        if not (token := page.next_page_token):
            assert len(totals) == 1
            return found, totals.pop()


async def walk(database: Database, scope: Scope) -> list[str]:
    """All departments that one comes to from the top, with totals that are right."""
    found, left = list[str](), [""]
    while left:
        parent, token, number = left.pop(), "", 0
        while True:
            request = department_api.ListDepartmentsRequest(parent_id=parent, page_size=1, page_token=token)
            page = await departments.list_children(database, request, scope)
            number += len(page.departments)
            left += [each.department_id for each in page.departments]
            found += [each.department_id for each in page.departments]
            if not (token := page.next_page_token):
                break
        assert page.total_count == number
    return found


PLACES = st.lists(st.sampled_from(sorted(TREE)), max_size=3, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(
    people=st.lists(st.tuples(PLACES, st.sampled_from(["王伟", "anna", "Bo"])), max_size=6),
    scope=st.frozensets(st.sampled_from([*TREE, "gone"]), max_size=3),
    asked=st.fixed_dictionaries(
        {},
        optional={
            "query": st.sampled_from(["wang", "a", "zz"]),
            "order": st.sampled_from([api.MEMBER_ORDER_NAME, api.MEMBER_ORDER_NEWEST]),
            "without_department": st.just(value=True),
        },
    ),
    many=st.sampled_from([0, 5000]),
    place=st.sampled_from(sorted(TREE)),
    below=st.booleans(),
)
async def test_a_scope_shows_what_everybody_sees_of_it(
    changes: Changes,
    people: list[Any],
    scope: frozenset[str],
    asked: dict[str, Any],
    many: int,
    place: str,
    below: bool,
) -> None:
    database = changes.database
    with database.engine.begin() as connection:
        for table in (MEMBERSHIP, MEMBER):
            connection.execute(sa.delete(table))
        connection.execute(sa.update(DEPARTMENT).values(member_count_below=0))
    for number, (places, name) in enumerate(people):
        await add(changes, f"m{number}", name, memberships=memberships(*places))
    everybody, _ = await list_members(database, EVERYWHERE, **asked)
    theirs = [each for each in everybody if any(inside(place, scope) for place in people[int(each[1:])][0])]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(member_queries, "MANY", many)
        assert await list_members(database, scope, **asked) == (theirs, len(theirs))
    for number, (places, _) in enumerate(people):
        get = member_queries.get(database, api.GetMemberRequest(account_id=f"m{number}"), scope)
        if any(inside(place, scope) for place in places):
            assert (await get).account_id == f"m{number}"
        else:
            assert await refused(get) == MEMBER_MISSING
    if "without_department" not in asked:
        there = {"department_id": place, "below": below}
        seen, total = await list_members(database, scope, **asked, **there)
        unscoped, _ = await list_members(database, EVERYWHERE, **asked, **there)
        assert (seen, total) == ((unscoped, len(unscoped)) if inside(place, scope) else ([], 0))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(scope=st.frozensets(st.sampled_from([*TREE, "gone"]), max_size=3))
async def test_a_scope_shows_the_departments_of_it(changes: Changes, scope: frozenset[str]) -> None:
    database = changes.database
    visible = {each for each in TREE if inside(each, scope)}
    found = await walk(database, scope)
    assert (sorted(found), sorted(await walk(database, EVERYWHERE))) == (sorted(visible), sorted(TREE))
    for query in ("a", "x"):
        request = department_api.SearchDepartmentsRequest(query=query)
        everything = await departments.search(database, request, EVERYWHERE)
        seen = await departments.search(database, request, scope)
        wanted = [each for each in everything.departments if each.department_id in visible]
        assert ([*seen.departments], seen.total_count) == (wanted, len(wanted))
    for each in TREE:
        asks = (
            departments.get(database, department_api.GetDepartmentRequest(department_id=each), scope),
            departments.list_children(database, department_api.ListDepartmentsRequest(parent_id=each), scope),
        )
        for ask in asks:
            if each in visible:
                await ask
            else:
                assert await refused(ask) == DEPARTMENT_MISSING


async def new(changes: Changes, account_id: str, *places: str, by: Actor) -> pb.Member:
    member = pb.Member(account_id=account_id, display_name=account_id, memberships=memberships(*places))
    return await members.create(changes, api.CreateMemberRequest(member=member), by)


async def test_members_are_added_inside_only(changes: Changes) -> None:
    by = local("ab")
    assert (await new(changes, "ann", "ab", "abc", by=by)).version == 1
    assert await refused(new(changes, "bob", by=by)) == OUTSIDE
    for places in (["a"], ["ab", "x"], ["x"]):
        assert await refused(new(changes, "bob", *places, by=by)) == DEPARTMENT_MISSING


async def put(changes: Changes, account_id: str, version: int, *places: str, main: str = "") -> pb.Member:
    wanted = api.Memberships(memberships=memberships(*places, main=main))
    request = api.UpdateMemberRequest(account_id=account_id, version=version, memberships=wanted)
    return await members.update(changes, request, local("ab"))


async def test_members_are_moved_within_a_scope(changes: Changes) -> None:
    await add(changes, "ann", "ann", memberships=memberships("x", "ab"))
    assert [each.department_id for each in (await put(changes, "ann", 1, "x", "abc")).memberships] == ["x", "abc"]
    assert await refused(put(changes, "ann", 2, "x", "abc", main="abc")) == OUTSIDE  # the main one is another's
    assert await refused(put(changes, "ann", 2, "abc")) == OUTSIDE  # x is another's
    assert await refused(put(changes, "ann", 2, "x")) == OUTSIDE  # nothing of theirs would be left
    assert await refused(put(changes, "ann", 2, "x", "abc", "xy")) == DEPARTMENT_MISSING
    await add(changes, "bob", "bob", memberships=memberships("ab"))
    assert (await put(changes, "bob", 1, "ab", "abc", main="abc")).memberships[0].department_id == "abc"


async def test_what_is_outside_cannot_be_changed(changes: Changes) -> None:
    await add(changes, "out", "out", memberships=memberships("a"))
    await add(changes, "none", "none")
    by = local("ab")
    for account_id in ("out", "none", "nobody"):
        who: dict[str, Any] = {"account_id": account_id, "version": 1}
        for call in (
            members.update(changes, api.UpdateMemberRequest(**who, title="x"), by),
            members.set_enabled(changes, api.SetMemberEnabledRequest(**who, enabled=False), by),
            members.set_account_type(
                changes, api.SetAccountTypeRequest(**who, account_type=pb.ACCOUNT_TYPE_ADVANCED), by
            ),
            members.delete(changes, api.DeleteMemberRequest(**who), by),
        ):
            assert await refused(call) == MEMBER_MISSING


async def test_what_is_inside_can_be_changed(changes: Changes) -> None:
    await add(changes, "in", "in", memberships=memberships("abc"))
    by = local("ab")
    await members.update(changes, api.UpdateMemberRequest(account_id="in", version=1, title="x"), by)
    request = api.SetAccountTypeRequest(account_id="in", version=2, account_type=pb.ACCOUNT_TYPE_ADVANCED)
    assert (await members.set_account_type(changes, request, by)).account_type == pb.ACCOUNT_TYPE_ADVANCED
    await members.delete(changes, api.DeleteMemberRequest(account_id="in", version=3), by)


async def test_each_act_asks_about_its_own_permission(changes: Changes) -> None:
    """Who may edit members here, and give licences there, does neither where they may do the other only."""
    await add(changes, "ann", "ann", memberships=memberships("ab"))
    by = Actor("by", frozenset(), METHOD, {"members.edit": frozenset({"ab"}), "licences.edit": frozenset({"x"})})
    request = api.SetAccountTypeRequest(account_id="ann", version=1, account_type=pb.ACCOUNT_TYPE_ADVANCED)
    assert await refused(members.set_account_type(changes, request, by)) == MEMBER_MISSING
    await members.update(changes, api.UpdateMemberRequest(account_id="ann", version=1, title="x"), by)


class Local:
    """Changes of departments by somebody who may make them for some only."""

    def __init__(self, changes: Changes, *scope: str) -> None:
        self.changes, self.by = changes, local(*scope)

    async def create(self, parent_id: str) -> Any:
        request = department_api.CreateDepartmentRequest(display_name="N", parent_id=parent_id)
        return await department_changes.create(self.changes, request, self.by)

    async def rename(self, department_id: str) -> Any:
        request = department_api.RenameDepartmentRequest(department_id=department_id, display_name="N", version=1)
        return await department_changes.rename(self.changes, request, self.by)

    async def move(self, department_id: str, parent_id: str) -> Any:
        request = department_api.MoveDepartmentRequest(department_id=department_id, parent_id=parent_id, version=1)
        return await department_changes.move(self.changes, request, self.by)

    async def merge(self, department_id: str, into: str) -> Any:
        request = department_api.MergeDepartmentRequest(department_id=department_id, into_department_id=into, version=1)
        return await department_changes.merge(self.changes, request, self.by)

    async def delete(self, department_id: str) -> None:
        request = department_api.DeleteDepartmentRequest(department_id=department_id, version=1)
        await department_changes.delete(self.changes, request, self.by)


async def test_departments_are_changed_inside_only(changes: Changes) -> None:
    here = Local(changes, "ab", "x")
    for call in (here.create("a"), here.rename("a"), here.move("a_", "ab"), here.move("abc", "a"), here.delete("a_")):
        assert await refused(call) == DEPARTMENT_MISSING
    for call in (here.merge("a_", "abc"), here.merge("abc", "a_")):
        assert await refused(call) == DEPARTMENT_MISSING
    assert await refused(here.create("")) == OUTSIDE
    assert await refused(here.move("abc", "")) == OUTSIDE


async def test_the_place_of_what_is_moved_away_must_lie_inside_too(changes: Changes) -> None:
    """What stands highest in a scope has a place that is another's."""
    here = Local(changes, "ab", "x")
    for call in (here.move("ab", "x"), here.merge("ab", "xy"), here.move("x", "ab"), here.delete("x")):
        assert await refused(call) == OUTSIDE
    await here.rename("ab")
    await here.create("ab")
    await here.move("abc", "xy")
    await here.merge("xy", "x")


async def test_without_a_permission_nothing_is_inside(changes: Changes) -> None:
    await add(changes, "ann", "ann", memberships=memberships("ab"))
    nobody = Actor("nobody", frozenset(), METHOD)
    assert await list_members(changes.database, nobody.scope("members.view")) == ([], 0)
    assert await walk(changes.database, nobody.scope("members.view")) == []
