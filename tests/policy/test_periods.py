"""Days and weeks in the platform zone, also where clocks skip or repeat an hour."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.policy.periods import PeriodCalendar
from tests.policy.samples import moment


def calendar(zone: str = "Asia/Shanghai", week_start: int = 0) -> PeriodCalendar:
    return PeriodCalendar(ZoneInfo(zone), week_start)


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return moment(text, ZoneInfo(zone)).seconds


@pytest.mark.parametrize("text", ["2025-07-08 00:00", "2025-07-08 12:00", "2025-07-08 23:59:59"])
def test_day_runs_from_midnight_to_midnight(text: str) -> None:
    assert calendar().day(at(text)) == (at("2025-07-08 00:00"), at("2025-07-09 00:00"))


@pytest.mark.parametrize(
    ("week_start", "first", "end"),
    [(0, "2025-12-29", "2026-01-05"), (6, "2025-12-28", "2026-01-04"), (4, "2025-12-26", "2026-01-02")],
)
def test_week_runs_over_the_end_of_a_year(week_start: int, first: str, end: str) -> None:
    found = calendar(week_start=week_start).week(at("2026-01-01 08:00"))
    assert found == (at(f"{first} 00:00"), at(f"{end} 00:00"))


def test_weeks_leave_no_gap() -> None:
    weeks = calendar()
    moments = range(at("2024-12-01 00:00"), at("2026-02-01 00:00"), 3571)
    for when in moments:
        start, end = weeks.week(when)
        assert start <= when < end
        assert datetime.fromtimestamp(start, ZoneInfo("Asia/Shanghai")).weekday() == 0


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2025-03-30 12:00", 23),
        ("Europe/Berlin", "2025-10-26 12:00", 25),
        ("America/Sao_Paulo", "2018-11-04 12:00", 23),  # midnight did not exist
        ("America/Havana", "2025-11-02 12:00", 25),  # midnight came twice
        ("Asia/Shanghai", "1986-05-04 12:00", 23),
        ("Pacific/Apia", "2011-12-31 12:00", 24),  # the day before was left out
    ],
)
def test_days_that_are_not_24_hours_long(zone: str, day: str, hours: int) -> None:
    start, end = calendar(zone).day(at(day, zone))
    assert (end - start) == hours * 3600
    assert start <= at(day, zone) < end


def test_first_and_last_day_that_are_let_in() -> None:
    for text in ("1970-01-01 00:00", "9998-12-31 23:59"):
        when = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        for zone in ("Asia/Shanghai", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
            start, end = calendar(zone).week(when)
            assert start <= when < end


def test_remembers_only_so_many_midnights() -> None:
    days = calendar()
    for day in range(6000):
        days.day(day * 86400)
    assert len(days._midnights) <= 4096
