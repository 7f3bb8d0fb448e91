"""Escalations: support's answer to a request that the policy leaves to them, or none in time."""

from dataclasses import dataclass

from sqlalchemy.engine import Connection
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import deadlines, second_person, states
from services.booking.accounts import lock_account
from services.booking.decisions import attendance_times
from services.booking.pool import lock_pool
from services.booking.queries import read_decision, read_resolver
from services.booking.scopes import Whose
from services.booking.transactions import Transactions, until_fresh
from services.booking.transitions import (
    Snapshot,
    advance_due,
    change,
    check_version,
    describe,
    failed_precondition,
    read_current,
    require,
)
from services.platform.clock import from_timestamp
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.text.messages import message


@dataclass(frozen=True, slots=True)
class Resolution:
    """What support says. `room_id` "": the smallest room that fits; `version` 0: of whatever there is to decide."""

    approve: bool
    actor: str
    note: str
    room_id: str = ""
    version: int = 0


async def resolve(
    transactions: Transactions,
    reservation_id: str,
    resolution: Resolution,
    whose: Whose,
    by: audit.Caller | None = None,
) -> pb.Reservation:
    """Approving takes a room or fails. The same answer again gets the reservation as it is. Raises errors.RpcError."""

    async def attempt() -> pb.Reservation:
        now = transactions.clock.now()
        snapshot = await read_current(transactions, reservation_id, whose, now)
        if snapshot.state != states.PENDING_APPROVAL and await transactions.database.read(
            lambda c: is_resolved_so(c, snapshot, resolution)
        ):
            return snapshot.record
        require(snapshot, "approve" if resolution.approve else "decline")
        check_version(snapshot.record, resolution.version)
        if resolution.approve and snapshot.account.member.closed:
            words = message("the account has been closed: decline the request, or have the account opened again first")
            raise failed_precondition("ACCOUNT_CLOSED", words)
        told = describe(by, own=True, approve=resolution.approve)
        return await transactions.commit(lambda c: store_resolution(c, snapshot, resolution, now), told)

    return await until_fresh(attempt)


async def expire(transactions: Transactions, reservation_id: str, due: int) -> None:
    """Support did not answer in time."""
    await advance_due(transactions, reservation_id, states.ESCALATION, "expire", due)


def is_resolved_so(connection: Connection, snapshot: Snapshot, resolution: Resolution) -> bool:
    """Whether the same person has given this answer already."""
    if read_resolver(connection, snapshot.record.reservation_id) != resolution.actor:
        return False
    if not resolution.approve:
        return snapshot.state == states.DECLINED
    return snapshot.state != states.DECLINED and resolution.room_id in ("", snapshot.record.room.room_id)


def store_resolution(connection: Connection, snapshot: Snapshot, resolution: Resolution, now: int) -> pb.Reservation:
    """Raises StaleError, or errors.RpcError when somebody else must decide, there is no such room, or none is free."""
    second_person.require(connection, snapshot.record.reservation_id, resolution.actor)
    payload = events_pb2.ReservationEvent(actor=resolution.actor)
    if not resolution.approve:
        return change(connection, snapshot, "decline", payload, now, note=resolution.note, resolved_by=resolution.actor)
    payload.decision.CopyFrom(read_decision(connection, snapshot.record.decision_id))
    lock_account(connection, snapshot.record.organizer.account_id)  # before the pool, as everybody
    room = free_room(connection, snapshot.record, resolution.room_id)
    watched = attendance_times(payload.decision, from_timestamp(snapshot.record.start_time))
    fields = {"room_id": room.room_id, "note": resolution.note, "resolved_by": resolution.actor}
    record = change(connection, snapshot, "approve", payload, now, **fields, **watched)
    deadlines.insert(connection, deadlines.rows(record, payload.decision))
    return record


def free_room(connection: Connection, record: pb.Reservation, room_id: str) -> pb.Room:
    start, end = from_timestamp(record.start_time), from_timestamp(record.end_time)
    # without itself: when it holds the room already, somebody else was faster, and `change` says so
    pool = lock_pool(connection, [(start, end)], record.reservation_id)
    if room_id and room_id not in pool.rooms:
        raise errors.not_found("room", message("there is no such room"))
    free = pool.free(start, end, record.participant_count, room_id)
    if not free:
        raise failed_precondition("NO_ROOM_FREE", message("no such room is free then: nothing was changed"))
    return free[0]
