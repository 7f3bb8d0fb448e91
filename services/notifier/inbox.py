"""The inbox: each event takes effect once, and in the order of its entity, however often and late it arrives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from services.notifier.models import InboxRow

TABLE = SQLModel.metadata.tables[str(InboxRow.__tablename__)]
_INSERT = sa.insert(TABLE)


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """What is kept of an event. `entity_seq` is 0 when the event does not say."""

    event_id: str
    subject: str
    entity_id: str
    entity_seq: int


def known(connection: Connection, event_ids: Sequence[str]) -> set[str]:
    """Those that were taken in already."""
    return set(connection.execute(sa.select(TABLE.c.event_id).where(TABLE.c.event_id.in_(event_ids))).scalars())


def follows(connection: Connection, entry: InboxEntry) -> bool:
    """Whether the event before it of the same entity was taken in, or there is none."""
    if entry.entity_seq <= 1 or not entry.entity_id:
        return True
    before = sa.exists().where(TABLE.c.entity_id == entry.entity_id, TABLE.c.entity_seq == entry.entity_seq - 1)
    return bool(connection.scalar(sa.select(before)))


def store(connection: Connection, entries: Iterable[InboxEntry], now: int) -> None:
    """In order."""
    rows = [{name: getattr(entry, name) for name in InboxEntry.__slots__} | {"receive_time": now} for entry in entries]
    if rows:
        connection.execute(_INSERT, rows)
