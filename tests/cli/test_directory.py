"""`yunhui members`, `departments` and `organization` against a directory that is made up: what they ask, and show."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from yunhui.directory.v1 import department_pb2, member_pb2, organization_pb2
from yunhui.directory.v1 import department_service_pb2 as departments_api
from yunhui.directory.v1 import member_service_pb2 as members_api
from yunhui.directory.v1 import organization_service_pb2 as organization_api
from yunhui.directory.v1 import provisioning_service_pb2 as provisioning_api

from services.cli import departments, members, organization
from services.platform.clock import DAY, to_timestamp
from tests.cli.played import Played

MONDAY = 1_772_416_800_000
TREE: dict[str, Any] = {"计算所": {"网络中心": {"运维组": {}}, "行政处": {}}, "Physics": {}}


def plant(tree: dict[str, Any], parent: department_pb2.Department) -> Iterator[department_pb2.Department]:
    """From the top down, each in front of what is below it."""
    for position, (name, below) in enumerate(tree.items()):
        path = "/".join(filter(None, [parent.path, name]))
        made = department_pb2.Department(
            department_id=id_of(name),
            display_name=name,
            parent_id=parent.department_id,
            position=position,
            path=path,
            child_count=len(below),
            member_count=1,
            version=7,
        )
        planted = list(plant(below, made))
        made.member_count_below = 1 + len(planted)
        yield made
        yield from planted


def id_of(name: str) -> str:
    return f"dpt_{name.encode().hex()[:26]:0>26}" if name else ""


DEPARTMENTS = list(plant(TREE, department_pb2.Department()))
MEMBER = member_pb2.Member(
    account_id="zhang",
    display_name="张伟",
    memberships=[member_pb2.Membership(department_id="dpt_1", main=True, path="计算所/网络中心")],
    status=member_pb2.MEMBER_STATUS_ENABLED,
    account_type=member_pb2.ACCOUNT_TYPE_ADVANCED,
    licence_assign_time=to_timestamp(MONDAY),
    licence_lock_time=to_timestamp(MONDAY + 7 * DAY),
    title="[red]",
    version=5,
)
ORGANIZATION = organization_pb2.Organization(
    display_name="计算所",
    edition=organization_pb2.EDITION_EDUCATION,
    contacts=[
        organization_pb2.Contact(
            display_name="a",
            email="a@b.cn",
            topics=[organization_pb2.NOTICE_TOPIC_LICENCES, organization_pb2.NOTICE_TOPIC_BILLING],
        ),
        organization_pb2.Contact(display_name="c", email="c@d.cn", topics=[organization_pb2.NOTICE_TOPIC_SECURITY]),
    ],
    version=4,
)
PURCHASE = organization_pb2.LicencePurchase(
    purchase_id="P1", count=3, start_time=to_timestamp(MONDAY), end_time=to_timestamp(MONDAY + DAY), note="n"
)
FIGURES = organization_pb2.LicenceFigures(
    bought=3, used=4, locked=1, left=-1, next_end_time=PURCHASE.end_time, bought_after_next_end=1_000
)


def list_departments(request: departments_api.ListDepartmentsRequest) -> departments_api.ListDepartmentsResponse:
    """One on a page."""
    first = int(request.page_token or 0)
    below = [each for each in DEPARTMENTS if each.parent_id == request.parent_id]
    return departments_api.ListDepartmentsResponse(
        departments=below[first : first + 1],
        next_page_token=str(first + 1) if len(below) > first + 1 else "",
        total_count=len(below),
    )


def department(department_id: str) -> department_pb2.Department:
    return next(each for each in DEPARTMENTS if each.department_id == department_id)


ANSWERS: Mapping[str, Callable[[Any], Message]] = {
    "ListDepartments": list_departments,
    "SearchDepartments": lambda _: departments_api.SearchDepartmentsResponse(
        departments=DEPARTMENTS[:1], total_count=3
    ),
    "GetDepartment": lambda asked: departments_api.GetDepartmentResponse(department=department(asked.department_id)),
    "MoveDepartment": lambda asked: departments_api.MoveDepartmentResponse(department=department(asked.department_id)),
    "MergeDepartment": lambda asked: departments_api.MergeDepartmentResponse(
        department=department(asked.into_department_id)
    ),
    "ListMembers": lambda _: members_api.ListMembersResponse(
        members=[MEMBER] * 2, total_count=9, next_page_token="more"
    ),
    "GetMember": lambda _: members_api.GetMemberResponse(member=MEMBER),
    "CreateMember": lambda _: members_api.CreateMemberResponse(member=MEMBER),
    "UpdateMember": lambda _: members_api.UpdateMemberResponse(member=MEMBER),
    "SetAccountType": lambda _: members_api.SetAccountTypeResponse(member=MEMBER),
    "GetOrganization": lambda _: organization_api.GetOrganizationResponse(organization=ORGANIZATION),
    "CreateProvisioningToken": lambda _: provisioning_api.CreateProvisioningTokenResponse(secret="s" * 200),
    "ListProvisioningTokens": lambda _: provisioning_api.ListProvisioningTokensResponse(
        tokens=[
            provisioning_api.ProvisioningToken(display_name="[red]", actor="zhang", create_time=to_timestamp(MONDAY))
        ]
    ),
    "GetLicences": lambda _: organization_api.GetLicencesResponse(figures=FIGURES, purchases=[PURCHASE]),
}
"""By method; the others answer nothing."""


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    played = Played(ANSWERS, tmp_path, monkeypatch)
    yield played
    played.server.stop(None).wait()


def test_the_tree_is_drawn_as_deep_as_was_asked(played: Played) -> None:
    """With counts, and a word for what is not drawn."""
    assert played.said("departments", "tree", lang="zh-CN").splitlines() == [
        "计算所（直属 1 人，含下级 4 人）",
        "├── 网络中心（直属 1 人，含下级 2 人）",
        "│   └── 运维组（1 人）",
        "└── 行政处（1 人）",
        "Physics（1 人）",
    ]
    assert played.said("departments", "tree", "计算所", "--levels", "2").splitlines() == [
        "计算所 (members: 1, with those below: 4)",
        "├── 网络中心 (members: 1, with those below: 2 · departments below: 1)",
        "└── 行政处 (members: 1)",
    ]
    drawn = json.loads(played.said("departments", "tree", "--json"))["departments"]
    assert drawn[0]["departments"][0]["departments"][0]["displayName"] == "运维组"
    assert "departments" not in drawn[1]


@pytest.mark.parametrize("typed", ["计算所/网络中心", " 计算所 / 网络中心 ", id_of("网络中心")])
def test_a_department_is_named_by_its_path_or_its_number(played: Played, typed: str) -> None:
    assert json.loads(played.said("departments", "show", typed, "--json"))["department"]["path"] == "计算所/网络中心"


@pytest.mark.parametrize("typed", ["网络中心", "计算所/Physics", "计算所/", "/", " "])
def test_a_department_that_is_not_there_is_not_found(played: Played, typed: str) -> None:
    done = played.run("departments", "show", typed)
    assert (done.exit_code, done.stdout) == (4, "")
    assert "There is no department" in done.stderr
    assert "departments tree" in done.stderr


MOVES: list[tuple[tuple[str, ...], tuple[str, str]]] = [
    (("--under", "Physics"), ("Physics", "")),
    (("--top",), ("", "")),
    (("--top", "--before", "Physics"), ("", "Physics")),
    (("--before", "计算所/行政处"), ("计算所", "行政处")),
]


@pytest.mark.parametrize(("options", "asked"), MOVES)
def test_a_department_is_moved_where_it_was_said(
    played: Played, options: tuple[str, ...], asked: tuple[str, str]
) -> None:
    played.said("departments", "move", "计算所/网络中心", *options)
    parent_id, before_id = (id_of(name) for name in asked)
    assert played.asked == [
        departments_api.MoveDepartmentRequest(
            department_id=id_of("网络中心"), parent_id=parent_id, before_department_id=before_id, version=7
        )
    ]


@pytest.mark.parametrize("options", [(), ("--top", "--under", "Physics")])
def test_a_move_says_where_to(played: Played, options: tuple[str, ...]) -> None:
    done = played.run("departments", "move", "Physics", *options)
    assert done.exit_code == 2
    assert "Say where to" in done.stderr


UNDOABLE: list[tuple[tuple[str, ...], str]] = [
    (
        ("departments", "merge", "计算所", "--into", "Physics"),
        "Give the members (1) and departments (2) of 计算所 to Physics, and remove it?",
    ),
    (("departments", "delete", "Physics"), "Delete Physics?"),
    (("members", "delete", "zhang"), "Delete zhang (张伟) and all that is known of them?"),
]


@pytest.mark.parametrize(("arguments", "question"), UNDOABLE)
def test_what_cannot_be_undone_is_confirmed(played: Played, arguments: tuple[str, ...], question: str) -> None:
    """With --yes where nobody can be asked."""
    for as_json, shown in (((), f"{question}\n"), (("--json",), "")):
        done = played.run(*arguments, *as_json)
        assert (done.exit_code, done.stdout) == (2, shown)
        assert "--yes" in done.stderr
    assert played.asked == []
    played.said(*arguments, "--yes")
    [request] = played.asked
    assert request.version in (5, 7)


@pytest.mark.parametrize(("typed", "sent"), [("y", 1), ("n", 0), ("", 0)])
def test_a_person_is_asked(played: Played, monkeypatch: pytest.MonkeyPatch, typed: str, sent: int) -> None:
    """No is what one gets by pressing return."""
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    done = played.run("members", "delete", "zhang", typed=f"{typed}\n")
    assert (done.exit_code, len(played.asked)) == (0, sent)
    assert ("Nothing was changed." in done.stdout) is (not sent)


def test_members_are_listed_page_by_page_up_to_the_limit(played: Played) -> None:
    said = played.said("members", "list", "zw", "--status", "not-activated", "--advanced", "--limit", "3", "--newest")
    assert said.count("张伟") == 3
    assert "3 of 9" in said
    assert all(word in said for word in ("计算所/网络中心", "enabled", "advanced account"))
    first, second = played.asked
    assert (first.page_token, second.page_token) == ("", "more")
    assert first == members_api.ListMembersRequest(
        query="zw",
        statuses=[member_pb2.MEMBER_STATUS_NOT_ACTIVATED],
        account_types=[member_pb2.ACCOUNT_TYPE_ADVANCED],
        order=members_api.MEMBER_ORDER_NEWEST,
        page_size=3,
    )


def test_a_member_is_shown_with_what_is_known(played: Played) -> None:
    """What people typed is no markup."""
    said = played.said("members", "show", "zhang", lang="zh-CN")
    assert all(word in said for word in ("[red]", "已启用", "高级账号", "2026-03-09 周一 10:00（北京时间）", "职务"))
    assert "电话" not in said


def test_a_member_is_added_to_departments_by_path(played: Played) -> None:
    """The first is the main one."""
    options = ("--department", "计算所/行政处", "--department", "Physics", "--enabled", "--email", "a@b.cn")
    played.said("members", "add", "li", "--name", "李娜", *options)
    [request] = played.asked
    memberships = [
        member_pb2.Membership(department_id=id_of(name), main=main)
        for name, main in (("行政处", True), ("Physics", False))
    ]
    assert request == members_api.CreateMemberRequest(
        member=member_pb2.Member(
            account_id="li",
            display_name="李娜",
            email="a@b.cn",
            memberships=memberships,
            status=member_pb2.MEMBER_STATUS_ENABLED,
            account_type=member_pb2.ACCOUNT_TYPE_FREE,
        )
    )


def test_only_what_is_said_of_a_member_changes(played: Played) -> None:
    """With the version that was looked up; '' forgets."""
    played.said("members", "update", "zhang", "--phone", "", "--unverified", "--department", "")
    assert played.asked == [
        members_api.UpdateMemberRequest(
            account_id="zhang", version=5, phone="", verified=False, memberships=members_api.Memberships()
        )
    ]


def test_accounts_and_licences_change_in_the_version_that_was_seen(played: Played) -> None:
    played.said("members", "enable", "zhang")
    played.said("members", "disable", "zhang")
    assert "2026-03-09 Mon 10:00" in played.said("members", "licence", "give", "zhang")
    assert json.loads(played.said("members", "licence", "take", "zhang", "--json"))["member"]["accountId"] == "zhang"
    assert played.asked == [
        members_api.SetMemberEnabledRequest(account_id="zhang", enabled=True, version=5),
        members_api.SetMemberEnabledRequest(account_id="zhang", enabled=False, version=5),
        members_api.SetAccountTypeRequest(account_id="zhang", account_type=member_pb2.ACCOUNT_TYPE_ADVANCED, version=5),
        members_api.SetAccountTypeRequest(account_id="zhang", account_type=member_pb2.ACCOUNT_TYPE_FREE, version=5),
    ]


@pytest.mark.parametrize("arguments", [("members", "update", "zhang"), ("organization", "update")])
def test_a_change_says_what(played: Played, arguments: tuple[str, ...]) -> None:
    done = played.run(*arguments)
    assert done.exit_code == 2
    assert "Say what to change" in done.stderr
    assert f"{' '.join(arguments[:2])} --help" in done.stderr


def test_the_organization_is_shown_with_its_contacts(played: Played) -> None:
    said = played.said("organization", lang="zh-CN")
    assert all(word in said for word in ("计算所", "教育版", "a@b.cn", "许可、订单与发票", "安全"))
    assert json.loads(played.said("organization", "contacts", "--json"))["contacts"][0]["email"] == "a@b.cn"


def test_contacts_are_changed_one_at_a_time(played: Played) -> None:
    """The others stay, in their order; the one with the same address is replaced."""
    played.said("organization", "contacts", "add", "A@B.cn", "--name", "x", "--topic", "service")
    played.said("organization", "contacts", "add", "e@f.cn", "--name", "y", "--topic", "billing", "--topic", "security")
    played.said("organization", "contacts", "delete", "a@b.cn")
    sent = [[each.email for each in request.contacts.contacts] for request in played.asked]
    assert sent == [["A@B.cn", "c@d.cn"], ["a@b.cn", "c@d.cn", "e@f.cn"], ["c@d.cn"]]
    assert {request.version for request in played.asked} == {4}
    missing = played.run("organization", "contacts", "delete", "nobody@b.cn")
    assert (missing.exit_code, len(played.asked)) == (4, 3)


def test_what_is_not_said_of_a_purchase_stays(played: Played) -> None:
    played.said("organization", "licences", "put", "P1", "--count", "9", "--end", "2027-01-01 00:00")
    played.said("organization", "licences", "put", "P2", "--count", "1")
    known, new = (request.purchase for request in played.asked)
    assert (known.count, known.start_time, known.note) == (9, PURCHASE.start_time, "n")
    assert known.end_time.ToJsonString() == "2026-12-31T16:00:00Z"
    assert new == organization_pb2.LicencePurchase(purchase_id="P2", count=1)


def test_licences_are_shown_with_what_becomes_of_them(played: Played) -> None:
    said = played.said("organization", "licences", lang="zh-CN")
    assert "已分配 4 个许可，超出购买的 3 个" in said
    assert "最近一笔 2026-03-03 周二 10:00（北京时间）到期，届时共有 1,000 个。" in said
    assert "P1" in said


def test_every_value_of_the_contract_has_a_word() -> None:
    assert set(members.STATUSES) == set(member_pb2.MemberStatus.values()) - {0}
    assert set(members.TYPES) == set(member_pb2.AccountType.values()) - {0}
    assert set(organization.EDITIONS) == set(organization_pb2.Edition.values())
    assert set(organization.TOPICS) == set(organization_pb2.NoticeTopic.values()) - {0}


def test_numbers_are_told_from_names() -> None:
    assert departments.ID.fullmatch("dpt_01k1yq8v6t7m3x2c9d4b5n6p7r")
    assert not departments.ID.fullmatch("计算所")


def test_a_token_is_shown_on_one_line_to_be_copied(played: Played) -> None:
    assert played.said("organization", "scim-tokens", "create", "entra").splitlines()[1:] == ["s" * 200]
    listed = played.said("organization", "scim-tokens", lang="zh-CN")
    assert [word in listed for word in ("[red]", "zhang", "2026-03-02", "令牌")] == [True] * 4
    assert "does not hold any more" in played.said("organization", "scim-tokens", "revoke", "entra")
    assert [each.display_name for each in played.asked if each.ListFields()] == ["entra", "entra"]
