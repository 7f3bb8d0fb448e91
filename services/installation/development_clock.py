"""The clock of a development installation: set at the start of a run, and only ever moved forward after that."""

import time
from datetime import UTC, datetime

from services.installation.state import State, write_private
from services.platform.clock import DevelopmentClock


class BackwardsError(Exception):
    """Time would run backwards for data that exists. Carries both moments."""

    def __init__(self, wanted: datetime, now: datetime) -> None:
        super().__init__(f"{wanted} is before {now}")
        self.wanted = wanted
        self.now = now


def now(state: State) -> datetime:
    """In UTC."""
    return datetime.fromtimestamp(DevelopmentClock(state.clock).now() / 1000, UTC)


def start_at(state: State, wanted: datetime) -> None:
    """Before the programs start. Raises BackwardsError when data of a later time exists."""
    if state.database("booking").exists():
        move_to(state, wanted)
    else:
        offset = to_milliseconds(wanted) - time.time_ns() // 1_000_000
        write_private(state.clock, {"offset_ms": offset})


def move_to(state: State, wanted: datetime) -> None:
    """Raises BackwardsError."""
    current = now(state)
    if wanted < current:
        raise BackwardsError(wanted, current)
    advance(state, to_milliseconds(wanted) - to_milliseconds(current))


def advance(state: State, milliseconds: int) -> None:
    DevelopmentClock(state.clock).shift(milliseconds)


def to_milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return round(moment.timestamp() * 1000)
