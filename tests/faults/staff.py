"""Those who keep a directory up while it is killed: each repeats an act until it is answered, and knows the answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import import_pb2, organization_pb2
from yunhui.directory.v1 import import_service_pb2 as import_api
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api
from yunhui.directory.v1 import organization_service_pb2 as organization_api
from yunhui.directory.v1 import role_service_pb2 as role_api

from services.cli.client import DirectoryStubs
from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.state import State
from services.platform.clock import DAY, to_timestamp
from services.platform.serving.permissions import SUPER_ADMINISTRATOR
from tests.faults.load import AGAIN, OPTIONS, PAUSE_SECONDS, TRIES
from tests.servers import until

BOSS = "boss"
LICENCES = 4
NOW = 1_751_846_400_000
"""When the clock of the installation begins, epoch ms."""
ROLES = ("support", "admin", SUPER_ADMINISTRATOR)
IMPORTED = 40
PART = 700
CALL_SECONDS = 20.0
REFUSALS = {
    *(grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS),
    *(grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT),
}


@dataclass
class Staff:
    """`members`, and by account the roles, as was answered; `lost` counts the answers that did not come."""

    state: State
    address: str
    dice: random.Random
    members: set[str] = field(default_factory=set)
    roles: dict[str, set[str]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    departments: list[str] = field(default_factory=list)
    acts: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        channel: Any = grpc.aio.insecure_channel(self.address, options=OPTIONS)  # the stubs do for both kinds
        self._stub = DirectoryStubs(channel)
        token = issuer.mint(self.state, SampleAccount(BOSS, "booker"))
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def ask(self, method: Any, request: Message) -> Any:
        """The answer; None when it was refused."""
        for _ in range(TRIES):
            try:
                answer = await method(request, metadata=self._metadata, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() in REFUSALS:
                    return None
                if error.code() not in AGAIN:
                    raise
                self.lost += 1
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self.acts += 1
                return answer
        raise TimeoutError("the directory did not answer")

    async def begin(self) -> None:
        purchase = organization_pb2.LicencePurchase(
            purchase_id="p", count=LICENCES, start_time=to_timestamp(NOW - DAY), end_time=to_timestamp(NOW + 900 * DAY)
        )
        request = organization_api.PutLicencePurchaseRequest(purchase=purchase)
        await until(self._is_known)
        assert await self.ask(self._stub.organization.PutLicencePurchase, request)
        for number in range(3):
            await self._add_department(f"top-{number}", "")

    async def _is_known(self) -> bool:
        """Whether the directory has heard of its first grant."""
        request = role_api.ListRolesOfRequest(account_id=BOSS)
        try:
            return bool(await self.ask(self._stub.roles.ListRolesOf, request))
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.PERMISSION_DENIED:
                raise
            return False

    async def work(self, name: str, enough: Callable[[], bool]) -> None:
        """With people of their own, until it is enough."""
        mine = [f"{name}-{number}" for number in range(6)]
        acts: list[Callable[[str], Awaitable[object]]] = [
            *(self._create, self._place, self._licence, self._role, self._enable, self._role, self._tree),
            self._take_in,
        ]
        while not enough():
            await self.dice.choice(acts)(self.dice.choice(mine))

    async def _add_department(self, name: str, parent_id: str) -> None:
        request = department_api.CreateDepartmentRequest(display_name=name, parent_id=parent_id)
        made = await self.ask(self._stub.departments.CreateDepartment, request)
        if made:
            self.departments.append(made.department.department_id)

    async def _create(self, account_id: str) -> None:
        member = pb.Member(account_id=account_id, display_name=account_id, memberships=self._some())
        await self.ask(self._stub.members.CreateMember, api.CreateMemberRequest(member=member))
        self.members.add(account_id)

    def _some(self) -> list[pb.Membership]:
        return [pb.Membership(department_id=each) for each in self.dice.sample(self.departments, 2)]

    async def _member(self, account_id: str) -> pb.Member | None:
        found = await self.ask(self._stub.members.GetMember, api.GetMemberRequest(account_id=account_id))
        return found.member if found else None

    async def _place(self, account_id: str) -> None:
        if member := await self._member(account_id):
            request = api.UpdateMemberRequest(account_id=account_id, version=member.version)
            request.memberships.CopyFrom(api.Memberships(memberships=self._some()))
            await self.ask(self._stub.members.UpdateMember, request)

    async def _licence(self, account_id: str) -> None:
        if member := await self._member(account_id):
            other = (
                pb.ACCOUNT_TYPE_FREE if member.account_type == pb.ACCOUNT_TYPE_ADVANCED else pb.ACCOUNT_TYPE_ADVANCED
            )
            request = api.SetAccountTypeRequest(account_id=account_id, account_type=other, version=member.version)
            await self.ask(self._stub.members.SetAccountType, request)

    async def _enable(self, account_id: str) -> None:
        if member := await self._member(account_id):
            enabled = member.status == pb.MEMBER_STATUS_DISABLED
            request = api.SetMemberEnabledRequest(account_id=account_id, enabled=enabled, version=member.version)
            await self.ask(self._stub.members.SetMemberEnabled, request)

    async def _role(self, account_id: str) -> None:
        role_id, held = self.dice.choice(ROLES), self.roles.setdefault(account_id, set())
        if role_id in held:
            request = role_api.TakeRoleRequest(account_id=account_id, role_id=role_id)
            await self.ask(self._stub.roles.TakeRole, request)  # none to take: the answer was lost
            held.discard(role_id)
        elif await self.ask(
            self._stub.roles.GiveRole, role_api.GiveRoleRequest(account_id=account_id, role_id=role_id)
        ):
            held.add(role_id)

    async def _tree(self, account_id: str) -> None:
        """One more department, which then comes to lie elsewhere or goes into another one."""
        if len(self.departments) < 9:
            await self._add_department(f"of {account_id}", self.dice.choice(self.departments))
            return
        moved, target = self.dice.sample(self.departments, 2)
        request = department_api.GetDepartmentRequest(department_id=moved)
        if found := await self.ask(self._stub.departments.GetDepartment, request):
            move = department_api.MoveDepartmentRequest(
                department_id=moved, parent_id=target, version=found.department.version
            )
            await self.ask(self._stub.departments.MoveDepartment, move)

    async def _take_in(self, account_id: str) -> None:
        """One table for each who works; each step goes on from what is said to be there."""
        account_id = account_id.partition("-")[0]
        if account_id in self.imports:
            return
        self.imports[account_id] = ""
        made = await self.ask(self._stub.imports.CreateImport, import_api.CreateImportRequest(file_name=account_id))
        if made is None:
            return
        import_id = self.imports[account_id] = getattr(made, "import").import_id
        await self.go_on(account_id, import_id)

    async def go_on(self, account_id: str, import_id: str) -> None:
        """Until it has ended."""
        head, rows = "账号,姓名,部门\n", [f"{each},{each},导入/{account_id}\n" for each in imported(account_id)]
        content = (head + "".join(rows)).encode()
        while True:
            found = await self.ask(self._stub.imports.GetImport, import_api.GetImportRequest(import_id=import_id))
            now = getattr(found, "import")
            if now.state == import_pb2.IMPORT_STATE_UPLOADING and now.uploaded_bytes < len(content):
                part = content[now.uploaded_bytes : now.uploaded_bytes + PART]
                request = import_api.UploadImportPartRequest(
                    import_id=import_id, offset=now.uploaded_bytes, content=part
                )
                await self.ask(self._stub.imports.UploadImportPart, request)
            elif now.state == import_pb2.IMPORT_STATE_UPLOADING:
                await self.ask(self._stub.imports.CheckImport, import_api.CheckImportRequest(import_id=import_id))
            elif now.state == import_pb2.IMPORT_STATE_CHECKED:
                done = await self.ask(
                    self._stub.imports.ApplyImport, import_api.ApplyImportRequest(import_id=import_id)
                )
                if done is None:  # the directory has changed meanwhile
                    await self.ask(self._stub.imports.CheckImport, import_api.CheckImportRequest(import_id=import_id))
            else:
                return


def imported(account_id: str) -> list[str]:
    return [f"{account_id}-{number:02}" for number in range(IMPORTED)]
