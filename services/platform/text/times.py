"""Dates, times and durations as people read them; a time is never shown without its zone.

The words are Babel's, which is imported for names of zones only: it would keep 5 MB for the few words written here.
"""

from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from services.platform.text.languages import CHINESE, ENGLISH, LOCALES
from services.platform.text.messages import message

if TYPE_CHECKING:
    from babel import Locale

PLATFORM_ZONE = ZoneInfo("Asia/Shanghai")
_WEEKDAYS = {
    CHINESE: ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    ENGLISH: ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec")
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
_CHINESE_UNITS = {"day": "天", "hour": "小时", "minute": "分钟", "second": "秒"}


def show_date(day: date, language: str, *, year: bool) -> str:
    """7月8日 周二 or Tue 8 Jul; with the year 2025年7月8日 周二 or Tue 8 Jul 2025."""
    weekday = _WEEKDAYS[language][day.weekday()]
    if language == CHINESE:
        return f"{f'{day.year}年' if year else ''}{day.month}月{day.day}日 {weekday}"
    return f"{weekday} {day.day} {_MONTHS[day.month - 1]}{f' {day.year}' if year else ''}"


def show_iso_date(day: date, language: str) -> str:
    """2025-07-08 周二 or 2025-07-08 Tue: for columns."""
    return f"{day.isoformat()} {_WEEKDAYS[language][day.weekday()]}"


def show_time(moment: datetime, *, seconds: bool = False) -> str:
    """10:00 in both languages."""
    return f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"


def show_duration(length: timedelta, language: str, *, parts: int = 4, smallest: str = "second") -> str:
    """Its largest units, rounded down: 1 小时 30 分钟 or 1 hour 30 minutes."""
    said: list[str] = []
    rest = abs(int(length.total_seconds()))
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        if number or (unit == smallest and not said):
            said.append(_number_of(unit, number, language))
        if unit == smallest:
            break
    sign = "-" if length < timedelta(0) else ""
    return sign + " ".join(said[:parts])


def _number_of(unit: str, number: int, language: str) -> str:
    if language == CHINESE:
        return f"{number:,} {_CHINESE_UNITS[unit]}"
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def zone_name(zone: ZoneInfo, at: datetime, language: str) -> str:
    """As of a moment: summer time has a name of its own."""
    if zone == PLATFORM_ZONE:
        return message("Beijing time").to(language)
    from babel.dates import get_timezone_name

    return get_timezone_name(at.astimezone(zone), locale=_locale(language))


def in_brackets(text: str, note: str, language: str) -> str:
    return message("{text} ({note})").to(language, text=text, note=note)


@cache
def _locale(language: str) -> "Locale":
    """Kept: to find one by its name takes Babel longer than all that is done with it."""
    from babel import Locale

    return Locale.parse(LOCALES[language])
