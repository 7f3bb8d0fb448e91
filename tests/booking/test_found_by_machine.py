"""What the state machine of test_machine.py found, each made small."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import grpc
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1.policy_service_pb2 import DecideRequest

from services.booking import attendance, endings, escalations, models
from services.booking.assembly import handlers
from services.booking.decisions import More, PolicyAnswer
from services.booking.scopes import EVERYBODY, of_account
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.platform.data.database import ConflictError, Database
from services.platform.serving import errors, rpc
from tests.booking.builders import TEN, booker, create_request
from tests.booking.conftest import Booking, LocalPolicy
from tests.booking.test_admission import rows
from tests.booking.test_transitions import made, state, verdict
from tests.patience import PATIENCE_SECONDS


async def test_who_did_not_come_cannot_cancel_before_the_release_is_noticed(booking: Booking) -> None:
    reservation = await made(booking)
    booking.clock.time = TEN + 30 * MINUTE
    with pytest.raises(errors.RpcError) as caught:
        await endings.cancel(booking.transactions, reservation.reservation_id, of_account("booker"), "booker", "")
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    await booking.deadlines.catch_up()
    assert await state(booking, reservation) == "NO_SHOW"
    assert len(await rows(booking.database, models.VIOLATION)) == 1


async def test_an_escalation_that_expired_gives_its_quota_back_however_late_that_is_noticed(booking: Booking) -> None:
    pending = await made(booking, participant_count=120)
    booking.clock.time = TEN - 29 * MINUTE
    with pytest.raises(errors.RpcError):
        await endings.cancel(booking.transactions, pending.reservation_id, of_account("booker"), "booker", "")
    await booking.deadlines.catch_up()
    assert await state(booking, pending) == "EXPIRED"


async def test_an_answer_in_time_is_not_too_late_because_something_else_is_due(booking: Booking) -> None:
    await made(booking)
    pending = await made(booking, participant_count=120, start=TEN + DAY)
    booking.clock.time = TEN + 30 * MINUTE
    record = await escalations.resolve(booking.transactions, pending.reservation_id, verdict(), whose=EVERYBODY)
    assert record.state == pb.RESERVATION_STATE_CONFIRMED


async def test_the_same_request_gets_the_same_answer_after_its_start(booking: Booking) -> None:
    rpc._principal.set(booker())
    request = create_request(request_id="once")
    first = await booking.service.CreateReservation(request, cast(Any, None))
    booking.clock.time = TEN + 1
    assert await booking.service.CreateReservation(request, cast(Any, None)) == first


class Interrupting(LocalPolicy):
    """While it thinks for the first time, something else is committed."""

    def __init__(self, policy: LocalPolicy, other: Any) -> None:
        super().__init__(policy.policy)
        self._other = other

    async def decide(self, questions: list[DecideRequest], more: More | None = None) -> list[PolicyAnswer]:
        other, self._other = self._other, None
        if other:
            await other
        return await super().decide(questions, more)


async def test_the_end_does_not_overtake_a_judgement_that_must_be_made_again(replicas: list[Booking]) -> None:
    """Found with two replicas that catch up at once after a stop."""
    booking, other = replicas
    missed, later = await made(booking), await made(booking, start=TEN + DAY)
    booking.clock.time = TEN + HOUR
    interruption = attendance.report(other.transactions, later.reservation_id, TEN + DAY, "gateway")
    interrupted = replace(booking.transactions, policy=Interrupting(booking.policy, interruption))
    booking.deadlines.handlers = handlers(interrupted, None)
    await booking.deadlines.catch_up()
    assert await state(booking, missed) == "NO_SHOW"
    assert len(await rows(booking.database, models.VIOLATION)) == 1


async def test_a_series_may_begin_in_the_hour_that_comes_twice(booking: Booking) -> None:
    zone = ZoneInfo("America/New_York")
    start = int(datetime(2025, 11, 2, 1, 30, tzinfo=zone, fold=1).timestamp()) * 1000
    booking.clock.time = start - DAY
    rpc._principal.set(booker())
    request = api.CreateReservationSeriesRequest(
        first=create_request(start=start), recurrence_rule="FREQ=DAILY;COUNT=2", time_zone=zone.key
    )
    reply = await booking.service.CreateReservationSeries(request, cast(Any, None))
    assert [each.start_time for each in reply.occurrences] == [to_timestamp(start), to_timestamp(start + DAY)]


async def test_a_deadlock_is_a_conflict_and_not_a_database_that_is_away(postgres: str) -> None:
    """Two that take the same room at once can wait for each other in the exclusion constraint; who loses may retry."""
    databases = [Database(postgres), Database(postgres)]
    met = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def lock(first: int, second: int) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(first)))
            met.wait()
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(second)))

        return work

    results = await asyncio.gather(
        databases[0].write(lock(1, 2)), databases[1].write(lock(2, 1)), return_exceptions=True
    )
    for each in databases:
        each.close()
    assert [type(result) for result in results if result is not None] == [ConflictError]
