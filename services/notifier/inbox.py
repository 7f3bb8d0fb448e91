"""The inbox: each event takes effect once, and in the order of its entity, however often and late it arrives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from services.notifier.models import InboxRow
from services.platform.data.database import ForEach, Insert

TABLE = SQLModel.metadata.tables[str(InboxRow.__tablename__)]
_INSERT = Insert(TABLE)
_KNOWN = ForEach("SELECT event_id FROM inbox WHERE event_id IN ({0})", ":event_id{0}", ", ", "event_id")
_PLACES = ForEach(
    "SELECT entity_id, entity_seq FROM inbox WHERE (entity_id, entity_seq) IN (VALUES {0})",
    "(:entity_id{0}, :entity_seq{0})",
    ", ",
    *("entity_id", "entity_seq"),
)


class Place(NamedTuple):
    """Of an event among those of its entity."""

    entity_id: str
    entity_seq: int


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """What is kept of an event. `entity_seq` is 0 when the event does not say."""

    event_id: str
    subject: str
    entity_id: str
    entity_seq: int

    def place(self) -> Place:
        return Place(self.entity_id, self.entity_seq)

    def before(self) -> Place | None:
        """Of the event that must have been taken in before; None when there is none."""
        return Place(self.entity_id, self.entity_seq - 1) if self.entity_id and self.entity_seq > 1 else None


def known(connection: Connection, event_ids: Sequence[str]) -> set[str]:
    """Those that were taken in already."""
    return {event_id for (event_id,) in _KNOWN.execute(connection, [(each,) for each in event_ids])}


def known_before(connection: Connection, entries: Iterable[InboxEntry]) -> set[Place]:
    """Of the events before these, those that were taken in."""
    places = [before for entry in entries if (before := entry.before())]
    return {Place(*row) for row in _PLACES.execute(connection, places)}


def store(connection: Connection, entries: Iterable[InboxEntry], now: int) -> None:
    """In order."""
    rows = [{name: getattr(entry, name) for name in InboxEntry.__slots__} | {"receive_time": now} for entry in entries]
    _INSERT.execute(connection, rows)
