"""What FastStream needs, said once: a durable pull consumer in batches that survives the loss of its server."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

from faststream import AckPolicy, Context
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.message import NatsBatchMessage
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from services.platform.messaging import bus
from services.platform.settings import Settings
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

BatchAnnotation = Annotated[NatsBatchMessage, Context("message")]
TraceAnnotation = Annotated[dict[str, str], Context("message.headers")]
"""Headers of the message that is being handled, for traces.received."""
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
            decoder=_undecoded,
            title=source.consumer,
            description=source.description,
        )

        @self._subscriber
        async def on_events(_: list[bytes], batch: BatchAnnotation) -> None:
            await receive(batch.raw_message)

    def _broker(self, settings: Settings, name: str, graceful_seconds: float) -> NatsBroker:
        options = dict(bus.connect_options(settings, name))
        security = bus.as_security(options)
        report = options.pop("error_cb")

        async def on_error(error: Exception) -> None:
            await report(error)
            if _ends_connection(error):
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
            **options,
        )

    async def run(self) -> None:
        """Receives until cancelled or lost; finishes the messages in hand. Raises what keeps it from starting."""
        try:
            await self.broker.start()
            subscription = cast(JetStreamContext.PullSubscription, self._subscriber.subscription)
            self._subscriber.subscription = cast(Any, CalmSubscription(subscription, self._batch))
            log.info("receiving")
            await self._lost.wait()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Must not raise: that would hide the cancellation which asks the program to end."""
        try:
            await self.broker.stop()
        except Exception as error:
            # a connection that is away cannot be drained, and left alone it would look for the server for ever
            log.warning("NATS: closed without goodbye: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                await self.broker.connection.close()


class CalmSubscription:
    """A pull subscription that rests when the server refuses.

    FastStream asks again at once after an error, thousands of times a second while the consumer or JetStream is
    away, and its task ends on errors that it does not know.
    """

    def __init__(self, subscription: JetStreamContext.PullSubscription, whole: int) -> None:
        self._subscription = subscription
        self._whole = whole

    async def fetch(self, batch: int, timeout: float | None) -> list[Any]:  # noqa: ASYNC109 - FastStream calls it so
        """What is there. FastStream would go on until the batch is full: what has come is not to wait for more."""
        if batch < self._whole:
            raise NatsTimeoutError
        try:
            return list(await self._subscription.fetch(batch=batch, timeout=timeout))
        except TimeoutError:
            return []
        except NatsError as error:
            log.warning("NATS: no events now: %s", type(error).__name__)
            await asyncio.sleep(REST_SECONDS)
            return []

    async def unsubscribe(self) -> None:
        await self._subscription.unsubscribe()


def _ends_connection(error: Exception) -> bool:
    """What the server itself says against the connection, a refused subject apart.

    FastStream then stops nats-py's reconnecting, which is meant for the first connection but hits later ones too:
    a password that is wrong for a second, or a server too busy to greet in time, would leave it dead in silence.
    """
    return type(error) is NatsError and "permissions violation" not in str(error).lower()


async def _undecoded(message: NatsBatchMessage) -> Any:
    """What cannot be decoded must reach the receiver too: only there is it refused for good."""
    return message.body
