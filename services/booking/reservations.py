"""What is written about new requests: decision, reservation, deadlines and event, in one transaction."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.booking.v1.reservation_pb2 import Alternative, Room
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1.policy_service_pb2 import DecideRequest

from services.booking import answers, deadlines, makings, meetings, models, states
from services.booking.accounts import AccountState, Profile, lock_accounts, put, read_versions
from services.booking.decisions import attendance_times, decision_row
from services.booking.events import refusal_event, reservation_event, to_outcome
from services.booking.pool import CurrentPool, lock_changes
from services.booking.queries import to_row
from services.booking.requests import ReservationInput, shared_with
from services.platform.clock import from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.data.database import Insert
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.observing import traces

ACCEPTED = {policy.EFFECT_ALLOW: states.CONFIRMED, policy.EFFECT_ESCALATE: states.PENDING_APPROVAL}
_INSERTS = {
    "reservation": Insert(models.RESERVATION),
    "decision": Insert(models.DECISION),
    "answer": Insert(models.ANSWER),
}
NOT_ASKED = {"attendance": "", "ask_time": None, "ask_count": 0, "unknown_reason": ""}
"""Nobody has asked yet who came."""


@dataclass(frozen=True, slots=True)
class DecidedRequest:
    """A request with the decision about it and what the decision rests on."""

    wanted: ReservationInput
    profile: Profile
    roles: str
    account: AccountState
    question: DecideRequest
    decision: policy.Decision
    alternatives: list[Alternative]
    trace: str


@dataclass(slots=True)
class _Rows:
    """Everything that one transaction will insert, gathered so that each table is written once."""

    inserts: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    due: list[deadlines.Row] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    acts: list[audit.AuditEntry] = field(default_factory=list)
    reserved: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)
    """Makings of meetings that have their reservation now, and of those that get none."""

    def write(self, connection: Connection) -> None:
        for name, insert in _INSERTS.items():
            insert.execute(connection, self.inserts.get(name, ()))
        deadlines.insert(connection, self.due)
        outbox.append(connection, self.events)
        audit.append(connection, self.acts)
        if self.reserved:
            makings.reserved(connection, self.reserved)
        if self.unwanted:
            makings.give_up(connection, self.unwanted)


def commit(
    connection: Connection, pool: CurrentPool, batch: list[DecidedRequest], now: int
) -> list[api.CreateReservationResponse | None]:
    """Stores a batch; None where what the decision rests on has changed since.

    Requests of one account must have been decided one after the other, each with those before it counted. Accounts are
    locked first, and the pool after them. Raises makings.UnmadeError when a meeting that was made for one of them is
    not to be reserved any more.
    """
    lock_accounts(connection, {decided.profile.account_id for decided in batch})
    if making_ids := [decided.wanted.making_id for decided in batch if decided.wanted.making_id]:
        makings.require_open(connection, making_ids)
    rows, replies = _Rows(), list[api.CreateReservationResponse | None]()
    with _chosen_rooms(connection, pool, [decided for decided in batch if takes_room(decided)]) as rooms:
        possible = [decided for decided in batch if decided.decision.decision_id in rooms or not takes_room(decided)]
        fresh = _advance_accounts(connection, possible)
        for decided in batch:
            room = rooms.get(decided.decision.decision_id)
            stale = decided.profile.account_id not in fresh or (takes_room(decided) and not room)
            with traces.continued(decided.trace):
                replies.append(None if stale else _add(rows, decided, room, now))
        rows.write(connection)
    return replies


def takes_room(decided: DecidedRequest) -> bool:
    return decided.decision.effect == policy.EFFECT_ALLOW


@contextmanager
def _chosen_rooms(connection: Connection, pool: CurrentPool, taking: list[DecidedRequest]) -> Iterator[dict[str, Room]]:
    """By decision the smallest room that is free now, where there is one.

    What is given here counts in here alone: whether it was committed, the database tells, to us as to everybody.
    """
    rooms: dict[str, Room] = {}
    given: list[tuple[str, int, int]] = []
    if taking:
        lock_changes(connection)
        pool.read(connection, [decided.wanted.interval for decided in taking])
    try:
        for decided in taking:
            wanted = decided.wanted
            if room := pool.first_free(*wanted.interval, wanted.participant_count, wanted.room_id):
                rooms[decided.decision.decision_id] = room
                given.append((room.room_id, *wanted.interval))
                pool.hold(*given[-1])
        yield rooms
    finally:
        for hold in given:
            pool.release(*hold)


_OF_RECORD, _OF_REFUSAL = shared_with(pb.Reservation), shared_with(events_pb2.RefusedRequest)


def _advance_accounts(connection: Connection, batch: list[DecidedRequest]) -> set[str]:
    """The accounts that are as they were when it was decided."""
    moving = {
        decided.profile.account_id: (decided.profile, decided.roles, decided.account.version + 1)
        for decided in batch
        if advances(decided)
    }
    staying = {decided.profile.account_id: decided.account.version for decided in batch}
    for account_id in moving:
        del staying[account_id]
    versions = read_versions(connection, staying)
    unchanged = {account_id for account_id, version in staying.items() if versions.get(account_id) == version}
    return put(connection, moving) | unchanged


def advances(decided: DecidedRequest) -> bool:
    """Whether storing it moves the account on: for what is accepted, and for who is new or another than before."""
    account = decided.account
    accepted = decided.decision.effect in ACCEPTED
    return accepted or not account.version or decided.profile != account.profile


def _add(rows: _Rows, decided: DecidedRequest, room: Room | None, now: int) -> api.CreateReservationResponse:
    outcome, making_id = to_outcome(policy.Effect.Name(decided.decision.effect)), decided.wanted.making_id
    answer = api.CreateReservationResponse(
        outcome=outcome, decision=decided.decision, alternatives=decided.alternatives
    )
    state = ACCEPTED.get(decided.decision.effect)
    if state:
        record = _to_record(decided, state, room, now)
        answer.reservation.CopyFrom(record)
        _add_reservation(rows, decided, record, state)
    else:
        rows.events.append(_refusal(decided, now))
    if making_id:
        (rows.reserved if state else rows.unwanted).append(making_id)
    rows.inserts["decision"].append(
        decision_row(decided.decision, decided.question, decided.wanted.actor, answer.reservation)
    )
    if decided.wanted.by:
        rows.acts.append(_act(decided.wanted.by, decided, answer))
    if decided.wanted.request_id:
        key = (decided.wanted.actor, decided.wanted.request_id)
        rows.inserts["answer"].append(answers.row(key, decided.wanted.body_hash, answer))
    return answer


def _act(by: audit.Caller, decided: DecidedRequest, answer: api.CreateReservationResponse) -> audit.AuditEntry:
    outcome = answer.reservation.state
    return audit.AuditEntry(
        by,
        "reservation",
        answer.reservation.reservation_id,
        decided.profile.account_id,
        states.from_proto(outcome) if outcome else policy.Effect.Name(decided.decision.effect).removeprefix("EFFECT_"),
        {"decision": decided.decision.decision_id},
    )


def _to_record(decided: DecidedRequest, state: str, room: Room | None, now: int) -> pb.Reservation:
    wanted = decided.wanted
    record = pb.Reservation(
        reservation_id=new_id("rsv"),
        version=1,
        state=states.to_proto(state),
        organizer=decided.profile,
        created_by=decided.wanted.actor,
        start_time=to_timestamp(wanted.start_time),
        end_time=to_timestamp(wanted.end_time),
        room=room,
        create_time=to_timestamp(now),
        update_time=to_timestamp(now),
        decision_id=decided.decision.decision_id,
        meeting=meetings.to_proto(wanted.meeting, made_here=bool(wanted.making_id)) if wanted.meeting else None,
        **{name: getattr(wanted, name) for name in _OF_RECORD},
    )
    for name, moment in attendance_times(decided.decision, wanted.start_time).items():
        if room and moment is not None:
            getattr(record, name).CopyFrom(to_timestamp(moment))
    return record


def _add_reservation(rows: _Rows, decided: DecidedRequest, record: pb.Reservation, state: str) -> None:
    asked = record.create_time if state == states.PENDING_APPROVAL else None
    of_support = {"escalate_time": from_timestamp(asked) if asked else None, "resolved_by": ""}
    row = to_row(record) | NOT_ASKED | of_support | {"making_id": decided.wanted.making_id or None}
    rows.inserts["reservation"].append(row)
    rows.due += deadlines.rows(record, decided.decision)
    payload = events_pb2.ReservationEvent(reservation=record, decision=decided.decision, actor=decided.wanted.actor)
    rows.events.append(reservation_event(state.lower(), payload, row["create_time"]))


def _refusal(decided: DecidedRequest, now: int) -> Event:
    wanted = decided.wanted
    refused = events_pb2.RefusedRequest(
        organizer=decided.profile,
        start_time=to_timestamp(wanted.start_time),
        end_time=to_timestamp(wanted.end_time),
        **{name: getattr(wanted, name) for name in _OF_REFUSAL},
    )
    name = "redirected" if decided.decision.effect == policy.EFFECT_REDIRECT else "denied"
    payload = events_pb2.ReservationEvent(decision=decided.decision, actor=decided.wanted.actor, request=refused)
    return refusal_event(name, payload, now)
