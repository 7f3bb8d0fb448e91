"""What a service with data stands on, set up in one place: its tables, the bus, gRPC with outbox and audit log, health.

A service says in its `__main__` what is its own: `run("booking", BookingSettings, start)`.
"""

import multiprocessing
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from nats.aio.client import Client
from pydantic import Field
from sqlmodel import SQLModel

from services.platform import clock, process, readiness
from services.platform.clock import Clock
from services.platform.data import audit_service
from services.platform.data.database import Database
from services.platform.messaging import bus, outbox, outbox_service
from services.platform.messaging.grants_line import BusLine
from services.platform.observing import metrics
from services.platform.serving import permissions, rpc
from services.platform.serving.grants import Grants
from services.platform.serving.identity import create_verifier
from services.platform.serving.rates import Rate
from services.platform.settings import ServerSettings


class HostSettings(ServerSettings):
    """Settings of a service with data."""

    database_url: str = Field(description="sqlite:///FILE or postgresql+psycopg://...")


S = TypeVar("S", bound=HostSettings)


@dataclass(frozen=True, slots=True)
class Host(Generic[S]):
    """What is there before a service's own parts."""

    name: str
    settings: S
    clock: Clock
    database: Database
    grants: Grants
    """What is granted to whom, as the directory says it."""

    @asynccontextmanager
    async def bus(self, interrupted: Callable[[], Awaitable[None]] = bus.unconcerned) -> AsyncIterator[Client]:
        """A connection as this program's user, waited for as long as it takes; see bus.connect."""
        connection = await bus.connect(self.settings, self.name, interrupted)
        try:
            yield connection
        finally:
            await bus.close(connection)


@dataclass(frozen=True, slots=True)
class Service:
    """What a service adds to its host."""

    servicers: Mapping[str, rpc.Add]
    """gRPC services by full name, each with the function that adds it to a server."""
    tables: Iterable[type[SQLModel]]
    """All that the service cannot do without."""
    connection: Callable[[], Client | None]
    """The one to the bus; None while there is none."""
    wake: Callable[[], None]
    """Tells the outbox that something was committed."""
    loops: Iterable[Coroutine[Any, Any, None]]
    """What runs beside the servers until the program ends."""
    checks: Mapping[str, readiness.Check] = field(default_factory=dict)
    """What must hold for calls to be answered, besides bus and database."""
    figures: Iterable[metrics.Read] = ()
    before_stop: Callable[[], None] = lambda: None
    """Ends the streams that would not end by themselves."""


Start = Callable[[Host[S]], AbstractAsyncContextManager[Service]]
"""Puts a service together; what it leaves behind is closed when the service has stopped."""


def run(name: str, kind: type[S], start: Start[S]) -> None:
    """Runs the service of the package services.`name` until SIGTERM."""

    def prepare(settings: S) -> process.Main:
        database = Database(settings.database_url)
        migrate(database, f"services.{name}")
        grants = Grants(settings.token_roles.split())
        return serve(Host(name, settings, clock.create(settings.clock_file), database, grants), start)

    process.run(name, kind, prepare)


def migrate(database: Database, package: str) -> None:
    """Brings the tables to the form that the service expects, or ends the program when it cannot be done.

    In a process of its own, before anything else is begun: Alembic's 13 MB would stay for as long as the program runs.
    """
    child = multiprocessing.get_context("fork").Process(target=database.migrate, args=(package,))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(child.exitcode)


async def serve(host: Host[S], start: Start[S]) -> None:
    async with start(host) as service:
        metrics.read_with(outbox.figures(host.database, host.clock))
        for read in service.figures:
            metrics.read_with(read)
        line = BusLine(host.settings, host.name, host.grants)
        checks = {
            "bus": readiness.of_bus(service.connection),
            "grants": line.check,
            "database": readiness.of_database(host.database, service.tables),
            **service.checks,
        }
        await process.run_until_stopped(server(host, service), line.run(), *service.loops, checks=checks)
    host.database.close()


def server(host: Host[S], service: Service) -> rpc.RpcServer:
    """With what every service answers: its own methods, those of its outbox and of its audit log."""
    settings = host.settings
    servicers: dict[str, rpc.Add] = {
        **service.servicers,
        outbox_service.SERVICE: lambda server: outbox_service.add(host.database, service.wake, server),
        audit_service.SERVICE: lambda server: audit_service.add(host.database, server),
    }
    needed = {method: what for name in servicers for method, what in permissions.of(name).items()}
    return rpc.RpcServer(
        settings.listen,
        rpc.RpcGuard(create_verifier(settings), needed, Rate(settings.calls_a_minute), host.grants),
        servicers,
        with_reflection=settings.environment == "development",
        credentials=rpc.server_credentials(settings),
        before_stop=service.before_stop,
    )
