"""`yunhui roles` and `organization transfer` against a directory that is made up: what they ask, and show."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from yunhui.directory.v1 import department_pb2, role_pb2
from yunhui.directory.v1 import department_service_pb2 as departments_api
from yunhui.directory.v1 import organization_service_pb2 as organization_api
from yunhui.directory.v1 import role_service_pb2 as roles_api

from services.cli import role_holders
from services.platform.clock import DAY, to_timestamp
from tests.cli.played import Played

MONDAY = 1_772_416_800_000
OWN = "role_01k1yq8v6t7m3x2c9d4b5n6p7r"
DEPARTMENT = department_pb2.Department(
    department_id="dep_01k1yq8v6t7m3x2c9d4b5n6p7r", display_name="计算所", path="计算所"
)
ROLES = [
    role_pb2.Role(
        role_id="booker",
        display_name=role_pb2.RoleText(zh_cn="普通成员", en="member"),
        permissions=["rules.view"],
        built_in=True,
    ),
    role_pb2.Role(
        role_id="admin",
        display_name=role_pb2.RoleText(zh_cn="管理员", en="administrator"),
        permissions=["rules.view", "members.view", "members.edit"],
        built_in=True,
        holder_count=1_200,
    ),
    role_pb2.Role(
        role_id=OWN,
        display_name=role_pb2.RoleText(zh_cn="[red]前台", en="[red]前台"),
        description="迎接来访者",
        permissions=["members.view"],
        holder_count=2,
        version=7,
        create_time=to_timestamp(MONDAY),
        update_time=to_timestamp(MONDAY + DAY),
    ),
]
BINDING = role_pb2.Binding(
    account_id="zhang",
    display_name="张伟",
    role_id=OWN,
    role_name=ROLES[2].display_name,
    department_id=DEPARTMENT.department_id,
    department_path="计算所",
)
EVERYWHERE = role_pb2.Binding(account_id="zhang", display_name="张伟", role_id="admin", role_name=ROLES[1].display_name)
PERMISSIONS = [
    role_pb2.Permission(
        permission="members.view",
        description=role_pb2.RoleText(zh_cn="查看成员和部门", en="see members and departments"),
        assignable=True,
    ),
    role_pb2.Permission(
        permission="organization.transfer", description=role_pb2.RoleText(zh_cn="移交组织", en="hand over")
    ),
]
TRANSFER = role_pb2.Transfer(
    transfer_id="trf_1",
    from_account_id="zhang",
    to_account_id="li",
    create_time=to_timestamp(MONDAY),
    end_time=to_timestamp(MONDAY + 7 * DAY),
)
KIND = roles_api.AccessReasonKind


def reason(kind: str, binding: role_pb2.Binding | None = None) -> roles_api.AccessReason:
    """Of a kind; with the role where one gives it."""
    found = roles_api.AccessReason(kind=KIND.Value(f"ACCESS_REASON_KIND_{kind}"))
    if binding:
        found.role_id, found.department_path = binding.role_id, binding.department_path
        found.role_name.CopyFrom(binding.role_name)
    return found


def explain(asked: roles_api.ExplainAccessRequest) -> roles_api.ExplainAccessResponse:
    """A method needs more than a department."""
    if asked.WhichOneof("about") == "permission":
        reasons = [reason("ROLE", EVERYWHERE), reason("ROLE", BINDING)]
        return roles_api.ExplainAccessResponse(allowed=True, permission=asked.permission, scoped=True, reasons=reasons)
    return roles_api.ExplainAccessResponse(
        permission="members.edit",
        reasons=[reason("DISABLED"), reason("DEPARTMENT_ONLY", BINDING)],
        role_ids=["admin", "gone"],
    )


ANSWERS: Mapping[str, Callable[[Any], Message]] = {
    "GetDepartment": lambda _: departments_api.GetDepartmentResponse(department=DEPARTMENT),
    "ListDepartments": lambda _: departments_api.ListDepartmentsResponse(departments=[DEPARTMENT]),
    "ListRoles": lambda _: roles_api.ListRolesResponse(roles=ROLES),
    "ListPermissions": lambda _: roles_api.ListPermissionsResponse(permissions=PERMISSIONS),
    "CreateRole": lambda _: roles_api.CreateRoleResponse(role=ROLES[2]),
    "UpdateRole": lambda _: roles_api.UpdateRoleResponse(role=ROLES[2]),
    "GiveRole": lambda _: roles_api.GiveRoleResponse(binding=BINDING),
    "ListRoleHolders": lambda _: roles_api.ListRoleHoldersResponse(
        bindings=[BINDING] * 2, total_count=9, next_page_token="more"
    ),
    "ListRolesOf": lambda _: roles_api.ListRolesOfResponse(bindings=[EVERYWHERE, BINDING]),
    "ExplainAccess": explain,
    "BeginTransfer": lambda _: organization_api.BeginTransferResponse(transfer=TRANSFER),
    "GetTransfer": lambda _: organization_api.GetTransferResponse(transfer=TRANSFER),
}


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    played = Played(ANSWERS, tmp_path, monkeypatch)
    yield played
    played.server.stop(None).wait()


def test_roles_are_listed_with_how_many_have_them(played: Played) -> None:
    """What everybody has is not counted."""
    said = played.said("roles", lang="zh-CN")
    assert all(word in said for word in ("普通成员", "所有人", "管理员", "1,200", "[red]前台", OWN))
    assert "administrator" in played.said("roles", "list")
    assert [each["roleId"] for each in json.loads(played.said("roles", "list", "--json"))["roles"]][1] == "admin"


@pytest.mark.parametrize("typed", ["admin", "administrator", "管理员", " 管理员 "])
def test_a_role_is_named_by_its_id_or_in_either_language(played: Played, typed: str) -> None:
    assert json.loads(played.said("roles", "show", typed, "--json"))["role"]["roleId"] == "admin"


def test_a_role_that_is_not_there_is_not_found(played: Played) -> None:
    done = played.run("roles", "show", "nobody's")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "There is no role" in done.stderr
    assert "roles list" in done.stderr


def test_a_role_is_shown_with_what_it_permits(played: Played) -> None:
    """What people typed is no markup; a built-in one was made by nobody."""
    said = played.said("roles", "show", OWN, lang="zh-CN")
    assert all(word in said for word in ("[red]前台", "迎接来访者", "members.view", "2026-03-02 周一"))
    assert "last change" not in played.said("roles", "show", "admin")
    said = played.said("roles", "permissions")
    assert all(word in said for word in ("see members and departments", "organization.transfer", "yes", "no"))


def test_a_role_is_made_changed_and_deleted(played: Played) -> None:
    """Only what is said changes, in the version that was seen; '' forgets."""
    played.said("roles", "create", "前台", "--permission", "members.view", "--permission", "rules.view")
    played.said("roles", "change", "[red]前台", "--description", "")
    played.said("roles", "change", OWN, "--name", "门卫", "--permission", "members.view")
    played.said("roles", "delete", OWN, "--yes")
    assert played.asked == [
        roles_api.CreateRoleRequest(display_name="前台", permissions=["members.view", "rules.view"]),
        roles_api.UpdateRoleRequest(role_id=OWN, version=7, description=""),
        roles_api.UpdateRoleRequest(role_id=OWN, version=7, display_name="门卫", permissions=["members.view"]),
        roles_api.DeleteRoleRequest(role_id=OWN, version=7),
    ]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("roles", "create", "x"), "--permission is missing"),
        (("roles", "change", "admin"), "Say what to change"),
        (("roles", "delete", OWN), "--yes"),
        (("organization", "transfer", "begin", "li"), "--yes"),
        (("organization", "transfer", "accept"), "--yes"),
    ],
)
def test_a_change_says_what_and_that_it_is_meant(played: Played, arguments: tuple[str, ...], fault: str) -> None:
    done = played.run(*arguments)
    assert done.exit_code == 2
    assert fault in done.stderr
    assert played.asked == []


def test_roles_are_given_and_taken_for_a_department_or_everywhere(played: Played) -> None:
    assert played.said("roles", "give", "zhang", OWN, "--department", "计算所") == (
        "zhang (张伟) has the role [red]前台: 计算所.\n"
    )
    played.said("roles", "give", "zhang", "administrator")
    assert played.said("roles", "take", "zhang", "管理员", lang="zh-CN") == "zhang 不再有角色“管理员”：整个组织。\n"
    assert "计算所" in played.said("roles", "take", "zhang", OWN, "--department", DEPARTMENT.department_id)
    department_id = DEPARTMENT.department_id
    assert played.asked == [
        roles_api.GiveRoleRequest(account_id="zhang", role_id=OWN, department_id=department_id),
        roles_api.GiveRoleRequest(account_id="zhang", role_id="admin"),
        roles_api.TakeRoleRequest(account_id="zhang", role_id="admin"),
        roles_api.TakeRoleRequest(account_id="zhang", role_id=OWN, department_id=department_id),
    ]


def test_who_has_a_role_is_listed_page_by_page_up_to_the_limit(played: Played) -> None:
    said = played.said("roles", "holders", OWN, "--limit", "3")
    assert (said.count("张伟"), "3 of 9" in said) == (3, True)
    assert [each.page_token for each in played.asked] == ["", "more"]
    assert played.asked[0] == roles_api.ListRoleHoldersRequest(role_id=OWN, page_size=3)


def test_the_roles_of_a_member_say_where_they_hold(played: Played) -> None:
    said = played.said("roles", "of", "zhang", lang="zh-CN")
    assert all(word in said for word in ("管理员", "整个组织", "[red]前台", "计算所"))
    assert len(json.loads(played.said("roles", "of", "zhang", "--json"))["bindings"]) == 2


def test_why_somebody_may_is_said_role_by_role(played: Played) -> None:
    assert played.said("roles", "explain", "zhang", "members.view").splitlines() == [
        "zhang may: members.view.",
        "  It comes with the role administrator: everywhere.",
        "  It comes with the role [red]前台: 计算所.",
        "What the token says comes on top: it is not known here.",
    ]


def test_why_somebody_may_not_is_said_with_what_would_help(played: Played) -> None:
    """A role that is gone meanwhile is said by its id."""
    method = "yunhui.directory.v1.MemberService/UpdateMember"
    assert played.said("roles", "explain", "zhang", f"/{method}").splitlines() == [
        "zhang may not: members.edit.",
        "  The account is disabled.",
        "  It comes with the role [red]前台, but for 计算所 only, and that is not enough here.",
        "Roles that give it, if they hold everywhere: administrator, gone.",
        "What the token says comes on top: it is not known here.",
    ]
    assert played.asked == [roles_api.ExplainAccessRequest(account_id="zhang", method=method)]


def test_the_organization_is_handed_over_in_two_steps(played: Played) -> None:
    """Accepted and given up is the one that was seen."""
    said = played.said("organization", "transfer", "begin", "li", "--yes", lang="zh-CN")
    assert all(word in said for word in ("zhang", "li", "2026-03-09 周一"))
    assert played.said("organization", "transfer") == played.said("organization", "transfer", "show")
    assert "li" in played.said("organization", "transfer", "accept", "--yes")
    assert "li" in played.said("organization", "transfer", "cancel")
    assert played.asked == [
        organization_api.BeginTransferRequest(account_id="li"),
        organization_api.AcceptTransferRequest(transfer_id="trf_1"),
        organization_api.CancelTransferRequest(transfer_id="trf_1"),
    ]


def test_every_reason_of_the_contract_has_a_sentence() -> None:
    assert set(role_holders.REASONS) == set(KIND.values()) - {0}
