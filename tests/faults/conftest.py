"""The database that two bookings share."""

import pytest

from tests import templates


@pytest.fixture(params=templates.DATABASES)
def shared_url(request: pytest.FixtureRequest) -> str:
    """A PostgreSQL of the test's own, or "": a SQLite file of the installation."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgres")
    return url
