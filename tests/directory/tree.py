"""What tests of departments share: calls in few words, members in a hurry, and the laws of the tree."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import grpc
import pytest
import sqlalchemy as sa
from yunhui.directory.v1 import department_pb2 as pb
from yunhui.directory.v1 import department_service_pb2 as api
from yunhui.directory.v1 import member_service_pb2 as member_api

from services.directory import import_changes, import_columns, import_plan, members, memberships, models
from services.directory.api import DepartmentService
from services.directory.changes import Changes, Outcome
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP
from services.platform.messaging import outbox
from services.platform.serving import errors, rpc
from tests.directory import people
from tests.directory.conftest import ADMIN, MONDAY

NOBODY = cast(rpc.Context, None)
"""The context, of which the methods need nothing."""


class Tree:
    """Whoever uses it lets api.caller say who calls."""

    def __init__(self, changes: Changes) -> None:
        self.service, self.database, self.changes = DepartmentService(changes), changes.database, changes

    async def create(self, name: str, parent_id: str = "") -> pb.Department:
        request = api.CreateDepartmentRequest(display_name=name, parent_id=parent_id)
        return (await self.service.CreateDepartment(request, NOBODY)).department

    async def get(self, department_id: str) -> pb.Department:
        return (
            await self.service.GetDepartment(api.GetDepartmentRequest(department_id=department_id), NOBODY)
        ).department

    async def children(self, parent_id: str = "", **more: Any) -> api.ListDepartmentsResponse:
        return await self.service.ListDepartments(api.ListDepartmentsRequest(parent_id=parent_id, **more), NOBODY)

    async def names(self, parent_id: str = "") -> list[str]:
        return [each.display_name for each in (await self.children(parent_id)).departments]

    async def search(self, query: str, **more: Any) -> api.SearchDepartmentsResponse:
        return await self.service.SearchDepartments(api.SearchDepartmentsRequest(query=query, **more), NOBODY)

    async def rename(self, department_id: str, name: str, version: int = 1) -> pb.Department:
        request = api.RenameDepartmentRequest(department_id=department_id, display_name=name, version=version)
        return (await self.service.RenameDepartment(request, NOBODY)).department

    async def move(self, department_id: str, parent_id: str = "", before: str = "", version: int = 1) -> pb.Department:
        request = api.MoveDepartmentRequest(
            department_id=department_id, parent_id=parent_id, before_department_id=before, version=version
        )
        return (await self.service.MoveDepartment(request, NOBODY)).department

    async def merge(self, department_id: str, into: str, version: int = 1) -> pb.Department:
        request = api.MergeDepartmentRequest(department_id=department_id, into_department_id=into, version=version)
        return (await self.service.MergeDepartment(request, NOBODY)).department

    async def delete(self, department_id: str, version: int = 1) -> None:
        request = api.DeleteDepartmentRequest(department_id=department_id, version=version)
        await self.service.DeleteDepartment(request, NOBODY)

    def put_member(self, account_id: str, *department_ids: str) -> None:
        """Of the first it is the main one."""
        values: dict[str, Any] = {
            "account_id": account_id,
            "display_name": account_id,
            "sort_name": "",
            "search_text": "",
            "email": "",
        }
        values |= {"phone": "", "title": "", "staff_id": None, "provider_user_id": None, "status": "ENABLED"}
        times = {"create_time": MONDAY, "update_time": MONDAY, "licence_assign_time": None}
        values |= {"main_department_id": memberships.main_of(department_ids)}
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(MEMBER).values(**values, **times, verified=False, version=1))
            memberships.put(connection, {account_id: department_ids})

    async def place(self, account_id: str, *department_ids: str) -> None:
        """Whoever is not there is added; of the first department they are the main one."""
        there = people.memberships(*department_ids)
        if account_id not in self.versions():
            await people.add(self.changes, account_id, account_id, memberships=there)
            return
        request = member_api.UpdateMemberRequest(account_id=account_id, version=self.versions()[account_id])
        request.memberships.memberships.extend(there)
        await members.update(self.changes, request, ADMIN)

    async def remove(self, account_id: str) -> None:
        version = self.versions()[account_id]
        request = member_api.DeleteMemberRequest(account_id=account_id, version=version)
        await members.delete(self.changes, request, ADMIN)

    async def take_in(self, table: Mapping[str, Sequence[Sequence[str]]]) -> None:
        """Names of departments from the top down, by account: as an import of nothing else."""
        given = [
            import_columns.Given(
                line,
                cells=[],
                values={"account_id": account_id, "display_name": account_id, "departments": ways},
                faults=[],
                found_by=[account_id, account_id],
            )
            for line, (account_id, ways) in enumerate(table.items(), 2)
        ]

        def work(connection: sa.Connection, now: int) -> Outcome[None]:
            plan = import_plan.make(connection, ["账号", "姓名", "部门"], given, now)
            assert not any(row.faults for row in plan.rows)
            return Outcome(None, import_changes.carry_out(connection, plan, ADMIN, now), [])

        await self.changes.make(work)

    def versions(self) -> dict[str, int]:
        return {row.account_id: row.version for row in self.rows(MEMBER)}

    def memberships(self, account_id: str) -> dict[str, bool]:
        """By department: whether it is the main one."""
        return {row.department_id: row.main for row in self.rows(MEMBERSHIP) if row.account_id == account_id}

    def rows(self, table: sa.Table) -> list[sa.Row[Any]]:
        with self.database.engine.connect() as connection:
            return [*connection.execute(sa.select(table))]

    def events(self, entity_id: str) -> list[tuple[str, int]]:
        """What and its number, in order."""
        rows = sorted(self.rows(outbox.TABLE), key=lambda row: row.seq)
        return [
            (row.subject.removeprefix("yunhui.directory."), row.entity_seq)
            for row in rows
            if row.entity_id == entity_id
        ]

    def clear(self) -> None:
        with self.database.engine.begin() as connection:
            for table in (models.MEMBERSHIP, models.MEMBER, models.DEPARTMENT, outbox.TABLE):
                connection.execute(sa.delete(table))

    async def all(self) -> list[pb.Department]:
        """As lists tell of them, page by page; parents first."""
        found: list[pb.Department] = []
        waiting = [""]
        while waiting:
            parent_id, token, total = waiting.pop(0), "", 0
            while True:
                page = await self.children(parent_id, page_size=2, page_token=token)
                found += page.departments
                waiting += [each.department_id for each in page.departments]
                total += len(page.departments)
                if not (token := page.next_page_token):
                    break
            assert page.total_count == total
        return found

    async def check(self) -> None:
        """All laws."""
        rows = {row.department_id: row for row in self.rows(DEPARTMENT)}
        told = {each.department_id: each for each in await self.all()}
        assert told.keys() == rows.keys()  # all can be reached from the top: there is no cycle
        children: dict[str, list[str]] = defaultdict(list)
        members: dict[str, set[str]] = defaultdict(set)
        below: dict[str, set[str]] = defaultdict(set)
        for row in self.rows(MEMBERSHIP):
            members[row.department_id].add(row.account_id)
        for department_id, row in rows.items():
            way = [*climb(rows, department_id)][::-1]
            assert row.path == "".join(f"{each}/" for each in way)
            assert told[department_id].path == "/".join(rows[each].display_name for each in way)
            children[row.parent_id].append(department_id)
            for each in way:
                below[each] |= members[department_id]
        for siblings in children.values():
            assert sorted(rows[each].position for each in siblings) == [*range(len(siblings))]
            assert len({rows[each].display_name for each in siblings}) == len(siblings)
        for department_id, shown in told.items():
            counts = (shown.child_count, shown.member_count, shown.member_count_below)
            assert counts == tuple(len(found[department_id]) for found in (children, members, below))
        self.check_members()
        self.check_events({each: row.version for each, row in rows.items()})

    def check_members(self) -> None:
        mains = Counter((row.account_id, row.department_id) for row in self.rows(MEMBERSHIP) if row.main)
        said = {row.account_id: row.main_department_id for row in self.rows(MEMBER)}
        assert mains == dict.fromkeys(((each, main) for each, main in said.items() if main), 1)
        assert {row.account_id for row in self.rows(MEMBERSHIP)} == {each for each, main in said.items() if main}
        assert all(row.main_department_id == said[row.account_id] for row in self.rows(MEMBERSHIP))
        for account_id, version in self.versions().items():
            numbers = [number for _, number in self.events(account_id)]
            assert numbers in ([*range(1, version + 1)], [*range(2, version + 1)])  # of put_member nobody is told

    def check_events(self, versions: dict[str, int]) -> None:
        """Numbered 1, 2, 3, ... up to the version; of what is gone the last one says so."""
        numbers, last = defaultdict(list), {}
        for row in sorted(self.rows(outbox.TABLE), key=lambda row: row.seq):
            if ".department." in row.subject:
                numbers[row.entity_id].append(row.entity_seq)
                last[row.entity_id] = row.subject.rpartition(".")[2]
        assert all(found == [*range(1, len(found) + 1)] for found in numbers.values())
        assert versions == {each: found[-1] for each, found in numbers.items() if each in versions}
        assert {
            each for each, what in last.items() if what in ("merged", "deleted")
        } == numbers.keys() - versions.keys()


def climb(rows: dict[str, sa.Row[Any]], department_id: str) -> Iterator[str]:
    """Itself, and all above."""
    while department_id:
        yield department_id
        department_id = rows[department_id].parent_id


async def refused(call: Any) -> str:
    """Code and reason, or the field."""
    with pytest.raises(errors.RpcError) as caught:
        await call
    if caught.value.code is grpc.StatusCode.INVALID_ARGUMENT:
        return str(caught.value).partition(":")[0]
    return caught.value.reason
