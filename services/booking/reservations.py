"""What booking writes about a new request: decision, reservation, deadlines and event, in one transaction."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2, reservation_pb2
from yunhui.booking.v1.reservation_pb2 import Alternative, Room
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1.policy_service_pb2 import Action, DecideRequest

from services.booking import answers, life, meetings, store
from services.booking.events import SYSTEM, new_id, refusal_event, reservation_event, to_outcome
from services.booking.pool import Pool
from services.booking.requests import Wish, shared_with
from services.booking.store import AccountState, Profile
from services.platform.clock import HOUR, SECOND, from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.observing import traces

_STATES = {policy.EFFECT_ALLOW: life.CONFIRMED, policy.EFFECT_ESCALATE: life.PENDING_APPROVAL}
_INSERTS = {
    "reservation": sa.insert(store.RESERVATION),
    "decision": sa.insert(store.DECISION),
    "answer": sa.insert(store.ANSWER),
    "deadline": sa.insert(store.DEADLINE),
}
NOT_ASKED = {"attendance": "", "ask_time": None, "ask_count": 0, "unknown_reason": ""}
"""Nobody has asked yet who came."""
NOT_WATCHED = {"attendance_start_time": None, "release_time": None}
RECONCILE = HOUR
"""So long before the start the meeting is looked at again: events may have been lost, others may want its room."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A request with the decision about it and what the decision rests on."""

    wish: Wish
    actor: str
    profile: Profile
    roles: str
    account: AccountState
    question: DecideRequest
    decision: policy.Decision
    alternatives: list[Alternative]
    by: audit.Caller | None = None
    """Who books for another."""
    trace: str = ""


@dataclass(slots=True)
class _Rows:
    """Everything that one transaction will insert, gathered so that each table is written once."""

    inserts: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    events: list[Event] = field(default_factory=list)
    acts: list[audit.AuditEntry] = field(default_factory=list)

    def write(self, connection: Connection) -> None:
        for name, insert in _INSERTS.items():
            if rows := self.inserts.get(name):
                connection.execute(insert, rows)
        outbox.append(connection, self.events)
        audit.append(connection, self.acts)


def commit(connection: Connection, batch: list[Decided], now: int) -> list[api.CreateReservationResponse | None]:
    """Stores a batch; None where what the decision rests on has changed since. Comes last in a transaction.

    Requests of one account must have been decided one after the other, each with those before it counted.
    """
    versions = store.read_versions(connection, {decided.profile.account_id for decided in batch})
    pool = store.lock_pool(connection, [(decided.wish.start_time, decided.wish.end_time) for decided in batch])
    rows, replies, accounts = _Rows(), list[api.CreateReservationResponse | None](), dict[str, tuple[Decided, bool]]()
    for decided in batch:
        room = _choose_room(pool, decided)
        version = versions.get(decided.profile.account_id, 0)
        stale = version != decided.account.version or (decided.decision.effect == policy.EFFECT_ALLOW and not room)
        with traces.continued(decided.trace):
            replies.append(None if stale else _add(rows, decided, room, now))
        if not stale:
            _, accepted = accounts.get(decided.profile.account_id, (decided, False))
            accounts[decided.profile.account_id] = decided, accepted or decided.decision.effect in _STATES
    _advance_accounts(connection, accounts.values())
    rows.write(connection)
    return replies


def _choose_room(pool: Pool, decided: Decided) -> Room | None:
    wish = decided.wish
    if decided.decision.effect != policy.EFFECT_ALLOW:
        return None
    free = pool.free(wish.start_time, wish.end_time, wish.participant_count, wish.room_id)
    if not free:
        return None
    pool.hold(free[0].room_id, wish.start_time, wish.end_time)
    return free[0]


_OF_RECORD, _OF_REFUSAL = shared_with(reservation_pb2.Reservation), shared_with(events_pb2.RefusedRequest)
_PROFILE = ("display_name", "email", "locale", "department")
_INSERT_ACCOUNT, _UPDATE_ACCOUNT = (
    sa.insert(store.ACCOUNT),
    (
        sa.update(store.ACCOUNT)
        .where(store.ACCOUNT.c.account_id == sa.bindparam("id"))
        .values({name: sa.bindparam(name) for name in (*_PROFILE, "roles", "version")})
    ),
)


def _advance_accounts(connection: Connection, accounts: Iterable[tuple[Decided, bool]]) -> None:
    """What holds the quota: an accepted request moves the version on, and so makes every older reading stale."""
    new, known = [], []
    for decided, accepted in accounts:
        profile, version = decided.profile, decided.account.version
        fields = {name: getattr(profile, name) for name in _PROFILE} | {"roles": decided.roles, "version": version + 1}
        if not version:
            new.append(fields | {"account_id": profile.account_id, "event_seq": 0})
        elif accepted or profile != decided.account.profile:
            known.append(fields | {"id": profile.account_id})
    if new:
        connection.execute(_INSERT_ACCOUNT, new)
    if known:
        connection.execute(_UPDATE_ACCOUNT, known)


def _add(rows: _Rows, decided: Decided, room: Room | None, now: int) -> api.CreateReservationResponse:
    outcome = to_outcome(policy.Effect.Name(decided.decision.effect))
    answer = api.CreateReservationResponse(
        outcome=outcome, decision=decided.decision, alternatives=decided.alternatives
    )
    state = _STATES.get(decided.decision.effect)
    if state:
        record = _to_record(decided, state, room, now)
        answer.reservation.CopyFrom(record)
        _add_reservation(rows, decided, record, room, state)
    else:
        rows.events.append(_refusal(decided, now))
    rows.inserts["decision"].append(decision_row(decided.decision, decided.question, decided.actor, answer.reservation))
    if decided.by:
        rows.acts.append(_act(decided.by, decided, answer))
    if decided.wish.request_id:
        key = (decided.actor, decided.wish.request_id)
        rows.inserts["answer"].append(answers.row(key, decided.wish.body_hash, answer))
    return answer


def _act(by: audit.Caller, decided: Decided, answer: api.CreateReservationResponse) -> audit.AuditEntry:
    outcome = answer.reservation.state
    return audit.AuditEntry(
        by,
        "reservation",
        answer.reservation.reservation_id,
        decided.profile.account_id,
        life.from_proto(outcome) if outcome else policy.Effect.Name(decided.decision.effect).removeprefix("EFFECT_"),
        {"decision": decided.decision.decision_id},
    )


def _to_record(decided: Decided, state: str, room: Room | None, now: int) -> reservation_pb2.Reservation:
    wish = decided.wish
    record = reservation_pb2.Reservation(
        reservation_id=new_id("rsv"),
        version=1,
        state=life.to_proto(state),
        organizer=decided.profile,
        created_by=decided.actor,
        start_time=to_timestamp(wish.start_time),
        end_time=to_timestamp(wish.end_time),
        room=room,
        create_time=to_timestamp(now),
        update_time=to_timestamp(now),
        decision_id=decided.decision.decision_id,
        meeting=meetings.to_proto(wish.meeting) if wish.meeting else None,
        **{name: getattr(wish, name) for name in _OF_RECORD},
    )
    for name, moment in attendance_times(decided.decision, wish.start_time).items():
        if room and moment is not None:
            getattr(record, name).CopyFrom(to_timestamp(moment))
    return record


def attendance_times(decision: policy.Decision, start: int) -> dict[str, int | None]:
    """Between which moments (epoch ms) somebody must be inside; None when the policy asks for no such check."""
    check = obligation(decision, policy.Obligation.KIND_CHECK_ATTENDANCE)
    return {
        "attendance_start_time": start - check.early_seconds * SECOND if check else None,
        "release_time": start + check.seconds * SECOND if check else None,
    }


def attendance_start(record: reservation_pb2.Reservation) -> int:
    """From when on being inside counts as having come, epoch ms."""
    told = record.HasField("attendance_start_time")
    return from_timestamp(record.attendance_start_time if told else record.start_time)


def _add_reservation(
    rows: _Rows, decided: Decided, record: reservation_pb2.Reservation, room: Room | None, state: str
) -> None:
    wish = decided.wish
    row = {name: getattr(record, name) for name in store.PLAIN}
    row |= {
        "state": state,
        "account_id": decided.profile.account_id,
        "start_time": wish.start_time,
        "end_time": wish.end_time,
        "room_id": record.room.room_id or None,
        "create_time": from_timestamp(record.create_time),
        "update_time": from_timestamp(record.update_time),
        **(attendance_times(decided.decision, wish.start_time) if room else NOT_WATCHED),
        "escalate_time": from_timestamp(record.create_time) if state == life.PENDING_APPROVAL else None,
        **meetings.to_row(wish.meeting),
        **NOT_ASKED,
    }
    rows.inserts["reservation"].append(row)
    rows.inserts["deadline"] += deadline_rows(record, decided.decision)
    name = state.lower()
    payload = events_pb2.ReservationEvent(reservation=record, decision=decided.decision, actor=decided.actor)
    rows.events.append(reservation_event(name, payload, row["create_time"]))


def deadline_rows(record: reservation_pb2.Reservation, decision: policy.Decision) -> list[dict[str, Any]]:
    """What will happen to this reservation by itself, and when.

    However early it ends, or is made to end, it is over only when it is known whether anybody came.
    """
    expiry = obligation(decision, policy.Obligation.KIND_EXPIRE_ESCALATION)
    due = {
        life.COMPLETION: max(from_timestamp(record.end_time), from_timestamp(record.release_time)),
        life.ESCALATION: from_timestamp(record.start_time) - (expiry.seconds if expiry else 0) * SECOND,
    }
    if record.HasField("release_time"):
        due[life.ATTENDANCE] = from_timestamp(record.release_time)
    if (
        record.HasField("meeting")
        and from_timestamp(record.update_time) < from_timestamp(record.start_time) - RECONCILE
    ):
        due[life.RECONCILIATION] = from_timestamp(record.start_time) - RECONCILE
    kinds = life.DEADLINES[life.from_proto(record.state)]
    return [_deadline(record, kind, due[kind]) for kind in kinds if kind in due] + arrival_rows(record)


def arrival_rows(record: reservation_pb2.Reservation) -> list[dict[str, Any]]:
    """One where somebody has looked in before the start, and somebody can be asked who is still there then."""
    asked = record.HasField("early_enter_time") and record.HasField("meeting")
    return [_deadline(record, life.ARRIVAL, attendance_start(record))] if asked else []


def _deadline(record: reservation_pb2.Reservation, kind: str, due: int) -> dict[str, Any]:
    mine = {"entity_id": record.reservation_id, "account_id": record.organizer.account_id}
    return {"kind": kind, "due_time": due, **mine}


def take_deadline(connection: Connection, kind: str, entity_id: str, due: int) -> bool:
    """Takes a deadline away; False when another was faster, or it is due at another time now."""
    return store.settle_deadline(connection, kind, entity_id, due, None)


def _refusal(decided: Decided, now: int) -> Event:
    wish = decided.wish
    refused = events_pb2.RefusedRequest(
        organizer=decided.profile,
        start_time=to_timestamp(wish.start_time),
        end_time=to_timestamp(wish.end_time),
        **{name: getattr(wish, name) for name in _OF_REFUSAL},
    )
    name = "redirected" if decided.decision.effect == policy.EFFECT_REDIRECT else "denied"
    payload = events_pb2.ReservationEvent(decision=decided.decision, actor=decided.actor, request=refused)
    return refusal_event(name, payload, now)


def obligation(decision: policy.Decision, kind: policy.Obligation.Kind.ValueType) -> policy.Obligation | None:
    return next((each for each in decision.obligations if each.kind == kind), None)


def decision_row(
    decision: policy.Decision, question: DecideRequest, actor: str, record: reservation_pb2.Reservation
) -> dict[str, Any]:
    """The question is kept without its history: the facts in the decision are enough to replay it."""
    kept = DecideRequest()
    kept.CopyFrom(question)
    kept.ClearField("history")
    return {
        "decision_id": decision.decision_id,
        "action": Action.Name(question.action).removeprefix("ACTION_"),
        "account_id": question.account.account_id,
        "actor": actor or SYSTEM,
        "time": from_timestamp(question.now),
        "effect": policy.Effect.Name(decision.effect).removeprefix("EFFECT_"),
        "policy_version": decision.policy_version,
        "reservation_id": record.reservation_id or None,
        "request": kept.SerializeToString(),
        "decision": decision.SerializeToString(),
    }
