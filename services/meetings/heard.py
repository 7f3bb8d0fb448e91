"""What the ledger takes from a provider's answers: its lists, and what follows from all of one; who came, in the end.

All under `ledger.lock`. Times are epoch milliseconds.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from services.meetings import ledger
from services.meetings.ledger_models import LONGEST_SUBJECT, MEETING, VISIT, MeetingRow, VisitRow
from services.meetings.provider import Kind, ListedMeeting, MeetingKey, Participant, Phase
from services.platform.data.rows import open_session

OVER_AT_ONCE = 200


def hear(session: Session, listed: Sequence[ListedMeeting], heard: int, now: int) -> None:
    """Some of a provider's list, which it was asked for at `heard`. Under `lock`."""
    if not listed:
        return
    ids = {each.key.meeting_id for each in listed}
    theirs = select(MeetingRow).where(
        MeetingRow.provider == listed[0].key.provider, col(MeetingRow.meeting_id).in_(ids)
    )
    rows = {(row.meeting_id, row.sub_meeting_id): row for row in session.exec(theirs)}
    formers: dict[int, tuple[MeetingRow, tuple[object, ...]]] = {}
    for each in listed:
        name = (each.key.meeting_id, each.key.sub_meeting_id)
        row = rows.get(name) or rows.setdefault(name, ledger.new(session, each.key))
        formers.setdefault(ledger.row_id(row), (row, ledger.shown(row)))
        _describe(row, each, heard)
        _place_by_list(session, row, each, heard)
    ledger.settle_all(session, [*formers.values()], now)


def _describe(row: MeetingRow, listed: ListedMeeting, heard: int) -> None:
    row.meeting_code = listed.meeting_code or row.meeting_code
    row.creator = listed.creator or row.creator
    row.creator_name = ledger.clean(listed.creator_name) or row.creator_name
    if listed.kind is not Kind.UNKNOWN:
        row.kind = listed.kind.value
    if listed.subject and heard >= row.subject_time:
        ledger.call(row, ledger.clean(listed.subject)[:LONGEST_SUBJECT], heard)
    if listed.phase is not Phase.ENDED and listed.start_time and heard >= row.times_time:
        row.start_time, row.end_time, row.times_time = listed.start_time, listed.end_time, heard


def _place_by_list(session: Session, row: MeetingRow, listed: ListedMeeting, heard: int) -> None:
    match listed.phase:
        case Phase.COMING:
            row.coming_time = max(row.coming_time, heard)
            row.plan_time = max(row.plan_time, heard)
        case Phase.RUNNING:
            row.visits_complete = row.visits_complete and heard <= row.visits_until
            if heard >= row.listed_time:
                row.listed_time, row.listed_people = heard, listed.people
                row.listed_came = max(row.listed_came, listed.people or 0)
            ledger.sign(row, heard)
        case Phase.ENDED:
            row.visits_complete = row.visits_complete and listed.end_time <= row.visits_until
            ledger.sign(row, listed.start_time)
            row.listed_came = max(row.listed_came, listed.people or 0)
            row.listed_end = max(row.listed_end, listed.end_time)
            row.ended_time = max(row.ended_time, listed.end_time)
            ledger.emptied(session, row, listed.end_time)


def unlisted(session: Session, row: MeetingRow, at: int, now: int) -> None:
    """It is in its list no more, which was asked for at `at`: what ran is over, what was to come was called off."""
    former = ledger.shown(row)
    if row.phase == Phase.RUNNING:
        ledger.emptied(session, row, at)
    else:
        row.cancel_time = max(row.cancel_time, at)
    ledger.settle(session, row, former, now)


def was_ended(session: Session, key: MeetingKey, now: int) -> None:
    """We ended it. Under `lock`."""
    if row := ledger.find(session, key):
        former = ledger.shown(row)
        row.ended_time = max(row.ended_time, now)
        ledger.emptied(session, row, now)
        ledger.settle(session, row, former, now)


def _planned_to_be_over(now: int) -> sa.ColumnElement[bool]:
    c = MEETING.c
    return (c.phase == Phase.COMING.value) & (c.sort_time <= now) & (c.over_time <= now)


def are_over(connection: Connection, now: int) -> bool:
    """Whether the planned end of some has come that are said to be coming."""
    return connection.scalar(sa.select(MEETING.c.id).where(_planned_to_be_over(now)).limit(1)) is not None


def end_planned(connection: Connection, now: int) -> None:
    """Some of them, in a transaction of their own."""
    ledger.lock(connection)
    with open_session(connection) as session:
        for row in session.exec(select(MeetingRow).where(_planned_to_be_over(now)).limit(OVER_AT_ONCE)).all():
            as_of = row.as_of
            ledger.settle(session, row, ledger.shown(row), now)
            row.as_of = as_of  # nothing was heard


def complete(
    session: Session, row: MeetingRow, people: Sequence[Participant], since: int, heard: int, now: int
) -> None:
    """All who were inside at or after `since`, as the provider told at `heard`; nobody was inside any more."""
    former, v = ledger.shown(row), VISIT.c
    session.flush()
    before = (v.meeting_row == row.id) & (sa.func.coalesce(v.enter_time, v.left_mark) <= heard)
    session.connection().execute(sa.delete(VISIT).where(before))
    session.expire_all()
    session.add_all(
        VisitRow(
            meeting_row=ledger.row_id(row),
            person=each.account or ledger.clean(each.display_name) or "?",
            terminal="",
            account=each.account,
            display_name=ledger.clean(each.display_name),
            enter_time=stay.enter_time,
            left_mark=stay.leave_time,
            leave_time=stay.leave_time,
        )
        for each in people
        for stay in each.stays
    )
    session.flush()
    row.visits_since, row.visits_until = since, heard
    row.visits_complete = max(row.entry_time, row.listed_time) <= heard
    ledger.settle(session, row, former, now)
