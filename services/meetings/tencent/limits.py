"""Restraint: token buckets that keep us below what Tencent Meeting allows an application."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from services.meetings.budget import Budget
from services.meetings.provider import RateLimitedError

CALLS_A_MINUTE, CALLS_A_DAY = 300, 200_000
"""Of all replicas together."""
ACCOUNT_SHARE = 3
"""A third of the calls a minute may be about the whole enterprise, of each kind."""
QUALITY_CALLS = 30
"""A minute, about one meeting."""
MADE_CALLS = 30
"""A minute, for one person: 2,000 an hour are allowed."""
REMEMBERED = 10_000


class TokenBucket:
    """`burst` calls at once, and so many a `period` (seconds) in all that not even burst and refill exceed `limit`."""

    def __init__(self, limit: int, period: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._burst = min(burst, limit)
        self._rate = max(limit - self._burst, 1) / period
        self._now = now
        self._tokens = float(self._burst)
        self._filled = now()

    def wait_seconds(self) -> float:
        """0 when a call may be made now."""
        now = self._now()
        if now > self._filled:
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
        return max(self._filled - now, 0) + max(1 - self._tokens, 0) / self._rate

    def take(self) -> None:
        self._tokens -= 1

    def pause(self, seconds: float) -> None:
        """The other side says that it was too much: nothing more for so long, whatever the bucket holds."""
        self._tokens = 0
        self._filled = max(self._filled, self._now() + seconds)


class Restraint:
    """Several buckets as one. Whoever would wait longer than `patience` seconds is told so at once."""

    def __init__(self, buckets: list[TokenBucket], patience: float) -> None:
        self._buckets = buckets
        self._patience = patience
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Waits for its turn. Raises RateLimitedError."""
        async with self._turn:
            seconds = max(bucket.wait_seconds() for bucket in self._buckets)
            if seconds > self._patience:
                raise RateLimitedError("our own limit of calls is reached", int(seconds) + 1)
            await asyncio.sleep(seconds)
            for bucket in self._buckets:
                bucket.wait_seconds()
                bucket.take()

    def pause(self, seconds: float) -> None:
        self._buckets[0].pause(seconds)


class PerOne:
    """So many calls within any minute about one meeting, or person. Whoever would have to wait is told so at once."""

    def __init__(self, limit: int, now: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._now = now
        self._budgets: OrderedDict[str, Budget] = OrderedDict()

    def take(self, name: str) -> None:
        """Raises RateLimitedError."""
        budget = self._budgets.setdefault(name, Budget(self._limit, self._now))
        self._budgets.move_to_end(name)
        if not budget.take():
            seconds = int(budget.wait_seconds()) + 1
            raise RateLimitedError("our own limit of calls of this kind is reached", seconds)
        if len(self._budgets) > REMEMBERED:
            self._budgets.popitem(last=False)
