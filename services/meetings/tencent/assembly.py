"""Tencent Meeting put together: its client, and its webhooks where a token for them is set."""

from services.meetings.providers import Installed
from services.meetings.tencent import tencent
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.callbacks import Checker
from services.meetings.tencent.recordings import TencentRecordings
from services.meetings.tencent.settings import TencentSettings
from services.meetings.tencent.signature import Credentials
from services.meetings.tencent.webhooks import WebhookReceiver
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import Clock
from services.platform.data.database import Database


def install(settings: TencentSettings, _: Database, clock: Clock, webhook_events: WebhookEvents) -> Installed:
    accounts = Accounts(settings.tencent_userid)
    provider, client = tencent.create(
        settings.tencent_address,
        Credentials(
            settings.tencent_app_id,
            settings.tencent_sdk_id,
            settings.tencent_secret_id,
            settings.tencent_secret_key,
        ),
        accounts,
        settings.tencent_operator,
        clock,
        calls_a_minute=settings.tencent_calls_a_minute,
    )
    receiver = create_receiver(settings, accounts, webhook_events)
    recordings = TencentRecordings(client, accounts, tencent.NAME, settings.tencent_operator, clock)
    routes = receiver.routes() if receiver else ()
    return Installed(provider, webhooks=routes, close=client.close, recordings=recordings)


def create_receiver(
    settings: TencentSettings, accounts: Accounts, webhook_events: WebhookEvents
) -> WebhookReceiver | None:
    """Goes by real time, not by the development clock: senders sign it."""
    token, key = settings.webhook_token.get_secret_value(), settings.webhook_aes_key.get_secret_value()
    return WebhookReceiver(Checker(token), key, accounts, webhook_events) if token else None
