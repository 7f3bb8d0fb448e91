"""NATS as the programs see it, with the network's faults: requests, streams with atomic batches, durable consumers."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError

from tests.simulation.chaos import LOST, Chaos, Handler, Port, Program

ACK_WAIT_SECONDS = 30.0
REST_SECONDS = 0.5
DOUBLED, LATE, LATE_SECONDS = 0.05, 0.1, 20.0


@dataclass(frozen=True)
class Stored:
    """One message of a stream. `sequence` counts from 1."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    data: bytes

    @property
    def event_id(self) -> str:
        return self.headers["ce-id"]

    @property
    def entity_id(self) -> str:
        return self.headers["ce-subject"]


@dataclass
class Consumer:
    """What the server remembers: from when on each message may be given (again), and how often it was."""

    position: int = 0
    due: dict[int, float] = field(default_factory=dict)
    given: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Server:
    """Streams are on disk and outlive everything; requests and batches under way are lost on the way."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.streams: dict[str, list[Stored]] = defaultdict(list)
        self.consumers: dict[str, Consumer] = defaultdict(Consumer)
        self.handlers: dict[str, tuple[Program, Handler]] = {}
        self.listeners: dict[str, list[Callable[[Any], Awaitable[None]]]] = defaultdict(list)
        self._known: dict[str, set[str]] = defaultdict(set)
        self._batches: dict[str, list[tuple[str, bytes, Mapping[str, str]]]] = defaultdict(list)

    def put_aside(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        self._batches[headers["Nats-Batch-Id"]].append((subject, data, headers))

    def store(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Raises APIError for a batch with a gap, or with something that is there already."""
        batch = self._batches.pop(headers.get("Nats-Batch-Id", ""), [])
        whole = [*batch, (subject, data, headers)]
        if int(headers.get("Nats-Batch-Sequence", 1)) != len(whole):
            raise APIError(400, "batch publish sequence is missing", 10199)
        known = self._known[stream_of(subject)]
        if len(whole) > 1 and any(each["Nats-Msg-Id"] in known for _, _, each in whole):
            raise APIError(400, "batch publish contains duplicate message id", 10201)
        for each in whole:
            self._append(*each)

    def _append(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        name = stream_of(subject)
        if headers["Nats-Msg-Id"] not in self._known[name]:
            self._known[name].add(headers["Nats-Msg-Id"])
            self.streams[name].append(Stored(len(self.streams[name]) + 1, subject, headers, data))

    def fetch(self, stream: str, consumer: str, most: int, now: float) -> list[Stored]:
        """What is new and what must come again; now and then something comes twice, or late."""
        state, messages = self.consumers[consumer], self.streams[stream]
        for number in range(state.position + 1, len(messages) + 1):
            late = self.chaos.happens(LATE)
            state.due[number] = now + LATE_SECONDS * self.chaos.dice.random() if late else now
        state.position = len(messages)
        given = sorted(number for number, due in state.due.items() if due <= now)[:most]
        for number in given:
            state.given[number] += 1
            state.due[number] = now if self.chaos.happens(DOUBLED) else now + ACK_WAIT_SECONDS
        return [messages[number - 1] for number in given]

    def is_idle(self, consumer: str, stream: str) -> bool:
        state = self.consumers[consumer]
        return state.position == len(self.streams[stream]) and not state.due


def stream_of(subject: str) -> str:
    return subject.split(".")[1].upper()


class Wire(Port):
    """One program's connection, with nats-py's names. What is asked may be lost, and so may the answer."""

    is_connected = True

    def __init__(self, program: Program, server: Server) -> None:
        super().__init__(program)
        self._server = server

    async def publish(self, subject: str, data: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Nobody says whether it has arrived."""
        await self.step()
        if self.chaos.happens(LOST):
            return
        if headers and "Nats-Batch-Id" in headers:
            self._server.put_aside(subject, data, headers)
        for listener in self._server.listeners[subject]:
            await listener(None)

    def jetstream(self) -> "JetStream":
        return JetStream(self, self._server)

    async def subscribe(self, subject: str, cb: Callable[[Any], Awaitable[None]]) -> "Subscription":
        await self.step()
        self._server.listeners[subject].append(cb)
        return Subscription(self._server.listeners[subject], cb)

    async def request(
        self,
        subject: str,
        data: bytes,
        timeout: float,  # noqa: ASYNC109 - as in nats-py
        headers: Mapping[str, str] | None = None,
    ) -> "Reply":
        await self.step()
        program, handler = self._server.handlers[subject]
        if not program.alive:
            raise NoRespondersError
        if self.chaos.happens(LOST):
            await self._hear_nothing(timeout)
        life = program.life
        answer = await handler(data)
        if self.chaos.happens(LOST) or not program.alive or program.life != life:
            await self._hear_nothing(timeout)
        await self.step()
        return Reply(answer)

    async def _hear_nothing(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.check()
        raise NatsTimeoutError

    async def ask(self, work: Callable[[], None], seconds: float) -> None:
        """Something that the server does and says so."""
        await self.step()
        if self.chaos.happens(LOST):
            await self._hear_nothing(seconds)
        work()
        if self.chaos.happens(LOST):
            await self._hear_nothing(seconds)
        await self.step()


@dataclass
class JetStream:
    wire: Wire
    server: Server

    async def publish(
        self,
        subject: str,
        data: bytes,
        timeout: float,  # noqa: ASYNC109 - as in nats-py
        headers: Mapping[str, str],
        stream: str = "",
    ) -> None:
        await self.wire.ask(lambda: self.server.store(subject, data, headers), timeout)


@dataclass
class Subscription:
    listeners: list[Callable[[Any], Awaitable[None]]]
    callback: Callable[[Any], Awaitable[None]]

    async def unsubscribe(self) -> None:
        if self.callback in self.listeners:
            self.listeners.remove(self.callback)


@dataclass
class Reply:
    data: bytes


@dataclass(frozen=True)
class Place:
    stream: int


@dataclass(frozen=True)
class Metadata:
    sequence: Place
    num_delivered: int


class Message:
    """One message as a consumer is given it, with nats-py's names."""

    def __init__(self, wire: Wire, consumer: Consumer, stored: Stored) -> None:
        self.subject, self.headers, self.data = stored.subject, dict(stored.headers), stored.data
        self.metadata = Metadata(Place(stored.sequence), consumer.given[stored.sequence])
        self._wire = wire
        self._consumer = consumer
        self._sequence = stored.sequence

    async def ack(self) -> None:
        """Nobody says whether it has arrived; when it has not, the message comes again."""
        await self._wire.step()
        if not self._wire.chaos.happens(LOST):
            self._consumer.due.pop(self._sequence, None)

    term = ack

    async def nak(self, delay: float) -> None:
        await self._wire.step()
        if self._sequence in self._consumer.due:
            self._consumer.due[self._sequence] = asyncio.get_running_loop().time() + delay


async def consume(
    wire: Wire, server: Server, stream: str, name: str, receive: Callable[[Sequence[Any]], Awaitable[None]]
) -> None:
    """A durable pull consumer, for as long as the program lives."""
    while True:
        await wire.step()
        fetched = server.fetch(stream, name, 16, asyncio.get_running_loop().time())
        if fetched:
            await receive([Message(wire, server.consumers[name], each) for each in fetched])
        else:
            await asyncio.sleep(REST_SECONDS)
