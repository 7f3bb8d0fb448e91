"""Times typed and shown: local in, never without a zone out."""

from datetime import UTC, datetime, timedelta

import pytest

from services.cli import moments


@pytest.mark.parametrize(
    "typed", ["2025-07-07 10:00", "2025-07-07T10:00", "2025-07-07T10:00+08:00", "2025-07-07T02:00:00Z"]
)
def test_what_people_and_programs_type_is_one_moment(typed: str) -> None:
    """Without an offset it is the platform's zone, whatever this machine's is."""
    assert moments.parse_moment(typed) == datetime(2025, 7, 7, 2, tzinfo=UTC)


@pytest.mark.parametrize("typed", ["", "now", "2025-07-07", "10:00", "2025-13-01 10:00", "2025-W28-1 10:00", "1e9:00"])
def test_nonsense_is_refused(typed: str) -> None:
    """Also what Python would take but nobody means."""
    with pytest.raises(ValueError, match=r".*"):
        moments.parse_moment(typed)


@pytest.mark.parametrize(("typed", "minutes"), [("45m", 45), ("2h", 120), ("1d", 1440), ("1h30m", 90), ("60s", 1)])
def test_durations(typed: str, minutes: int) -> None:
    """As people write them."""
    assert moments.parse_duration(typed) == timedelta(minutes=minutes)


@pytest.mark.parametrize("typed", ["", "45", "m", "-5m", "0m", "1w", "9999d", "٣m"])
def test_other_durations_are_refused(typed: str) -> None:
    """Nothing is guessed: a number without a unit could mean anything."""
    with pytest.raises(ValueError, match="not a duration"):
        moments.parse_duration(typed)


def test_a_time_is_shown_with_weekday_and_zone() -> None:
    """In both languages."""
    stamp = moments.to_timestamp(moments.parse_moment("2025-07-07 10:00"))
    assert moments.show(stamp, "zh-CN") == "2025-07-07 周一 10:00（北京时间）"
    assert moments.show(stamp, "en") == "2025-07-07 Mon 10:00 (Beijing time)"


def test_an_interval_over_midnight_names_both_days() -> None:
    """And only then."""
    start, end = (moments.to_timestamp(moments.parse_moment(text)) for text in ("2025-07-07 23:00", "2025-07-08 01:00"))
    assert moments.show_interval(start, end, "en") == "2025-07-07 Mon 23:00–2025-07-08 Tue 01:00 (Beijing time)"
    assert moments.show_bare_interval(start, start, "en") == "2025-07-07 Mon 23:00–23:00"


@pytest.mark.parametrize(
    ("typed", "day"), [("today 10:00", 7), ("tomorrow 10:00", 8), ("今天 10:00", 7), ("明天 10:00", 8)]
)
def test_days_have_names(typed: str, day: int) -> None:
    """Counted in the platform zone: at 23:30 UTC it is the next day there already."""
    now = datetime(2025, 7, 6, 23, 30, tzinfo=UTC)
    assert moments.parse_moment(moments.name_day(typed, now)) == datetime(2025, 7, day, 2, tzinfo=UTC)


@pytest.mark.parametrize("typed", ["tomorrow", "tomorrow10:00", "yesterday 10:00", "tomorrow 25:00"])
def test_a_day_without_a_good_time_is_refused(typed: str) -> None:
    now = datetime(2025, 7, 6, 23, 30, tzinfo=UTC)
    with pytest.raises(ValueError, match=r"not a time|hour must be"):
        moments.parse_moment(moments.name_day(typed, now))
