"""The life of every program: settings, then logs, metrics and traces, then serving until SIGTERM, and a good end."""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from services.platform import readiness
from services.platform.observing import metrics, telemetry
from services.platform.settings import Settings, load

SWITCH_SECONDS = 0.0005
"""A busy event loop lets go of the GIL and takes it back within Python's usual 5 ms, and then a worker thread (the
database, the compiling of a policy) never gets it: seen for 20 s. This makes the loop share."""

SETTLED_SECONDS = 3.0
"""After the start: rules are compiled and the first checks made, which need memory too."""

S = TypeVar("S", bound=Settings)
Main = Coroutine[Any, Any, None]


class Server(Protocol):
    """What a program answers with, gRPC or HTTP."""

    async def start(self) -> None: ...
    async def set_ready(self, ready: bool) -> None: ...
    async def stop(self) -> None:
        """Takes no new work and finishes what is under way."""


def run(name: str, kind: type[S], prepare: Callable[[S], Main]) -> None:
    """Reads settings of `kind`, calls `prepare`, which may fork, begins all else, and runs the main that it gave.

    `name` is the program's in logs, metrics and traces. Ends with status 2 for settings that are refused.
    """
    settings = load(kind)
    main = prepare(settings)
    telemetry.start(settings, name)
    asyncio.run(main)


async def run_until_stopped(
    server: Server, *loops: Coroutine[Any, Any, None], checks: Mapping[str, readiness.Check] | None = None
) -> None:
    """Serves beside the endless `loops`; raises what ends one of them, for then the program is of no use.

    The server is told that it is ready only while all `checks` hold.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(loop) for loop in loops]
    await server.start()
    asyncio.get_running_loop().call_later(SETTLED_SECONDS, give_back_memory)
    if checks is not None:
        tasks.append(asyncio.create_task(readiness.watch(checks, server.set_ready)))
    if metrics.on():
        tasks.append(asyncio.create_task(metrics.watch()))
    waiting: asyncio.Task[Any] = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    await server.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done - {waiting}:
        task.result()


def give_back_memory() -> None:
    """What the start needed for a moment and glibc keeps: 3 to 4 MB of most programs. Other C libraries are let be."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
