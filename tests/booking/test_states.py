"""The table of the life of a reservation: what it lists happens, what it does not list does not."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import accounts, attendance, endings, escalations, handovers, models, states, transitions, updates
from services.booking.accounts import Profile
from services.booking.handovers import Handover
from services.booking.meetings import OccurrenceKey, SeenOccurrence
from services.booking.scopes import EVERYBODY
from services.platform.clock import DAY, HOUR, MINUTE
from services.platform.serving import errors
from tests.booking.builders import TEN, change
from tests.booking.conftest import Booking
from tests.booking.test_transitions import made, state, subjects, verdict

ENTERED, LOOKED_IN = TEN + 5 * MINUTE, TEN - 5 * MINUTE
MOVED = SeenOccurrence(OccurrenceKey("simulated", "1", ""), "SCHEDULED", TEN + DAY, TEN + DAY + HOUR)


async def hand_over(booking: Booking, reservation_id: str) -> object:
    """To somebody who has signed in before."""
    li = {"li": (Profile(account_id="li"), "booker", 1)}
    await booking.database.write(lambda c: accounts.put(c, li))
    return await handovers.hand_over(
        booking.transactions, reservation_id, Handover("booker", "li", "deputy", whose=EVERYBODY)
    )


ACTS: dict[str, Callable[[Booking, str], Awaitable[object]]] = {
    "approve": lambda booking, id_: escalations.resolve(booking.transactions, id_, verdict(), whose=EVERYBODY),
    "decline": lambda booking, id_: escalations.resolve(
        booking.transactions, id_, verdict(approve=False), whose=EVERYBODY
    ),
    "expire": lambda booking, id_: escalations.expire(booking.transactions, id_, TEN - 30 * MINUTE),
    "cancel": lambda booking, id_: endings.cancel(booking.transactions, id_, EVERYBODY, "booker", ""),
    "hand_over": hand_over,
    "update": lambda booking, id_: updates.update(
        booking.transactions, booking.meetings, change(id_, minutes=90), EVERYBODY, "booker"
    ),
    "confirm": lambda booking, id_: updates.update(
        booking.transactions, booking.meetings, change(id_, participant_count=50), EVERYBODY, "booker"
    ),
    "enter": lambda booking, id_: attendance.report(booking.transactions, id_, ENTERED, "gateway"),
    "release": lambda booking, id_: attendance.judge(booking.transactions, id_, TEN + 30 * MINUTE),
    "complete": lambda booking, id_: endings.complete(booking.transactions, id_, TEN + HOUR),
    "end": lambda booking, id_: endings.end(booking.transactions, id_, EVERYBODY, "booker"),
    "note": lambda booking, id_: attendance.report(booking.transactions, id_, LOOKED_IN, "gateway"),
    "notice": lambda booking, id_: transitions.show_meeting(booking.transactions, id_, MOVED, "meetings"),
    "lapse": lambda booking, id_: endings.lapse(booking.transactions, id_, "its meeting was cancelled"),
    "prove": lambda booking, id_: attendance.report(booking.transactions, id_, ENTERED, "gateway"),
}
UNWATCHED = {states.RECONCILIATION, states.ARRIVAL}
"""What is only there for a meeting that was looked up."""
NEVER_REFUSED = {"expire", "release", "complete", "notice", "lapse"}  # clock and gateway find nothing to do
ASKED_AGAIN = {
    ("CANCELLED", "cancel"),
    ("COMPLETED", "end"),
    ("DECLINED", "decline"),
    *((state, event) for state in ("IN_USE", "COMPLETED") for event in ("note", "enter", "prove")),
}
ONE_CALL = {"enter": "prove", "prove": "enter", "update": "confirm", "confirm": "update"}


async def placed(booking: Booking, before: str) -> pb.Reservation:
    """A reservation that was brought into a state by the table's own ways."""
    people = 120 if before in ("PENDING_APPROVAL", "DECLINED", "EXPIRED") else 12
    reservation = await made(booking, participant_count=people)
    for event in PATHS[before]:
        if event in ("enter", "release", "complete"):
            booking.clock.time = TEN + 5 * MINUTE
        await ACTS[event](booking, reservation.reservation_id)
    assert await state(booking, reservation) == before
    return reservation


PATHS = {
    "PENDING_APPROVAL": (),
    "CONFIRMED": (),
    "IN_USE": ("enter",),
    "COMPLETED": ("enter", "complete"),
    "NO_SHOW": ("release",),
    "CANCELLED": ("cancel",),
    "DECLINED": ("decline",),
    "EXPIRED": ("expire",),
}


@pytest.mark.parametrize(("before", "event"), states.TRANSITIONS)
async def test_what_the_table_lists_happens_and_is_told(booking: Booking, before: str, event: str) -> None:
    transition = states.TRANSITIONS[before, event]
    reservation = await placed(booking, before)
    if event == "enter":
        booking.clock.time = ENTERED
    told = len(await subjects(booking))
    await ACTS[event](booking, reservation.reservation_id)
    assert await state(booking, reservation) == transition.next_state
    assert (await subjects(booking))[told] == f"reservation.{transition.publishes}"
    kinds = await deadline_kinds(booking, reservation)
    assert kinds == sorted({*states.DEADLINES.get(transition.next_state, ())} - UNWATCHED)


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (before, event)
        for before, event in itertools.product(states.STATES, ACTS)
        if not {(before, event), (before, ONE_CALL.get(event, event))} & states.TRANSITIONS.keys()
    ],
)
async def test_what_the_table_does_not_list_is_refused(booking: Booking, before: str, event: str) -> None:
    reservation = await placed(booking, before)
    told = await subjects(booking)
    [answer] = await asyncio.gather(ACTS[event](booking, reservation.reservation_id), return_exceptions=True)
    if isinstance(answer, errors.RpcError):
        assert answer.code is grpc.StatusCode.FAILED_PRECONDITION
    else:
        assert event in NEVER_REFUSED or (before, event) in ASKED_AGAIN
    assert await state(booking, reservation) == before
    assert await subjects(booking) == told


async def deadline_kinds(booking: Booking, reservation: pb.Reservation) -> list[str]:
    mine = models.DEADLINE.c.entity_id == reservation.reservation_id
    query = sa.select(models.DEADLINE.c.kind).where(mine).order_by(models.DEADLINE.c.kind)
    return list(await booking.database.read(lambda c: c.scalars(query).all()))


def test_every_event_is_tried_and_every_state_reached() -> None:
    assert set(ACTS) == set(states.EVENTS)
    assert set(PATHS) == set(states.STATES)


def test_the_page_is_fresh() -> None:
    assert Path("docs/life.md").read_text(encoding="utf-8") == states.to_page()
