"""Booking with its guards taken away, to see that the checker finds what they prevent. Never a part of a service.

What a batch was decided on is trusted at the commit: neither the version of the account nor the rooms are looked at
again, and the walls of the database against overlaps are dropped.
"""

from contextlib import AbstractContextManager
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.booking import __main__ as program
from services.booking import reservations
from services.booking.pool import CurrentPool
from services.booking.reservations import DecidedRequest
from services.platform.data.database import Database
from services.platform.host import run
from services.platform.settings import load

advance_accounts, chosen_rooms = reservations._advance_accounts, reservations._chosen_rooms

WALLS = {
    "sqlite": [
        "DROP TRIGGER IF EXISTS reservation_overlap_insert",
        "DROP TRIGGER IF EXISTS reservation_overlap_update",
    ],
    "postgresql": ["ALTER TABLE reservation DROP CONSTRAINT IF EXISTS reservation_overlap"],
}


class PoolAsItWas:
    """What admission last read, also where the commit would read again."""

    def __init__(self, pool: CurrentPool) -> None:
        self.first_free, self.hold, self.release = pool.first_free, pool.hold, pool.release

    def read(self, *_: object) -> None:
        """Nothing."""


def trust_accounts(connection: Connection, batch: list[DecidedRequest]) -> set[str]:
    advance_accounts(connection, batch)
    return {decided.profile.account_id for decided in batch}


def trust_pool(connection: Connection, pool: Any, taking: list[DecidedRequest]) -> AbstractContextManager[Any]:
    return chosen_rooms(connection, cast(CurrentPool, PoolAsItWas(pool)), taking)


def remove_guards() -> None:
    # what the commit reads with, and no other
    reservations._advance_accounts = trust_accounts
    reservations._chosen_rooms = trust_pool  # type: ignore[assignment] # any context manager will do
    reservations.lock_changes = lambda connection: None  # type: ignore[attr-defined] # it is imported there


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
