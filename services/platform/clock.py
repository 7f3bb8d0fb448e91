"""Time as a port: epoch milliseconds, the real ones or, in development, shifted by a file that all programs read."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """Where a program gets the time from."""

    patience: float
    """Seconds that one may sleep at most before looking at the clock again."""

    def now(self) -> int:
        """Epoch milliseconds."""
        ...


async def wait_until(due: int | None, woken: asyncio.Event, clock: Clock) -> bool:
    """Until `due` in epoch ms (None: for ever), or until woken, and then True. Looks at the clock, which can jump."""
    if due is None:
        return await woken.wait()
    while clock.now() < due:
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                with _looking(due, clock, limit):
                    return await woken.wait()
    return False


@contextmanager
def _looking(due: int, clock: Clock, limit: asyncio.Timeout) -> Iterator[None]:
    """Sets `limit` when the clock is near `due`. To wake a task for each look would cost ten times as much."""
    loop = asyncio.get_running_loop()
    timer: asyncio.Handle

    def look() -> None:
        nonlocal timer
        timer = loop.call_at((loop.time() // clock.patience + 1) * clock.patience, look)  # all who wait look together
        left = (due - clock.now()) / SECOND
        if left < clock.patience:
            limit.reschedule(loop.time() + left)

    timer = loop.call_soon(look)
    try:
        yield
    finally:
        timer.cancel()


class SystemClock:
    """The machine's clock. Sleeps are cut at a minute, so that a clock set by hand is noticed."""

    patience = 60.0

    def now(self) -> int:
        return time.time_ns() // 1_000_000


class DevelopmentClock:
    """The machine's clock plus an offset kept in a file: whoever changes the file moves every program at once."""

    patience = 0.2

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._offset = 0

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self._read_offset()

    def shift(self, milliseconds: int) -> None:
        """Moves time forward for every program that reads the same file. Raises ValueError for a step back."""
        if milliseconds < 0:
            raise ValueError("time only moves forward")
        fresh = self._path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({"offset_ms": self._read_offset() + milliseconds}))
        fresh.replace(self._path)

    def _read_offset(self) -> int:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return 0
        mark = (status.st_mtime_ns, status.st_ino)
        if mark != self._seen:  # a stat is a microsecond, reading and parsing are not
            self._offset = int(json.loads(self._path.read_text())["offset_ms"])
            self._seen = mark
        return self._offset


def create(clock_file: Path | None) -> Clock:
    return DevelopmentClock(clock_file) if clock_file else SystemClock()


def to_timestamp(milliseconds: int) -> Timestamp:
    """Epoch milliseconds as protobuf Timestamp."""
    return Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def from_timestamp(timestamp: Timestamp) -> int:
    """Protobuf Timestamp as epoch milliseconds, rounded down."""
    return timestamp.seconds * 1000 + timestamp.nanos // 1_000_000
