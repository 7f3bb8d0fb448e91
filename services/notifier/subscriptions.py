"""What the notifier receives: the durable pull consumer `notifier` on the stream BOOKING, acknowledged by hand."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any, cast

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from faststream.security import SASLPlaintext
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from services import bus
from services.notifier.courier import Courier, UnwritableEventError
from services.notifier.events import UnreadableEventError, parse
from services.settings import Settings

log = logging.getLogger(__name__)

STREAM, CONSUMER, SUBJECTS = "BOOKING", "notifier", "yunhui.booking.>"
AT_ONCE = 8  # mails under way at the same time
FETCH_SECONDS = 5.0
REST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses between attempts, in seconds: doubled each time up to a limit."""

    first: float = 5.0
    longest: float = 300.0
    unwritable_limit: int = 20
    """An event that no mail can be made of is given up after so many attempts: time enough to mend the notifier."""

    def pause(self, attempt: int) -> float:
        """`attempt` counts from 1."""
        return float(min(self.first * 2 ** min(attempt - 1, 32), self.longest))


class Receiver:
    """Answers each event: ack when it is settled, nak with a pause to see it again, term when it is no event."""

    def __init__(self, courier: Courier, retry: Retry) -> None:
        self._courier = courier
        self._retry = retry

    async def receive(self, message: NatsMessage) -> None:
        sequence = message.raw_message.metadata.sequence.stream
        try:
            settled = await self._carry(message)
        except UnreadableEventError as error:
            log.error("stream message %d is refused: %s", sequence, error)
            await message.reject()
        except UnwritableEventError as error:
            await self._postpone_or_give_up(message, error)
        except Exception as error:
            log.error("stream message %d failed: %s", sequence, type(error).__name__)
            await self._postpone(message)
        else:
            await (message.ack() if settled else self._postpone(message))

    async def _carry(self, message: NatsMessage) -> bool:
        event = parse(message.headers, message.body)
        return event is None or await self._courier.carry(event)

    async def _postpone_or_give_up(self, message: NatsMessage, error: UnwritableEventError) -> None:
        metadata = message.raw_message.metadata
        last = metadata.num_delivered >= self._retry.unwritable_limit
        log.error("stream message %d: no mail from it%s: %s", metadata.sequence.stream, ", given up" * last, error)
        await (message.reject() if last else self._postpone(message))

    async def _postpone(self, message: NatsMessage) -> None:
        await message.nack(delay=self._retry.pause(message.raw_message.metadata.num_delivered))


class Subscription:
    """One connection to the bus and the consumer on it. `run` ends only when the connection is lost for good."""

    def __init__(self, settings: Settings, receiver: Receiver, graceful_seconds: float) -> None:
        self._lost = asyncio.Event()
        self._inbox_prefix = f"{bus.connect_options(settings, CONSUMER)['inbox_prefix']}."
        self.broker = self._broker(settings, graceful_seconds)
        self._subscriber = self.broker.subscriber(
            SUBJECTS,
            durable=CONSUMER,
            stream=JStream(STREAM, declare=False),  # streams and consumers are made by the admin step
            pull_sub=PullSub(batch_size=AT_ONCE, timeout=FETCH_SECONDS),
            ack_policy=AckPolicy.MANUAL,
            inbox_prefix=self._inbox_prefix.encode(),
            decoder=_undecoded,
            title="notifier",
            description="Everything that happens to reservations and accounts; makes the mails about it.",
        )

        @self._subscriber
        async def on_event(_: bytes, message: NatsMessage) -> None:
            await receiver.receive(message)

    def _broker(self, settings: Settings, graceful_seconds: float) -> NatsBroker:
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
            graceful_timeout=graceful_seconds,
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


async def _undecoded(message: NatsMessage) -> bytes:
    """What cannot be decoded must reach the receiver too: only there is it refused for good."""
    return message.body
