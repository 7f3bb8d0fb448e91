"""Roles: who may give which to whom, that nobody gives more than they have, and that a super administrator is left."""

import json
from typing import Any

import pytest
import sqlalchemy as sa
from google.rpc import error_details_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import import_service_pb2 as import_api
from yunhui.directory.v1 import member_service_pb2 as member_api
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.directory import (
    bindings,
    department_changes,
    explanations,
    grants,
    import_tables,
    members,
    models,
    role_changes,
    roles,
)
from services.directory.changes import Changes
from services.directory.imports import Imports
from services.directory.scopes import EVERYWHERE, Actor
from services.platform.data import audit
from services.platform.serving import errors, permissions
from services.platform.serving.permissions import BUILT_IN, CATALOGUE, SUPER_ADMINISTRATOR
from tests.directory.conftest import ADMIN, METHOD, ManualClock
from tests.directory.people import add
from tests.directory.powers import (
    TREE,
    actor,
    create,
    delete,
    give,
    held_by,
    holders,
    settle,
    take,
    told,
    update,
    with_role,
)
from tests.directory.test_organization import stored
from tests.directory.tree import refused

UPDATE_MEMBER = "/yunhui.directory.v1.MemberService/UpdateMember"
TOO_MUCH = "PERMISSION_DENIED GIVES_MORE_THAN_HELD"


@pytest.fixture(autouse=True)
async def house(changes: Changes) -> None:
    await settle(changes)


def missing(error: errors.RpcError) -> str:
    for detail in error.details:
        if isinstance(detail, error_details_pb2.ErrorInfo):
            return str(detail.metadata["permissions"])
    return ""


def test_all_permissions_are_listed_in_both_languages() -> None:
    listed = {each.permission: each for each in roles.list_permissions().permissions}
    assert list(listed) == list(CATALOGUE)
    assert {name for name, each in listed.items() if not each.assignable} == {
        "attendance.report",
        "organization.transfer",
    }
    assert all(each.description.en and each.description.zh_cn != each.description.en for each in listed.values())


async def test_built_in_roles_come_first_and_programs_have_none(changes: Changes) -> None:
    for name in ("乙", "甲"):
        await create(changes, name)
    await give(changes, "ann", "support")
    await give(changes, "ann", "support", "x")
    listed = (await roles.list_(changes.database)).roles
    assert [each.role_id for each in listed[:4]] == ["booker", "support", "admin", "super_admin"]
    assert sorted(each.display_name.zh_cn for each in listed[4:]) == sorted(("甲", "乙"))
    support = listed[1]
    assert (support.built_in, support.holder_count, support.version) == (True, 1, 0)
    assert {*support.permissions} == BUILT_IN["support"]
    assert (support.display_name.en, support.display_name.zh_cn) == ("technical support", "技术支持")
    assert (
        await refused(roles.get(changes.database, api.GetRoleRequest(role_id="service"))) == "NOT_FOUND ROLE_NOT_FOUND"
    )


async def test_a_role_of_one_s_own_is_made_changed_and_deleted(changes: Changes, clock: ManualClock) -> None:
    made = await create(changes, " 人事 ", "members.edit", "members.view", description="招聘")
    assert made.role_id.startswith("role_")
    assert [*made.permissions] == ["members.view", "members.edit"]
    assert (made.display_name, made.version) == (pb.RoleText(zh_cn="人事", en="人事"), 1)
    clock.time += 1
    after = await update(changes, made.role_id, display_name="HR", description="", permissions=["members.view"])
    assert after == await roles.get(changes.database, api.GetRoleRequest(role_id=made.role_id))
    assert (after.display_name.zh_cn, after.description, after.version) == ("HR", "", 2)
    assert after.update_time.ToMilliseconds() == clock.time
    await delete(changes, made.role_id, 2)
    assert await refused(delete(changes, made.role_id, 2)) == "NOT_FOUND ROLE_NOT_FOUND"
    assert await told(changes, "role.") == [("role.created", 1), ("role.updated", 2), ("role.deleted", 3)]
    entries = [row for row in await stored(changes, audit.TABLE) if row["target_kind"] == "role"]
    both = ["members.view", "members.edit"]
    assert [json.loads(row["detail"]) for row in entries] == [
        {"before": None, "after": both, "changed": []},
        {"before": both, "after": both[:1], "changed": ["display_name", "description"]},
        {"before": both[:1], "after": None},
    ]


async def test_a_role_that_stands_already_is_answered_as_it_stands(changes: Changes) -> None:
    made = await create(changes)
    again = await update(changes, made.role_id, 7, display_name="人事", permissions=["members.edit", "members.view"])
    assert again == made
    assert await refused(update(changes, made.role_id, 7, display_name="B")) == "FAILED_PRECONDITION STALE_VERSION"
    assert await refused(delete(changes, made.role_id, 7)) == "FAILED_PRECONDITION STALE_VERSION"
    assert len(await told(changes, "role.")) == 1


async def test_no_two_roles_have_one_name(changes: Changes) -> None:
    made = await create(changes, "A")
    other = await create(changes, "B")
    for name in ("A", "管理员", "super administrator"):
        assert await refused(create(changes, name)) == "ALREADY_EXISTS ROLE_EXISTS"
        wanted = "B" if name == "A" else name
        assert await refused(update(changes, made.role_id, display_name=wanted)) == "ALREADY_EXISTS ROLE_EXISTS"
    assert (await update(changes, other.role_id, description="x")).display_name.en == "B"


async def test_built_in_roles_stay_as_they_are(changes: Changes) -> None:
    for role_id in ("booker", "support", "admin", "super_admin"):
        assert await refused(update(changes, role_id, display_name="A")) == "FAILED_PRECONDITION BUILT_IN_ROLE"
        assert await refused(delete(changes, role_id)) == "FAILED_PRECONDITION BUILT_IN_ROLE"


async def test_no_more_roles_are_made_than_are_listed(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role_changes, "MAX_ROLES", 2)
    for name in ("A", "B"):
        await create(changes, name)
    assert await refused(create(changes, "C")) == "FAILED_PRECONDITION TOO_MANY_ROLES"


async def test_a_role_that_somebody_has_stays(changes: Changes) -> None:
    made = await create(changes)
    await give(changes, "ann", made.role_id)
    assert await refused(delete(changes, made.role_id)) == "FAILED_PRECONDITION ROLE_HELD"
    await take(changes, "ann", made.role_id)
    await delete(changes, made.role_id)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"display_name": ""}, "display_name"),
    ({"display_name": "x" * 51}, "display_name"),
    ({"display_name": "a\nb"}, "display_name"),
    ({"description": "x" * 501}, "description"),
    ({"permissions": []}, "permissions"),
    ({"permissions": ["members.view", "members.fly"]}, "permissions[1]"),
    ({"permissions": ["attendance.report"]}, "permissions[0]"),
    ({"permissions": ["organization.transfer"]}, "permissions[0]"),
    ({"permissions": ["rules.view", "rules.view"]}, "permissions[1]"),
]


@pytest.mark.parametrize(("wrong", "field"), BAD)
async def test_bad_input_names_its_field(changes: Changes, wrong: dict[str, Any], field: str) -> None:
    right = {"display_name": "A", "permissions": ["rules.view"]}
    assert await refused(role_changes.create(changes, api.CreateRoleRequest(**right | wrong), ADMIN)) == field
    if wrong != {"permissions": []}:  # which leaves them as they are
        made = await create(changes, "B", "rules.view")
        assert await refused(update(changes, made.role_id, **wrong)) == field
    assert await refused(update(changes, "role_x")) == "display_name"


async def test_a_role_is_given_and_taken(changes: Changes) -> None:
    given_one = await give(changes, "ann", "support", "ab")
    assert given_one == await give(changes, "ann", "support", "ab")
    assert (given_one.display_name, given_one.department_path, given_one.role_name.zh_cn) == ("ann", "A/AB", "技术支持")
    await give(changes, "ann", "support")
    assert await held_by(changes, "ann") == [("support", ""), ("support", "ab")]
    await take(changes, "ann", "support", "ab")
    assert await held_by(changes, "ann") == [("support", "")]
    assert await refused(take(changes, "ann", "support", "ab")) == "NOT_FOUND BINDING_NOT_FOUND"
    assert await told(changes, "binding.") == [("binding.added", 1), ("binding.added", 1), ("binding.removed", 2)]
    entries = [row for row in await stored(changes, audit.TABLE) if row["target_kind"] == "binding"]
    held = {"role_id": "support", "department_id": "ab"}
    assert [json.loads(row["detail"]) for row in (entries[0], entries[-1])] == [
        {"before": None, "after": held},
        {"before": held, "after": None},
    ]
    assert {row["account_id"] for row in entries} == {"ann"}


async def test_what_cannot_be_given(changes: Changes) -> None:
    assert await refused(give(changes, "ann", "booker")) == "role_id"
    assert await refused(take(changes, "ann", "booker")) == "role_id"
    assert await refused(holders(changes, "booker")) == "role_id"
    for role_id in ("service", "role_x"):
        assert await refused(give(changes, "ann", role_id)) == "NOT_FOUND ROLE_NOT_FOUND"
    assert await refused(give(changes, "nobody", "support")) == "NOT_FOUND MEMBER_NOT_FOUND"
    assert await refused(give(changes, "ann", "support", "dep_x")) == "NOT_FOUND DEPARTMENT_NOT_FOUND"
    assert await refused(give(changes, "ann", SUPER_ADMINISTRATOR, "ab")) == "department_id"


async def test_one_member_has_so_many_roles(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "MOST_OF_ONE", 2)
    for department_id in ("a", "ab"):
        await give(changes, "ann", "support", department_id)
    assert await refused(give(changes, "ann", "support", "x")) == "FAILED_PRECONDITION TOO_MANY_BINDINGS"


async def test_holders_are_listed_page_by_page(changes: Changes) -> None:
    everybody = [("ann", ""), ("ann", "x"), ("bob", "ab"), ("cai", "")]
    for account_id, department_id in everybody:
        await give(changes, account_id, "support", department_id)
    found, token = [], ""
    while True:
        request = api.ListRoleHoldersRequest(role_id="support", page_size=1, page_token=token)
        page = await bindings.list_holders(changes.database, request, EVERYWHERE)
        assert page.total_count == 4
        found += [(each.account_id, each.department_id) for each in page.bindings]
        if not (token := page.next_page_token):
            break
    assert found == everybody


async def test_nobody_gives_what_they_lack(changes: Changes) -> None:
    """At each boundary: the department itself, one below, one above, beside, everywhere."""
    local = with_role("loc", "admin", "ab")
    for department_id in ("ab", "abc"):
        assert (await give(changes, "ann", "support", department_id, local)).department_id == department_id
    assert await refused(give(changes, "ann", "support", "", local)) == TOO_MUCH
    for department_id in ("a", "x"):
        assert await refused(give(changes, "ann", "support", department_id, local)) == "NOT_FOUND DEPARTMENT_NOT_FOUND"
    assert await refused(give(changes, "cai", "support", "ab", local)) == "NOT_FOUND MEMBER_NOT_FOUND"
    with pytest.raises(errors.RpcError) as caught:
        await give(changes, "ann", SUPER_ADMINISTRATOR, by=with_role("adm", "admin"))
    assert (caught.value.reason, missing(caught.value)) == (TOO_MUCH, "organization.transfer")


async def test_nobody_takes_what_they_lack(changes: Changes) -> None:
    for department_id in ("", "a", "ab", "x"):
        await give(changes, "ann", "support", department_id)
    await give(changes, "cai", "support", "abc")
    await give(changes, "cai", "support", "x")
    local = with_role("loc", "admin", "ab")
    assert await refused(take(changes, "ann", "support", "", local)) == TOO_MUCH
    assert await refused(take(changes, "ann", "support", "a", local)) == TOO_MUCH
    assert await refused(take(changes, "cai", "support", "x", local)) == "NOT_FOUND BINDING_NOT_FOUND"
    await take(changes, "ann", "support", "ab", local)
    await take(changes, "cai", "support", "abc", local)
    assert await holders(changes, "support", local) == [("ann", ""), ("ann", "a"), ("ann", "x")]


async def test_nobody_puts_into_a_role_what_they_lack(changes: Changes) -> None:
    """Also not who has it for a department only: all who have the role would get it."""
    maker = actor("mia", "roles.edit", "members.view", members_edit=("a",))
    assert await refused(create(changes, "A", "members.view", "members.edit", by=maker)) == TOO_MUCH
    made = await create(changes, "A", "members.view", by=maker)
    more = ["members.view", "members.edit"]
    assert await refused(update(changes, made.role_id, permissions=more, by=maker)) == TOO_MUCH
    await update(changes, made.role_id, permissions=more)
    assert await refused(update(changes, made.role_id, 2, maker, permissions=["members.view"])) == TOO_MUCH
    assert (await update(changes, made.role_id, 2, maker, display_name="B")).version == 3
    assert await refused(delete(changes, made.role_id, 3, maker)) == TOO_MUCH


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    holding=st.dictionaries(
        st.sampled_from(["members.view", "members.edit", "rooms.edit"]), st.sampled_from(["", *TREE])
    ),
    permitted=st.sets(st.sampled_from(["members.view", "members.edit", "rooms.edit"]), min_size=1),
    department_id=st.sampled_from(["", *TREE]),
)
async def test_nobody_s_power_grows_by_giving(
    changes: Changes, holding: dict[str, str], permitted: set[str], department_id: str
) -> None:
    """Against the plainest model: what was given is, place by place, a part of what the giver has."""

    def covered(scope: str) -> set[str]:
        return {each for each in ("", *TREE) if not scope or each == scope or (each and scope in above(each))}

    held = {name: frozenset({place} - {""}) for name, place in holding.items()}
    by = Actor("by", frozenset(), METHOD, {"roles.edit": frozenset[str](), **held})
    role_id = next((row["role_id"] for row in await stored(changes, models.ROLE)), None)
    role_id = role_id or (await create(changes)).role_id
    version = (await roles.get(changes.database, api.GetRoleRequest(role_id=role_id))).version
    await update(changes, role_id, version, permissions=sorted(permitted))
    right = all(name in holding and department_id in covered(holding[name]) for name in permitted)
    if right:
        await give(changes, "ann", role_id, department_id, by)
        await take(changes, "ann", role_id, department_id, by)
    else:
        assert await refused(give(changes, "ann", role_id, department_id, by)) == TOO_MUCH


def above(department_id: str) -> list[str]:
    return [department_id, *above(TREE[department_id])] if department_id else []


async def test_who_closes_or_removes_an_account_needs_all_of_its_roles(changes: Changes) -> None:
    """Otherwise a local administrator would take from others what they could not take from them."""
    await give(changes, "ann", "support")
    local = with_role("loc", "admin", "ab")
    close = member_api.SetMemberEnabledRequest(account_id="ann", enabled=False, version=1)
    remove = member_api.DeleteMemberRequest(account_id="ann", version=1)
    assert await refused(members.set_enabled(changes, close, local)) == TOO_MUCH
    assert await refused(members.delete(changes, remove, local)) == TOO_MUCH
    imports = Imports(changes)
    content = b"".join(import_tables.write_csv([["账号", "账号状态"], ["ann", "已停用"]]))
    made = await imports.create(import_api.CreateImportRequest(file_name="a.csv"), ADMIN)
    await imports.upload(import_api.UploadImportPartRequest(import_id=made.import_id, content=content))
    await imports.check(made.import_id)
    apply = import_api.ApplyImportRequest(import_id=made.import_id)
    assert await refused(imports.apply(apply, actor("hr", "members.edit"))) == TOO_MUCH
    assert (await imports.apply(apply, with_role("adm", "admin"))).summary.update_count == 1


async def test_roles_go_with_the_member(changes: Changes) -> None:
    await give(changes, "ann", "support", "ab")
    await members.delete(changes, member_api.DeleteMemberRequest(account_id="ann", version=1), ADMIN)
    assert await told(changes, "binding.") == [("binding.added", 1), ("binding.removed", 2)]
    await add(changes, "ann", "ann")
    assert await held_by(changes, "ann") == []


async def test_roles_of_a_department_that_is_merged_are_those_of_the_other(changes: Changes) -> None:
    await give(changes, "ann", "support", "abc")
    await give(changes, "bob", "support", "abc")
    await give(changes, "bob", "support", "x")
    request = department_api.MergeDepartmentRequest(department_id="abc", into_department_id="x", version=1)
    await department_changes.merge(changes, request, ADMIN)
    assert await holders(changes, "support") == [("ann", "x"), ("bob", "x")]
    [entry] = [row for row in await stored(changes, audit.TABLE) if row["target_kind"] == "department"]
    assert json.loads(entry["detail"])["bindings"] == 2


async def test_nobody_gains_by_merging(changes: Changes) -> None:
    """Who is administrator of a small department cannot have it merged into a larger one by who lacks that."""
    await give(changes, "bob", "support", "abc")
    request = department_api.MergeDepartmentRequest(department_id="abc", into_department_id="x", version=1)
    mover = actor("mover", "departments.edit")
    assert await refused(department_changes.merge(changes, request, mover)) == TOO_MUCH


async def test_a_department_that_roles_were_given_for_stays(changes: Changes) -> None:
    await give(changes, "bob", "support", "abc")
    request = department_api.DeleteDepartmentRequest(department_id="abc", version=1)
    assert await refused(department_changes.delete(changes, request, ADMIN)) == "FAILED_PRECONDITION DEPARTMENT_NAMED"
    await take(changes, "bob", "support", "abc")
    await department_changes.delete(changes, request, ADMIN)


async def explained(changes: Changes, account_id: str, by: Actor = ADMIN, **about: str) -> api.ExplainAccessResponse:
    request = api.ExplainAccessRequest(account_id=account_id, **about)
    return await explanations.explain(changes.database, request, by.scope("roles.view"))


def kinds(answer: api.ExplainAccessResponse) -> list[str]:
    return [api.AccessReasonKind.Name(each.kind).removeprefix("ACCESS_REASON_KIND_") for each in answer.reasons]


async def test_why_somebody_may_do_something(changes: Changes) -> None:
    everybody = await explained(changes, "ann", permission="reservations.book")
    assert (everybody.allowed, kinds(everybody)) == (True, ["EVERYBODY"])
    nothing = await explained(changes, "ann", permission="members.edit")
    assert (nothing.allowed, kinds(nothing), [*nothing.role_ids]) == (False, ["NOTHING"], ["admin", "super_admin"])
    made = await create(changes)
    await give(changes, "ann", made.role_id, "ab")
    await give(changes, "ann", "admin", "x")
    abouts: list[dict[str, Any]] = [{"permission": "members.edit"}, {"method": UPDATE_MEMBER}]
    for about in abouts:
        answer = await explained(changes, "ann", **about)
        assert (answer.allowed, answer.permission, answer.scoped) == (True, "members.edit", True)
        shown = [(each.role_id, each.department_id, each.department_path) for each in answer.reasons]
        assert shown == [("admin", "x", "X"), (made.role_id, "ab", "A/AB")]
        assert [*answer.role_ids] == ["admin", "super_admin", made.role_id]
    unscoped = await explained(changes, "ann", method="yunhui.booking.v1.BookingService/UpdateRoom")
    assert (unscoped.allowed, unscoped.permission, kinds(unscoped)) == (False, "rooms.edit", ["DEPARTMENT_ONLY"])
    await members.set_enabled(
        changes, member_api.SetMemberEnabledRequest(account_id="ann", enabled=False, version=1), ADMIN
    )
    closed = await explained(changes, "ann", permission="reservations.book")
    assert (closed.allowed, kinds(closed)) == (False, ["DISABLED", "EVERYBODY", "ROLE"])


async def test_what_cannot_be_explained(changes: Changes) -> None:
    assert await refused(explained(changes, "ann")) == "permission"
    assert await refused(explained(changes, "ann", permission="members.fly")) == "permission"
    for method in ("", "Get", "yunhui.directory.v1.MemberService/Fly", "yunhui.x.v1.XService/Get", "os.path/x"):
        assert await refused(explained(changes, "ann", method=method)) == "method"
    assert await refused(explained(changes, "nobody", permission="rules.view")) == "NOT_FOUND MEMBER_NOT_FOUND"
    local = with_role("loc", "admin", "x")
    assert await refused(explained(changes, "ann", local, permission="rules.view")) == "NOT_FOUND MEMBER_NOT_FOUND"


async def test_a_role_that_ten_thousand_have_is_changed(changes: Changes) -> None:
    """In one statement, whatever their number."""
    made = await create(changes)
    number = 10_000 if "sqlite" in str(changes.database.engine.url) else 1_000

    def work(connection: sa.Connection) -> None:
        [one] = connection.execute(sa.select(models.MEMBER).where(models.MEMBER.c.account_id == "dan")).mappings()
        people = [{**one, "account_id": f"m{place}"} for place in range(number)]
        connection.execute(sa.insert(models.MEMBER), people)
        held = {"role_id": made.role_id, "department_id": "", "create_time": 1}
        rows = [{"account_id": each["account_id"], "binding_id": each["account_id"], **held} for each in people]
        connection.execute(sa.insert(models.BINDING), rows)

    await changes.database.write(work)
    await update(changes, made.role_id, permissions=["rules.view"])
    waiting = [row for row in await stored(changes, models.MEMBER_GRANT) if row["waiting"]]
    assert len(waiting) == number
    some = [row["account_id"] for row in waiting[:3]]
    found = await changes.database.read(lambda connection: grants.compute(connection, some))
    assert {each.permission for grant in found.values() for each in grant.permissions} == {"rules.view"}


def test_every_method_of_roles_says_what_it_needs() -> None:
    needed = permissions.of("yunhui.directory.v1.RoleService")
    assert {each.permission for each in needed.values()} == {"roles.view", "roles.edit"}
