"""Users and groups as identity providers send them: what becomes of members and departments, and what is refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from yunhui.access.v1 import access_pb2
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import organization_pb2
from yunhui.directory.v1 import organization_service_pb2 as organization_api
from yunhui.directory.v1 import provisioning_service_pb2 as token_api

from services.directory import introductions, organization, provisioning_tokens
from services.directory.changes import Changes
from services.directory.models import MEMBER, PROVISIONED_DEPARTMENT, PROVISIONED_MEMBER, PROVISIONING_TOKEN
from services.directory.scim.names import from_scim_id, to_scim_id
from services.platform.data import audit
from services.platform.messaging import outbox
from tests.directory.conftest import ADMIN, ManualClock
from tests.directory.people import add, department, memberships
from tests.directory.scim import BULK, ENTERPRISE, GROUP, NAME, PATCH, USER, Idp, refusal, token
from tests.directory.test_members import get, refused

SHAN: dict[str, Any] = {
    "displayName": "单雄信",
    "title": "教授",
    "name": {"givenName": "雄信", "familyName": "单"},
    "emails": [{"value": "shan@example.org", "type": "work", "primary": True}],
    "phoneNumbers": [{"value": "+86 138 0013 8000", "type": "mobile"}],
    ENTERPRISE: {"employeeNumber": "S-17", "department": "大气所/计算中心"},
}


def enterprise(**attributes: str) -> dict[str, Any]:
    return {ENTERPRISE: attributes}


@pytest.fixture
async def idp(changes: Changes) -> AsyncIterator[Idp]:
    async with Idp(changes, await token(changes)) as made:
        yield made


async def rows(changes: Changes, table: sa.Table) -> list[Any]:
    return await changes.database.read(lambda connection: [*connection.execute(sa.select(table))])


async def subjects(changes: Changes) -> list[str]:
    told = [row.subject.removeprefix("yunhui.directory.") for row in await rows(changes, outbox.TABLE)]
    return [each for each in told if not each.startswith("department.created")]


async def test_a_user_becomes_a_member_and_is_read_as_sent(changes: Changes, idp: Idp) -> None:
    made = await idp.add("shan@example.org", "shan", **SHAN)
    member = await get(changes, "shan")
    assert (member.display_name, member.email, member.phone) == ("单雄信", "shan@example.org", "+8613800138000")
    assert (member.title, member.staff_id, member.status) == ("教授", "S-17", pb.MEMBER_STATUS_ENABLED)
    assert [(each.path, each.main) for each in member.memberships] == [("大气所/计算中心", True)]
    assert await idp.get("/Users/shan") == made
    assert {name: made[name] for name in SHAN} == SHAN
    assert (made["id"], made["externalId"], made["userName"]) == ("shan", "shan", "shan@example.org")
    assert made["meta"]["location"] == "http://directory.example.org/v2/Users/shan"
    assert [each["display"] for each in made["groups"]] == ["大气所/计算中心"]


async def test_every_change_is_told_and_noted_as_by_hand(changes: Changes, idp: Idp) -> None:
    await idp.add("a")
    await idp.patch("/Users/a", {"op": "replace", "path": "active", "value": False})
    assert (await idp.ask("DELETE", "/Users/a")).status_code == 204
    assert await subjects(changes) == ["member.created", "member.disabled", "member.deleted"]
    entries = [row for row in await rows(changes, audit.TABLE) if row.target_kind == "member"]
    assert {(row.actor, row.roles) for row in entries} == {(f"{NAME}@scim", "scim")}
    assert [row.method for row in entries][:2] == ["scim.v2.Users/create", "scim.v2.Users/patch"]
    assert not await rows(changes, PROVISIONED_MEMBER)


async def test_whoever_is_deleted_is_shut_out_first(changes: Changes, idp: Idp) -> None:
    await idp.add("a")
    assert (await idp.ask("DELETE", "/Users/a")).status_code == 204
    assert await subjects(changes) == ["member.created", "member.disabled", "member.deleted"]
    assert refusal(await idp.ask("GET", "/Users/a")) == (404, None)
    assert refusal(await idp.ask("DELETE", "/Users/a")) == (404, None)
    again = await idp.add("a")
    assert again["meta"]["version"] == 'W/"4.1"'


async def test_what_entra_writes_its_own_way_is_understood(changes: Changes, idp: Idp) -> None:
    await idp.add("a", "17", active="True")
    await idp.patch(
        "/Users/17",
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "path": 'emails[type eq "work"].value', "value": "a@example.org"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "IT"},
        {"op": "Replace", "value": {"displayName": "A", "name.familyName": "Ai", f"{ENTERPRISE}:employeeNumber": "7"}},
        {"op": "Add", "path": 'addresses[type eq "work"].country', "value": "CN"},
    )
    member = await get(changes, "17")
    assert (member.status, member.email, member.display_name) == (pb.MEMBER_STATUS_DISABLED, "a@example.org", "A")
    assert (member.staff_id, member.memberships[0].path) == ("7", "IT")
    group = await idp.add_group("G", "17")
    path = f"/Groups/{group['id']}"
    await idp.patch(path, {"op": "Remove", "path": "members", "value": [{"value": "17"}]})
    assert "members" not in await idp.get(path)
    await idp.patch(path, {"op": "Add", "path": "members", "value": [{"value": "17"}]})
    await idp.patch(path, {"op": "Remove", "path": 'members[value eq "17"]'})
    assert "members" not in await idp.get(path)


async def test_a_put_takes_away_what_it_does_not_say_but_lets_nobody_in_again(changes: Changes, idp: Idp) -> None:
    await idp.add("shan", **SHAN)
    await idp.add_group("G", "shan")
    await idp.patch("/Users/shan", {"op": "replace", "path": "active", "value": False})
    body = {"schemas": [USER], "userName": "shan", "displayName": "单雄信"}
    answer = await idp.ask("PUT", "/Users/shan", body)
    assert answer.status_code == 200, answer.text
    member = await get(changes, "shan")
    assert (member.status, member.email, member.staff_id) == (pb.MEMBER_STATUS_DISABLED, "", "")
    assert [each.path for each in member.memberships] == ["G"]


async def test_the_account_id_is_the_external_id_or_what_the_setting_says(changes: Changes, idp: Idp) -> None:
    assert (await idp.add("a@example.org", "A-1"))["id"] == "A-1"
    assert (await idp.add("b"))["id"] == "b"
    answer = await idp.ask("POST", "/Users", {"schemas": [USER], "userName": "c@example.org"})
    assert refusal(answer) == (400, "invalidValue")
    assert "externalId" in answer.json()["detail"]
    async with Idp(changes, await token(changes, "other"), "userName") as other:
        assert (await other.add("d", "D-1"))["id"] == "d"
    await idp.patch("/Users/A-1", {"op": "replace", "path": "externalId", "value": "A-2"})
    assert (await idp.get("/Users/A-1"))["externalId"] == "A-2"


async def test_whoever_is_there_by_hand_is_found_and_taken_over_and_not_doubled(changes: Changes, idp: Idp) -> None:
    await add(changes, "Qiu", "仇英", staff_id="Q-1")
    for asked in ('userName eq "qiu"', 'externalId eq "Qiu"', f'{ENTERPRISE}:employeeNumber eq "Q-1"'):
        assert await idp.names(asked) == ["仇英"]
    for body in ({"userName": "Qiu"}, {"userName": "x", "externalId": "Qiu"}, {"userName": "qiu", "externalId": "x"}):
        assert refusal(await idp.ask("POST", "/Users", {"schemas": [USER], **body})) == (409, "uniqueness")
    taken = {"schemas": [USER, ENTERPRISE], "userName": "y", ENTERPRISE: {"employeeNumber": "Q-1"}}
    assert refusal(await idp.ask("POST", "/Users", taken)) == (409, "uniqueness")
    await idp.patch("/Users/Qiu", {"op": "replace", "path": "userName", "value": "qiu@example.org"})
    assert await idp.names('userName eq "QIU@example.org"') == ["仇英"]
    assert await idp.names('userName eq "qiu"') == []
    assert len(await rows(changes, MEMBER)) == 1


async def test_a_refused_change_changes_nothing(changes: Changes, idp: Idp) -> None:
    """Not even that the person is shut out, which it asked for too."""
    await idp.add("a")
    await idp.add("b", **enterprise(employeeNumber="7"))
    operations = [
        {"op": "replace", "path": "active", "value": False},
        {"op": "add", "path": f"{ENTERPRISE}:department", "value": "New"},
        {"op": "add", "path": f"{ENTERPRISE}:employeeNumber", "value": "7"},
    ]
    answer = await idp.ask("PATCH", "/Users/a", {"schemas": [PATCH], "Operations": operations})
    assert refusal(answer) == (409, "uniqueness")
    assert (await get(changes, "a")).status == pb.MEMBER_STATUS_ENABLED
    assert await subjects(changes) == ["member.created", "member.created"]
    assert (await idp.get("/Groups"))["totalResults"] == 0


async def test_what_changes_nothing_is_not_told(changes: Changes, idp: Idp) -> None:
    made = await idp.add("shan", **SHAN)
    await idp.patch("/Users/shan", {"op": "replace", "path": "title", "value": "教授"})
    assert (await idp.get("/Users/shan"))["meta"]["version"] == made["meta"]["version"]
    assert await subjects(changes) == ["member.created"]


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("tel:+1-201-555-0123", "+12015550123"), ("+86 (138) 0013.8000", "+8613800138000"),
        ("010-6238 1234", ""), ("none", ""),
    ],
)  # fmt: skip
async def test_a_phone_is_kept_as_written_and_called_where_it_can_be(
    changes: Changes, idp: Idp, said: str, stored: str
) -> None:
    made = await idp.add("a", phoneNumbers=[{"value": said, "type": "mobile"}])
    assert (await get(changes, "a")).phone == stored
    assert made["phoneNumbers"][0]["value"] == said


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"displayName": "甲"}, "甲"), ({"name": {"familyName": "单", "givenName": "雄信"}}, "单雄信"),
        ({"name": {"familyName": "Curie", "givenName": "Marie"}}, "Marie Curie"),
        ({"name": {"formatted": "Dr M"}}, "Dr M"), ({}, "a"),
    ],
)  # fmt: skip
async def test_everybody_has_a_name(changes: Changes, idp: Idp, given: dict[str, Any], name: str) -> None:
    made = await idp.add("a", **given)
    assert (await get(changes, "a")).display_name == name
    assert made.get("displayName") == given.get("displayName")


async def test_the_main_address_of_several_is_taken(changes: Changes, idp: Idp) -> None:
    emails = [{"value": f"{kind}@example.org", "type": kind} for kind in ("home", "work", "other")]
    await idp.add("a", emails=emails)
    assert (await get(changes, "a")).email == "work@example.org"
    await idp.add("b", emails=[*emails, {"value": "main@example.org", "primary": True}])
    assert (await get(changes, "b")).email == "main@example.org"


async def test_a_member_of_groups_keeps_them_when_the_department_changes(changes: Changes, idp: Idp) -> None:
    await idp.add("a", **enterprise(department="IT"))
    await idp.add_group("G", "a")
    await idp.patch("/Users/a", {"op": "replace", "path": f"{ENTERPRISE}:department", "value": "HR"})
    member = await get(changes, "a")
    assert [(each.path, each.main) for each in member.memberships] == [("HR", True), ("G", False)]
    await idp.patch("/Users/a", {"op": "remove", "path": f"{ENTERPRISE}:department"})
    assert [each.path for each in (await get(changes, "a")).memberships] == ["G"]


async def test_a_group_is_a_department_and_its_members_belong_to_it(changes: Changes, idp: Idp) -> None:
    await idp.add("a")
    await idp.add("b")
    group = await idp.add_group("计算中心", "a", externalId="g-1")
    path = f"/Groups/{group['id']}"
    assert await idp.get(path) == group
    assert group["members"] == [
        {"value": "a", "$ref": "http://directory.example.org/v2/Users/a", "type": "User"},
    ]  # fmt: skip
    await idp.patch(path, {"op": "add", "path": "members", "value": [{"value": "b"}, {"value": "a"}]})
    await idp.patch(path, {"op": "replace", "path": "displayName", "value": "IT"})
    await idp.patch(path, {"op": "replace", "value": {"externalId": "g-2"}})
    assert [each["value"] for each in (await idp.get(path))["members"]] == ["a", "b"]
    assert [each.path for each in (await get(changes, "b")).memberships] == ["IT"]
    assert await idp.names('externalId eq "g-2" and members.value eq "b"', "Groups") == ["IT"]
    await idp.patch(path, {"op": "replace", "path": "members", "value": [{"value": "b"}]})
    assert [each["value"] for each in (await idp.get(path))["members"]] == ["b"]
    answer = await idp.ask("PUT", path, {"schemas": [GROUP], "displayName": "IT", "members": [{"value": "a"}]})
    assert [each["value"] for each in answer.json()["members"]] == ["a"]
    assert (await idp.ask("DELETE", path)).status_code == 204
    assert not (await get(changes, "a")).memberships
    assert not await rows(changes, PROVISIONED_DEPARTMENT)


async def test_an_answer_to_a_patch_shows_the_whole_group(idp: Idp) -> None:
    for name in ("a", "b"):
        await idp.add(name)
    path = f"/Groups/{(await idp.add_group('G', 'a'))['id']}"
    operation = {"op": "add", "path": "members", "value": [{"value": "b"}]}
    body = {"schemas": [PATCH], "Operations": [operation]}
    answer = await idp.ask("PATCH", path, body, params={"attributes": "members"})
    assert [each["value"] for each in answer.json()["members"]] == ["a", "b"]


async def test_groups_in_groups_are_the_tree_and_never_a_cycle(idp: Idp) -> None:
    top, below = await idp.add_group("大气所"), await idp.add_group("计算中心")
    member = [{"op": "add", "path": "members", "value": [{"value": below["id"], "type": "Group"}]}]
    await idp.patch(f"/Groups/{top['id']}", *member)
    found = await idp.get(f"/Groups/{top['id']}")
    assert [(each["value"], each["type"]) for each in found["members"]] == [(below["id"], "Group")]
    for outer, inner in ((below, top), (top, top)):
        operations = [{"op": "add", "path": "members", "value": [{"value": inner["id"]}]}]
        answer = await idp.ask("PATCH", f"/Groups/{outer['id']}", {"schemas": [PATCH], "Operations": operations})
        assert refusal(answer) == (400, "invalidValue")
    assert refusal(await idp.ask("DELETE", f"/Groups/{top['id']}")) == (409, None)
    await idp.patch(f"/Groups/{top['id']}", {"op": "remove", "path": "members"})
    assert "members" not in await idp.get(f"/Groups/{top['id']}")
    assert await idp.names('displayName eq "计算中心"', "Groups") == ["计算中心"]


async def test_a_group_of_strangers_is_refused(idp: Idp) -> None:
    for value in ("nobody", "~", "a/b", ""):
        body = {"schemas": [GROUP], "displayName": "G", "members": [{"value": value}]}
        assert refusal(await idp.ask("POST", "/Groups", body)) == (400, "invalidValue")
    assert (await idp.get("/Groups"))["totalResults"] == 0


async def test_versions_guard_changes(changes: Changes, idp: Idp) -> None:
    await idp.add("a")
    group = await idp.add_group("G")
    for path in ("/Users/a", f"/Groups/{group['id']}"):
        answer = await idp.ask("GET", path)
        tag = answer.headers["ETag"]
        assert (await idp.ask("GET", path, headers={"If-None-Match": tag})).status_code == 304
        operation = {"op": "replace", "path": "displayName", "value": "X"}
        body = {"schemas": [PATCH], "Operations": [operation]}
        assert (await idp.ask("PATCH", path, body, headers={"If-Match": tag})).status_code == 204
        assert refusal(await idp.ask("PATCH", path, body, headers={"If-Match": tag})) == (412, None)
        assert refusal(await idp.ask("DELETE", path, headers={"If-Match": tag})) == (412, None)
    path = f"/Groups/{group['id']}"
    before = (await idp.ask("GET", path)).headers["ETag"]
    await add(changes, "by hand", memberships=memberships(group["id"]))
    assert (await idp.ask("GET", path)).headers["ETag"] != before


async def test_bulk_makes_a_group_with_its_people(idp: Idp) -> None:
    operations = [
        {
            "method": "POST",
            "path": "/Groups",
            "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "G", "members": [{"value": "bulkId:u"}]},
        },
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"schemas": [USER], "userName": "u"}},
        {"method": "POST", "path": "/Users", "bulkId": "v", "data": {"schemas": [USER], "userName": "U"}},
        {"method": "DELETE", "path": "/Users/nobody"},
    ]
    answer = await idp.ask("POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    assert [each["status"] for each in answer.json()["Operations"]] == ["201", "201", "409", "404"]
    assert [each["display"] for each in (await idp.get("/Users/u"))["groups"]] == ["G"]


@pytest.mark.parametrize("account_id", ["单 1", "a/b", "..", "x.scim", "~x", "a" * 128, "é" * 128, "bulkId:1"])
async def test_ids_stand_in_addresses(changes: Changes, idp: Idp, account_id: str) -> None:
    await add(changes, account_id)
    [found] = (await idp.get("/Users"))["Resources"]
    assert (await idp.get(f"/Users/{found['id']}"))["userName"] == account_id
    assert await idp.names(f'id eq "{found["id"]}"') == ["单雄信"]
    assert from_scim_id(to_scim_id(account_id)) == account_id


@pytest.mark.parametrize("scim_id", ["", "~", "~!", "~YQ", "~\u00e9", "~gA", "a b", "."])
def test_an_id_is_written_in_one_way_only(scim_id: str) -> None:
    assert from_scim_id(scim_id) == ""


async def test_only_a_token_that_holds_opens_the_door(changes: Changes, idp: Idp) -> None:
    secret = await token(changes, "second")
    for given in (
        "",
        "Bearer",
        "Bearer x",
        f"Basic {secret}",
        f"Bearer {secret}x",
        f"Bearer {secret[:-1]}",
        "Bearer é",
    ):
        answer = await idp.ask("GET", "/Users", headers={"Authorization": given.encode()})
        assert refusal(answer) == (401, None)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await idp.ask("GET", "/Users", headers={"Authorization": f"bearer {secret}"})).status_code == 200
    assert (await idp.ask("GET", "/ServiceProviderConfig", headers={"Authorization": ""})).status_code == 200
    for name in ("second", NAME):
        await provisioning_tokens.revoke(changes, token_api.RevokeProvisioningTokenRequest(display_name=name), ADMIN)
    assert refusal(await idp.ask("GET", "/Users")) == (401, None)


async def test_tokens_are_kept_as_hashes_two_at_a_time(changes: Changes) -> None:
    first, second = await token(changes, "first"), await token(changes, "second")
    assert first != second
    assert first not in str(await rows(changes, PROVISIONING_TOKEN)) + str(await rows(changes, audit.TABLE))
    assert await provisioning_tokens.find_name(changes.database, first) == "first"
    assert await refused(token(changes, "third")) == ("FAILED_PRECONDITION", "TOO_MANY_TOKENS")
    assert await refused(token(changes, "first")) == ("ALREADY_EXISTS", "TOKEN_EXISTS")
    assert await refused(token(changes, "no name")) == ("INVALID_ARGUMENT", "display_name")
    request = token_api.RevokeProvisioningTokenRequest(display_name="first")
    await provisioning_tokens.revoke(changes, request, ADMIN)
    found = await refused(provisioning_tokens.revoke(changes, request, ADMIN))
    assert found == ("NOT_FOUND", "PROVISIONING_TOKEN_NOT_FOUND")
    listed = (await provisioning_tokens.list_(changes.database)).tokens
    assert [(each.display_name, each.actor) for each in listed] == [("second", "admin")]
    assert await provisioning_tokens.find_name(changes.database, first) is None
    noted = [(row.target_kind, row.target_id) for row in await rows(changes, audit.TABLE)]
    assert noted == [("provisioning_token", name) for name in ("first", "second", "first")]


async def test_a_department_that_goes_takes_nobody_along(changes: Changes, idp: Idp, clock: ManualClock) -> None:
    """What the identity provider said of it goes with it; its people stay."""
    await changes.database.write(lambda connection: department(connection, "old", "Old"))
    await idp.add("a", **enterprise(department="Old"))
    assert (await idp.ask("DELETE", "/Groups/old")).status_code == 204
    assert ENTERPRISE not in await idp.get("/Users/a")
    await idp.patch("/Users/a", {"op": "replace", "path": f"{ENTERPRISE}:department", "value": "Old"})
    assert [each.path for each in (await get(changes, "a")).memberships] == ["Old"]


@pytest.mark.parametrize("active", [True, False])
async def test_who_waits_to_be_let_in_comes_in_by_the_identity_provider(
    changes: Changes, idp: Idp, *, active: bool
) -> None:
    """POST takes them over, unlike others who are there; one who is inactive there goes on waiting."""
    joining = organization_pb2.Joining(mode=organization_pb2.JOINING_MODE_APPROVAL)
    await organization.update(changes, organization_api.UpdateOrganizationRequest(version=1, joining=joining), ADMIN)
    asked = access_pb2.IntroduceRequest(account_id="shan", display_name="Shan", email="s@example.org")
    await introductions.introduce(changes, asked)
    [found] = (await idp.get('/Users?filter=userName eq "shan"'))["Resources"]
    assert found["active"] is False
    made = await idp.add("shan@example.org", "shan", **SHAN, active=active)
    assert (made["id"], made["active"]) == ("shan", active)
    member = await get(changes, "shan")
    assert member.status == (pb.MEMBER_STATUS_ENABLED if active else pb.MEMBER_STATUS_WAITING)
    assert (member.display_name, [each.path for each in member.memberships]) == ("单雄信", ["大气所/计算中心"])
    assert (await introductions.introduce(changes, asked)).grant.waiting != active
    again = await idp.ask("POST", "/Users", {"schemas": [USER], "userName": "shan@example.org", "externalId": "shan"})
    assert (again.status_code == 409) is active


async def test_who_waits_is_let_in_by_a_patch_and_stays_so_by_others(changes: Changes, idp: Idp) -> None:
    joining = organization_pb2.Joining(mode=organization_pb2.JOINING_MODE_APPROVAL)
    await organization.update(changes, organization_api.UpdateOrganizationRequest(version=1, joining=joining), ADMIN)
    await introductions.introduce(changes, access_pb2.IntroduceRequest(account_id="a"))
    await idp.patch("/Users/a", {"op": "replace", "path": "title", "value": "Dr."})
    assert (await get(changes, "a")).status == pb.MEMBER_STATUS_WAITING
    await idp.patch("/Users/a", {"op": "replace", "path": "active", "value": True})
    assert (await get(changes, "a")).status == pb.MEMBER_STATUS_ENABLED
