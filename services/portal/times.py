"""Times as people read and type them: in the zone they chose, never without its name, weeks from Monday."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date, get_timezone_name
from google.protobuf.timestamp_pb2 import Timestamp
from markupsafe import Markup

CHINESE, ENGLISH = "zh-CN", "en"
PLATFORM_ZONE = "Asia/Shanghai"
ZONES = (
    PLATFORM_ZONE,
    *("Asia/Tokyo", "Asia/Singapore", "Asia/Urumqi", "Australia/Sydney", "UTC"),
    *("Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles"),
)
"""What one may have times shown in."""

_BEIJING = {CHINESE: "北京时间", ENGLISH: "Beijing time"}
_BABEL = {CHINESE: "zh_CN", ENGLISH: "en_GB"}
_DAYS = {CHINESE: ("M月d日 EEE", "y年M月d日 EEE"), ENGLISH: ("EEE d MMM", "EEE d MMM y")}
_SPANS = (
    (86400, {CHINESE: ("天", "天"), ENGLISH: ("day", "days")}),
    (3600, {CHINESE: ("小时", "小时"), ENGLISH: ("hour", "hours")}),
    (60, {CHINESE: ("分钟", "分钟"), ENGLISH: ("minute", "minutes")}),
    (1, {CHINESE: ("秒", "秒"), ENGLISH: ("second", "seconds")}),
)


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

    def zone_name(self, at: datetime | None = None) -> str:
        """As of a moment: summer time has a name of its own."""
        if self.zone.key == PLATFORM_ZONE:
            return _BEIJING[self.language]
        return str(get_timezone_name((at or self.now).astimezone(self.zone), locale=_BABEL[self.language]))

    def day(self, day: date) -> str:
        """7月8日 周二, or Tue 8 Jul; with the year when it is not this one."""
        near, far = _DAYS[self.language]
        return format_date(day, near if day.year == self.today.year else far, locale=_BABEL[self.language])

    def moment(self, stamp: Timestamp) -> Markup:
        """With the zone."""
        at = self.local(stamp)
        return _element(at, f"{self.day(at.date())} {at:%H:%M}", self.zone_name(at), self.language)

    def interval(self, start: Timestamp, end: Timestamp) -> Markup:
        """With the zone; the second date only when it is another day."""
        first = self.local(start)
        return _element(first, self.bare_interval(start, end), self.zone_name(first), self.language)

    def bare_interval(self, start: Timestamp, end: Timestamp) -> str:
        """For tables that name the zone in their heading."""
        first, last = self.local(start), self.local(end)
        until = f"{last:%H:%M}" if first.date() == last.date() else f"{self.day(last.date())} {last:%H:%M}"
        return f"{self.day(first.date())} {first:%H:%M}–{until}"

    def countdown(self, stamp: Timestamp) -> str:
        """How long until then, in its two largest units: 1 天 3 小时."""
        return span(max(0, stamp.seconds - int(self.now.timestamp())), self.language, parts=2, smallest=60)


def _element(at: datetime, text: str, zone: str, language: str) -> Markup:
    shown = f"（{zone}）" if language == CHINESE else f" ({zone})"
    return Markup('<time datetime="{}">{}<span class="zone">{}</span></time>').format(
        at.isoformat(timespec="minutes"), text, shown
    )


def span(seconds: int, language: str, parts: int = 4, smallest: int = 1) -> str:
    """5400 is 1 小时 30 分钟 or 1 hour 30 minutes."""
    said: list[str] = []
    rest = abs(seconds)
    for size, words in _SPANS:
        if size < smallest:
            break
        number, rest = divmod(rest, size)
        if number or (size == smallest and not said):
            said.append(f"{number} {words[language][number != 1]}")
    return ("-" if seconds < 0 else "") + " ".join(said[:parts])


def zone_of(key: str) -> ZoneInfo:
    """The platform's for whatever is not one of ours."""
    return ZoneInfo(key if key in ZONES else PLATFORM_ZONE)


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
