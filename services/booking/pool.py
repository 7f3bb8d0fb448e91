"""The pool of rooms over a stretch of time: which are free, and which one to give."""

from collections import defaultdict
from collections.abc import Iterable

from yunhui.booking.v1.reservation_pb2 import Room


class Pool:
    """Rooms and the intervals [start, end) in epoch ms for which they are held. Touching intervals do not overlap."""

    def __init__(self, rooms: Iterable[Room], holds: Iterable[tuple[str, int, int]]) -> None:
        self.rooms = {room.room_id: room for room in rooms}
        self._holds: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for room_id, start, end in holds:
            self._holds[room_id].append((start, end))
        self._smallest_first = sorted(self.rooms.values(), key=lambda room: (room.capacity, room.room_id))

    def free(self, start: int, end: int, participant_count: int, room_id: str = "") -> list[Room]:
        """Enabled rooms that seat the number and are free throughout, smallest first; only `room_id` if given."""
        return [
            room
            for room in self._smallest_first
            if room.enabled
            and room.capacity >= participant_count
            and room_id in ("", room.room_id)
            and all(end <= held_from or held_until <= start for held_from, held_until in self._holds[room.room_id])
        ]

    def next_free(self, start: int, length: int, participant_count: int, room_id: str, before: int) -> int | None:
        """The earliest start from `start` on at which such a room is free for `length`; None unless before `before`."""
        ends = {held_until for holds in self._holds.values() for _, held_until in holds if start < held_until < before}
        return next(
            (each for each in sorted(ends) if self.free(each, each + length, participant_count, room_id)),
            None,
        )

    def hold(self, room_id: str, start: int, end: int) -> None:
        self._holds[room_id].append((start, end))
