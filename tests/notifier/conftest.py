"""Fixtures of the notifier's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.notifier.channels import Smtp
from tests.notifier.samples import LETTERHEAD
from tests.servers import HOST, Bus, MailSink


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    made = MailSink()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def channel(sink: MailSink) -> Smtp:
    return Smtp(HOST, sink.port, LETTERHEAD.sender, encryption="off", timeout=10)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    made = Bus(tmp_path / "nats")
    await made.start()
    await made.set_up()
    yield made
    await made.stop()
