"""What the notifier receives: the durable pull consumer `notifier` on the stream BOOKING, acknowledged by hand."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Annotated, Any, cast

from faststream import AckPolicy, Context
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.message import NatsBatchMessage
from faststream.security import SASLPlaintext
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from services import bus
from services.notifier.intake import Arrival, Bury, Intake, Outcome
from services.settings import Settings

log = logging.getLogger(__name__)

BatchAnnotation = Annotated[NatsBatchMessage, Context("message")]
STREAM, CONSUMER, SUBJECTS = "BOOKING", "notifier", "yunhui.booking.>"
BATCH = 64  # events that are taken in with one commit
FETCH_SECONDS = 5.0
REST_SECONDS = 1.0
GRACEFUL_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 60.0
MOST_WAITS = 8
"""An event waits for the one before it for two minutes, far longer than the bus keeps back what was in hand when a
notifier died. After that it is taken: the one before it is never going to come, the stream begins in the middle."""


class Receiver:
    """Answers each event by hand: ack when it is stored, nak with a pause to see it again, term when it is dead."""

    def __init__(self, intake: Intake, bury: Bury) -> None:
        self._intake = intake
        self._bury = bury

    async def receive(self, messages: Sequence[Msg]) -> None:
        """Raises nothing: what is not acknowledged comes again."""
        arrivals = [to_arrival(message) for message in messages]
        late = [each.metadata.sequence.stream for each in messages if each.metadata.num_delivered > MOST_WAITS]
        try:
            outcome = await self._intake.take(arrivals, self._bury, late)
        except Exception as error:
            log.error("%d events are not taken in, they come again: %s", len(messages), type(error).__name__)
            outcome = Outcome(postponed={arrival.sequence for arrival in arrivals})
        for message in messages:
            await _answer(message, outcome)


async def _answer(message: Msg, outcome: Outcome) -> None:
    sequence = message.metadata.sequence.stream
    if sequence in outcome.postponed:
        await message.nak(delay=pause_seconds(message.metadata.num_delivered))
    elif sequence in outcome.dead:
        await message.term()
    else:
        await message.ack()


def to_arrival(message: Msg) -> Arrival:
    return Arrival(message.subject, message.headers or {}, message.data, message.metadata.sequence.stream)


def pause_seconds(attempt: int) -> float:
    """Doubled each time up to a limit. `attempt` counts from 1."""
    return float(min(2 ** min(attempt - 2, 32), LONGEST_PAUSE_SECONDS))


class Subscription:
    """One connection to the bus and the consumer on it. `run` ends only when the connection is lost for good."""

    def __init__(self, settings: Settings, receiver: Receiver) -> None:
        self._lost = asyncio.Event()
        self._inbox_prefix = f"{bus.connect_options(settings, CONSUMER)['inbox_prefix']}."
        self.broker = self._broker(settings)
        self._subscriber = self.broker.subscriber(
            SUBJECTS,
            durable=CONSUMER,
            stream=JStream(STREAM, declare=False),  # streams and consumers are made by the admin step
            pull_sub=PullSub(batch_size=BATCH, timeout=FETCH_SECONDS, batch=True),
            ack_policy=AckPolicy.MANUAL,
            inbox_prefix=self._inbox_prefix.encode(),
            decoder=_undecoded,
            title="notifier",
            description="Everything that happens to reservations and accounts; what they come to is queued.",
        )

        @self._subscriber
        async def on_events(_: list[bytes], batch: BatchAnnotation) -> None:
            await receiver.receive(batch.raw_message)

    def _broker(self, settings: Settings) -> NatsBroker:
        options = dict(bus.connect_options(settings, CONSUMER))
        user, password = options.pop("user"), options.pop("password")
        report = options.pop("error_cb")
        security = SASLPlaintext(user, password) if user else None

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
            graceful_timeout=GRACEFUL_SECONDS,
            logger=None,  # FastStream would log exceptions whole, and they can quote an event
            **options,
        )

    async def run(self) -> None:
        """Receives until cancelled or lost; finishes the messages in hand. Raises what keeps it from starting."""
        try:
            await self.broker.start()
            subscription = cast(JetStreamContext.PullSubscription, self._subscriber.subscription)
            self._subscriber.subscription = cast(Any, CalmSubscription(subscription))
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

    def __init__(self, subscription: JetStreamContext.PullSubscription) -> None:
        self._subscription = subscription

    async def fetch(self, batch: int, timeout: float | None) -> list[Any]:  # noqa: ASYNC109 - FastStream calls it so
        """What is there. FastStream would go on until the batch is full: what has come is not to wait for more."""
        if batch < BATCH:
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
