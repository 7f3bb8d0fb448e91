"""How often somebody may ask: counted for each of many askers, forgotten with the least recent."""

import time
from collections import OrderedDict
from collections.abc import Callable

EPSILON = 1e-6


class Rate:
    """At most so many calls a minute by one account: all of them at once, or one after the other (a token bucket).

    Counted in each replica by itself; 0 is no limit. The least recent account is forgotten first.
    """

    REMEMBERED = 10_000

    def __init__(self, calls_a_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / calls_a_minute if calls_a_minute else 0.0
        self._most = calls_a_minute
        self._now = now
        self._full: OrderedDict[str, float] = OrderedDict()  # when the account's bucket will be full again

    def take(self, account: str, calls: int = 1) -> float:
        """0 when so many may be made, else the seconds to wait; more than a minute allows are taken as a minute's."""
        if not self._interval:
            return 0.0
        now = self._now()
        full = max(self._full.get(account, now), now) + self._interval * min(calls, self._most)
        if full - now > self._interval * self._most + EPSILON:
            return full - now - self._interval * self._most
        self._full[account] = full
        self._full.move_to_end(account)
        if len(self._full) > self.REMEMBERED:
            self._full.popitem(last=False)
        return 0.0

    def give_back(self, account: str) -> None:
        """One call that was taken does not count after all."""
        if account in self._full:
            self._full[account] -= self._interval


NO_LIMIT = Rate(0)
