"""Attendance: what comes of it that somebody was inside, and that nobody was. The policy says if the room is kept."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import deadlines, second_person, standing, states
from services.booking.decisions import attendance_start, decision_row
from services.booking.events import SYSTEM
from services.booking.models import DECISION, VIOLATION
from services.booking.queries import read_violation
from services.booking.transactions import Transactions, until_fresh
from services.booking.transitions import (
    Snapshot,
    change,
    describe,
    failed_precondition,
    read,
    read_due,
    require,
    to_question,
)
from services.platform.clock import HOUR, from_timestamp
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.text.messages import message

EARLY_ENTRY = HOUR


async def report(
    transactions: Transactions,
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
        snapshot = await read(transactions, reservation_id, transactions.clock.now())
        if snapshot.record.HasField("enter_time"):
            return snapshot.record
        event = entry_event(snapshot, enter_time)
        require(snapshot, event)
        check_entry(snapshot, event, enter_time)
        if event == "note" and snapshot.record.HasField("early_enter_time"):
            return snapshot.record
        now, write = transactions.clock.now(), ENTRIES[event]

        def work(connection: Connection) -> pb.Reservation:
            if by:
                second_person.require(connection, reservation_id, actor)
            return write(connection, snapshot, actor, enter_time, now, **kept)

        return await transactions.commit(work, describe(by))

    return await until_fresh(attempt)


async def judge(transactions: Transactions, reservation_id: str, due: int) -> None:
    """Start plus grace has passed: the policy says whether the room is kept. Judged as of `due`, however late."""
    snapshot = await read_due(transactions, reservation_id, states.ATTENDANCE, due)
    if not snapshot or not states.next_state(snapshot.state, "release"):
        return
    question = to_question(pdp.ACTION_NO_SHOW, snapshot, due)
    decision = await transactions.policy.decide_one(question)
    kinds = {obligation.kind for obligation in decision.obligations}
    if policy.Obligation.KIND_RELEASE_ROOM not in kinds:
        return
    committed = from_timestamp(snapshot.record.release_time)  # earlier than `due` when it was not known at once

    def work(connection: Connection) -> None:
        connection.execute(sa.insert(DECISION), [decision_row(decision, question, SYSTEM, snapshot.record)])
        payload = events_pb2.ReservationEvent(decision=decision, actor=SYSTEM)
        record = change(connection, snapshot, "release", payload, due)
        standing.record_violation(connection, snapshot.account, record, decision, committed)

    await transactions.commit(work)


def is_early(record: pb.Reservation, enter_time: int) -> bool:
    """Whether it is before being inside counts as having come."""
    return enter_time < attendance_start(record)


def entry_event(snapshot: Snapshot, enter_time: int) -> str:
    if snapshot.state == states.NO_SHOW:
        return "prove"
    return "note" if is_early(snapshot.record, enter_time) else "enter"


def check_entry(snapshot: Snapshot, event: str, enter_time: int) -> None:
    """Raises errors.RpcError when an entry at this time (epoch ms) cannot be one into this reservation in time."""
    record = snapshot.record
    if event == "prove" and is_early(record, enter_time):
        words = message("entered before the start: who left again did not come")
        raise failed_precondition("TOO_EARLY", words)
    if event == "note" and enter_time < from_timestamp(record.start_time) - EARLY_ENTRY:
        words = message("entered more than an hour before the start: another occasion")
        raise failed_precondition("TOO_EARLY", words)
    if enter_time >= from_timestamp(record.end_time):
        raise errors.invalid("enter_time", message("lies after the end of the reservation"))
    if record.HasField("release_time") and enter_time > from_timestamp(record.release_time):
        raise failed_precondition("TOO_LATE", message("entered after the room was due for release"))


def annul(
    connection: Connection, snapshot: Snapshot, actor: str, enter_time: int, now: int, **kept: Any
) -> pb.Reservation:
    """A late proof: the reservation counts as held, its violation as waived."""
    payload = events_pb2.ReservationEvent(actor=actor)
    record = change(connection, snapshot, "prove", payload, now, enter_time=enter_time, **kept)
    violation = read_violation(connection, VIOLATION.c.reservation_id == record.reservation_id)
    if violation:
        standing.store_waiver(connection, violation, SYSTEM, "", now)
    return record


def enter(
    connection: Connection, snapshot: Snapshot, actor: str, enter_time: int, now: int, **kept: Any
) -> pb.Reservation:
    payload = events_pb2.ReservationEvent(actor=actor)
    return change(connection, snapshot, "enter", payload, now, enter_time=enter_time, **kept)


def note_entry(
    connection: Connection, snapshot: Snapshot, actor: str, enter_time: int, now: int, **kept: Any
) -> pb.Reservation:
    """Somebody looks in before the start; whether they are still there then is asked, where there is whom to ask."""
    payload = events_pb2.ReservationEvent(actor=actor)
    record = change(connection, snapshot, "note", payload, now, early_enter_time=enter_time, **kept)
    deadlines.insert(connection, deadlines.arrival_rows(record))
    return record


ENTRIES = {"enter": enter, "note": note_entry, "prove": annul}
"""What somebody's being inside comes to, by what it is to the reservation."""
