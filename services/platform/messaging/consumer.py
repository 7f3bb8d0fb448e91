"""Events from the bus: a durable pull consumer in batches that survives the loss of its server."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.msg import Msg

from services.platform.messaging import bus, faststream_fixes
from services.platform.settings import Settings
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

FETCH_SECONDS = 5.0
REST_SECONDS = 1.0


async def receive_forever(make: Callable[[], "PullConsumer"]) -> None:
    """Begins again, on a fresh connection, whenever the bus turns the old one away for good."""
    await run_forever(lambda: make().run(), "events over NATS", REST_SECONDS, pause=REST_SECONDS)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the events are, and under which name the server remembers what was taken."""

    stream: str
    subjects: str
    consumer: str
    batch: int
    description: str


class PullConsumer:
    """One connection to the bus and the consumer on it. `run` ends only when the connection is lost for good."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        receive: Callable[[Sequence[Msg]], Awaitable[None]],
        graceful_seconds: float,
    ) -> None:
        """`receive` answers each message itself; those in hand at the end are given `graceful_seconds`."""
        self._batch = source.batch
        self._lost = asyncio.Event()
        self._inbox_prefix = f"{bus.connect_options(settings, source.consumer)['inbox_prefix']}."
        self.broker = self._broker(settings, source.consumer, graceful_seconds)
        self._subscriber = self.broker.subscriber(
            source.subjects,
            durable=source.consumer,
            stream=JStream(source.stream, declare=False),  # streams and consumers are made by the admin step
            pull_sub=PullSub(batch_size=source.batch, timeout=FETCH_SECONDS, batch=True),
            ack_policy=AckPolicy.MANUAL,
            inbox_prefix=self._inbox_prefix.encode(),
            decoder=undecoded,
            title=source.consumer,
            description=source.description,
        )
        self._subscriber(receive)

    def _broker(self, settings: Settings, name: str, graceful_seconds: float) -> NatsBroker:
        options = dict(bus.connect_options(settings, name))
        security = faststream_fixes.take_security(options)
        report = options.pop("error_cb")

        async def on_error(error: Exception) -> None:
            await report(error)
            if faststream_fixes.ends_connection(error):
                self._lost.set()

        async def on_closed() -> None:
            self._lost.set()

        return NatsBroker(
            settings.nats_url,
            security=security,
            error_cb=on_error,
            closed_cb=on_closed,
            graceful_timeout=graceful_seconds,
            logger=None,  # FastStream would log exceptions whole, and they can quote an event
            apply_types=False,
            **options,
        )

    async def run(self) -> None:
        """Receives until cancelled or lost; finishes the messages in hand. Raises what keeps it from starting."""
        try:
            await self.broker.start()
            faststream_fixes.calm(self._subscriber, self._batch)
            log.info("receiving")
            await self._lost.wait()
        finally:
            await faststream_fixes.stop(self.broker)


async def undecoded(batch: StreamMessage[Any]) -> Any:
    """The messages as they came: what cannot be decoded must reach the receiver too, to be refused for good."""
    return batch.raw_message
