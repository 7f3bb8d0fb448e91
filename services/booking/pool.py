"""The pool of rooms over some stretches of time: what holds them, which are free, and which one to give.

It is read from the database for one question, or kept in memory and brought up to date (CurrentPool).
"""

from bisect import bisect_left, insort
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1.reservation_pb2 import Room

from services.booking.models import HOLDS_ROOM, LONGEST, POOL_CHANGE, ROOM
from services.platform.clock import DAY, HOUR
from services.platform.data.database import ForEach, parameter_mark, query

LOCK = 7_308_052_014
"""Of PostgreSQL's advisory locks: whoever has it changes the pool. The triggers of migration 0006 take it too."""
MOST_HOLDS = 200_000
"""In memory, some 300 bytes each; an empty day counts as one. Beyond, days not asked about for long are forgotten."""

Interval = tuple[int, int]
"""[start, end) in epoch ms. Touching intervals do not overlap."""


class Hold(NamedTuple):
    room_id: str
    start: int
    end: int


class HeldDay:
    """What touches one day, by the hours that it touches and by room."""

    def __init__(self, number: int) -> None:
        self._hours = range(number * DAY // HOUR, (number + 1) * DAY // HOUR)
        self._by_hour: defaultdict[int, set[Hold]] = defaultdict(set)
        self._by_room: defaultdict[str, list[Interval]] = defaultdict(list)
        self.size = 0
        """Number of holds."""

    def add(self, hold: Hold) -> None:
        """Again, it changes nothing."""
        for hour in self._touched(hold):
            if hold in self._by_hour[hour]:
                return
            self._by_hour[hour].add(hold)
        insort(self._by_room[hold.room_id], (hold.start, hold.end))
        self.size += 1

    def remove(self, hold: Hold) -> None:
        """What is not there stays away."""
        for hour in self._touched(hold):
            self._by_hour[hour].discard(hold)
        mine = self._by_room[hold.room_id]
        if (hold.start, hold.end) in mine:
            mine.remove((hold.start, hold.end))
            self.size -= 1

    def in_hour(self, hour: int) -> Collection[Hold]:
        return self._by_hour.get(hour, ())

    def of_room(self, room_id: str) -> Sequence[Interval]:
        """By start."""
        return self._by_room.get(room_id, ())

    def is_free(self, room_id: str, start: int, end: int) -> bool:
        held = self.of_room(room_id)
        before = bisect_left(held, (end, 0))  # those that begin before the end; they do not overlap each other
        return not before or held[before - 1][1] <= start

    def _touched(self, hold: Hold) -> Iterator[int]:
        return (hour for hour in hours(hold.start, hold.end) if hour in self._hours)


class Pool:
    """Rooms, smallest first, and the intervals for which they are held."""

    def __init__(self, rooms: Iterable[Room], holds: Iterable[tuple[str, int, int]] = ()) -> None:
        self._days: OrderedDict[int, HeldDay] = OrderedDict()
        self.set_rooms(rooms)
        for hold in holds:
            self.hold(*hold)

    def set_rooms(self, rooms: Iterable[Room]) -> None:
        self.rooms = {room.room_id: room for room in rooms}
        self._lent = [room for room in self.rooms.values() if room.enabled]
        self._seats = [room.capacity for room in self._lent]
        self._rank = {room.room_id: rank for rank, room in enumerate(self._lent)}

    def free(self, start: int, end: int, participant_count: int, room_id: str = "") -> list[Room]:
        """Enabled rooms that seat the number and are free throughout, smallest first; only `room_id` if given."""
        busy = self._busy(start, end)
        return [room for room in self._fit(participant_count, room_id) if room.room_id not in busy]

    def first_free(self, start: int, end: int, participant_count: int, room_id: str = "") -> Room | None:
        """The first of them."""
        busy = self._busy(start, end)
        return next((room for room in self._fit(participant_count, room_id) if room.room_id not in busy), None)

    def count_free(self, start: int, end: int, participant_count: int, room_id: str = "") -> int:
        """How many they are."""
        if room_id:
            return len(self.free(start, end, participant_count, room_id))
        least, rank = bisect_left(self._seats, participant_count), self._rank
        return len(self._lent) - least - sum(rank.get(held, -1) >= least for held in self._busy(start, end))

    def free_intervals(self, start: int, end: int, participant_count: int) -> Iterator[tuple[Room, int, int]]:
        """What is left of [start, end) of each enabled room that seats the number: smallest first, then by time."""
        for room in self._fit(participant_count, ""):
            free_from = start
            for held_from, held_until in [*self._held(room.room_id, start, end), (end, end)]:
                if free_from < min(held_from, end):
                    yield room, free_from, min(held_from, end)
                free_from = max(free_from, held_until)

    def next_free(self, start: int, length: int, participant_count: int, room_id: str, before: int) -> int | None:
        """The earliest start after `start` at which such a room is free for `length`; None unless before `before`.

        For who found none free at `start`: so it is a moment at which one is given back.
        """
        fitting = {room.room_id for room in self._fit(participant_count, room_id)}
        for hour in hours(start, before):
            ends = sorted((held.end, held.room_id) for held in self._in_hour(hour) if last_hour(held.end) == hour)
            for until, name in ends:
                if start < until < before and name in fitting and self._is_free(name, until, until + length):
                    return until
        return None

    def hold(self, room_id: str, start: int, end: int) -> None:
        for number in days(start, end):
            if number not in self._days:
                self._days[number] = HeldDay(number)
            self._days[number].add(Hold(room_id, start, end))

    def release(self, room_id: str, start: int, end: int) -> None:
        for day in self._between(start, end):
            day.remove(Hold(room_id, start, end))

    def _fit(self, participant_count: int, room_id: str) -> Sequence[Room]:
        """Enabled rooms that seat the number, smallest first; only `room_id` if given."""
        if not room_id:
            return self._lent[bisect_left(self._seats, participant_count) :]
        room = self.rooms.get(room_id)
        return [room] if room and room.enabled and room.capacity >= participant_count else []

    def _busy(self, start: int, end: int) -> set[str]:
        """The rooms that are held for any part of [start, end)."""
        return {
            held
            for hour in hours(start, end)
            for held, since, until in self._in_hour(hour)
            if since < end and until > start
        }

    def _in_hour(self, hour: int) -> Collection[Hold]:
        day = self._days.get(hour * HOUR // DAY)
        return day.in_hour(hour) if day else ()

    def _held(self, room_id: str, start: int, end: int) -> list[Interval]:
        """By start."""
        return sorted({each for day in self._between(start, end) for each in day.of_room(room_id)})

    def _is_free(self, room_id: str, start: int, end: int) -> bool:
        return all(day.is_free(room_id, start, end) for day in self._between(start, end))

    def _between(self, start: int, end: int) -> Iterator[HeldDay]:
        return (self._days[number] for number in days(start, end) if number in self._days)


class CurrentPool(Pool):
    """The pool kept in memory. `read` brings it up to date, within a transaction, and to the days that are wanted.

    What it shows is what that transaction sees: the database numbers every change in the order of commits, whoever made
    it, and the changes since the last look are read with it. Only one thread at a time may use it.
    """

    def __init__(self) -> None:
        super().__init__(())
        self._number = 0
        """Of the last change seen."""

    def read(self, connection: Connection, wanted: Collection[Interval]) -> None:
        if not self._number or not self._follow(connection):
            self._begin(connection)
        asked = dict.fromkeys(number for interval in wanted for number in days(*interval))
        for number in asked:
            if number not in self._days:
                self._load(connection, number)
            self._days.move_to_end(number)
        self._forget(len(asked))

    def hold(self, room_id: str, start: int, end: int) -> None:
        """In the days that are in memory; the others are read when they are asked about."""
        for day in self._between(start, end):
            day.add(Hold(room_id, start, end))

    def forget(self) -> None:
        """Begins anew with the next `read`."""
        self._number = 0

    def _begin(self, connection: Connection) -> None:
        self._days.clear()
        self.set_rooms(read_rooms(connection))
        self._number = connection.scalar(_LAST_CHANGE) or 0

    def _follow(self, connection: Connection) -> bool:
        """False when that is too long ago: the last change that was seen has been pruned, and others with it."""
        seen, *changes = query(connection, _CHANGES.format(parameter_mark(connection)), [self._number]) or [(0,)]
        if seen[0] != self._number:
            return False
        if any(not room_id for _, room_id, *_ in changes):
            self.set_rooms(read_rooms(connection))
        for number, room_id, start, end, held in changes:
            (self.hold if held else self.release)(room_id, start, end)
            self._number = number
        return True

    def _load(self, connection: Connection, number: int) -> None:
        holds = _HOLDS.execute(connection, [(number * DAY, (number + 1) * DAY)], without="")
        day = HeldDay(number)
        for hold in holds:
            day.add(Hold(*hold))
        self._days[number] = day

    def _forget(self, needed: int) -> None:
        """The days that were not asked about for longest."""
        if len(self._days) > needed:
            size = sum(1 + day.size for day in self._days.values())
            while len(self._days) > needed and size > MOST_HOLDS:
                size -= 1 + self._days.popitem(last=False)[1].size


def hours(start: int, end: int) -> range:
    """The hours that an interval touches, counted since the epoch: what overlaps shares one."""
    return range(start // HOUR, last_hour(end) + 1)


def last_hour(end: int) -> int:
    return (end - 1) // HOUR


def days(start: int, end: int) -> range:
    """The days that an interval touches, counted since the epoch."""
    return range(start // DAY, (end - 1) // DAY + 1)


def lock_changes(connection: Connection) -> None:
    """Nobody else changes the pool until the transaction ends. Accounts are locked before it, never after.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        query(connection, f"SELECT pg_advisory_xact_lock({LOCK})")


_CHANGES = "SELECT number, room_id, start_time, end_time, held FROM pool_change WHERE number >= {0} ORDER BY number"
_LAST_CHANGE = sa.select(sa.func.max(POOL_CHANGE.c.number))


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
    holds = _HOLDS.execute(connection, list(dict.fromkeys(wanted)), without=without)
    return Pool(read_rooms(connection), [(row[0], row[1], row[2]) for row in holds])


def lock_pool(connection: Connection, wanted: Collection[Interval], without: str = "") -> Pool:
    """The same, for who takes a room: neither rooms nor what holds them change until the transaction ends."""
    lock_changes(connection)
    return read_pool(connection, wanted, without)


def read_rooms(connection: Connection) -> list[Room]:
    """Smallest first. The messages are shared: copy, never change them."""
    return [_to_room(*row) for row in connection.execute(_ROOMS).all()]


_ROOMS = sa.select(ROOM.c.room_id, ROOM.c.display_name, ROOM.c.capacity, ROOM.c.enabled).order_by(
    ROOM.c.capacity, ROOM.c.room_id
)


@lru_cache(maxsize=4096)
def _to_room(room_id: str, display_name: str, capacity: int, enabled: bool) -> Room:
    return Room(room_id=room_id, display_name=display_name, capacity=capacity, enabled=enabled)
