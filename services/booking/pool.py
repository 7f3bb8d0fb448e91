"""The pool of rooms over some stretches of time: which are free, and which one to give."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from yunhui.booking.v1.reservation_pb2 import Room

from services.platform.clock import HOUR

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
