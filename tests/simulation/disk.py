"""The databases: SQLite in memory, emptied before each history, and reached by ports that can die."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.platform.data.database import Database
from tests.simulation.chaos import Port, Program

T = TypeVar("T")


class Disk(Database):
    """What is committed is there after any crash. Transactions run at once, one after the other.

    Used again and again: SQLAlchemy would compile every statement anew for a new engine.
    """

    def __init__(self, service: str) -> None:
        super().__init__("sqlite://")
        self.migrate(f"services.{service}")
        self._empty = Database("sqlite://")
        self.keep()

    def keep(self) -> None:
        """What it holds now is what `reset` goes back to."""
        raw_connection(self).backup(raw_connection(self._empty))

    def reset(self) -> None:
        raw_connection(self._empty).backup(raw_connection(self))

    def run(self, work: Callable[[Connection], T]) -> T:
        return self._writer._transaction(work, durable=True)


class Access(Port, Database):
    """A program's access to its disk: it may die before, and after, each transaction."""

    def __init__(self, program: Program, disk: Disk) -> None:
        Port.__init__(self, program)
        self._disk = disk

    async def write(self, work: Callable[[Connection], T]) -> T:
        await self.step()
        result = self._disk.run(work)
        await self.step()
        return result

    read = note = write


def raw_connection(database: Database) -> Any:
    connection: Any = database.engine.raw_connection().driver_connection
    return connection


def make_disks(rooms: list[dict[str, Any]]) -> Mapping[str, Disk]:
    """One for each service."""
    made = {name: Disk(name) for name in ("booking", "meetings", "notifier")}
    room = sa.Table("room", sa.MetaData(), autoload_with=made["booking"].engine)
    made["booking"].run(lambda connection: connection.execute(sa.insert(room), rooms))
    made["booking"].keep()
    return made
