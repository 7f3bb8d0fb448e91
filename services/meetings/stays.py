"""Stays of one person at one device, out of what was reported: in whatever order, the same reports are the same stays.

Pure. Times are epoch milliseconds.
"""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reported:
    """`mark` is the report of its end, `leave_time` what follows from all; None: there is none, they are inside."""

    enter_time: int
    mark: int | None
    leave_time: int | None


def pair(entered: Collection[int], left: Collection[int], emptied: Collection[int]) -> tuple[list[Reported], list[int]]:
    """Stays in their order, and the reports of leaving that belong to none.

    `emptied`: when nobody was inside. Who enters again had left before: a device is inside once.
    """
    stays, marks, entries = list[Reported](), sorted(set(left)), sorted(set(entered))
    for number, entry in enumerate(entries):
        again = entries[number + 1] if number + 1 < len(entries) else None
        mark = next((each for each in marks if each >= entry and (again is None or each <= again)), None)
        if mark is not None:
            marks.remove(mark)
        alone = min((each for each in emptied if each > entry), default=None)
        ends = [each for each in (mark, alone, again) if each is not None]
        stays.append(Reported(entry, mark, min(ends, default=None)))
    return stays, marks
