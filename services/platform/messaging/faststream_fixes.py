"""What FastStream 0.7 does and we cannot live with, each mended in one place: docs/decisions/0012-faststream.md says
how to see it, and tests/plumbing/test_faststream_fixes.py fails as soon as FastStream has mended it itself.
"""

import asyncio
import contextlib
import logging
from typing import Any, cast

from faststream.nats import NatsBroker
from faststream.nats.security import NatsUserPassword
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

log = logging.getLogger(__name__)

REST_SECONDS = 1.0
DRAIN_SECONDS = 5.0
BEGIN_SECONDS = 0.05
"""So long a question that was handed on to a worker may take to be begun with; then `stop` waits for its answer."""


def take_security(options: dict[str, Any]) -> NatsUserPassword | None:
    """Takes out of the options of nats.connect what FastStream wants told in its own way."""
    user, password = options.pop("user"), options.pop("password")
    context, first = options.pop("tls", None), options.pop("tls_handshake_first", False)
    return NatsUserPassword(user, password, ssl_context=context, tls_handshake_first=first) if user else None


async def take_no_more(broker: NatsBroker) -> None:
    """Before `broker.stop`: what was asked of us is answered. FastStream throws away what it has not begun with."""
    for subscriber in broker.subscribers:
        subscription = getattr(subscriber, "subscription", None)
        if not isinstance(subscription, Subscription):
            continue
        with contextlib.suppress(Exception):  # who cannot be reached asks nothing
            async with asyncio.timeout(DRAIN_SECONDS):
                await cast(Any, subscription).drain()  # nats-py has no type for it
                await asyncio.sleep(BEGIN_SECONDS)
            cast(Any, subscriber).subscription = None


async def stop(broker: NatsBroker) -> None:
    """As broker.stop, but raises nothing, which would hide the cancellation that asks the program to end.

    A connection that is away cannot be drained, and left alone it would look for the server for ever.
    """
    try:
        await broker.stop()
    except Exception as error:
        log.warning("NATS: closed without goodbye: %s", type(error).__name__)
        with contextlib.suppress(Exception):
            await broker.connection.close()


def ends_connection(error: Exception) -> bool:
    """What the server itself says against the connection, a refused subject apart.

    FastStream then stops nats-py's reconnecting, which is meant for the first connection but hits later ones too:
    a password that is wrong for a second, or a server too busy to greet in time, would leave it dead in silence.
    """
    return type(error) is NatsError and "permissions violation" not in str(error).lower()


def calm(subscriber: Any, batch: int) -> None:
    """After `broker.start`: a batch subscriber fetches through a CalmSubscription."""
    subscriber.subscription = CalmSubscription(subscriber.subscription, batch)


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
