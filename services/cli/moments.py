"""Times as people type and read them: local time of the platform zone in, and never without a zone out."""

import re
from datetime import UTC, date, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from services.platform.text import times
from services.platform.text.times import PLATFORM_ZONE

EXAMPLE = "2025-07-07 10:00"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DAYS = {"today": 0, "今天": 0, "tomorrow": 1, "明天": 1}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_moment(typed: str) -> datetime:
    """'2025-07-07 10:00' in the platform zone, or RFC 3339 with an offset. Raises ValueError."""
    text = typed.strip().upper()
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"not a time: {typed!r}")  # fromisoformat would also take a bare date or a week
    moment = datetime.fromisoformat(text)
    if moment.year < 1971 or moment.year > 9998:
        raise ValueError(f"not a time in reach: {typed!r}")
    return moment if moment.tzinfo else moment.replace(tzinfo=PLATFORM_ZONE)


def name_day(typed: str, now: datetime) -> str:
    """'tomorrow 10:00' or '明天 10:00' with the date in place of the word; anything else as it is."""
    word, space, rest = typed.strip().partition(" ")
    if word.lower() not in _DAYS:
        return typed
    day = now.astimezone(PLATFORM_ZONE) + timedelta(days=_DAYS[word.lower()])
    return f"{day:%Y-%m-%d}{space}{rest}"


def parse_duration(typed: str) -> timedelta:
    """'45m', '2h', '1d', '1h30m'. Raises ValueError."""
    seconds, digits = 0, ""
    for character in typed.strip().lower():
        if character.isdecimal() and character.isascii():
            digits += character
        elif character in _UNITS and digits:
            seconds += int(digits) * _UNITS[character]
            digits = ""
        else:
            raise ValueError(f"not a duration: {typed!r}")
    if digits or not 0 < seconds <= 366 * 86400:
        raise ValueError(f"not a duration: {typed!r}")
    return timedelta(seconds=seconds)


def to_timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp


def from_json(text: str) -> Timestamp:
    """RFC 3339, as proto3 JSON has it. Raises ValueError."""
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp


def to_moment(stamp: Timestamp) -> datetime:
    return datetime.fromtimestamp(stamp.seconds, PLATFORM_ZONE)


def from_milliseconds(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, PLATFORM_ZONE)


def show(stamp: Timestamp, language: str) -> str:
    """2025-07-07 周一 10:00（北京时间）"""
    return _with_zone(_minute(to_moment(stamp), language), language)


def show_moment(moment: datetime, language: str) -> str:
    """The same, with seconds."""
    return _with_zone(show_second(moment, language), language)


def show_second(moment: datetime, language: str) -> str:
    """Without the zone: for lists whose heading names it."""
    local = moment.astimezone(PLATFORM_ZONE)
    return f"{show_day(local.date(), language)} {times.show_time(local, seconds=True)}"


def show_interval(start: Timestamp, end: Timestamp, language: str) -> str:
    """2025-07-07 周一 10:00–11:00（北京时间）; the second date only when it is another day."""
    return _with_zone(show_bare_interval(start, end, language), language)


def show_bare_interval(start: Timestamp, end: Timestamp, language: str) -> str:
    """Without the zone: for tables that name it in the heading."""
    first, last = to_moment(start), to_moment(end)
    until = times.show_time(last) if first.date() == last.date() else _minute(last, language)
    return f"{_minute(first, language)}–{until}"


def example_start(now: datetime) -> datetime:
    """10:00 of the next day: a start that the rules allow at any hour."""
    tomorrow = now.astimezone(PLATFORM_ZONE) + timedelta(days=1)
    return tomorrow.replace(hour=10, minute=0, second=0, microsecond=0)


def zone_name(language: str) -> str:
    return times.zone_name(PLATFORM_ZONE, datetime.now(UTC), language)


def show_day(day: date, language: str) -> str:
    """2025-07-07 周一"""
    return times.show_iso_date(day, language)


def _minute(moment: datetime, language: str) -> str:
    return f"{show_day(moment.date(), language)} {times.show_time(moment)}"


def _with_zone(text: str, language: str) -> str:
    return times.in_brackets(text, zone_name(language), language)
