"""Statements for many items: prepared for few sizes, and each item answered once."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.platform.data.database import Database, ForEach, enter_wal

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
