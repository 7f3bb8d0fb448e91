"""The store of deliveries: a mail is claimed here before it is sent and marked after. Only this module knows SQL."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from services.clock import Clock
from services.database import Database
from services.notifier.channels import Answer, Verdict
from services.notifier.messages import Message
from services.notifier.models import Delivery, DeliveryState

TABLE = SQLModel.metadata.tables[str(Delivery.__tablename__)]

STATES = {
    Verdict.ACCEPTED: DeliveryState.SENT,
    Verdict.TEMPORARY: DeliveryState.QUEUED,
    Verdict.PERMANENT: DeliveryState.FAILED,
}


class BusyError(Exception):
    """Another worker is sending this mail right now, or was when it died: its lease has not ended."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one mail until the lease ends. `content` is what the first attempt stored."""

    delivery_id: int
    content: bytes


class Deliveries:
    """Claims and marks deliveries. A lease that ends unmarked is claimed again: then the mail may repeat."""

    def __init__(self, database: Database, clock: Clock, lease_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._lease_ms = lease_ms

    async def claim(self, event_id: str, message: Message) -> Claim | None:
        """None when the mail is settled already. Raises BusyError."""
        now = self._clock.now()
        lease_end = now + self._lease_ms
        return await self._database.write(lambda c: _claim(c, event_id, message, now, lease_end))

    async def settle(self, claim: Claim, answer: Answer) -> None:
        """Marks what became of the attempt and ends the lease."""
        values = {
            "state": STATES[answer.verdict],
            "answer": answer.text[:200],
            "lease_end": 0,
            "update_time": self._clock.now(),
        }
        if answer.verdict is Verdict.ACCEPTED:
            values["content"] = b""  # personal data is kept only as long as it is needed
        await self._database.write(lambda c: _update(c, claim.delivery_id, values))


def _claim(connection: Connection, event_id: str, message: Message, now: int, lease_end: int) -> Claim | None:
    row = connection.execute(_find(event_id, message)).one_or_none()
    if row is None:
        return _insert(connection, event_id, message, now, lease_end)
    if row.state != DeliveryState.QUEUED:
        return None
    if row.lease_end > now:
        raise BusyError
    _update(connection, row.id, {"attempts": row.attempts + 1, "lease_end": lease_end, "update_time": now})
    return Claim(row.id, row.content)


def _find(event_id: str, message: Message) -> sa.Select[Any]:
    columns = [TABLE.c[name] for name in ("id", "state", "attempts", "lease_end", "content")]
    mine = (
        TABLE.c.event_id == event_id,
        TABLE.c.kind == message.kind,
        TABLE.c.recipient == message.recipient,
    )
    return sa.select(*columns).where(*mine).with_for_update()


def _insert(connection: Connection, event_id: str, message: Message, now: int, lease_end: int) -> Claim:
    # on PostgreSQL the slower of two replicas fails at the unique constraint here, and its event comes again
    statement = sa.insert(TABLE).values(
        event_id=event_id,
        kind=message.kind,
        recipient=message.recipient,
        state=DeliveryState.QUEUED,
        attempts=1,
        answer="",
        content=message.content,
        lease_end=lease_end,
        create_time=now,
        update_time=now,
    )
    key = connection.execute(statement).inserted_primary_key
    if key is None:
        raise RuntimeError("the database gave no key")
    return Claim(key[0], message.content)


def _update(connection: Connection, delivery_id: int, values: dict[str, Any]) -> None:
    connection.execute(sa.update(TABLE).where(TABLE.c.id == delivery_id).values(**values))
