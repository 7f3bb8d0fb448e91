"""All that the directory does for callers, one method an RPC."""

from collections.abc import AsyncIterator

from yunhui.directory.v1 import address_book_service_pb2 as address_book_pb
from yunhui.directory.v1 import address_book_service_pb2_grpc as address_book_grpc
from yunhui.directory.v1 import department_service_pb2 as department_pb
from yunhui.directory.v1 import department_service_pb2_grpc as department_grpc
from yunhui.directory.v1 import import_service_pb2 as import_pb
from yunhui.directory.v1 import import_service_pb2_grpc as import_grpc
from yunhui.directory.v1 import member_service_pb2 as member_pb
from yunhui.directory.v1 import member_service_pb2_grpc as member_grpc
from yunhui.directory.v1 import organization_service_pb2 as organization_pb
from yunhui.directory.v1 import organization_service_pb2_grpc as organization_grpc
from yunhui.directory.v1 import provisioning_service_pb2 as provisioning_pb
from yunhui.directory.v1 import provisioning_service_pb2_grpc as provisioning_grpc
from yunhui.directory.v1 import role_service_pb2 as role_pb
from yunhui.directory.v1 import role_service_pb2_grpc as role_grpc

from services.directory import (
    address_book,
    bindings,
    department_changes,
    departments,
    explanations,
    licences,
    member_queries,
    members,
    organization,
    provisioning_tokens,
    role_changes,
    roles,
    sign_ins,
    transfers,
    visibility,
)
from services.directory.changes import Changes
from services.directory.imports import Imports
from services.directory.provider_imports import ProviderImports
from services.directory.scopes import caller
from services.platform.data.database import Database
from services.platform.serving import permissions, rpc

ADDRESS_BOOK = "yunhui.directory.v1.AddressBookService"
DEPARTMENTS = "yunhui.directory.v1.DepartmentService"
IMPORTS = "yunhui.directory.v1.ImportService"
MEMBERS = "yunhui.directory.v1.MemberService"
ORGANIZATION = "yunhui.directory.v1.OrganizationService"
PROVISIONING = "yunhui.directory.v1.ProvisioningService"
ROLES = "yunhui.directory.v1.RoleService"
NEEDED = {
    method: what
    for service in (ADDRESS_BOOK, DEPARTMENTS, MEMBERS, ORGANIZATION, IMPORTS, ROLES, PROVISIONING)
    for method, what in permissions.of(service).items()
}
VIEW = "members.view"


class AddressBookService(address_book_grpc.AddressBookServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetAddressBook(
        self, request: address_book_pb.GetAddressBookRequest, context: rpc.Context
    ) -> address_book_pb.GetAddressBookResponse:
        return await address_book.get(self._database, caller())

    async def ListColleagues(
        self, request: address_book_pb.ListColleaguesRequest, context: rpc.Context
    ) -> address_book_pb.ListColleaguesResponse:
        return await address_book.list_(self._database, request, caller())

    async def GetColleague(
        self, request: address_book_pb.GetColleagueRequest, context: rpc.Context
    ) -> address_book_pb.GetColleagueResponse:
        found = await address_book.get_colleague(self._database, request, caller())
        return address_book_pb.GetColleagueResponse(colleague=found)

    async def ListColleagueDepartments(
        self, request: address_book_pb.ListColleagueDepartmentsRequest, context: rpc.Context
    ) -> address_book_pb.ListColleagueDepartmentsResponse:
        return await address_book.list_departments(self._database, request, caller())


class DepartmentService(department_grpc.DepartmentServiceServicer):
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    async def ListDepartments(
        self, request: department_pb.ListDepartmentsRequest, context: rpc.Context
    ) -> department_pb.ListDepartmentsResponse:
        return await departments.list_children(self._database, request, caller().scope(VIEW))

    async def SearchDepartments(
        self, request: department_pb.SearchDepartmentsRequest, context: rpc.Context
    ) -> department_pb.SearchDepartmentsResponse:
        return await departments.search(self._database, request, caller().scope(VIEW))

    async def GetDepartment(
        self, request: department_pb.GetDepartmentRequest, context: rpc.Context
    ) -> department_pb.GetDepartmentResponse:
        found = await departments.get(self._database, request, caller().scope(VIEW))
        return department_pb.GetDepartmentResponse(department=found)

    async def CreateDepartment(
        self, request: department_pb.CreateDepartmentRequest, context: rpc.Context
    ) -> department_pb.CreateDepartmentResponse:
        made = await department_changes.create(self._changes, request, caller())
        return department_pb.CreateDepartmentResponse(department=made)

    async def RenameDepartment(
        self, request: department_pb.RenameDepartmentRequest, context: rpc.Context
    ) -> department_pb.RenameDepartmentResponse:
        after = await department_changes.rename(self._changes, request, caller())
        return department_pb.RenameDepartmentResponse(department=after)

    async def MoveDepartment(
        self, request: department_pb.MoveDepartmentRequest, context: rpc.Context
    ) -> department_pb.MoveDepartmentResponse:
        after = await department_changes.move(self._changes, request, caller())
        return department_pb.MoveDepartmentResponse(department=after)

    async def MergeDepartment(
        self, request: department_pb.MergeDepartmentRequest, context: rpc.Context
    ) -> department_pb.MergeDepartmentResponse:
        after = await department_changes.merge(self._changes, request, caller())
        return department_pb.MergeDepartmentResponse(department=after)

    async def DeleteDepartment(
        self, request: department_pb.DeleteDepartmentRequest, context: rpc.Context
    ) -> department_pb.DeleteDepartmentResponse:
        await department_changes.delete(self._changes, request, caller())
        return department_pb.DeleteDepartmentResponse()


class MemberService(member_grpc.MemberServiceServicer):
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    async def ListMembers(
        self, request: member_pb.ListMembersRequest, context: rpc.Context
    ) -> member_pb.ListMembersResponse:
        now = self._changes.clock.now()
        return await member_queries.list_(self._database, request, now, caller().scope(VIEW))

    async def GetMember(self, request: member_pb.GetMemberRequest, context: rpc.Context) -> member_pb.GetMemberResponse:
        found = await member_queries.get(self._database, request, caller().scope(VIEW))
        return member_pb.GetMemberResponse(member=found)

    async def CreateMember(
        self, request: member_pb.CreateMemberRequest, context: rpc.Context
    ) -> member_pb.CreateMemberResponse:
        made = await members.create(self._changes, request, caller())
        return member_pb.CreateMemberResponse(member=made)

    async def UpdateMember(
        self, request: member_pb.UpdateMemberRequest, context: rpc.Context
    ) -> member_pb.UpdateMemberResponse:
        after = await members.update(self._changes, request, caller())
        return member_pb.UpdateMemberResponse(member=after)

    async def SetMemberEnabled(
        self, request: member_pb.SetMemberEnabledRequest, context: rpc.Context
    ) -> member_pb.SetMemberEnabledResponse:
        after = await members.set_enabled(self._changes, request, caller())
        return member_pb.SetMemberEnabledResponse(member=after)

    async def SetAccountType(
        self, request: member_pb.SetAccountTypeRequest, context: rpc.Context
    ) -> member_pb.SetAccountTypeResponse:
        after = await members.set_account_type(self._changes, request, caller())
        return member_pb.SetAccountTypeResponse(member=after)

    async def RecordSignIn(
        self, request: member_pb.RecordSignInRequest, context: rpc.Context
    ) -> member_pb.RecordSignInResponse:
        await sign_ins.record(self._changes, caller())
        return member_pb.RecordSignInResponse()

    async def DeleteMember(
        self, request: member_pb.DeleteMemberRequest, context: rpc.Context
    ) -> member_pb.DeleteMemberResponse:
        await members.delete(self._changes, request, caller())
        return member_pb.DeleteMemberResponse()


class OrganizationService(organization_grpc.OrganizationServiceServicer):
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    async def GetOrganization(
        self, request: organization_pb.GetOrganizationRequest, context: rpc.Context
    ) -> organization_pb.GetOrganizationResponse:
        return organization_pb.GetOrganizationResponse(organization=await organization.get(self._database))

    async def UpdateOrganization(
        self, request: organization_pb.UpdateOrganizationRequest, context: rpc.Context
    ) -> organization_pb.UpdateOrganizationResponse:
        after = await organization.update(self._changes, request, caller())
        return organization_pb.UpdateOrganizationResponse(organization=after)

    async def GetVisibility(
        self, request: organization_pb.GetVisibilityRequest, context: rpc.Context
    ) -> organization_pb.GetVisibilityResponse:
        return organization_pb.GetVisibilityResponse(visibility=await visibility.get(self._database))

    async def UpdateVisibility(
        self, request: organization_pb.UpdateVisibilityRequest, context: rpc.Context
    ) -> organization_pb.UpdateVisibilityResponse:
        after = await visibility.update(self._changes, request, caller())
        return organization_pb.UpdateVisibilityResponse(visibility=after)

    async def GetLicences(
        self, request: organization_pb.GetLicencesRequest, context: rpc.Context
    ) -> organization_pb.GetLicencesResponse:
        return await licences.get(self._database, self._changes.clock.now())

    async def PutLicencePurchase(
        self, request: organization_pb.PutLicencePurchaseRequest, context: rpc.Context
    ) -> organization_pb.PutLicencePurchaseResponse:
        figures = await licences.put(self._changes, request, caller())
        return organization_pb.PutLicencePurchaseResponse(figures=figures)

    async def DeleteLicencePurchase(
        self, request: organization_pb.DeleteLicencePurchaseRequest, context: rpc.Context
    ) -> organization_pb.DeleteLicencePurchaseResponse:
        figures = await licences.delete(self._changes, request, caller())
        return organization_pb.DeleteLicencePurchaseResponse(figures=figures)

    async def BeginTransfer(
        self, request: organization_pb.BeginTransferRequest, context: rpc.Context
    ) -> organization_pb.BeginTransferResponse:
        begun = await transfers.begin(self._changes, request, caller())
        return organization_pb.BeginTransferResponse(transfer=begun)

    async def GetTransfer(
        self, request: organization_pb.GetTransferRequest, context: rpc.Context
    ) -> organization_pb.GetTransferResponse:
        return organization_pb.GetTransferResponse(transfer=await transfers.get(self._changes, caller()))

    async def AcceptTransfer(
        self, request: organization_pb.AcceptTransferRequest, context: rpc.Context
    ) -> organization_pb.AcceptTransferResponse:
        await transfers.accept(self._changes, request, caller())
        return organization_pb.AcceptTransferResponse()

    async def CancelTransfer(
        self, request: organization_pb.CancelTransferRequest, context: rpc.Context
    ) -> organization_pb.CancelTransferResponse:
        await transfers.cancel(self._changes, request, caller())
        return organization_pb.CancelTransferResponse()


class RoleService(role_grpc.RoleServiceServicer):
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    async def ListPermissions(
        self, request: role_pb.ListPermissionsRequest, context: rpc.Context
    ) -> role_pb.ListPermissionsResponse:
        return roles.list_permissions()

    async def ListRoles(self, request: role_pb.ListRolesRequest, context: rpc.Context) -> role_pb.ListRolesResponse:
        return await roles.list_(self._database)

    async def GetRole(self, request: role_pb.GetRoleRequest, context: rpc.Context) -> role_pb.GetRoleResponse:
        return role_pb.GetRoleResponse(role=await roles.get(self._database, request))

    async def CreateRole(self, request: role_pb.CreateRoleRequest, context: rpc.Context) -> role_pb.CreateRoleResponse:
        return role_pb.CreateRoleResponse(role=await role_changes.create(self._changes, request, caller()))

    async def UpdateRole(self, request: role_pb.UpdateRoleRequest, context: rpc.Context) -> role_pb.UpdateRoleResponse:
        return role_pb.UpdateRoleResponse(role=await role_changes.update(self._changes, request, caller()))

    async def DeleteRole(self, request: role_pb.DeleteRoleRequest, context: rpc.Context) -> role_pb.DeleteRoleResponse:
        await role_changes.delete(self._changes, request, caller())
        return role_pb.DeleteRoleResponse()

    async def GiveRole(self, request: role_pb.GiveRoleRequest, context: rpc.Context) -> role_pb.GiveRoleResponse:
        return role_pb.GiveRoleResponse(binding=await bindings.give(self._changes, request, caller()))

    async def TakeRole(self, request: role_pb.TakeRoleRequest, context: rpc.Context) -> role_pb.TakeRoleResponse:
        await bindings.take(self._changes, request, caller())
        return role_pb.TakeRoleResponse()

    async def ListRoleHolders(
        self, request: role_pb.ListRoleHoldersRequest, context: rpc.Context
    ) -> role_pb.ListRoleHoldersResponse:
        return await bindings.list_holders(self._database, request, caller().scope(bindings.VIEW))

    async def ListRolesOf(
        self, request: role_pb.ListRolesOfRequest, context: rpc.Context
    ) -> role_pb.ListRolesOfResponse:
        return await bindings.list_of(self._database, request, caller().scope(bindings.VIEW))

    async def ExplainAccess(
        self, request: role_pb.ExplainAccessRequest, context: rpc.Context
    ) -> role_pb.ExplainAccessResponse:
        return await explanations.explain(self._database, request, caller().scope(bindings.VIEW))


class ProvisioningService(provisioning_grpc.ProvisioningServiceServicer):
    """`address` is for identity providers; "" while there is no door."""

    def __init__(self, changes: Changes, address: str) -> None:
        self._address = address
        self._changes = changes
        self._database = changes.database

    async def CreateProvisioningToken(
        self, request: provisioning_pb.CreateProvisioningTokenRequest, context: rpc.Context
    ) -> provisioning_pb.CreateProvisioningTokenResponse:
        return await provisioning_tokens.create(self._changes, request, caller())

    async def ListProvisioningTokens(
        self, request: provisioning_pb.ListProvisioningTokensRequest, context: rpc.Context
    ) -> provisioning_pb.ListProvisioningTokensResponse:
        return await provisioning_tokens.list_(self._database, self._address)

    async def RevokeProvisioningToken(
        self, request: provisioning_pb.RevokeProvisioningTokenRequest, context: rpc.Context
    ) -> provisioning_pb.RevokeProvisioningTokenResponse:
        await provisioning_tokens.revoke(self._changes, request, caller())
        return provisioning_pb.RevokeProvisioningTokenResponse()


class ImportService(import_grpc.ImportServiceServicer):
    def __init__(self, imports: Imports, provider_imports: ProviderImports) -> None:
        self._imports = imports
        self._provider_imports = provider_imports

    async def GetImportTemplate(
        self, request: import_pb.GetImportTemplateRequest, context: rpc.Context
    ) -> import_pb.GetImportTemplateResponse:
        return await self._imports.template(request)

    async def CreateImport(
        self, request: import_pb.CreateImportRequest, context: rpc.Context
    ) -> import_pb.CreateImportResponse:
        made = await self._imports.create(request, caller())
        return import_pb.CreateImportResponse(**{"import": made})

    async def CreateProviderImport(
        self, request: import_pb.CreateProviderImportRequest, context: rpc.Context
    ) -> import_pb.CreateProviderImportResponse:
        made = await self._provider_imports.create(caller())
        return import_pb.CreateProviderImportResponse(**{"import": made})

    async def UploadImportPart(
        self, request: import_pb.UploadImportPartRequest, context: rpc.Context
    ) -> import_pb.UploadImportPartResponse:
        return import_pb.UploadImportPartResponse(uploaded_bytes=await self._imports.upload(request))

    async def CheckImport(
        self, request: import_pb.CheckImportRequest, context: rpc.Context
    ) -> import_pb.CheckImportResponse:
        return import_pb.CheckImportResponse(**{"import": await self._imports.check(request.import_id)})

    async def GetImport(self, request: import_pb.GetImportRequest, context: rpc.Context) -> import_pb.GetImportResponse:
        return import_pb.GetImportResponse(**{"import": await self._imports.get(request.import_id)})

    async def ListImports(
        self, request: import_pb.ListImportsRequest, context: rpc.Context
    ) -> import_pb.ListImportsResponse:
        return import_pb.ListImportsResponse(imports=await self._imports.list_())

    async def ListImportRows(
        self, request: import_pb.ListImportRowsRequest, context: rpc.Context
    ) -> import_pb.ListImportRowsResponse:
        return await self._imports.list_rows(request)

    async def ApplyImport(
        self, request: import_pb.ApplyImportRequest, context: rpc.Context
    ) -> import_pb.ApplyImportResponse:
        after = await self._imports.apply(request, caller())
        return import_pb.ApplyImportResponse(**{"import": after})

    async def CancelImport(
        self, request: import_pb.CancelImportRequest, context: rpc.Context
    ) -> import_pb.CancelImportResponse:
        return import_pb.CancelImportResponse(**{"import": await self._imports.cancel(request.import_id)})

    async def GetFailedRows(
        self, request: import_pb.GetFailedRowsRequest, context: rpc.Context
    ) -> AsyncIterator[import_pb.GetFailedRowsResponse]:
        async for piece in self._imports.failed_rows(request):
            yield import_pb.GetFailedRowsResponse(content=piece)
