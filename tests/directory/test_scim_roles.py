"""Identity providers and roles: whoever leaves is shut out whatever they may do, but for super administrators."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as member_api
from yunhui.directory.v1 import provisioning_service_pb2 as token_api
from yunhui.directory.v1 import role_service_pb2 as role_api

from services.directory import bindings, grants, members, models, provisioning_tokens
from services.directory.changes import Changes
from services.directory.scopes import Actor
from services.platform.data import audit
from services.platform.serving.permissions import CATALOGUE, SUPER_ADMINISTRATOR
from tests.directory.conftest import ADMIN
from tests.directory.powers import actor, give, held_by, holders, settle, told
from tests.directory.scim import BULK, ENTERPRISE, PATCH, USER, Idp, refusal, token
from tests.directory.test_members import get
from tests.directory.test_organization import stored
from tests.directory.test_scim import enterprise
from tests.directory.tree import Tree, refused

OFF = {"op": "replace", "path": "active", "value": False}
ON = {"op": "replace", "path": "active", "value": True}


@pytest.fixture
async def idp(changes: Changes) -> AsyncIterator[Idp]:
    await settle(changes)
    async with Idp(changes, await token(changes)) as made:
        yield made


async def grant(changes: Changes, account_id: str) -> Any:
    """As it is on its way to all programs."""
    waiting = [row["account_id"] for row in await stored(changes, models.MEMBER_GRANT) if row["waiting"]]
    assert account_id in waiting
    return (await changes.database.read(lambda connection: grants.compute(connection, [account_id])))[account_id]


async def settled(changes: Changes) -> None:
    """Nothing is on its way."""
    await changes.database.write(
        lambda connection: connection.execute(models.MEMBER_GRANT.update().values(waiting=False))
    )


@pytest.mark.parametrize("role_id", ["support", "admin"])
async def test_whoever_leaves_is_shut_out_whatever_they_may_do(changes: Changes, idp: Idp, role_id: str) -> None:
    """By hand nobody closes the account of somebody who may do more; an identity provider must."""
    await give(changes, "dan", SUPER_ADMINISTRATOR)
    await give(changes, "ann", role_id)
    close = member_api.SetMemberEnabledRequest(account_id="ann", enabled=False, version=1)
    by_hand = actor("mia", *provisioning_tokens.PERMITTED)
    assert await refused(members.set_enabled(changes, close, by_hand)) == "PERMISSION_DENIED GIVES_MORE_THAN_HELD"
    await settled(changes)
    await idp.patch("/Users/ann", OFF)
    assert (await get(changes, "ann")).status == pb.MEMBER_STATUS_DISABLED
    assert (await held_by(changes, "ann"), (await grant(changes, "ann")).disabled) == ([(role_id, "")], True)
    await settled(changes)
    await idp.patch("/Users/ann", ON)
    found = await grant(changes, "ann")
    assert (found.disabled, [*found.roles]) == (False, [role_id])
    assert (await idp.ask("DELETE", "/Users/ann")).status_code == 204
    assert ((await grant(changes, "ann")).disabled, await holders(changes, role_id)) == (True, [])


async def test_who_comes_back_has_no_roles_any_more(changes: Changes, idp: Idp) -> None:
    await give(changes, "ann", "support", "ab")
    assert (await idp.ask("DELETE", "/Users/ann")).status_code == 204
    assert await told(changes, "binding.") == [("binding.added", 1), ("binding.removed", 2)]
    await settled(changes)
    await idp.add("ann")
    found = await grant(changes, "ann")
    assert (found.disabled, [*found.roles], await held_by(changes, "ann")) == (False, [], [])


async def test_super_administrators_stay(changes: Changes, idp: Idp) -> None:
    """Whatever the way, and also when there are others: else a token could do what its maker cannot."""
    for account_id in ("ann", "bob"):
        await give(changes, account_id, SUPER_ADMINISTRATOR)
    off = {"schemas": [USER], "userName": "ann", "displayName": "ann", "active": False}
    for method, body in (
        ("PATCH", {"schemas": [PATCH], "Operations": [OFF]}), ("PUT", off), ("DELETE", None),
    ):  # fmt: skip
        answer = await idp.ask(method, "/Users/ann", body)
        assert refusal(answer) == (403, None)
        assert "take the role super_admin first" in answer.json()["detail"]
    assert (await get(changes, "ann")).version == 1
    assert await holders(changes, SUPER_ADMINISTRATOR) == [("ann", ""), ("bob", "")]
    await idp.patch("/Users/ann", {"op": "replace", "path": "title", "value": "Dean"})  # what gives no power
    binding = role_api.TakeRoleRequest(account_id="ann", role_id=SUPER_ADMINISTRATOR)
    await bindings.take(changes, binding, actor("bob", *CATALOGUE))
    assert (await idp.ask("DELETE", "/Users/ann")).status_code == 204


async def test_nor_is_one_let_in_again(changes: Changes, idp: Idp) -> None:
    await give(changes, "dan", SUPER_ADMINISTRATOR)
    await give(changes, "ann", SUPER_ADMINISTRATOR)
    version = (await get(changes, "ann")).version
    close = member_api.SetMemberEnabledRequest(account_id="ann", enabled=False, version=version)
    await members.set_enabled(changes, close, actor("dan", *CATALOGUE))
    answer = await idp.ask("PATCH", "/Users/ann", {"schemas": [PATCH], "Operations": [ON]})
    assert refusal(answer) == (403, None)


async def test_of_many_only_a_super_administrator_is_refused(changes: Changes, idp: Idp) -> None:
    await give(changes, "ann", SUPER_ADMINISTRATOR)
    data = {"schemas": [PATCH], "Operations": [OFF]}
    operations = [{"method": "PATCH", "path": f"/Users/{each}", "data": data} for each in ("ann", "bob")]
    answer = await idp.ask("POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    assert [each["status"] for each in answer.json()["Operations"]] == ["403", "200"]
    off = [(await get(changes, each)).status == pb.MEMBER_STATUS_DISABLED for each in ("ann", "bob")]
    assert off == [False, True]


async def test_a_department_that_roles_were_given_for_stays(changes: Changes, idp: Idp) -> None:
    await give(changes, "ann", "support", "x")
    answer = await idp.ask("DELETE", "/Groups/x")
    assert refusal(answer) == (409, None)
    assert "roles were given for this department" in answer.json()["detail"]
    assert [each.path for each in (await get(changes, "cai")).memberships] == ["X"]


async def test_who_belongs_where_is_counted_as_by_hand(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.directory.api.caller", lambda: ADMIN)
    tree = Tree(changes)
    async with Idp(changes, await token(changes)) as idp:
        await idp.add("a", **enterprise(department="A/B"))
        await idp.add("b", **enterprise(department="A"))
        top = await idp.add_group("T", "a", "b")
        [under] = [each for each in await tree.all() if each.display_name == "A"]
        await tree.check()
        await idp.patch(
            f"/Groups/{top['id']}", {"op": "add", "path": "members", "value": [{"value": under.department_id}]}
        )
        await tree.check()
        await idp.patch("/Users/a", {"op": "replace", "path": f"{ENTERPRISE}:department", "value": "T/A/C"})
        await idp.patch(f"/Groups/{top['id']}", {"op": "remove", "path": 'members[value eq "b"]'})
        await tree.check()
        assert {each.path: each.member_count_below for each in await tree.all()} == {
            "T": 2,
            "T/A": 2,
            "T/A/B": 0,
            "T/A/C": 1,
        }
        assert (await idp.ask("DELETE", "/Users/a")).status_code == 204
        await tree.check()
        assert {each.path: each.member_count_below for each in await tree.all()} == {
            "T": 1,
            "T/A": 1,
            "T/A/B": 0,
            "T/A/C": 0,
        }


@pytest.mark.parametrize("missing", provisioning_tokens.PERMITTED)
async def test_who_has_a_token_made_may_do_all_that_it_lets_others_do(changes: Changes, missing: str) -> None:
    """Everywhere: one for a department only would be a way out of it."""

    async def made(by: Actor) -> str:
        request = token_api.CreateProvisioningTokenRequest(display_name="entra")
        return (await provisioning_tokens.create(changes, request, by)).secret

    rest = [each for each in provisioning_tokens.PERMITTED if each != missing]
    for by in (actor("mia", *rest), actor("mia", *rest, **{missing.replace(".", "_"): ("a",)})):
        assert await refused(made(by)) == "PERMISSION_DENIED GIVES_MORE_THAN_HELD"
    assert not [row for row in await stored(changes, audit.TABLE) if row["target_kind"] == "provisioning_token"]
    assert await made(actor("mia", *provisioning_tokens.PERMITTED))
