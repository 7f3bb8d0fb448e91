"""Booking with its guards taken away, to see that the checker finds what they prevent. Never a part of a service.

What a batch was decided on is trusted at the commit: neither the version of the account nor the rooms are looked at
again, and the walls of the database against overlaps are dropped.
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.booking import __main__ as program
from services.booking import admission, reservations
from services.booking.admission import BatchSnapshot
from services.booking.pool import Interval, Pool
from services.booking.requests import ReservationInput
from services.platform.data.database import Database
from services.platform.host import run
from services.platform.settings import load

WALLS = {
    "sqlite": [
        "DROP TRIGGER IF EXISTS reservation_overlap_insert",
        "DROP TRIGGER IF EXISTS reservation_overlap_update",
    ],
    "postgresql": ["ALTER TABLE reservation DROP CONSTRAINT IF EXISTS reservation_overlap"],
}


class Trust:
    """Remembers what admission last read, and hands that out where the commit would read again."""

    def __init__(self) -> None:
        self._read_snapshot = admission.read_snapshot
        self._snapshot = BatchSnapshot({}, Pool([], []), {}, {})

    def read_snapshot(self, connection: Connection, batch: Sequence[ReservationInput], now: int) -> BatchSnapshot:
        self._snapshot = self._read_snapshot(connection, batch, now)
        return self._snapshot

    def read_versions(self, connection: Connection, ids: Collection[str]) -> dict[str, int]:
        return {name: account.version for name, account in self._snapshot.accounts.items()}

    def lock_pool(self, connection: Connection, wanted: Collection[Interval], without: str = "") -> Pool:
        return self._snapshot.pool


def remove_guards() -> None:
    trust = Trust()
    admission.read_snapshot = trust.read_snapshot
    # what the commit reads with, and no other
    reservations.read_versions = trust.read_versions  # type: ignore[attr-defined] # it is imported there
    reservations.lock_pool = trust.lock_pool  # type: ignore[attr-defined] # the same


def remove_walls(url: str) -> None:
    database = Database(url)
    database.migrate("services.booking")
    with database.engine.begin() as connection:
        for statement in WALLS[connection.dialect.name]:
            connection.execute(sa.text(statement))
    database.close()


if __name__ == "__main__":
    remove_walls(load(program.BookingSettings).database_url)
    remove_guards()
    run("booking", program.BookingSettings, program.start)
