"""Words for names, times and quotas in each language. A time is never shown without its zone."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1.decision_pb2 import LocalizedText, QuotaUsage

from services.platform.clock import MINUTE

CHINESE, ENGLISH = "zh-CN", "en"
MINUTES_PER_HOUR, MINUTES_PER_DAY = 60, 24 * 60
ELLIPSIS = "…"

_WEEKDAYS = {
    CHINESE: ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    ENGLISH: ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONES = {"Asia/Shanghai": {CHINESE: "北京时间", ENGLISH: "Beijing time"}}

# Direction overrides can make a subject read as something else (CVE-2021-42574 is the same trick in source code).
_DIRECTION = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def single_line(text: str, limit: int = 200) -> str:
    """Text of unknown origin as one printable line: nothing in it can end a header, a row or a property."""
    printable = "".join(_printable(character) for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + ELLIPSIS


def _printable(character: str) -> str:
    if character in _DIRECTION:
        return ""
    return " " if unicodedata.category(character) in {"Cc", "Cs", "Cn", "Zl", "Zp"} else character


def language(locale: str) -> str:
    return ENGLISH if locale.lower().startswith("en") else CHINESE


def localized(text: LocalizedText, locale: str) -> str:
    """The sentence in that language, or in the other one rather than none."""
    chosen, other = (text.en, text.zh_cn) if locale == ENGLISH else (text.zh_cn, text.en)
    return single_line(chosen or other, 500)


def meeting_number(code: str) -> str:
    """Nine digits as 123 456 789, ten as 123 456 7890; anything else as it is."""
    if code.isdecimal() and len(code) in {9, 10}:
        return f"{code[:3]} {code[3:6]} {code[6:]}"
    return single_line(code, 20)


def span(milliseconds: int, locale: str) -> str:
    """The two largest of days, hours and minutes, rounded down: "3 小时 20 分钟", "1 d 4 h"."""
    minutes = max(0, milliseconds) // MINUTE
    days, rest = divmod(minutes, MINUTES_PER_DAY)
    counts = (days, *divmod(rest, MINUTES_PER_HOUR))
    units = ("d", "h", "min") if locale == ENGLISH else ("天", "小时", "分钟")
    named = [f"{count} {unit}" for count, unit in zip(counts, units, strict=True) if count]
    return " ".join(named[:2]) or f"0 {units[-1]}"


@dataclass(frozen=True, slots=True)
class Meter:
    """One quota with the reservation at hand included."""

    label: str
    used: int
    limit: int

    @property
    def percent(self) -> int:
        return min(100, 100 * self.used // self.limit) if self.limit > 0 else 100

    def __str__(self) -> str:
        return f"{self.label} {self.used}/{self.limit}"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Times as people of one language in one zone write them."""

    locale: str
    zone: ZoneInfo

    def local(self, stamp: Timestamp) -> datetime:
        return stamp.ToDatetime(UTC).astimezone(self.zone)

    def hour(self, stamp: Timestamp) -> str:
        return f"{self.local(stamp):%H:%M}"

    def zoned_hour(self, stamp: Timestamp) -> str:
        local = self.local(stamp)
        return f"{local:%H:%M}{self.zone_note(local)}"

    def date(self, moment: datetime, *, year: bool = False) -> str:
        weekday = _WEEKDAYS[self.locale][moment.weekday()]
        if self.locale == ENGLISH:
            written = f"{moment.day} {_MONTHS[moment.month - 1]}"
            return f"{weekday} {written} {moment.year}" if year else f"{weekday} {written}"
        written = f"{moment.month}月{moment.day}日 {weekday}"
        return f"{moment.year}年{written}" if year else written

    def moment(self, stamp: Timestamp) -> str:
        """With year, hour and zone."""
        local = self.local(stamp)
        return f"{self.date(local, year=True)} {local:%H:%M}{self.zone_note(local)}"

    def short_moment(self, stamp: Timestamp) -> str:
        """For subject lines: no year; the zone only where it is not the usual one."""
        local = self.local(stamp)
        return f"{self.date(local)} {local:%H:%M}{self._unusual_zone(local)}"

    def interval(self, start: Timestamp, end: Timestamp) -> str:
        """With year and zone; the second date only when it differs."""
        first = self.local(start)
        return f"{self.date(first, year=True)} {first:%H:%M}–{self._until(start, end)}{self.zone_note(first)}"

    def short_interval(self, start: Timestamp, end: Timestamp) -> str:
        """For subject lines, as short_moment."""
        first = self.local(start)
        return f"{self.date(first)} {first:%H:%M}–{self._until(start, end)}{self._unusual_zone(first)}"

    def _unusual_zone(self, moment: datetime) -> str:
        return "" if self.zone.key in _ZONES else self.zone_note(moment)

    def _until(self, start: Timestamp, end: Timestamp) -> str:
        first, last = self.local(start), self.local(end)
        return f"{last:%H:%M}" if first.date() == last.date() else f"{self.date(last)} {last:%H:%M}"

    def zone_note(self, moment: datetime) -> str:
        name = _ZONES.get(self.zone.key, {}).get(self.locale, self.zone.key)
        offset = f"{moment:%z}"
        written = f"{name} UTC{offset[:3]}:{offset[3:5]}"
        return f" ({written})" if self.locale == ENGLISH else f"（{written}）"

    def meters(self, quotas: Iterable[QuotaUsage], now: datetime) -> list[Meter]:
        """Usage as policy counted it, plus the one reservation that was just confirmed."""
        return [Meter(self._period(quota, now), quota.used + 1, quota.limit) for quota in quotas]

    def _period(self, quota: QuotaUsage, now: datetime) -> str:
        start, end = self.local(quota.period_start), self.local(quota.period_end)
        current = start <= now < end
        span = end - start
        if span <= timedelta(hours=25):  # a day with a clock change is longer
            today = {CHINESE: "今日", ENGLISH: "today"}[self.locale]
            return today if current else self.date(start)
        if span <= timedelta(days=7, hours=1):
            this, other = {CHINESE: ("本周", "{}起一周"), ENGLISH: ("this week", "week of {}")}[self.locale]
            return this if current else other.format(self.date(start))
        return f"{self.date(start)}–{self.date(end)}"
