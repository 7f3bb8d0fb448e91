"""Statements for many items: prepared for few sizes, and each item answered once."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.platform.data.database import ConflictError, Database, ForEach, Insert, enter_wal
from services.platform.serving import errors

SQUARES = ForEach("SELECT n FROM numbers WHERE n IN ({0}) OR n IN ({0}) AND n > :least ORDER BY n", ":n{0}", ", ", "n")


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 31, 33])
async def test_every_item_is_answered_once(tmp_path: Path, number: int) -> None:
    database = Database(f"sqlite:///{tmp_path}/numbers.db")

    def work(connection: sa.Connection) -> list[int]:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER)"))
        connection.execute(sa.text("INSERT INTO numbers VALUES (:n)"), [{"n": n} for n in range(100)])
        return [row[0] for row in SQUARES.execute(connection, [(n,) for n in range(number)], least=0)]

    assert await database.write(work) == list(range(number))
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    address: str = f"sqlite:///{tmp_path}/n.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    return address


async def test_what_is_read_together_was_true_together(url: str) -> None:
    reader, writer = Database(url), Database(url)
    await writer.write(lambda c: c.execute(sa.text("CREATE TABLE numbers (n INTEGER)")))
    read_once, written = threading.Event(), threading.Event()

    def count(connection: sa.Connection) -> int:
        return connection.scalar(sa.text("SELECT count(*) FROM numbers")) or 0

    def read_twice(connection: sa.Connection) -> tuple[int, int]:
        first = count(connection)
        read_once.set()
        written.wait()
        return first, count(connection)

    reading = asyncio.create_task(reader.read(read_twice))
    await asyncio.to_thread(read_once.wait)
    await writer.write(lambda c: c.execute(sa.text("INSERT INTO numbers VALUES (1)")))
    written.set()
    assert await reading == (0, 0)
    assert await reader.read(count) == 1
    reader.close()
    writer.close()


async def test_who_opens_a_new_file_waits_for_the_one_that_came_first(tmp_path: Path) -> None:
    import pysqlite3.dbapi2 as sqlite

    path = tmp_path / "new.db"
    first = sqlite.connect(path, isolation_level=None)
    first.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor() as pool, sqlite.connect(path, timeout=0, check_same_thread=False) as second:
        waiting = pool.submit(enter_wal, second)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.1)
        first.close()
        waiting.result()
        assert second.execute("PRAGMA journal_mode").fetchone() == ("wal",)


NOTED = {"sqlite": ("PRAGMA synchronous", "1"), "postgresql": ("SHOW synchronous_commit", "off")}


async def test_a_note_is_there_at_once_and_what_is_written_after_it_waits_for_the_disk_again(url: str) -> None:
    database, other = Database(url), Database(url)
    question, noted = NOTED[database.engine.dialect.name]
    await database.write(lambda c: c.execute(sa.text("CREATE TABLE numbers (n INTEGER)")))
    usual = await database.write(lambda c: str(c.scalar(sa.text(question))))

    def insert(connection: sa.Connection) -> str:
        connection.execute(sa.text("INSERT INTO numbers VALUES (1)"))
        return str(connection.scalar(sa.text(question)))

    def fail(connection: sa.Connection) -> None:
        insert(connection)
        raise ZeroDivisionError

    assert await database.note(insert) == noted
    assert await other.read(lambda c: c.scalar(sa.text("SELECT count(*) FROM numbers"))) == 1
    with pytest.raises(ZeroDivisionError):
        await database.note(fail)
    assert await database.write(insert) == usual
    assert await other.read(lambda c: c.scalar(sa.text("SELECT count(*) FROM numbers"))) == 2
    database.close()
    other.close()


async def test_rows_are_inserted_in_their_order_however_many_they_are(url: str) -> None:
    """With a statement for each power of two."""
    database = Database(url)
    columns = [sa.Column[Any](name, kind) for name, kind in KINDS.items()]
    table = sa.Table("things", sa.MetaData(), *columns)
    insert = Insert(table)

    def work(connection: sa.Connection) -> list[tuple[object, ...]]:
        table.metadata.create_all(connection)
        for number in NUMBERS:
            insert.execute(connection, rows(number))
        found = connection.execute(sa.select(table)).all()
        table.drop(connection)
        return [tuple(row) for row in found]

    assert await database.write(work) == [tuple(row.values()) for number in NUMBERS for row in rows(number)]
    database.close()


KINDS: dict[str, Any] = {"n": sa.Integer(), "t": sa.String(), "b": sa.Boolean(), "y": sa.LargeBinary()}
NUMBERS = (0, 1, 2, 3, 64, 65, 127, 200)


def rows(number: int) -> list[dict[str, object]]:
    """The last one of NULLs."""
    made: list[dict[str, object]] = [
        {"n": 2**20 + n, "t": f"云 '{n}' %s ?", "b": n % 2 == 0, "y": bytes([n % 256])} for n in range(number)
    ]
    return [*made[:-1], dict.fromkeys(made[-1])] if made else []


async def test_the_drivers_errors_are_those_of_everybody(url: str) -> None:
    database = Database(url)
    table = sa.Table("once", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True))
    await database.write(table.metadata.create_all)
    insert, one = Insert(table), [{"n": 1}]
    await database.write(lambda c: insert.execute(c, one))
    with pytest.raises(ConflictError):
        await database.write(lambda c: insert.execute(c, one))
    await database.write(table.drop)
    with pytest.raises(sa.exc.DBAPIError if "postgresql" in url else errors.RpcError):
        await database.write(lambda c: insert.execute(c, one))
    database.close()
