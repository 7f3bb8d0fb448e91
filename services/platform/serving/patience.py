"""How long tasks may take: one timer for all that may take the same, where asyncio.timeout has one for each."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

NO_MORE = -1.0


class OutOfPatienceError(Exception):
    """The work took too long and was cancelled."""


class Patience:
    """Tasks end in the order in which they began, at the latest: only the oldest has to be looked at."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[asyncio.Task[Any], float] = {}  # by the loop's clock; NO_MORE: its time is over
        self._watched = False

    async def wait(self, work: Awaitable[T]) -> T:
        """What comes of the work. Raises OutOfPatienceError when it takes too long; a task does one at a time."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task  # noqa: S101 - this is a coroutine
        self._ends[task] = loop.time() + self._seconds
        if not self._watched:
            self._watched = True
            loop.call_later(self._seconds, self._look, loop)
        others = task.cancelling()
        try:
            return await work
        except asyncio.CancelledError:
            if self._ends[task] == NO_MORE and task.cancelling() == others + 1:  # nobody else wants it to end
                raise OutOfPatienceError from None
            raise
        finally:
            if self._ends.pop(task) == NO_MORE:
                task.uncancel()  # also where the work made something else of it

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, end in list(self._ends.items()):
            if end > now:
                loop.call_at(end, self._look, loop)
                return
            if end != NO_MORE:
                self._ends[task] = NO_MORE
                task.cancel()
        self._watched = False
