"""Who watches sees every change once, through whichever replica it came, or is told to list again."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import endings, events
from services.booking import watchers as changes_module
from services.booking.scopes import of_account
from services.booking.watchers import EVERYBODY, Watcher, Watchers
from services.platform.clock import HOUR
from services.platform.messaging import bus
from services.platform.messaging.outbox import Relay
from services.platform.serving import errors, rpc
from services.platform.serving.identity import LEEWAY_SECONDS, Principal
from services.platform.settings import Settings
from tests.booking.builders import MONDAY, TEN
from tests.booking.conftest import Booking
from tests.booking.served import Caller, serve, subject_of
from tests.booking.test_admission import create
from tests.booking.test_directory import of_member, tell
from tests.booking.test_scopes import belonging, local, plant
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, Bus, password, until

AN_HOUR = 3600.0


def settings(nats: Bus, user: str = "booking") -> Settings:
    return Settings(environment="development", nats_url=nats.url, nats_user=user, nats_password=password(user))


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Bus]:
    server = Bus(tmp_path / "nats")
    await server.start()
    await server.set_up()
    yield server
    await server.stop()


@pytest.fixture
async def changes(nats: Bus) -> AsyncIterator[Watchers]:
    made = Watchers()
    connection = await bus.connect(settings(nats), "booking", made.interrupt)
    made.attach(connection)
    yield made
    await connection.close()


def record(
    reservation_id: str = "rsv_1", version: int = 1, account_id: str = "a", created_by: str = ""
) -> pb.Reservation:
    return pb.Reservation(
        reservation_id=reservation_id,
        version=version,
        state=pb.RESERVATION_STATE_CONFIRMED,
        organizer=pb.Organizer(account_id=account_id),
        created_by=created_by or account_id,
        subject="组会",
    )


async def publish(nats: Bus, *records: pb.Reservation) -> None:
    """As relays do, but not into the stream: whoever repeats an event repeats it here too."""
    client = await nats.connect("booking")
    for each in records:
        event = events.reservation_event("confirmed", events_pb2.ReservationEvent(reservation=each, actor="a"), MONDAY)
        await client.publish(event.subject, event.payload.encode(), headers=bus.headers(event))
    await client.drain()


async def next_of(watcher: Watcher) -> pb.Reservation:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for each in watcher:
            return each
    raise AssertionError("a stream never ends by itself")


async def end_of(watcher: Watcher) -> tuple[str, str]:
    with pytest.raises(errors.RpcError) as caught:
        await next_of(watcher)
    return caught.value.code.name, caught.value.details[0].reason  # type: ignore[attr-defined]


async def test_one_sees_what_is_ones_own_and_support_sees_all(nats: Bus, changes: Watchers) -> None:
    """Own is what is for the account; what it made for another, when it was of support, is not."""
    own, by_own, last = record("own"), record("by", account_id="b", created_by="a"), record("last")
    async with changes.watch("a", AN_HOUR) as watcher, changes.watch(EVERYBODY, AN_HOUR) as all_seeing:
        await publish(nats, by_own, own, last)
        assert [await next_of(watcher) for _ in range(2)] == [own, last]
        assert [await next_of(all_seeing) for _ in range(3)] == [by_own, own, last]


async def test_of_everybodys_one_sees_what_one_may_see_by_then(nats: Bus, changes: Watchers) -> None:
    seen = {"b"}

    async def admits(accounts: Sequence[str]) -> bool:
        await asyncio.sleep(0)
        return not seen.isdisjoint(accounts)

    async with changes.watch(EVERYBODY, AN_HOUR, admits) as watcher:
        await publish(nats, record("1", account_id="a"), record("2", account_id="b"))
        assert (await next_of(watcher)).reservation_id == "2"
        seen.clear()
        seen.add("a")
        await publish(nats, record("3", account_id="b"), record("4", account_id="a"))
        assert (await next_of(watcher)).reservation_id == "4"


async def test_what_is_repeated_or_overtaken_is_left_out(nats: Bus, changes: Watchers) -> None:
    first, second, third = (record(version=version) for version in (1, 2, 3))
    async with changes.watch("a", AN_HOUR) as watcher:
        await publish(nats, first, first, record("other"), third, second, first, third, record("last"))
        seen = [await next_of(watcher) for _ in range(4)]
    assert [(each.reservation_id, each.version) for each in seen] == [
        ("rsv_1", 1),
        ("other", 1),
        ("rsv_1", 3),
        ("last", 1),
    ]


async def test_the_memory_for_repeats_is_bounded_and_keeps_the_latest(
    nats: Bus, changes: Watchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "REMEMBERED", 2)
    async with changes.watch(EVERYBODY, AN_HOUR) as watcher:
        await publish(nats, *(record(name, version) for name, version in (("a", 1), ("b", 1), ("a", 2), ("c", 1))))
        await publish(nats, record("a", 2), record("c", 1), record("last"))
        seen = [(each.reservation_id, each.version) for each in [await next_of(watcher) for _ in range(5)]]
    assert seen == [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("last", 1)]
    assert len(changes._versions) == 2


async def test_a_request_that_came_to_nothing_is_no_change(nats: Bus, changes: Watchers) -> None:
    refused = events_pb2.ReservationEvent(request=events_pb2.RefusedRequest(organizer=pb.Organizer(account_id="a")))
    event = events.refusal_event("denied", refused, MONDAY)
    async with changes.watch("a", AN_HOUR) as watcher:
        await nats.publish(bus.headers(event), event.payload.encode())
        await publish(nats, record("after"))
        assert (await next_of(watcher)).reservation_id == "after"


async def test_a_field_of_a_newer_replica_is_no_hindrance(nats: Bus, changes: Watchers) -> None:
    event = events.reservation_event("confirmed", events_pb2.ReservationEvent(reservation=record()), MONDAY)
    content = json.loads(event.payload)
    content["reservation"]["colour"] = content["colour"] = "blue"
    async with changes.watch("a", AN_HOUR) as watcher:
        await nats.publish(bus.headers(event), json.dumps(content).encode())
        assert await next_of(watcher) == record()


async def test_who_does_not_keep_up_is_ended_and_nobody_else(nats: Bus, changes: Watchers) -> None:
    """The last that fits is still kept."""
    crowd = [record(f"rsv_{index}") for index in range(changes_module.BACKLOG)]
    async with changes.watch("a", AN_HOUR) as slow, changes.watch("a", AN_HOUR) as watcher:
        await publish(nats, *crowd)
        assert [await next_of(watcher) for _ in crowd] == crowd
        await publish(nats, record("one too many"), record("and one"))
        assert (await next_of(watcher)).reservation_id == "one too many"
        assert await end_of(slow) == ("RESOURCE_EXHAUSTED", "TOO_SLOW")
        assert (await next_of(watcher)).reservation_id == "and one"


async def test_whose_reservation_is_handed_over_hears_of_that_and_of_nothing_after(
    nats: Bus, changes: Watchers
) -> None:
    handed = events_pb2.ReservationEvent(
        reservation=record(version=2, account_id="b"), former_organizer=pb.Organizer(account_id="a")
    )
    event = events.reservation_event("handed_over", handed, MONDAY)
    async with changes.watch("a", AN_HOUR) as former, changes.watch("b", AN_HOUR) as new:
        await nats.publish(bus.headers(event), event.payload.encode(), event.subject)
        await publish(nats, record(version=3, account_id="b"), record("another"))
        assert [await next_of(former) for _ in range(2)] == [handed.reservation, record("another")]
        assert [(await next_of(new)).version for _ in range(2)] == [2, 3]


async def test_a_full_backlog_is_not_yet_too_much(nats: Bus, changes: Watchers) -> None:
    crowd = [record(f"rsv_{index}") for index in range(changes_module.BACKLOG)]
    async with changes.watch("a", AN_HOUR) as slow, changes.watch("a", AN_HOUR) as watcher:
        await publish(nats, *crowd)
        assert [await next_of(watcher) for _ in crowd] == crowd
        assert [await next_of(slow) for _ in crowd] == crowd


async def test_a_bus_that_was_away_ends_every_stream_and_begins_none(nats: Bus, changes: Watchers) -> None:
    """Until it is back; then nothing is missed, and nothing comes twice."""
    async with changes.watch("a", AN_HOUR) as first, changes.watch(EVERYBODY, AN_HOUR) as second:
        await nats.stop()
        assert [await end_of(each) for each in (first, second)] == [("UNAVAILABLE", "SERVICE_AWAY")] * 2
    assert not await begins(changes)
    await nats.start()
    await until(lambda: begins(changes))
    async with changes.watch("a", AN_HOUR) as again:
        await publish(nats, record(), record("last"))
        assert [(await next_of(again)).reservation_id for _ in range(2)] == ["rsv_1", "last"]


async def test_no_stream_begins_before_the_server_has_the_subscription(
    nats: Bus, changes: Watchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published meanwhile would be missed: a server that does not answer is one that is away."""
    monkeypatch.setattr(changes_module, "FLUSH_SECONDS", 0.3)
    async with nats.paused():
        assert not await begins(changes)
    await until(lambda: begins(changes))


async def test_a_slow_line_makes_no_difference_to_that(nats: Bus) -> None:
    """nats-py sends its first question before a subscription that it has just been given."""
    changes = Watchers()
    async with slow_line_to(nats.port) as port:
        connection = await bus.connect(
            settings(nats).model_copy(update={"nats_url": f"nats://{HOST}:{port}"}), "booking", changes.interrupt
        )
        changes.attach(connection)
        sender = await nats.connect("booking")
        event = events.reservation_event("confirmed", events_pb2.ReservationEvent(reservation=record()), MONDAY)
        async with changes.watch("a", AN_HOUR) as watcher:
            await sender.publish(event.subject, event.payload.encode(), headers=bus.headers(event))
            assert await next_of(watcher) == record()
        await sender.close()
        await connection.close()


@asynccontextmanager
async def slow_line_to(port: int) -> AsyncIterator[int]:
    """The port of a line on which each command for the server takes a while, and its answers none."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float) -> None:
        while piece := await source.readline():
            await asyncio.sleep(seconds)
            sink.write(piece)
        sink.close()

    async def join(near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        far, question = await asyncio.open_connection(HOST, port)
        await asyncio.gather(pump(near, question, 0.2), pump(far, answer, 0))

    server = await asyncio.start_server(join, HOST, 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


async def begins(changes: Watchers) -> bool:
    try:
        async with changes.watch("a", AN_HOUR):
            return True
    except errors.RpcError as error:
        return error.code is not grpc.StatusCode.UNAVAILABLE


async def test_a_subscription_that_the_server_refuses_is_no_stream(nats: Bus) -> None:
    """Else one would wait for ever: another program's user may not listen there."""
    changes = Watchers()
    connection = await bus.connect(settings(nats, "policy"), "booking", changes.interrupt)
    changes.attach(connection)
    for _ in range(2):
        async with changes.watch("a", AN_HOUR) as watcher:
            assert await end_of(watcher) == ("UNAVAILABLE", "SERVICE_AWAY")
    await connection.close()


async def test_an_event_that_cannot_be_read_may_have_been_a_change(nats: Bus, changes: Watchers) -> None:
    """Its words are in no log."""
    for payload in (b"{", b'{"reservation": {"subject": "private"}}', b"[]"):
        async with changes.watch("a", AN_HOUR) as watcher:
            await nats.publish({}, payload, "yunhui.booking.reservation.confirmed")
            assert await end_of(watcher) == ("UNAVAILABLE", "SERVICE_AWAY")


async def test_a_stream_does_not_outlive_its_token(changes: Watchers) -> None:
    async with changes.watch("a", 0.01) as watcher:
        assert await end_of(watcher) == ("UNAUTHENTICATED", "INVALID_TOKEN")


def test_a_token_is_good_for_its_time_and_the_leeway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert Principal("a", frozenset(), expire_time=1060.0).seconds_left() == 60 + LEEWAY_SECONDS


@dataclass
class Served:
    """Two replicas on one database and one bus."""

    replicas: list[Booking]
    relays: list[Relay]
    changes: list[Watchers]
    servers: list[rpc.RpcServer]
    channels: list[grpc.aio.Channel]

    def committed(self) -> None:
        for relay in self.relays:  # both publish what either committed: repeats are certain
            relay.wake()

    def watch(self, replica: int, role: str, account_id: str, only: str = "") -> Any:
        caller = Caller(self.channels[replica], role, account_id)
        return caller.stub.WatchReservations(api.WatchReservationsRequest(account_id=only), metadata=caller.metadata)

    def watching(self) -> int:
        return sum(len(list(each._all())) for each in self.changes)


@pytest.fixture
async def served(replicas: list[Booking], nats: Bus) -> AsyncIterator[Served]:
    served = Served(replicas, [], [], [], [])
    async with AsyncExitStack() as stack:
        for replica in replicas:
            changes = Watchers()
            connection = await bus.connect(settings(nats), "booking", changes.interrupt)
            stack.push_async_callback(connection.close)
            changes.attach(connection)
            relay = Relay(replica.database, connection, "booking")
            replica.tasks.append(asyncio.create_task(relay.run()))
            server = await serve(replica, changes)
            stack.push_async_callback(server.stop)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"))
            served.relays.append(relay)
            served.changes.append(changes)
            served.servers.append(server)
            served.channels.append(channel)
        yield served


async def read(call: Any) -> pb.Reservation:
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await call.read()
    assert isinstance(answer, api.WatchReservationsResponse), answer
    return answer.reservation


async def failure(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call.read(), PATIENCE_SECONDS)
    return caught.value.code().name, subject_of(caught.value)


async def test_changes_through_either_replica_are_seen_at_both_once_and_in_order(served: Served) -> None:
    """From the headers on, which come at once."""
    watches = [served.watch(index, "booker", "a") for index in range(2)]
    everything = served.watch(0, "support", "s")
    only_b = served.watch(1, "admin", "s", only="b")
    for call in (*watches, everything, only_b):
        await call.initial_metadata()
    made = (await create(served.replicas[0], account_id="a")).reservation
    other = (await create(served.replicas[1], account_id="b")).reservation
    served.committed()
    cancelled = await endings.cancel(served.replicas[1].transactions, made.reservation_id, of_account("a"), "a", "")
    last = (await create(served.replicas[1], account_id="a")).reservation
    served.committed()
    for call in watches:
        assert [await read(call) for _ in range(3)] == [made, cancelled.reservation, last]
    assert await read(only_b) == other
    seen = {(each.reservation_id, each.version) for each in [await read(everything) for _ in range(4)]}
    expected = (made, other, cancelled.reservation, last)
    assert seen == {(each.reservation_id, each.version) for each in expected}


async def test_a_watcher_by_departments_sees_only_their_members(served: Served) -> None:
    booking = served.replicas[0]
    await plant(booking.database)
    for account_id, place in (("ann", "algebra"), ("out", "physics")):
        await tell(booking.database, of_member(1, account_id, memberships=belonging(place)))
    local(booking, "inside", "math")
    stream = served.watch(0, "nobody", "inside")
    await stream.initial_metadata()
    for account_id in ("out", "ann"):
        await create(served.replicas[1], account_id=account_id)
    served.committed()
    assert (await read(stream)).organizer.account_id == "ann"
    await tell(booking.database, of_member(2, "out", memberships=belonging("math")))
    await tell(booking.database, of_member(2, "ann"))
    for account_id in ("ann", "out"):
        await create(served.replicas[1], account_id=account_id, start=TEN + 3 * HOUR)
    served.committed()
    assert (await read(stream)).organizer.account_id == "out"
    stream.cancel()


async def test_anothers_changes_cannot_be_asked_for(served: Served) -> None:
    assert await failure(served.watch(0, "booker", "a", only="b")) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    assert (await failure(served.watch(0, "nobody", "a")))[0] == "PERMISSION_DENIED"


async def test_a_replica_that_stops_ends_its_streams_and_takes_no_new_ones(served: Served) -> None:
    call, elsewhere = served.watch(0, "booker", "a"), served.watch(1, "booker", "a")
    for each in (call, elsewhere):
        await each.initial_metadata()
    stopping = asyncio.create_task(served.servers[0].stop())
    assert await failure(call) == ("UNAVAILABLE", "SERVICE_AWAY")
    await stopping
    with pytest.raises(errors.RpcError):
        async with served.changes[0].watch("a", AN_HOUR):
            raise AssertionError("it is closed")
    made = (await create(served.replicas[1], account_id="a")).reservation
    served.committed()
    assert await read(elsewhere) == made


async def test_who_hangs_up_is_forgotten(served: Served) -> None:
    call = served.watch(0, "booker", "a")
    await call.initial_metadata()
    assert served.watching() == 1
    call.cancel()
    await until(lambda: served.watching() == 0)


async def test_who_does_not_read_does_not_hold_up_the_stop(served: Served, nats: Bus) -> None:
    """It cannot even be told: what was sent before stands in the way, and so the call is cut off."""
    call = served.watch(0, "booker", "a")
    await call.initial_metadata()
    [watcher] = served.changes[0]._all()
    assert watcher.task
    long = "x" * 100_000
    for index in range(200):
        each = record(f"rsv_{index}")
        each.note = long
        await publish(nats, each)
    await until(lambda: watcher._untold.qsize() > 100)
    served.changes[0].close()
    await until(lambda: served.watching() == 0)
    call.cancel()
