"""What happens to a reservation after it was made: each change one transaction that is lost or won as a whole."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import life, meetings, objections, second_person, standing, store
from services.booking.events import SYSTEM, new_id, reservation_event
from services.booking.meetings import Seen
from services.booking.policy_client import PolicyClient
from services.booking.questions import compose_question
from services.booking.reservations import (
    arrival_rows,
    attendance_start,
    attendance_times,
    deadline_rows,
    decision_row,
)
from services.booking.standing import StaleError
from services.booking.store import AccountState
from services.platform.clock import HOUR, Clock, from_timestamp
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.messaging import outbox
from services.platform.serving import errors

ATTEMPTS = 8
EARLY_ENTRY = HOUR

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Case:
    """A reservation and its account, as read at one moment."""

    record: pb.Reservation
    account: AccountState

    @property
    def state(self) -> str:
        return life.from_proto(self.record.state)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What support says. `room_id` "": the smallest room that fits; `version` 0: of whatever there is to decide."""

    approve: bool
    actor: str
    note: str
    room_id: str = ""
    version: int = 0


class Lifecycle:
    """Leads reservations through their lives.

    `catch_up` deals with deadlines that are due; `committed` is told of every commit.
    """

    def __init__(
        self,
        database: Database,
        policy_client: PolicyClient,
        clock: Clock,
        catch_up: Callable[[], Awaitable[None]],
        committed: Callable[[], None],
    ) -> None:
        self._database = database
        self._policy = policy_client
        self._clock = clock
        self._catch_up = catch_up
        self._committed = committed

    async def cancel(
        self, reservation_id: str, owner: str | None, actor: str, note: str, by: audit.Caller | None = None
    ) -> api.CancelReservationResponse:
        """Cancelling again answers as the first time. Raises errors.RpcError.

        `by`, here and below: the caller, noted when the reservation is another's; None for the system.
        """

        async def attempt() -> api.CancelReservationResponse:
            now = self._clock.now()
            case = await self._read_current(reservation_id, owner, now)
            if case.state == life.CANCELLED:
                return await self._cancelled_before(case.record)
            require(case, "cancel")
            return await self._cancel(case, "cancel", actor, note, now, by)

        return await until_fresh(attempt)

    async def lapse(self, reservation_id: str, note: str) -> None:
        """Its meeting was cancelled, and its time is near. What is not waiting for people any more stays as it is."""

        async def attempt() -> None:
            now = self._clock.now()
            case = await self._read(reservation_id, None, now)
            if life.next_state(case.state, "lapse"):
                await self._cancel(case, "lapse", SYSTEM, note, now)

        await until_fresh(attempt)

    async def _cancel(
        self, case: Case, event: str, actor: str, note: str, now: int, by: audit.Caller | None = None
    ) -> api.CancelReservationResponse:
        question = to_question(pdp.ACTION_CANCEL, case, now, by)
        decision = await self._policy.decide_one(question)

        def work(connection: Connection) -> pb.Reservation:
            row = decision_row(decision, question, actor, case.record)
            connection.execute(sa.insert(store.DECISION), [row])
            payload = events_pb2.ReservationEvent(decision=decision, actor=actor)
            return change(connection, case, event, payload, now, cancel_time=now, note=note)

        return to_cancel_response(await self._commit(audit.audited(work, teller(by))), decision)

    async def notice(self, reservation_id: str, seen: Seen, actor: str) -> None:
        """Shows what became of the meeting."""

        async def attempt() -> None:
            case = await self._read(reservation_id, None, self._clock.now())
            if life.next_state(case.state, "notice") and meetings.is_news(
                meetings.from_proto(case.record.meeting), seen
            ):
                await self._apply(case, "notice", actor, **meetings.to_row(seen))

        await until_fresh(attempt)

    async def _cancelled_before(self, record: pb.Reservation) -> api.CancelReservationResponse:
        decision = await self._database.read(lambda c: store.read_cancellation(c, record.reservation_id))
        return to_cancel_response(record, decision)

    async def end(
        self, reservation_id: str, owner: str | None, actor: str, by: audit.Caller | None = None
    ) -> pb.Reservation:
        """Early give-back; ending what is completed answers as it is. Raises errors.RpcError."""

        async def attempt() -> pb.Reservation:
            case = await self._read_current(reservation_id, owner, self._clock.now())
            if case.state == life.COMPLETED:
                return case.record
            require(case, "end")
            return await self._apply(case, "end", actor=actor, by=by)

        return await until_fresh(attempt)

    async def report_attendance(
        self,
        reservation_id: str,
        enter_time: int,
        actor: str,
        evidence: Mapping[str, Any] | None = None,
        by: audit.Caller | None = None,
    ) -> pb.Reservation:
        """Somebody was inside at enter_time (epoch ms). Before that counts it is noted, and the owner keeps all powers.

        After a release it annuls the violation. `evidence`: further columns to keep. Raises errors.RpcError.
        """
        kept = evidence or {}

        async def attempt() -> pb.Reservation:
            case = await self._read(reservation_id, None, self._clock.now())
            if case.record.HasField("enter_time"):
                return case.record
            event = entry_event(case, enter_time)
            require(case, event)
            check_entry(case, event, enter_time)
            if event == "note" and case.record.HasField("early_enter_time"):
                return case.record
            now, write = self._clock.now(), ENTRIES[event]

            def work(connection: Connection) -> pb.Reservation:
                if by:
                    second_person.require(connection, reservation_id, actor)
                return write(connection, case, actor, enter_time, now, **kept)

            return await self._commit(audit.audited(work, teller(by)))

        return await until_fresh(attempt)

    async def waive(
        self, violation_id: str, actor: str, note: str, by: audit.Caller | None = None
    ) -> api.WaiveViolationResponse:
        """Waiving again answers as it is. Raises errors.RpcError."""

        def work(connection: Connection) -> standing.Waiver:
            violation = store.read_violation(connection, store.VIOLATION.c.violation_id == violation_id)
            if violation is None:
                raise errors.not_found("violation", "没有这次违约")
            second_person.require(connection, violation.reservation_id, actor)
            return standing.waive(connection, violation, actor, note, self._clock.now())

        def tell(waiver: standing.Waiver) -> audit.AuditEntry | None:
            detail = {"lifted": waiver.lifted.suspension_id if waiver.lifted else ""}
            act = ("violation", violation_id, waiver.violation.account_id, "waived", detail)
            return audit.AuditEntry(by, *act) if by and waiver.anew else None

        waiver = await self._commit(audit.audited(work, tell))
        return api.WaiveViolationResponse(violation=waiver.violation, lifted=waiver.lifted)

    async def object_to(self, violation_id: str, account_id: str, text: str) -> pb.Violation:
        """The account's own violation. The same objection again answers as it is. Raises errors.RpcError."""
        now = self._clock.now()
        return await self._commit(lambda c: objections.raise_objection(c, violation_id, account_id, text, now))

    async def dismiss(self, violation_id: str, actor: str, note: str, by: audit.Caller | None = None) -> pb.Violation:
        """The same dismissal again answers as it is. Raises errors.RpcError."""
        now = self._clock.now()

        def tell(dismissal: objections.Dismissal) -> audit.AuditEntry | None:
            act = ("violation", violation_id, dismissal.violation.account_id, "objection dismissed")
            return audit.AuditEntry(by, *act) if by and dismissal.anew else None

        work = audit.audited(lambda c: objections.dismiss(c, violation_id, actor, note, now), tell)
        return (await self._commit(work)).violation

    async def resolve(self, reservation_id: str, verdict: Verdict, by: audit.Caller | None = None) -> pb.Reservation:
        """Support's answer to an escalation; approving takes a room or fails. Raises errors.RpcError.

        The same answer again gets the reservation as it is.
        """

        async def attempt() -> pb.Reservation:
            now = self._clock.now()
            case = await self._read_current(reservation_id, None, now)
            if case.state != life.PENDING_APPROVAL and await self._database.read(
                lambda c: is_resolved_so(c, case, verdict)
            ):
                return case.record
            require(case, "approve" if verdict.approve else "decline")
            check_version(case.record, verdict.version)
            tell = teller(by, own=True, approve=verdict.approve)
            return await self._commit(audit.audited(lambda c: resolve(c, case, verdict, now), tell))

        return await until_fresh(attempt)

    async def complete(self, reservation_id: str, due: int) -> bool:
        """The reserved time is over. False while it is still being asked who came: then it has been moved on."""
        if await self._database.read(lambda c: asked_again(c, reservation_id)) is not None:
            await self._database.write(lambda c: complete_later(c, reservation_id, due))
            return False
        await self._advance(reservation_id, life.COMPLETION, "complete", due)
        return True

    async def expire(self, reservation_id: str, due: int) -> None:
        """Support did not answer in time."""
        await self._advance(reservation_id, life.ESCALATION, "expire", due)

    async def _advance(self, reservation_id: str, kind: str, event: str, due: int) -> None:
        case = await self._read_due(reservation_id, kind, due)
        if case and life.next_state(case.state, event):
            await self._apply(case, event, actor=SYSTEM, at=due)

    async def judge_attendance(self, reservation_id: str, due: int) -> None:
        """Start plus grace has passed: the policy says whether the room is kept. Judged as of `due`, however late."""
        case = await self._read_due(reservation_id, life.ATTENDANCE, due)
        if not case or not life.next_state(case.state, "release"):
            return
        question = to_question(pdp.ACTION_NO_SHOW, case, due)
        decision = await self._policy.decide_one(question)
        kinds = {obligation.kind for obligation in decision.obligations}
        if policy.Obligation.KIND_RELEASE_ROOM not in kinds:
            return
        committed = from_timestamp(case.record.release_time)  # earlier than `due` when it was not known at once

        def work(connection: Connection) -> None:
            connection.execute(sa.insert(store.DECISION), [decision_row(decision, question, SYSTEM, case.record)])
            payload = events_pb2.ReservationEvent(decision=decision, actor=SYSTEM)
            record = change(connection, case, "release", payload, due)
            standing.record_violation(connection, case.account, record, decision, committed)

        await self._commit(work)

    async def reinstate(self, suspension_id: str, due: int) -> None:
        """A suspension has ended."""
        await self._commit(lambda connection: standing.reinstate(connection, suspension_id, due))

    async def _apply(
        self,
        case: Case,
        event: str,
        actor: str,
        at: int | None = None,
        by: audit.Caller | None = None,
        **fields: Any,
    ) -> pb.Reservation:
        now = self._clock.now() if at is None else at
        payload = events_pb2.ReservationEvent(actor=actor)
        return await self._commit(audit.audited(lambda c: change(c, case, event, payload, now, **fields), teller(by)))

    async def _commit(self, work: Callable[[Connection], T]) -> T:
        result = await self._database.write(work)
        self._committed()
        return result

    async def _read_current(self, reservation_id: str, owner: str | None, now: int) -> Case:
        """With everything done that was due: nobody acts on a reservation that has ended, and only nobody noticed."""
        case = await self._read(reservation_id, owner, now)
        if case.account.overdue:
            await self._catch_up()
            case = await self._read(reservation_id, owner, now)
        if case.account.overdue:
            raise errors.unavailable("policy")
        return case

    async def _read_due(self, reservation_id: str, kind: str, due: int) -> Case | None:
        """None when the deadline is not there any more: the reservation was moved, or somebody else was faster."""

        def work(connection: Connection) -> Case | None:
            waits = store.has_deadline(connection, kind, reservation_id, due)
            return read_case(connection, reservation_id, None, due) if waits else None

        return await self._database.read(work)

    async def _read(self, reservation_id: str, owner: str | None, now: int) -> Case:
        case = await self._database.read(lambda connection: read_case(connection, reservation_id, owner, now))
        if case is None:
            raise errors.not_found("reservation", "没有这个预约")
        return case


def teller(
    by: audit.Caller | None, *, own: bool = False, **detail: Any
) -> Callable[[pb.Reservation], audit.AuditEntry | None]:
    """What is noted of a change of a reservation: nothing when it is the caller's, unless `own` is asked for too."""

    def tell(record: pb.Reservation) -> audit.AuditEntry | None:
        account_id = record.organizer.account_id
        if by is None or (account_id == by.account_id and not own):
            return None
        return audit.AuditEntry(
            by, "reservation", record.reservation_id, account_id, life.from_proto(record.state), detail
        )

    return tell


async def until_fresh(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries again while others are faster. Raises errors.RpcError ABORTED when they always are."""
    for _ in range(ATTEMPTS):
        try:
            return await attempt()
        except (StaleError, ConflictError):  # a conflict: the room, or the request_id, went to another in this moment
            continue
    words = "changed by others all the time: please try again", "一直有他人在修改：请重试"
    raise errors.failure(grpc.StatusCode.ABORTED, "CONTENTION", *words)


def read_case(connection: Connection, reservation_id: str, owner: str | None, now: int) -> Case | None:
    record = store.read_reservation(connection, reservation_id, owner)
    if record is None:
        return None
    account_id = record.organizer.account_id
    return Case(record, store.read_accounts(connection, [account_id], now)[account_id])


def asked_again(connection: Connection, reservation_id: str) -> int | None:
    """When the meetings gateway is asked the next time who came, epoch ms; None when it is not asked any more."""
    record = store.read_reservation(connection, reservation_id)
    if record is None or not record.HasField("meeting"):
        return None
    return store.read_deadline(connection, life.ATTENDANCE, reservation_id)


def complete_later(connection: Connection, reservation_id: str, due: int) -> None:
    """As soon as it is asked again who came; that comes first."""
    asked = asked_again(connection, reservation_id)
    if asked is not None:
        store.move_deadline(connection, life.COMPLETION, reservation_id, due, max(asked, due + 1))


def is_resolved_so(connection: Connection, case: Case, verdict: Verdict) -> bool:
    """Whether the same person has given this answer already."""
    if store.read_resolver(connection, case.record.reservation_id) != verdict.actor:
        return False
    if not verdict.approve:
        return case.state == life.DECLINED
    return case.state != life.DECLINED and verdict.room_id in ("", case.record.room.room_id)


def resolve(connection: Connection, case: Case, verdict: Verdict, now: int) -> pb.Reservation:
    """Raises StaleError, or errors.RpcError when somebody else must decide, there is no such room, or none is free."""
    second_person.require(connection, case.record.reservation_id, verdict.actor)
    payload = events_pb2.ReservationEvent(actor=verdict.actor)
    if not verdict.approve:
        return change(connection, case, "decline", payload, now, note=verdict.note, resolved_by=verdict.actor)
    payload.decision.CopyFrom(store.read_decision(connection, case.record.decision_id))
    room = free_room(connection, case.record, verdict.room_id)
    watched = attendance_times(payload.decision, from_timestamp(case.record.start_time))
    fields = {"room_id": room.room_id, "note": verdict.note, "resolved_by": verdict.actor}
    record = change(connection, case, "approve", payload, now, **fields, **watched)
    connection.execute(sa.insert(store.DEADLINE), deadline_rows(record, payload.decision))
    return record


def is_early(record: pb.Reservation, enter_time: int) -> bool:
    """Whether it is before being inside counts as having come."""
    return enter_time < attendance_start(record)


def entry_event(case: Case, enter_time: int) -> str:
    if case.state == life.NO_SHOW:
        return "prove"
    return "note" if is_early(case.record, enter_time) else "enter"


def check_entry(case: Case, event: str, enter_time: int) -> None:
    """Raises errors.RpcError when an entry at this time (epoch ms) cannot be one into this reservation in time."""
    record = case.record
    if event == "prove" and is_early(record, enter_time):
        words = "entered before the start: who left again did not come", "入会早于开始时间：开始前又离开的不算参会"
        raise failed_precondition("TOO_EARLY", *words)
    if event == "note" and enter_time < from_timestamp(record.start_time) - EARLY_ENTRY:
        words = "entered more than an hour before the start: another occasion", "入会早于开始时间一小时以上：不是这一次"
        raise failed_precondition("TOO_EARLY", *words)
    if enter_time >= from_timestamp(record.end_time):
        raise errors.invalid("enter_time", "lies after the end of the reservation", "晚于预约的结束时间")
    if record.HasField("release_time") and enter_time > from_timestamp(record.release_time):
        raise failed_precondition("TOO_LATE", "entered after the room was due for release", "入会晚于会议室的释放时间")


def annul(connection: Connection, case: Case, actor: str, enter_time: int, now: int, **kept: Any) -> pb.Reservation:
    """A late proof: the reservation counts as held, its violation as waived."""
    payload = events_pb2.ReservationEvent(actor=actor)
    record = change(connection, case, "prove", payload, now, enter_time=enter_time, **kept)
    violation = store.read_violation(connection, store.VIOLATION.c.reservation_id == record.reservation_id)
    if violation:
        standing.waive(connection, violation, SYSTEM, "", now)
    return record


def enter(connection: Connection, case: Case, actor: str, enter_time: int, now: int, **kept: Any) -> pb.Reservation:
    payload = events_pb2.ReservationEvent(actor=actor)
    return change(connection, case, "enter", payload, now, enter_time=enter_time, **kept)


def note_entry(
    connection: Connection, case: Case, actor: str, enter_time: int, now: int, **kept: Any
) -> pb.Reservation:
    """Somebody looks in before the start; whether they are still there then is asked, where there is whom to ask."""
    payload = events_pb2.ReservationEvent(actor=actor)
    record = change(connection, case, "note", payload, now, early_enter_time=enter_time, **kept)
    if rows := arrival_rows(record):
        connection.execute(sa.insert(store.DEADLINE), rows)
    return record


ENTRIES = {"enter": enter, "note": note_entry, "prove": annul}
"""What somebody's being inside comes to, by what it is to the reservation."""


def free_room(connection: Connection, record: pb.Reservation, room_id: str) -> pb.Room:
    start, end = from_timestamp(record.start_time), from_timestamp(record.end_time)
    # without itself: when it holds the room already, somebody else was faster, and `change` says so
    pool = store.lock_pool(connection, [(start, end)], record.reservation_id)
    if room_id and room_id not in pool.rooms:
        raise errors.not_found("room", "没有这间会议室")
    free = pool.free(start, end, record.participant_count, room_id)
    if not free:
        raise failed_precondition(
            "NO_ROOM_FREE", "no such room is free then: nothing was changed", "届时没有空闲的会议室：没有任何改变"
        )
    return free[0]


def change(
    connection: Connection, case: Case, event: str, payload: events_pb2.ReservationEvent, now: int, **fields: Any
) -> pb.Reservation:
    """Moves a reservation on as the table in life.py says, and publishes it; deadlines of the old state are dropped.

    Raises StaleError when it, or its account, has changed since.
    """
    transition = life.TRANSITIONS[case.state, event]
    record, c, d = case.record, store.RESERVATION.c, store.DEADLINE.c
    standing.advance(connection, record.organizer.account_id, case.account.version)
    values = {"state": transition.next_state, "version": record.version + 1, "update_time": now, **fields}
    unchanged = (c.reservation_id == record.reservation_id) & (c.version == record.version)
    if not connection.execute(sa.update(store.RESERVATION).where(unchanged).values(values)).rowcount:
        raise StaleError
    kept = life.DEADLINES.get(transition.next_state, ())
    mine = (d.entity_id == record.reservation_id) & d.kind.not_in(kept)
    connection.execute(sa.delete(store.DEADLINE).where(mine))
    changed = store.read_reservation(connection, record.reservation_id)
    payload.reservation.CopyFrom(changed)  # type: ignore[arg-type] # it was updated a moment ago
    outbox.append(connection, [reservation_event(transition.publishes, payload, now)])
    return payload.reservation


def require(case: Case, event: str) -> None:
    if not life.next_state(case.state, event):
        english, chinese = life.STATE_WORDS[case.state]
        act, act_chinese = life.EVENT_WORDS[event]
        words = f"a reservation that {english} cannot be {act}", f"预约{chinese}，不能{act_chinese}"
        raise failed_precondition("STATE", *words)


def check_version(record: pb.Reservation, version: int) -> None:
    if version not in (0, record.version):
        message = f"the reservation is at version {record.version} now, not {version}: look at it again"
        chinese = f"预约现在是第 {record.version} 版，不是第 {version} 版：请重新查看"
        raise errors.failure(grpc.StatusCode.ABORTED, "VERSION", message, chinese)


def failed_precondition(reason: str, message: str, chinese: str) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, reason, message, chinese)


def to_question(
    action: pdp.Action.ValueType, case: Case, now: int, by: audit.Caller | None = None
) -> pdp.DecideRequest:
    """`by`: who asks. Of the account itself the token says today's roles, and what is stored may be older."""
    record, organizer = case.record, case.record.organizer
    roles = by.roles if by and by.account_id == organizer.account_id else case.account.roles
    subject = pdp.Subject(
        start_time=record.start_time,
        end_time=record.end_time,
        participant_count=record.participant_count,
        free_room_count=1 if record.HasField("room") else 0,
        former_starts=record.former_starts,
    )
    if record.HasField("enter_time"):
        subject.enter_time.CopyFrom(record.enter_time)
    elif record.HasField("early_enter_time"):
        subject.enter_time.CopyFrom(record.early_enter_time)
    return compose_question(action, organizer, roles, subject, case.account.history, now, new_id("dec"))


def to_cancel_response(record: pb.Reservation, decision: policy.Decision) -> api.CancelReservationResponse:
    """A rule that speaks on cancelling says that the quota is kept."""
    return api.CancelReservationResponse(reservation=record, quota_returned=not decision.rules, decision=decision)
