"""What the notifier receives: the durable pull consumer `notifier` on the stream BOOKING, acknowledged by hand."""

import asyncio
import logging
from collections.abc import Sequence

from nats.aio.msg import Msg

from services.notifier.ingest import Bury, IncomingEvent, Ingester, IngestOutcome
from services.platform.messaging.consumer import PullConsumer, Source
from services.platform.settings import Settings

log = logging.getLogger(__name__)

STREAM, CONSUMER, SUBJECTS = "BOOKING", "notifier", "yunhui.booking.>"
BATCH = 64  # events that are taken in with one commit
EVENTS = Source(
    STREAM,
    SUBJECTS,
    CONSUMER,
    BATCH,
    "Everything that happens to reservations and accounts; what they come to is queued.",
)
REST_SECONDS = 0.2
"""Between two batches, unless they are full: what follows comes together then, which costs less, and mail may wait."""
GRACEFUL_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 60.0
MOST_WAITS = 8
"""An event waits for the one before it for two minutes, far longer than the bus keeps back what was in hand when a
notifier died. After that it is taken: the one before it is never going to come, the stream begins in the middle."""


class EventReceiver:
    """Answers each event by hand: ack when it is stored, nak with a pause to see it again, term when it is dead."""

    def __init__(self, ingester: Ingester, bury: Bury) -> None:
        self._ingester = ingester
        self._bury = bury

    async def receive(self, messages: Sequence[Msg]) -> None:
        """Raises nothing: what is not acknowledged comes again."""
        incoming_events = [to_incoming_event(message) for message in messages]
        late = [each.metadata.sequence.stream for each in messages if each.metadata.num_delivered > MOST_WAITS]
        try:
            outcome = await self._ingester.ingest(incoming_events, self._bury, late)
        except Exception as error:
            log.error("%d events are not taken in, they come again: %s", len(messages), type(error).__name__)
            outcome = IngestOutcome(postponed={incoming.sequence for incoming in incoming_events})
        for message in messages:
            await _answer(message, outcome)
        if len(messages) < BATCH:
            await asyncio.sleep(REST_SECONDS)


async def _answer(message: Msg, outcome: IngestOutcome) -> None:
    sequence = message.metadata.sequence.stream
    if sequence in outcome.postponed:
        await message.nak(delay=pause_seconds(message.metadata.num_delivered))
    elif sequence in outcome.dead:
        await message.term()
    else:
        await message.ack()


def to_incoming_event(message: Msg) -> IncomingEvent:
    return IncomingEvent(message.subject, message.headers or {}, message.data, message.metadata.sequence.stream)


def pause_seconds(attempt: int) -> float:
    """Doubled each time up to a limit. `attempt` counts from 1."""
    return float(min(2 ** min(attempt - 2, 32), LONGEST_PAUSE_SECONDS))


def create_consumer(settings: Settings, receiver: EventReceiver) -> PullConsumer:
    """The durable consumer of booking's events; `run` it."""
    return PullConsumer(settings, EVENTS, receiver.receive, GRACEFUL_SECONDS)
