"""Brings a database to the form that its program expects: Alembic migrations, run when the program starts.

A service keeps them in `migrations/`, one file a revision, named by its number: 0001_initial.py, 0002_...
"""

import importlib.resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

VERSION_TABLE = "alembic_version"
LOCK = 7_308_052_013  # any number: replicas that start together take turns


def migrate(engine: Engine, package: str) -> None:
    """Upgrades an empty or older database in one transaction; what is up to date costs two small queries.

    Ends the program for a database of a newer one, or of one from before there were migrations.
    """
    revisions = read_revisions(package)
    with engine.begin() as connection:  # on SQLite this waits for its turn
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        current = read_version(connection)
        if current == max(revisions):
            return
        refuse_what_is_unknown(connection, current, revisions)
        upgrade(connection, package)


def read_revisions(package: str) -> dict[str, Path]:
    """The migration files of a service by revision."""
    return {path.name.partition("_")[0]: path for path in folder(package).glob("[0-9]*_*.py")}


def folder(package: str) -> Path:
    return Path(str(importlib.resources.files(package))) / "migrations"


def read_version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - constant
    return version


def refuse_what_is_unknown(connection: Connection, current: str | None, revisions: dict[str, Path]) -> None:
    if current is None and sa.inspect(connection).get_table_names():
        raise SystemExit(
            "this database was made by a version from before the first release, which cannot be upgraded: "
            "begin with an empty one (for `yunhui up`, remove the state directory)"
        )
    if current is not None and current not in revisions:
        raise SystemExit(
            f"this database is at revision {current}, and this program knows only up to {max(revisions)}: "
            "run the newer program, or restore a backup from before the upgrade"
        )


def upgrade(connection: Connection, package: str) -> None:
    """Runs what is missing in the transaction of `connection`."""
    # here, because importing Alembic takes longer than all the rest of the start, and is seldom needed
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    place = str(folder(package))
    script = ScriptDirectory(place, version_locations=[place])

    def steps(current: Any, _: object) -> Any:
        return script._upgrade_revs("head", current)  # what Alembic's own command calls; there is no public name

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()


def make_append_only(table: str) -> None:
    """For migrations: from here on the database refuses to change or remove rows. Its owner can undo that."""
    from alembic import op

    words = f"rows of {table} are only ever added"
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            name = f"{table}_no_{act.lower()}"
            op.execute(f"CREATE TRIGGER {name} BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, '{words}'); END")
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )
