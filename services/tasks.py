"""Waiting, and going on until cancelled: a cancellation may be lost, and must end a program all the same.

asyncio.wait_for of Python 3.11 loses one that comes together with what it waits for, and nats-py uses it everywhere.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

AGAIN_SECONDS = 0.5


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


async def cancellable(work: Coroutine[Any, Any, T]) -> T:
    """What `work` answers. Cancelled, it ends for certain, though `work` goes on, as nats-py does while it connects.

    Only for what has nothing to finish: `work` is cancelled again and again.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=AGAIN_SECONDS)
