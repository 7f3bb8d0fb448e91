"""Imports of people on both databases: looked at first, applied as a whole or not at all, and nothing twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.directory.v1 import import_service_pb2 as api
from yunhui.directory.v1 import member_pb2
from yunhui.directory.v1 import member_service_pb2 as member_api
from yunhui.directory.v1.import_service_pb2_grpc import ImportServiceStub, add_ImportServiceServicer_to_server
from yunhui.meetings.v1.user_pb2 import ListUsersResponse

from services.directory import import_plan, import_store, import_tables, imports, member_queries, members
from services.directory.api import IMPORTS, ImportService
from services.directory.changes import Changes
from services.directory.imports import Imports
from services.directory.models import DEPARTMENT, IMPORT, IMPORT_PART, IMPORT_ROW, MEMBER, MEMBERSHIP
from services.directory.provider_imports import ProviderImports
from services.directory.scopes import EVERYWHERE
from services.platform.clock import DAY
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.serving import permissions, rpc
from services.platform.serving.errors import RpcError
from tests.booking.served import NamedTokens
from tests.directory import people
from tests.directory.conftest import ADMIN, ManualClock

HEAD = ["账号", "姓名", "邮箱", "手机号", "职位", "工号", "部门", "账号类型", "账号状态", "已实名认证"]
VERDICTS = {1: "CREATE", 2: "UPDATE", 3: "UNCHANGED", 4: "FAILED"}


@pytest.fixture
def service_of_imports(changes: Changes) -> Imports:
    return Imports(changes)


class Caller:
    """What an administrator does."""

    def __init__(self, made: Imports) -> None:
        self.imports, self.database = made, made.changes.database

    async def upload(self, *rows: Sequence[str], content: bytes = b"") -> str:
        """The id of the import."""
        content = content or b"".join(import_tables.write_csv(rows))
        made = await self.imports.create(api.CreateImportRequest(file_name="people.csv"), ADMIN)
        await self.imports.upload(api.UploadImportPartRequest(import_id=made.import_id, offset=0, content=content))
        return made.import_id

    async def check(self, *rows: Sequence[str]) -> tuple[str, list[pb.ImportRow]]:
        import_id = await self.upload(*rows)
        await self.imports.check(import_id)
        return import_id, await self.rows(import_id)

    async def rows(self, import_id: str) -> list[pb.ImportRow]:
        answer = await self.imports.list_rows(api.ListImportRowsRequest(import_id=import_id, page_size=500))
        return [*answer.rows]

    async def apply(self, import_id: str, *, good_rows_only: bool = False) -> pb.Import:
        request = api.ApplyImportRequest(import_id=import_id, good_rows_only=good_rows_only)
        return await self.imports.apply(request, ADMIN)

    async def take_in(self, *rows: Sequence[str]) -> pb.Import:
        import_id, _ = await self.check(*rows)
        return await self.apply(import_id)

    async def member(self, account_id: str) -> member_pb2.Member:
        return await member_queries.get(self.database, member_api.GetMemberRequest(account_id=account_id), EVERYWHERE)

    async def all(self, table: sa.Table) -> list[dict[str, Any]]:
        def work(connection: Any) -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]

        return await self.database.read(work)

    async def events(self) -> list[tuple[str, str, int]]:
        rows = await self.all(outbox.TABLE)
        return [(row["subject"].removeprefix("yunhui.directory."), row["entity_id"], row["entity_seq"]) for row in rows]

    async def directory(self) -> list[list[dict[str, Any]]]:
        return [await self.all(table) for table in (DEPARTMENT, MEMBER, MEMBERSHIP, outbox.TABLE, audit.TABLE)]


@pytest.fixture
def admin(service_of_imports: Imports) -> Caller:
    return Caller(service_of_imports)


async def nobody(page_token: str) -> ListUsersResponse:
    """No provider is asked here."""
    return ListUsersResponse()


def verdicts(rows: Sequence[pb.ImportRow]) -> str:
    """A letter each."""
    return "".join(
        {"CREATE": "c", "UPDATE": "u", "UNCHANGED": "=", "FAILED": "f"}[VERDICTS[row.verdict]] for row in rows
    )


def reasons(row: pb.ImportRow) -> list[tuple[str, int, str]]:
    return [(fault.field, fault.column, fault.english) for fault in row.faults]


async def refused(awaitable: Any) -> str:
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value.reason


ZHANG = [
    "zhang",
    "张伟",
    "zhang@example.com",
    "13800138000",
    "工程师",
    "7",
    "研发/平台;市场",
    "高级账号",
    "已启用",
    "是",
]


async def test_people_and_their_departments_are_added(admin: Caller) -> None:
    await admin.database.write(lambda c: people.purchase(c, 1))
    import_id, rows = await admin.check(HEAD, ZHANG, ["li", "李四", "", "", "", "", "研发"])
    assert verdicts(rows) == "cc"
    assert await admin.all(MEMBER) == []
    summary = (await admin.apply(import_id)).summary
    assert (summary.create_count, summary.department_count) == (2, 3)
    zhang = await admin.member("zhang")
    assert [(each.path, each.main) for each in zhang.memberships] == [("研发/平台", True), ("市场", False)]
    assert (zhang.display_name, zhang.email, zhang.phone) == ("张伟", "zhang@example.com", "+8613800138000")
    assert (zhang.title, zhang.staff_id, zhang.verified, zhang.version) == ("工程师", "7", True, 1)
    assert zhang.status == member_pb2.MEMBER_STATUS_ENABLED
    assert zhang.account_type == member_pb2.ACCOUNT_TYPE_ADVANCED
    assert (await admin.member("li")).status == member_pb2.MEMBER_STATUS_NOT_ACTIVATED
    assert [subject for subject, _, _ in await admin.events()] == ["department.created"] * 3 + ["member.created"] * 2


async def test_a_member_is_stored_as_if_added_by_hand(admin: Caller, changes: Changes) -> None:
    await admin.take_in(HEAD, ["单", "单雄信", "", "", "", "8"])
    await people.add(changes, "other", "单雄信", staff_id="9")
    other, imported = await admin.all(MEMBER)
    swapped = imported["search_text"].replace("\n单\n", "\nother\n").replace("\n8\n", "\n9\n")
    assert (other["sort_name"], other["search_text"]) == (imported["sort_name"], swapped)
    assert other.keys() == imported.keys()


async def test_the_same_table_twice_changes_nothing_the_second_time(admin: Caller) -> None:
    await admin.database.write(lambda c: people.purchase(c, 1))
    await admin.take_in(HEAD, ZHANG)
    before, import_id = await admin.events(), (await admin.check(HEAD, ZHANG))[0]
    members_before = await admin.all(MEMBER)
    assert verdicts(await admin.rows(import_id)) == "="
    assert (await admin.apply(import_id)).summary.unchanged_count == 1
    assert (await admin.events(), await admin.all(MEMBER)) == (before, members_before)


async def test_every_kind_of_change_is_an_event_and_a_version(admin: Caller) -> None:
    await admin.database.write(lambda c: people.purchase(c, 1))
    await admin.take_in(HEAD, ["zhang", "张伟", "", "", "", "", "研发"])
    _, [row] = await admin.check(HEAD, ZHANG)
    assert {each.field: (each.before, each.after) for each in row.differences} == {
        "email": ("", "zhang@example.com"),
        "phone": ("", "+8613800138000"),
        "title": ("", "工程师"),
        "staff_id": ("", "7"),
        "verified": ("false", "true"),
        "departments": ("研发", "研发/平台;市场"),
        "status": ("NOT_ACTIVATED", "ENABLED"),
        "account_type": ("FREE", "ADVANCED"),
    }
    await admin.take_in(HEAD, ZHANG)
    events = [(subject, seq) for subject, entity, seq in await admin.events() if entity == "zhang"]
    assert events == [
        ("member.created", 1),
        ("member.updated", 2),
        ("member.enabled", 3),
        ("member.licence_assigned", 4),
    ]
    told = [json.loads(row["payload"]) for row in await admin.all(outbox.TABLE) if row["entity_id"] == "zhang"]
    assert [each["member"]["accountType"] for each in told] == ["ACCOUNT_TYPE_FREE"] * 3 + ["ACCOUNT_TYPE_ADVANCED"]
    assert [each["path"] for each in told[1]["member"]["memberships"]] == ["研发/平台", "市场"]
    assert (await admin.member("zhang")).version == 4


async def test_empty_cells_and_missing_columns_leave_what_is_known(admin: Caller) -> None:
    await admin.take_in(HEAD, [*ZHANG[:7], "", "", ""])
    _, rows = await admin.check(["Name", "Account ID", "Title"], ["", "zhang", ""])
    assert verdicts(rows) == "="


async def test_who_was_deleted_comes_back_with_the_next_number(admin: Caller, changes: Changes) -> None:
    await admin.take_in(HEAD, ["li", "李四"])
    await members.delete(changes, member_api.DeleteMemberRequest(account_id="li", version=1), ADMIN)
    await admin.take_in(HEAD, ["li", "李四"])
    assert [seq for _, entity, seq in await admin.events() if entity == "li"] == [1, 2, 3]


async def test_faults_are_told_by_line_and_column(admin: Caller) -> None:
    await admin.take_in(HEAD, ["wang", "王五", "", "", "", "1"])
    _, rows = await admin.check(
        HEAD,
        ["", "无名"],
        ["li", ""],
        ["x@y", "x", "no", "12"],
        ["li", "李四"],
        ["zhao", "赵六", "", "", "", "1"],
        ["wang", "王五", "", "", "", "", "", "", "未激活"],
    )
    assert verdicts(rows) == "ffffff"[:5] + "="
    assert [row.line for row in rows] == [2, 3, 4, 5, 6, 7]
    assert reasons(rows[0]) == [("account_id", 1, "is required")]
    assert reasons(rows[1]) == [("account_id", 1, "line 5 says the same"), ("display_name", 2, "is required")]
    assert [field for field, _, _ in reasons(rows[2])] == ["account_id", "email", "phone"]
    assert reasons(rows[3]) == [("account_id", 1, "line 3 says the same")]
    assert reasons(rows[4]) == [("staff_id", 6, "the member wang has this staff id")]
    assert rows[4].faults[0].chinese == "成员 wang 已使用这个工号"


async def test_an_account_that_was_opened_does_not_become_not_activated(admin: Caller) -> None:
    await admin.take_in(HEAD, ["li", "李四", "", "", "", "", "", "", "已启用"])
    _, [row] = await admin.check(HEAD, ["li", "李四", "", "", "", "", "", "", "未激活"])
    assert [field for field, _, _ in reasons(row)] == ["status"]


async def test_not_more_licences_than_left_and_those_given_back_count(admin: Caller) -> None:
    await admin.database.write(lambda c: people.purchase(c, 1))
    await admin.take_in(["账号", "姓名", "账号类型"], ["a", "a", "高级账号"])
    import_id, rows = await admin.check(
        ["账号", "姓名", "账号类型"], ["b", "b", "高级账号"], ["c", "c", "高级账号"], ["a", "a", "免费账号"]
    )
    assert verdicts(rows) == "cfu"
    assert [field for field, _, _ in reasons(rows[1])] == ["account_type"]
    await admin.apply(import_id, good_rows_only=True)
    assert [row["account_id"] for row in await admin.all(MEMBER) if row["licence_assign_time"]] == ["b"]


async def test_a_row_that_fails_for_its_departments_gives_no_licence_back(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another would be given what is not there."""
    monkeypatch.setattr(import_plan, "MOST_NEW_DEPARTMENTS", 1)
    await admin.database.write(lambda c: people.purchase(c, 1))
    await admin.take_in(["账号", "姓名", "账号类型"], ["a", "a", "高级账号"])
    import_id, rows = await admin.check(
        ["账号", "姓名", "账号类型", "部门"], ["b", "b", "高级账号", ""], ["a", "a", "免费账号", "研发/平台"]
    )
    assert [[field for field, _, _ in reasons(row)] for row in rows] == [["account_type"], ["departments"]]
    await admin.apply(import_id, good_rows_only=True)
    assert [row["account_id"] for row in await admin.all(MEMBER) if row["licence_assign_time"]] == ["a"]


async def test_a_licence_that_is_locked_stays(admin: Caller, clock: ManualClock) -> None:
    await admin.database.write(lambda c: people.purchase(c, 1))
    await admin.take_in(["账号", "姓名", "账号类型"], ["a", "a", "高级账号"])
    clock.time += 7 * DAY
    _, [row] = await admin.check(["账号", "账号类型"], ["a", "免费账号"])
    assert [field for field, _, _ in reasons(row)] == ["account_type"]


async def test_failed_rows_stop_all_unless_the_good_ones_are_asked_for(admin: Caller) -> None:
    import_id, rows = await admin.check(HEAD, ["li", "李四", "", "", "", "", "好"], ["zhao", "", "", "", "", "", "坏"])
    assert verdicts(rows) == "cf"
    assert await refused(admin.apply(import_id)) == "FAILED_PRECONDITION ROWS_FAILED"
    assert await admin.all(MEMBER) == []
    await admin.apply(import_id, good_rows_only=True)
    assert [row["account_id"] for row in await admin.all(MEMBER)] == ["li"]
    assert [row["display_name"] for row in await admin.all(DEPARTMENT)] == ["好"]


async def test_a_check_that_no_longer_holds_is_not_applied(admin: Caller, changes: Changes) -> None:
    import_id, _ = await admin.check(HEAD, ["li", "李四"], ["zhao", "赵六"])
    await people.add(changes, "li", "另一个")
    before = await admin.directory()
    assert await refused(admin.apply(import_id)) == "FAILED_PRECONDITION IMPORT_OUTDATED"
    assert await admin.directory() == before
    await admin.imports.check(import_id)
    assert verdicts(await admin.rows(import_id)) == "uc"
    assert (await admin.apply(import_id)).state == pb.IMPORT_STATE_APPLIED


async def test_a_department_that_went_meanwhile_outdates_the_check(admin: Caller) -> None:
    await admin.database.write(lambda c: people.department(c, "d1", "研发"))
    import_id, _ = await admin.check(HEAD, ["li", "李四", "", "", "", "", "研发"])
    await admin.database.write(lambda c: c.execute(sa.update(DEPARTMENT).values(display_name="研究")))
    assert await refused(admin.apply(import_id)) == "FAILED_PRECONDITION IMPORT_OUTDATED"


async def test_two_replicas_that_apply_at_once_do_it_once(replicas: list[Changes]) -> None:
    one, other = (Caller(Imports(each)) for each in replicas)
    import_id, _ = await one.check(HEAD, ["li", "李四", "", "", "", "", "研发"])
    both = await asyncio.gather(one.apply(import_id), other.apply(import_id))
    assert [each.state for each in both] == [pb.IMPORT_STATE_APPLIED] * 2
    assert [subject for subject, _, _ in await one.events()] == ["department.created", "member.created"]


async def test_two_tables_with_the_same_people_at_once_make_each_once(replicas: list[Changes]) -> None:
    one, other = (Caller(Imports(each)) for each in replicas)
    first, _ = await one.check(HEAD, ["li", "李四", "", "", "", "", "研发"])
    second, _ = await other.check(HEAD, ["li", "李四", "", "", "", "", "研发"])
    ended = await asyncio.gather(one.apply(first), other.apply(second), return_exceptions=True)
    assert sorted(type(each).__name__ for each in ended) == ["Import", "RpcError"]
    assert len(await one.all(MEMBER)) == len(await one.all(DEPARTMENT)) == 1


async def test_parts_come_in_order_and_the_last_may_come_again(admin: Caller) -> None:
    made = await admin.imports.create(api.CreateImportRequest(file_name="a"), ADMIN)

    async def send(offset: int, content: bytes) -> int:
        part = api.UploadImportPartRequest(import_id=made.import_id, offset=offset, content=content)
        return await admin.imports.upload(part)

    assert [await send(0, b"account_id,na"), await send(13, b"me\nli,x"), await send(13, b"me\nli,x")] == [13, 20, 20]
    with pytest.raises(RpcError) as caught:
        await send(19, b"more")
    assert caught.value.reason == "FAILED_PRECONDITION WRONG_OFFSET"
    assert await refused(send(13, b"xx\nli,x")) == "FAILED_PRECONDITION WRONG_OFFSET"
    for offset, content in ((20, b""), (20, bytes(imports.MOST_IN_PART + 1)), (20_000_000, b"x"), (-1, b"x")):
        assert (await refused(send(offset, content))).split()[0] in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
    await admin.imports.check(made.import_id)
    assert [row.account_id for row in await admin.rows(made.import_id)] == ["li"]
    assert await refused(send(20, b"more")) == "FAILED_PRECONDITION NOT_UPLOADING"


async def test_what_is_personal_goes_when_it_has_ended(admin: Caller) -> None:
    first, second = await admin.upload(HEAD, ZHANG[:7]), (await admin.check(HEAD, ["li", "李四"]))[0]
    await admin.imports.cancel(first)
    assert (await admin.apply(second)).summary.create_count == 1
    assert (await admin.all(IMPORT_PART), await admin.all(IMPORT_ROW)) == ([], [])
    assert [row["head"] for row in await admin.all(IMPORT)] == ["", ""]
    entries = [row for row in await admin.all(audit.TABLE) if row["target_kind"] == "import"]
    assert [json.loads(row["detail"]) for row in entries] == [
        {"create_count": 1, "update_count": 0, "unchanged_count": 0, "failed_count": 0}
        | {"department_count": 0, "remove_count": 0}
    ]
    assert await admin.rows(second) == []


async def test_imports_are_forgotten_after_a_week(admin: Caller, clock: ManualClock) -> None:
    await admin.upload(HEAD, ZHANG)
    clock.time += 1
    kept, _ = await admin.check(HEAD, ["li", "李四"])
    clock.time += 7 * DAY
    await admin.imports.forget()
    assert [each.import_id for each in await admin.imports.list_()] == [kept]
    clock.time += 1
    await admin.imports.forget()
    assert [await admin.all(table) for table in (IMPORT, IMPORT_PART, IMPORT_ROW)] == [[], [], []]


async def test_states_allow_what_they_allow(admin: Caller) -> None:
    import_id = await admin.upload(HEAD, ["li", "李四"])
    failed = api.GetFailedRowsRequest(import_id=import_id)
    assert await refused(admin.apply(import_id)) == "FAILED_PRECONDITION IMPORT_NOT_CHECKED"
    assert await refused(anext(admin.imports.failed_rows(failed))) == "FAILED_PRECONDITION IMPORT_NOT_CHECKED"
    await admin.imports.cancel(import_id)
    assert (await admin.imports.cancel(import_id)).state == pb.IMPORT_STATE_CANCELLED
    for act in (admin.apply(import_id), admin.imports.check(import_id)):
        assert await refused(act) == "FAILED_PRECONDITION IMPORT_ENDED"
    for unknown in (admin.imports.get("imp_x"), admin.imports.check("imp_x"), admin.apply("imp_x"), admin.rows("x")):
        assert await refused(unknown) == "NOT_FOUND IMPORT_NOT_FOUND"


async def test_not_too_many_are_open(admin: Caller) -> None:
    open_ones = [await admin.upload(HEAD) for _ in range(import_store.MOST_OPEN)]
    assert await refused(admin.upload(HEAD)) == "FAILED_PRECONDITION TOO_MANY_IMPORTS"
    await admin.imports.cancel(open_ones[0])
    assert await admin.upload(HEAD)


async def test_a_file_that_is_no_table_leaves_the_import_as_it_was(admin: Caller) -> None:
    import_id = await admin.upload(content=b"wages\n1")
    assert await refused(admin.imports.check(import_id)) == "INVALID_ARGUMENT"
    assert (await admin.imports.get(import_id)).state == pb.IMPORT_STATE_UPLOADING


async def test_rows_come_in_pages_and_by_verdict(admin: Caller) -> None:
    import_id, _ = await admin.check(HEAD, ["a", "a"], ["b", ""], ["c", "c"], ["d", ""])

    async def page(token: str = "", *wanted: int) -> tuple[list[str], str]:
        request = api.ListImportRowsRequest(import_id=import_id, page_size=1, page_token=token)
        request.verdicts.extend(wanted)  # type: ignore[arg-type]
        answer = await admin.imports.list_rows(request)
        return [row.account_id for row in answer.rows], answer.next_page_token

    assert await page() == (["a"], "2")
    assert await page("2") == (["b"], "3")
    assert await page("3", pb.IMPORT_VERDICT_FAILED) == (["d"], "")
    assert await refused(page("", 9)) == "INVALID_ARGUMENT"
    assert await refused(page("x")) == "INVALID_ARGUMENT"


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("kind", [api.TABLE_FORMAT_CSV, api.TABLE_FORMAT_XLSX])
async def test_failed_rows_come_back_mended_or_not(admin: Caller, kind: api.TableFormat.ValueType) -> None:
    import_id, _ = await admin.check(["手机号", "账号"], ["", "a"], ["+12", "=b"])
    request = api.GetFailedRowsRequest(import_id=import_id, format=kind, locale="en")
    content = await whole(admin.imports.failed_rows(request))
    assert b"\n=b" not in content
    rows = [line.cells for line in import_tables.read(content)]
    assert rows[0] == ["手机号", "账号", "What is wrong"]
    assert rows[1] == ["", "a", "is required"]
    assert rows[2][:2] == ["+12", "=b"]
    again, _ = await admin.check(*rows)
    assert verdicts(await admin.rows(again)) == "ff"
    chinese = api.GetFailedRowsRequest(import_id=again, format=kind)
    rows = [line.cells for line in import_tables.read(await whole(admin.imports.failed_rows(chinese)))]
    assert (rows[0], rows[1]) == (["手机号", "账号", "错误原因"], ["", "a", "必填"])


async def test_administrators_do_it_over_grpc_and_nobody_else(admin: Caller) -> None:
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), permissions.of(IMPORTS)),
        {
            IMPORTS: lambda bare: add_ImportServiceServicer_to_server(
                ImportService(admin.imports, ProviderImports(admin.imports, nobody)), bare
            )
        },
        with_reflection=False,
    )
    await server.start()
    content = b"account_id,name\nli,x\nzhao\n"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub, metadata = ImportServiceStub(channel), (("authorization", "Bearer admin:root"),)
        made = getattr(await stub.CreateImport(api.CreateImportRequest(file_name="a"), metadata=metadata), "import")
        same = {"import_id": made.import_id}
        part = api.UploadImportPartRequest(**same, content=content)
        assert (await stub.UploadImportPart(part, metadata=metadata)).uploaded_bytes == len(content)
        checked = getattr(await stub.CheckImport(api.CheckImportRequest(**same), metadata=metadata), "import")
        assert (checked.actor, checked.summary.create_count, checked.summary.failed_count) == ("root", 1, 1)
        rows = (await stub.ListImportRows(api.ListImportRowsRequest(**same), metadata=metadata)).rows
        assert verdicts(rows) == "cf"
        failed = stub.GetFailedRows(api.GetFailedRowsRequest(**same, format=api.TABLE_FORMAT_CSV), metadata=metadata)
        assert "必填" in b"".join([piece.content async for piece in failed]).decode()
        request = api.ApplyImportRequest(**same, good_rows_only=True)
        await stub.ApplyImport(request, metadata=metadata)
        [listed] = (await stub.ListImports(api.ListImportsRequest(), metadata=metadata)).imports
        assert listed == getattr(await stub.GetImport(api.GetImportRequest(**same), metadata=metadata), "import")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CancelImport(api.CancelImportRequest(**same), metadata=metadata)
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert (await stub.GetImportTemplate(api.GetImportTemplateRequest(), metadata=metadata)).content
        for role in ("support", "booker"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListImports(api.ListImportsRequest(), metadata=(("authorization", f"Bearer {role}:x"),))
            assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    await server.stop()


async def test_the_template_can_be_imported(admin: Caller) -> None:
    answer = await admin.imports.template(api.GetImportTemplateRequest())
    assert answer.file_name == "members.xlsx"
    import_id = await admin.upload(content=answer.content)
    assert (await admin.imports.check(import_id)).summary.create_count == 1
    for bad in (api.GetImportTemplateRequest(locale="fr"), api.GetImportTemplateRequest(format=9)):  # type: ignore[arg-type]
        assert await refused(admin.imports.template(bad)) == "INVALID_ARGUMENT"


def exported(found: Sequence[member_pb2.Member]) -> list[list[str]]:
    """What is known, as a table says it."""
    statuses, types = {1: "已启用", 2: "未激活", 3: "已停用"}, {1: "免费账号", 2: "高级账号"}
    return [HEAD] + [
        [
            *(each.account_id, each.display_name, each.email, each.phone, each.title, each.staff_id),
            *(";".join(one.path for one in each.memberships), types[each.account_type], statuses[each.status]),
            "是" if each.verified else "否",
        ]
        for each in found
    ]


NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=5).map(lambda text: "n" + text)
PLACES = st.lists(
    st.lists(st.sampled_from(["甲", "乙", "c"]), min_size=1, max_size=3).map("/".join), max_size=3, unique=True
)
TABLES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "bad@id", ""]),
        st.sampled_from(["", "王芳", "Li"]) | NAMES,
        st.sampled_from(["", "x@example.com", "no address"]),
        st.sampled_from(["", "13800138000"]),
        NAMES | st.just(""),
        st.sampled_from(["", "1", "2"]),
        PLACES.map(";".join),
        st.sampled_from(["", "免费账号", "高级账号"]),
        st.sampled_from(["", "已启用", "未激活", "已停用"]),
        st.sampled_from(["", "是", "否"]),
    ),
    max_size=5,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables=st.lists(TABLES, min_size=1, max_size=3), good=st.booleans())
async def test_no_table_makes_half_a_change(admin: Caller, tables: list[list[tuple[str, ...]]], good: bool) -> None:
    if not await admin.database.read(lambda c: c.scalar(sa.text("SELECT count(*) FROM licence_purchase"))):
        await admin.database.write(lambda c: people.purchase(c, 2))
    for table in tables:
        import_id, rows = await admin.check(HEAD, *table)
        before = await admin.directory()
        failed = "f" in verdicts(rows)
        if failed and not good:
            assert await refused(admin.apply(import_id)) == "FAILED_PRECONDITION ROWS_FAILED"
            assert await admin.directory() == before
        else:
            await admin.apply(import_id, good_rows_only=good)
        await holds(admin)
    everybody = await member_queries.list_(admin.database, member_api.ListMembersRequest(), 0, EVERYWHERE)
    _, rows = await admin.check(*exported(everybody.members))
    assert verdicts(rows) == "=" * len(everybody.members)


async def holds(admin: Caller) -> None:
    """Events are numbered by versions, without gaps, and nobody has what is another's."""
    stored = await admin.all(MEMBER)
    numbers: dict[str, list[int]] = {}
    for subject, entity, seq in await admin.events():
        if subject.startswith("member."):
            numbers.setdefault(entity, []).append(seq)
    assert numbers == {row["account_id"]: [*range(1, row["version"] + 1)] for row in stored}
    assert sum(row["licence_assign_time"] is not None for row in stored) <= 2
    last = {row["entity_id"]: json.loads(row["payload"]) for row in await admin.all(outbox.TABLE)}
    for row in stored:
        told = last[row["account_id"]]["member"]
        assert (told["displayName"], told.get("title", "")) == (row["display_name"], row["title"])
    places = await admin.all(DEPARTMENT)
    for parent in {row["parent_id"] for row in places}:
        below = [row["position"] for row in places if row["parent_id"] == parent]
        assert sorted(below) == [*range(len(below))]
