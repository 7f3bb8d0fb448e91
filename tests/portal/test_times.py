"""Times as people read and type them."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.platform.text.languages import CHINESE, ENGLISH
from services.portal.times import Reader, stamp_of, typed_interval, zone_of

NOW = datetime(2025, 7, 7, 0, 0, tzinfo=UTC)
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
START, END = stamp_of(datetime(2025, 7, 8, 2, 0, tzinfo=UTC)), stamp_of(datetime(2025, 7, 8, 3, 0, tzinfo=UTC))


def plain(markup: str) -> str:
    return re.sub("<[^>]*>", "", markup)


@pytest.mark.parametrize(
    ("language", "zone", "shown"),
    [
        (CHINESE, SHANGHAI, "7月8日 周二 10:00–11:00（北京时间）"),
        (ENGLISH, SHANGHAI, "Tue 8 Jul 10:00–11:00 (Beijing time)"),
        (ENGLISH, BERLIN, "Tue 8 Jul 04:00–05:00 (Central European Summer Time)"),
    ],
)
def test_an_interval_has_its_zone(language: str, zone: ZoneInfo, shown: str) -> None:
    """In both languages, and in summer with summer's name."""
    assert plain(Reader(language, zone, NOW).interval(START, END)) == shown


def test_another_day_and_another_year_are_named() -> None:
    """An interval over midnight names both days; a year is named when it is not this one."""
    reader = Reader(CHINESE, SHANGHAI, NOW)
    late = stamp_of(datetime(2025, 12, 31, 15, 0, tzinfo=UTC))
    over = stamp_of(datetime(2025, 12, 31, 17, 0, tzinfo=UTC))
    assert reader.bare_interval(late, over) == "12月31日 周三 23:00–2026年1月1日 周四 01:00"


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        ("", "10:00", "11:00"),
        ("2025-07-08", "", ""),
        ("2025-13-01", "10:00", "11:00"),
        ("9999-12-31", "23:00", "01:00"),
    ],
)
def test_what_is_no_time_is_refused(day: str, start: str, end: str) -> None:
    """With ValueError, whatever is typed."""
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kinds
        typed_interval(day, start, end, SHANGHAI)


def test_typed_times_are_of_the_zone_shown() -> None:
    """An end that is not after the start is on the next day."""
    assert typed_interval("2025-07-08", "10:00", "11:00", SHANGHAI) == (START, END)
    late, over = typed_interval("2025-07-08", "23:00", "01:00", SHANGHAI)
    assert over.seconds - late.seconds == 7200


def test_unknown_zones_are_the_platforms() -> None:
    assert zone_of("../../etc/passwd") == SHANGHAI
