"""How well people at the simulated provider are connected: invented, and always the same for the same minute. Pure.

In each hour that begins at the full hour everybody has three bad minutes in a row, at a time of their own, with a
middling one before and after; in all others the connection is good.
"""

import hashlib
from enum import StrEnum

MINUTE = 60_000  # milliseconds
BAD_MINUTES = 3
HOUR_MINUTES = 60

Measures = tuple[float, float, float]
"""Delay in milliseconds, percent lost on the way from the person, percent lost on the way to them."""

GOOD: Measures = (20, 0, 0)
MIDDLING: Measures = (140, 1.5, 1.5)
BAD: Measures = (320, 6, 8)


class NetworkState(StrEnum):
    """Whether somebody's connection is as invented, or was made bad or good."""

    USUAL = "USUAL"
    BAD = "BAD"
    GOOD = "GOOD"


def measure(meeting: str, person_id: str, now: int, connection: str = NetworkState.USUAL) -> Measures:
    """At `now`, epoch ms. Good: a delay of 20 to 50 ms and up to 0.5 % lost; bad: 320 ms and 6 % at least."""
    minute = now // MINUTE
    base = {NetworkState.BAD: BAD, NetworkState.GOOD: GOOD}.get(NetworkState(connection)) or usual(
        meeting, person_id, minute
    )
    more = draw(meeting, person_id, f"minute {minute}", 31)
    return base[0] + more, base[1] + more % 6 / 10, base[2] + more % 4 / 10


def usual(meeting: str, person_id: str, minute: int) -> Measures:
    """Without what is different from one good minute to another. `minute` counts from the epoch."""
    hour, within = divmod(minute, HOUR_MINUTES)
    first = first_bad(meeting, person_id, hour)
    if first <= within < first + BAD_MINUTES:
        return BAD
    return MIDDLING if within in (first - 1, first + BAD_MINUTES) else GOOD


def first_bad(meeting: str, person_id: str, hour: int) -> int:
    """The first bad minute of an hour, 1 to 56: those around it are of the same hour. `hour` counts from the epoch."""
    return 1 + draw(meeting, person_id, f"hour {hour}", HOUR_MINUTES - BAD_MINUTES - 1)


def draw(meeting: str, person_id: str, when: str, below: int) -> int:
    """A number in [0, below)."""
    digest = hashlib.sha256("\0".join((meeting, person_id, when)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % below
