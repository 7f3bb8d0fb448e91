"""Members: what is stored, told and noted of each change, and what is refused."""

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf import json_format
from google.rpc import error_details_pb2
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import member_queries, members
from services.directory.changes import Changes
from services.directory.scopes import EVERYWHERE
from services.platform.clock import DAY, to_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.directory.conftest import ADMIN, MONDAY, ManualClock
from tests.directory.people import add, department, memberships, purchase

KNOWN = {
    "email": "shan@example.org",
    "phone": "+8613800138000",
    "title": "教授",
    "staff_id": "S-17",
    "provider_user_id": "tm-17",
}


def about(error: errors.RpcError) -> str:
    """The field, or the reason."""
    for detail in error.details:
        if isinstance(detail, error_details_pb2.BadRequest):
            return str(detail.field_violations[0].field)
        if isinstance(detail, error_details_pb2.ErrorInfo):
            return str(detail.reason)
    return ""


async def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(errors.RpcError) as caught:
        await call
    return caught.value.code.name, about(caught.value)


async def told(changes: Changes) -> list[tuple[str, str, int, pb.Member]]:
    """Subject, entity, number and member of each event."""

    def work(connection: sa.Connection) -> Any:
        return connection.execute(sa.select(outbox.TABLE).order_by(outbox.TABLE.c.seq)).all()

    events = []
    for row in await changes.database.read(work):
        event = json_format.Parse(row.payload, events_pb2.MemberEvent())
        assert event.actor == "admin"
        subject = row.subject.removeprefix("yunhui.directory.member.")
        events.append((subject, row.entity_id, row.entity_seq, event.member))
    return events


async def noted(changes: Changes) -> list[dict[str, Any]]:
    rows = await changes.database.read(lambda c: audit.read_after(c, 0, 100))
    assert {(row.target_kind, row.target_id == row.account_id) for row in rows} <= {("member", True)}
    return [json.loads(row.detail) for row in rows]


async def get(changes: Changes, account_id: str) -> pb.Member:
    return await member_queries.get(changes.database, api.GetMemberRequest(account_id=account_id), EVERYWHERE)


async def update(changes: Changes, account_id: str, version: int, **given: Any) -> pb.Member:
    request = api.UpdateMemberRequest(account_id=account_id, version=version, **given)
    return await members.update(changes, request, ADMIN)


async def enable(changes: Changes, account_id: str, version: int, enabled: bool) -> pb.Member:
    request = api.SetMemberEnabledRequest(account_id=account_id, version=version, enabled=enabled)
    return await members.set_enabled(changes, request, ADMIN)


async def give(changes: Changes, account_id: str, version: int, kind: int = pb.ACCOUNT_TYPE_ADVANCED) -> pb.Member:
    request = api.SetAccountTypeRequest(
        account_id=account_id, version=version, account_type=pb.AccountType.ValueType(kind)
    )
    return await members.set_account_type(changes, request, ADMIN)


async def delete(changes: Changes, account_id: str, version: int) -> None:
    await members.delete(changes, api.DeleteMemberRequest(account_id=account_id, version=version), ADMIN)


@pytest.fixture(autouse=True)
async def tree(changes: Changes) -> None:
    def work(connection: sa.Connection) -> None:
        department(connection, "iap", "大气所")
        department(connection, "hpc", "计算中心", "iap")
        department(connection, "it", "IT")
        purchase(connection, 2)

    await changes.database.write(work)


async def test_a_member_is_stored_told_and_read_as_given(changes: Changes) -> None:
    made = await add(changes, "单 1", " 单雄信 ", memberships=memberships("it", "hpc", main="hpc"), **KNOWN)
    assert (made.display_name, made.version, made.status) == ("单雄信", 1, pb.MEMBER_STATUS_NOT_ACTIVATED)
    assert made.account_type == pb.ACCOUNT_TYPE_FREE
    assert not made.HasField("licence_assign_time")
    assert {name: getattr(made, name) for name in KNOWN} == KNOWN
    assert [(each.path, each.main) for each in made.memberships] == [("大气所/计算中心", True), ("IT", False)]
    assert await get(changes, "单 1") == made
    assert await told(changes) == [("created", "单 1", 1, made)]


async def test_the_first_department_is_the_main_one_when_none_says_so(changes: Changes) -> None:
    made = await add(changes, "a", memberships=memberships("it", "iap"))
    assert [each.department_id for each in made.memberships if each.main] == ["it"]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("account_id", ""), ("account_id", "x" * 129), ("account_id", "a@example.org"), ("account_id", " a"),
        ("account_id", "a\n"), ("account_id", "a\u202eb"), ("account_id", "e\u0301" * 128),
        ("display_name", ""), ("display_name", "  "), ("display_name", "x" * 101), ("display_name", "a\u0000b"),
        ("display_name", "a\u2028b"), ("display_name", "\u202eb"),
        ("email", "nobody"), ("email", "a@b@c.org"), ("email", "a b@example.org"),
        ("email", f"{'x' * 300}@example.org"), ("email", f"a@{'b.' * 100_000}org"),
        ("phone", "13800138000"), ("phone", "+86 138"), ("phone", "+0123456789"), ("phone", "+" + "1" * 16),
        ("phone", "+٨٦١٣٨٠٠١٣٨٠٠٠"),
        ("title", "x" * 101), ("title", "a\tb"),
        ("staff_id", "x" * 65), ("staff_id", "a\u0007"), ("provider_user_id", "x" * 129),
        ("memberships", memberships(*(f"d{each}" for each in range(21)))),
        ("memberships", memberships("it", "it")),
        ("memberships", [pb.Membership(department_id=each, main=True) for each in ("it", "iap")]),
        ("memberships[1].department_id", memberships("it", "")),
        ("memberships[0].department_id", memberships("no such/id")),
        ("status", 17), ("account_type", 17),
    ],
)  # fmt: skip
async def test_bad_input_names_its_field(changes: Changes, field: str, given: Any) -> None:
    name = field.partition("[")[0]
    member = pb.Member(**{"account_id": "a", "display_name": "A", name: given})
    call = members.create(changes, api.CreateMemberRequest(member=member), ADMIN)
    assert await refused(call) == ("INVALID_ARGUMENT", f"member.{field}")
    if name not in ("account_id", "status", "account_type"):
        await add(changes, "a")
        value = api.Memberships(memberships=given) if name == "memberships" else given
        assert await refused(update(changes, "a", 1, **{name: value})) == ("INVALID_ARGUMENT", field)
    if name == "account_id":
        for asked in (
            get(changes, given),
            enable(changes, given, 1, True),
            give(changes, given, 1),
            delete(changes, given, 1),
        ):
            assert await refused(asked) == ("INVALID_ARGUMENT", field)


async def test_versions_and_types_are_required(changes: Changes) -> None:
    await add(changes, "a")
    assert await refused(update(changes, "a", 1)) == ("INVALID_ARGUMENT", "display_name")
    assert await refused(give(changes, "a", 1, 0)) == ("INVALID_ARGUMENT", "account_type")
    for call in (
        update(changes, "a", 0, title="x"),
        enable(changes, "a", -1, True),
        give(changes, "a", 0),
        delete(changes, "a", 0),
    ):
        assert await refused(call) == ("INVALID_ARGUMENT", "version")
    for call in (
        update(changes, "a", 2, title="x"),
        enable(changes, "a", 2, True),
        give(changes, "a", 2),
        delete(changes, "a", 2),
    ):
        assert await refused(call) == ("FAILED_PRECONDITION", "STALE_VERSION")
    for call in (
        update(changes, "b", 1, title="x"),
        enable(changes, "b", 1, True),
        give(changes, "b", 1),
        delete(changes, "b", 1),
        get(changes, "b"),
    ):
        assert await refused(call) == ("NOT_FOUND", "MEMBER_NOT_FOUND")
    assert len(await told(changes)) == 1
    assert len(await noted(changes)) == 1


async def test_what_is_another_ones_is_taken(changes: Changes) -> None:
    await add(changes, "a", **KNOWN)
    await add(changes, "b")
    await add(changes, "c")  # neither has a staff id: "" is nobody's
    assert await refused(add(changes, "a")) == ("ALREADY_EXISTS", "MEMBER_EXISTS")
    for name, reason in (("staff_id", "STAFF_ID_TAKEN"), ("provider_user_id", "PROVIDER_USER_TAKEN")):
        assert await refused(add(changes, "d", **{name: KNOWN[name]})) == ("ALREADY_EXISTS", reason)
        assert await refused(update(changes, "b", 1, **{name: KNOWN[name]})) == ("ALREADY_EXISTS", reason)
    assert await refused(add(changes, "d", memberships=memberships("none"))) == ("NOT_FOUND", "DEPARTMENT_NOT_FOUND")
    assert await refused(get(changes, "d")) == ("NOT_FOUND", "MEMBER_NOT_FOUND")
    await update(changes, "a", 1, staff_id="")
    assert (await update(changes, "b", 1, staff_id=KNOWN["staff_id"])).staff_id == KNOWN["staff_id"]


async def test_an_update_changes_what_is_given_and_nothing_else(changes: Changes, clock: ManualClock) -> None:
    before = await add(changes, "a", memberships=memberships("it"), **KNOWN)
    clock.time += 1000
    after = await update(changes, "a", 1, email="", verified=True)
    expected = pb.Member()
    expected.CopyFrom(before)
    expected.MergeFrom(pb.Member(verified=True, version=2, update_time=to_timestamp(clock.time)))
    expected.email = ""
    assert after == expected
    moved = await update(changes, "a", 2, memberships=api.Memberships(memberships=memberships("hpc", "iap")))
    assert [each.department_id for each in moved.memberships] == ["hpc", "iap"]
    alone = await update(changes, "a", 3, memberships=api.Memberships())
    assert not alone.memberships
    assert [each[:3] for each in await told(changes)] == [
        ("created", "a", 1), ("updated", "a", 2), ("updated", "a", 3), ("updated", "a", 4),
    ]  # fmt: skip


async def test_what_changes_nothing_is_answered_as_it_stands(changes: Changes, clock: ManualClock) -> None:
    """Also when it is a repeated request, which names the version before."""
    await add(changes, "a", memberships=memberships("it", "iap"), **KNOWN)
    enabled = await enable(changes, "a", 1, True)
    clock.time += 1000
    same = api.Memberships(memberships=memberships("iap", "it", main="it"))
    assert await update(changes, "a", 1, memberships=same, **KNOWN) == enabled
    assert await enable(changes, "a", 1, True) == enabled
    assert await give(changes, "a", 1, pb.ACCOUNT_TYPE_FREE) == enabled
    assert len(await told(changes)) == len(await noted(changes)) == 2


async def test_an_account_is_opened_and_closed(changes: Changes) -> None:
    await add(changes, "a")
    assert (await enable(changes, "a", 1, True)).status == pb.MEMBER_STATUS_ENABLED
    assert await refused(delete(changes, "a", 2)) == ("FAILED_PRECONDITION", "MEMBER_ENABLED")
    assert (await enable(changes, "a", 2, False)).status == pb.MEMBER_STATUS_DISABLED
    assert (await enable(changes, "a", 3, True)).status == pb.MEMBER_STATUS_ENABLED
    assert [each[0] for each in await told(changes)] == ["created", "enabled", "disabled", "enabled"]


async def test_a_licence_can_be_taken_back_for_seven_days(changes: Changes, clock: ManualClock) -> None:
    await add(changes, "a")
    given = await give(changes, "a", 1)
    assert given.licence_assign_time == to_timestamp(MONDAY)
    assert given.licence_lock_time == to_timestamp(MONDAY + 7 * DAY)
    clock.time = MONDAY + 7 * DAY - 1
    assert not (await give(changes, "a", 2, pb.ACCOUNT_TYPE_FREE)).HasField("licence_assign_time")
    await give(changes, "a", 3)
    clock.time += 7 * DAY
    with pytest.raises(errors.RpcError, match="2026-03-16") as caught:
        await give(changes, "a", 4, pb.ACCOUNT_TYPE_FREE)
    assert about(caught.value) == "LICENCE_LOCKED"
    assert [each[0] for each in await told(changes)][1:] == ["licence_assigned", "licence_returned", "licence_assigned"]


async def test_no_more_licences_are_given_than_there_are(changes: Changes, clock: ManualClock) -> None:
    made = await add(changes, "a", account_type=pb.ACCOUNT_TYPE_ADVANCED)
    assert made.licence_assign_time == to_timestamp(MONDAY)
    await add(changes, "b", account_type=pb.ACCOUNT_TYPE_ADVANCED)
    await add(changes, "c")
    assert await refused(give(changes, "c", 1)) == ("RESOURCE_EXHAUSTED", "NO_LICENCE_LEFT")
    assert await refused(add(changes, "d", account_type=pb.ACCOUNT_TYPE_ADVANCED)) == (
        "RESOURCE_EXHAUSTED",
        "NO_LICENCE_LEFT",
    )
    clock.time += 8 * DAY
    await delete(changes, "a", 1)
    assert (await give(changes, "c", 1)).account_type == pb.ACCOUNT_TYPE_ADVANCED


async def test_two_replicas_never_give_the_last_licence_twice(replicas: list[Changes]) -> None:
    for each in range(8):
        await add(replicas[0], f"m{each}")
    gave = await asyncio.gather(*(give(replicas[n % 2], f"m{n}", 1) for n in range(8)), return_exceptions=True)
    assert sum(isinstance(each, pb.Member) for each in gave) == 2
    assert {about(each) for each in gave if isinstance(each, errors.RpcError)} == {"NO_LICENCE_LEFT"}
    same = await asyncio.gather(*(add(replica, "new", staff_id="1") for replica in replicas), return_exceptions=True)
    assert [about(each) for each in same if isinstance(each, errors.RpcError)] == ["MEMBER_EXISTS"]


async def test_a_deleted_member_who_comes_back_goes_on_with_the_numbers(changes: Changes, clock: ManualClock) -> None:
    await add(changes, "a", memberships=memberships("it"), **KNOWN)
    await delete(changes, "a", 1)
    assert await refused(get(changes, "a")) == ("NOT_FOUND", "MEMBER_NOT_FOUND")
    clock.time += DAY
    back = await add(changes, "a", **KNOWN)
    assert (back.version, back.create_time) == (3, to_timestamp(clock.time))
    assert not back.memberships
    events = await told(changes)
    assert [each[:3] for each in events] == [("created", "a", 1), ("deleted", "a", 2), ("created", "a", 3)]
    assert events[1][3] == pb.Member(account_id="a", version=2)


async def test_the_audit_log_holds_nothing_personal(changes: Changes) -> None:
    await add(changes, "a", memberships=memberships("it"), **KNOWN)
    await update(
        changes,
        "a",
        1,
        display_name="仇英",
        email="qiu@example.org",
        phone="",
        title="Dr",
        staff_id="T-1",
        verified=True,
    )
    await update(changes, "a", 2, memberships=api.Memberships(memberships=memberships("hpc")))
    await give(changes, "a", 3)
    await delete(changes, "a", 4)
    entries = await noted(changes)
    assert entries[1]["changed"] == ["display_name", "email", "phone", "title", "staff_id"]
    assert (entries[1]["before"]["verified"], entries[1]["after"]["verified"]) == (False, True)
    assert (entries[2]["before"]["departments"], entries[2]["after"]["departments"]) == (["it"], ["hpc"])
    assert entries[3]["after"]["licence_assign_time"] == MONDAY
    assert (entries[0]["before"], entries[4]["after"]) == (None, None)
    said = json.dumps(entries, ensure_ascii=False)
    assert not [each for each in ("单雄信", "仇英", "qiu", "Dr", "T-1", *KNOWN.values()) if each in said]
