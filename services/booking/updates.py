"""Changes of a reservation: decided as if it were not there, and taken over as a whole or not at all."""

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import answers, commitments, deadlines, makings, meetings, requests, states
from services.booking.accounts import StaleError, lock_account
from services.booking.admission import LOOK_AHEAD
from services.booking.decisions import attendance_times, decision_row
from services.booking.events import to_outcome
from services.booking.meeting_moves import MeetingMoves, Move
from services.booking.meetings import SeenOccurrence, read_holders
from services.booking.meetings_client import MeetingsClient, find_again
from services.booking.models import ANSWER, DECISION
from services.booking.pool import Pool, lock_pool, read_pool
from services.booking.requests import ChangeInput
from services.booking.reservations import NOT_ASKED
from services.booking.scopes import Whose
from services.booking.transactions import Transactions, until_fresh
from services.booking.transitions import (
    Snapshot,
    change,
    check_version,
    describe,
    read_snapshot,
    require,
    to_question,
)
from services.platform.clock import from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.text.messages import message


@dataclass(frozen=True, slots=True)
class ChangeSnapshot:
    """What a change rests on, read at one moment. `pool` does not count the reservation's own hold."""

    current: Snapshot
    pool: Pool
    answer: answers.Stored | None


async def update(
    transactions: Transactions,
    gateway: MeetingsClient | None,
    wanted: ChangeInput,
    whose: Whose,
    actor: str,
    by: audit.Caller | None = None,
    moves: MeetingMoves | None = None,
) -> api.UpdateReservationResponse:
    """Raises errors.RpcError; then nothing was changed. `by`: noted when the reservation is another's.

    A meeting that was made with it is moved with it; without `moves` it cannot be.
    """
    move = Move(moves)

    async def attempt() -> api.UpdateReservationResponse:
        now = transactions.clock.now()
        snapshot = await _read_current(transactions, wanted, whose, actor, now)
        if snapshot.answer:
            return answers.replay(snapshot.answer, wanted.body_hash, api.UpdateReservationResponse)
        decided = await _decide(transactions, gateway, snapshot, wanted, actor, now, by)
        if decided.moves_meeting:
            decided = replace(decided, seen=await move.to(decided.after), held_by=move.held_by)
        told = describe(by, decision=decided.decision.decision_id, event=decided.event)
        stored = await transactions.commit(
            lambda c: store_update(c, decided, now), lambda answer: told(answer.reservation)
        )
        if decided.moves_meeting:
            move.done()
        return stored

    try:
        return await until_fresh(attempt)
    finally:
        await move.put_right()


async def check(
    transactions: Transactions,
    gateway: MeetingsClient | None,
    wanted: ChangeInput,
    whose: Whose,
    actor: str,
    by: audit.Caller | None = None,
) -> api.CheckUpdateResponse:
    """What `update` would answer, and the errors that it would raise; `wanted` is without a request_id."""
    now = transactions.clock.now()
    snapshot = await _read_current(transactions, wanted, whose, actor, now)
    decided = await _decide(transactions, gateway, snapshot, wanted, actor, now, by)
    reply = api.CheckUpdateResponse(outcome=outcome(decided), decision=decided.decision)
    if decided.decision.effect == policy.EFFECT_ALLOW:
        for room in free_rooms(snapshot.pool, decided.current.record, decided.after)[:1]:
            reply.room.CopyFrom(room)
    return reply


async def _read_current(
    transactions: Transactions, wanted: ChangeInput, whose: Whose, actor: str, now: int
) -> ChangeSnapshot:
    """Deadlines first: a suspension, or the end of this very reservation, may hang on them."""
    snapshot = await transactions.read_current(
        lambda connection: read_change_snapshot(connection, wanted, whose, actor, now),
        lambda found: found is not None and found.current.account.overdue,
    )
    if snapshot is None:
        raise errors.not_found("reservation", message("there is no such reservation"))
    if snapshot.current.account.overdue:
        raise errors.unavailable("policy")
    return snapshot


async def _decide(
    transactions: Transactions,
    gateway: MeetingsClient | None,
    snapshot: ChangeSnapshot,
    wanted: ChangeInput,
    actor: str,
    now: int,
    by: audit.Caller | None,
) -> "DecidedChange":
    current = snapshot.current
    require(current, "update")
    check_version(current.record, wanted.version)
    after = to_changed(current.record, wanted, now)
    seen = await _find_meeting(transactions, gateway, current.record, after, actor)
    question = to_update_question(snapshot, after, now, by)
    decision = await transactions.policy.decide_one(question)
    return DecidedChange(wanted, actor, current, after, question, decision, seen)


async def _find_meeting(
    transactions: Transactions,
    gateway: MeetingsClient | None,
    record: pb.Reservation,
    after: pb.Reservation,
    actor: str,
) -> SeenOccurrence | None:
    """None when the interval stays as it is, or the meeting goes with it. Raises errors.RpcError when there is none."""
    if not is_moved(record, after) or record.meeting.made_here:
        return None
    seen = await find_again(gateway, after)
    if seen:
        holders = await transactions.database.read(lambda c: read_holders(c, [seen.key], record.reservation_id))
        for holder in holders.values():
            raise meetings.already_reserved(holder.name_to(actor))
    return seen


@dataclass(frozen=True, slots=True)
class DecidedChange:
    """A change with the decision about it; `after` is the reservation as it is wanted, its room not yet chosen.

    `seen`: the meeting at the new time; None when the time, or whatever meeting there is, stays. `held_by`: as which it
    was moved there; "" when it was not.
    """

    wanted: ChangeInput
    actor: str
    current: Snapshot
    after: pb.Reservation
    question: pdp.DecideRequest
    decision: policy.Decision
    seen: SeenOccurrence | None
    held_by: str = ""

    @property
    def moves_meeting(self) -> bool:
        """It was made with the reservation, and goes where that goes."""
        record = self.current.record
        return self.event is not None and record.meeting.made_here and is_moved(record, self.after)

    @property
    def event(self) -> str | None:
        """What it comes to in the life of the reservation; None when it is refused."""
        pending = self.current.state == states.PENDING_APPROVAL
        if self.decision.effect == policy.EFFECT_ALLOW:
            return "confirm" if pending else "update"
        # what holds a room is not given up for one that support may decline
        return "update" if pending and self.decision.effect == policy.EFFECT_ESCALATE else None


def is_moved(record: pb.Reservation, after: pb.Reservation) -> bool:
    return (record.start_time, record.end_time) != (after.start_time, after.end_time)


def read_change_snapshot(
    connection: Connection, wanted: ChangeInput, whose: Whose, actor: str, now: int
) -> ChangeSnapshot | None:
    current = read_snapshot(connection, wanted.reservation_id, whose, now)
    if current is None:
        return None
    key = (actor, wanted.request_id)
    earlier = answers.read(connection, [key] if wanted.request_id else [])
    start = wanted.start_time or from_timestamp(current.record.start_time)
    end = max(start, wanted.end_time or from_timestamp(current.record.end_time))
    pool = read_pool(connection, [(start, end + LOOK_AHEAD)], wanted.reservation_id)
    return ChangeSnapshot(current, pool, earlier.get(key))


def to_changed(record: pb.Reservation, wanted: ChangeInput, now: int) -> pb.Reservation:
    """The reservation as it is wanted. Raises errors.RpcError when its interval makes no sense."""
    after = pb.Reservation()
    after.CopyFrom(record)
    if wanted.start_time is not None:
        after.start_time.CopyFrom(to_timestamp(wanted.start_time))
    if wanted.end_time is not None:
        after.end_time.CopyFrom(to_timestamp(wanted.end_time))
    if wanted.participant_count is not None:
        after.participant_count = wanted.participant_count
    start, _ = requests.interval(after.start_time, after.end_time)
    if after.start_time != record.start_time:
        requests.check_ahead(start, now)
    return after


def to_update_question(
    snapshot: ChangeSnapshot, after: pb.Reservation, now: int, by: audit.Caller | None
) -> pdp.DecideRequest:
    record = snapshot.current.record
    question = to_question(pdp.ACTION_UPDATE, snapshot.current, now, by)
    subject = question.subject
    subject.start_time.CopyFrom(after.start_time)
    subject.end_time.CopyFrom(after.end_time)
    subject.participant_count = after.participant_count
    subject.free_room_count = len(free_rooms(snapshot.pool, record, after))
    if not subject.free_room_count and (free_from := next_free(snapshot.pool, after)):
        subject.next_free_time.CopyFrom(to_timestamp(free_from))
    subject.former_start_time.CopyFrom(record.start_time)
    subject.former_end_time.CopyFrom(record.end_time)
    subject.former_participant_count = record.participant_count
    subject.former_room_capacity = record.room.capacity
    subject.waits_for_support = snapshot.current.state == states.PENDING_APPROVAL
    others = [each for each in question.history.reservations if each.reservation_id != record.reservation_id]
    del question.history.reservations[:]
    question.history.reservations.extend(others)
    return question


def next_free(pool: Pool, after: pb.Reservation) -> int | None:
    start, end = from_timestamp(after.start_time), from_timestamp(after.end_time)
    return pool.next_free(start, end - start, after.participant_count, "", start + LOOK_AHEAD)


def free_rooms(pool: Pool, record: pb.Reservation, after: pb.Reservation) -> list[pb.Room]:
    """The one that is held already when nothing more is wanted of it: who only gives back is never moved.

    Then the smallest first; among equals the one that is held.
    """
    start, end = from_timestamp(after.start_time), from_timestamp(after.end_time)
    held = [record.room] if stays(record, after) else []
    free = [room for room in pool.free(start, end, after.participant_count) if room not in held]
    return held + sorted(free, key=lambda room: (room.capacity, room.room_id != record.room.room_id))


def stays(record: pb.Reservation, after: pb.Reservation) -> bool:
    """Whether the room that is held is enough for what is wanted."""
    within = from_timestamp(record.start_time) <= from_timestamp(after.start_time)
    within &= from_timestamp(after.end_time) <= from_timestamp(record.end_time)
    return record.HasField("room") and within and after.participant_count <= record.room.capacity


def store_update(connection: Connection, decided: DecidedChange, now: int) -> api.UpdateReservationResponse:
    """One transaction. Raises StaleError when what the decision rests on has changed since."""
    current = decided.current
    account = lock_account(connection, current.record.organizer.account_id)
    if account.version != current.account.version:
        raise StaleError
    answer = api.UpdateReservationResponse(outcome=outcome(decided), decision=decided.decision)
    changed = store_change(connection, decided, decided.event, now) if decided.event else current.record
    answer.reservation.CopyFrom(changed)
    row = decision_row(decided.decision, decided.question, decided.actor, current.record)
    connection.execute(sa.insert(DECISION), [row])
    if decided.wanted.request_id:
        key = (decided.actor, decided.wanted.request_id)
        connection.execute(sa.insert(ANSWER), [answers.row(key, decided.wanted.body_hash, answer)])
    return answer


def store_change(connection: Connection, decided: DecidedChange, event: str, now: int) -> pb.Reservation:
    after, decision = decided.after, decided.decision
    start, end = from_timestamp(after.start_time), from_timestamp(after.end_time)
    fields: dict[str, Any] = {"start_time": start, "end_time": end}
    fields |= {"participant_count": after.participant_count, "decision_id": decision.decision_id}
    fields |= commitments.after(decided.current.record, start, end, now)
    if after.start_time != decided.current.record.start_time:
        fields["early_enter_time"] = None  # who looked in before the former start
    if decided.seen:
        fields |= meetings.to_row(decided.seen) | NOT_ASKED
    if decision.effect == policy.EFFECT_ALLOW:
        pool = lock_pool(connection, [(start, end)], after.reservation_id)
        rooms = free_rooms(pool, decided.current.record, after)
        if not rooms:
            raise StaleError
        fields |= {"room_id": rooms[0].room_id, **attendance_times(decision, start)}
    if decided.held_by:
        makings.moved(connection, after.reservation_id, decided.held_by)
    payload = events_pb2.ReservationEvent(decision=decision, actor=decided.actor)
    record = change(connection, decided.current, event, payload, now, **fields)
    deadlines.replace(connection, record, decision)
    return record


def outcome(decided: DecidedChange) -> pb.Outcome.ValueType:
    if decided.event is None and decided.decision.effect == policy.EFFECT_ESCALATE:
        return pb.OUTCOME_DENIED
    return to_outcome(policy.Effect.Name(decided.decision.effect))
