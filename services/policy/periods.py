"""Calendar days and weeks in the platform zone, as epoch seconds. Knows of days that are not 24 hours long."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

Period = tuple[int, int]
"""Start inclusive, end exclusive."""

_REMEMBERED = 4096


class PeriodCalendar:
    def __init__(self, zone: ZoneInfo, week_start: int) -> None:
        """week_start: 0 is Monday."""
        self._zone = zone
        self._week_start = week_start
        self._midnights: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._weeks: dict[int, Period] = {}

    def day_number(self, seconds: int) -> int:
        """Remembered by the minute: every zone's clock has changed at whole minutes since 1972."""
        minute = seconds // 60
        found = self._numbers.get(minute)
        if found is None:
            if len(self._numbers) >= _REMEMBERED:
                self._numbers.clear()
            found = self._numbers[minute] = datetime.fromtimestamp(minute * 60, self._zone).toordinal()
        return found

    def year(self, seconds: int) -> int:
        return datetime.fromtimestamp(seconds, self._zone).year

    def day(self, seconds: int) -> Period:
        number = self.day_number(seconds)
        return self._midnight(number), self._midnight(number + 1)

    def week(self, seconds: int) -> Period:
        number = self.day_number(seconds)
        first = number - (number + 6 - self._week_start) % 7  # day number 1 was a Monday
        found = self._weeks.get(first)
        if found is None:
            if len(self._weeks) >= _REMEMBERED:
                self._weeks.clear()
            found = self._weeks[first] = self._midnight(first), self._midnight(first + 7)
        return found

    def days_later(self, seconds: int, days: int) -> int:
        """The same time of day so many days later; a time that a clock change skips moves by the change."""
        when = datetime.fromtimestamp(seconds, self._zone)
        return int(datetime.combine(when.date() + timedelta(days=days), when.time(), self._zone).timestamp())

    def midnights(self, after: int, until: int) -> Iterator[int]:
        """When each day begins, after `after` up to `until`; at most some 30 years of them."""
        for number in range(
            self.day_number(after) + 1, min(self.day_number(until), self.day_number(after) + 11_000) + 1
        ):
            yield self._midnight(number)

    def _midnight(self, number: int) -> int:
        """The first moment of a day, also where clocks skip or repeat midnight (fold=0 gives the earlier one)."""
        found = self._midnights.get(number)
        if found is None:
            if len(self._midnights) >= _REMEMBERED:
                self._midnights.clear()
            first = datetime.combine(date.fromordinal(number), datetime.min.time(), self._zone)
            found = self._midnights[number] = int(first.timestamp())
        return found
