"""Years of use, written straight into the databases of a stopped installation.

One real reservation, made through the API, is the model: its rows are repeated under other ids, with its decision, the
stored answer, the published event and the mail. Past ones are spread over three years, all rooms and all accounts; a
few hold rooms in the coming week, at an hour that nobody else asks for.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bench import bookers
from services.booking import models, states
from services.installation.state import State
from services.notifier.deliveries import ATTEMPT
from services.notifier.deliveries import TABLE as DELIVERY
from services.notifier.inbox import TABLE as INBOX
from services.platform.clock import DAY, HOUR, MINUTE
from services.platform.data.database import create_engine
from services.platform.messaging.outbox import TABLE as OUTBOX

YEARS = 3 * 365 * DAY
LAST = bookers.MIDNIGHT - DAY  # nothing of this week: it would count towards the quota
UPCOMING = 400
UPCOMING_HOUR = 8
MOST_ACCOUNTS = 20_000
PAGE = 50_000
DIGITS = 8

Number = sa.ColumnElement[int]
Varied = Mapping[str, sa.ColumnElement[Any]]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """So many reservations and rooms. Whoever will book again has an account already."""

    reservations: int
    rooms: int

    @property
    def accounts(self) -> int:
        return max(min(self.reservations, MOST_ACCOUNTS), self.rooms * bookers.ACCOUNTS_PER_ROOM)

    @property
    def past(self) -> int:
        return self.reservations - UPCOMING


def fill(state: State, size: Size, progress: Progress) -> None:
    """The installation has made one reservation, its mail is sent, and it is stopped. SQLite."""
    with Writer(state.database("booking"), progress) as booking:
        booking.repeat(models.ACCOUNT, 0, size.accounts, account)
        booking.repeat(models.RESERVATION, 0, size.past, partial(reservation, size=size))
        booking.repeat(models.DECISION, 0, size.past, partial(decision, size=size))
        booking.repeat(models.ANSWER, 0, size.past, partial(answer, size=size))
        booking.repeat(OUTBOX, 0, size.past, partial(event, size=size))
        booking.repeat(models.RESERVATION, size.past, size.reservations, partial(upcoming, size=size))
        for kind in (states.ATTENDANCE, states.COMPLETION):
            booking.repeat(models.DEADLINE, size.past, size.reservations, partial(deadline, size=size, kind=kind))
    with Writer(state.database("notifier"), progress) as notifier:
        notifier.repeat(INBOX, 0, size.past, arrival)
        notifier.repeat(DELIVERY, 0, size.past, delivery)
        notifier.repeat(ATTEMPT, 0, size.past, attempt)


class Writer:
    """One database file, written without a journal and without waiting for the disk until the end."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress
        self._engine = create_engine(f"sqlite:///{path}")
        sa.event.listen(self._engine, "connect", _careless)

    def repeat(self, table: sa.Table, first: int, end: int, vary: Callable[[Number], Varied]) -> None:
        """The first row of the table once for each number, with the columns that `vary` gives."""
        with self._engine.begin() as connection:
            model = dict(connection.execute(sa.select(table).limit(1)).mappings().one())
        model.pop("seq", None)  # given by the database
        for start in range(first, end, PAGE):
            stop = min(start + PAGE, end)
            with self._engine.begin() as connection:
                _insert(connection, table, model, start, stop, vary)
            self._progress(f"{table.name}: {stop:,} of {end:,}")

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()
        with self._path.open("rb") as file:  # or the disk would be busy while we measure
            os.fsync(file.fileno())


def _careless(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000", "foreign_keys=OFF"):
        connection.execute(f"PRAGMA {pragma}").close()


def _insert(
    connection: Connection,
    table: sa.Table,
    model: Mapping[str, Any],
    start: int,
    stop: int,
    vary: Callable[[Number], Varied],
) -> None:
    numbers = sa.select(sa.literal(start, sa.BigInteger).label("i")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.i + 1).where(numbers.c.i + 1 < stop))
    same = {name: sa.literal(value, table.c[name].type) for name, value in model.items()}
    columns = {**same, **vary(numbers.c.i)}
    connection.execute(sa.insert(table).from_select(list(columns), sa.select(*columns.values()).select_from(numbers)))


def account(i: Number) -> Varied:
    name = numbered("booker-", i, 5)
    return {"account_id": name, "display_name": name, "email": name + "@example.org"}


def reservation(i: Number, size: Size) -> Varied:
    start = begin(i, size)
    return {
        "reservation_id": identifier("rsv", i),
        "decision_id": identifier("dec", i),
        "account_id": booker(i, size),
        "created_by": booker(i, size),
        "room_id": numbered("room-", i % size.rooms, 3),
        "state": sa.literal("COMPLETED"),
        "start_time": start,
        "end_time": start + HOUR,
        "enter_time": start,
        "release_time": start + 30 * MINUTE,
        "create_time": start - DAY,
        "update_time": start + HOUR,
    }


def decision(i: Number, size: Size) -> Varied:
    return {
        "decision_id": identifier("dec", i),
        "reservation_id": identifier("rsv", i),
        "account_id": booker(i, size),
        "actor": booker(i, size),
        "time": begin(i, size) - DAY,
    }


def answer(i: Number, size: Size) -> Varied:
    return {"actor": booker(i, size), "request_id": numbered("", i, DIGITS)}


def event(i: Number, size: Size) -> Varied:
    return {"event_id": identifier("evt", i), "entity_id": identifier("rsv", i), "time": begin(i, size) - DAY}


def arrival(i: Number) -> Varied:
    return {"event_id": identifier("evt", i), "entity_id": identifier("rsv", i)}


def delivery(i: Number) -> Varied:
    """As the notifier keeps it after some weeks: without the content."""
    return {
        "delivery_id": identifier("dlv", i),
        "event_id": identifier("evt", i),
        "reservation_id": identifier("rsv", i),
        "content": sa.literal(b""),
        "kept": sa.literal(False),
    }


def attempt(i: Number) -> Varied:
    return {"delivery_id": identifier("dlv", i)}


def upcoming(i: Number, size: Size) -> Varied:
    """From tomorrow on, one room after the other; by accounts that ask for nothing else."""
    start = upcoming_begin(i, size)
    return {
        **reservation(i, size),
        "account_id": sa.literal("upcoming"),
        "state": sa.literal("CONFIRMED"),
        "start_time": start,
        "end_time": start + HOUR,
        "enter_time": sa.null(),
        "release_time": start + 30 * MINUTE,
    }


def deadline(i: Number, size: Size, kind: str) -> Varied:
    late = HOUR if kind == states.COMPLETION else 30 * MINUTE
    return {
        "kind": sa.literal(kind),
        "entity_id": identifier("rsv", i),
        "account_id": sa.literal("upcoming"),
        "due_time": upcoming_begin(i, size) + late,
    }


def begin(i: Number, size: Size) -> Number:
    """Evenly over the years."""
    return LAST - (size.past - i) * (YEARS // size.past)


def upcoming_begin(i: Number, size: Size) -> Number:
    return bookers.MIDNIGHT + UPCOMING_HOUR * HOUR + ((i - size.past) // size.rooms + 1) * DAY


def booker(i: Number, size: Size) -> sa.ColumnElement[str]:
    return numbered("booker-", i % size.accounts, 5)


def identifier(kind: str, i: Number) -> sa.ColumnElement[str]:
    """As long as a real one, and before all real ones in their order."""
    return numbered(f"{kind}_{'0' * (26 - DIGITS)}", i, DIGITS)


def numbered(prefix: str, i: Number, digits: int) -> sa.ColumnElement[str]:
    return prefix + sa.func.substr(sa.cast(10**digits + i, sa.String), 2)
