"""The smallest free room that seats everybody; intervals are [start, end)."""

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
