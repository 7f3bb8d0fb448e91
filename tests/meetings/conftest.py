"""A stand-in for each test, the provider that asks it, and a database on both kinds of server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.meetings.simulated import Simulated
from services.meetings.tencent.tencent import Tencent
from services.meetings.webhook_events import WebhookEvents
from services.platform.data.database import Database
from services.standin.server import Standin
from tests import templates
from tests.meetings.builders import HandClock, provider


@pytest.fixture
def standin() -> Iterator[Standin]:
    made = Standin()
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def tencent(standin: Standin) -> AsyncIterator[Tencent]:
    made, client = provider(standin.address)
    yield made
    await client.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def service() -> str:
    return "services.meetings"


@pytest.fixture(params=templates.DATABASES)
def url(request: pytest.FixtureRequest, service: str, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return templates.on_sqlite(tmp_path / "meetings.db", service)
    postgres: str = request.getfixturevalue("postgres")
    return postgres


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = Database(url)
    yield made
    made.close()


@pytest.fixture
def webhook_events(database: Database, clock: HandClock) -> WebhookEvents:
    return WebhookEvents(database, clock, lambda: None)


@pytest.fixture
def simulated(database: Database, clock: HandClock, webhook_events: WebhookEvents) -> Simulated:
    return Simulated(database, clock, webhook_events)
