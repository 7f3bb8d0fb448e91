"""kill -9 of booking and of the meetings gateway, again and again, while meetings are made, moved and called off.

In the end every meeting that is not cancelled has its live reservation, at the same time, and the other way round.
"""

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.meetings.v1.meeting_pb2 import MeetingOptions

from services.cli.client import Booking, booking_at
from services.cli.failures import CallError
from services.platform.clock import DAY, HOUR, to_timestamp
from tests.booking.builders import TEN
from tests.patience import PATIENCE_SECONDS
from tests.system.stack import MONDAY, Stack, wait_for

pytestmark = pytest.mark.system

PEOPLE, EACH, SEED = 8, 5, 18
KILLS = 4
"""So often each victim is killed: once more within a minute, and `up` would give up."""
VICTIMS = ("booking", "meetings")
AWAY = ("UNAVAILABLE", "SERVICE_AWAY", "MEETING_IN_DOUBT", "MEETING_BEING_MOVED")
"""Reasons for which one may ask again."""
MEETINGS = "SELECT id, start_time, end_time FROM simulated_meeting WHERE NOT cancelled"
RESERVATIONS = (
    "SELECT meeting_id, start_time, end_time, reservation_id FROM reservation"
    " WHERE state IN ('PENDING_APPROVAL', 'CONFIRMED', 'IN_USE')"
)


@dataclass
class Told:
    """What people were told: which reservations there are, and how often there was no answer."""

    live: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    away: int = 0


def test_killed_programs_leave_both_or_neither(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state")
    stack.start("--clock", MONDAY)
    try:
        tokens = [stack.login("booker", f"maker-{number}").token for number in range(PEOPLE)]
        with killing(stack) as kills, ThreadPoolExecutor(PEOPLE) as crowd:
            told = list(crowd.map(lambda number: live(stack, tokens[number], number), range(PEOPLE)))
        settle(stack.state)
        held = {str(row[0]): row[1:3] for row in rows(stack.state, "booking", RESERVATIONS)}
        there = {str(row[0]): row[1:3] for row in rows(stack.state, "meetings", MEETINGS)}
        assert there == held
        found = {str(row[3]) for row in rows(stack.state, "booking", RESERVATIONS)}
        assert {each for one in told for each in one.live} <= found
        assert not found & {each for one in told for each in one.gone}
        assert held, "nothing is left: nothing was tried"
        assert len(kills) >= len(VICTIMS) * 2, "nobody was killed"
        assert sum(one.away for one in told), "no answer was lost: nothing was tried"
    finally:
        stack.stop()


def live(stack: Stack, token: str, number: int) -> Told:
    """One person's: each reservation is made, some are moved or cancelled. Not everybody waits for an answer."""
    told, dice = Told(), random.Random(SEED * 1000 + number)
    for index in range(EACH):
        start = TEN + index * DAY + number % 4 * 2 * HOUR
        request = api.CreateReservationRequest(
            request_id=f"r-{index}",
            subject="组会",
            start_time=to_timestamp(start),
            end_time=to_timestamp(start + HOUR),
            participant_count=5,
            new_meeting=MeetingOptions(),
        )
        patient = dice.random() < 0.6
        made = ask(stack, token, told, "CreateReservation", request, patient=patient)
        if not made or not made.HasField("reservation"):
            continue
        told.live.add(made.reservation.reservation_id)
        what = dice.choice(("stay", "move", "move", "cancel"))
        if what == "move":
            moved = api.UpdateReservationRequest(
                reservation_id=made.reservation.reservation_id,
                start_time=to_timestamp(start + HOUR),
                end_time=to_timestamp(start + 2 * HOUR),
            )
            ask(stack, token, told, "UpdateReservation", moved, patient=False)
        if what == "cancel":
            cancelled = api.CancelReservationRequest(reservation_id=made.reservation.reservation_id)
            told.live.discard(made.reservation.reservation_id)
            if ask(stack, token, told, "CancelReservation", cancelled, patient=patient):
                told.gone.add(made.reservation.reservation_id)
    return told


def ask(stack: Stack, token: str, told: Told, method: str, request: Any, *, patient: bool) -> Any:
    """None without an answer; who is patient asks until there is one."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            with connected(stack, token) as booking:
                return booking.ask(getattr(booking.stub, method), request)
        except CallError as error:
            if error.reason not in AWAY:
                raise
            told.away += 1
        if not patient:
            return None
        time.sleep(0.3)
    raise AssertionError(f"{method} got no answer")


@contextmanager
def connected(stack: Stack, token: str) -> Iterator[Booking]:
    booking = booking_at(stack.run["booking"], token)
    try:
        yield booking
    finally:
        booking.close()


@contextmanager
def killing(stack: Stack) -> Iterator[list[str]]:
    """Until everybody is done. Whoever is killed comes back first, for people to get somewhere."""
    dice, over, kills = random.Random(SEED), threading.Event(), list[str]()

    def kill() -> None:
        victims = list(VICTIMS) * KILLS
        dice.shuffle(victims)
        for victim in victims:
            if over.wait(dice.uniform(0.1, 1.5)):
                return
            old = stack.pids[victim]
            with contextlib.suppress(ProcessLookupError):
                os.kill(old, signal.SIGKILL)
            kills.append(victim)
            wait_for(partial(is_back, stack, victim, old))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield kills
    finally:
        over.set()
        killer.join()


def is_back(stack: Stack, victim: str, old: int) -> bool:
    return stack.pids[victim] != old


def settle(state: Path) -> None:
    """Until nothing is owed. Nobody is under way any more: what waits for somebody's patience need not wait for it."""

    def settled() -> bool:
        with contextlib.closing(sqlite3.connect(state / "booking.db", timeout=PATIENCE_SECONDS)) as connection:
            with connection:
                connection.execute("UPDATE owed_making SET due_time = 0")
            [(owed,)] = connection.execute("SELECT count(*) FROM owed_making")
        time.sleep(0.5)
        return not owed

    wait_for(settled)


def rows(state: Path, program: str, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(state / f"{program}.db", timeout=PATIENCE_SECONDS)) as connection:
        return list(connection.execute(query))
