"""Takes the messages of one event to their people: claim, send, mark; each mail once, whatever comes twice."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from services.notifier.channels import Answer, Channel, Verdict
from services.notifier.deliveries import BusyError, Deliveries
from services.notifier.events import Event
from services.notifier.messages import Composer, Message

log = logging.getLogger(__name__)


class UnwritableEventError(Exception):
    """The event was read, but no mail can be made of it: a defect of ours, or a fact nobody foresaw."""


class Courier:
    """Composes and delivers. `note` is told of each event first; it names who of support had the case before them."""

    def __init__(
        self,
        composer: Composer,
        deliveries: Deliveries,
        channel: Channel,
        note: Callable[[Event], Awaitable[Sequence[str]]],
    ) -> None:
        self._composer = composer
        self._deliveries = deliveries
        self._channel = channel
        self._note = note

    async def carry(self, event: Event) -> bool:
        """True when every mail of the event is settled; False when some must be tried again later.

        Raises UnwritableEventError, and whatever keeps the store away.
        """
        messages = self._compose(event, await self._note(event))
        if not messages:
            log.info("event %s (%s): nobody to write to", event.event_id, event.type)
        return await self.deliver(event.event_id, messages)

    async def deliver(self, source_id: str, messages: Sequence[Message]) -> bool:
        """As carry, for mails that were composed already; `source_id` is the event, or what else made them."""
        settled = [await self._deliver(source_id, message) for message in messages]
        return all(settled)

    def _compose(self, event: Event, asked: Sequence[str]) -> list[Message]:
        try:
            return self._composer.compose(event, asked)
        except Exception as error:
            # only the type is told: the text could quote the event
            raise UnwritableEventError(type(error).__name__) from None

    async def _deliver(self, source_id: str, message: Message) -> bool:
        try:
            claim = await self._deliveries.claim(source_id, message)
        except BusyError:
            return False
        if claim is None:
            return True
        answer = await self._channel.send(message.recipient, claim.content)
        await self._deliveries.settle(claim, answer)
        _report(source_id, message, answer)
        return answer.verdict is not Verdict.TEMPORARY


def _report(source_id: str, message: Message, answer: Answer) -> None:
    """Without recipient or answer text: both are personal data."""
    level = logging.INFO if answer.verdict is Verdict.ACCEPTED else logging.WARNING
    log.log(level, "event %s: %s %s, code %d", source_id, message.kind, answer.verdict.value, answer.code)
