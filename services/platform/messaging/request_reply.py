"""Questions over the bus, by FastStream: typed by their protobuf messages, traced, and answered whatever they are.

broker = create_broker(settings, "policy")

@responder(broker, subjects.DECIDE, pb.DecideBatchRequest)
async def on_decide(asked: pb.DecideBatchRequest) -> pb.DecideBatchResponse: ...

await serve(broker)
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from faststream import BaseMiddleware
from faststream.message import StreamMessage
from faststream.nats import NatsBroker
from google.protobuf.message import DecodeError, Message

from services.platform.messaging import bus, faststream_fixes
from services.platform.observing import traces
from services.platform.settings import Settings
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0

Asked = TypeVar("Asked", bound=Message)
Answer = Callable[[Asked], Awaitable[Message]]


class UnreadableQuestionError(Exception):
    """No message of the kind that is asked with. What a handler cannot read of its own is another matter."""


class ProtobufCodec:
    """Bodies are protobuf messages: of `kind` those that come in, of whatever kind those that go out."""

    def __init__(self, kind: type[Message] = Message) -> None:
        self._kind = kind

    async def decode(self, msg: StreamMessage[Any]) -> Any:
        """Raises UnreadableQuestionError."""
        try:
            return self._kind.FromString(msg.body)
        except DecodeError as error:
            raise UnreadableQuestionError from error

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        return (msg.SerializeToString() if isinstance(msg, Message) else b""), None


class Traced(BaseMiddleware[Any, Any]):
    """A question is part of the trace that it came with."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> Any:
        with traces.received(msg.raw_message.subject, msg.headers.get(traces.HEADER, ""), "server"):
            return await call_next(msg)


class Answered(BaseMiddleware[Any, Any]):
    """What cannot be read gets an empty answer at once, as from one that knows nothing: nobody waits in vain."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> Any:
        try:
            return await call_next(msg)
        except UnreadableQuestionError:
            log.error("%s: a message of %d bytes cannot be read", msg.raw_message.subject, len(msg.body))
            return b""


def create_broker(settings: Settings, name: str) -> NatsBroker:
    """FastStream's broker on a connection of its own, with the options of bus.connect."""
    options = dict(bus.connect_options(settings, name))
    return NatsBroker(
        settings.nats_url,
        security=faststream_fixes.take_security(options),
        logger=None,  # FastStream would log exceptions whole, and they can quote what people wrote
        apply_types=False,  # the codec gives the type; a validation by pydantic as well would only cost
        codec=ProtobufCodec(),
        middlewares=[Traced, Answered],
        **options,
    )


def responder(
    broker: NatsBroker, subject: str, kind: type[Asked], at_once: int = 1
) -> Callable[[Answer[Asked]], object]:
    """Decorator: answers questions on `subject`, `at_once` of them; each is answered by one replica."""
    codec = ProtobufCodec(kind)
    return broker.subscriber(subject, queue=subject, codec=codec, max_workers=at_once, title=subject)


async def serve(broker: NatsBroker) -> None:
    """Connects, however long that takes, and answers until cancelled; then answers what was asked before."""

    async def answer() -> None:
        await broker.start()
        await asyncio.Event().wait()

    try:
        await run_forever(answer, "questions over NATS", RETRY_SECONDS)
    finally:
        await faststream_fixes.take_no_more(broker)
        await faststream_fixes.stop(broker)
