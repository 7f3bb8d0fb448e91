"""The program directory on the host that all services share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from yunhui.directory.v1.department_service_pb2_grpc import add_DepartmentServiceServicer_to_server
from yunhui.directory.v1.import_service_pb2_grpc import add_ImportServiceServicer_to_server
from yunhui.directory.v1.member_service_pb2_grpc import add_MemberServiceServicer_to_server
from yunhui.directory.v1.organization_service_pb2_grpc import add_OrganizationServiceServicer_to_server

from services.directory import api, models
from services.directory.changes import Changes
from services.directory.imports import Imports
from services.platform.host import Host, HostSettings, Service, run
from services.platform.messaging.outbox import Relay


@asynccontextmanager
async def start(host: Host[HostSettings]) -> AsyncIterator[Service]:
    async with host.bus() as connection:
        relay = Relay(host.database, connection, host.name)
        changes = Changes(host.database, host.clock, relay.wake)
        imports = Imports(changes)
        yield Service(
            servicers={
                api.DEPARTMENTS: partial(add_DepartmentServiceServicer_to_server, api.DepartmentService(changes)),
                api.IMPORTS: partial(add_ImportServiceServicer_to_server, api.ImportService(imports)),
                api.MEMBERS: partial(add_MemberServiceServicer_to_server, api.MemberService(changes)),
                api.ORGANIZATION: partial(add_OrganizationServiceServicer_to_server, api.OrganizationService(changes)),
            },
            tables=models.TABLES,
            connection=lambda: connection,
            wake=relay.wake,
            loops=[relay.run(), imports.forget_forever()],
        )


if __name__ == "__main__":
    run("directory", HostSettings, start)
