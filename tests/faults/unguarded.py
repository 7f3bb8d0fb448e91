"""Booking with its guards taken away, to see that the checker finds what they prevent. Never a part of a service.

What a batch was decided on is trusted at the commit: neither the version of the account nor the rooms are looked at
again, and the walls of the database against overlaps are dropped.
"""

from types import SimpleNamespace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.booking import __main__ as program
from services.booking import intake, reservations, store
from services.booking.intake import Ask, Situation
from services.booking.pool import Interval, Pool
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
    """Remembers what intake last read, and hands that out where the commit would read again."""

    def __init__(self) -> None:
        self._survey = intake.survey
        self._situation = Situation({}, Pool([], []), {}, {})

    def survey(self, connection: Connection, asks: list[Ask], now: int) -> Situation:
        self._situation = self._survey(connection, asks, now)
        return self._situation

    def read_versions(self, _connection: Connection, _ids: set[str]) -> dict[str, int]:
        return {name: account.version for name, account in self._situation.accounts.items()}

    def lock_pool(self, _connection: Connection, _wanted: list[Interval]) -> Pool:
        return self._situation.pool


def remove_guards() -> None:
    trust = Trust()
    intake.survey = trust.survey
    unguarded = {**vars(store), "read_versions": trust.read_versions, "lock_pool": trust.lock_pool}
    reservations.store = SimpleNamespace(**unguarded)  # type: ignore[assignment, attr-defined] # what commit reads with, and no other


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
