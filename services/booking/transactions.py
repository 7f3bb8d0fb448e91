"""What everything that decides has in common: one way to read what is current, to commit, and to try again."""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

import grpc
from sqlalchemy.engine import Connection

from services.booking.accounts import StaleError
from services.booking.decisions import PolicyClient
from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.serving import errors
from services.platform.text.messages import message

log = logging.getLogger(__name__)

ATTEMPTS = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Transactions:
    """`catch_up` deals with the deadlines that are due; `waiting` are told of every commit."""

    database: Database
    policy: PolicyClient
    clock: Clock
    catch_up: Callable[[], Awaitable[None]]
    waiting: Collection[Callable[[], None]]

    async def read_current(self, work: Callable[[Connection], T], overdue: Callable[[T], bool]) -> T:
        """With everything done that was due, if something is `overdue`; what could not be dealt with still is."""
        found = await self.database.read(work)
        if not overdue(found):
            return found
        try:
            await self.catch_up()
        except Exception as error:
            # whose deadlines are still due cannot be served now; the others do not depend on them
            log.warning("deadlines could not be dealt with: %s", error)
        return await self.database.read(work)

    def committed(self) -> None:
        for wake in self.waiting:
            wake()

    async def commit(
        self, work: Callable[[Connection], T], describe: Callable[[T], audit.AuditEntry | None] | None = None
    ) -> T:
        """`describe`: what the audit log is told of the result, if anything."""
        result = await self.database.write(audit.audited(work, describe) if describe else work)
        self.committed()
        return result


async def until_fresh(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries again while others are faster. Raises errors.RpcError ABORTED when they always are."""
    for _ in range(ATTEMPTS):
        try:
            return await attempt()
        except (StaleError, ConflictError):  # a conflict: the room, or the request_id, went to another in this moment
            continue
    words = message("changed by others all the time: please try again")
    raise errors.failure(grpc.StatusCode.ABORTED, "CONTENTION", words)
