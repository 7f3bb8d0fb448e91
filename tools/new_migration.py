"""Writes the next migration of a service: what its models have and its migrations do not make yet.

    python -m tools.new_migration booking "rooms have a colour"

The file is a draft to be read and completed: Alembic does not see triggers, and does not know what becomes of data.
"""

import importlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext

from services.platform.data import migrations
from services.platform.data.database import Database

ROOT = Path(__file__).resolve().parents[1]
"""Of the sources in which it is run; the package that is installed may be another."""

TEMPLATE = '''"""{message}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}


def upgrade() -> None:
{body}
'''


APPEND_ONLY = "from services.platform.data.migrations import make_append_only\n"
FIRST = (
    TEMPLATE.replace("{message}", "The first form of the tables").replace("import op\n", f"import op\n\n{APPEND_ONLY}")
    + '    make_append_only("audit")\n'
)
"""Of a service that keeps an audit log, as every one does."""


def main(service: str, message: str) -> None:
    package = f"services.{service}"
    tables = {str(table.__tablename__) for table in importlib.import_module(f"{package}.models").TABLES}
    known = sorted(migrations.read_revisions(package))
    revision = f"{int(known[-1]) + 1 if known else 1:04}"
    name = re.sub(r"\W+", "_", message.lower()).strip("_")
    folder = ROOT / "services" / service / "migrations"
    if folder != migrations.folder(package):
        sys.exit(
            f"the services are those of {migrations.folder(package)}: run `python -m tools.new_migration` in {ROOT}"
        )
    path = folder / f"{revision}_{name}.py"
    body = render(package, tables) if known else render(None, tables)
    template = TEMPLATE if known else FIRST
    path.parent.mkdir(exist_ok=True)
    path.write_text(template.format(message=message, revision=revision, down=known[-1] if known else None, body=body))
    print(f"wrote {path.name}: read it, complete it, run `make format` and the tests")


def render(package: str | None, tables: set[str]) -> str:
    """The body of upgrade(); `package` None: against an empty database."""
    with tempfile.TemporaryDirectory() as place:
        database = Database(f"sqlite:///{Path(place)}/empty.db")
        if package:
            database.migrate(package)
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_object": only(tables)})
            script = produce_migrations(context, metadata_for_both())
        database.close()
    assert script.upgrade_ops  # noqa: S101 - Alembic always makes one
    drawn = render_python_code(script.upgrade_ops).replace("sqlmodel.sql.sqltypes.AutoString()", "sa.String()")
    return "\n".join(line for line in drawn.splitlines() if not line.strip().startswith("#"))


def metadata_for_both() -> Any:
    """As the models say, with each partial index partial on PostgreSQL too."""
    metadata = importlib.import_module("sqlmodel").SQLModel.metadata
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        if (where := index.dialect_kwargs.get("sqlite_where")) is not None:
            index.dialect_kwargs["postgresql_where"] = where
    return metadata


def only(tables: set[str]) -> Any:
    return lambda item, name, kind, reflected, against: kind != "table" or name in tables


if __name__ == "__main__":
    main(*sys.argv[1:])
