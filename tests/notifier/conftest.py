"""Fixtures of the notifier's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.database import Database
from services.notifier.smtp import Server, Smtp
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


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'notifier.db'}" if on_sqlite else request.getfixturevalue("postgres")
    made = Database(url)
    made.migrate("services.notifier")
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
    return Smtp(Server(HOST, sink.port, LETTERHEAD.sender, encryption="off", timeout=PATIENCE_SECONDS, rate=1000))


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    made = Bus(tmp_path / "nats")
    await made.start()
    await made.set_up()
    yield made
    await made.stop()
