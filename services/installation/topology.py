"""Streams and durable consumers of the bus, declared once as data; the admin step makes the server match."""

from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Any

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from services.installation.registry import EVENT_STREAMS

DUPLICATE_WINDOW_SECONDS = 3600.0  # a relay that was away for so long may publish again without a repeat


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable pull consumer: where a program left off, kept by the server."""

    stream: str
    config: ConsumerConfig

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.config.durable_name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What the admin step did with one stream or consumer. `changed`: setting -> (before, after); None: it is new."""

    name: str
    changed: dict[str, tuple[Any, Any]] | None

    @property
    def did(self) -> str:
        if self.changed is None:
            return "created"
        return "updated" if self.changed else "unchanged"


class TopologyRefusedError(Exception):
    """The server has one that cannot be made as declared, for example with another kind of storage."""

    def __init__(self, name: str, error: APIError) -> None:
        super().__init__(f"{name}: {error.description}")
        self.name = name
        self.reason = error.description or type(error).__name__


def _stream(name: str, subject: str) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=[subject],
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        allow_atomic=True,  # the outbox publishes what it has as one
    )


PORTAL_SESSIONS = StreamConfig(
    name="KV_portal_sessions",  # a bucket: a key is a subject, the newest message its value
    subjects=["$KV.portal_sessions.>"],
    storage=StorageType.FILE,
    max_msgs_per_subject=1,
    max_age=3600.0,  # longer than a session may be idle: each sign of life writes it anew
    max_bytes=256 * 1024 * 1024,
    max_msg_size=256 * 1024,
    discard=DiscardPolicy.NEW,  # when it is full nobody new signs in; nobody is thrown out
    duplicate_window=120.0,
    allow_rollup_hdrs=True,  # what is removed leaves nothing behind
    deny_delete=True,
    allow_direct=False,  # read from the leader: whoever has just signed out is out, at every replica
)
GRANTS = StreamConfig(
    name="KV_grants",  # a bucket as well: what the directory grants to accounts
    subjects=["$KV.grants.>"],
    storage=StorageType.FILE,
    max_msgs_per_subject=1,
    max_msg_size=64 * 1024,
    discard=DiscardPolicy.NEW,
    duplicate_window=120.0,
    deny_delete=True,
    allow_direct=False,  # read from the leader: a replica could be behind
)
STREAMS = (
    *(_stream(stream, f"yunhui.{name}.>") for name, stream in EVENT_STREAMS.items()),
    _stream("DEAD", "yunhui.dead.>"),  # events that a consumer could not read or write, with the reason
    PORTAL_SESSIONS,
    GRANTS,
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
    Consumer(
        "MEETINGS",
        ConsumerConfig(
            durable_name="booking",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=60.0,
            max_deliver=-1,  # what cannot be asked about while the provider is away is told again
            max_ack_pending=256,
        ),
    ),
    Consumer(
        "DIRECTORY",
        ConsumerConfig(
            durable_name="booking",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=30.0,  # it only stores
            max_deliver=-1,
            max_ack_pending=256,
        ),
    ),
)


async def apply(client: Client) -> list[Applied]:
    """Creates what is missing and updates what differs; twice is the same as once. Raises RefusedError."""
    jetstream = client.jetstream()
    done = [await _apply_stream(jetstream, stream) for stream in STREAMS]
    return done + [await _apply_consumer(jetstream, consumer) for consumer in CONSUMERS]


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
            absent.append(consumer.name)
    return absent


async def different(client: Client) -> dict[str, str]:
    """Streams and consumers that are not as declared: which of their settings."""
    jetstream, found = client.jetstream(), {}
    for stream in STREAMS:
        is_ = await _found(_settings(jetstream.stream_info(str(stream.name))))
        found[str(stream.name)] = _departures(asdict(stream), is_)
    for consumer in CONSUMERS:
        is_ = await _found(_settings(jetstream.consumer_info(consumer.stream, str(consumer.config.durable_name))))
        found[consumer.name] = _departures(asdict(consumer.config), is_)
    return {name: ", ".join(settings) for name, settings in found.items() if settings}


def _departures(declared: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    """What is left to the server is as it likes; what is absent altogether is told by `missing`."""
    return [key for key, value in declared.items() if found and value is not None and found[key] != value]


def names() -> list[str]:
    return [str(stream.name) for stream in STREAMS] + [consumer.name for consumer in CONSUMERS]


async def _apply_stream(jetstream: JetStreamContext, stream: StreamConfig) -> Applied:
    name = str(stream.name)
    before = await _found(_settings(jetstream.stream_info(name)))
    make = jetstream.add_stream if before is None else jetstream.update_stream
    return await _applied(name, before, _settings(make(stream)))


async def _apply_consumer(jetstream: JetStreamContext, consumer: Consumer) -> Applied:
    info = jetstream.consumer_info(consumer.stream, str(consumer.config.durable_name))
    before = await _found(_settings(info))
    after = jetstream.add_consumer(consumer.stream, consumer.config)
    return await _applied(consumer.name, before, _settings(after))


async def _settings(info: Awaitable[Any]) -> dict[str, Any]:
    return asdict((await info).config)


async def _found(settings: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return await settings
    except NotFoundError:
        return None


async def _applied(name: str, before: dict[str, Any] | None, after: Awaitable[dict[str, Any]]) -> Applied:
    """What the server holds afterwards is compared, not what was asked for: it fills in defaults of its own."""
    try:
        settings = await after
    except APIError as error:
        raise TopologyRefusedError(name, error) from error
    if before is None:
        return Applied(name, None)
    return Applied(name, {key: (before[key], value) for key, value in settings.items() if before[key] != value})
