"""Acts that were begun here: each is finished once, whoever hangs up, and given up when its process has gone."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, NamedTuple, TypeVar

import grpc
from sqlalchemy.engine import Connection

from services.meetings.control_acts import ActOutcome
from services.platform.clock import SECOND, Clock
from services.platform.data.database import ConflictError, Database
from services.platform.serving import errors
from services.platform.tasks import until_cancelled
from services.platform.text.messages import message

log = logging.getLogger(__name__)

PATIENCE_MS = 90 * SECOND
"""Longer than any provider may take for one act, with all its attempts, and than storing what came of it."""
ASK_AGAIN_SECONDS = 1
LOOK_SECONDS = 10.0
PAUSES = (0.1, 0.5, 2.0)

R = TypeVar("R")


class ActStore(NamedTuple, Generic[R]):
    """How acts of one kind are stored. Each in a transaction of its own; times are epoch ms."""

    finish: Callable[[Connection, str, ActOutcome, int], R]
    finish_abandoned: Callable[[Connection, int], int]
    are_abandoned: Callable[[Connection], bool]


class ActsUnderWay(Generic[R]):
    """`committed` is called whenever there are new events."""

    def __init__(self, database: Database, clock: Clock, store: ActStore[R], committed: Callable[[], None]) -> None:
        self._database, self._clock, self._store, self._committed = database, clock, store, committed
        self.tasks: set[asyncio.Task[R]] = set()

    async def carry_out(self, work: Coroutine[Any, Any, R]) -> R:
        """To its end: whoever hangs up does not undo it."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return await asyncio.shield(task)

    async def finish(self, act_id: str, outcome: ActOutcome) -> R:
        """Raises ABORTED when it cannot be stored: then it stays under way, and is given up in the end."""
        for pause in (*PAUSES, None):
            try:
                row = await self._database.write(
                    lambda connection: self._store.finish(connection, act_id, outcome, self._clock.now())
                )
                self._committed()
                return row
            except (ConflictError, errors.RpcError) as error:
                log.warning("what became of an act cannot be stored: %s", type(error).__name__)
                if pause is not None:
                    await asyncio.sleep(pause)
        raise under_way()

    async def run(self) -> None:
        """Until cancelled: gives up what was under way in a process that has gone."""
        for _ in until_cancelled():
            try:
                if await self._database.read(self._store.are_abandoned):
                    await self._database.write(lambda c: self._store.finish_abandoned(c, self._clock.now()))
                    self._committed()
            except (ConflictError, errors.RpcError) as error:
                log.warning("acts that nobody finished cannot be given up: %s", type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """What was begun is finished."""
        if self.tasks:
            await asyncio.wait(self.tasks)


def under_way() -> errors.RpcError:
    words = message("the same request is under way: ask again")
    return errors.failure(grpc.StatusCode.ABORTED, "REQUEST_UNDER_WAY", words, retry_seconds=ASK_AGAIN_SECONDS)
