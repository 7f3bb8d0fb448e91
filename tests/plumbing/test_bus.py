"""The admin step, and what the bus refuses: on a real server, under the rules that installations use."""

import asyncio
import dataclasses
import logging
from contextlib import suppress
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.js.api import StorageType

from services.installation import topology
from services.installation.registry import BUS_USERS, EVENT_STREAMS
from services.platform.messaging import bus
from services.platform.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password, until

BOOKING = next(each for each in topology.STREAMS if each.name == "BOOKING")
PROGRAMS = tuple(user for user in BUS_USERS if user != "admin")


async def applied(server: Bus) -> dict[str, str]:
    client = await server.connect()
    done = await topology.apply(client)
    await client.close()
    return {each.name: each.did for each in done}


async def test_the_admin_step_creates_once_and_then_finds_nothing_to_do(server: Bus) -> None:
    assert await applied(server) == dict.fromkeys(topology.names(), "created")
    assert await applied(server) == dict.fromkeys(topology.names(), "unchanged")


async def test_what_differs_is_put_right_and_named(server: Bus) -> None:
    """A stream and a consumer that somebody changed by hand; the rest is left alone, and so is what they hold."""
    await server.set_up()
    client = await server.connect()
    jetstream = client.jetstream()
    await server.publish({"ce-type": "yunhui.booking.x.y"}, b"kept")
    await jetstream.update_stream(dataclasses.replace(BOOKING, max_msgs=10, max_msg_size=-1))
    changed = dataclasses.replace(topology.CONSUMERS[0].config, max_ack_pending=1)
    await jetstream.add_consumer(topology.CONSUMERS[0].stream, changed)
    done = {each.name: each for each in await topology.apply(client)}
    assert done["BOOKING"].changed == {"max_msgs": (10, -1)}
    assert done["BOOKING/notifier"].changed == {"max_ack_pending": (1, 1024)}
    assert done["POLICY"].did == "unchanged"
    assert (await jetstream.stream_info("BOOKING")).state.messages == 1
    await client.close()


async def test_what_cannot_be_put_right_is_said(server: Bus) -> None:
    """Another kind of storage: only deleting helps, and that is nobody's to do unasked."""
    client = await server.connect()
    await client.jetstream().add_stream(dataclasses.replace(BOOKING, storage=StorageType.MEMORY))
    with pytest.raises(
        topology.TopologyRefusedError, match="BOOKING: stream configuration update can not change storage type"
    ):
        await topology.apply(client)
    await client.close()


def test_every_user_of_the_bus_is_tried() -> None:
    """A user that is added to nats.conf must be added to the tests."""
    configuration = (Path(topology.__file__).parent / "nats.conf").read_text()
    assert sorted(BUS_USERS) == sorted(
        line.split()[2].rstrip(",") for line in configuration.splitlines() if "{ user:" in line
    )


@pytest.mark.parametrize("user", PROGRAMS)
async def test_no_program_can_make_or_change_streams_and_consumers(server: Bus, user: str) -> None:
    """Nor publish for another; and its log says what was refused, and to whom."""
    await server.set_up()
    settings = Settings(environment="development", nats_url=server.url, nats_user=user, nats_password=password(user))
    client = await bus.connect(settings, user)
    jetstream = client.jetstream(timeout=0.3)
    own = dataclasses.replace(BOOKING, name="OWN", subjects=["own.>"])
    consumer = topology.CONSUMERS[0]
    for attempt in (
        lambda: jetstream.add_stream(own),
        lambda: jetstream.update_stream(dataclasses.replace(BOOKING, max_msgs=1)),
        lambda: jetstream.delete_stream("BOOKING"),
        lambda: jetstream.purge_stream("BOOKING"),
        lambda: jetstream.add_consumer(consumer.stream, dataclasses.replace(consumer.config, max_deliver=1)),
        lambda: jetstream.add_consumer(consumer.stream, dataclasses.replace(consumer.config, name="notifier")),
        lambda: jetstream.delete_consumer(consumer.stream, "notifier"),
    ):
        with pytest.raises((nats.errors.TimeoutError, TimeoutError)):
            await attempt()
    await client.close()
    assert await applied(server) == dict.fromkeys(topology.names(), "unchanged")


@pytest.mark.parametrize("user", PROGRAMS)
async def test_a_refused_publish_is_logged_as_what_it_is(
    server: Bus, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller sees a timeout, which could be anything: the log names the user and the subject."""
    await server.set_up()
    settings = Settings(environment="development", nats_url=server.url, nats_user=user, nats_password=password(user))
    foreign = "yunhui.booking.reservation.confirmed" if user != "booking" else "yunhui.policy.version.published"
    client = await bus.connect(settings, user)
    with caplog.at_level(logging.ERROR, logger="services.platform.messaging.bus"):
        await client.publish(foreign, b"{}")
        said = f'NATS: the user {user} may not do this: nats: permissions violation for publish to "{foreign}"'
        await until(lambda: said in caplog.messages)
    await client.close()
    admin = await server.connect()
    assert [(await admin.jetstream().stream_info(name)).state.messages for name in ("BOOKING", "POLICY")] == [0, 0]
    await admin.close()


@pytest.mark.parametrize("stream", EVENT_STREAMS.values())
async def test_a_subscriber_reads_the_past_and_touches_nobodys_consumer(server: Bus, stream: str) -> None:
    """Its own consumers only; those of the programs are denied by name, also by the request that names none."""
    await server.set_up()
    client = await server.connect("subscriber")
    made = await client.jetstream().add_consumer(stream, name="mine", ack_policy="none")
    assert (made.name, made.num_pending) == ("mine", 0)
    for name in (str(each.config.durable_name) for each in topology.CONSUMERS if each.stream == stream):
        subjects = [
            f"$JS.API.CONSUMER.CREATE.{stream}",  # this one takes the name from the request
            f"$JS.API.CONSUMER.CREATE.{stream}.{name}",
            f"$JS.API.CONSUMER.CREATE.{stream}.{name}.yunhui.>",
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}",
            f"$JS.API.CONSUMER.INFO.{stream}.{name}",
            f"$JS.API.CONSUMER.DELETE.{stream}.{name}",
        ]
        assert await refused(server, subjects) == set(subjects)
    await client.close()


async def refused(server: Bus, subjects: list[str]) -> set[str]:
    """Those that the user `subscriber` may not publish to."""
    complaints: list[str] = []

    async def note(error: Exception) -> None:
        complaints.append(str(error))

    client = await nats.connect(server.url, user="subscriber", password=password("subscriber"), error_cb=note)
    for subject in subjects:
        await client.publish(subject, b"")
    with suppress(TimeoutError):  # then one was not refused, and the caller says which
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(complaints) < len(subjects):
                await client.flush()
                await asyncio.sleep(0.02)
    await client.close()
    return {subject for subject in subjects if any(f'"{subject.lower()}"' in line.lower() for line in complaints)}


async def test_a_stream_that_is_not_open_is_closed(server: Bus) -> None:
    """What is not in EVENT_STREAMS cannot be read from the past on."""
    await server.set_up()
    client = await server.connect("subscriber")
    closed = {str(stream.name) for stream in topology.STREAMS} - set(EVENT_STREAMS.values())
    for stream in sorted(closed):
        with pytest.raises(nats.errors.TimeoutError):
            await client.jetstream(timeout=0.3).add_consumer(stream, name="mine", ack_policy="none")
    await client.close()
