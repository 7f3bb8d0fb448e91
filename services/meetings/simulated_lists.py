"""The lists of the simulated provider's meetings, in pages as the original has them. Each page adds up all visits that
there are: this provider is for development.

A page is the rows after so many others of the list as it is now. So what leaves the list between two questions moves
the rest up, and a row can be missed at the border of two pages; what comes can push a row onto the next page, which is
then told twice. `total` tells that something came or left. ENDED is in the order of the end, so that what ends
is added behind all others: whoever reads it on misses nothing.
"""

from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from services.meetings.models import SimulatedMeeting, SimulatedOccurrence, SimulatedVisit
from services.meetings.provider import ListedMeeting, MeetingKey, MeetingKind, MeetingPage, Phase
from services.meetings.simulated_rows import NAME

PAGE = 50
LARGEST_PAGE = 1_000_000


def page(session: Session, phase: Phase, since: int | None, until: int | None, number: int, now: int) -> MeetingPage:
    """The meetings of page `number`, from 1 on; none after the last."""
    rows = _of_phase(phase, now)
    listed = rows.where(*_touching(rows, since, until)) if since is not None or until is not None else rows
    total = session.execute(sa.select(sa.func.count()).select_from(listed.subquery())).scalar_one()
    start = (min(max(number, 1), LARGEST_PAGE) - 1) * PAGE
    columns = listed.selected_columns
    ordered = listed.order_by(columns.order_time, columns.meeting_id, columns.number).offset(start).limit(PAGE)
    found = session.execute(ordered).all()
    following = number + 1 if start + PAGE < total else 0
    return MeetingPage(tuple(_to_listed(phase, row) for row in found), following, total)


def _touching(rows: Any, since: int | None, until: int | None) -> list[Any]:
    """What takes no time touches the moment at which it is."""
    columns = rows.selected_columns
    conditions = []
    if until is not None:
        conditions.append(columns.start_time < until)
    if since is not None:
        conditions.append(sa.or_(columns.last_time > since, columns.start_time >= since))
    return conditions


def _of_phase(phase: Phase, now: int) -> Any:
    """Columns: meeting_id, number, meeting_code, subject, creator, start_time, end_time, people; order_time, last_time:
    until when it counts for a window."""
    times, visits = _times().subquery(), _visits().subquery()
    same = sa.and_(visits.c.meeting_id == times.c.meeting_id, visits.c.occurrence == times.c.number)
    joined = times.outerjoin(visits, same)
    nobody = sa.func.coalesce(visits.c.inside, 0) == 0
    common = [times.c.meeting_id, times.c.number, times.c.meeting_code, times.c.subject, times.c.creator]
    planned = [times.c.start_time, times.c.end_time]
    if phase == Phase.RUNNING:
        late = sa.case((times.c.end_time > now, times.c.end_time), else_=now + 1)
        more = [visits.c.inside.label("people"), visits.c.first.label("order_time"), late.label("last_time")]
        return sa.select(*common, *planned, *more).select_from(joined).where(visits.c.inside > 0)
    off = sa.or_(times.c.ended, times.c.cancelled)
    if phase == Phase.COMING:
        more = [
            sa.null().label("people"),
            times.c.start_time.label("order_time"),
            times.c.end_time.label("last_time"),
        ]
        coming = sa.and_(nobody, sa.not_(off), times.c.end_time > now)
        return sa.select(*common, *planned, *more).select_from(joined).where(coming)
    actual = [visits.c.first.label("start_time"), visits.c.last.label("end_time"), visits.c.people.label("people")]
    more = [visits.c.last.label("order_time"), visits.c.last.label("last_time")]
    over = sa.and_(visits.c.inside == 0, sa.or_(off, times.c.end_time <= now))
    return sa.select(*common, *actual, *more).select_from(joined).where(over)


def _times() -> Any:
    """Every sitting: a meeting with occurrences is only those."""
    meeting, occurrence = (sa.inspect(each).local_table.c for each in (SimulatedMeeting, SimulatedOccurrence))
    common = [meeting.id.label("meeting_id"), meeting.meeting_code, meeting.subject, meeting.creator]

    def own(times: Any) -> list[Any]:
        return [times.start_time, times.end_time, times.ended, times.cancelled]

    recurs = sa.exists().where(occurrence.meeting_id == meeting.id)
    once = sa.select(*common, sa.literal(0).label("number"), *own(meeting)).where(~recurs)
    often = sa.select(*common, occurrence.number, *own(occurrence)).where(occurrence.meeting_id == meeting.id)
    return sa.union_all(once, often)


def _visits() -> Any:
    visit = sa.inspect(SimulatedVisit).local_table.c
    person = sa.case((visit.person_id == "", visit.account), else_=visit.person_id)
    return sa.select(
        visit.meeting_id,
        visit.occurrence,
        sa.func.min(visit.enter_time).label("first"),
        sa.func.max(visit.leave_time).label("last"),
        sa.func.count(sa.distinct(person)).label("people"),
        sa.func.count(sa.case((visit.leave_time.is_(None), 1))).label("inside"),
    ).group_by(visit.meeting_id, visit.occurrence)


def _to_listed(phase: Phase, row: Any) -> ListedMeeting:
    return ListedMeeting(
        key=MeetingKey(NAME, str(row.meeting_id), str(row.number or "")),
        phase=phase,
        meeting_code=row.meeting_code,
        subject=row.subject,
        creator=row.creator,
        creator_name=row.creator,
        kind=MeetingKind.RECURRING if row.number else MeetingKind.SINGLE,
        start_time=row.start_time,
        end_time=row.end_time,
        people=row.people,
    )
