"""The pool of rooms over some stretches of time: read with what holds them, which are free, and which one to give."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1.reservation_pb2 import Room

from services.booking.models import HOLDS_ROOM, LONGEST, ROOM
from services.platform.clock import HOUR
from services.platform.data.database import ForEach

Interval = tuple[int, int]
"""[start, end) in epoch ms. Touching intervals do not overlap."""


class Pool:
    """Rooms, smallest first, and the intervals for which they are held."""

    def __init__(self, rooms: Iterable[Room], holds: Iterable[tuple[str, int, int]]) -> None:
        self.rooms = {room.room_id: room for room in rooms}
        self._by_hour: defaultdict[int, list[tuple[str, int, int]]] = defaultdict(list)
        for room_id, start, end in holds:
            self.hold(room_id, start, end)
        self._fitting: dict[tuple[int, str], dict[str, Room]] = {}

    def free(self, start: int, end: int, participant_count: int, room_id: str = "") -> list[Room]:
        """Enabled rooms that seat the number and are free throughout, smallest first; only `room_id` if given."""
        near = (hold for hour in hours(start, end) for hold in self._by_hour.get(hour, ()))
        busy = {held for held, since, until in near if since < end and until > start}
        return [room for name, room in self._fit(participant_count, room_id).items() if name not in busy]

    def free_intervals(self, start: int, end: int, participant_count: int) -> Iterator[tuple[Room, int, int]]:
        """What is left of [start, end) of each enabled room that seats the number: smallest first, then by time."""
        holds = self._by_room()
        for name, room in self._fit(participant_count, "").items():
            free_from = start
            for held_from, held_until in [*holds[name], (end, end)]:
                if free_from < min(held_from, end):
                    yield room, free_from, min(held_from, end)
                free_from = max(free_from, held_until)

    def next_free(self, start: int, length: int, participant_count: int, room_id: str, before: int) -> int | None:
        """The earliest start after `start` at which such a room is free for `length`; None unless before `before`."""
        holds = self._by_room()
        gaps = [first_gap(holds[name], start, length) for name in self._fit(participant_count, room_id)]
        return next((gap for gap in sorted(gaps) if start < gap < before), None)

    def hold(self, room_id: str, start: int, end: int) -> None:
        for hour in hours(start, end):
            self._by_hour[hour].append((room_id, start, end))

    def _by_room(self) -> defaultdict[str, list[Interval]]:
        """What is held of each room, by start."""
        holds: defaultdict[str, list[Interval]] = defaultdict(list)
        for held, since, until in sorted({hold for hour in self._by_hour.values() for hold in hour}, key=by_start):
            holds[held].append((since, until))
        return holds

    def _fit(self, participant_count: int, room_id: str) -> dict[str, Room]:
        """By id, smallest first; remembered, because a batch asks for the same sizes again and again."""
        found = self._fitting.get((participant_count, room_id))
        if found is None:
            found = self._fitting[participant_count, room_id] = {
                name: room
                for name, room in self.rooms.items()
                if room.capacity >= participant_count and room.enabled and room_id in ("", name)
            }
        return found


def hours(start: int, end: int) -> range:
    """The hours that an interval touches, counted since the epoch: what overlaps shares one."""
    return range(start // HOUR, (end - 1) // HOUR + 1)


def by_start(hold: tuple[str, int, int]) -> int:
    return hold[1]


def first_gap(holds: Iterable[Interval], start: int, length: int) -> int:
    """The earliest moment from `start` on with nothing held for `length`; holds by start, not overlapping."""
    for since, until in holds:
        if since >= start + length:
            break
        start = max(start, until)
    return start


# What begins within a day before an interval is all that can reach into it: no reservation lasts longer.
_HOLDS = ForEach(
    "SELECT room_id, start_time, end_time FROM reservation"  # noqa: S608 - made of constants
    f" WHERE {HOLDS_ROOM} AND ({{0}}) AND reservation_id <> :without",
    f"start_time < :end{{0}} AND start_time > :start{{0}} - {LONGEST} AND end_time > :start{{0}}",
    " OR ",
    "start",
    "end",
)


def read_pool(connection: Connection, wanted: Collection[Interval], without: str = "") -> Pool:
    """All rooms, and what holds them in the intervals wanted, leaving out the reservation `without`."""
    return _to_pool(connection, read_rooms(connection), wanted, without)


def lock_pool(connection: Connection, wanted: Collection[Interval], without: str = "") -> Pool:
    """The same, for who takes a room: none is taken out of use or made smaller until the transaction ends."""
    return _to_pool(connection, _to_rooms(connection, _LOCKED_ROOMS), wanted, without)


def _to_pool(connection: Connection, rooms: list[Room], wanted: Collection[Interval], without: str) -> Pool:
    holds = _HOLDS.execute(connection, list(dict.fromkeys(wanted)), without=without)
    return Pool(rooms, [(row[0], row[1], row[2]) for row in holds])


def read_rooms(connection: Connection) -> list[Room]:
    """Smallest first. The messages are shared: copy, never change them."""
    return _to_rooms(connection, _ROOMS)


def _to_rooms(connection: Connection, query: sa.Select[Any]) -> list[Room]:
    return [_to_room(*row) for row in connection.execute(query).all()]


_ROOMS = sa.select(ROOM.c.room_id, ROOM.c.display_name, ROOM.c.capacity, ROOM.c.enabled).order_by(
    ROOM.c.capacity, ROOM.c.room_id
)

_LOCKED_ROOMS = _ROOMS.with_for_update(read=True)  # shared: those who take rooms do not wait for each other


@lru_cache(maxsize=4096)
def _to_room(room_id: str, display_name: str, capacity: int, enabled: bool) -> Room:
    return Room(room_id=room_id, display_name=display_name, capacity=capacity, enabled=enabled)
