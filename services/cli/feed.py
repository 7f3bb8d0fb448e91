"""One stream read in order, from a moment on and further as it grows; goes on where it was when the bus was away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from ulid import ULID

BATCH = 100
WAIT_SECONDS = 2.0  # a request that got lost with a connection is made again after so long
RETRY_SECONDS = 0.5
FORGET_SECONDS = 60.0  # the server drops a consumer that nobody asked for so long
MOST_REMEMBERED = 100_000


class Listener(Protocol):
    """Is told when the stream cannot be read, and when it can be again."""

    def away(self, stream: str) -> None: ...

    def back(self, stream: str) -> None: ...


class Feed:
    """Messages of one stream under one subject, each once: what was seen is known by its ce-id."""

    def __init__(self, bus: Client, stream: str, subject: str, listener: Listener) -> None:
        self._jetstream = bus.jetstream()
        self._stream = stream
        self._subject = subject
        self._listener = listener
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._policy = DeliverPolicy.NEW
        self._start: datetime | None = None
        self._pending = 0
        self._seen: dict[str, None] = {}

    async def open(self, policy: DeliverPolicy, start: datetime | None = None) -> None:
        """From all, new, or a moment by the server's clock (BY_START_TIME) on; waits until the stream is there."""
        self._policy, self._start = policy, start
        await self._reopen()

    async def history(self) -> AsyncIterator[Msg]:
        """What is there already; ends when there is no more for now."""
        while self._pending:
            for message in await self._fetch():
                yield message

    async def live(self) -> AsyncIterator[Msg]:
        """What comes, without end."""
        while True:
            for message in await self._fetch():
                yield message

    async def _fetch(self) -> list[Msg]:
        if self._subscription is None:
            await self._reopen()
            return []
        try:
            # more than one at a time only when they are there: nats-py would wait for the batch to fill
            found = await self._subscription.fetch(max(1, min(self._pending, BATCH)), timeout=WAIT_SECONDS)
        except TimeoutError:
            return []
        except nats.errors.Error:
            await self._close()
            return []
        return [message for message in found if self._is_new(message)]

    def _is_new(self, message: Msg) -> bool:
        self._policy, self._start = DeliverPolicy.BY_START_TIME, message.metadata.timestamp
        self._pending = message.metadata.num_pending
        event_id = (message.headers or {}).get("ce-id")
        if not event_id or event_id in self._seen:  # without an id it is no event, whoever made the bus say it
            return False
        self._seen[event_id] = None
        if len(self._seen) > MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True

    async def _reopen(self) -> None:
        told = False
        while True:
            try:
                info = await self._create()
                break
            except (TimeoutError, nats.errors.Error):
                if not told:
                    self._listener.away(self._stream)
                told = True
                await asyncio.sleep(RETRY_SECONDS)
        if told:
            self._listener.back(self._stream)
        self._pending = info.num_pending or 0
        if self._policy is DeliverPolicy.NEW:  # should it be lost before it brings anything
            self._policy, self._start = DeliverPolicy.BY_START_TIME, info.created
        self._subscription = await self._jetstream.pull_subscribe_bind(consumer=info.name, stream=self._stream)

    async def _create(self) -> ConsumerInfo:
        config = ConsumerConfig(
            name=f"reader-{ULID()}",
            filter_subject=self._subject,
            deliver_policy=self._policy,
            opt_start_time=self._start,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=FORGET_SECONDS,
            mem_storage=True,
        )
        return await self._jetstream.add_consumer(self._stream, config)

    async def _close(self) -> None:
        if self._subscription:
            await self._subscription.unsubscribe()
        self._subscription = None


async def merged(feeds: list[Feed]) -> AsyncIterator[Msg]:
    """The history of all feeds in the order of the server's clock."""
    histories = [feed.history() for feed in feeds]
    heads = {number: await anext(history, None) for number, history in enumerate(histories)}
    while waiting := {number: head for number, head in heads.items() if head}:
        earliest = min(waiting, key=lambda number: waiting[number].metadata.timestamp)
        yield waiting[earliest]
        heads[earliest] = await anext(histories[earliest], None)
