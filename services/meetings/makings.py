"""Meetings that are made here, as they are stored: before the provider is asked, and what came of it.

One at a time is at a making: whoever is has it until `busy_until`, and is gone then. Times are epoch milliseconds.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, select
from yunhui.meetings.v1 import meeting_pb2 as pb

from services.meetings import ledger, rendering
from services.meetings.ledger_models import MAKING, MEETING, MakingRow
from services.meetings.plans import MeetingPlan
from services.meetings.provider import MadeMeeting, MeetingKey, MeetingKind, MeetingState, Phase
from services.meetings.webhook_event import Kind, WebhookEvent
from services.platform.clock import SECOND, to_timestamp
from services.platform.data.rows import open_session
from services.platform.messaging import outbox
from services.platform.serving import errors

PATIENCE_MS = 60 * SECOND
"""Longer than any provider may take for one question, with all its attempts, and than storing what came of it."""
SETTLED_MS = 90 * SECOND
"""After it was asked for a meeting that its provider does not list then will not come any more."""
LONGEST_MESSAGE = 500


class MakingState(StrEnum):
    """NEW: nothing was done so far. ASKED: nobody knows. NONE: there is none, and there will be none."""

    NEW = "NEW"
    ASKED = "ASKED"
    MADE = "MADE"
    REFUSED = "REFUSED"
    NONE = "NONE"


class Task(StrEnum):
    """What is to be done next by whoever asked. WAIT: another one is at it."""

    NOTHING = "NOTHING"
    WAIT = "WAIT"
    ASK = "ASK"
    SEARCH = "SEARCH"
    MOVE = "MOVE"
    CALL_OFF = "CALL_OFF"


class MakingStep(NamedTuple):
    row: MakingRow
    task: Task


class MakingRefusal(NamedTuple):
    """`reason` as in the contract; `words` are the provider's."""

    reason: str
    words: str


def begin_make(
    connection: Connection, making_id: str, creator: str, plan: MeetingPlan, provider: str, now: int
) -> MakingStep:
    """Raises errors.invalid when the id is another meeting's."""
    ledger.lock(connection)
    with open_session(connection) as session:
        row = _row(session, making_id) or _new(session, making_id, now)
        if row.state == MakingState.NONE or row.unwanted:
            return MakingStep(row, Task.NOTHING)
        if row.creator and (row.creator, row.subject) != (creator, plan.subject):
            raise errors.invalid("making_id", "was used before for another meeting")
        if row.state not in (MakingState.NEW, MakingState.ASKED):
            return MakingStep(row, Task.NOTHING)
        if not _take(row):
            return MakingStep(row, Task.WAIT)
        if row.state == MakingState.ASKED:
            return MakingStep(row, Task.SEARCH)
        row.creator, row.subject = creator, plan.subject
        row.start_time, row.end_time = plan.start_time, plan.end_time
        row.hosts = json.dumps([each for each in plan.options.hosts if each != creator])
        row.state, row.provider, row.ask_time = MakingState.ASKED, provider, outbox.real_time()
        row.known_row = connection.scalar(sa.select(sa.func.max(MEETING.c.id))) or 0
        return MakingStep(row, Task.ASK)


def begin_unmake(connection: Connection, making_id: str, now: int) -> MakingStep:
    """From here on nothing is made."""
    with open_session(connection) as session:
        row = _row(session, making_id) or _new(session, making_id, now)
        row.unwanted = True
        if row.state in (MakingState.NEW, MakingState.REFUSED):
            row.state = MakingState.NONE
        if row.state == MakingState.NONE:
            return MakingStep(row, Task.NOTHING)
        if not _take(row):
            return MakingStep(row, Task.WAIT)
        return MakingStep(row, Task.CALL_OFF if row.state == MakingState.MADE else Task.SEARCH)


def begin_move(connection: Connection, making_id: str) -> MakingStep:
    """Its state is NEW when nobody asked for it so far."""
    with open_session(connection) as session:
        row = _row(session, making_id) or MakingRow(making_id=making_id, state=MakingState.NEW, create_time=0)
        if row.state != MakingState.MADE or row.unwanted:
            return MakingStep(row, Task.NOTHING)
        return MakingStep(row, Task.MOVE if _take(row) else Task.WAIT)


def _row(session: Session, making_id: str) -> MakingRow | None:
    """Nobody else has it until the transaction ends."""
    return session.get(MakingRow, making_id, with_for_update=True)


def _new(session: Session, making_id: str, now: int) -> MakingRow:
    row = MakingRow(making_id=making_id, state=MakingState.NEW, create_time=now)
    session.add(row)
    return row


def _take(row: MakingRow) -> bool:
    now = outbox.real_time()
    if row.busy_until >= now:
        return False
    row.busy_until = now + PATIENCE_MS
    return True


def _held(session: Session, making_id: str) -> MakingRow:
    """By whoever calls, who lets go of it."""
    row = session.exec(select(MakingRow).where(MakingRow.making_id == making_id).with_for_update()).one()
    row.busy_until = 0
    return row


def let_go(connection: Connection, making_id: str) -> MakingRow:
    """Nobody knows more than before."""
    with open_session(connection) as session:
        return _held(session, making_id)


def nothing_done(connection: Connection, making_id: str) -> MakingRow:
    """The provider made nothing, and will not."""
    with open_session(connection) as session:
        row = _held(session, making_id)
        if row.state == MakingState.ASKED:
            row.state = MakingState.NONE if row.unwanted else MakingState.NEW
        return row


def refused(connection: Connection, making_id: str, refusal: MakingRefusal) -> MakingRow:
    with open_session(connection) as session:
        row = _held(session, making_id)
        if row.state == MakingState.ASKED:
            row.state = MakingState.NONE if row.unwanted else MakingState.REFUSED
            row.refusal, row.provider_message = refusal.reason, shortened(refusal.words)
        return row


def made(connection: Connection, making_id: str, found: MadeMeeting, now: int) -> MakingRow:
    """Also when it is unwanted by now, to be called off then. Not when another making has got it meanwhile."""
    ledger.lock(connection)
    with open_session(connection) as session:
        row, meeting = _held(session, making_id), found.meeting
        if row.state == MakingState.ASKED and not _taken(connection, row, [found]):
            row.state, row.provider, row.meeting_id = MakingState.MADE, meeting.provider, meeting.meeting_id
            row.meeting_code, row.join_url = meeting.meeting_code, found.join_url
            _note(session, row, Kind.CHANGED, now)
        return row


def moved(connection: Connection, making_id: str, start_time: int, end_time: int, now: int) -> MakingRow:
    ledger.lock(connection)
    with open_session(connection) as session:
        row = _held(session, making_id)
        row.start_time, row.end_time = start_time, end_time
        _note(session, row, Kind.CHANGED, now)
        return row


def called_off(connection: Connection, making_id: str, now: int) -> MakingRow:
    ledger.lock(connection)
    with open_session(connection) as session:
        row = _held(session, making_id)
        if row.state == MakingState.MADE:
            _note(session, row, Kind.CANCELLED, now)
        row.state = MakingState.NONE
        return row


def kept(connection: Connection, making_id: str) -> MakingRow:
    """The provider does not let go of it: it is a meeting as before."""
    with open_session(connection) as session:
        row = _held(session, making_id)
        row.unwanted = False
        return row


def shortened(words: str) -> str:
    return ledger.clean(words)[:LONGEST_MESSAGE]


def _note(session: Session, row: MakingRow, kind: Kind, now: int) -> None:
    """In the ledger, as if an event had told."""
    key = rendering.key_of_making(row)
    meeting = ledger.find(session, key) or ledger.new(session, key)
    if meeting.kind == MeetingKind.UNKNOWN:
        meeting.kind = MeetingKind.SINGLE.value
    times = (row.start_time, row.end_time) if kind is Kind.CHANGED else (0, 0)
    event = WebhookEvent(
        kind, key, now, (), row.meeting_code, "", False, *times, subject=row.subject, creator=row.creator
    )
    ledger.note(session, [event], now)


def could_be(connection: Connection, row: MakingRow, candidates: Sequence[MadeMeeting]) -> list[MadeMeeting]:
    """Without those that were known before it was asked for, and those of other makings."""
    m, ids = MEETING.c, [each.meeting.meeting_id for each in candidates]
    known = sa.select(m.meeting_id).where(m.provider == row.provider, m.meeting_id.in_(ids), m.id <= row.known_row)
    others = {*connection.scalars(known), *_taken(connection, row, candidates)}
    return [each for each in candidates if each.meeting.meeting_id not in others]


def _taken(connection: Connection, row: MakingRow, found: Sequence[MadeMeeting]) -> set[str]:
    """Those of them that other makings have."""
    m, ids = MAKING.c, [each.meeting.meeting_id for each in found]
    theirs = (m.provider == row.provider) & m.meeting_id.in_(ids) & (m.making_id != row.making_id)
    return {*connection.scalars(sa.select(m.meeting_id).where(theirs))}


def join_url(connection: Connection, key: MeetingKey, account: str) -> str:
    """For whoever made or hosts it; "" for everybody else."""
    of_it = select(MakingRow).where(MakingRow.provider == key.provider, MakingRow.meeting_id == key.meeting_id)
    with open_session(connection) as session:
        row = session.exec(of_it.where(MakingRow.meeting_id != "")).one_or_none()
    return row.join_url if row and account in hosts(row) else ""


def hosts(row: MakingRow) -> list[str]:
    """The creator first."""
    return [row.creator, *map(str, json.loads(row.hosts))]


def meeting(connection: Connection, row: MakingRow) -> pb.Meeting:
    """As it is now."""
    with open_session(connection) as session:
        known = ledger.find(session, rendering.key_of_making(row))
    start, end = (known.start_time, known.end_time) if known else (row.start_time, row.end_time)
    state = STATES.get(known.phase if known else "", MeetingState.SCHEDULED)
    return pb.Meeting(
        provider=row.provider,
        meeting_id=row.meeting_id,
        meeting_code=row.meeting_code,
        subject=known.subject if known else row.subject,
        creator_account_id=row.creator,
        host_account_ids=hosts(row),
        state=pb.MeetingState.Value(f"MEETING_STATE_{state}"),
        occurrences=[pb.Occurrence(start_time=to_timestamp(start), end_time=to_timestamp(end))],
    )


STATES = {
    Phase.COMING.value: MeetingState.SCHEDULED,
    Phase.RUNNING.value: MeetingState.RUNNING,
    Phase.ENDED.value: MeetingState.ENDED,
    ledger.CANCELLED: MeetingState.CANCELLED,
}
