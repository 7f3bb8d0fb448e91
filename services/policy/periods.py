"""Calendar days and weeks in the platform zone, as epoch seconds. Knows of days that are not 24 hours long."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

Period = tuple[int, int]
"""Start inclusive, end exclusive."""

_REMEMBERED = 4096


class Calendar:
    def __init__(self, zone: ZoneInfo, week_start: int) -> None:
        """week_start: 0 is Monday."""
        self._zone = zone
        self._week_start = week_start
        self._midnights: dict[int, int] = {}

    def day_number(self, seconds: int) -> int:
        return datetime.fromtimestamp(seconds, self._zone).toordinal()

    def year(self, seconds: int) -> int:
        return datetime.fromtimestamp(seconds, self._zone).year

    def day(self, seconds: int) -> Period:
        number = self.day_number(seconds)
        return self._midnight(number), self._midnight(number + 1)

    def week(self, seconds: int) -> Period:
        number = self.day_number(seconds)
        first = number - (number + 6 - self._week_start) % 7  # day number 1 was a Monday
        return self._midnight(first), self._midnight(first + 7)

    def _midnight(self, number: int) -> int:
        """The first moment of a day, also where clocks skip or repeat midnight (fold=0 gives the earlier one)."""
        found = self._midnights.get(number)
        if found is None:
            if len(self._midnights) >= _REMEMBERED:
                self._midnights.clear()
            first = datetime.combine(date.fromordinal(number), datetime.min.time(), self._zone)
            found = self._midnights[number] = int(first.timestamp())
        return found
