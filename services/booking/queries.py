"""Reservations, violations, suspensions and decisions as they are read: queries, and how rows become messages."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1.meeting_pb2 import Knowledge
from yunhui.policy.v1 import policy_service_pb2 as policy
from yunhui.policy.v1.decision_pb2 import Decision

from services.booking import commitments, meetings, states
from services.booking.accounts import to_organizer
from services.booking.meetings import OccurrenceKey, SeenOccurrence
from services.booking.models import ACCOUNT, DECISION, HOLDS_MEETING, RESERVATION, ROOM, SUSPENSION, VIOLATION
from services.booking.pool import Interval
from services.booking.scopes import EVERYBODY, Whose
from services.platform.clock import from_timestamp, to_timestamp


def read_reservations_of(
    connection: Connection, key: OccurrenceKey, entered: Interval | None = None
) -> list[pb.Reservation]:
    """Those that wait for, or are in, a meeting: all its occurrences when the key names none.

    With `entered`, also no-shows that begin then: somebody may have come after all.
    """
    c = RESERVATION.c
    mine = (c.provider == key.provider) & (c.meeting_id == key.meeting_id)
    if key.sub_meeting_id:
        mine &= c.sub_meeting_id == key.sub_meeting_id
    found = list(connection.execute(RECORD.where(sa.text(HOLDS_MEETING), mine)).mappings())
    if entered:
        missed = (c.state == states.NO_SHOW) & c.start_time.between(*entered)
        found += connection.execute(RECORD.where(missed, mine)).mappings()
    return [to_reservation(row) for row in found]


def read_reservation(connection: Connection, reservation_id: str, whose: Whose = EVERYBODY) -> pb.Reservation | None:
    """One of theirs: to have made it for another gives no right to it."""
    c = RESERVATION.c
    query = RECORD.where(c.reservation_id == reservation_id, whose.covers(c.account_id))
    row = connection.execute(query).mappings().first()
    return to_reservation(row) if row else None


def read_coming(
    connection: Connection,
    account_id: str,
    whose: Whose,
    now: int,
    after: tuple[int, str] | None,
    until: tuple[int, str] | None,
    limit: int | None,
) -> list[pb.Reservation]:
    """What one of them has reserved and has not begun, earliest start first; between two keys, where they are given."""
    c = RESERVATION.c
    key = sa.tuple_(c.start_time, c.reservation_id)
    mine = (c.account_id == account_id) & whose.covers(c.account_id)
    query = RECORD.where(mine, c.state.in_(states.COMING), c.start_time > now)
    if after:
        query = query.where(key > after)
    if until:
        query = query.where(key <= until)
    rows = connection.execute(query.order_by(c.start_time, c.reservation_id).limit(limit)).mappings()
    return [to_reservation(row) for row in rows]


def read_records(connection: Connection, which: sa.ColumnElement[bool], limit: int) -> list[pb.Reservation]:
    """Latest start first."""
    c = RESERVATION.c
    query = RECORD.where(which).order_by(c.start_time.desc(), c.reservation_id.desc()).limit(limit)
    return [to_reservation(row) for row in connection.execute(query).mappings()]


def read_violations(connection: Connection, account_id: str, since: int) -> list[pb.Violation]:
    """Newest first."""
    query = sa.select(VIOLATION).where(VIOLATION.c.account_id == account_id, VIOLATION.c.violation_time >= since)
    rows = connection.execute(query.order_by(VIOLATION.c.violation_time.desc())).mappings()
    return [to_violation(row) for row in rows]


def read_violation(connection: Connection, which: sa.ColumnElement[bool]) -> pb.Violation | None:
    row = connection.execute(sa.select(VIOLATION).where(which)).mappings().first()
    return to_violation(row) if row else None


def read_parties(connection: Connection, reservation_id: str) -> set[str]:
    """Who a reservation is for, and all whose request or change made it what it is."""
    r, d = RESERVATION.c, DECISION.c
    people = sa.select(r.account_id, r.created_by).where(r.reservation_id == reservation_id)
    mine = (d.reservation_id == reservation_id) & d.action.in_(("CREATE", "UPDATE", "HAND_OVER"))
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


def read_decision_record(connection: Connection, decision_id: str, whose: Whose) -> api.GetDecisionResponse | None:
    """A stored decision about one of those accounts, with its question."""
    c = DECISION.c
    query = sa.select(DECISION).where(c.decision_id == decision_id, whose.covers(c.account_id))
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return api.GetDecisionResponse(
        question=policy.DecideRequest.FromString(bytes(row["request"])),
        decision=Decision.FromString(bytes(row["decision"])),
        actor=row["actor"],
        reservation_id=row["reservation_id"] or "",
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
_PLAIN = tuple(
    each.name
    for each in pb.Reservation.DESCRIPTOR.fields
    if each.name in RESERVATION.c and each.message_type is None and each.enum_type is None
)
"""Words and numbers that a row and the message have under the same name."""
_MEETING = (
    *("provider", "meeting_id", "sub_meeting_id", "meeting_state", "meeting_start_time", "meeting_end_time"),
    *("attendance", "ask_time", "ask_count", "unknown_reason"),
)
RECORD = (
    sa.select(
        *(
            RESERVATION.c[name]
            for name in (*_PLAIN, *_TIMES, *_MEETING, "state", "account_id", "room_id", "former_starts", "making_id")
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
    """A row of RECORD as the message that the API and the events carry."""
    fields: dict[str, Any] = {name: row[name] for name in _PLAIN}
    fields |= {name: to_timestamp(row[name]) for name in _TIMES if row[name] is not None}
    record = pb.Reservation(state=states.to_proto(row["state"]), organizer=to_organizer(row), **fields)
    record.former_starts.extend(commitments.read(row["former_starts"]))
    if row["room_id"] is not None:
        room = {"display_name": row["room_name"], **{name: row[name] for name in ("room_id", "capacity", "enabled")}}
        record.room.CopyFrom(pb.Room(**room))
    if row["meeting_id"]:
        record.meeting.CopyFrom(meetings.to_proto(to_seen(row), made_here=row["making_id"] is not None))
    if row["attendance"]:
        record.attendance.CopyFrom(to_attendance(row))
    return record


def to_row(record: pb.Reservation) -> dict[str, Any]:
    """The other way round, for a new one: the columns that its message tells of."""
    given = {each.name: value for each, value in record.ListFields()}
    row = {name: getattr(record, name) for name in _PLAIN}
    row |= {name: from_timestamp(given[name]) if name in given else None for name in _TIMES}
    return {
        **row,
        "state": states.from_proto(record.state),
        "account_id": record.organizer.account_id,
        "room_id": record.room.room_id or None,
        **meetings.to_row(meetings.from_proto(record.meeting) if record.HasField("meeting") else None),
    }


def to_seen(row: RowMapping) -> SeenOccurrence:
    key = OccurrenceKey(row["provider"], row["meeting_id"], row["sub_meeting_id"])
    return SeenOccurrence(key, row["meeting_state"], row["meeting_start_time"], row["meeting_end_time"])


def to_attendance(row: RowMapping) -> pb.Attendance:
    return pb.Attendance(
        knowledge=Knowledge.Value(f"KNOWLEDGE_{row['attendance']}"),
        ask_time=to_timestamp(row["ask_time"]),
        ask_count=row["ask_count"],
        unknown_reason=row["unknown_reason"],
    )
