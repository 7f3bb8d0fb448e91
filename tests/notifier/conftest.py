"""Fixtures of the notifier's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.notifier.smtp import Smtp, SmtpServer
from services.platform.data.database import Database
from tests import templates
from tests.notifier.samples import LETTERHEAD
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, Bus, MailSink


class HandClock:
    """Stands still until it is set."""

    patience = 0.01

    def __init__(self) -> None:
        self.time = 1_000_000

    def now(self) -> int:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def service() -> str:
    return "services.notifier"


@pytest.fixture(params=templates.DATABASES)
def database(request: pytest.FixtureRequest, service: str, tmp_path: Path) -> Iterator[Database]:
    file, on_sqlite = tmp_path / "notifier.db", request.param == "sqlite"
    made = Database(templates.on_sqlite(file, service) if on_sqlite else request.getfixturevalue("postgres"))
    yield made
    made.close()


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    made = MailSink()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def channel(sink: MailSink) -> Smtp:
    return Smtp(SmtpServer(HOST, sink.port, LETTERHEAD.sender, encryption="off", timeout=PATIENCE_SECONDS, rate=1000))


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    made = Bus(tmp_path / "nats")
    await made.start()
    await made.set_up()
    yield made
    await made.stop()
