"""New databases with the tables of a service: migrated once, copied for each test. Without a `service`: empty ones."""

import tempfile
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.platform.data.database import Database
from tests import postgres

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)]
"""Of a fixture that gives both, one after the other: `make test` tries them on SQLite, `make test-all` on both."""


def on_sqlite(file: Path, service: str) -> str:
    """Its URL."""
    file.write_bytes(_sqlite(service))
    return f"sqlite:///{file}"


def on_postgres(server: sa.URL, name: str, service: str) -> str:
    """Its URL."""
    return postgres.create_database(server, name, _postgres(server, service) if service else "template1")


@cache
def _sqlite(service: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.db"
        _migrate(f"sqlite:///{file}", service)
        return file.read_bytes()


@cache
def _postgres(server: sa.URL, service: str) -> str:
    name = service.replace(".", "_")
    _migrate(postgres.create_database(server, name), service)
    return name


def _migrate(url: str, service: str) -> None:
    database = Database(url)
    database.migrate(service)
    database.close()
