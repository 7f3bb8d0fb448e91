"""What one account may ask of the gateway, whoever provides the meetings."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable


class PerAccount:
    """At most `limit` calls by one account in any `period` (seconds); the least recent account is forgotten first."""

    REMEMBERED = 10_000

    def __init__(self, limit: int, period: float, now: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._period = period
        self._now = now
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, account: str) -> float:
        """0 when the call may be made, else the seconds to wait."""
        calls = self._calls.setdefault(account, deque())
        self._calls.move_to_end(account)
        if len(self._calls) > self.REMEMBERED:
            self._calls.popitem(last=False)
        now = self._now()
        while calls and now - calls[0] >= self._period:
            calls.popleft()
        if len(calls) == self._limit:
            return self._period - (now - calls[0])
        calls.append(now)
        return 0

    def give_back(self, account: str) -> None:
        """The latest call does not count after all."""
        if calls := self._calls.get(account):
            calls.pop()
