"""Waiting, and going on until cancelled: a cancellation must end a program for certain.

asyncio.wait_for of Python 3.11 loses one that comes together with what it waits for. nats-py uses it everywhere, also
in tasks of its own that look for the server; so a program whose bus was away never ended. Python 3.12 has mended it.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


async def wait_for(awaitable: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - the signature of asyncio's
    """As asyncio.wait_for of Python 3.12: cancelled or late, it says so, whatever has come meanwhile."""
    waited = asyncio.ensure_future(awaitable)
    async with asyncio.timeout(timeout):
        return await waited


def mend_wait_for() -> None:
    """For all libraries, from here on."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment] # asyncio's may return its own kind of future


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """True when the event is set, False when the time (seconds) is over. Loses no cancellation."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def until_cancelled() -> Iterator[None]:
    """For loops that go on until their task is cancelled, and then end for certain: `for _ in until_cancelled():`.

    What they call may swallow a cancellation, as nats-py does while it closes a connection.
    """
    while True:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise asyncio.CancelledError
        yield


async def run_forever(work: Callable[[], Awaitable[object]], what: str, retry: float, pause: float = 0.0) -> None:
    """Does `work` until cancelled, `pause` seconds apart; after a failure, which is logged, `retry` seconds later."""
    for _ in until_cancelled():
        seconds = pause
        try:
            await work()
        except Exception as error:
            log.warning("%s: trying again: %s", what, error)
            seconds = retry
        await asyncio.sleep(seconds)
