"""One change of the directory at a time: what was read before it was decided still holds when it is stored.

Trees without cycles, licences that are never oversold and siblings without gaps follow from that alone, and that there
always is a super administrator. Changes are rare, so taking turns costs nobody anything; SQLite has one writer anyway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.engine import Connection

from services.directory.models import BINDING, MEMBER, SHUT_OUT
from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json
from services.platform.serving import errors
from services.platform.serving.permissions import SUPER_ADMINISTRATOR
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


Work = Callable[[Connection, int], Outcome[T]]
"""A change to be made, which is told the time; it raises what refuses it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """`committed` is called after each."""

    database: Database
    clock: Clock
    committed: Callable[[], None]

    async def make(self, work: Work[T]) -> T:
        """Runs `work`, which is told the time, in its turn, and stores what it comes to as a whole.

        Raises what `work` raises; then nothing was changed.
        """

        def transaction(connection: Connection) -> T:
            lock(connection)
            had_one = has_super_administrator(connection)
            change = work(connection, self.clock.now())
            if had_one and not has_super_administrator(connection):
                raise _last_one()
            outbox.append(connection, change.events)
            audit.append(connection, change.entries)
            return change.answer

        answer = await self.database.write(transaction)
        self.committed()
        return answer


class Steps:
    """Several changes that are made as one, each on what those before it came to."""

    def __init__(self, connection: Connection, now: int) -> None:
        self.connection, self.now = connection, now
        self._events: list[Event] = []
        self._entries: list[audit.AuditEntry] = []

    def take(self, work: Work[T]) -> T:
        done = work(self.connection, self.now)
        self._events += done.events
        self._entries += done.entries
        return done.answer

    def note(self, entry: audit.AuditEntry) -> None:
        self._entries.append(entry)

    def outcome(self, answer: T) -> Outcome[T]:
        return Outcome(answer, self._events, self._entries)


def lock(connection: Connection) -> None:
    """Until the transaction ends nobody else changes anything."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def has_super_administrator(connection: Connection) -> bool:
    """Who is disabled does not count, nor who waits to be let in."""
    can_act = (BINDING.c.role_id == SUPER_ADMINISTRATOR) & MEMBER.c.status.not_in(SHUT_OUT)
    found = sa.select(BINDING.c.account_id).join(MEMBER, MEMBER.c.account_id == BINDING.c.account_id).where(can_act)
    return connection.scalar(found.limit(1)) is not None


def _last_one() -> errors.RpcError:
    words = message("no super administrator would be left: give the role to another member first, or hand it over")
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "LAST_SUPER_ADMINISTRATOR", words)


def event(subject: str, entity_id: str, seq: int, payload: Message, time: int) -> Event:
    """`subject` without yunhui.directory, as in member.created."""
    return Event(new_id("evt"), f"yunhui.directory.{subject}", entity_id, seq, time, to_json(payload))


def stale() -> errors.RpcError:
    """FAILED_PRECONDITION, for a version that is not the current one."""
    words = message("it was changed by others meanwhile: look again")
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "STALE_VERSION", words)
