"""Booking on both databases with the real policy asked in process, and a clock that the test moves."""

import asyncio
import importlib.resources
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import sqlalchemy as sa
from yunhui.policy.v1 import policy_service_pb2

from services.booking import accounts, models
from services.booking.assembly import build
from services.booking.decisions import PolicyClient
from services.booking.meetings_client import MeetingsClient
from services.booking.watchers import Watchers
from services.contracts import subjects
from services.platform.data.database import Database
from services.platform.serving import errors
from services.platform.serving.grants import Grants
from services.policy import subscriptions
from services.policy.decisions import Policy
from services.policy.versions import Versions
from tests import templates
from tests.booking.builders import MONDAY, ROOMS
from tests.booking.served import serve


class LocalPolicy(PolicyClient):
    """The real policy without the wire. `away` is what a broken wire looks like."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.away = False
        self.window = policy.window

    async def _ask(self, subject: str, body: bytes, kind: Any) -> Any:
        await asyncio.sleep(0)
        if self.away:
            raise errors.unavailable("policy")
        answer, asked = ANSWERS[subject]
        return answer(cast(Versions, self.policy), asked.FromString(body))  # what it is asked for, it has


ANSWERS: dict[str, tuple[Callable[[Versions, Any], Any], Any]] = {
    subjects.DECIDE: (subscriptions.decide, policy_service_pb2.DecideBatchRequest),
    subjects.ALLOWED: (subscriptions.allowed, policy_service_pb2.AllowedSubjectsBatchRequest),
    subjects.USAGE: (subscriptions.answer_usage, policy_service_pb2.UsageRequest),
}


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories are short here: no more of them is read at first, and told, than the policy looks at, all the same."""
    monkeypatch.setattr(accounts, "MANY", 0)
    monkeypatch.setattr(accounts, "NEAR", 0)


class ManualClock:
    patience = 0.01

    def __init__(self) -> None:
        self.time = MONDAY

    def now(self) -> int:
        return self.time


@dataclass
class Booking:
    """One replica without servers. `meetings` None: none are looked up."""

    database: Database
    policy: LocalPolicy
    clock: ManualClock
    meetings: MeetingsClient | None = None
    grants: Grants = field(default_factory=Grants)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        watchers, clock = Watchers(), self.clock
        built = build(self.database, self.policy, clock, self.meetings, watchers, lambda: None, self.grants, clock)
        self.settlement = built.settlement
        self.transactions, self.service, self.admission = built.transactions, built.service, built.admission
        self.deadlines, self.checks = built.deadlines, built.checks
        self.tasks.append(asyncio.create_task(self.admission.run()))

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture(scope="session")
def policy() -> Policy:
    source = importlib.resources.files("services.policy") / "rules" / "default.yaml"
    return Policy.load(source.read_text(), "default@1")


@pytest.fixture
def service() -> str:
    return "services.booking"


@pytest.fixture(params=templates.DATABASES)
def database_url(request: pytest.FixtureRequest, service: str, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return templates.on_sqlite(tmp_path / "booking.db", service)
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    with database.engine.begin() as connection:
        connection.execute(sa.insert(models.ROOM), ROOMS)
    yield database
    database.close()


@pytest.fixture
async def booking(database: Database, policy: Policy) -> AsyncIterator[Booking]:
    replica = Booking(database, LocalPolicy(policy), ManualClock())
    yield replica
    await replica.stop()


@pytest.fixture
async def replicas(database_url: str, booking: Booking, policy: Policy) -> AsyncIterator[list[Booking]]:
    """Two on one database, each with connections of its own."""
    other = Booking(Database(database_url), LocalPolicy(policy), booking.clock)
    yield [booking, other]
    await other.stop()
    other.database.close()


@pytest.fixture
async def channel(booking: Booking) -> AsyncIterator[grpc.aio.Channel]:
    server = await serve(booking, Watchers())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened
    await server.stop()
