"""Streams and durable consumers of the bus, declared once as data; the admin step makes the server match."""

from dataclasses import dataclass

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

DUPLICATE_WINDOW_SECONDS = 3600.0  # a relay that was away for so long may publish again without a repeat


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable pull consumer: where a program left off, kept by the server."""

    stream: str
    config: ConsumerConfig


def _stream(name: str, subject: str) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=[subject],
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        allow_atomic=True,  # the outbox publishes what it has as one
    )


STREAMS = (
    _stream("BOOKING", "yunhui.booking.>"),
    _stream("POLICY", "yunhui.policy.>"),
    _stream("NOTIFIER", "yunhui.notifier.>"),
    _stream("MEETINGS", "yunhui.meetings.>"),
    _stream("DEAD", "yunhui.dead.>"),  # events that a consumer could not read or write, with the reason
)
CONSUMERS = (
    Consumer(
        "BOOKING",
        ConsumerConfig(
            durable_name="notifier",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=30.0,  # it only stores: mails are sent afterwards
            max_deliver=-1,  # the notifier itself buries what it cannot read; an outage must lose none
            max_ack_pending=1024,
        ),
    ),
)


async def apply(client: Client) -> list[str]:
    """Creates what is missing and updates what differs; twice is the same as once. Returns the names, in order."""
    jetstream = client.jetstream()
    for stream in STREAMS:
        await _apply_stream(jetstream, stream)
    for consumer in CONSUMERS:
        await jetstream.add_consumer(consumer.stream, consumer.config)
    return names()


async def missing(client: Client) -> list[str]:
    """The streams and consumers that the server does not have."""
    jetstream = client.jetstream()
    absent = []
    for stream in STREAMS:
        try:
            await jetstream.stream_info(str(stream.name))
        except NotFoundError:
            absent.append(str(stream.name))
    for consumer in CONSUMERS:
        try:
            await jetstream.consumer_info(consumer.stream, str(consumer.config.durable_name))
        except NotFoundError:
            absent.append(_consumer_name(consumer))
    return absent


def names() -> list[str]:
    return [str(stream.name) for stream in STREAMS] + [_consumer_name(consumer) for consumer in CONSUMERS]


def _consumer_name(consumer: Consumer) -> str:
    return f"{consumer.stream}/{consumer.config.durable_name}"


async def _apply_stream(jetstream: JetStreamContext, stream: StreamConfig) -> None:
    try:
        await jetstream.stream_info(str(stream.name))
    except NotFoundError:
        await jetstream.add_stream(stream)
    else:
        await jetstream.update_stream(stream)
