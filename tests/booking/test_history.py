"""What GetReservationHistory tells, and whom: over real gRPC, on both databases."""

from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.json_format import Parse
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2

from services.booking import endings, history, models, standing, updates
from services.booking.scopes import EVERYBODY, of_account
from services.platform.clock import HOUR, MINUTE
from services.platform.messaging import outbox
from tests.booking.builders import MONDAY, TEN, change
from tests.booking.conftest import Booking
from tests.booking.served import Caller
from tests.booking.test_admission import create, rows
from tests.booking.test_transitions import made, pass_time


def asked(reservation_id: str) -> api.GetReservationHistoryRequest:
    return api.GetReservationHistoryRequest(reservation_id=reservation_id)


async def told(channel: grpc.aio.Channel, role: str, account_id: str, reservation_id: str) -> list[api.HistoryEvent]:
    answer = await Caller(channel, role, account_id).ask("GetReservationHistory", asked(reservation_id))
    assert not answer.shortened
    return list(answer.events)


def names(events: list[api.HistoryEvent]) -> list[str]:
    return [each.type.removeprefix("yunhui.booking.") for each in events]


async def stored(booking: Booking, entity_id: str) -> list[Any]:
    return [row for row in await rows(booking.database, outbox.TABLE) if row["entity_id"] == entity_id]


async def test_every_event_is_told_in_order_as_it_was_published(booking: Booking, channel: grpc.aio.Channel) -> None:
    """Made, changed, cancelled: nothing is left out, and what others did is not in it."""
    reservation = (await made(booking)).reservation_id
    await made(booking, start=TEN + 3 * HOUR)
    booking.clock.time = MONDAY + MINUTE
    await updates.update(
        booking.transactions,
        booking.meetings,
        change(reservation, participant_count=20),
        of_account("booker"),
        "booker",
    )
    booking.clock.time = MONDAY + 2 * MINUTE
    await endings.cancel(booking.transactions, reservation, of_account("booker"), "booker", "not needed")
    events = await told(channel, "booker", "booker", reservation)
    assert names(events) == ["reservation.confirmed", "reservation.updated", "reservation.cancelled"]
    assert [each.time.ToMilliseconds() for each in events] == [MONDAY + number * MINUTE for number in range(3)]
    assert [each.reservation.reservation.participant_count for each in events] == [12, 20, 20]
    assert (events[2].reservation.actor, events[2].reservation.reservation.note) == ("booker", "not needed")
    assert all(each.reservation.decision.decision_id for each in events)
    kept = await stored(booking, reservation)
    assert [(each.event_id, each.reservation) for each in events] == [
        (row["event_id"], Parse(row["payload"], events_pb2.ReservationEvent())) for row in kept
    ]


async def test_a_no_show_comes_with_what_became_of_its_violation(booking: Booking, channel: grpc.aio.Channel) -> None:
    """And with that of no other: two reservations of one account, each with a violation of its own."""
    first, second = [(await made(booking, start=TEN + index * 2 * HOUR)).reservation_id for index in range(2)]
    await pass_time(booking, TEN + 31 * MINUTE)
    await pass_time(booking, TEN + 2 * HOUR + 31 * MINUTE)
    violations = {
        each["reservation_id"]: each["violation_id"] for each in await rows(booking.database, models.VIOLATION)
    }
    await standing.waive(booking.transactions, violations[first], "lin", "a fire alarm", whose=EVERYBODY)
    events = await told(channel, "booker", "booker", first)
    assert names(events) == [
        *("reservation.confirmed", "reservation.released"),
        *("account.violation_recorded", "account.violation_waived"),
    ]
    assert (events[3].account.actor, events[3].account.violation.waive_note) == ("lin", "a fire alarm")
    assert names(await told(channel, "booker", "booker", second))[2:] == ["account.violation_recorded"]


async def test_anothers_history_is_not_there(booking: Booking, channel: grpc.aio.Channel) -> None:
    """The same answer as for what does not exist; support sees all."""
    reservation = (await made(booking)).reservation_id
    stranger = Caller(channel, "booker", "eve")
    absent = await stranger.refused("GetReservationHistory", asked("rsv_nothing"))
    assert absent == ("NOT_FOUND", "RESERVATION_NOT_FOUND")
    assert await stranger.refused("GetReservationHistory", asked(reservation)) == absent
    assert await stranger.refused("GetReservationHistory", asked("")) == ("INVALID_ARGUMENT", "reservation_id")
    assert (await stranger.refused("GetReservationHistory", asked("booker"))) == absent  # an account is no reservation
    assert names(await told(channel, "support", "lin", reservation)) == ["reservation.confirmed"]
    code, _ = await Caller(channel, "service").refused("GetReservationHistory", asked(reservation))
    assert code == "PERMISSION_DENIED"


async def test_a_very_long_history_is_cut_at_its_old_end(
    booking: Booking, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST", 2)
    reservation = (await made(booking)).reservation_id
    await updates.update(
        booking.transactions,
        booking.meetings,
        change(reservation, participant_count=20),
        of_account("booker"),
        "booker",
    )
    await endings.cancel(booking.transactions, reservation, of_account("booker"), "booker", "")
    answer = await Caller(channel, "booker", "booker").ask("GetReservationHistory", asked(reservation))
    assert names(answer.events) == ["reservation.updated", "reservation.cancelled"]
    assert answer.shortened


async def test_what_is_stored_of_others_is_not_read(booking: Booking) -> None:
    """Both databases find the events by their entity, in an index."""
    await create(booking)
    explain = "EXPLAIN QUERY PLAN" if booking.database.engine.dialect.name == "sqlite" else "EXPLAIN"
    query = "SELECT payload FROM outbox WHERE entity_id = 'rsv_1' AND time >= 0 ORDER BY entity_seq DESC LIMIT 201"

    def work(connection: sa.Connection) -> str:
        if explain == "EXPLAIN":
            connection.execute(sa.text("SET LOCAL enable_seqscan = off"))  # it would read a table so small as a whole
        return str(connection.execute(sa.text(f"{explain} {query}")).all())

    assert "outbox_entity" in await booking.database.read(work)
