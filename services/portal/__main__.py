"""The program portal: sign-in, sessions, services and pages put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit

from services.platform import clock, process
from services.platform.messaging.grants_line import BusLine
from services.platform.serving.grants import Grants
from services.platform.serving.web import Pages
from services.portal import app, pages
from services.portal.attempts import to_key
from services.portal.calendars import Feeds
from services.portal.client import Services
from services.portal.console.addresses import IMPORTS
from services.portal.oidc import Issuer
from services.portal.session_store import Bucket, Store
from services.portal.sessions import Session, Sessions
from services.portal.settings import PortalSettings
from services.portal.sign_in import SignIn


def build(settings: PortalSettings) -> app.Portal:
    bucket, issuer = Bucket(settings), Issuer(settings.client())
    grants = Grants(settings.token_roles.split())
    line = BusLine(settings, "portal", grants)
    sessions = Sessions(Store(bucket, Session), issuer.renew)
    services = Services(
        settings.booking_address,
        settings.meetings_address,
        settings.notifier_address,
        settings.policy_address,
        settings.directory_address,
    )
    domain = settings.mail_from.rpartition("@")[2] or urlsplit(settings.portal_url).hostname or ""
    return app.build(
        SignIn(issuer, sessions, to_key(settings.client_secret.get_secret_value()), settings.portal_url),
        sessions,
        services,
        clock.create(settings.clock_file),
        settings.portal_url,
        [*pages.routes, *Feeds(bucket, domain).routes()],
        partial(opened, bucket, line),
        grants,
        settings.csp_report,
        domain,
        pages.AREAS,
        [IMPORTS],
    )


@asynccontextmanager
async def opened(bucket: Bucket, line: BusLine) -> AsyncIterator[None]:
    """What the portal has on the bus."""
    following = asyncio.create_task(line.run())
    try:
        async with bucket.open():
            yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def main(settings: PortalSettings) -> None:
    await process.run_until_stopped(Pages(build(settings), settings.listen))


if __name__ == "__main__":
    process.run("portal", PortalSettings, main)
