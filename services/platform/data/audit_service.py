"""What administrators ask a program about its audit log over gRPC: what was done, and whether the chain is whole."""

from collections.abc import AsyncIterator

import grpc
from sqlalchemy.engine import Connection
from yunhui.audit.v1 import audit_service_pb2 as api
from yunhui.audit.v1 import audit_service_pb2_grpc as api_grpc

from services.platform.clock import to_timestamp
from services.platform.data import audit, chain
from services.platform.data.chain import ChainEntry, Check
from services.platform.data.database import Database
from services.platform.serving import errors, pages, permissions, rpc
from services.platform.text.messages import message

SERVICE = "yunhui.audit.v1.AuditService"
NEEDED = permissions.of(SERVICE)
CHUNK = 2_000
FILTERS = ("actor", "account_id", "target_kind", "target_id")


class AuditService(api_grpc.AuditServiceServicer):
    """The same in every program that keeps data."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListAuditEntries(
        self, request: api.ListAuditEntriesRequest, context: rpc.Context
    ) -> api.ListAuditEntriesResponse:
        wanted = to_filter(request)
        entries = await self._database.read(lambda c: audit.list_entries(c, wanted))
        size = wanted.limit - 1
        more = str(entries[size - 1].number) if len(entries) > size else ""
        return api.ListAuditEntriesResponse(
            entries=[to_message(entry) for entry in entries[:size]], next_page_token=more
        )

    async def VerifyAudit(
        self, request: api.VerifyAuditRequest, context: rpc.Context
    ) -> AsyncIterator[api.VerifyAuditResponse]:
        check = Check({request.head_number: request.head_hash} if request.head_number else {})
        total = (await self._database.read(audit.read_head)).number
        while await self._database.read(lambda c: follow(c, check)):
            yield api.VerifyAuditResponse(checked_count=check.number, total_count=max(total, check.number))
        fault = check.finish()
        yield api.VerifyAuditResponse(
            checked_count=check.number,
            total_count=max(total, check.number),
            done=True,
            broken_number=fault.number if fault else 0,
            fault=fault.reason if fault else "",
            head=api.AuditHead(number=check.number, hash=check.hash),
        )

    async def GetAuditHead(self, request: api.GetAuditHeadRequest, context: rpc.Context) -> api.GetAuditHeadResponse:
        head = await self._database.read(audit.read_head)
        return api.GetAuditHeadResponse(head=api.AuditHead(number=head.number, hash=head.hash))


def follow(connection: Connection, check: Check) -> bool:
    """Looks at the next entries, in the thread of the database; False when there are none, or one is broken."""
    entries = audit.read_after(connection, check.number, CHUNK)
    check.follow(entries)
    return bool(entries) and check.fault is None


def to_filter(request: api.ListAuditEntriesRequest) -> audit.AuditFilter:
    """With room for one more than the page, which tells whether there is a next. Raises errors.RpcError."""
    return audit.AuditFilter(
        equal={name: checked(name, getattr(request, name)) for name in FILTERS if getattr(request, name)},
        after=errors.moment("after", request.after) if request.HasField("after") else None,
        before=errors.moment("before", request.before) if request.HasField("before") else None,
        beyond=pages.from_number(request.page_token),
        oldest_first=request.oldest_first,
        limit=pages.size(request.page_size) + 1,
    )


def checked(field: str, value: str) -> str:
    if len(value) > 128 or not value.isprintable():
        raise errors.invalid(field, message("at most 128 characters on one line"))
    return value


def to_message(entry: ChainEntry) -> api.AuditEntry:
    values = {name: getattr(entry, name) for name in chain.FIELDS if name != "time"}
    return api.AuditEntry(time=to_timestamp(entry.time), **values)


def add(database: Database, server: grpc.aio.Server) -> None:
    api_grpc.add_AuditServiceServicer_to_server(AuditService(database), server)
