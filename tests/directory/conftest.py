"""The directory on both databases, and a clock that the test moves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.directory.changes import Changes
from services.directory.scopes import Actor
from services.platform.data.database import Database
from services.platform.serving.permissions import CATALOGUE
from tests import templates

MONDAY = 1_772_416_800_000
"""Epoch ms: 2026-03-02T10:00+08:00."""
METHOD = "yunhui.directory.v1.TestService/Act"
ADMIN = Actor("admin", frozenset({"admin"}), METHOD, dict.fromkeys(CATALOGUE, frozenset[str]()))
"""May do everything."""


@dataclass
class ManualClock:
    time: int = MONDAY
    patience: float = 0.01

    def now(self) -> int:
        return self.time


@pytest.fixture
def service() -> str:
    return "services.directory"


@pytest.fixture(params=templates.DATABASES)
def database_url(request: pytest.FixtureRequest, service: str, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return templates.on_sqlite(tmp_path / "directory.db", service)
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def changes(database: Database, clock: ManualClock) -> Changes:
    return Changes(database, clock, lambda: None)


@pytest.fixture
def replicas(database_url: str, changes: Changes) -> Iterator[list[Changes]]:
    """Two on one database, each with connections of its own."""
    other = Database(database_url)
    yield [changes, Changes(other, changes.clock, lambda: None)]
    other.close()
