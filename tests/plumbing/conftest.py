"""Fixtures of the tests of what all programs stand on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers import Bus


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Bus]:
    """A bus without streams."""
    made = Bus(tmp_path / "nats")
    await made.start()
    yield made
    await made.stop()
