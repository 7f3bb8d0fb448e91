"""What FastStream does and we mend, on a real server: first that it is mended, then that it still has to be.

When a test of the second kind fails, FastStream does it right: delete the fix, and its part of the decision page.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import pytest
from faststream.nats import NatsBroker
from google.protobuf.wrappers_pb2 import StringValue
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.platform.messaging import faststream_fixes, request_reply
from services.platform.messaging.consumer import PullConsumer, Source
from services.platform.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password, until

EVENTS = Source("BOOKING", "yunhui.booking.>", "notifier", 16, "")
EVENT = "yunhui.booking.reservation.confirmed"


def settings(server: Bus, user: str) -> Settings:
    return Settings(nats_url=server.url, nats_user=user, nats_password=password(user))


class Responder:
    """Answers policy.decide, slowly: not before `gate` is open."""

    def __init__(self, server: Bus, workers: int = 1) -> None:
        self.broker = request_reply.create_broker(settings(server, "policy"), "x")
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        request_reply.responder(self.broker, "policy.decide", StringValue, workers)(self._answer)

    async def _answer(self, asked: StringValue) -> StringValue:
        self.begun.set()
        await self.gate.wait()
        return asked

    async def ask(self, client: Client, *, seconds: float) -> list[asyncio.Task[Any]]:
        """Five questions, of which the first is begun with."""
        await until(lambda: self.broker.running)
        for _ in range(2):  # the first overtakes the subscription
            await cast(Any, self.broker).connection.flush()
        bodies = [StringValue(value=str(n)).SerializeToString() for n in range(5)]
        asked = [asyncio.create_task(client.request("policy.decide", body, timeout=seconds)) for body in bodies]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.begun.wait()
        await client.flush()
        return asked


@pytest.mark.parametrize("workers", [1, 8])
async def test_who_stops_answers_what_was_asked_before(server: Bus, workers: int) -> None:
    """Questions that wait behind a slow one, in a program that is told to end."""
    slow, client = Responder(server, workers), await server.connect("booking")
    serving = asyncio.create_task(request_reply.serve(slow.broker))
    asked = await slow.ask(client, seconds=PATIENCE_SECONDS)
    serving.cancel()
    await asyncio.sleep(0)
    slow.gate.set()
    answers = [StringValue.FromString((await each).data).value for each in asked]
    assert answers == [str(n) for n in range(5)]
    with suppress(asyncio.CancelledError):
        await serving
    await client.close()


@pytest.mark.long
async def test_faststream_stops_without_answering(server: Bus) -> None:
    slow, client = Responder(server), await server.connect("booking")
    await slow.broker.start()
    asked = await slow.ask(client, seconds=3.0)
    stopping = asyncio.create_task(slow.broker.stop())
    await asyncio.sleep(0)
    slow.gate.set()
    await stopping
    lost = [each for each in await asyncio.gather(*asked, return_exceptions=True) if isinstance(each, TimeoutError)]
    assert len(lost) == 4
    await client.close()


async def test_what_cannot_be_read_is_answered_at_once(server: Bus, caplog: pytest.LogCaptureFixture) -> None:
    quick, client = Responder(server), await server.connect("booking")
    quick.gate.set()
    await quick.broker.start()
    await quick.ask(client, seconds=PATIENCE_SECONDS)
    for body in (b"\xff\xff\xff", b"garbage", b"\x0a\xff"):
        assert (await client.request("policy.decide", body, timeout=PATIENCE_SECONDS)).data == b""
    assert "policy.decide: a message of 7 bytes cannot be read" in caplog.messages
    await quick.broker.stop()
    await client.close()


async def test_what_a_handler_cannot_read_itself_is_no_unreadable_question(server: Bus) -> None:
    """A damaged row of its own: whoever asked must not take the answer for one, and waits in vain."""
    broker = request_reply.create_broker(settings(server, "policy"), "x")

    async def answer(_: StringValue) -> StringValue:
        return StringValue.FromString(b"\xff\xff\xff")

    request_reply.responder(broker, "policy.decide", StringValue)(answer)
    await broker.start()
    client = await server.connect("booking")
    for _ in range(2):
        await broker.connection.flush()
    with pytest.raises(TimeoutError):
        await client.request("policy.decide", StringValue(value="x").SerializeToString(), timeout=1)
    await broker.stop()
    await client.close()


async def test_serving_ends_as_it_is_told_also_without_a_server(server: Bus) -> None:
    broker = request_reply.create_broker(settings(server, "policy"), "x")
    serving = asyncio.create_task(request_reply.serve(broker))
    await until(lambda: broker.running)
    connection = broker.connection
    await server.stop()
    await until(lambda: not connection.is_connected)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert connection.is_closed


async def lost(server: Bus) -> NatsBroker:
    """A broker that knows that its server is away."""
    broker = request_reply.create_broker(settings(server, "policy"), "x")
    await broker.start()
    await server.stop()
    await until(lambda: not broker.connection.is_connected)
    return broker


async def test_who_stops_without_a_server_leaves_no_connection_behind(server: Bus) -> None:
    broker = await lost(server)
    connection = broker.connection
    await faststream_fixes.stop(broker)
    assert connection.is_closed


@pytest.mark.long
async def test_faststream_stops_with_an_error_and_goes_on_connecting(server: Bus) -> None:
    broker = await lost(server)
    with pytest.raises(NatsError):
        await broker.stop()
    assert not broker.connection.is_closed
    await broker.connection.close()


async def consumed(server: Bus, received: list[bytes]) -> PullConsumer:
    async def receive(messages: Sequence[Msg]) -> None:
        for message in messages:
            received.append(message.data)
            await message.ack()

    await server.set_up()
    return PullConsumer(settings(server, "notifier"), EVENTS, receive, 1.0)


async def test_a_consumer_that_was_turned_away_says_so(server: Bus) -> None:
    """`run` ends, and receive_forever begins again."""
    consumer = await consumed(server, [])
    running = asyncio.create_task(consumer.run())
    await until(lambda: consumer.broker.running)
    await server.stop()
    await server.start(notifier="another")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await running


@pytest.mark.long
async def test_faststream_that_was_turned_away_never_comes_back(server: Bus) -> None:
    """The password is right again, and nobody tries: max_reconnect_attempts=-1 is forgotten."""
    refusals: list[Exception] = []

    async def note(error: Exception) -> None:
        refusals.append(error)

    consumer = await consumed(server, [])
    consumer.broker._connection_kwargs["error_cb"] = consumer.broker._log_connection_broken(note)
    await consumer.broker.start()
    connection = consumer.broker.connection
    await server.stop()
    await server.start(notifier="another")
    await until(lambda: any(faststream_fixes.ends_connection(each) for each in refusals))
    await server.stop()
    await server.start()
    await until(lambda: cast(Any, connection)._reconnection_task.done())
    assert not connection.is_connected
    assert not connection.is_closed


class Counted:
    """A subscription that counts how often it is asked."""

    def __init__(self, subscription: Any) -> None:
        self.subscription, self.fetches = subscription, 0

    async def fetch(self, batch: int, timeout: float | None) -> list[Any]:  # noqa: ASYNC109 - FastStream calls it so
        self.fetches += 1
        return list(await self.subscription.fetch(batch=batch, timeout=timeout))

    async def unsubscribe(self) -> None:
        await self.subscription.unsubscribe()


async def without_consumer(server: Bus, *, calm: bool) -> Counted:
    """A consumer that is deleted while somebody receives from it, for half a second."""
    consumer = await consumed(server, [])
    await consumer.broker.start()
    subscriber = cast(Any, consumer)._subscriber
    counted = Counted(subscriber.subscription)
    subscriber.subscription = counted
    if calm:
        faststream_fixes.calm(subscriber, EVENTS.batch)
    admin = await server.connect()
    await admin.jetstream().delete_consumer(EVENTS.stream, EVENTS.consumer)
    await admin.close()
    await until(lambda: counted.fetches > 1)
    await asyncio.sleep(0.5)
    await faststream_fixes.stop(consumer.broker)
    return counted


async def test_a_consumer_that_is_away_is_asked_for_calmly(server: Bus, caplog: pytest.LogCaptureFixture) -> None:
    assert (await without_consumer(server, calm=True)).fetches <= 3
    assert any(line.startswith("NATS: no events now: ") for line in caplog.messages)


@pytest.mark.long
async def test_faststream_asks_without_a_pause(server: Bus) -> None:
    assert (await without_consumer(server, calm=False)).fetches > 50


async def test_an_event_does_not_wait_for_others(server: Bus) -> None:
    received: list[bytes] = []
    consumer = await consumed(server, received)
    running = asyncio.create_task(consumer.run())
    await server.publish({"ce-type": EVENT}, b"alone")
    await until(lambda: received == [b"alone"])
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.long
async def test_faststream_waits_for_a_whole_batch(server: Bus) -> None:
    """Until pull_sub.timeout is over."""
    received: list[bytes] = []
    consumer = await consumed(server, received)
    cast(Any, consumer)._subscriber.pull_sub.timeout = 3600
    await consumer.broker.start()
    await server.publish({"ce-type": EVENT}, b"alone")
    await until(lambda: in_hand(server))
    await asyncio.sleep(0.5)
    assert received == []
    await faststream_fixes.stop(consumer.broker)


async def in_hand(server: Bus) -> bool:
    return bool((await server.consumer()).num_ack_pending)
