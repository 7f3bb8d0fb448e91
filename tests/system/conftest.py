"""One running installation for all system tests."""

from collections.abc import Iterator

import pytest

from tests.system.stack import MONDAY, Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"))
    running.start("--clock", MONDAY)
    yield running
    running.stop()
