"""How well people are connected: the same for the same minute, and worse for a few minutes of each hour."""

import pytest

from services.meetings.simulated_quality import (
    BAD,
    BAD_MINUTES,
    GOOD,
    HOUR_MINUTES,
    MIDDLING,
    MINUTE,
    NetworkState,
    first_bad,
    measure,
    usual,
)

MEETING = "simulated/1/"
PEOPLE = [f"person {number}" for number in range(200)]
HOUR = 29_197_440  # minutes since the epoch, a full hour


@pytest.mark.parametrize("person", PEOPLE[:20])
def test_each_hour_has_three_bad_minutes_in_a_row_between_middling_ones(person: str) -> None:
    for hour in range(HOUR, HOUR + 10 * HOUR_MINUTES, HOUR_MINUTES):
        minutes = [usual(MEETING, person, minute) for minute in range(hour, hour + HOUR_MINUTES)]
        first = minutes.index(MIDDLING)
        assert minutes[first : first + BAD_MINUTES + 2] == [MIDDLING, *[BAD] * BAD_MINUTES, MIDDLING]
        assert minutes.count(GOOD) == HOUR_MINUTES - BAD_MINUTES - 2


def test_they_are_at_a_time_of_their_own() -> None:
    """Anywhere in the hour, so that those around them are in it too."""
    firsts = {first_bad(MEETING, person, HOUR // HOUR_MINUTES) for person in PEOPLE}
    assert min(firsts) >= 1
    assert max(firsts) + BAD_MINUTES <= HOUR_MINUTES - 1
    assert len(firsts) > 40
    assert len({first_bad(MEETING, "li", HOUR // HOUR_MINUTES + hour) for hour in range(50)}) > 20
    assert len({first_bad(f"simulated/{number}/", "li", HOUR // HOUR_MINUTES) for number in range(50)}) > 20


def test_a_minute_is_the_same_throughout_and_whenever_it_is_asked() -> None:
    for minute in range(HOUR, HOUR + 5):
        said = [measure(MEETING, "li", minute * MINUTE + more) for more in (0, 1, MINUTE - 1, 0)]
        assert len(set(said)) == 1
    assert len({measure(MEETING, "li", minute * MINUTE) for minute in range(HOUR, HOUR + 60)}) > 20


def test_what_is_made_bad_or_good_is_so_at_every_minute() -> None:
    """Good and bad as the module says in figures."""
    for minute in range(HOUR, HOUR + HOUR_MINUTES):
        for person in PEOPLE[:10]:
            delay, upstream, downstream = measure(MEETING, person, minute * MINUTE, NetworkState.BAD)
            assert 320 <= delay <= 350
            assert min(upstream, downstream) >= 6
            delay, upstream, downstream = measure(MEETING, person, minute * MINUTE, NetworkState.GOOD)
            assert 20 <= delay <= 50
            assert 0 <= min(upstream, downstream) <= max(upstream, downstream) <= 0.5
