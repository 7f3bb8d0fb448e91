"""Queries on the tables of booking, each a fixed number of statements, and the few writes that modules share."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.engine import Connection, RowMapping
from sqlmodel import SQLModel
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1.meeting_pb2 import Knowledge
from yunhui.policy.v1 import policy_service_pb2 as policy
from yunhui.policy.v1.decision_pb2 import Decision

from services.booking import commitments, life, meetings
from services.booking.meetings import Key, Seen
from services.booking.models import HOLDS_MEETING, HOLDS_ROOM, LONGEST, TABLES
from services.booking.pool import Interval, Pool
from services.platform.clock import DAY, to_timestamp
from services.platform.data.database import ForEach

HISTORY = 35 * DAY  # contract of policy.v1.History: no policy may look back further

_tables = {str(table.__tablename__): SQLModel.metadata.tables[str(table.__tablename__)] for table in TABLES}
ACCOUNT, ROOM, RESERVATION = _tables["account"], _tables["room"], _tables["reservation"]
DECISION, ANSWER, DEADLINE = _tables["decision"], _tables["answer"], _tables["deadline"]
VIOLATION, SUSPENSION = _tables["violation"], _tables["suspension"]
CALENDAR_FEED = _tables["calendar_feed"]

Profile = pb.Organizer


@dataclass(slots=True)
class AccountState:
    """An account as it stood when it was read. `version` 0: not known yet."""

    version: int = 0
    event_seq: int = 0
    profile: Profile | None = None
    roles: list[str] = field(default_factory=list)
    history: policy.History = field(default_factory=policy.History)
    overdue: bool = False
    """A deadline of the account is due and has not been dealt with: its standing is not known."""


_ACCOUNTS = ForEach(
    "SELECT account_id, version, event_seq, display_name, email, locale, department, roles FROM account"
    " WHERE account_id IN ({0})",
    ":id{0}",
    ", ",
    "id",
)
# One statement for what is kept in four tables: each costs more than its rows. A lifted suspension gives back the
# violations that it had used up.
_HISTORY = ForEach(
    "SELECT 'reservation', account_id, reservation_id, state, start_time, end_time, cancel_time, former_starts,"
    " escalate_time FROM reservation WHERE account_id IN ({0}) AND start_time >= :since"
    " UNION ALL SELECT 'violation', v.account_id, violation_id, '', violation_time, CASE WHEN waived THEN 1 ELSE 0 END,"
    " CASE WHEN s.suspension_id IS NOT NULL AND s.lift_time IS NULL THEN 1 ELSE 0 END, '', NULL"
    " FROM violation v LEFT JOIN suspension s ON s.suspension_id = v.suspension_id"
    " WHERE v.account_id IN ({0}) AND violation_time >= :since"
    " UNION ALL SELECT 'suspension', account_id, suspension_id, '', start_time, COALESCE(lift_time, end_time), 0, '',"
    " NULL FROM suspension WHERE account_id IN ({0}) AND end_time >= :since"
    " UNION ALL SELECT 'overdue', account_id, entity_id, kind, due_time, 0, 0, '', NULL"
    " FROM deadline WHERE account_id IN ({0}) AND due_time <= :now",
    ":id{0}",
    ", ",
    "id",
)


def read_accounts(connection: Connection, ids: Collection[str], now: int) -> dict[str, AccountState]:
    """The accounts with their raw history, as the policy wants it."""
    states: defaultdict[str, AccountState] = defaultdict(AccountState)
    keys = [(each,) for each in dict.fromkeys(ids)]
    for row in _ACCOUNTS.execute(connection, keys):
        state, account = states[row.account_id], row._mapping
        state.version, state.event_seq = account["version"], account["event_seq"]
        state.profile, state.roles = to_organizer(account), account["roles"].split()
    for row in _HISTORY.execute(connection, keys, since=now - HISTORY, now=now):
        _ADD[row[0]](states[row[1]], *row[2:])
    return states


def _add_reservation(
    past: AccountState,
    id_: str,
    state: str,
    start: int,
    end: int,
    cancelled: int | None,
    former: str | None,
    escalated: int | None,
) -> None:
    item = past.history.reservations.add(reservation_id=id_, status=_STATUS[state])
    _set(item.start_time, start)
    _set(item.end_time, end)
    if cancelled is not None:
        _set(item.cancel_time, cancelled)
    if former:
        item.former_starts.extend(commitments.read(former))
    if escalated is not None:
        _set(item.escalate_time, escalated)


def _add_violation(past: AccountState, id_: str, _: str, time: int, waived: int, used_up: int, *__: object) -> None:
    past.history.violations.add(
        violation_id=id_, violation_time=to_timestamp(time), waived=bool(waived), used_up=bool(used_up)
    )


def _add_suspension(past: AccountState, _id: str, _: str, start: int, end: int, *__: object) -> None:
    past.history.suspensions.add(start_time=to_timestamp(start), end_time=to_timestamp(end))


def _add_overdue(past: AccountState, *_: object) -> None:
    past.overdue = True


_ADD: Mapping[str, Callable[..., None]] = {
    "reservation": _add_reservation,
    "violation": _add_violation,
    "suspension": _add_suspension,
    "overdue": _add_overdue,
}


def _set(stamp: Timestamp, milliseconds: int) -> None:
    """In place: a message made and copied costs four times as much, and histories are long."""
    stamp.seconds = milliseconds // 1000
    if milliseconds % 1000:
        stamp.nanos = milliseconds % 1000 * 1_000_000


_STATUS = {
    state: policy.ReservationStatus.ValueType(policy.ReservationStatus.Value("RESERVATION_STATUS_" + state))
    for state in life.STATES
}


_VERSIONS = sa.select(ACCOUNT.c.account_id, ACCOUNT.c.version).order_by(ACCOUNT.c.account_id).with_for_update()
_VERSIONS = _VERSIONS.where(ACCOUNT.c.account_id.in_(sa.bindparam("ids", expanding=True)))


def read_versions(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """The versions of the accounts, locked until the transaction ends (in order of id: no deadlock)."""
    return {row[0]: row[1] for row in connection.execute(_VERSIONS, {"ids": list(ids)})}


def has_deadline(connection: Connection, kind: str, entity_id: str, due: int) -> bool:
    c = DEADLINE.c
    query = sa.select(c.kind).where(c.kind == kind, c.entity_id == entity_id, c.due_time == due)
    return connection.scalar(query) is not None


def read_deadline(connection: Connection, kind: str, entity_id: str) -> int | None:
    """When it is due, epoch ms."""
    c = DEADLINE.c
    due: int | None = connection.scalar(sa.select(c.due_time).where(c.kind == kind, c.entity_id == entity_id))
    return due


def move_deadline(connection: Connection, kind: str, entity_id: str, due: int, later: int) -> bool:
    """False when another was faster, or it is due at another time now."""
    c = DEADLINE.c
    mine = (c.kind == kind) & (c.entity_id == entity_id) & (c.due_time == due)
    return bool(connection.execute(sa.update(DEADLINE).where(mine).values(due_time=later)).rowcount)


def settle_deadline(connection: Connection, kind: str, entity_id: str, due: int, later: int | None) -> bool:
    """Moved on, or with None taken away. False when another was faster."""
    if later is not None:
        return move_deadline(connection, kind, entity_id, due, later)
    c = DEADLINE.c
    mine = (c.kind == kind) & (c.entity_id == entity_id) & (c.due_time == due)
    return bool(connection.execute(sa.delete(DEADLINE).where(mine)).rowcount)


def keep_evidence(
    connection: Connection, reservation_id: str, evidence: dict[str, Any], leased: int, later: int | None, end: int
) -> None:
    """What was said about who came, unless another was faster. Without a `later` nothing stands before the end."""
    if not settle_deadline(connection, life.ATTENDANCE, reservation_id, leased, later):
        return
    c, d = RESERVATION.c, DEADLINE.c
    connection.execute(sa.update(RESERVATION).where(c.reservation_id == reservation_id).values(evidence))
    if later is None:
        completion = (d.kind == life.COMPLETION) & (d.entity_id == reservation_id)
        connection.execute(sa.update(DEADLINE).where(completion).values(due_time=end))


def lock_account(connection: Connection, account_id: str) -> AccountState:
    """An account that exists, without its history, locked until the transaction ends."""
    query = sa.select(ACCOUNT).where(ACCOUNT.c.account_id == account_id).with_for_update()
    row = connection.execute(query).mappings().one()
    return AccountState(row["version"], row["event_seq"], to_organizer(row), row["roles"].split())


# What begins within a day before an interval is all that can reach into it: no reservation lasts longer.
_HOLDS = ForEach(
    "SELECT room_id, start_time, end_time FROM reservation"  # noqa: S608 - made of constants
    f" WHERE {HOLDS_ROOM} AND ({{0}}) AND reservation_id <> :without",
    f"start_time < :end{{0}} AND start_time > :start{{0}} - {LONGEST} AND end_time > :start{{0}}",
    " OR ",
    "start",
    "end",
)


def read_pool(connection: Connection, wanted: Collection[Interval], without: str = "") -> Pool:
    """All rooms, and what holds them in the intervals wanted, leaving out the reservation `without`."""
    return _to_pool(connection, read_rooms(connection), wanted, without)


def lock_pool(connection: Connection, wanted: Collection[Interval], without: str = "") -> Pool:
    """The same, for who takes a room: none is taken out of use or made smaller until the transaction ends."""
    return _to_pool(connection, _to_rooms(connection, _LOCKED_ROOMS), wanted, without)


def _to_pool(connection: Connection, rooms: list[pb.Room], wanted: Collection[Interval], without: str) -> Pool:
    holds = _HOLDS.execute(connection, list(dict.fromkeys(wanted)), without=without)
    return Pool(rooms, [(row[0], row[1], row[2]) for row in holds])


@dataclass(frozen=True, slots=True)
class Holder:
    """The live reservation of a meeting."""

    reservation_id: str
    account_id: str

    def name_to(self, caller: str) -> str:
        """Its id for whom it belongs to, else ""."""
        return self.reservation_id if caller == self.account_id else ""


_HOLDERS = ForEach(
    "SELECT provider, meeting_id, sub_meeting_id, reservation_id, account_id FROM reservation"  # noqa: S608 - made of constants
    f" WHERE {HOLDS_MEETING} AND ({{0}}) AND reservation_id <> :without",
    "meeting_id = :meeting{0} AND sub_meeting_id = :sub{0} AND provider = :provider{0}",
    " OR ",
    *("provider", "meeting", "sub"),
)


def read_holders(connection: Connection, keys: Collection[Key], without: str = "") -> dict[Key, Holder]:
    """Which of these meetings are reserved already, leaving out the reservation `without`."""
    rows = _HOLDERS.execute(connection, list(dict.fromkeys(keys)), without=without) if keys else ()
    return {Key(row[0], row[1], row[2]): Holder(row[3], row[4]) for row in rows}


def read_reservations_of(connection: Connection, key: Key, entered: Interval | None = None) -> list[pb.Reservation]:
    """Those that wait for, or are in, a meeting: all its occurrences when the key names none.

    With `entered`, also no-shows that begin then: somebody may have come after all.
    """
    c = RESERVATION.c
    mine = (c.provider == key.provider) & (c.meeting_id == key.meeting_id)
    if key.sub_meeting_id:
        mine &= c.sub_meeting_id == key.sub_meeting_id
    found = list(connection.execute(_RECORD.where(sa.text(HOLDS_MEETING), mine)).mappings())
    if entered:
        missed = (c.state == life.NO_SHOW) & c.start_time.between(*entered)
        found += connection.execute(_RECORD.where(missed, mine)).mappings()
    return [to_reservation(row) for row in found]


def read_rooms(connection: Connection) -> list[pb.Room]:
    """Smallest first. The messages are shared: copy, never change them."""
    return _to_rooms(connection, _ROOMS)


def _to_rooms(connection: Connection, query: sa.Select[Any]) -> list[pb.Room]:
    return [_to_room(*row) for row in connection.execute(query).all()]


_ROOMS = sa.select(ROOM.c.room_id, ROOM.c.display_name, ROOM.c.capacity, ROOM.c.enabled).order_by(
    ROOM.c.capacity, ROOM.c.room_id
)
_LOCKED_ROOMS = _ROOMS.with_for_update(read=True)  # shared: those who take rooms do not wait for each other


@lru_cache(maxsize=4096)
def _to_room(room_id: str, display_name: str, capacity: int, enabled: bool) -> pb.Room:
    return pb.Room(room_id=room_id, display_name=display_name, capacity=capacity, enabled=enabled)


def read_reservation(connection: Connection, reservation_id: str, owner: str | None = None) -> pb.Reservation | None:
    """One reservation; with `owner`, only if it is theirs: to have made it for another gives no right to it."""
    query = _RECORD.where(RESERVATION.c.reservation_id == reservation_id)
    if owner is not None:
        query = query.where(RESERVATION.c.account_id == owner)
    row = connection.execute(query).mappings().first()
    return to_reservation(row) if row else None


@dataclass(frozen=True, slots=True)
class Filter:
    """What to list. `before_key` is (start_time, reservation_id) of the last row of the page before."""

    account_id: str
    states: list[str]
    after: int | None
    before: int | None
    before_key: tuple[int, str] | None
    limit: int


def list_reservations(connection: Connection, wanted: Filter) -> list[pb.Reservation]:
    """Latest start first; a page costs the same however far down it is."""
    c = RESERVATION.c
    query = _RECORD.order_by(c.start_time.desc(), c.reservation_id.desc()).limit(wanted.limit)
    if wanted.account_id:
        query = query.where(c.account_id == wanted.account_id)
    if wanted.states:
        query = query.where(c.state.in_(wanted.states))
    if wanted.after is not None:
        query = query.where(c.end_time > wanted.after)
    if wanted.before is not None:
        query = query.where(c.start_time < wanted.before)
    if wanted.before_key:
        query = query.where(sa.tuple_(c.start_time, c.reservation_id) < wanted.before_key)
    return [to_reservation(row) for row in connection.execute(query).mappings()]


def read_records(connection: Connection, which: sa.ColumnElement[bool], limit: int) -> list[pb.Reservation]:
    """Latest start first."""
    c = RESERVATION.c
    query = _RECORD.where(which).order_by(c.start_time.desc(), c.reservation_id.desc()).limit(limit)
    return [to_reservation(row) for row in connection.execute(query).mappings()]


def read_violations(connection: Connection, account_id: str, since: int) -> list[pb.Violation]:
    """Newest first."""
    query = sa.select(VIOLATION).where(VIOLATION.c.account_id == account_id, VIOLATION.c.violation_time >= since)
    rows = connection.execute(query.order_by(VIOLATION.c.violation_time.desc())).mappings()
    return [to_violation(row) for row in rows]


def read_violation(connection: Connection, which: sa.ColumnElement[bool]) -> pb.Violation | None:
    row = connection.execute(sa.select(VIOLATION).where(which)).mappings().first()
    return to_violation(row) if row else None


@dataclass(frozen=True, slots=True)
class ObjectionFilter:
    """What to list. `after_key` is (objection_order, violation_id) of the last row of the page before."""

    outcomes: list[str]
    after_key: tuple[int, str] | None
    limit: int


def list_objections(connection: Connection, wanted: ObjectionFilter) -> list[tuple[int, pb.Violation]]:
    """Open ones first, then oldest first; each with its objection_order."""
    c = VIOLATION.c
    query = sa.select(VIOLATION).where(c.objection_order.is_not(None))
    if wanted.outcomes:
        query = query.where(c.objection_outcome.in_(wanted.outcomes))
    if wanted.after_key:
        query = query.where(sa.tuple_(c.objection_order, c.violation_id) > wanted.after_key)
    found = connection.execute(query.order_by(c.objection_order, c.violation_id).limit(wanted.limit))
    return [(row["objection_order"], to_violation(row)) for row in found.mappings()]


def read_parties(connection: Connection, reservation_id: str) -> set[str]:
    """Who a reservation is for, and all whose request or change made it what it is."""
    r, d = RESERVATION.c, DECISION.c
    people = sa.select(r.account_id, r.created_by).where(r.reservation_id == reservation_id)
    mine = (d.reservation_id == reservation_id) & d.action.in_(("CREATE", "UPDATE"))
    askers = sa.select(d.actor).where(mine, d.effect.in_(("ALLOW", "ESCALATE")))
    return {each for row in connection.execute(people) for each in row} | set(connection.scalars(askers))


def read_resolver(connection: Connection, reservation_id: str) -> str:
    """Who approved or declined a reservation; "" when nobody had to."""
    query = sa.select(RESERVATION.c.resolved_by).where(RESERVATION.c.reservation_id == reservation_id)
    return connection.scalar(query) or ""


def read_suspension_record(connection: Connection, suspension_id: str) -> pb.Suspension:
    """One that is known to exist."""
    row = connection.execute(sa.select(SUSPENSION).where(SUSPENSION.c.suspension_id == suspension_id)).mappings().one()
    return to_suspension(row)


def read_lifted(connection: Connection, violation_id: str) -> pb.Suspension | None:
    """The suspension that was lifted when the violation was waived."""
    v, s = VIOLATION.c, SUSPENSION.c
    query = sa.select(SUSPENSION).join(VIOLATION, v.suspension_id == s.suspension_id)
    row = connection.execute(query.where(v.violation_id == violation_id, v.waive_lifted)).mappings().first()
    return to_suspension(row) if row else None


def read_suspension(connection: Connection, account_id: str, now: int) -> pb.Suspension | None:
    """The suspension in force that ends last."""
    c = SUSPENSION.c
    query = sa.select(SUSPENSION).where(
        c.account_id == account_id, c.start_time <= now, sa.func.coalesce(c.lift_time, c.end_time) > now
    )
    row = connection.execute(query.order_by(c.end_time.desc()).limit(1)).mappings().first()
    return to_suspension(row) if row else None


def read_cancellation(connection: Connection, reservation_id: str) -> Decision:
    """The decision with which a reservation was cancelled."""
    c = DECISION.c
    query = sa.select(c.decision).where(c.reservation_id == reservation_id, c.action == "CANCEL")
    return Decision.FromString(connection.scalar(query.order_by(c.time.desc()).limit(1)) or b"")


def read_decision(connection: Connection, decision_id: str) -> Decision:
    """A decision that is known to be stored."""
    query = sa.select(DECISION.c.decision).where(DECISION.c.decision_id == decision_id)
    return Decision.FromString(connection.scalar(query) or b"")


def read_decision_record(
    connection: Connection, decision_id: str, owner: str | None = None
) -> api.GetDecisionResponse | None:
    """A stored decision with its question; with `owner`, only if it is about their account."""
    c = DECISION.c
    query = sa.select(DECISION).where(c.decision_id == decision_id)
    if owner is not None:
        query = query.where(c.account_id == owner)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return api.GetDecisionResponse(
        question=policy.DecideRequest.FromString(bytes(row["request"])),
        decision=Decision.FromString(bytes(row["decision"])),
        actor=row["actor"],
        reservation_id=row["reservation_id"] or "",
    )


def to_organizer(row: RowMapping) -> Profile:
    return Profile(
        account_id=row["account_id"],
        display_name=row["display_name"],
        email=row["email"],
        locale=row["locale"],
        department=row["department"],
    )


def to_violation(row: RowMapping) -> pb.Violation:
    fields = {name: row[name] for name in row if name in pb.Violation.DESCRIPTOR.fields_by_name}
    for name in ("violation_time", "waive_time"):
        fields[name] = to_timestamp(row[name]) if row[name] is not None else None
    return pb.Violation(**fields, objection=to_objection(row) if row["objection_outcome"] else None)


def to_objection(row: RowMapping) -> pb.Objection:
    answered = row["objection_answer_time"]
    return pb.Objection(
        text=row["objection_text"],
        object_time=to_timestamp(row["objection_time"]),
        outcome=pb.ObjectionOutcome.Value(f"OBJECTION_OUTCOME_{row['objection_outcome']}"),
        answered_by=row["objection_answered_by"],
        answer_note=row["objection_answer_note"],
        answer_time=to_timestamp(answered) if answered is not None else None,
    )


def to_suspension(row: RowMapping) -> pb.Suspension:
    fields = dict(row)
    for name in ("start_time", "end_time", "lift_time"):
        fields[name] = to_timestamp(row[name]) if row[name] is not None else None
    return pb.Suspension(**fields)


_TIMES = (
    *("start_time", "end_time", "create_time", "update_time", "enter_time", "release_time"),
    *("early_enter_time", "attendance_start_time"),
)
PLAIN = tuple(
    each.name
    for each in pb.Reservation.DESCRIPTOR.fields
    if each.name in RESERVATION.c and each.message_type is None and each.enum_type is None
)
"""Words and numbers that a row and the message have under the same name."""
_MEETING = (
    *("provider", "meeting_id", "sub_meeting_id", "meeting_state", "meeting_start_time", "meeting_end_time"),
    *("attendance", "ask_time", "ask_count", "unknown_reason"),
)
_RECORD = (
    sa.select(
        *(
            RESERVATION.c[name]
            for name in (*PLAIN, *_TIMES, *_MEETING, "state", "account_id", "room_id", "former_starts")
        ),
        *(ACCOUNT.c[name] for name in ("display_name", "email", "locale", "department")),
        ROOM.c.display_name.label("room_name"),
        ROOM.c.capacity,
        ROOM.c.enabled,
    )
    .join(ACCOUNT, ACCOUNT.c.account_id == RESERVATION.c.account_id)
    .outerjoin(ROOM, ROOM.c.room_id == RESERVATION.c.room_id)
)


def to_reservation(row: RowMapping) -> pb.Reservation:
    """A row of _RECORD as the message that the API and the events carry."""
    fields: dict[str, Any] = {name: row[name] for name in PLAIN}
    fields |= {name: to_timestamp(row[name]) for name in _TIMES if row[name] is not None}
    record = pb.Reservation(state=life.to_proto(row["state"]), organizer=to_organizer(row), **fields)
    record.former_starts.extend(commitments.read(row["former_starts"]))
    if row["room_id"] is not None:
        room = {"display_name": row["room_name"], **{name: row[name] for name in ("room_id", "capacity", "enabled")}}
        record.room.CopyFrom(pb.Room(**room))
    if row["meeting_id"]:
        record.meeting.CopyFrom(meetings.to_proto(to_seen(row)))
    if row["attendance"]:
        record.attendance.CopyFrom(to_attendance(row))
    return record


def to_seen(row: RowMapping) -> Seen:
    key = Key(row["provider"], row["meeting_id"], row["sub_meeting_id"])
    return Seen(key, row["meeting_state"], row["meeting_start_time"], row["meeting_end_time"])


def to_attendance(row: RowMapping) -> pb.Attendance:
    return pb.Attendance(
        knowledge=Knowledge.Value(f"KNOWLEDGE_{row['attendance']}"),
        ask_time=to_timestamp(row["ask_time"]),
        ask_count=row["ask_count"],
        unknown_reason=row["unknown_reason"],
    )
