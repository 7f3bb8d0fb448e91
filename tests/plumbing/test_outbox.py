"""What was committed is published: at least once, in order for each entity, whatever happens to the bus."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

import pytest
import sqlalchemy as sa
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from services.platform.data.database import Database
from services.platform.messaging import bus, outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.outbox import Relay
from services.platform.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password, until

HOUR = 3_600_000
skew: ContextVar[int] = ContextVar("skew")
"""Milliseconds by which the clock of a replica is ahead."""


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Bus]:
    made = Bus(tmp_path / "nats")
    await made.start()
    await made.set_up()
    yield made
    await made.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    sqlite = request.param == "sqlite"
    database = Database(f"sqlite:///{tmp_path}/outbox.db" if sqlite else request.getfixturevalue("postgres"))
    outbox.TABLE.create(database.engine)
    outbox.OWNER.create(database.engine)
    yield database
    database.close()


def event(entity: int, seq: int) -> Event:
    subject = "yunhui.booking.reservation.confirmed"
    return Event(f"evt_{entity}_{seq}", subject, f"rsv_{entity}", seq, 1_751_846_400_000, f'{{"seq": {seq}}}')


async def store(database: Database, *events: Event) -> None:
    await database.write(lambda connection: outbox.append(connection, events))


async def unpublished(database: Database) -> int:
    query = sa.select(sa.func.count()).select_from(outbox.TABLE).where(outbox.TABLE.c.publish_time.is_(None))
    return await database.read(lambda connection: connection.scalar(query) or 0)


async def stream_messages(nats: Bus) -> list[Msg]:
    client = await nats.connect()
    subscription = await client.jetstream().subscribe("yunhui.booking.>", ordered_consumer=True)
    count = (await client.jetstream().stream_info("BOOKING")).state.messages
    messages = [await subscription.next_msg(timeout=PATIENCE_SECONDS) for _ in range(count)]
    await client.close()
    return messages


async def stream_ids(nats: Bus) -> list[str]:
    return [message.headers["ce-id"] for message in await stream_messages(nats) if message.headers]


@asynccontextmanager
async def relaying(nats: Bus, database: Database) -> AsyncIterator[Relay]:
    """One replica that publishes, or would."""
    settings = Settings(
        environment="development",
        nats_url=nats.url,
        nats_user="booking",
        nats_password=password("booking"),
    )
    client = await bus.connect(settings, "booking")
    relay = Relay(database, client, "booking")
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.wait([task])
        await client.close()


@pytest.fixture
async def relay(nats: Bus, database: Database) -> AsyncIterator[Relay]:
    async with relaying(nats, database) as relay:
        yield relay


async def test_what_was_stored_before_the_start_is_published_in_order(
    nats: Bus, database: Database, relay: Relay
) -> None:
    await store(database, *(event(entity, seq) for seq in range(1, 6) for entity in range(30)))
    relay.wake()
    await until(lambda: all_published(database))
    seen = defaultdict(list)
    for message in await stream_messages(nats):
        assert message.headers
        seen[message.headers["ce-subject"]].append(int(message.headers["ce-sequence"]))
    assert len(seen) == 30
    assert all(sequence == [1, 2, 3, 4, 5] for sequence in seen.values())


async def all_published(database: Database) -> bool:
    return await unpublished(database) == 0


async def test_the_headers_are_cloud_events(nats: Bus, database: Database, relay: Relay) -> None:
    await store(database, event(1, 1))
    relay.wake()
    await until(lambda: all_published(database))
    [message] = await stream_messages(nats)
    assert message.headers == {
        "Nats-Msg-Id": "evt_1_1",
        "ce-specversion": "1.0",
        "ce-id": "evt_1_1",
        "ce-type": "yunhui.booking.reservation.confirmed",
        "ce-source": "/yunhui/booking",
        "ce-subject": "rsv_1",
        "ce-time": "2025-07-07T00:00:00Z",
        "ce-sequence": "1",
        "content-type": "application/json",
    }


async def test_a_bus_that_is_away_loses_nothing_and_repeats_nothing(
    nats: Bus, database: Database, relay: Relay
) -> None:
    await store(database, event(1, 1))
    relay.wake()
    await until(lambda: all_published(database))
    await nats.stop()
    await store(database, event(1, 2), event(2, 1))
    relay.wake()
    await asyncio.sleep(0.3)
    assert await unpublished(database) == 2
    await nats.start()
    await until(lambda: all_published(database))
    ids = [message.headers["ce-id"] for message in await stream_messages(nats) if message.headers]
    assert ids[0] == "evt_1_1"
    assert sorted(ids[1:]) == ["evt_1_2", "evt_2_1"]


async def test_published_but_not_marked_is_published_once_all_the_same(
    nats: Bus, database: Database, relay: Relay
) -> None:
    """As after a crash between the two."""
    await store(database, event(1, 1))
    relay.wake()
    await until(lambda: all_published(database))
    await database.write(lambda connection: connection.execute(sa.update(outbox.TABLE).values(publish_time=None)))
    relay.wake()
    await until(lambda: all_published(database))
    assert len(await stream_messages(nats)) == 1


def test_events_of_one_entity_are_never_in_flight_together() -> None:
    rows = [(number, event(number % 3, number)) for number in range(9)]
    assert [seq for seq, _ in outbox.one_per_entity(rows)] == [0, 1, 2]


async def test_a_batch_with_a_part_that_is_published_already_is_completed_in_order(
    nats: Bus, database: Database, relay: Relay
) -> None:
    """JetStream refuses a batch that holds a repeat: its events go one by one then."""
    await store(database, *(event(1, seq) for seq in range(1, 6)))
    relay.wake()
    await until(lambda: all_published(database))
    forget = sa.update(outbox.TABLE).where(outbox.TABLE.c.entity_seq > 3).values(publish_time=None)
    await database.write(lambda connection: connection.execute(forget))
    await store(database, *(event(1, seq) for seq in range(6, 9)))
    relay.wake()
    await until(lambda: all_published(database))
    sequence = [message.headers["ce-sequence"] for message in await stream_messages(nats) if message.headers]
    assert sequence == [str(seq) for seq in range(1, 9)]


async def replay(database: Database, relay: Relay, after_event_id: str) -> int | None:
    number = await database.write(lambda connection: outbox.mark_unpublished(connection, after_event_id))
    relay.wake()
    return number


async def owner(database: Database) -> str:
    return (await database.read(outbox.read_status)).owner


async def owned(database: Database) -> bool:
    return bool(await owner(database))


async def test_of_two_replicas_one_publishes_what_both_commit(
    nats: Bus, database: Database, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: owned(database))
    first = await owner(database)
    monkeypatch.setattr(outbox, "LOOK_SECONDS", 3600)  # only the word of the other can tell the owner
    async with relaying(nats, database) as second:
        for seq in range(1, 4):
            await store(database, event(1, seq))
            second.wake()
            await until(lambda: all_published(database))
            assert await owner(database) == first
    assert len(await stream_messages(nats)) == 3


async def test_who_stops_in_good_order_is_followed_at_once(nats: Bus, database: Database) -> None:
    async with relaying(nats, database):
        await until(lambda: owned(database))
    assert await owner(database) == ""
    async with relaying(nats, database):
        await until(lambda: owned(database))


async def test_who_stops_in_good_order_leaves_nothing_unpublished(
    nats: Bus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed in the last moment, before anybody was woken."""
    monkeypatch.setattr(outbox, "LOOK_SECONDS", 3600)
    async with relaying(nats, database) as relay:
        await store(database, event(1, 1))
        relay.wake()
        await until(lambda: all_published(database))
        await store(database, event(1, 2))
    assert await unpublished(database) == 0
    assert await owner(database) == ""


async def test_whoever_is_told_to_stop_while_an_answer_comes_stops(
    nats: Bus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nats-py loses a cancellation that comes together with the stream's answer."""
    asked = asyncio.Event()

    async def publish(*_: object, **__: object) -> None:
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    monkeypatch.setattr(JetStreamContext, "publish", publish)
    await store(database, event(1, 1))
    async with asyncio.timeout(PATIENCE_SECONDS), relaying(nats, database):
        await asked.wait()


async def test_who_dies_is_followed_when_the_lease_has_ended(
    nats: Bus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = outbox.real_time() - outbox.LEASE_MS + 3000
    await database.write(lambda connection: outbox.claim(connection, "dead", claimed))
    monkeypatch.setattr(outbox, "LOOK_SECONDS", 0.1)
    await store(database, event(1, 1))
    async with relaying(nats, database):
        await asyncio.sleep(0.3)
        assert await owner(database) == "dead"
        assert await unpublished(database) == 1
        await until(lambda: all_published(database))
        assert await owner(database) != "dead"


async def test_a_lease_of_a_clock_that_was_ahead_holds_up_nothing(
    nats: Bus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner died an hour ahead of us: it counts for as long as a lease lasts, not for an hour."""
    monkeypatch.setattr(outbox, "LEASE_MS", 1500)
    monkeypatch.setattr(outbox, "LOOK_SECONDS", 0.1)
    await database.write(lambda connection: outbox.claim(connection, "dead", outbox.real_time() + HOUR))
    await store(database, event(1, 1))
    async with relaying(nats, database):
        await until(lambda: all_published(database))
        assert await owner(database) not in ("", "dead")


@pytest.mark.parametrize("ahead", [-HOUR, HOUR], ids=["behind", "ahead"])
async def test_replicas_whose_clocks_differ_publish_once_and_in_order(
    nats: Bus, database: Database, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """Whichever owns the outbox; when both have gone and a third comes with the right time, it goes on."""
    right = outbox.real_time
    monkeypatch.setattr(outbox, "real_time", lambda: right() + skew.get())
    monkeypatch.setattr(outbox, "LEASE_MS", 1500)
    monkeypatch.setattr(outbox, "LOOK_SECONDS", 0.1)
    skew.set(0)
    async with relaying(nats, database) as one:
        await until(lambda: owned(database))
        skew.set(ahead)
        async with relaying(nats, database) as other:
            for seq in range(1, 31):
                await store(database, event(1, seq))
                (one if seq % 2 else other).wake()
            await until(lambda: all_published(database))
            await asyncio.sleep(2)  # longer than a lease
            await store(database, event(1, 31))
            one.wake()
            await until(lambda: all_published(database))
    assert [message.headers["ce-sequence"] for message in await stream_messages(nats) if message.headers] == [
        str(seq) for seq in range(1, 32)
    ]


async def test_a_lease_that_is_renewed_is_not_abandoned(database: Database) -> None:
    """However far its end is from our own time; one that nobody renews is, whatever it says."""

    async def claim(name: str, now: int, abandoned: outbox.Lease = outbox.NOBODY) -> outbox.Lease | None:
        return await database.write(lambda connection: outbox.claim(connection, name, now, abandoned))

    now = outbox.real_time()
    assert await claim("ahead", now + HOUR) is None
    first = await claim("right", now)
    assert first == ("ahead", now + HOUR + outbox.LEASE_MS)
    assert await claim("ahead", now + HOUR + 5000) is None
    second = await claim("right", now + 5000, first)
    assert second == ("ahead", now + HOUR + 5000 + outbox.LEASE_MS)
    assert await claim("right", now + 15_000, second) is None
    assert await claim("ahead", now + HOUR + 15_000) is None  # its own clock says that ours is over: it publishes again


async def test_a_lost_stream_is_rebuilt_in_order(nats: Bus, database: Database, relay: Relay) -> None:
    await store(database, *(event(entity, seq) for seq in range(1, 6) for entity in range(30)))
    relay.wake()
    await until(lambda: all_published(database))
    before = await stream_ids(nats)
    client = await nats.connect()
    await client.jetstream().delete_stream("BOOKING")
    await client.close()
    await nats.set_up()
    assert await replay(database, relay, "") == 150
    await store(database, event(1, 6))
    relay.wake()
    await until(lambda: all_published(database))
    assert await stream_ids(nats) == [*before, "evt_1_6"]


async def test_only_the_end_is_published_again(nats: Bus, database: Database, relay: Relay) -> None:
    await store(database, *(event(1, seq) for seq in range(1, 4)))
    await until(lambda: owned(database))
    assert await replay(database, relay, "evt_1_2") == 1
    assert await replay(database, relay, "evt_1_3") == 0
    assert await replay(database, relay, "evt_9_9") is None


async def test_the_status_says_how_far_it_has_come(database: Database) -> None:
    await store(database, event(1, 1), event(1, 2), event(1, 3))
    await database.write(lambda connection: outbox.mark_published(connection, [1]))
    status = await database.read(outbox.read_status)
    assert (status.last_number, status.waiting_count, status.owner) == (3, 2, "")
    assert status.oldest_waiting_time == 1_751_846_400_000
    assert status.last_publish_time
