"""Metrics (Prometheus): declared where they are counted, and counted only after `start`.

Labels have few values: never an account, a reservation or anything that people wrote.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from services.platform.tasks import until_cancelled

log = logging.getLogger(__name__)

LAG_SECONDS = 0.25
READ_SECONDS = 5.0
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)

Read = Callable[[], Awaitable[None]]


@dataclass(eq=False)
class Metric:
    """Costs one comparison while nobody has asked for metrics. `labels` go before the value, in order."""

    kind: Literal["Counter", "Gauge", "Histogram"]
    name: str
    help: str
    labels: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    _real: Any = None

    def count(self, *labels: str, by: float = 1) -> None:
        if self._real is not None:
            self._real.labels(_program, *labels).inc(by)

    def set(self, *labels: str, to: float) -> None:
        if self._real is not None:
            self._real.labels(_program, *labels).set(to)

    def observe(self, *labels: str, value: float) -> None:
        if self._real is not None:
            self._real.labels(_program, *labels).observe(value)

    def publish(self) -> None:
        import prometheus_client

        make = getattr(prometheus_client, self.kind)
        self._real = make(self.name, self.help, ("program", *self.labels), **self.options)
        if not self.labels:
            self._real.labels(_program)  # there from the beginning, and not only after the first time


declared: dict[str, Metric] = {}
_program = ""
_readers: list[Read] = []


def counter(name: str, about: str, *labels: str) -> Metric:
    return _declare(Metric("Counter", name, about, labels))


def gauge(name: str, about: str, *labels: str) -> Metric:
    return _declare(Metric("Gauge", name, about, labels))


def histogram(name: str, about: str, *labels: str, buckets: tuple[float, ...] = BUCKETS) -> Metric:
    return _declare(Metric("Histogram", name, about, labels, {"buckets": buckets}))


def _declare(metric: Metric) -> Metric:
    return declared.setdefault(metric.name, metric)


READY = gauge("yunhui_ready", "1 while this check of readiness holds", "check")
LAG = gauge("yunhui_loop_lag_seconds", "longest delay of the event loop in the last 5 s")
UNREAD = counter("yunhui_reading_failures_total", "times that figures could not be read for this page")


def start(program: str, listen: str) -> None:
    """Serves the page at http://`listen`/metrics from a thread. Raises OSError when the port is taken."""
    global _program
    if not listen:
        return
    from prometheus_client import start_http_server

    _program = program
    host, _, port = listen.rpartition(":")
    for metric in declared.values():
        metric.publish()
    start_http_server(int(port), host.strip("[]"))


def on() -> bool:
    return bool(_program)


def read_with(read: Read) -> None:
    """`read` sets gauges from what is stored; it is called every READ_SECONDS, and may raise."""
    _readers.append(read)


async def watch() -> None:
    """Until cancelled: measures how late the event loop is, and lets the gauges be read."""
    lag, next_read = 0.0, 0.0
    for _ in until_cancelled():
        before = time.monotonic()
        if before >= next_read:
            LAG.set(to=lag)
            lag, next_read = 0.0, before + READ_SECONDS
            await _read_all()
            before = time.monotonic()
        await asyncio.sleep(LAG_SECONDS)
        lag = max(lag, time.monotonic() - before - LAG_SECONDS)


async def _read_all() -> None:
    for read in _readers:
        try:
            await read()
        except Exception as error:
            UNREAD.count()
            log.warning("figures could not be read: %s", error)
