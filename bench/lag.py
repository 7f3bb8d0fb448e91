"""How long after a commit an event reaches a subscriber, while 200 reservations a second are asked for.

Requests are sent at fixed times, or as soon as one of MOST_IN_FLIGHT is answered: a slow machine is asked for less, and
not for more calls than a connection may have. What is measured is the time from the answer (just after the commit)
until the handler of a JetStream consumer has the event.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import nats
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy
from yunhui.booking.v1 import booking_service_pb2 as api

from bench.load import PATIENCE_SECONDS, Call, Person

PER_SECOND = 200
MOST_IN_FLIGHT = 64
SUBJECT = "yunhui.booking.reservation.confirmed"
DRAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Bus:
    """Where the stream is and who may read it."""

    url: str
    user: str
    password: str


@dataclass(slots=True)
class Moments:
    """When each reservation was answered and when its event arrived; by its id, on the same clock, in seconds."""

    answered: dict[str, float] = field(default_factory=dict)
    arrived: dict[str, float] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def lags(self) -> list[float]:
        return [self.arrived[each] - answered for each, answered in self.answered.items()]


def run(address: str, method: str, people: Sequence[Person], seconds: float, bus: Bus) -> list[float]:
    """Lags in seconds. Raises TimeoutError when an event does not come at all."""
    calls = [person[0] for person in people[: int(seconds * PER_SECOND)]]  # one each: nobody waits for oneself
    moments = asyncio.run(_run(address, method, calls, bus))
    return moments.lags()


async def _run(address: str, method: str, calls: Sequence[Call], bus: Bus) -> Moments:
    moments = Moments()

    async def on_event(message: Msg) -> None:
        moments.arrived[(message.headers or {})["ce-subject"]] = time.perf_counter()
        moments.news.set()

    client = await nats.connect(bus.url, user=bus.user, password=bus.password)
    stream = client.jetstream()
    await stream.subscribe(SUBJECT, cb=on_event, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW)
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.channel_ready()
        free = asyncio.Semaphore(MOST_IN_FLIGHT)
        await asyncio.gather(*(_ask(channel, method, call, due, free, moments) for call, due in _timetable(calls)))
    async with asyncio.timeout(DRAIN_SECONDS):
        while moments.answered.keys() - moments.arrived.keys():
            moments.news.clear()
            await moments.news.wait()
    await client.close()
    return moments


def _timetable(calls: Sequence[Call]) -> Iterable[tuple[Call, float]]:
    start = time.perf_counter() + 0.1
    return [(call, start + number / PER_SECOND) for number, call in enumerate(calls)]


async def _ask(
    channel: grpc.aio.Channel, method: str, call: Call, due: float, free: asyncio.Semaphore, moments: Moments
) -> None:
    await asyncio.sleep(due - time.perf_counter())
    ask: Any = channel.unary_unary(method, response_deserializer=api.CreateReservationResponse.FromString)
    async with free:
        answer = await ask(call.body, metadata=(("authorization", f"Bearer {call.token}"),), timeout=PATIENCE_SECONDS)
        moments.answered[answer.reservation.reservation_id] = time.perf_counter()
