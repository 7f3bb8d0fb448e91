"""One change of the directory at a time: what was read before it was decided still holds when it is stored.

Trees without cycles, licences that are never oversold and siblings without gaps follow from that alone. Changes are
rare, so taking turns costs nobody anything; SQLite has one writer anyway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.engine import Connection

from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json
from services.platform.serving import errors
from services.platform.text.messages import message

LOCK = 7_308_052_015
"""Any number of its own (audit.LOCK is another)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a change came to: its answer, the events that tell of it, and what the audit log is told."""

    answer: T
    events: Sequence[Event]
    entries: Sequence[audit.AuditEntry]


@dataclass(frozen=True, slots=True)
class Changes:
    """`committed` is called after each."""

    database: Database
    clock: Clock
    committed: Callable[[], None]

    async def make(self, work: Callable[[Connection, int], Outcome[T]]) -> T:
        """Runs `work`, which is told the time, in its turn, and stores what it comes to as a whole.

        Raises what `work` raises; then nothing was changed.
        """

        def transaction(connection: Connection) -> T:
            lock(connection)
            change = work(connection, self.clock.now())
            outbox.append(connection, change.events)
            audit.append(connection, change.entries)
            return change.answer

        answer = await self.database.write(transaction)
        self.committed()
        return answer


def lock(connection: Connection) -> None:
    """Until the transaction ends nobody else changes anything."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def event(subject: str, entity_id: str, seq: int, payload: Message, time: int) -> Event:
    """`subject` without yunhui.directory, as in member.created."""
    return Event(new_id("evt"), f"yunhui.directory.{subject}", entity_id, seq, time, to_json(payload))


def stale() -> errors.RpcError:
    """FAILED_PRECONDITION, for a version that is not the current one."""
    words = message("it was changed by others meanwhile: look again")
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "STALE_VERSION", words)
