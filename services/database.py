"""The database of one program: SQLite (embedded) or PostgreSQL behind the same two calls, `read` and `write`.

Times are stored as epoch milliseconds in integers: the same in both databases, and no time zone can get lost.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import SQLModel

from services import rpc

T = TypeVar("T")

MINIMUM_SQLITE = (3, 51, 3)  # older ones can corrupt the file when the WAL is reset (3.7.0 to 3.51.2)
BUSY_TIMEOUT_MS = 10_000


class ConflictError(Exception):
    """A constraint of the database refused the transaction; nothing of it was stored."""


class Database:
    """Runs whole transactions in worker threads: one that writes, one that reads."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="database-read")

    def create_tables(self, *tables: type[SQLModel]) -> None:
        """Creates the tables that are missing, with the triggers and constraints that hang on them."""
        selected = [SQLModel.metadata.tables[str(table.__tablename__)] for table in tables]
        SQLModel.metadata.create_all(self.engine, tables=selected)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one durable transaction: all of it is committed, or, when it raises, none.

        Raises rpc.unavailable when the database cannot be reached or is full, ConflictError when a constraint refuses.
        """
        return await self._run(self._writer, self.engine, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on one consistent snapshot."""
        return await self._run(self._reader, self.engine.execution_options(read_only=True), work)

    async def _run(self, worker: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except IntegrityError as error:
                raise ConflictError(str(error.orig)) from error
            except OperationalError as error:
                raise rpc.unavailable("database") from error

        return await asyncio.get_running_loop().run_in_executor(worker, transaction)

    def close(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self.engine.dispose()


def create_engine(url: str) -> Engine:
    """An engine with the settings that make a commit durable. Raises RuntimeError for a SQLite that loses data."""
    if make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, pool_size=2)
    import pysqlite3.dbapi2 as sqlite

    if sqlite.sqlite_version_info < MINIMUM_SQLITE:
        raise RuntimeError(f"SQLite {sqlite.sqlite_version} can corrupt its file; 3.51.3 or newer is needed")
    engine = sa.create_engine(url, module=sqlite)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would open no transaction for a SELECT
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: what is read in a writing transaction cannot change before it commits
    deferred = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")
