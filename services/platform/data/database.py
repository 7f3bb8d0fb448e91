"""The database of one program: SQLite (embedded) or PostgreSQL behind the same two calls, `read` and `write`.

Times are stored as epoch milliseconds in integers: the same in both databases, and no time zone can get lost.
Models say `sqlite_where` for a partial index and mean both databases: the other word would load SQLAlchemy's PostgreSQL
dialect, 4 MB a program, where there is none. Migrations make the index on both.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from itertools import chain
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError

from services.platform.data import migrations
from services.platform.serving import errors

T = TypeVar("T")

MINIMUM_SQLITE = (3, 51, 3)  # older ones can corrupt the file when the WAL is reset (3.7.0 to 3.51.2)
BUSY_TIMEOUT_MS = 10_000
WAL_PAUSE_SECONDS = 0.02
OVERTAKEN = ("40001", "40P01")  # PostgreSQL: serialization failure, deadlock; the other one went on
DAMAGED = ("XX001", "XX002")


MOST_ROWS = 64


class ForEach:
    """A statement with a piece of SQL for each of some items, for what runs often.

    `sql` has the pieces, joined, in place of each `{0}`; in `piece` each name stands as `:name{0}`. Written once for
    each dialect and each number of items and given to the driver as it is: building and compiling an expression costs
    more than running it. Numbers are rounded up to 1, 2, 4, 8, ... (the last item is repeated), unless the items are
    `distinct` rows.
    """

    def __init__(self, sql: str, piece: str, joined_by: str, *names: str, distinct: bool = False) -> None:
        self._sql, self._piece, self._joined_by, self._names = sql, piece, joined_by, names
        self._distinct = distinct
        self._prepared: dict[tuple[str, int], tuple[str, Sequence[str], Sequence[str] | None]] = {}

    def execute(self, connection: Connection, items: Collection[Sequence[Any]], **values: Any) -> list[tuple[Any, ...]]:
        """The rows; none for no `items`, which give their names' values in order. `values` are the statement's own."""
        if not items:
            return []
        number = len(items) if self._distinct else 1 << (len(items) - 1).bit_length()
        padded = [*items, *[*items][-1:] * (number - len(items))]
        statement, names, positions = self._prepare(connection, number)
        values |= zip(names, chain.from_iterable(padded), strict=True)
        return query(connection, statement, values if positions is None else [values[name] for name in positions])

    def _prepare(self, connection: Connection, number: int) -> tuple[str, Sequence[str], Sequence[str] | None]:
        """The driver's SQL, the items' names in order, and the order of its parameters where that has no names."""
        key = (connection.dialect.name, number)
        if key not in self._prepared:
            pieces = self._joined_by.join(self._piece.format(index) for index in range(number))
            compiled: Any = sa.text(self._sql.format(pieces)).compile(dialect=connection.dialect)
            names = [f"{name}{index}" for index in range(number) for name in self._names]
            self._prepared[key] = str(compiled), names, compiled.positiontup
        return self._prepared[key]


def query(connection: Connection, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
    """The rows of the driver's own SQL: what SQLAlchemy does around a statement costs more than most of ours.

    In the transaction of `connection`. Raises SQLAlchemy's errors, as everybody else.
    """
    try:
        rows: list[tuple[Any, ...]] = _driver(connection).execute(statement, values).fetchall()
        return rows
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_everywhere(connection, error) from error


def _run(connection: Connection, statement: str, values: Any = ()) -> None:
    """As `query`, for what gives no rows."""
    try:
        _driver(connection).execute(statement, values).close()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_everywhere(connection, error) from error


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _as_everywhere(connection: Connection, error: Exception) -> BaseException:
    driver_errors = connection.dialect.loaded_dbapi.Error
    return DBAPIError.instance(None, None, error, driver_errors, dialect=connection.dialect)


class Insert:
    """Rows for a table, for what runs often: several with one statement, written once and given to the driver as it is.

    SQLite's driver lets go of the interpreter for every statement, also for each row of executemany, and has to wait to
    get it back; what SQLAlchemy does with each value costs a fifth of all. All rows have the same columns, those with a
    default too, and values that the driver takes as they are: numbers, text, bytes, bool, None.
    """

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._prepared: dict[tuple[str, int, tuple[str, ...]], str] = {}

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        done = 0
        while done < len(rows):
            number = 1 << (min(len(rows) - done, MOST_ROWS).bit_length() - 1)  # few different ones stay prepared
            some = rows[done : done + number]
            if any(len(row) != len(some[0]) for row in some):
                raise ValueError("all rows have the same columns")
            statement = self._prepare(connection, number, tuple(some[0]))
            _run(connection, statement, [row[name] for row in some for name in some[0]])
            done += number

    def _prepare(self, connection: Connection, number: int, columns: tuple[str, ...]) -> str:
        key = (connection.dialect.name, number, columns)
        if key not in self._prepared:
            quote, mark = connection.dialect.identifier_preparer.quote, parameter_mark(connection)
            row = f"({', '.join([mark] * len(columns))})"
            self._prepared[key] = (
                f"INSERT INTO {quote(self._table.name)} ({', '.join(map(quote, columns))})"  # noqa: S608 - names only
                f" VALUES {', '.join([row] * number)}"
            )
        return self._prepared[key]


def parameter_mark(connection: Connection) -> str:
    """What stands for a value in the driver's own SQL."""
    return "?" if connection.dialect.positional else "%s"


class ConflictError(Exception):
    """A constraint refused the transaction, or another one that was under way; nothing of it was stored."""


class Database:
    """Runs whole transactions in worker threads: one that writes, one that reads, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url)
        self._writer = _Worker(self.engine, "write")
        self._reader = _Worker(self.engine.execution_options(**reading(self.engine)), "read")
        self._fresh = create_engine(url, poolclass=sa.NullPool).execution_options(**reading(self.engine))

    def migrate(self, package: str) -> None:
        """Brings the tables to the form that the service expects, or ends the program when it cannot be done."""
        migrations.migrate(self.engine, package)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one durable transaction: all of it is committed, or, when it raises, none.

        Raises errors.unavailable when the database cannot be reached or is full, ConflictError when a constraint
        refuses.
        """
        return await self._writer.run(work)

    async def note(self, work: Callable[[Connection], T]) -> T:
        """As `write`, but nobody waits for the disk: when the power fails, what was noted last may never have been.

        For what can be found out again, and is not lost with the program alone.
        """
        return await self._writer.run(work, durable=False)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on one consistent snapshot."""
        return await self._reader.run(work)

    async def read_fresh(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on what is stored now: of SQLite's file, a connection that is kept may only remember it."""
        if self.engine.dialect.name != "sqlite":
            return await self._reader.run(work)
        return await asyncio.to_thread(self._read_fresh, work)

    def _read_fresh(self, work: Callable[[Connection], T]) -> T:
        with self._fresh.connect() as connection:
            return work(connection)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()
        self.engine.dispose()


class _Worker:
    """One thread and its connection, kept open: taking one from a pool costs as much as a statement."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"database-{name}")
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        here = copy_context()  # what is stored knows whose trace it belongs to
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, here.run, self._transaction, work, durable)

    def _transaction(self, work: Callable[[Connection], T], durable: bool) -> T:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin() if durable else begin_note(self._connection):
                return work(self._connection)
        except IntegrityError as error:
            raise ConflictError(str(error.orig)) from error
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) in OVERTAKEN:
                raise ConflictError(str(error.orig)) from error
            if error.connection_invalidated or isinstance(error, OperationalError) or is_damage(error):
                self._disconnect()
                raise errors.unavailable("database") from error
            raise

    def _disconnect(self) -> None:
        """For good, not back into the pool: what a connection remembers of a damaged file would outlive its repair."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        self._thread.submit(self._disconnect)
        self._thread.shutdown()


@contextmanager
def begin_note(connection: Connection) -> Iterator[None]:
    """A transaction that is not waited for until it is on the disk: the next one that is takes it along."""
    if connection.dialect.name == "postgresql":
        with connection.begin():
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            yield
        return
    _run(connection, "PRAGMA synchronous=NORMAL")
    try:
        with connection.begin():
            yield
    finally:
        _run(connection, "PRAGMA synchronous=FULL")


def is_damage(error: DBAPIError) -> bool:
    """What is stored cannot be read. SQLite says so without a kind; PostgreSQL: data or index corrupted."""
    return type(error) is DatabaseError or getattr(error.orig, "sqlstate", None) in DAMAGED


def reading(engine: Engine) -> dict[str, Any]:
    """Options of transactions that see one snapshot: PostgreSQL would give each statement one of its own."""
    if engine.dialect.name == "sqlite":
        return {"read_only": True}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def create_engine(url: str, **options: Any) -> Engine:
    """An engine with the settings that make a commit durable. Raises RuntimeError for a SQLite that loses data."""
    if make_url(url).get_backend_name() != "sqlite":
        # a writer that has waited for its turn sees what was committed meanwhile
        return sa.create_engine(url, pool_size=2, isolation_level="READ COMMITTED")
    import pysqlite3.dbapi2 as sqlite

    if sqlite.sqlite_version_info < MINIMUM_SQLITE:
        raise RuntimeError(f"SQLite {sqlite.sqlite_version} can corrupt its file; 3.51.3 or newer is needed")
    engine = sa.create_engine(url, module=sqlite, **options)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would open no transaction for a SELECT
    enter_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {pragma}").close()


def enter_wal(connection: Any) -> None:
    """Of several that open a new file at once only one can change its mode, and SQLite lets the others not wait."""
    end = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except connection.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(WAL_PAUSE_SECONDS)


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: what is read in a writing transaction cannot change before it commits
    deferred = connection.get_execution_options().get("read_only")
    _run(connection, "BEGIN" if deferred else "BEGIN IMMEDIATE")
