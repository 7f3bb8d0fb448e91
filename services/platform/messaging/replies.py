"""Questions that every reservation asks, answered by nats-py alone: FastStream's part would cost as much as the answer.

As in request_reply: one replica of the queue group answers, typed and traced, and at once and emptily what cannot be
read. A subject's questions are answered one after the other: those whose handler waits for something, too.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import nats
from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.platform.messaging import bus
from services.platform.observing import traces
from services.platform.settings import Settings
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0

Answer = Callable[[Any], Message | Awaitable[Message]]
Replier = tuple[type[Message], Answer]
"""The kind of message that is asked with, and what answers it."""


class Replies:
    """Who answers what, by subject, on a connection of its own. `serve` it."""

    def __init__(self, settings: Settings, name: str, repliers: Mapping[str, Replier]) -> None:
        self._settings = settings
        self._name = name
        self._repliers = repliers
        self.connection: Client | None = None
        """As long as questions reach us over it."""

    async def serve(self) -> None:
        """Connects, however long that takes, and answers until cancelled; then answers what was asked before."""
        try:
            await run_forever(self._answer, "questions over NATS", RETRY_SECONDS)
        finally:
            if self.connection:
                await _end(self.connection)

    async def _answer(self) -> None:
        """Until the connection is closed for good: nats-py does so when the server says what it does not know."""
        closed = asyncio.Event()

        async def on_closed() -> None:
            closed.set()

        options = bus.connect_options(self._settings, self._name)
        connection = await nats.connect(self._settings.nats_url, closed_cb=on_closed, **options)
        self.connection = connection
        try:
            for subject, replier in self._repliers.items():
                await connection.subscribe(subject, queue=subject, cb=_callback(connection, *replier))
        except Exception:
            await _end(connection)  # another one takes its place
            raise
        await closed.wait()
        log.warning("NATS: the connection that questions come over is closed")


def _callback(connection: Client, kind: type[Message], answer: Answer) -> Callable[[Msg], Awaitable[None]]:
    async def on_question(msg: Msg) -> None:
        headers = msg.headers or {}
        with traces.received(msg.subject, headers.get(traces.HEADER, ""), "server"):
            try:
                await connection.publish(msg.reply, await _reply(msg, kind, answer))
            except Exception as error:  # its words can quote what people wrote
                log.error("%s: a question has no answer: %s", msg.subject, type(error).__name__)
        await asyncio.sleep(0)  # answers go out, and others have their turn, while more questions wait

    return on_question


async def _reply(msg: Msg, kind: type[Message], answer: Answer) -> bytes:
    try:
        asked = kind.FromString(msg.data)
    except DecodeError:
        log.error("%s: a message of %d bytes cannot be read", msg.subject, len(msg.data))
        return b""
    made = answer(asked)
    return (made if isinstance(made, Message) else await made).SerializeToString()


async def _end(connection: Client) -> None:
    """What was asked is answered, if the server is there; nothing is left that would look for it for ever."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(DRAIN_SECONDS):
            await bus.close(connection)
    if not connection.is_closed:
        await connection.close()
