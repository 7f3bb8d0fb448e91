"""Migrations make exactly what the models say, once, whoever starts first; and never touch what they do not know."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from services.installation.registry import SERVICE_NAMES
from services.platform.data import migrations
from services.platform.data.database import create_engine
from tests.booking.builders import ROOMS, TEN
from tools.new_migration import ROOT

SERVICES = [f"services.{name}" for name in SERVICE_NAMES]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.db"
    address: str = request.getfixturevalue("postgres")
    return address


def tables_of(package: str) -> set[str]:
    return {str(table.__tablename__) for table in importlib.import_module(f"{package}.models").TABLES}


@pytest.mark.parametrize("package", SERVICES)
def test_from_nothing_they_make_what_the_models_say(url: str, package: str) -> None:
    engine, tables = create_engine(url), tables_of(package)
    migrations.migrate(engine, package)
    with engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {*tables, migrations.VERSION_TABLE}
        options: dict[str, Any] = {
            "include_object": lambda _, name, kind, *rest: kind != "table" or name in tables,
            "compare_type": True,
            "compare_server_default": True,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


@pytest.mark.parametrize("package", SERVICES)
def test_the_checks_of_the_models_are_there_too(url: str, package: str) -> None:
    """Alembic does not compare them."""
    engine = create_engine(url)
    migrations.migrate(engine, package)
    inspector = sa.inspect(engine)
    for name in tables_of(package):
        wanted = {check.name for check in SQLModel.metadata.tables[name].constraints if is_check(check)}
        assert {check["name"] for check in inspector.get_check_constraints(name)} == wanted
    engine.dispose()


@pytest.mark.parametrize("package", SERVICES)
def test_partial_indexes_are_partial_on_both(url: str, package: str) -> None:
    """Alembic does not compare that either, and the models say it for SQLite only."""
    engine, tables = create_engine(url), tables_of(package)
    migrations.migrate(engine, package)
    indexes = {index.name: index for name in tables for index in SQLModel.metadata.tables[name].indexes}
    wanted = {name for name, index in indexes.items() if index.dialect_kwargs.get("sqlite_where") is not None}
    sqlite, postgresql = "SELECT name, sql FROM sqlite_master", "SELECT indexname, indexdef FROM pg_indexes"
    with engine.connect() as connection:
        rows = connection.execute(sa.text(sqlite if "sqlite" in url else postgresql))
        made = {name for name, sql in rows if sql and "WHERE" in sql}
    assert made & indexes.keys() == wanted
    engine.dispose()


def is_check(constraint: sa.Constraint) -> bool:
    return isinstance(constraint, sa.CheckConstraint)


@pytest.mark.parametrize("package", SERVICES)
def test_their_numbers_are_their_order(package: str) -> None:
    """So that the newest is known without Alembic, whose import would take longer than the rest of the start."""
    place = str(migrations.folder(package))
    script = ScriptDirectory(place, version_locations=[place])
    ordered = [revision.revision for revision in script.walk_revisions()][::-1]
    assert ordered == sorted(migrations.read_revisions(package))
    assert all(re.fullmatch(r"\d{4}", each) for each in ordered)


def test_whoever_starts_at_the_same_time_waits(url: str) -> None:
    """In processes, as replicas are: Alembic itself is not made for threads."""
    program = (
        "import sys; from services.platform.data.database import Database;"
        " Database(sys.argv[1]).migrate('services.booking')"
    )
    replicas = [subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(replica.wait(60), replica.communicate()[1]) for replica in replicas] == [(0, b"")] * 3


def test_a_database_that_is_up_to_date_is_left_alone(url: str) -> None:
    engine = create_engine(url)
    migrations.migrate(engine, "services.booking")
    with engine.begin() as connection:
        connection.execute(sa.insert(SQLModel.metadata.tables["room"]), ROOMS)
    migrations.migrate(engine, "services.booking")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM room")) == len(ROOMS)
    engine.dispose()


def test_a_database_of_a_newer_program_is_refused(url: str) -> None:
    engine = create_engine(url)
    migrations.migrate(engine, "services.booking")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SystemExit, match="revision 9999"):
        migrations.migrate(engine, "services.booking")
    engine.dispose()


def test_a_database_from_before_the_migrations_is_refused_and_left_alone(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE reservation (reservation_id TEXT)"))
    with pytest.raises(SystemExit, match="begin with an empty one"):
        migrations.migrate(engine, "services.booking")
    assert sa.inspect(engine).get_table_names() == ["reservation"]
    engine.dispose()


def test_the_walls_refuse_an_overlap(url: str) -> None:
    engine = create_engine(url)
    migrations.migrate(engine, "services.booking")
    room, table = SQLModel.metadata.tables["room"], SQLModel.metadata.tables["reservation"]
    hour = 3_600_000
    with engine.begin() as connection:
        connection.execute(sa.insert(room), ROOMS)
        connection.execute(sa.insert(table), [row("first", TEN, TEN + hour), row("after", TEN + hour, TEN + 2 * hour)])
    for overlapping in (row("inside", TEN + 1, TEN + 2), row("across", TEN - 1, TEN + 1), row("around", 1, TEN + 5)):
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.execute(sa.insert(table), [overlapping])
    moved = sa.update(table).where(table.c.reservation_id == "after").values(start_time=TEN + hour - 1)
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(moved)
    engine.dispose()


def test_the_walls_refuse_a_second_live_reservation_of_a_meeting(url: str) -> None:
    """What is over makes way, and so does another occurrence; without a meeting there is no such wall."""
    engine = create_engine(url)
    migrations.migrate(engine, "services.booking")
    room, table = SQLModel.metadata.tables["room"], SQLModel.metadata.tables["reservation"]
    meeting = {"provider": "simulated", "meeting_id": "1", "sub_meeting_id": "1"}
    fields = [
        meeting,
        {**meeting, "sub_meeting_id": "2"},
        {**meeting, "provider": "other"},
        {**meeting, "state": "CANCELLED"},
        *({}, {}),
    ]
    hour = 3_600_000
    with engine.begin() as connection:
        connection.execute(sa.insert(room), ROOMS)
        for number, more in enumerate(fields):
            connection.execute(sa.insert(table), [row(str(number), number * hour, number * hour + 1) | more])
    for state in ("PENDING_APPROVAL", "CONFIRMED", "IN_USE"):
        second = row("second", 20 * hour, 21 * hour) | meeting | {"state": state}
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.execute(sa.insert(table), [second])
    engine.dispose()


def row(name: str, start: int, end: int) -> dict[str, Any]:
    numbers = {"version": 1, "participant_count": 3, "create_time": 1, "update_time": 1}
    texts = dict.fromkeys(("account_id", "created_by", "meeting_code", "subject", "decision_id", "note"), "")
    texts |= dict.fromkeys(("provider", "meeting_id", "sub_meeting_id", "meeting_state", "attendance"), "")
    texts |= {"unknown_reason": ""}
    numbers |= {"ask_count": 0}
    place = {"room_id": "small-1", "start_time": start, "end_time": end, "state": "CONFIRMED"}
    return {"reservation_id": name, **numbers, **texts, **place}


def test_old_reservations_learn_when_support_was_asked(url: str) -> None:
    """From the decision with which each was made, whatever came of it."""
    engine = create_engine(url)
    migrations.migrate(engine, "services.booking")
    made = {"escalated": ("CREATE", "ESCALATE"), "allowed": ("CREATE", "ALLOW"), "enlarged": ("UPDATE", "ESCALATE")}
    decision = {"account_id": "", "actor": "", "time": 1, "policy_version": "", "request": b"", "decision": b""}
    with engine.begin() as connection:
        forget_pool_changes(connection)
        connection.execute(sa.text("ALTER TABLE reservation DROP COLUMN escalate_time"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0004'"))
        connection.execute(sa.insert(SQLModel.metadata.tables["room"]), ROOMS)
        for number, (name, (action, effect)) in enumerate(made.items()):
            fields = {**row(name, 10 * number + 1, 10 * number + 2), "state": "CANCELLED"}
            connection.execute(sa.insert(SQLModel.metadata.tables["reservation"]), [fields])
            rest = {"decision_id": name, "reservation_id": name, "action": action, "effect": effect}
            connection.execute(sa.insert(SQLModel.metadata.tables["decision"]), [decision | rest])
    migrations.migrate(engine, "services.booking")
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT reservation_id, escalate_time FROM reservation")).all()
    assert dict(tuple(each) for each in found) == {"escalated": 1, "allowed": None, "enlarged": None}
    engine.dispose()


def forget_pool_changes(connection: sa.Connection) -> None:
    """Before revision 0006; and what came later."""
    connection.exec_driver_sql("DROP TABLE owed_making")
    connection.exec_driver_sql("ALTER TABLE reservation DROP COLUMN making_id")
    connection.exec_driver_sql("DROP INDEX reservation_often")
    connection.exec_driver_sql("DROP INDEX reservation_account_state")
    connection.exec_driver_sql("DROP TABLE directory_membership")
    connection.exec_driver_sql("DROP TABLE directory_member")
    connection.exec_driver_sql("DROP TABLE directory_department")
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%pool_change%'"
        for name in connection.scalars(sa.text(query)).all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    else:
        connection.exec_driver_sql("DROP FUNCTION pool_note CASCADE")
    connection.exec_driver_sql("DROP TABLE pool_change")


def test_a_migration_is_drafted_beside_the_sources_it_is_run_in(tmp_path: Path) -> None:
    """Not in the package that is installed, which has another home."""
    for folder in ("services", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    known = {*migrations.folder("services.meetings").iterdir()}
    command = [sys.executable, "-m", "tools.new_migration", "meetings", "nothing new"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert {*(tmp_path / "services/meetings/migrations").glob("*_nothing_new.py")}
    assert {*migrations.folder("services.meetings").iterdir()} == known
