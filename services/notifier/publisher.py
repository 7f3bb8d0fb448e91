"""What the notifier says on the bus: events about deliveries, through the outbox, and dead letters, one by one."""

import asyncio
import logging

from nats.aio.client import Client

from services.platform.data.database import Database
from services.platform.messaging import bus
from services.platform.messaging.outbox import ACK_SECONDS, Relay
from services.platform.settings import Settings
from services.platform.tasks import run_forever, until_cancelled

log = logging.getLogger(__name__)

DEAD_STREAM = "DEAD"
RESTART_SECONDS = 1.0
GRACE_SECONDS = 5.0
GATHER_SECONDS = 0.5
"""Nobody waits for news of deliveries."""


class Publisher:
    """A connection of its own; while there is none, events wait in the outbox and dead letters are refused."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._connection: Client | None = None
        self._relay: Relay | None = None
        self._interrupted = asyncio.Event()

    def connection(self) -> Client | None:
        """None until the bus has been reached."""
        return self._connection

    def wake(self) -> None:
        """Events wait in the outbox. The relay looks for itself when it begins."""
        if self._relay:
            self._relay.wake()

    async def bury(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Returns when the dead-letter stream has stored it. Raises when it has not."""
        if not self._connection:
            raise ConnectionError("not connected to the bus yet")
        stream = self._connection.jetstream()
        await stream.publish(subject, payload, timeout=ACK_SECONDS, stream=DEAD_STREAM, headers=headers)

    async def run(self) -> None:
        """Until cancelled. Begins again, on a fresh connection, whenever the bus turns the old one away for good."""
        await run_forever(self._serve, "publishing over NATS", RESTART_SECONDS, pause=RESTART_SECONDS)

    async def _serve(self) -> None:
        connection = await bus.connect(self._settings, "notifier-publisher", self._interrupt)
        relay = Relay(self._database, connection, "notifier", GATHER_SECONDS)
        publishing = asyncio.create_task(relay.run())
        self._connection, self._relay = connection, relay
        try:
            await self._watch(connection)
        finally:
            self._connection = self._relay = None
            publishing.cancel()
            await asyncio.wait([publishing])
            await bus.close(connection)

    async def _interrupt(self) -> None:
        self._interrupted.set()

    async def _watch(self, connection: Client) -> None:
        """Ends when the connection does not come back by itself: after a wrong password nats-py gives up in silence."""
        for _ in until_cancelled():
            self._interrupted.clear()
            await self._interrupted.wait()
            await asyncio.sleep(GRACE_SECONDS)
            if not connection.is_connected:
                return
