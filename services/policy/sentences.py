"""Reasons as sentences: templates parsed once, figures written the way each language writes them.

`{name}` number, `{name:plural one many}` number with its noun, `{name:duration}` seconds as a span,
`{name:day}` and `{name:moment}` epoch seconds in the platform zone (with the year when it is not that of now).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

REMEMBERED = 1024  # meetings begin at few different moments and last few different times

Formatter = Callable[[int, int], str]
"""Takes the value and the year of now."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_SPANS = ((86400, "天", "day"), (3600, "小时", "hour"), (60, "分钟", "minute"), (1, "秒", "second"))

FITTING_SPECS: dict[str, tuple[str, ...]] = {"seconds": ("duration",), "moment": ("day", "moment"), "flag": ()}
"""Which specs write a figure of this unit; every other unit is a plain number."""


class Sentence:
    """A parsed template. Raises ValueError, with the reason, for one that cannot be filled."""

    def __init__(self, text: str, language: str, zone: ZoneInfo) -> None:
        self.fields: list[tuple[str, str]] = []
        self._parts: list[tuple[str, str, Formatter]] = []
        position = 0
        for match in _FIELD.finditer(text):
            name, _, spec = match[1].partition(":")
            self.fields.append((name, spec.split(" ")[0]))
            self._parts.append((_literal(text[position : match.start()]), name, _formatter(spec, language, zone)))
            position = match.end()
        self._tail = _literal(text[position:])

    def fill(self, figures: Mapping[str, int], year: int) -> str:
        return "".join([f"{text}{write(figures[name], year)}" for text, name, write in self._parts]) + self._tail


def _literal(text: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError(f"a lone brace in {text!r}; figures are written {{name}} or {{name:spec}}")
    return text


def _formatter(spec: str, language: str, zone: ZoneInfo) -> Formatter:
    match spec.split(" "):
        case [""]:
            return lambda value, year: str(value)
        case ["plural", one, many]:
            return lambda value, year: f"{value} {one if value == 1 else many}"
        case ["duration"]:
            return lambda value, year: duration(value, language)
        case ["day"]:
            return lru_cache(REMEMBERED)(lambda value, year: _day(datetime.fromtimestamp(value, zone), year, language))
        case ["moment"]:
            return lru_cache(REMEMBERED)(
                lambda value, year: _moment(datetime.fromtimestamp(value, zone), year, language)
            )
    raise ValueError(f"no way to write {spec!r}; there are day, moment, duration and `plural one many`")


@lru_cache(REMEMBERED)
def duration(seconds: int, language: str) -> str:
    """5400 is 1 小时 30 分钟 or 1 hour 30 minutes."""
    parts: list[str] = []
    rest = abs(seconds)
    for size, zh, en in _SPANS:
        number, rest = divmod(rest, size)
        if number or (size == 1 and not parts):
            parts.append(f"{number} {zh}" if language == "zh-CN" else f"{number} {en}{'' if number == 1 else 's'}")
    return ("-" if seconds < 0 else "") + " ".join(parts)


def _day(when: datetime, year: int, language: str) -> str:
    if language == "zh-CN":
        return f"{f'{when.year} 年 ' if when.year != year else ''}{when.month} 月 {when.day} 日"
    return f"{when.day} {_MONTHS[when.month - 1]}{f' {when.year}' if when.year != year else ''}"


def _moment(when: datetime, year: int, language: str) -> str:
    return (
        f"{_day(when, year, language)} {when:%H:%M:%S}" if when.second else f"{_day(when, year, language)} {when:%H:%M}"
    )
