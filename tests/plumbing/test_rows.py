"""Sessions within a transaction: what they write is part of it, and what they gave outlives it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Field, MetaData, SQLModel, col, select

from services.platform.data.database import ConflictError, Database
from services.platform.data.rows import open_session


class Animal(SQLModel, table=True):
    metadata = MetaData()  # of its own: no service has this table

    name: str = Field(primary_key=True)
    legs: int


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    file = f"sqlite:///{tmp_path}/animals.db"
    made = Database(file if request.param == "sqlite" else request.getfixturevalue("postgres"))
    await made.write(lambda c: Animal.metadata.create_all(c))
    yield made
    made.close()


def add(connection: sa.Connection, name: str, legs: int) -> Animal:
    animal = Animal(name=name, legs=legs)
    with open_session(connection) as session:
        session.add(animal)
    return animal


def legs(connection: sa.Connection) -> dict[str, int]:
    with open_session(connection) as session:
        return {each.name: each.legs for each in session.exec(select(Animal).order_by(col(Animal.name)))}


async def test_what_was_added_or_changed_is_committed_with_the_rest(database: Database) -> None:
    def work(connection: sa.Connection) -> Animal:
        add(connection, "dog", 4)
        with open_session(connection) as session:
            dog = session.get_one(Animal, "dog")
            dog.legs = 3
        connection.execute(sa.insert(Animal).values(name="hen", legs=dog.legs - 1))
        return dog

    dog = await database.write(work)
    assert (dog.name, dog.legs) == ("dog", 3), "readable, though its session is closed"
    assert await database.read(legs) == {"dog": 3, "hen": 2}


async def test_work_that_fails_leaves_nothing(database: Database) -> None:
    def work(connection: sa.Connection) -> None:
        add(connection, "dog", 4)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)
    assert await database.read(legs) == {}


async def test_a_refused_row_is_a_conflict_and_takes_the_rest_along(database: Database) -> None:
    await database.write(lambda c: add(c, "dog", 4))

    def work(connection: sa.Connection) -> None:
        add(connection, "hen", 2)
        add(connection, "dog", 5)

    with pytest.raises(ConflictError):
        await database.write(work)
    await database.write(lambda c: add(c, "cow", 4))
    assert await database.read(legs) == {"cow": 4, "dog": 4}


async def test_each_session_sees_what_statements_did(database: Database) -> None:
    def work(connection: sa.Connection) -> dict[str, int]:
        add(connection, "dog", 4)
        connection.execute(sa.update(Animal).values(legs=3))
        return legs(connection)

    assert await database.write(work) == {"dog": 3}
