"""The smallest free room that seats everybody; intervals are [start, end)."""

from collections.abc import Iterable
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st
from yunhui.booking.v1.reservation_pb2 import Room

from services.booking.pool import Pool


def room(name: str, capacity: int, *, enabled: bool = True) -> Room:
    return Room(room_id=name, display_name=name, capacity=capacity, enabled=enabled)


def free_ids(pool: Pool, start: int, end: int, count: int, room_id: str = "") -> list[str]:
    return [each.room_id for each in pool.free(start, end, count, room_id)]


def test_in_the_order_given() -> None:
    pool = Pool([room("a", 30), room("b", 30), room("c", 300)], [])
    assert free_ids(pool, 0, 10, 12) == ["a", "b", "c"]


def test_a_room_must_seat_everybody() -> None:
    pool = Pool([room("a", 30), room("b", 31)], [])
    assert free_ids(pool, 0, 10, 30) == ["a", "b"]
    assert free_ids(pool, 0, 10, 31) == ["b"]
    assert free_ids(pool, 0, 10, 32) == []


def test_touching_is_not_overlapping() -> None:
    pool = Pool([room("a", 30)], [("a", 10, 20)])
    assert free_ids(pool, 0, 10, 1) == ["a"]
    assert free_ids(pool, 20, 30, 1) == ["a"]
    for start, end in ((0, 11), (19, 30), (12, 15), (5, 25), (10, 20)):
        assert free_ids(pool, start, end, 1) == []


def test_a_disabled_room_is_not_given_out() -> None:
    assert free_ids(Pool([room("a", 30, enabled=False)], []), 0, 10, 1) == []


def test_a_named_room_and_no_other() -> None:
    pool = Pool([room("a", 30), room("b", 30)], [("b", 0, 5)])
    assert free_ids(pool, 0, 10, 1, "b") == []
    assert free_ids(pool, 5, 10, 1, "b") == ["b"]


def test_a_hold_counts_at_once() -> None:
    pool = Pool([room("a", 30)], [])
    pool.hold("a", 0, 10)
    assert free_ids(pool, 9, 12, 1) == []


def test_the_next_free_start_is_the_earliest_at_which_the_whole_length_fits() -> None:
    pool = Pool([room("a", 30), room("b", 30)], [("a", 10, 20), ("a", 25, 40), ("b", 0, 30)])
    assert pool.next_free(10, 5, 1, "", before=100) == 20
    assert pool.next_free(10, 6, 1, "", before=100) == 30
    assert pool.next_free(10, 6, 1, "a", before=100) == 40
    assert pool.next_free(10, 5, 1, "", before=20) is None
    assert pool.next_free(10, 5, 31, "", before=100) is None


def test_free_intervals_are_cut_by_reservations_that_touch_or_overlap_and_by_the_search_itself() -> None:
    pool = Pool([room("a", 30)], [("a", 0, 12), ("a", 20, 25), ("a", 25, 30), ("a", 28, 40), ("a", 45, 90)])
    assert [times for _, *times in pool.free_intervals(10, 50, 0)] == [[12, 20], [40, 45]]
    assert [times for _, *times in pool.free_intervals(12, 20, 30)] == [[12, 20]]
    assert list(pool.free_intervals(20, 40, 0)) == []


def test_free_intervals_are_of_enabled_rooms_that_seat_the_number_smallest_first() -> None:
    pool = Pool([room("a", 30), room("b", 30), room("c", 300), room("off", 300, enabled=False)], [])
    assert [each.room_id for each, _, _ in pool.free_intervals(0, 10, 0)] == ["a", "b", "c"]
    assert [each.room_id for each, _, _ in pool.free_intervals(0, 10, 31)] == ["c"]


MINUTES = st.integers(-20, 80)


@given(
    capacities=st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=4),
    holds=st.lists(st.tuples(st.integers(0, 3), MINUTES, st.integers(1, 15)), max_size=20),
    search=st.tuples(st.integers(0, 30), st.integers(1, 30)),
    people=st.integers(0, 3),
)
def test_free_intervals_are_the_free_minutes(
    capacities: list[tuple[int, bool]], holds: list[tuple[int, int, int]], search: tuple[int, int], people: int
) -> None:
    """Against minutes counted one by one: no more, no less, and no interval could be longer."""
    rooms = [room(str(index), seats, enabled=on) for index, (seats, on) in enumerate(sorted(capacities))]
    taken = {(str(index), minute) for index, start, length in holds for minute in range(start, start + length)}
    start, end = search[0], search[0] + search[1]
    pool = Pool(rooms, [(str(index), held, held + length) for index, held, length in holds])
    assert [(each.room_id, *times) for each, *times in pool.free_intervals(start, end, people)] == [
        (each.room_id, *times)
        for each in rooms
        if each.enabled and each.capacity >= people
        for times in runs(minute for minute in range(start, end) if (each.room_id, minute) not in taken)
    ]


def runs(minutes: Iterable[int]) -> list[tuple[int, int]]:
    """Neighbouring minutes together, as [first, after the last)."""
    groups = groupby(enumerate(minutes), key=lambda pair: pair[1] - pair[0])
    return [(found[0], found[-1] + 1) for found in ([minute for _, minute in group] for _, group in groups)]
