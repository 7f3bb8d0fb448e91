"""Questions answered by nats-py alone, on a real server: what FastStream's responders promise holds here, too."""

import asyncio
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from nats.aio.client import Client

from services.platform.messaging.replies import Replies
from services.platform.observing import traces
from services.platform.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password, until

SUBJECT = "policy.decide"


def echo(asked: StringValue) -> StringValue:
    return asked


def careless(asked: StringValue) -> StringValue:
    """Asked something, it meets something of its own that it cannot read."""
    return StringValue.FromString(b"\xff\xff\xff") if asked.value else asked


def served(server: Bus, answer: Any = echo) -> tuple[Replies, "asyncio.Task[None]"]:
    settings = Settings(nats_url=server.url, nats_user="policy", nats_password=password("policy"))
    replies = Replies(settings, "x", {SUBJECT: (StringValue, answer)})
    return replies, asyncio.create_task(replies.serve())


async def ask(client: Client, body: bytes, seconds: float = PATIENCE_SECONDS) -> bytes:
    answer: bytes = (await client.request(SUBJECT, body, timeout=seconds)).data
    return answer


async def ready(replies: Replies, client: Client) -> None:
    async def answered() -> bool:
        with suppress(Exception):
            return await ask(client, b"", seconds=1) == b""
        return False

    await until(answered)


async def ended(serving: "asyncio.Task[None]") -> None:
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_who_stops_answers_what_was_asked_before(server: Bus) -> None:
    stopping = asyncio.Event()

    async def held(asked: StringValue) -> StringValue:
        """As long as nobody stops it, it answers nothing that says something."""
        if asked.value:
            await stopping.wait()
        return asked

    (replies, serving), client = served(server, held), await server.connect("booking")
    await ready(replies, client)
    bodies = [StringValue(value=str(n)).SerializeToString() for n in range(5)]
    asked = [asyncio.create_task(ask(client, body, seconds=10)) for body in bodies]
    await asyncio.sleep(0)
    for _ in range(2):  # then the server has them all: nats-py's first PING overtakes what is not written yet
        await client.flush()
    asyncio.get_running_loop().call_later(0.1, stopping.set)
    await ended(serving)
    assert await asyncio.gather(*asked) == bodies
    await client.close()


async def test_what_cannot_be_read_is_answered_at_once(server: Bus, caplog: pytest.LogCaptureFixture) -> None:
    (replies, serving), client = served(server), await server.connect("booking")
    await ready(replies, client)
    for body in (b"\xff\xff\xff", b"garbage", b"\x0a\xff"):
        assert await ask(client, body) == b""
    assert "policy.decide: a message of 7 bytes cannot be read" in caplog.messages
    await ended(serving)
    await client.close()


async def test_what_a_handler_cannot_read_itself_is_no_unreadable_question(
    server: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asked must not take the answer for one; those who ask next have theirs."""
    (replies, serving), client = served(server, careless), await server.connect("booking")
    await ready(replies, client)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await ask(client, StringValue(value="x").SerializeToString(), seconds=1)
    assert caplog.messages.count("policy.decide: a question has no answer: DecodeError") == 2
    await ended(serving)
    await client.close()


async def test_one_of_two_answers(server: Bus) -> None:
    said: list[str] = []

    def answer(asked: StringValue) -> StringValue:
        said.append(asked.value)
        return asked

    two, client = [served(server, answer) for _ in range(2)], await server.connect("booking")
    for replies, _ in two:
        await ready(replies, client)
    said.clear()
    for n in range(20):
        await ask(client, StringValue(value=str(n)).SerializeToString())
    assert said == [str(n) for n in range(20)]
    for _, serving in two:
        await ended(serving)
    await client.close()


async def test_serving_ends_as_it_is_told_also_without_a_server(server: Bus) -> None:
    replies, serving = served(server)
    await until(lambda: replies.connection and replies.connection.is_connected)
    connection = replies.connection
    assert connection
    await server.stop()
    await until(lambda: not connection.is_connected)
    await ended(serving)
    assert connection.is_closed


async def test_who_was_turned_away_comes_back(server: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """The password was another for a while."""
    replies, serving = served(server)
    await until(lambda: replies.connection and replies.connection.is_connected)
    await server.stop()
    await server.start(policy="another")
    await until(lambda: any("Authorization Violation" in line for line in caplog.messages))
    await server.stop()
    await server.start()
    client = await server.connect("booking")
    await ready(replies, client)
    await ended(serving)
    await client.close()


async def test_a_connection_that_is_closed_for_good_is_made_anew(server: Bus) -> None:
    """As nats-py does when the server says of it what nats-py does not know."""
    (replies, serving), client = served(server), await server.connect("booking")
    await ready(replies, client)
    assert replies.connection
    await replies.connection.close()
    await ready(replies, client)
    await ended(serving)
    await client.close()


async def test_a_question_belongs_to_the_trace_that_it_came_with(server: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str, str]] = []
    received = traces.received

    def note(name: str, parent: str, kind: traces.Kind) -> AbstractContextManager[None]:
        seen.append((name, parent, kind))
        return received(name, parent, kind)

    monkeypatch.setattr(traces, "received", note)
    (replies, serving), client = served(server), await server.connect("booking")
    await ready(replies, client)
    seen.clear()
    await client.request(SUBJECT, b"", timeout=PATIENCE_SECONDS, headers={traces.HEADER: "00-1-2-01"})
    assert seen == [(SUBJECT, "00-1-2-01", "server")]
    await ended(serving)
    await client.close()
