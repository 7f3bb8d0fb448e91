"""The pool as administrators change it, also while rooms are being taken; and what the pool has free."""

import asyncio
import threading
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import endings, escalations, models, pool, reservations, rooms
from services.booking.escalations import Resolution
from services.booking.scopes import EVERYBODY, of_account
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.serving import errors
from tests.booking.builders import MONDAY, TEN
from tests.booking.conftest import Booking
from tests.booking.served import Caller
from tests.booking.test_admission import create, rows, rule_ids


async def update(booking: Booking, room_id: str = "small-1", **changes: Any) -> pb.Room:
    by = audit.Caller("admin", frozenset({"admin"}), "test")
    return await rooms.update(booking.database, api.UpdateRoomRequest(room_id=room_id, **changes), by)


@pytest.mark.parametrize("changes", [{"display_name": "Blue"}, {"capacity": 10}, {"enabled": False}])
async def test_only_what_is_given_changes(booking: Booking, changes: dict[str, Any]) -> None:
    before, *others = sorted(await booking.database.read(pool.read_rooms), key=lambda room: room.room_id != "small-1")
    changed = await update(booking, **changes)
    wanted = pb.Room()
    wanted.CopyFrom(before)
    wanted.MergeFrom(pb.Room(**changes))
    wanted.enabled = changes.get("enabled", True)
    assert changed == wanted
    stored = await booking.database.read(pool.read_rooms)
    assert changed in stored
    assert all(room in stored for room in others)


IMPOSSIBLE: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({}, ("INVALID_ARGUMENT", "display_name")),
    ({"display_name": ""}, ("INVALID_ARGUMENT", "display_name")),
    ({"display_name": "x" * 101}, ("INVALID_ARGUMENT", "display_name")),
    ({"display_name": "a\nb"}, ("INVALID_ARGUMENT", "display_name")),
    ({"capacity": 0}, ("INVALID_ARGUMENT", "capacity")),
    ({"capacity": 10_001}, ("INVALID_ARGUMENT", "capacity")),
    ({"room_id": "", "enabled": True}, ("INVALID_ARGUMENT", "room_id")),
    ({"room_id": "no spaces", "enabled": True}, ("INVALID_ARGUMENT", "room_id")),
    ({"room_id": "nowhere", "enabled": True}, ("NOT_FOUND", "ROOM_NOT_FOUND")),
]


async def test_a_change_that_cannot_be_is_refused(channel: grpc.aio.Channel) -> None:
    admin = Caller(channel, "admin")
    for changes, refusal in IMPOSSIBLE:
        request = api.UpdateRoomRequest(**({"room_id": "small-1"} | changes))
        assert (changes, await admin.refused("UpdateRoom", request)) == (changes, refusal)


async def test_a_room_is_made_once_and_changed_by_admins_only(channel: grpc.aio.Channel) -> None:
    admin, request = Caller(channel, "admin"), api.CreateRoomRequest(room_id="new", capacity=5)
    made = (await admin.ask("CreateRoom", request)).room
    assert made == pb.Room(room_id="new", display_name="new", capacity=5, enabled=True)
    assert await admin.refused("CreateRoom", request) == ("ALREADY_EXISTS", "ROOM_EXISTS")
    change = api.UpdateRoomRequest(room_id="new", capacity=6)
    assert (await Caller(channel, "support").refused("UpdateRoom", change))[0] == "PERMISSION_DENIED"
    assert (await admin.ask("UpdateRoom", change)).room.capacity == 6


async def test_a_room_does_not_become_too_small_for_what_it_is_reserved_for(booking: Booking) -> None:
    for index, people in enumerate((20, 12, 25)):
        await create(
            booking, account_id=f"a{index}", room_id="small-1", start=TEN + index * HOUR, participant_count=people
        )
    with pytest.raises(errors.RpcError, match=r"2 live reservations .* the largest expects 25") as caught:
        await update(booking, capacity=19, display_name="Small")
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details[0].reason == "ROOM_TOO_SMALL"  # type: ignore[attr-defined]
    assert {(room.capacity, room.display_name) for room in await booking.database.read(pool.read_rooms)} == {
        (30, "small-1"),
        (30, "small-2"),
        (300, "large-1"),
    }
    assert (await update(booking, capacity=25)).capacity == 25


async def test_what_is_over_needs_no_room(booking: Booking) -> None:
    made = await create(booking, room_id="small-1", participant_count=20)
    await endings.cancel(booking.transactions, made.reservation.reservation_id, of_account("booker"), "booker", "")
    assert (await update(booking, capacity=5)).capacity == 5


async def test_a_disabled_room_keeps_its_reservations_and_is_given_nothing_new(booking: Booking) -> None:
    kept = await create(booking, room_id="small-1")
    await update(booking, enabled=False)
    [stored] = await rows(booking.database, models.RESERVATION)
    assert (stored["state"], stored["room_id"]) == ("CONFIRMED", "small-1")
    assert rule_ids(await create(booking, room_id="small-1", start=TEN + 2 * HOUR)) == ["NO_ROOM_FREE"]
    assert (await create(booking, start=TEN + 4 * HOUR)).reservation.room.room_id == "small-2"
    reply = await endings.cancel(
        booking.transactions, kept.reservation.reservation_id, of_account("booker"), "booker", ""
    )
    assert reply.quota_returned
    await update(booking, enabled=True)
    assert (await create(booking, start=TEN + 6 * HOUR)).reservation.room.room_id == "small-1"


async def test_nothing_is_approved_into_a_disabled_room(booking: Booking) -> None:
    pending = (await create(booking, participant_count=120)).reservation
    await update(booking, "large-1", enabled=False)
    with pytest.raises(errors.RpcError) as caught:
        await escalations.resolve(
            booking.transactions,
            pending.reservation_id,
            Resolution(approve=True, actor="support", note=""),
            whose=EVERYBODY,
        )
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


class Pause:
    """Holds a function up after it has done its work, in whatever thread it runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        whole = getattr(module, name)
        self._reached, self._go = threading.Event(), threading.Event()

        def paused(*arguments: Any) -> Any:
            result = whole(*arguments)
            self._reached.set()
            self._go.wait(30)
            return result

        monkeypatch.setattr(module, name, paused)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 30)

    def go(self) -> None:
        self._go.set()


LONG_ENOUGH = 0.5


async def test_a_room_that_is_being_taken_is_taken_before_it_changes(
    replicas: list[Booking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chosen, but not committed yet: the change of another replica waits, and sees it."""
    pause = Pause(monkeypatch, reservations, "_add")
    taking = asyncio.create_task(create(replicas[0], room_id="small-1", participant_count=25))
    await pause.reached()
    shrinking = asyncio.create_task(update(replicas[1], capacity=20))
    await asyncio.wait([shrinking], timeout=LONG_ENOUGH)
    pause.go()
    assert (await taking).HasField("reservation")
    with pytest.raises(errors.RpcError) as caught:
        await shrinking
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_room_that_is_being_approved_is_taken_before_it_changes(
    replicas: list[Booking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for new reservations."""
    pending = (await create(replicas[0], participant_count=120)).reservation
    pause = Pause(monkeypatch, escalations, "free_room")
    verdict = Resolution(approve=True, actor="support", note="")
    taking = asyncio.create_task(
        escalations.resolve(replicas[0].transactions, pending.reservation_id, verdict, whose=EVERYBODY)
    )
    await pause.reached()
    shrinking = asyncio.create_task(update(replicas[1], "large-1", capacity=20))
    await asyncio.wait([shrinking], timeout=LONG_ENOUGH)
    pause.go()
    assert (await taking).room.room_id == "large-1"
    with pytest.raises(errors.RpcError) as caught:
        await shrinking
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("changes", [{"capacity": 20}, {"enabled": False}])
async def test_a_room_that_is_being_changed_is_not_taken_as_it_was(
    replicas: list[Booking], monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Changed, but not committed yet: who wants to take it waits, and sees the change."""
    pause = Pause(monkeypatch, rooms, "change")
    changing = asyncio.create_task(update(replicas[1], **changes))
    await pause.reached()
    taking = asyncio.create_task(create(replicas[0], participant_count=25))
    await asyncio.wait([taking], timeout=LONG_ENOUGH)
    pause.go()
    await changing
    assert (await taking).reservation.room.room_id == "small-2"


async def test_no_race_ends_in_a_room_that_is_too_small(replicas: list[Booking]) -> None:
    names = [f"race-{index}" for index in range(60)]
    fresh = [{"room_id": name, "display_name": name, "capacity": 30, "enabled": True} for name in names]
    await replicas[0].database.write(lambda c: c.execute(sa.insert(models.ROOM), fresh))
    takes = [
        create(replicas[0], account_id=name, room_id=name, participant_count=25, start=TEN + DAY) for name in names
    ]
    shrinks = [update(replicas[1], name, capacity=20) for name in names]
    results = await asyncio.gather(*takes, *shrinks, return_exceptions=True)
    assert [each for each in results if isinstance(each, Exception) and not isinstance(each, errors.RpcError)] == []
    r = models.RESERVATION.c
    fits = sa.select(r.participant_count, models.ROOM.c.capacity).join(models.ROOM, models.ROOM.c.room_id == r.room_id)
    stored = await replicas[0].database.read(lambda c: c.execute(fits).all())
    assert [people for people, capacity in stored if people > capacity] == []
    assert len(stored) + sum(isinstance(each, pb.Room) for each in results) == len(names)


def search(start: int, end: int, people: int = 0) -> api.SearchAvailabilityRequest:
    times = {"start_time": to_timestamp(start), "end_time": to_timestamp(end)}
    return api.SearchAvailabilityRequest(participant_count=people, **times)


async def test_what_is_free_is_what_nothing_holds(booking: Booking, channel: grpc.aio.Channel) -> None:
    """A pending request and a cancelled reservation hold nothing; everybody may ask."""
    await create(booking, account_id="a", room_id="small-1")
    await create(booking, account_id="b", room_id="small-1", start=TEN + HOUR)
    gone = await create(booking, account_id="c", room_id="small-2")
    await endings.cancel(booking.transactions, gone.reservation.reservation_id, of_account("c"), "c", "")
    await create(booking, account_id="d", participant_count=120)
    await update(booking, "large-1", display_name="Hall")
    answer = await Caller(channel, "booker").ask("SearchAvailability", search(TEN - HOUR, TEN + 3 * HOUR))
    assert [
        (each.room.display_name, from_timestamp(each.start_time), from_timestamp(each.end_time))
        for each in answer.intervals
    ] == [
        ("small-1", TEN - HOUR, TEN),
        ("small-1", TEN + 2 * HOUR, TEN + 3 * HOUR),
        ("small-2", TEN - HOUR, TEN + 3 * HOUR),
        ("Hall", TEN - HOUR, TEN + 3 * HOUR),
    ]
    few = await Caller(channel, "service").ask("SearchAvailability", search(TEN, TEN + MINUTE, people=31))
    assert [each.room.room_id for each in few.intervals] == ["large-1"]


UNSEARCHABLE = [
    (api.SearchAvailabilityRequest(end_time=to_timestamp(TEN)), "start_time"),
    (api.SearchAvailabilityRequest(start_time=to_timestamp(TEN)), "end_time"),
    (search(TEN, TEN), "end_time"),
    (search(TEN, TEN - HOUR), "end_time"),
    (search(MONDAY, MONDAY + 31 * DAY + SECOND), "end_time"),
    (search(TEN + 1, TEN + HOUR), "start_time"),
    (search(TEN, TEN + HOUR + 1), "end_time"),
    (api.SearchAvailabilityRequest(start_time=Timestamp(seconds=2**60), end_time=to_timestamp(TEN)), "start_time"),
    (search(TEN, TEN + HOUR, people=-1), "participant_count"),
    (search(TEN, TEN + HOUR, people=10_001), "participant_count"),
]


async def test_a_search_that_cannot_be_names_its_field(channel: grpc.aio.Channel) -> None:
    booker = Caller(channel, "booker")
    for request, field in UNSEARCHABLE:
        assert await booker.refused("SearchAvailability", request) == ("INVALID_ARGUMENT", field), request


async def test_a_month_can_be_searched(channel: grpc.aio.Channel) -> None:
    answer = await Caller(channel, "booker").ask("SearchAvailability", search(MONDAY, MONDAY + 31 * DAY, people=10_000))
    assert not answer.intervals


async def test_approving_locks_the_account_before_the_pool(booking: Booking, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everybody does: in the other order, two would wait for each other."""
    pending = (await create(booking, participant_count=120)).reservation
    order: list[str] = []

    def note(name: str) -> None:
        whole = getattr(escalations, name)

        def noted(*given: Any) -> Any:
            order.append(name)
            return whole(*given)

        monkeypatch.setattr(escalations, name, noted)

    note("lock_account")
    note("lock_pool")
    verdict = Resolution(approve=True, actor="support", note="")
    await escalations.resolve(booking.transactions, pending.reservation_id, verdict, whose=EVERYBODY)
    assert order == ["lock_account", "lock_pool"]
