"""The real meetings gateway beside booking: its own database, a simulated provider, a real NATS server between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faststream.nats import NatsBroker
from nats.aio.client import Client
from pydantic import SecretStr

from services.booking.attendance_checks import MeetingEvents
from services.booking.meetings import OccurrenceKey
from services.booking.meetings_client import MeetingsClient
from services.booking.subscriptions import create_consumer
from services.meetings.gateway import Gateway
from services.meetings.making import Making
from services.meetings.plans import MeetingPlan
from services.meetings.provider import AwayError, MadeMeeting, Meeting, MeetingKey, Participant
from services.meetings.providers import Providers
from services.meetings.simulated import Simulated
from services.meetings.subscriptions import create_broker
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import MINUTE
from services.platform.data.database import Database
from services.platform.messaging.consumer import receive_forever
from services.platform.messaging.outbox import Relay
from services.platform.serving import errors
from services.platform.settings import Settings
from tests.booking.builders import TEN
from tests.booking.conftest import Booking, ManualClock
from tests.servers import Bus, password, until

CODE = "123456789"


def settings(bus: Bus, user: str) -> Settings:
    return Settings(nats_url=bus.url, nats_user=user, nats_password=SecretStr(password(user)))


class Moody(Simulated):
    """A provider that can be away, as providers are. `asked`: how often it was asked who came.

    `known`: a meeting that the simulated provider could not make. `instead` is raised in place of making, moving or
    calling off, `afterwards` when that is done: an answer that is lost. `made` counts what was made.
    """

    away = False
    asked = 0
    made = 0
    known: Meeting | None = None
    instead: Exception | None = None
    afterwards: Exception | None = None

    def __init__(self, database: Database, clock: ManualClock, webhook_events: WebhookEvents) -> None:
        super().__init__(database, clock, webhook_events)
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, meeting_id: str, account: str | None) -> Meeting:
        self._check()
        return self.known or await super().get(meeting_id, account)

    async def find(self, meeting_code: str, account: str | None) -> Meeting:
        self._check()
        return self.known or await super().find(meeting_code, account)

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        self.asked += 1
        await self.gate.wait()
        self._check()
        return await super().participants(key, since)

    async def make(self, plan: MeetingPlan, creator: str, making_id: str) -> MadeMeeting:
        with self._moods():
            self.made += 1
            return await super().make(plan, creator, making_id)

    async def reschedule(self, key: MeetingKey, creator: str, start_time: int, end_time: int) -> None:
        with self._moods():
            await super().reschedule(key, creator, start_time, end_time)

    async def call_off(self, key: MeetingKey, creator: str) -> None:
        with self._moods():
            await super().call_off(key, creator)

    @contextlib.contextmanager
    def _moods(self) -> Iterator[None]:
        self._check()
        if self.instead:
            raise self.instead
        yield
        if self.afterwards:
            raise self.afterwards

    def _check(self) -> None:
        if self.away:
            raise AwayError("not now")


@dataclass
class World:
    """People and their meetings. The gateway answers from `start` until `stop`; its events wait in its outbox."""

    bus: Bus
    database: Database
    clock: ManualClock
    client: MeetingsClient
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.webhook_events = WebhookEvents(self.database, self.clock, lambda: None)
        self.provider = Moody(self.database, self.clock, self.webhook_events)
        self._broker: NatsBroker | None = None
        self._publishing: Client | None = None

    async def start(self) -> None:
        providers = Providers({"": self.provider})
        gateway = Gateway(providers, self.webhook_events)
        making = Making(self.database, self.clock, providers)
        self._broker = create_broker(settings(self.bus, "meetings"), gateway, making)
        await self._broker.start()
        await until(self._answers)

    async def _answers(self) -> bool:
        """Its subscriptions have reached the server."""
        with contextlib.suppress(errors.RpcError):
            await self.client.get(OccurrenceKey("simulated", "0", ""))
            return True
        return self.provider.away

    async def stop(self) -> None:
        if self._broker:
            await self._broker.stop()
            self._broker = None

    async def meeting(self, owner: str = "booker", code: str = CODE, start: int = TEN, minutes: int = 60) -> Meeting:
        return await self.provider.create(code, "group meeting", owner, start, start + minutes * MINUTE)

    async def publish(self, booking: Booking) -> None:
        """From here on what happens reaches booking as events."""
        assert booking.checks
        self._publishing = await self.bus.connect("meetings")
        relay = Relay(self.database, self._publishing, "meetings")
        reports = MeetingEvents(booking.transactions, booking.checks)
        consumer = receive_forever(lambda: create_consumer(settings(self.bus, "booking"), reports))
        self.tasks += [asyncio.create_task(relay.run()), asyncio.create_task(consumer)]

    async def delivered(self, unsettled: int = 0) -> None:
        """Everything that has happened so far was published, and booking has dealt with all but so many."""
        client = await self.bus.connect()
        stream = client.jetstream()

        async def done() -> bool:
            waiting = await self.database.read(
                lambda c: c.exec_driver_sql("SELECT count(*) FROM outbox WHERE publish_time IS NULL").scalar()
            )
            info = await stream.consumer_info("MEETINGS", "booking")
            tried = info.num_ack_pending == unsettled and info.num_redelivered >= unsettled
            return not waiting and not info.num_pending and tried

        await until(done)
        await client.close()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self._publishing:
            await self._publishing.close()
        await self.stop()
        self.database.close()


@asynccontextmanager
async def world(folder: Path, clock: ManualClock) -> AsyncIterator[World]:
    bus = Bus(folder / "nats")
    await bus.start()
    await bus.set_up()
    database = Database(f"sqlite:///{folder}/meetings.db")
    database.migrate("services.meetings")
    connection: Client = await bus.connect("booking")
    made = World(bus, database, clock, MeetingsClient(connection))
    await made.start()
    yield made
    await made.close()
    await connection.close()
    await bus.stop()
