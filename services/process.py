"""The life of a program: serve until SIGTERM or SIGINT, take no new work, finish what is under way."""

import asyncio
import multiprocessing
import signal
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from services import metrics, readiness
from services.database import Database
from services.rpc import Server

SWITCH_SECONDS = 0.0005
"""A busy event loop lets go of the GIL and takes it back within Python's usual 5 ms, and then a worker thread (the
database, the compiling of a policy) never gets it: seen for 20 s. This makes the loop share."""


def migrate(database: Database, package: str) -> None:
    """Brings the tables to the form that the service expects, or ends the program when it cannot be done.

    In a process of its own, before anything else is begun: Alembic's 13 MB would stay for as long as the program runs.
    """
    child = multiprocessing.get_context("fork").Process(target=database.migrate, args=(package,))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(child.exitcode)


async def run_until_stopped(
    server: Server, *loops: Coroutine[Any, Any, None], checks: Mapping[str, readiness.Check]
) -> None:
    """Serves beside the endless `loops`; raises what ends one of them, for then the program is of no use.

    grpc.health.v1 answers SERVING only while all `checks` hold.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(loop) for loop in loops]
    await server.start()
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
