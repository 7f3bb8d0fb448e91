"""Who may say what on the bus: every user against every other's subjects, on the real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import nats
import pytest
from nats.aio.client import Client

from tests.patience import PATIENCE_SECONDS
from tests.system.stack import Stack

pytestmark = pytest.mark.system

LOOK_AT_GRANTS = "$JS.API.STREAM.MSG.GET.KV_grants"
INTRODUCE = "directory.introduce"
PUBLISH = {
    "booking": (
        LOOK_AT_GRANTS,
        INTRODUCE,
        "yunhui.booking.test",
        "policy.decide",
        "policy.allowed",
        "meetings.look_up",
        "$JS.API.CONSUMER.INFO.MEETINGS.booking",
        "$JS.API.CONSUMER.MSG.NEXT.MEETINGS.booking",
        "$JS.ACK.MEETINGS.booking.1.2.3.4.5",
    ),
    "policy": ("yunhui.policy.test", "booking.requests", LOOK_AT_GRANTS, INTRODUCE),
    "directory": (
        *("yunhui.directory.test", "directory.outbox", LOOK_AT_GRANTS, INTRODUCE),
        *("$KV.grants.account.test", "$KV.grants.joining"),
    ),
    "notifier": (
        LOOK_AT_GRANTS,
        INTRODUCE,
        "yunhui.notifier.test",
        "yunhui.dead.notifier.test",
        "$JS.API.CONSUMER.INFO.BOOKING.notifier",
        "$JS.API.CONSUMER.MSG.NEXT.BOOKING.notifier",
        "$JS.ACK.BOOKING.notifier.1.2.3.4.5",
    ),
    "portal": (
        LOOK_AT_GRANTS,
        INTRODUCE,
        "booking.calendar",
        "$KV.portal_sessions.test",
        "$JS.API.STREAM.INFO.KV_portal_sessions",
        "$JS.API.STREAM.MSG.GET.KV_portal_sessions",
    ),
    "subscriber": (
        "$JS.API.CONSUMER.CREATE.BOOKING.test",
        "$JS.API.CONSUMER.CREATE.BOOKING.test.yunhui.booking.>",
        "$JS.API.CONSUMER.CREATE.POLICY.test",
        "$JS.API.CONSUMER.INFO.BOOKING.test",
        "$JS.API.CONSUMER.MSG.NEXT.BOOKING.test",
    ),
}
CHANGES = "yunhui.booking.reservation.*"
GRANTS = "$KV.grants.account.*"
SUBSCRIBE = {
    "booking": ("booking.requests", "booking.calendar", CHANGES, GRANTS, "_INBOX_booking.test", "_INBOX_booking.>"),
    "policy": ("policy.decide", "policy.allowed", GRANTS, "_INBOX_policy.test"),
    "directory": ("directory.outbox", INTRODUCE, GRANTS, "_INBOX_directory.test"),
    "notifier": (GRANTS, "_INBOX_notifier.test"),
    "portal": (GRANTS, "_INBOX_portal.test"),
    "subscriber": ("yunhui.>", CHANGES, "_INBOX_subscriber.test"),
}
FOR_NOBODY = (
    "$JS.API.STREAM.DELETE.BOOKING",
    "$JS.API.STREAM.PURGE.BOOKING",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.STREAM.UPDATE.BOOKING",
    "$JS.API.CONSUMER.CREATE.BOOKING",
    "$JS.API.CONSUMER.CREATE.BOOKING.notifier",
    "$JS.API.CONSUMER.CREATE.BOOKING.notifier.yunhui.booking.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.BOOKING.notifier",
    "$JS.API.CONSUMER.DURABLE.CREATE.BOOKING.test",
    "$JS.API.CONSUMER.PAUSE.BOOKING.notifier",
    "$JS.API.CONSUMER.LIST.BOOKING",
    "$JS.API.CONSUMER.DELETE.BOOKING.notifier",
    "$JS.API.STREAM.MSG.GET.BOOKING",
    "$JS.API.CONSUMER.CREATE.KV_portal_sessions.test",
    "$JS.API.STREAM.PURGE.KV_portal_sessions",
    "$JS.API.CONSUMER.CREATE.KV_grants.test",
    "$JS.API.STREAM.PURGE.KV_grants",
    "$JS.API.DIRECT.GET.BOOKING",
    "$SYS.REQ.SERVER.PING",
    "_INBOX_booking.forged",
)
WIRETAPS = (">", "$KV.>", "*.>", "_INBOX_booking.>", "$JS.>", "$SYS.>")
USERS = sorted(PUBLISH)
Act = Callable[[Client, str], Awaitable[None]]


@asynccontextmanager
async def listening(stack: Stack, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A connection as `user`, and what the server refused it."""
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    connection = await nats.connect(stack.run["nats"], user=user, password=stack.password(user), error_cb=note)
    try:
        yield connection, refused
    finally:
        await connection.close()


async def refused_of(stack: Stack, user: str, subjects: set[str], expected: set[str], act: Act) -> set[str]:
    """Does `act` to all subjects; waits for the refusals expected, and gives all that came."""
    found: set[str] = set()
    async with listening(stack, user) as (connection, refused):
        for subject in sorted(subjects):
            await act(connection, subject)
        with suppress(TimeoutError):  # then one is missing, and the caller says which
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not expected <= found:
                    await connection.flush()
                    await asyncio.sleep(0.02)
                    found = {subject for subject in subjects if any(f'"{subject.lower()}"' in line for line in refused)}
    return found


async def publish(connection: Client, subject: str) -> None:
    await connection.publish(subject, b"")


async def subscribe(connection: Client, subject: str) -> None:
    await connection.subscribe(subject)


@pytest.mark.parametrize("user", USERS)
async def test_a_user_publishes_only_its_own(stack: Stack, user: str) -> None:
    """One's own subjects pass; those of all others, and the administration of the bus, do not."""
    subjects = {subject for own in PUBLISH.values() for subject in own} | set(FOR_NOBODY)
    expected = subjects - set(PUBLISH[user])
    assert await refused_of(stack, user, subjects, expected, publish) == expected


@pytest.mark.parametrize("user", USERS)
async def test_a_user_hears_only_its_own(stack: Stack, user: str) -> None:
    """Nobody reads another's inbox, and nobody listens to everything."""
    subjects = {subject for own in SUBSCRIBE.values() for subject in own} | set(WIRETAPS)
    expected = subjects - set(SUBSCRIBE[user])
    assert await refused_of(stack, user, subjects, expected, subscribe) == expected


async def test_a_stranger_does_not_come_in(stack: Stack) -> None:
    """Neither without a name nor with a wrong password."""
    for login in ({}, {"user": "booking", "password": "wrong"}):
        with pytest.raises(nats.errors.Error):
            await nats.connect(stack.run["nats"], allow_reconnect=False, **login)
