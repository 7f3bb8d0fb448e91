"""Imports of the provider's people: fetched page by page in the background, into the table that others would upload.

How far that has come is stored with each page: whichever replica holds the lease goes on from there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import sqlalchemy as sa
from google.rpc import error_details_pb2 as details
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.meetings.v1 import user_pb2

from services.directory import changes, import_store, import_tables, provider_table
from services.directory.import_store import FAILED, FETCHING, PROVIDER, UPLOADING
from services.directory.imports import Imports
from services.directory.models import IMPORT
from services.platform.clock import MINUTE, SECOND
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.tasks import run_forever, wait_at_most
from services.platform.text.messages import message

log = logging.getLogger(__name__)

FILE = "provider.csv"
LEASE = 2 * MINUTE
PATIENCE = 5 * MINUTE
"""So long one page may be asked for in vain."""
LONGEST_PAUSE = MINUTE
LOOK_SECONDS = 30.0
"""For what another replica has left."""

i = IMPORT.c
_UNFINISHED = (i.source == PROVIDER) & i.state.in_((FETCHING, UPLOADING))


@dataclass(frozen=True, slots=True)
class ProviderImports:
    """`ask`: for a page of people, by its token. Raises errors.RpcError."""

    imports: Imports
    ask: Callable[[str], Awaitable[user_pb2.ListUsersResponse]]
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    async def create(self, by: audit.Caller) -> pb.Import:
        """The one that is being fetched, if there is one. Raises errors.RpcError."""
        now = self.imports.changes.clock.now()

        def work(connection: Connection) -> pb.Import:
            changes.lock(connection)
            running = connection.execute(sa.select(IMPORT).where(_UNFINISHED).limit(1)).one_or_none()
            if running is not None:
                return import_store.to_message(running)
            row = import_store.begin(connection, FILE, FETCHING, PROVIDER, by, now)
            import_store.add_part(connection, row, provider_table.head())
            return import_store.to_message(import_store.load(connection, row.import_id))

        made = await self.imports.changes.database.write(work)
        self._wanted.set()
        return made

    async def fetch_forever(self) -> None:
        async def work() -> None:
            await wait_at_most(self._wanted, LOOK_SECONDS)
            self._wanted.clear()
            await self.fetch()

        await run_forever(work, "the provider's people", LOOK_SECONDS)

    async def fetch(self) -> None:
        """All that is to be fetched and that nobody else fetches."""
        while import_id := await self._take():
            try:
                await self._fetch(import_id)
            except errors.RpcError as error:
                log.warning("the provider's people were not fetched: %s", error.reason)
                await self._fail(import_id, error)

    async def _take(self) -> str | None:
        """The id of one, with its lease."""
        now = self.imports.changes.clock.now()
        free = _UNFINISHED & (i.lease_end.is_(None) | (i.lease_end <= now))

        def work(connection: Connection) -> str | None:
            changes.lock(connection)
            import_id: str | None = connection.scalar(sa.select(i.import_id).where(free).limit(1))
            if import_id is not None:
                import_store.update(connection, import_id, lease_end=now + LEASE)
            return import_id

        return await self.imports.changes.database.write(work)

    async def _fetch(self, import_id: str) -> None:
        """Raises errors.RpcError when it cannot be done."""
        while (row := await self._renew(import_id)).state == FETCHING:
            page = await self._ask(import_id, row.page_token)
            if page is not None:
                await self._store(import_id, row.page_token, page)
        if row.state == UPLOADING:
            await self.imports.check(import_id)

    async def _renew(self, import_id: str) -> sa.Row[Any]:
        """As it stands, with its lease."""
        now = self.imports.changes.clock.now()

        def work(connection: Connection) -> sa.Row[Any]:
            import_store.update(connection, import_id, lease_end=now + LEASE)
            return import_store.load(connection, import_id)

        return await self.imports.changes.database.write(work)

    async def _ask(self, import_id: str, page_token: str) -> user_pb2.ListUsersResponse | None:
        """None when it was given up meanwhile. Raises errors.RpcError."""
        clock = self.imports.changes.clock
        until = clock.now() + PATIENCE
        while True:
            try:
                return await self.ask(page_token)
            except errors.RpcError as error:
                pause = _pause(error)
                if pause is None or clock.now() + pause > until:
                    raise
            await asyncio.sleep(pause / SECOND)
            if (await self._renew(import_id)).state != FETCHING:
                return None

    async def _store(self, import_id: str, page_token: str, page: user_pb2.ListUsersResponse) -> None:
        def work(connection: Connection) -> None:
            row = import_store.load(connection, import_id, for_change=True)
            if (row.state, row.page_token) != (FETCHING, page_token):
                return  # given up, or stored by another replica
            count, last = row.fetched_count + len(page.users), not page.next_page_token
            _check_count(count, last=last)
            import_store.update(connection, import_id, fetched_count=count, page_token=page.next_page_token)
            if page.users:
                import_store.add_part(connection, row, provider_table.lines(page.users))
            if last:
                import_store.update(connection, import_id, state=UPLOADING)

        await self.imports.changes.database.write(work)

    async def _fail(self, import_id: str, error: errors.RpcError) -> None:
        chinese = errors.chinese_of(error.to_status()) or str(error)
        fault = pb.ImportFault(english=str(error), chinese=chinese).SerializeToString(deterministic=True)

        def work(connection: Connection) -> None:
            if import_store.load(connection, import_id, for_change=True).state in (FETCHING, UPLOADING):
                import_store.end(connection, import_id, FAILED, fault=fault)

        await self.imports.changes.database.write(work)


def _pause(error: errors.RpcError) -> int | None:
    """Milliseconds until asking again may help; None when it will not, or not soon."""
    if error.code != grpc.StatusCode.UNAVAILABLE:
        return None
    pauses = [each.retry_delay.ToMilliseconds() for each in error.details if isinstance(each, details.RetryInfo)]
    pause = max(pauses, default=SECOND)
    return pause if pause <= LONGEST_PAUSE else None


def _check_count(count: int, *, last: bool) -> None:
    """Raises errors.RpcError. After nobody all would be taken for gone."""
    if count > import_tables.MOST_ROWS:
        words = message("the provider has more than {most:,} people: that is too many", most=import_tables.MOST_ROWS)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_PEOPLE", words)
    if last and not count:
        words = message("the provider knows nobody of the organization: nothing follows from that")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "NOBODY_THERE", words)
