"""The clock of a development installation: set at the start of a run, and only ever moved forward after that."""

import time
from datetime import datetime

from services.cli import moments
from services.cli.state import State, write_private
from services.platform.clock import DevelopmentClock


class BackwardsError(Exception):
    """Time would run backwards for data that exists. Carries both moments."""

    def __init__(self, wanted: datetime, now: datetime) -> None:
        super().__init__(f"{wanted} is before {now}")
        self.wanted = wanted
        self.now = now


def now(state: State) -> datetime:
    return moments.from_milliseconds(DevelopmentClock(state.clock).now())


def start_at(state: State, wanted: datetime) -> None:
    """Before the programs start. Raises BackwardsError when data of a later time exists."""
    if state.database("booking").exists():
        move_to(state, wanted)
    else:
        offset = moments.to_milliseconds(wanted) - time.time_ns() // 1_000_000
        write_private(state.clock, {"offset_ms": offset})


def move_to(state: State, wanted: datetime) -> None:
    """Raises BackwardsError."""
    current = now(state)
    if wanted < current:
        raise BackwardsError(wanted, current)
    advance(state, moments.to_milliseconds(wanted) - moments.to_milliseconds(current))


def advance(state: State, milliseconds: int) -> None:
    DevelopmentClock(state.clock).shift(milliseconds)
