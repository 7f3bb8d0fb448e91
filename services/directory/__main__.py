"""The program directory on the host that all services share."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from yunhui.directory.v1.address_book_service_pb2_grpc import add_AddressBookServiceServicer_to_server
from yunhui.directory.v1.department_service_pb2_grpc import add_DepartmentServiceServicer_to_server
from yunhui.directory.v1.import_service_pb2_grpc import add_ImportServiceServicer_to_server
from yunhui.directory.v1.member_service_pb2_grpc import add_MemberServiceServicer_to_server
from yunhui.directory.v1.organization_service_pb2_grpc import add_OrganizationServiceServicer_to_server
from yunhui.directory.v1.provisioning_service_pb2_grpc import add_ProvisioningServiceServicer_to_server
from yunhui.directory.v1.role_service_pb2_grpc import add_RoleServiceServicer_to_server

from services.directory import api, beginning, grants, introductions, models
from services.directory.changes import Changes
from services.directory.imports import Imports
from services.directory.provider_client import ProviderClient
from services.directory.provider_imports import ProviderImports
from services.directory.settings import DirectorySettings
from services.platform.host import Host, Service, run
from services.platform.messaging.outbox import Relay


@asynccontextmanager
async def start(host: Host[DirectorySettings]) -> AsyncIterator[Service]:
    async with host.bus() as connection:
        relay = Relay(host.database, connection, host.name)
        publisher = grants.GrantPublisher(host.database, connection, relay.owns)
        relay.wake_too(publisher.wake)
        changes = Changes(host.database, host.clock, relay.wake)
        imports = Imports(changes)
        await beginning.ensure_super_administrator(changes, host.settings.super_administrator)
        await host.database.write(grants.mark_built_in)
        provider_imports = ProviderImports(imports, ProviderClient(connection).users)
        provisioning = api.ProvisioningService(changes, host.settings.provisioning_address)
        import_service = api.ImportService(imports, provider_imports)
        address_book = api.AddressBookService(host.database)
        yield Service(
            servicers={
                api.ADDRESS_BOOK: partial(add_AddressBookServiceServicer_to_server, address_book),
                api.DEPARTMENTS: partial(add_DepartmentServiceServicer_to_server, api.DepartmentService(changes)),
                api.IMPORTS: partial(add_ImportServiceServicer_to_server, import_service),
                api.MEMBERS: partial(add_MemberServiceServicer_to_server, api.MemberService(changes)),
                api.PROVISIONING: partial(add_ProvisioningServiceServicer_to_server, provisioning),
                api.ORGANIZATION: partial(add_OrganizationServiceServicer_to_server, api.OrganizationService(changes)),
                api.ROLES: partial(add_RoleServiceServicer_to_server, api.RoleService(changes)),
            },
            tables=models.TABLES,
            connection=lambda: connection,
            wake=relay.wake,
            loops=[
                relay.run(),
                publisher.run(),
                imports.forget_forever(),
                provider_imports.fetch_forever(),
                introductions.replies(host.settings, changes).serve(),
                *scim(changes, host.settings),
            ],
        )


def scim(changes: Changes, settings: DirectorySettings) -> list[Coroutine[Any, Any, None]]:
    """What it stands on is loaded only where somebody asks for it: that takes memory."""
    if not settings.scim_listen:
        return []
    from services.directory.scim import door

    return [door.serve(changes, settings.scim_listen, settings.scim_account_id, settings.scim_address)]


if __name__ == "__main__":
    run("directory", DirectorySettings, start)
