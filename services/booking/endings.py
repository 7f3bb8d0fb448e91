"""How a reservation ends: cancelled by a person or with its meeting, given back early, or completed at its end."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import deadlines, states
from services.booking.decisions import decision_row
from services.booking.events import SYSTEM
from services.booking.models import DECISION
from services.booking.queries import read_cancellation, read_reservation
from services.booking.scopes import Whose
from services.booking.transactions import Transactions, until_fresh
from services.booking.transitions import (
    Snapshot,
    advance_due,
    apply,
    change,
    describe,
    read,
    read_current,
    require,
    to_question,
)
from services.platform.data import audit


async def cancel(
    transactions: Transactions,
    reservation_id: str,
    whose: Whose,
    actor: str,
    note: str,
    by: audit.Caller | None = None,
) -> api.CancelReservationResponse:
    """Cancelling again answers as the first time. Raises errors.RpcError.

    `by`, here and below: the caller, noted when the reservation is another's; None for the system.
    """

    async def attempt() -> api.CancelReservationResponse:
        now = transactions.clock.now()
        snapshot = await read_current(transactions, reservation_id, whose, now)
        if snapshot.state == states.CANCELLED:
            decision = await transactions.database.read(lambda c: read_cancellation(c, reservation_id))
            return to_response(snapshot.record, decision)
        require(snapshot, "cancel")
        return await cancel_now(transactions, snapshot, "cancel", actor, note, now, by)

    return await until_fresh(attempt)


async def foresee(
    transactions: Transactions, snapshot: Snapshot, now: int, by: audit.Caller | None = None
) -> api.CancelReservationResponse:
    """What cancelling it would come to. Raises errors.RpcError."""
    question = to_question(pdp.ACTION_CANCEL, snapshot, now, by)
    return to_response(snapshot.record, await transactions.policy.decide_one(question))


async def lapse(transactions: Transactions, reservation_id: str, note: str) -> None:
    """Its meeting was cancelled, and its time is near. What is not waiting for people any more stays as it is."""

    async def attempt() -> None:
        now = transactions.clock.now()
        snapshot = await read(transactions, reservation_id, now)
        if states.next_state(snapshot.state, "lapse"):
            await cancel_now(transactions, snapshot, "lapse", SYSTEM, note, now)

    await until_fresh(attempt)


async def cancel_now(
    transactions: Transactions,
    snapshot: Snapshot,
    event: str,
    actor: str,
    note: str,
    now: int,
    by: audit.Caller | None = None,
) -> api.CancelReservationResponse:
    """Raises StaleError when it, or its account, has changed since, or errors.RpcError."""
    question = to_question(pdp.ACTION_CANCEL, snapshot, now, by)
    decision = await transactions.policy.decide_one(question)

    def work(connection: Connection) -> pb.Reservation:
        row = decision_row(decision, question, actor, snapshot.record)
        connection.execute(sa.insert(DECISION), [row])
        payload = events_pb2.ReservationEvent(decision=decision, actor=actor)
        return change(connection, snapshot, event, payload, now, cancel_time=now, note=note)

    return to_response(await transactions.commit(work, describe(by)), decision)


def to_response(record: pb.Reservation, decision: policy.Decision) -> api.CancelReservationResponse:
    """A rule that speaks on cancelling says that the quota is kept."""
    return api.CancelReservationResponse(reservation=record, quota_returned=not decision.rules, decision=decision)


async def end(
    transactions: Transactions, reservation_id: str, whose: Whose, actor: str, by: audit.Caller | None = None
) -> pb.Reservation:
    """Early give-back; ending what is completed answers as it is. Raises errors.RpcError."""

    async def attempt() -> pb.Reservation:
        snapshot = await read_current(transactions, reservation_id, whose, transactions.clock.now())
        if snapshot.state == states.COMPLETED:
            return snapshot.record
        require(snapshot, "end")
        return await apply(transactions, snapshot, "end", actor=actor, by=by)

    return await until_fresh(attempt)


async def complete(transactions: Transactions, reservation_id: str, due: int) -> bool:
    """The reserved time is over. False while it is still being asked who came: then it has been moved on."""
    if await transactions.database.read(lambda c: asked_again(c, reservation_id)) is not None:
        await transactions.database.write(lambda c: complete_later(c, reservation_id, due))
        return False
    await advance_due(transactions, reservation_id, states.COMPLETION, "complete", due)
    return True


def asked_again(connection: Connection, reservation_id: str) -> int | None:
    """When the meetings gateway is asked the next time who came, epoch ms; None when it is not asked any more."""
    record = read_reservation(connection, reservation_id)
    if record is None or not record.HasField("meeting"):
        return None
    return deadlines.read(connection, states.ATTENDANCE, reservation_id)


def complete_later(connection: Connection, reservation_id: str, due: int) -> None:
    """As soon as it is asked again who came; that comes first."""
    asked = asked_again(connection, reservation_id)
    if asked is not None:
        deadlines.move(connection, states.COMPLETION, reservation_id, due, max(asked, due + 1))
