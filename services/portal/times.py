"""Times as people read and type them: in the zone they chose, never without its name, weeks from Monday."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from markupsafe import Markup

from services.platform.text import times
from services.platform.text.times import PLATFORM_ZONE, show_duration, show_time

ZONES = (
    PLATFORM_ZONE.key,
    *("Asia/Tokyo", "Asia/Singapore", "Asia/Urumqi", "Australia/Sydney", "UTC"),
    *("Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles"),
)
"""What one may have times shown in."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever reads: language, zone, and the moment of reading."""

    language: str
    zone: ZoneInfo
    now: datetime

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def local(self, stamp: Timestamp) -> datetime:
        return datetime.fromtimestamp(stamp.seconds, UTC).astimezone(self.zone)

    def zone_all_year(self) -> str:
        """For a column of times, some of which may be in summer."""
        return self.zone_name() if self.zone == times.PLATFORM_ZONE else self.zone.key

    def zone_name(self, at: datetime | None = None) -> str:
        """As of a moment: summer time has a name of its own."""
        return times.zone_name(self.zone, at or self.now, self.language)

    def day(self, day: date) -> str:
        """7月8日 周二, or Tue 8 Jul; with the year when it is not this one."""
        return times.show_date(day, self.language, year=day.year != self.today.year)

    def moment(self, stamp: Timestamp) -> Markup:
        """With the zone."""
        at = self.local(stamp)
        return _element(at, f"{self.day(at.date())} {show_time(at)}", self.zone_name(at), self.language)

    def interval(self, start: Timestamp, end: Timestamp) -> Markup:
        """With the zone; the second date only when it is another day."""
        first = self.local(start)
        return _element(first, self.bare_interval(start, end), self.zone_name(first), self.language)

    def bare_interval(self, start: Timestamp, end: Timestamp) -> str:
        """For tables that name the zone in their heading."""
        first, last = self.local(start), self.local(end)
        until = show_time(last) if first.date() == last.date() else f"{self.day(last.date())} {show_time(last)}"
        return f"{self.day(first.date())} {show_time(first)}–{until}"

    def countdown(self, stamp: Timestamp) -> str:
        """How long until then, in its two largest units: 1 天 3 小时."""
        left = timedelta(seconds=max(0, stamp.seconds - int(self.now.timestamp())))
        return show_duration(left, self.language, parts=2, smallest="minute")


def _element(at: datetime, text: str, zone: str, language: str) -> Markup:
    shown = times.in_brackets("", zone, language)
    return Markup('<time datetime="{}">{}<span class="zone">{}</span></time>').format(
        at.isoformat(timespec="minutes"), text, shown
    )


def zone_of(key: str) -> ZoneInfo:
    """The platform's for whatever is not one of ours."""
    return ZoneInfo(key) if key in ZONES else PLATFORM_ZONE


def stamp_of(moment: datetime) -> Timestamp:
    return Timestamp(seconds=int(moment.timestamp()))


def typed_interval(day: str, start: str, end: str, zone: ZoneInfo) -> tuple[Timestamp, Timestamp]:
    """A date and two times of day; an end that is not after the start is on the next day. Raises ValueError."""
    on = date.fromisoformat(day)
    first, last = time.fromisoformat(start), time.fromisoformat(end)
    if first.tzinfo or last.tzinfo or not 1971 <= on.year <= 9998:
        raise ValueError("not a time of day in that zone")
    until = on if last > first else on + timedelta(days=1)
    return (
        stamp_of(datetime.combine(on, first, zone)),
        stamp_of(datetime.combine(until, last, zone)),
    )
