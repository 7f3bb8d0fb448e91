"""Waiting, and ending what goes on for ever: a cancellation may be lost, and must end a program all the same.

asyncio.wait_for of Python 3.11 loses one that comes together with what it waits for, and nats-py uses it everywhere.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

AGAIN_SECONDS = 15.0
"""Longer than anything that goes on for ever takes to finish what it has in hand."""


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """True when the event is set, False when the time (seconds) is over. Loses no cancellation."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def until_cancelled() -> Iterator[None]:
    """For loops that go on until their task is cancelled, and then end for certain: `for _ in until_cancelled():`."""
    while True:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise asyncio.CancelledError
        yield


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancels them, and returns when they have ended. What goes on is told again: nats-py does, while it connects."""
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=AGAIN_SECONDS)
