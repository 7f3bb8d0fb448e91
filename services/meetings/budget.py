"""How often a provider may be asked."""

import time
from collections import deque
from collections.abc import Callable

PERIOD_SECONDS = 60.0


class Budget:
    """At most so many calls within any minute."""

    def __init__(self, calls_a_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self.calls_a_minute = calls_a_minute
        self._now = now
        self._taken: deque[float] = deque()

    def wait_seconds(self) -> float:
        """0 when a call may be made now."""
        now = self._now()
        while self._taken and now - self._taken[0] >= PERIOD_SECONDS:
            self._taken.popleft()
        return self._taken[0] + PERIOD_SECONDS - now if len(self._taken) >= self.calls_a_minute else 0.0

    def take(self) -> bool:
        """Whether a call may be made now; then it counts."""
        if self.wait_seconds():
            return False
        self._taken.append(self._now())
        return True

    def seconds_for(self, calls: int, share: float) -> float:
        """How long so many calls take at least that may use up `share` of it."""
        return calls * PERIOD_SECONDS / (self.calls_a_minute * share)
