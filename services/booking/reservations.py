"""What is written about new requests: decision, reservation, deadlines and event, in one transaction."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.booking.v1.reservation_pb2 import Alternative, Room
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1.policy_service_pb2 import DecideRequest

from services.booking import answers, deadlines, meetings, models, states
from services.booking.accounts import AccountState, Profile, read_versions
from services.booking.decisions import attendance_times, decision_row
from services.booking.events import new_id, refusal_event, reservation_event, to_outcome
from services.booking.pool import Pool, lock_pool
from services.booking.queries import to_row
from services.booking.requests import ReservationInput
from services.platform.clock import from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.observing import traces

_STATES = {policy.EFFECT_ALLOW: states.CONFIRMED, policy.EFFECT_ESCALATE: states.PENDING_APPROVAL}
_INSERTS = {
    "reservation": sa.insert(models.RESERVATION),
    "decision": sa.insert(models.DECISION),
    "answer": sa.insert(models.ANSWER),
    "deadline": sa.insert(models.DEADLINE),
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
    events: list[Event] = field(default_factory=list)
    acts: list[audit.AuditEntry] = field(default_factory=list)

    def write(self, connection: Connection) -> None:
        for name, insert in _INSERTS.items():
            if rows := self.inserts.get(name):
                connection.execute(insert, rows)
        outbox.append(connection, self.events)
        audit.append(connection, self.acts)


def commit(connection: Connection, batch: list[DecidedRequest], now: int) -> list[api.CreateReservationResponse | None]:
    """Stores a batch; None where what the decision rests on has changed since. Comes last in a transaction.

    Requests of one account must have been decided one after the other, each with those before it counted.
    """
    versions = read_versions(connection, {decided.profile.account_id for decided in batch})
    pool = lock_pool(connection, [decided.wanted.interval for decided in batch])
    rows, replies, accounts = (
        _Rows(),
        list[api.CreateReservationResponse | None](),
        dict[str, tuple[DecidedRequest, bool]](),
    )
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


def _choose_room(pool: Pool, decided: DecidedRequest) -> Room | None:
    wanted = decided.wanted
    if decided.decision.effect != policy.EFFECT_ALLOW:
        return None
    free = pool.free(wanted.start_time, wanted.end_time, wanted.participant_count, wanted.room_id)
    if not free:
        return None
    pool.hold(free[0].room_id, wanted.start_time, wanted.end_time)
    return free[0]


_PROFILE = ("display_name", "email", "locale", "department")
_INSERT_ACCOUNT, _UPDATE_ACCOUNT = (
    sa.insert(models.ACCOUNT),
    (
        sa.update(models.ACCOUNT)
        .where(models.ACCOUNT.c.account_id == sa.bindparam("id"))
        .values({name: sa.bindparam(name) for name in (*_PROFILE, "roles", "version")})
    ),
)


def _advance_accounts(connection: Connection, accounts: Iterable[tuple[DecidedRequest, bool]]) -> None:
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


def _add(rows: _Rows, decided: DecidedRequest, room: Room | None, now: int) -> api.CreateReservationResponse:
    outcome = to_outcome(policy.Effect.Name(decided.decision.effect))
    answer = api.CreateReservationResponse(
        outcome=outcome, decision=decided.decision, alternatives=decided.alternatives
    )
    state = _STATES.get(decided.decision.effect)
    if state:
        record = _to_record(decided, state, room, now)
        answer.reservation.CopyFrom(record)
        _add_reservation(rows, decided, record, state)
    else:
        rows.events.append(_refusal(decided, now))
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
        meeting_code=wanted.meeting_code,
        subject=wanted.subject,
        start_time=to_timestamp(wanted.start_time),
        end_time=to_timestamp(wanted.end_time),
        participant_count=wanted.participant_count,
        room=room,
        create_time=to_timestamp(now),
        update_time=to_timestamp(now),
        decision_id=decided.decision.decision_id,
        meeting=meetings.to_proto(wanted.meeting) if wanted.meeting else None,
    )
    for name, moment in attendance_times(decided.decision, wanted.start_time).items():
        if room and moment is not None:
            getattr(record, name).CopyFrom(to_timestamp(moment))
    return record


def _add_reservation(rows: _Rows, decided: DecidedRequest, record: pb.Reservation, state: str) -> None:
    asked = record.create_time if state == states.PENDING_APPROVAL else None
    row = to_row(record) | NOT_ASKED | {"escalate_time": from_timestamp(asked) if asked else None}
    rows.inserts["reservation"].append(row)
    rows.inserts["deadline"] += deadlines.rows(record, decided.decision)
    payload = events_pb2.ReservationEvent(reservation=record, decision=decided.decision, actor=decided.wanted.actor)
    rows.events.append(reservation_event(state.lower(), payload, row["create_time"]))


def _refusal(decided: DecidedRequest, now: int) -> Event:
    wanted = decided.wanted
    refused = events_pb2.RefusedRequest(
        organizer=decided.profile,
        meeting_code=wanted.meeting_code,
        subject=wanted.subject,
        start_time=to_timestamp(wanted.start_time),
        end_time=to_timestamp(wanted.end_time),
        participant_count=wanted.participant_count,
    )
    name = "redirected" if decided.decision.effect == policy.EFFECT_REDIRECT else "denied"
    payload = events_pb2.ReservationEvent(decision=decided.decision, actor=decided.wanted.actor, request=refused)
    return refusal_event(name, payload, now)
