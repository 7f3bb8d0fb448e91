"""Words for names, times and quotas in each language. A time is never shown without its zone."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.policy.v1.decision_pb2 import LocalizedText, QuotaUsage

from services.platform.text import times
from services.platform.text.languages import CHINESE, ENGLISH, read
from services.platform.text.messages import message
from services.platform.text.times import PLATFORM_ZONE, show_date, show_time

ELLIPSIS = "…"

# Direction overrides can make a subject read as something else (CVE-2021-42574 is the same trick in source code).
_DIRECTION = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def single_line(text: str, limit: int = 200) -> str:
    """Text of unknown origin as one printable line: nothing in it can end a header, a row or a property."""
    printable = text if text.isprintable() else "".join(_printable(character) for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + ELLIPSIS


def _printable(character: str) -> str:
    if character in _DIRECTION:
        return ""
    return " " if unicodedata.category(character) in {"Cc", "Cs", "Cn", "Zl", "Zp"} else character


def language(locale: str) -> str:
    return read(locale) or CHINESE


def localized(text: LocalizedText, locale: str) -> str:
    """The sentence in that language, or in the other one rather than none."""
    chosen, other = (text.en, text.zh_cn) if locale == ENGLISH else (text.zh_cn, text.en)
    return single_line(chosen or other, 500)


def span(milliseconds: int, locale: str) -> str:
    """The two largest of days, hours and minutes, rounded down: "3 小时 20 分钟", "1 day 4 hours"."""
    return times.show_duration(timedelta(milliseconds=max(0, milliseconds)), locale, parts=2, smallest="minute")


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


# Kept, since one mail says the same times again and again, and the next mail the same hours


@lru_cache(maxsize=1000)
def _local(seconds: int, nanos: int, zone: ZoneInfo) -> datetime:
    return Timestamp(seconds=seconds, nanos=nanos).ToDatetime(UTC).astimezone(zone)


@lru_cache(maxsize=1000)
def _zone_note(zone: ZoneInfo, seconds: float, locale: str) -> str:
    """By the seconds: two moments with one hour, where clocks are put back, count as equal."""
    moment = datetime.fromtimestamp(seconds, zone)
    ahead = f"{moment:%z}"
    offset = f"UTC{ahead[:3]}:{ahead[3:5]}"
    name = times.zone_name(zone, moment, locale)
    return times.in_brackets("", offset if name.startswith("GMT") else f"{name} {offset}", locale)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Times as people of one language in one zone write them."""

    locale: str
    zone: ZoneInfo

    def local(self, stamp: Timestamp) -> datetime:
        return _local(stamp.seconds, stamp.nanos, self.zone)

    def hour(self, stamp: Timestamp) -> str:
        return show_time(self.local(stamp))

    def zoned_hour(self, stamp: Timestamp) -> str:
        local = self.local(stamp)
        return f"{show_time(local)}{self.zone_note(local)}"

    def date(self, moment: datetime, *, year: bool = False) -> str:
        return show_date(moment.date(), self.locale, year=year)

    def moment(self, stamp: Timestamp) -> str:
        """With year, hour and zone."""
        local = self.local(stamp)
        return f"{self.date(local, year=True)} {show_time(local)}{self.zone_note(local)}"

    def short_moment(self, stamp: Timestamp) -> str:
        """For subject lines: no year; the zone only where it is not the usual one."""
        local = self.local(stamp)
        return f"{self.date(local)} {show_time(local)}{self._unusual_zone(local)}"

    def interval(self, start: Timestamp, end: Timestamp) -> str:
        """With year and zone; the second date only when it differs."""
        first = self.local(start)
        return f"{self.date(first, year=True)} {show_time(first)}–{self._until(start, end)}{self.zone_note(first)}"

    def short_interval(self, start: Timestamp, end: Timestamp) -> str:
        """For subject lines, as short_moment."""
        first = self.local(start)
        return f"{self.date(first)} {show_time(first)}–{self._until(start, end)}{self._unusual_zone(first)}"

    def _unusual_zone(self, moment: datetime) -> str:
        return "" if self.zone == PLATFORM_ZONE else self.zone_note(moment)

    def _until(self, start: Timestamp, end: Timestamp) -> str:
        first, last = self.local(start), self.local(end)
        return show_time(last) if first.date() == last.date() else f"{self.date(last)} {show_time(last)}"

    def zone_note(self, moment: datetime) -> str:
        """With the offset; a zone without a name of its own in this language is only that."""
        return _zone_note(self.zone, moment.timestamp(), self.locale)

    def meters(self, quotas: Iterable[QuotaUsage], now: datetime) -> list[Meter]:
        """Usage as policy counted it, plus the one reservation that was just confirmed."""
        return [Meter(self._period(quota, now), quota.used + 1, quota.limit) for quota in quotas]

    def _period(self, quota: QuotaUsage, now: datetime) -> str:
        start, end = self.local(quota.period_start), self.local(quota.period_end)
        current = start <= now < end
        span = end - start
        if span <= timedelta(hours=25):  # a day with a clock change is longer
            return message("today").to(self.locale) if current else self.date(start)
        if span <= timedelta(days=7, hours=1):
            week = message("this week") if current else message("week of {day}", day=self.date(start))
            return week.to(self.locale)
        return f"{self.date(start)}–{self.date(end)}"
