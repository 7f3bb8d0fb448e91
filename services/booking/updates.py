"""Changes of a reservation: decided as if it were not there, and taken over as a whole or not at all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import answers, commitments, life, meetings, requests, store
from services.booking.events import to_outcome
from services.booking.intake import LOOK_AHEAD
from services.booking.lifecycle import Case, change, check_version, read_case, require, teller, to_question, until_fresh
from services.booking.lookups import Lookups
from services.booking.meetings import Seen
from services.booking.policy_client import PolicyClient
from services.booking.pool import Pool
from services.booking.requests import Change
from services.booking.reservations import NOT_ASKED, attendance_times, deadline_rows, decision_row
from services.booking.standing import StaleError
from services.platform.clock import Clock, from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.serving import errors


@dataclass(frozen=True, slots=True)
class Situation:
    """What a change rests on, read at one moment. `pool` does not count the reservation's own hold."""

    case: Case
    pool: Pool
    answer: answers.Stored | None


class Updates:
    """Decides and stores changes. `catch_up` deals with deadlines that are due; `committed` is told of every commit."""

    def __init__(
        self,
        database: Database,
        policy_client: PolicyClient,
        clock: Clock,
        catch_up: Callable[[], Awaitable[None]],
        committed: Callable[[], None],
        lookups: Lookups,
    ) -> None:
        self._database = database
        self._lookups = lookups
        self._policy = policy_client
        self._clock = clock
        self._catch_up = catch_up
        self._committed = committed

    async def update(
        self, wanted: Change, owner: str | None, actor: str, by: audit.Caller | None = None
    ) -> api.UpdateReservationResponse:
        """Raises errors.RpcError; then nothing was changed. `by`: noted when the reservation is another's."""

        async def attempt() -> api.UpdateReservationResponse:
            now = self._clock.now()
            situation = await self._survey(wanted, owner, actor, now)
            if situation.answer:
                return answers.replay(situation.answer, wanted.body_hash, api.UpdateReservationResponse)
            return await self._store(await self._decide(situation, wanted, actor, now, by), by, now)

        return await until_fresh(attempt)

    async def check(
        self, wanted: Change, owner: str | None, actor: str, by: audit.Caller | None = None
    ) -> api.CheckUpdateResponse:
        """What `update` would answer, and the errors that it would raise; `wanted` is without a request_id."""
        now = self._clock.now()
        situation = await self._survey(wanted, owner, actor, now)
        update = await self._decide(situation, wanted, actor, now, by)
        reply = api.CheckUpdateResponse(outcome=outcome(update), decision=update.decision)
        if update.decision.effect == policy.EFFECT_ALLOW:
            for room in free_rooms(situation.pool, update.case.record, update.after)[:1]:
                reply.room.CopyFrom(room)
        return reply

    async def _decide(
        self,
        situation: Situation,
        wanted: Change,
        actor: str,
        now: int,
        by: audit.Caller | None,
    ) -> "Update":
        case = situation.case
        require(case, "update")
        check_version(case.record, wanted.version)
        after = to_changed(case.record, wanted, now)
        seen = await self._find_meeting(case.record, after, actor)
        question = to_update_question(situation, after, now, by)
        decision = await self._policy.decide_one(question)
        return Update(wanted, actor, case, after, question, decision, seen)

    async def _survey(self, wanted: Change, owner: str | None, actor: str, now: int) -> Situation:
        situation = await self._database.read(lambda c: survey(c, wanted, owner, actor, now))
        if situation and situation.case.account.overdue:
            await self._catch_up()  # a suspension, or the end of this very reservation, may hang on it
            situation = await self._database.read(lambda c: survey(c, wanted, owner, actor, now))
        if situation is None:
            raise errors.not_found("reservation", "没有这个预约")
        if situation.case.account.overdue:
            raise errors.unavailable("policy")
        return situation

    async def _find_meeting(self, record: pb.Reservation, after: pb.Reservation, actor: str) -> Seen | None:
        """None when the interval stays as it is. Raises errors.RpcError when there is no such meeting then."""
        if (record.start_time, record.end_time) == (after.start_time, after.end_time):
            return None
        seen = await self._lookups.again(after)
        if seen:
            holders = await self._database.read(lambda c: store.read_holders(c, [seen.key], record.reservation_id))
            for holder in holders.values():
                raise meetings.already_reserved(holder.name_to(actor))
        return seen

    async def _store(self, update: "Update", by: audit.Caller | None, now: int) -> api.UpdateReservationResponse:
        tell = teller(by, decision=update.decision.decision_id, event=update.event)
        work = audit.audited(lambda c: store_update(c, update, now), lambda answer: tell(answer.reservation))
        answer = await self._database.write(work)
        self._committed()
        return answer


@dataclass(frozen=True, slots=True)
class Update:
    """A change with the decision about it; `after` is the reservation as it is wanted, its room not yet chosen.

    `seen`: the meeting at the new time; None when the time, or whatever meeting there is, stays.
    """

    wanted: Change
    actor: str
    case: Case
    after: pb.Reservation
    question: pdp.DecideRequest
    decision: policy.Decision
    seen: Seen | None

    @property
    def event(self) -> str | None:
        """What it comes to in the life of the reservation; None when it is refused."""
        pending = self.case.state == life.PENDING_APPROVAL
        if self.decision.effect == policy.EFFECT_ALLOW:
            return "confirm" if pending else "update"
        # what holds a room is not given up for one that support may decline
        return "update" if pending and self.decision.effect == policy.EFFECT_ESCALATE else None


def survey(connection: Connection, wanted: Change, owner: str | None, actor: str, now: int) -> Situation | None:
    case = read_case(connection, wanted.reservation_id, owner, now)
    if case is None:
        return None
    key = (actor, wanted.request_id)
    earlier = answers.read(connection, [key] if wanted.request_id else [])
    start = wanted.start_time or from_timestamp(case.record.start_time)
    end = max(start, wanted.end_time or from_timestamp(case.record.end_time))
    pool = store.read_pool(connection, [(start, end + LOOK_AHEAD)], wanted.reservation_id)
    return Situation(case, pool, earlier.get(key))


def to_changed(record: pb.Reservation, wanted: Change, now: int) -> pb.Reservation:
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
    situation: Situation, after: pb.Reservation, now: int, by: audit.Caller | None
) -> pdp.DecideRequest:
    record = situation.case.record
    question = to_question(pdp.ACTION_UPDATE, situation.case, now, by)
    subject = question.subject
    subject.start_time.CopyFrom(after.start_time)
    subject.end_time.CopyFrom(after.end_time)
    subject.participant_count = after.participant_count
    subject.free_room_count = len(free_rooms(situation.pool, record, after))
    if not subject.free_room_count and (free_from := next_free(situation.pool, after)):
        subject.next_free_time.CopyFrom(to_timestamp(free_from))
    subject.former_start_time.CopyFrom(record.start_time)
    subject.former_end_time.CopyFrom(record.end_time)
    subject.former_participant_count = record.participant_count
    subject.former_room_capacity = record.room.capacity
    subject.waits_for_support = situation.case.state == life.PENDING_APPROVAL
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


def store_update(connection: Connection, update: Update, now: int) -> api.UpdateReservationResponse:
    """One transaction. Raises StaleError when what the decision rests on has changed since."""
    case = update.case
    account = store.lock_account(connection, case.record.organizer.account_id)
    if account.version != case.account.version:
        raise StaleError
    answer = api.UpdateReservationResponse(outcome=outcome(update), decision=update.decision)
    changed = apply(connection, update, update.event, now) if update.event else case.record
    answer.reservation.CopyFrom(changed)
    row = decision_row(update.decision, update.question, update.actor, case.record)
    connection.execute(sa.insert(store.DECISION), [row])
    if update.wanted.request_id:
        key = (update.actor, update.wanted.request_id)
        connection.execute(sa.insert(store.ANSWER), [answers.row(key, update.wanted.body_hash, answer)])
    return answer


def apply(connection: Connection, update: Update, event: str, now: int) -> pb.Reservation:
    after, decision = update.after, update.decision
    start, end = from_timestamp(after.start_time), from_timestamp(after.end_time)
    fields: dict[str, Any] = {"start_time": start, "end_time": end}
    fields |= {"participant_count": after.participant_count, "decision_id": decision.decision_id}
    fields |= commitments.after(update.case.record, start, end, now)
    if after.start_time != update.case.record.start_time:
        fields["early_enter_time"] = None  # who looked in before the former start
    if update.seen:
        fields |= meetings.to_row(update.seen) | NOT_ASKED
    if decision.effect == policy.EFFECT_ALLOW:
        pool = store.lock_pool(connection, [(start, end)], after.reservation_id)
        rooms = free_rooms(pool, update.case.record, after)
        if not rooms:
            raise StaleError
        fields |= {"room_id": rooms[0].room_id, **attendance_times(decision, start)}
    payload = events_pb2.ReservationEvent(decision=decision, actor=update.actor)
    record = change(connection, update.case, event, payload, now, **fields)
    mine = store.DEADLINE.c.entity_id == record.reservation_id
    connection.execute(sa.delete(store.DEADLINE).where(mine))
    connection.execute(sa.insert(store.DEADLINE), deadline_rows(record, decision))
    return record


def outcome(update: Update) -> pb.Outcome.ValueType:
    if update.event is None and update.decision.effect == policy.EFFECT_ESCALATE:
        return pb.OUTCOME_DENIED
    return to_outcome(policy.Effect.Name(update.decision.effect))
