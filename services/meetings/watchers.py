"""Watchers of meetings: while anybody watches, one question a second asks for all rows with a newer version, whichever
replica has written them, and hands them to everybody who may see them.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection

import grpc
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from services.meetings import ledger
from services.meetings.ledger_models import MeetingRow
from services.meetings.provider import MeetingKey
from services.meetings.rendering import key_of
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from services.platform.serving import errors
from services.platform.tasks import until_cancelled
from services.platform.text.messages import message

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
AT_ONCE = 500
"""Rows of one look."""
BACKLOG = 2_000
MOST_STREAMS = 1_000
LAST_WORDS_SECONDS = 1.0

Admits = Callable[[MeetingRow], bool]


class MeetingWatcher:
    """One stream. Iterating raises the errors.RpcError that ends it."""

    def __init__(self, keys: Collection[MeetingKey], admits: Admits) -> None:
        """`keys`: only these; all when there is none."""
        self.task = asyncio.current_task()
        self._keys, self._admits = frozenset(keys), admits
        self._untold: asyncio.Queue[MeetingRow | errors.RpcError] = asyncio.Queue()
        self._ended = False

    def tell(self, row: MeetingRow) -> None:
        if self._ended or (self._keys and key_of(row) not in self._keys):
            return
        if self._untold.qsize() >= BACKLOG:
            words = message("more than {limit} changes were waiting to be taken: list again", limit=BACKLOG)
            self.end(errors.failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_SLOW", words))
        else:
            self._untold.put_nowait(row)

    def end(self, error: errors.RpcError) -> None:
        """What was not told yet never will be."""
        if self._ended:
            return
        self._ended = True
        while not self._untold.empty():
            self._untold.get_nowait()
        self._untold.put_nowait(error)

    async def __aiter__(self) -> AsyncIterator[MeetingRow]:
        for _ in until_cancelled():
            told = await self._untold.get()
            if isinstance(told, errors.RpcError):
                raise told
            if self._admits(told):
                yield told


class MeetingWatchers:
    """`run` looks; it must run for anybody to be told."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[MeetingWatcher] = set()
        self._watched = asyncio.Event()
        self._seen = 0
        self._closed = False

    @contextlib.asynccontextmanager
    async def watch(
        self, keys: Collection[MeetingKey], seconds: float, admits: Admits
    ) -> AsyncIterator[MeetingWatcher]:
        """All changes from when this is entered on. Ends with UNAUTHENTICATED after `seconds`, with the token."""
        if self._closed:
            raise errors.unavailable("the meetings gateway")
        if len(self._watchers) >= MOST_STREAMS:
            words = message("{limit} streams are open: try again later", limit=MOST_STREAMS)
            raise errors.exhausted("TOO_MANY_STREAMS", words, 5)
        if not self._watchers:
            seen = await self._database.read(ledger.last_version)
            if not self._watchers:  # whoever came meanwhile has begun already
                self._seen = seen
        watcher = MeetingWatcher(keys, admits)
        self._watchers.add(watcher)
        self._watched.set()
        expiry = asyncio.get_running_loop().call_later(seconds, watcher.end, _expired())
        try:
            yield watcher
        finally:
            expiry.cancel()
            self._watchers.discard(watcher)
            if not self._watchers:
                self._watched.clear()

    async def run(self) -> None:
        """Until cancelled."""
        for _ in until_cancelled():
            await self._watched.wait()
            try:
                while await self._look():
                    pass
            except errors.RpcError as error:
                log.warning("watched meetings cannot be read: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> bool:
        """Whether there may be more at once."""
        seen = self._seen
        rows = await self._database.read(lambda connection: _newer(connection, seen))
        for row in rows:
            for watcher in self._watchers:
                watcher.tell(row)
            self._seen = max(self._seen, row.version)
        return len(rows) == AT_ONCE

    def close(self) -> None:
        """Ends every stream and lets nobody in: the program stops."""
        self._closed = True
        for watcher in self._watchers:
            watcher.end(errors.unavailable("the meetings gateway"))
        # whoever does not read what it was sent cannot be told that this is the end
        asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        for watcher in [*self._watchers]:
            if watcher.task:
                watcher.task.cancel()


def _newer(connection: Connection, version: int) -> list[MeetingRow]:
    newer = select(MeetingRow).where(MeetingRow.version > version).order_by(col(MeetingRow.version)).limit(AT_ONCE)
    with open_session(connection) as session:
        return list(session.exec(newer))


def _expired() -> errors.RpcError:
    return errors.failure(grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN", "the token has expired: sign in again")
