"""Whoever dies while a meeting is made with its reservation leaves both, or neither."""

from collections.abc import Callable
from typing import Any

import pytest
from yunhui.booking.v1 import booking_service_pb2 as api

from services.booking import models
from services.booking.makings import PATIENCE
from tests.booking.conftest import Booking
from tests.booking.gateway import World
from tests.booking.made_here.acts import (
    LEASE,
    DiedError,
    ask,
    asking,
    dies,
    in_order,
    made,
    meetings_there,
    refused,
    request,
    settle,
    submit,
)
from tests.booking.test_admission import rows

STEPS: dict[str, tuple[Callable[[Booking], Any], str, bool]] = {
    "before it is noted": (lambda booking: booking.database, "write", True),
    "when it is noted": (asking, "make", True),
    "when it is made": (asking, "make", False),
    "before it is stored": (lambda booking: booking.admission, "create", True),
    "when it is stored": (lambda booking: booking.admission, "create", False),
}


@pytest.mark.parametrize("step", STEPS)
async def test_whoever_dies_leaves_both_or_neither(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nobody asks again."""
    of, name, before = STEPS[step]
    dies(monkeypatch, of(booking), name, before=before)
    with pytest.raises(DiedError):
        await submit(booking)
    stored = step == "when it is stored"
    await settle(booking, PATIENCE - 1)
    assert len(await meetings_there(there)) == (stored or step in ("when it is made", "before it is stored"))
    await settle(booking, 1)
    await in_order(booking, there, int(stored))


@pytest.mark.parametrize("step", STEPS)
async def test_who_asks_again_goes_on_where_it_was(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At the last moment at which it is still there: one meeting, and one reservation."""
    of, name, before = STEPS[step]
    dies(monkeypatch, of(booking), name, before=before)
    with pytest.raises(DiedError):
        await submit(booking)
    booking.clock.time += PATIENCE - 1
    await made(booking)
    await settle(booking, PATIENCE)
    await in_order(booking, there, 1)
    assert there.provider.made == 1


@pytest.mark.parametrize("step", STEPS)
async def test_who_asks_again_too_late_begins_anew(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    of, name, before = STEPS[step]
    dies(monkeypatch, of(booking), name, before=before)
    with pytest.raises(DiedError):
        await submit(booking)
    await settle(booking, PATIENCE)
    await made(booking)
    await settle(booking, PATIENCE)
    await in_order(booking, there, 1)


async def test_another_body_does_not_take_it_over(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(monkeypatch, asking(booking), "make", before=False)
    with pytest.raises(DiedError):
        await submit(booking)
    said = await refused(booking, "CreateReservation", request(subject="another"))
    assert said == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    await settle(booking, PATIENCE)
    await in_order(booking, there, 0)


async def test_what_takes_too_long_is_made_anew(
    booking: Booking, there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is being unmade when it would be stored: never is a reservation stored whose meeting goes."""
    work = asking(booking).make

    async def slow(*given: Any) -> Any:
        monkeypatch.setattr(asking(booking), "make", work)
        response = await work(*given)
        await settle(booking, PATIENCE)
        return response

    monkeypatch.setattr(asking(booking), "make", slow)
    await made(booking)
    await settle(booking, PATIENCE)
    await in_order(booking, there, 1)
    assert there.provider.made == 2


@pytest.mark.parametrize("before", [True, False])
async def test_whoever_unmakes_and_dies_is_followed(
    replicas: list[Booking], there: World, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    booking, other = replicas
    record = await made(booking)
    await ask(booking, "CancelReservation", api.CancelReservationRequest(reservation_id=record.reservation_id))
    dies(monkeypatch, asking(booking), "unmake", before=before)
    with pytest.raises(DiedError):
        await settle(booking)
    await settle(other, LEASE - 1)
    assert len(await rows(booking.database, models.OWED_MAKING)) == 1
    await settle(other, 1)
    await in_order(booking, there, 0)
