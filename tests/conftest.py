"""One PostgreSQL for the whole run, from the lock file; and what a run says at its end."""

import os
import re
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from tests import templates
from tests.needs import pytest_sessionfinish as pytest_sessionfinish  # a hook, found by its name
from tests.postgres import running

settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
settings.load_profile("tests")
os.environ.pop("COLUMNS", None)  # several workers at once are given one; sentences would break where the window ends


LONGEST = "tests/portal/pages/test_sight.py"
"""No other file takes as long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs the real programs takes longest, and begins."""
    if timed := next((each.nodeid for each in items if tells_the_time(each.nodeid)), None):
        raise pytest.UsageError(f"workers collect at different moments, and this name tells when: {timed}")
    items.sort(key=lambda item: (not item.nodeid.startswith(LONGEST), item.get_closest_marker("system") is None))


def tells_the_time(name: str) -> bool:
    """Whether it holds a moment of these days, in seconds or milliseconds."""
    moments = [int(each[:10]) for each in re.findall(r"(?<!\d)\d{10}(?:\d{3})?(?!\d)", name)]
    return any(abs(each - time.time()) < 30 * 86_400 for each in moments)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[sa.URL]:
    with running() as url:
        yield url


@pytest.fixture
def service() -> str:
    """The package whose tables a new database has from the start; "": none. The tests of a service say which."""
    return ""


@pytest.fixture
def postgres(postgres_server: sa.URL, service: str, request: pytest.FixtureRequest) -> str:
    """The URL of a new database of the test's own."""
    return templates.on_postgres(postgres_server, f"test_{abs(hash(request.node.nodeid))}", service)
