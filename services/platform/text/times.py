"""Dates, times and durations as people read them, in Babel's words; a time is never shown without its zone.

Babel is imported by whoever shows the first time, and by nobody else.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from services.platform.text.languages import CHINESE, ENGLISH, LOCALES
from services.platform.text.messages import message

if TYPE_CHECKING:
    from babel import Locale

PLATFORM_ZONE = ZoneInfo("Asia/Shanghai")
_DAYS = {CHINESE: "M月d日 EEE", ENGLISH: "EEE d MMM"}
_DAYS_OF_YEARS = {CHINESE: "y年M月d日 EEE", ENGLISH: "EEE d MMM y"}
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
_LENGTHS: Mapping[str, Literal["short", "long"]] = {CHINESE: "short", ENGLISH: "long"}
"""Chinese has one form of each unit, which goes as the short one."""
_DIGIT_AND_WORD = re.compile(r"(?<=\d)(?=[\u4e00-\u9fff])")


def show_date(day: date, language: str, *, year: bool) -> str:
    """7月8日 周二 or Tue 8 Jul; with the year 2025年7月8日 周二 or Tue 8 Jul 2025."""
    return _format(day, (_DAYS_OF_YEARS if year else _DAYS)[language], language)


def show_iso_date(day: date, language: str) -> str:
    """2025-07-08 周二 or 2025-07-08 Tue: for columns."""
    return _format(day, "y-MM-dd EEE", language)


def show_time(moment: datetime, *, seconds: bool = False) -> str:
    """10:00 in both languages."""
    return f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"


def show_duration(length: timedelta, language: str, *, parts: int = 4, smallest: str = "second") -> str:
    """Its largest units, rounded down: 1 小时 30 分钟 or 1 hour 30 minutes."""
    from babel.units import format_unit

    said: list[str] = []
    rest = abs(int(length.total_seconds()))
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        if number or (unit == smallest and not said):
            said.append(format_unit(number, f"duration-{unit}", _LENGTHS[language], locale=_locale(language)))
        if unit == smallest:
            break
    sign = "-" if length < timedelta(0) else ""
    return sign + _DIGIT_AND_WORD.sub(" ", " ".join(said[:parts]))


def zone_name(zone: ZoneInfo, at: datetime, language: str) -> str:
    """As of a moment: summer time has a name of its own."""
    if zone == PLATFORM_ZONE:
        return message("Beijing time").to(language)
    from babel.dates import get_timezone_name

    return get_timezone_name(at.astimezone(zone), locale=_locale(language))


def in_brackets(text: str, note: str, language: str) -> str:
    return message("{text} ({note})").to(language, text=text, note=note)


@lru_cache(maxsize=1000)
def _format(day: date, pattern: str, language: str) -> str:
    from babel.dates import format_date

    return format_date(day, pattern, locale=_locale(language))


@cache
def _locale(language: str) -> "Locale":
    """Kept: to find one by its name takes Babel longer than all that is done with it."""
    from babel import Locale

    return Locale.parse(LOCALES[language])
