"""The way onto NATS: one connection a program, as its own user, that says loudly what the server refuses."""

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
from nats.aio.client import Client

from services.platform.observing import traces
from services.platform.tasks import mend_wait_for

if TYPE_CHECKING:  # the command looks at the bus without settings: 7 MB that `yunhui up` does without
    from services.platform.settings import Settings

log = logging.getLogger(__name__)

mend_wait_for()  # before nats-py waits for anything

SOURCE_PREFIX = "/yunhui/"
REFUSED = "permissions violation"


@dataclass(frozen=True, slots=True)
class Event:
    """A fact to be published. `payload` is proto3 JSON; `entity_seq` counts the events of the entity from 1."""

    event_id: str
    subject: str
    entity_id: str
    entity_seq: int
    time: int
    payload: str
    traceparent: str | None = ""


def headers(event: Event) -> dict[str, str]:
    """CloudEvents 1.0 in the NATS binary binding; Nats-Msg-Id lets JetStream drop repeats."""
    trace = traces.current() or event.traceparent
    return {
        "Nats-Msg-Id": event.event_id,
        "ce-specversion": "1.0",
        "ce-id": event.event_id,
        "ce-type": event.subject,
        "ce-source": SOURCE_PREFIX + event.subject.split(".")[1],
        "ce-subject": event.entity_id,
        "ce-time": datetime.fromtimestamp(event.time / 1000, UTC).isoformat().replace("+00:00", "Z"),
        "ce-sequence": str(event.entity_seq),
        "content-type": "application/json",
        **({traces.HEADER: trace} if trace else {}),
    }


async def unconcerned() -> None:
    """Whoever asks or fetches notices by itself that no answer comes."""


def connect_options(
    settings: "Settings", name: str, interrupted: Callable[[], Awaitable[None]] = unconcerned
) -> Mapping[str, Any]:
    """Options of nats.connect, also for FastStream's broker: reconnects for ever, its own inbox only."""

    async def on_error(error: Exception) -> None:
        # a refused publish or subscribe reaches the caller only as a timeout: here is where it shows
        if REFUSED in str(error).lower():
            log.error("NATS: the user %s may not do this: %s", settings.nats_user, error)
        else:
            log.error("NATS: %s", error)
        await interrupted()

    async def on_disconnect() -> None:
        log.warning("NATS: connection lost, trying again")
        await interrupted()

    async def on_reconnect() -> None:
        log.warning("NATS: connected again")

    return {
        "name": name,
        "user": settings.nats_user,
        "password": settings.nats_password.get_secret_value(),
        "inbox_prefix": f"_INBOX_{settings.nats_user}",
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "error_cb": on_error,
        "disconnected_cb": on_disconnect,
        "reconnected_cb": on_reconnect,
        **tls_options(settings.nats_ca, settings.nats_certificate, settings.nats_key),
    }


def tls_options(authorities: Path | None, certificate: Path | None = None, key: Path | None = None) -> dict[str, Any]:
    """TLS before anything else is said: a client that let the server ask for it would give its password to a server
    that does not ask."""
    if not authorities:
        return {}
    context = ssl.create_default_context(cafile=str(authorities))
    if certificate:
        context.load_cert_chain(certificate, key)
    return {"tls": context, "tls_handshake_first": True}


async def close(connection: Client) -> None:
    """Sends what is under way, if the server is there."""
    if connection.is_connected:
        await connection.drain()
    else:
        await connection.close()


async def connect(settings: "Settings", name: str, interrupted: Callable[[], Awaitable[None]] = unconcerned) -> Client:
    """Connects as the user of `settings`; waits for the server for ever.

    `interrupted` is called when the connection was lost or reports any error: a subscription may have missed messages.
    """
    return await nats.connect(settings.nats_url, **connect_options(settings, name, interrupted))
