"""The notifier put together, without servers: by the program and by its tests alike."""

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from services.notifier import api
from services.notifier.addresses import AddressGuard
from services.notifier.channels import Channel
from services.notifier.deliveries import Deliveries
from services.notifier.ingest import Ingester
from services.notifier.messages import Composer
from services.notifier.planner import Planner, Timetable
from services.notifier.publisher import Publisher
from services.notifier.sender import Sender
from services.notifier.settings import NotifierSettings
from services.notifier.smtp import Smtp
from services.notifier.subscriptions import EventReceiver, create_consumer
from services.notifier.values import Letterhead
from services.notifier.webhooks import WebhookCaller
from services.platform import clock
from services.platform.data.database import Database
from services.platform.messaging.consumer import PullConsumer, receive_forever
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

LEASE_MARGIN_SECONDS = 15.0
FORGET_SECONDS = 3600.0
KEEP_MS = 14 * clock.DAY
"""So long a notice that was settled can be sent again; then its content, personal data, is removed."""


@dataclass(frozen=True, slots=True)
class NotifierAssembly:
    """Without servers; each `consumer()` is a fresh one on a fresh connection."""

    deliveries: Deliveries
    publisher: Publisher
    senders: list[Sender]
    ingester: Ingester
    planner: Planner
    consumer: Callable[[], PullConsumer]
    service: api.NotifierService

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        sending = [sender.run() for sender in self.senders]
        return [
            receive_forever(self.consumer),
            self.publisher.run(),
            self.planner.run(self.ingester.queue, self.ingester.queued),
            *sending,
            forget_forever(self.deliveries),
        ]


def build(options: NotifierSettings, database: Database) -> NotifierAssembly:
    now, zone = clock.create(options.clock_file), ZoneInfo(options.display_zone)
    composer = Composer(Letterhead(options.mail_from, options.portal_url, zone, options.support_mail))
    timetable = Timetable(options.reminder_minutes * clock.MINUTE, options.digest_time, zone)
    planner = Planner(database, now, composer, timetable)
    guard = options.guard()
    publisher = Publisher(options, database)
    longest_seconds = max(2 * options.smtp_timeout_seconds, options.webhook_timeout_seconds)
    lease_ms = int((longest_seconds + LEASE_MARGIN_SECONDS) * clock.SECOND)
    deliveries = Deliveries(database, now, lease_ms, publisher.wake)
    channels: list[Channel] = [Smtp(options.mail_server()), webhook_caller(options, database, guard)]
    senders = [Sender(deliveries, channel, now, options.retry(channel.name)) for channel in channels]

    def queued() -> None:
        for sender in senders:
            sender.wake()

    ingester = Ingester(database, now, composer, planner, queued)
    receiver = EventReceiver(ingester, publisher.bury)
    service = api.NotifierService(database, now, deliveries, ingester, senders, guard)
    return NotifierAssembly(
        deliveries, publisher, senders, ingester, planner, lambda: create_consumer(options, receiver), service
    )


def webhook_caller(options: NotifierSettings, database: Database, guard: AddressGuard) -> WebhookCaller:
    patience_ms = int(options.webhook_give_up_hours * clock.HOUR)
    return WebhookCaller(database, guard, options.webhook_timeout_seconds, patience_ms)


async def forget_forever(deliveries: Deliveries) -> None:
    """What was settled long ago loses its content."""
    await run_forever(lambda: deliveries.forget(KEEP_MS), "old content", FORGET_SECONDS, pause=FORGET_SECONDS)
