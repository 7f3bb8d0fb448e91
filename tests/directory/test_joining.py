"""First sign-in: what becomes of somebody whom the directory does not know, by what the organization wants."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from yunhui.access.v1 import access_pb2
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import import_service_pb2 as import_api
from yunhui.directory.v1 import member_pb2
from yunhui.directory.v1 import member_service_pb2 as member_api
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import role_service_pb2 as role_api

from services.directory import (
    beginning,
    department_changes,
    explanations,
    grants,
    import_tables,
    joining,
    member_queries,
    members,
    models,
    organization,
)
from services.directory.changes import Changes
from services.directory.imports import Imports
from services.directory.introductions import introduce
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.serving import errors
from services.platform.serving.permissions import SUPER_ADMINISTRATOR
from tests.directory.conftest import ADMIN
from tests.directory.people import add, department, memberships
from tests.directory.powers import give
from tests.directory.test_organization import stored, subject_of

OFF, APPROVAL, MAIL_DOMAIN = pb.JOINING_MODE_OFF, pb.JOINING_MODE_APPROVAL, pb.JOINING_MODE_MAIL_DOMAIN
WAITING, ENABLED, DISABLED = (
    member_pb2.MEMBER_STATUS_WAITING,
    member_pb2.MEMBER_STATUS_ENABLED,
    member_pb2.MEMBER_STATUS_DISABLED,
)


@pytest.fixture(autouse=True)
async def house(changes: Changes) -> None:
    def work(connection: sa.Connection) -> None:
        for department_id, name, parent in (("m", "Mathematics", ""), ("a", "Algebra", "m"), ("p", "Physics", "")):
            department(connection, department_id, name, parent)

    await changes.database.write(work)


async def choose(changes: Changes, mode: pb.JoiningMode.ValueType, **domains: str) -> pb.Joining:
    """`domains`: departments by domain, with _ for its point."""
    version = (await organization.get(changes.database)).version
    rows = [pb.JoiningDomain(domain=name.replace("_", "."), department_id=each) for name, each in domains.items()]
    request = api.UpdateOrganizationRequest(version=version, joining=pb.Joining(mode=mode, domains=rows))
    return (await organization.update(changes, request, ADMIN)).joining


async def sign_in(changes: Changes, account_id: str = "ann", **said: Any) -> access_pb2.Grant:
    answer = await introduce(changes, access_pb2.IntroduceRequest(account_id=account_id, **said))
    assert answer.HasField("grant")
    return answer.grant


async def get(changes: Changes, account_id: str = "ann") -> member_pb2.Member:
    return await member_queries.get(changes.database, member_api.GetMemberRequest(account_id=account_id), None)


async def enable(changes: Changes, version: int = 1, *ids: str, enabled: bool = True) -> member_pb2.Member:
    request = member_api.SetMemberEnabledRequest(account_id="ann", enabled=enabled, version=version)
    if ids:
        request.memberships.memberships.extend(memberships(*ids))
    return await members.set_enabled(changes, request, ADMIN)


async def events(changes: Changes) -> list[str]:
    """Of members."""
    rows = await stored(changes, outbox.TABLE)
    return [each["subject"].removeprefix("yunhui.directory.") for each in rows if ".member." in each["subject"]]


async def told(changes: Changes) -> access_pb2.Joining:
    return await changes.database.read(joining.told)


async def marked(changes: Changes) -> list[str]:
    return sorted(row["account_id"] for row in await stored(changes, models.MEMBER_GRANT) if row["waiting"])


async def test_with_off_nobody_becomes_a_member(changes: Changes) -> None:
    """As before: and whoever still asks is told that nothing is asked any more."""
    assert (await organization.get(changes.database)).joining == pb.Joining(mode=OFF)
    asked = access_pb2.IntroduceRequest(account_id="ann")
    assert await introduce(changes, asked) == access_pb2.IntroduceResponse()
    await choose(changes, APPROVAL)
    await choose(changes, OFF)
    assert await introduce(changes, asked) == access_pb2.IntroduceResponse()
    assert not await stored(changes, models.MEMBER)
    assert not (await told(changes)).introduced


async def test_with_approval_a_stranger_waits(changes: Changes) -> None:
    """However good their address is; with what the token says of them, and without a licence."""
    await choose(changes, APPROVAL, math_example_edu="m")
    said: dict[str, Any] = {
        "display_name": "安娜",
        "email": "Ann@MATH.example.edu",
        "email_verified": True,
        "department": "Physics",
    }
    grant = await sign_in(changes, **said)
    assert (grant.waiting, grant.disabled, grant.unknown) == (True, False, False)
    ann = await get(changes)
    assert (ann.status, ann.display_name, ann.email) == (WAITING, "安娜", "Ann@math.example.edu")
    assert ann.account_type == member_pb2.ACCOUNT_TYPE_FREE
    assert [each.path for each in ann.memberships] == ["Physics"]
    assert await events(changes) == ["member.created"]
    [entry] = [each for each in await stored(changes, audit.TABLE) if each["account_id"] == "ann"]
    assert (entry["actor"], json.loads(entry["detail"])["after"]["status"]) == ("ann", "WAITING")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Physics", ["Physics"]),
        ("Mathematics/Algebra", ["Mathematics/Algebra"]),
        ("Algebra", ["Mathematics/Algebra"]),
        ("Physics/Algebra", []),
        ("Chemistry", []),
        ("", []),
        ("Mathematics/", []),
        ("Twice", []),  # of two that are called so
    ],
)
async def test_the_department_of_a_token_counts_where_it_is_plain(
    changes: Changes, said: str, expected: Sequence[str]
) -> None:
    def work(connection: sa.Connection) -> None:
        department(connection, "t1", "Twice", "m")
        department(connection, "t2", "Twice", "p")

    await changes.database.write(work)
    await choose(changes, APPROVAL)
    await sign_in(changes, department=said)
    assert [each.path for each in (await get(changes)).memberships] == expected


@pytest.mark.parametrize(
    ("email", "verified", "joins"),
    [
        ("ann@math.example.edu", True, True),
        ("ANN@Math.Example.EDU", True, True),
        ("ann@math.example.edu", False, False),
        ("ann@evilmath.example.edu", True, False),
        ("ann@sub.math.example.edu", True, False),
        ("ann@example.edu", True, False),
        ("ann@math.example.edu.evil.org", True, False),
        ("ann@evil.org@math.example.edu", True, False),
        ('"ann@math.example.edu"@evil.org', True, False),
        ("math.example.edu", True, False),
        ("", True, False),
        ("ann@xn--fiqs8s.example.edu", True, True),  # the same domain as 中国
        ("ann@中国.example.edu", True, True),
    ],
)
async def test_only_a_verified_address_of_the_very_domain_joins_at_once(
    changes: Changes, email: str, verified: bool, joins: bool
) -> None:
    await choose(changes, MAIL_DOMAIN, math_example_edu="a", 中国_example_edu="a")
    grant = await sign_in(changes, email=email, email_verified=verified)
    assert grant.waiting != joins
    ann = await get(changes)
    assert (ann.status, [each.department_id for each in ann.memberships]) == (
        (ENABLED, ["a"]) if joins else (WAITING, [])
    )
    assert await marked(changes) == ["", "ann"]


async def test_a_row_whose_department_is_gone_lets_nobody_in(changes: Changes) -> None:
    await choose(changes, MAIL_DOMAIN, math_example_edu="a")
    request = department_api.DeleteDepartmentRequest(department_id="a", version=1)
    await department_changes.delete(changes, request, ADMIN)
    [row] = (await organization.get(changes.database)).joining.domains
    assert (row.domain, row.path) == ("math.example.edu", "")
    assert (await sign_in(changes, email="ann@math.example.edu", email_verified=True)).waiting


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        (pb.Joining(), "joining.mode"),
        (pb.Joining(mode=pb.JoiningMode.ValueType(9)), "joining.mode"),
        (pb.Joining(mode=MAIL_DOMAIN), "joining.domains"),
        (pb.Joining(mode=OFF, domains=[pb.JoiningDomain(department_id="m")]), "joining.domains[0].domain"),
        (
            pb.Joining(mode=OFF, domains=[pb.JoiningDomain(domain="edu", department_id="m")]),
            "joining.domains[0].domain",
        ),
        (
            pb.Joining(mode=OFF, domains=[pb.JoiningDomain(domain="a@b.edu", department_id="m")]),
            "joining.domains[0].domain",
        ),
        (pb.Joining(mode=OFF, domains=[pb.JoiningDomain(domain="b.edu")]), "joining.domains[0].department_id"),
        (
            pb.Joining(mode=OFF, domains=[pb.JoiningDomain(domain="b.edu", department_id="none")]),
            "DEPARTMENT_NOT_FOUND",
        ),
        (
            pb.Joining(
                mode=OFF, domains=[pb.JoiningDomain(domain=each, department_id="m") for each in ("b.edu", "@B.EDU")]
            ),
            "joining.domains[1].domain",
        ),
        (
            pb.Joining(
                mode=OFF, domains=[pb.JoiningDomain(domain=f"d{each}.edu", department_id="m") for each in range(101)]
            ),
            "joining.domains",
        ),
    ],
)
async def test_what_cannot_be_chosen_changes_nothing(changes: Changes, given: pb.Joining, subject: str) -> None:
    with pytest.raises(errors.RpcError) as refused:
        await organization.update(changes, api.UpdateOrganizationRequest(version=1, joining=given), ADMIN)
    assert subject_of(refused.value) == subject
    assert (await organization.get(changes.database)).version == 1


async def test_a_hundred_domains_can_be_chosen_and_are_kept_with_another_mode(changes: Changes) -> None:
    rows = {f"d{each:03}_edu": "m" for each in range(100)}
    assert len((await choose(changes, MAIL_DOMAIN, **rows)).domains) == 100
    assert (await choose(changes, APPROVAL, **{"@B_EDU": "m"})).domains == [
        pb.JoiningDomain(domain="b.edu", department_id="m", path="Mathematics")
    ]


async def test_a_choice_is_told_and_noted_with_before_and_after(changes: Changes) -> None:
    await choose(changes, MAIL_DOMAIN, b_edu="m")
    again = api.UpdateOrganizationRequest(version=9, joining=(await organization.get(changes.database)).joining)
    await organization.update(changes, again, ADMIN)  # changes nothing
    [event] = await stored(changes, outbox.TABLE)
    payload = json.loads(event["payload"])["organization"]["joining"]
    assert (event["subject"], payload["mode"]) == ("yunhui.directory.organization.updated", "JOINING_MODE_MAIL_DOMAIN")
    assert payload["domains"] == [{"domain": "b.edu", "departmentId": "m", "path": "Mathematics"}]
    [entry] = await stored(changes, audit.TABLE)
    detail = json.loads(entry["detail"])
    assert detail["joining"] == [{"mode": "OFF", "domains": {}}, {"mode": "MAIL_DOMAIN", "domains": {"b.edu": "m"}}]


async def test_programs_are_told_who_can_let_people_in(changes: Changes) -> None:
    """The contacts for security, while somebody is introduced at all; anew when they change."""
    contacts = [
        pb.Contact(display_name=name, email=f"{name}@example.org", topics=[topic])
        for name, topic in (("s", pb.NOTICE_TOPIC_SECURITY), ("b", pb.NOTICE_TOPIC_BILLING))
    ]
    await choose(changes, APPROVAL)
    first = await told(changes)
    assert (first.introduced, [*first.contacts], first.version > 0) == (True, [], True)
    given = api.UpdateOrganizationRequest(version=2, contacts=api.Contacts(contacts=contacts), display_name="计算所")
    await organization.update(changes, given, ADMIN)
    second = await told(changes)
    assert second.version > first.version
    assert second.organization == "计算所"
    assert [(each.display_name, each.email) for each in second.contacts] == [("s", "s@example.org")]
    await choose(changes, OFF)
    third = await told(changes)
    assert (third.introduced, third.organization, [*third.contacts]) == (False, "", [])


async def test_an_admin_lets_in_into_a_department(changes: Changes) -> None:
    await choose(changes, APPROVAL)
    await sign_in(changes, department="Physics")
    with pytest.raises(errors.RpcError) as refused:
        await enable(changes, 1, "none")
    assert subject_of(refused.value) == "DEPARTMENT_NOT_FOUND"
    after = await enable(changes, 1, "m", "a")
    assert (after.status, [each.department_id for each in after.memberships]) == (ENABLED, ["m", "a"])
    assert await events(changes) == ["member.created", "member.enabled"]
    assert not (await sign_in(changes)).waiting
    with pytest.raises(errors.RpcError) as closing:
        await enable(changes, 2, "m", enabled=False)
    assert subject_of(closing.value) == "memberships"


async def test_departments_stay_where_none_is_said(changes: Changes) -> None:
    await choose(changes, APPROVAL)
    await sign_in(changes, department="Physics")
    assert [each.department_id for each in (await enable(changes)).memberships] == ["p"]


async def test_who_was_rejected_or_removed_cannot_ask_again(changes: Changes) -> None:
    await choose(changes, MAIL_DOMAIN, b_edu="m")
    await sign_in(changes)
    assert (await enable(changes, 1, enabled=False)).status == DISABLED
    said: dict[str, Any] = {"email": "ann@b.edu", "email_verified": True}
    assert (await sign_in(changes, **said)).disabled
    await members.delete(changes, member_api.DeleteMemberRequest(account_id="ann", version=2), ADMIN)
    assert (await sign_in(changes, **said)).disabled
    assert await events(changes) == ["member.created", "member.disabled", "member.deleted"]


async def test_a_member_who_is_known_is_made_known_to_programs_once(changes: Changes) -> None:
    """Ordinary ones have no grant: the first question gives them one, and changes nothing else."""
    await add(changes, "ann", status=ENABLED)
    await choose(changes, APPROVAL)
    first = await sign_in(changes)
    assert (first.waiting, first.unknown, first.version > 0) == (False, False, True)
    assert await sign_in(changes) == first
    assert (await get(changes)).version == 1
    assert await events(changes) == ["member.created"]


@pytest.mark.parametrize("account_id", ["ann@example.org", " ann", "", "a" * 129])
async def test_who_cannot_be_a_member_is_told_so(changes: Changes, account_id: str) -> None:
    await choose(changes, APPROVAL)
    asked = access_pb2.IntroduceRequest(account_id=account_id)
    assert await introduce(changes, asked) == access_pb2.IntroduceResponse(impossible=True)
    assert not await stored(changes, models.MEMBER)


@pytest.mark.parametrize("name", ["", "x" * 101, "two\u2028lines", "  "])
async def test_a_name_that_cannot_be_kept_is_the_account(changes: Changes, name: str) -> None:
    await choose(changes, APPROVAL)
    await sign_in(changes, "b" * 128, display_name=name, email="no address")
    ann = await get(changes, "b" * 128)
    assert (ann.display_name, ann.email) == ("b" * 100, "")


async def test_introduced_by_many_at_once_one_member_comes_of_it(replicas: list[Changes]) -> None:
    await choose(replicas[0], APPROVAL)
    found = await asyncio.gather(*(sign_in(each) for each in replicas * 4))
    assert len({each.version for each in found}) == 1
    assert await events(replicas[0]) == ["member.created"]
    assert len(await stored(replicas[0], audit.TABLE)) == 2  # with the choice itself


async def test_who_waits_is_no_super_administrator_who_is_left(changes: Changes) -> None:
    await add(changes, "root", status=ENABLED)
    await give(changes, "root", SUPER_ADMINISTRATOR)
    await choose(changes, APPROVAL)
    await sign_in(changes)
    await give(changes, "ann", SUPER_ADMINISTRATOR)
    request = member_api.SetMemberEnabledRequest(account_id="root", version=1)
    with pytest.raises(errors.RpcError) as refused:
        await members.set_enabled(changes, request, ADMIN)
    assert subject_of(refused.value) == "LAST_SUPER_ADMINISTRATOR"


async def test_the_super_administrator_of_the_settings_is_let_in(changes: Changes) -> None:
    await choose(changes, APPROVAL)
    await sign_in(changes)
    await beginning.ensure_super_administrator(changes, "ann")
    assert (await get(changes)).status == ENABLED
    assert not (await sign_in(changes)).waiting


async def test_nobody_is_added_as_waiting(changes: Changes) -> None:
    with pytest.raises(errors.RpcError) as refused:
        await add(changes, "ann", status=WAITING)
    assert subject_of(refused.value) == "member.status"


async def test_why_one_who_waits_may_not(changes: Changes) -> None:
    await choose(changes, APPROVAL)
    await sign_in(changes)
    request = role_api.ExplainAccessRequest(account_id="ann", permission="reservations.book")
    found = await explanations.explain(changes.database, request, None)
    assert not found.allowed
    assert found.reasons[0].kind == role_api.ACCESS_REASON_KIND_WAITING


@pytest.mark.parametrize(
    ("status", "expected"), [("", ENABLED), ("未激活", ENABLED), ("已启用", ENABLED), ("已停用", DISABLED)]
)
async def test_a_table_that_names_who_waits_lets_them_in(
    changes: Changes, status: str, expected: member_pb2.MemberStatus.ValueType
) -> None:
    await choose(changes, APPROVAL)
    await sign_in(changes)
    imports = Imports(changes)
    content = b"".join(import_tables.write_csv([["账号", "姓名", "账号状态"], ["ann", "", status]]))
    made = await imports.create(import_api.CreateImportRequest(file_name="a.csv"), ADMIN)
    await imports.upload(import_api.UploadImportPartRequest(import_id=made.import_id, content=content))
    await imports.check(made.import_id)
    await imports.apply(import_api.ApplyImportRequest(import_id=made.import_id), ADMIN)
    assert (await get(changes)).status == expected
    assert (await sign_in(changes)).waiting is False


async def test_an_account_that_came_from_nowhere_is_unknown_to_programs(changes: Changes) -> None:
    """Its grant is left in the bucket by a directory that was restored from an older backup."""
    await changes.database.write(lambda connection: grants.mark(connection, ["ghost"]))
    found = await changes.database.read(lambda connection: grants.compute(connection, ["ghost"]))
    assert found["ghost"].unknown
    await choose(changes, APPROVAL)
    grant = await sign_in(changes, "ghost")
    assert (grant.waiting, grant.unknown, grant.version > found["ghost"].version) == (True, False, True)
