"""What is known of the organization's meetings: each thing that is heard moves the row of its meeting, whatever came
before it. Events come late, twice and in any order; a row follows from all that was heard and not from its order.

Times are epoch milliseconds. Whoever changes a row holds the counter (`lock`) until it is committed.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from services.meetings import stays
from services.meetings.ledger_models import COUNTER, LONGEST_SUBJECT, MEETING, VISIT, MeetingRow, VisitRow
from services.meetings.provider import MeetingKey, MeetingKind, Phase
from services.meetings.webhook_event import Kind, WebhookEvent
from services.platform.clock import DAY, MINUTE

CANCELLED = "CANCELLED"
"""The phase that no provider lists."""
STILL_INSIDE = 2**53
"""As `over_time` of a meeting that runs."""
UNTIL_ASKED = MINUTE
"""From the end on: the last to leave is told late."""
IN_VAIN = -1


def clean(text: str) -> str:
    """What databases can hold of what people call themselves and their meetings."""
    return text.replace("\0", "").encode(errors="replace").decode()


def lock(connection: Connection) -> None:
    """Until the transaction ends nobody else changes the ledger. Comes first in it: then nobody waits crosswise."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.execute(sa.select(COUNTER.c.id).with_for_update())


def next_version(connection: Connection) -> int:
    more = sa.update(COUNTER).values(last_version=COUNTER.c.last_version + 1).returning(COUNTER.c.last_version)
    return int(connection.execute(more).scalar_one())


def last_version(connection: Connection) -> int:
    return connection.scalar(sa.select(COUNTER.c.last_version)) or 0


def find(session: Session, key: MeetingKey) -> MeetingRow | None:
    named = select(MeetingRow).where(
        MeetingRow.provider == key.provider,
        MeetingRow.meeting_id == key.meeting_id,
        MeetingRow.sub_meeting_id == key.sub_meeting_id,
    )
    return session.exec(named).one_or_none()


def note(session: Session, events: Iterable[WebhookEvent], now: int) -> None:
    """What a provider reported, each thing for the first time. Under `lock`."""
    concerned: dict[int, tuple[MeetingRow, tuple[object, ...]]] = {}
    for event in events:
        for row in _concerned(session, event):
            concerned.setdefault(row_id(row), (row, shown(row)))
            _told(row, event)
            _happened(session, row, event)
    settle_all(session, [*concerned.values()], now)


def _concerned(session: Session, event: WebhookEvent) -> list[MeetingRow]:
    """Its meeting; all occurrences of one that is called off as a whole."""
    key = event.key
    if event.kind is Kind.CANCELLED and not key.sub_meeting_id:
        whole = select(MeetingRow).where(MeetingRow.provider == key.provider, MeetingRow.meeting_id == key.meeting_id)
        occurrences = list(session.exec(whole.order_by(col(MeetingRow.id))))
        if occurrences:
            return occurrences
    return [find(session, key) or new(session, key)]


def new(session: Session, key: MeetingKey) -> MeetingRow:
    row = MeetingRow(
        provider=key.provider,
        meeting_id=key.meeting_id,
        sub_meeting_id=key.sub_meeting_id,
        kind=MeetingKind.UNKNOWN.value,
    )
    session.add(row)
    session.flush()
    return row


def _told(row: MeetingRow, event: WebhookEvent) -> None:
    """What it says of the meeting: the latest word counts, of two at once the greater."""
    row.meeting_code = max(row.meeting_code, event.meeting_code)
    row.creator = max(row.creator, event.creator)
    at, subject = event.event_time, clean(event.subject)[:LONGEST_SUBJECT]
    if subject and (at, subject) >= (row.subject_time, row.subject):
        call(row, subject, at)
    if event.start_time and (at, event.start_time, event.end_time) >= (row.times_time, row.start_time, row.end_time):
        row.start_time, row.end_time, row.times_time = event.start_time, event.end_time, at


def call(row: MeetingRow, subject: str, at: int) -> None:
    row.subject, row.subject_folded, row.subject_time = subject, subject.casefold()[:LONGEST_SUBJECT], at


def _happened(session: Session, row: MeetingRow, event: WebhookEvent) -> None:
    at = event.event_time
    match event.kind:
        case Kind.CHANGED:
            row.plan_time = max(row.plan_time, at)
        case Kind.CANCELLED:
            row.cancel_time = max(row.cancel_time, at)
        case Kind.ENDED:
            row.ended_time = max(row.ended_time, at)
            emptied(session, row, at)
        case Kind.ENTERED:
            _entered(session, row, event)
        case Kind.LEFT:
            _left(session, row, event)


def _entered(session: Session, row: MeetingRow, event: WebhookEvent) -> None:
    at = event.event_time
    if at <= row.visits_until:
        return  # the provider's own list has it
    row.visits_complete = False
    sign(row, at)
    row.entry_time = max(row.entry_time, at)
    if _person(event):
        _mark(session, row, event, entered=True)
    else:
        row.nameless_time = max(row.nameless_time, at)


def _left(session: Session, row: MeetingRow, event: WebhookEvent) -> None:
    at = event.event_time
    if at <= row.visits_until:
        return
    sign(row, at)
    if _person(event):
        _mark(session, row, event, entered=False)
    if event.everybody_left:
        emptied(session, row, at)


def _person(event: WebhookEvent) -> str:
    return event.person_id or event.account


def sign(row: MeetingRow, at: int) -> None:
    row.first_sign = min(row.first_sign or at, at)


def emptied(session: Session, row: MeetingRow, at: int) -> None:
    """Nobody was inside at that time."""
    row.empty_time = max(row.empty_time, at)
    if at <= row.visits_until:
        return
    known = select(VisitRow.id).where(VisitRow.meeting_row == row.id, VisitRow.person == "", VisitRow.left_mark == at)
    if session.exec(known).first() is None:
        session.add(
            VisitRow(meeting_row=row_id(row), person="", terminal="", account="", display_name="", left_mark=at)
        )
    session.flush()  # what was expired unflushed would be lost
    v = VISIT.c
    later = (v.meeting_row == row.id) & (v.enter_time < at) & (v.leave_time.is_(None) | (v.leave_time > at))
    session.connection().execute(sa.update(VISIT).where(later).values(leave_time=at))
    session.expire_all()


def _mark(session: Session, row: MeetingRow, event: WebhookEvent, *, entered: bool) -> None:
    """One more report of a person at a device: their stays anew."""
    named = select(VisitRow).where(VisitRow.meeting_row == row.id, VisitRow.person == _person(event))
    known = session.exec(named.where(VisitRow.terminal == event.terminal)).all()
    by_entry = {each.enter_time: each for each in known if each.enter_time is not None}
    left = {each.left_mark for each in known if each.left_mark is not None}
    at = event.event_time
    if entered:
        visit = by_entry.setdefault(at, _visit(row, event, at))
        visit.account = max(visit.account, event.account)
        visit.display_name = max(visit.display_name, clean(event.display_name))
    else:
        left.add(at)
    found, alone = stays.pair(by_entry, left, _emptied(session, row))
    for stay in found:
        visit = by_entry[stay.enter_time]
        visit.left_mark, visit.leave_time = stay.mark, stay.leave_time
        session.add(visit)
    for each in known:
        if each.enter_time is None:
            session.delete(each)
    session.add_all(_visit(row, event, None, mark) for mark in alone)
    session.flush()


def _visit(row: MeetingRow, event: WebhookEvent, enter_time: int | None, mark: int | None = None) -> VisitRow:
    """A leaving without an entry names nobody: it may yet belong to a stay that does."""
    account, name = (event.account, clean(event.display_name)) if enter_time is not None else ("", "")
    return VisitRow(
        meeting_row=row_id(row),
        person=_person(event),
        terminal=event.terminal,
        account=account,
        display_name=name,
        enter_time=enter_time,
        left_mark=mark,
    )


def _emptied(session: Session, row: MeetingRow) -> list[int]:
    of_all = select(VisitRow.left_mark).where(VisitRow.meeting_row == row.id, VisitRow.person == "")
    return [each for each in session.exec(of_all) if each is not None]


def row_id(row: MeetingRow) -> int:
    """Any that is stored has one."""
    return row.id or 0


class Summary(NamedTuple):
    """Of the visits of a meeting."""

    people: int
    first_entry: int | None
    last_leave: int | None
    inside: int
    entered_since_empty: int
    entered_since_list: int
    left_since_list: int


NO_VISITS = Summary(0, None, None, 0, 0, 0, 0)


def _summaries(session: Session, rows: Sequence[MeetingRow]) -> dict[int, Summary]:
    """Of each of them that has visits, by its id."""
    session.flush()  # what they are counted by stands in the rows
    v, m = VISIT.c, MEETING.c

    def number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    figures = sa.select(
        v.meeting_row,
        sa.func.count(v.person.distinct()),
        sa.func.min(v.enter_time),
        sa.func.max(v.leave_time),
        number(v.enter_time.is_not(None) & v.leave_time.is_(None)),
        number(v.enter_time >= m.empty_time),
        number(v.enter_time > m.listed_time),
        number(v.left_mark > m.listed_time),
    ).join_from(VISIT, MEETING, m.id == v.meeting_row)
    theirs = v.meeting_row.in_([row.id for row in rows]) & (v.person != "")
    found = session.connection().execute(figures.where(theirs).group_by(v.meeting_row))
    return {one[0]: Summary(*one[1:]) for one in found}


def settle(session: Session, row: MeetingRow, former: tuple[object, ...], now: int) -> None:
    """As settle_all."""
    settle_all(session, [(row, former)], now)


def settle_all(session: Session, rows: Sequence[tuple[MeetingRow, tuple[object, ...]]], now: int) -> None:
    """What follows from all that is known of each; a new version when that is not what `shown` was before."""
    visits = _summaries(session, [row for row, _ in rows])
    for row, former in rows:
        _settle(row, visits.get(row_id(row), NO_VISITS), now)
        if shown(row) != former:
            row.version = next_version(session.connection())
        session.add(row)
    session.flush()


def _settle(row: MeetingRow, visits: Summary, now: int) -> None:
    row.inside_count = _inside(row, visits)
    row.phase = _phase(row, now)
    began = [each for each in (row.first_sign, visits.first_entry) if each]
    row.actual_start = min(began, default=None)
    left = max(visits.last_leave or 0, row.listed_end) or row.empty_time
    row.actual_end = left or None if began and row.phase != Phase.RUNNING else None
    somebody = 1 if row.first_sign else 0
    row.came_count = visits.people if row.visits_complete else max(visits.people, row.listed_came, somebody)
    _place(row)
    _ask_who_came(row)
    row.as_of = max(row.as_of, now)


def _inside(row: MeetingRow, visits: Summary) -> int:
    """The last list of running ones and what was reported since, or all reports since it was empty."""
    if row.ended_time >= max(row.entry_time, row.listed_time, 1):
        return 0  # whoever came in at that moment was put out, too
    if row.listed_time > row.empty_time:
        if row.listed_people is None:
            return max(1, visits.inside)
        return max(0, row.listed_people + visits.entered_since_list - visits.left_since_list)
    if row.nameless_time > row.empty_time and not visits.entered_since_empty:
        return 1
    return visits.inside


def _phase(row: MeetingRow, now: int) -> str:
    if row.inside_count:
        return Phase.RUNNING.value
    if row.cancel_time and row.cancel_time >= row.plan_time and not row.first_sign:
        return CANCELLED
    ended = bool(row.ended_time) and row.ended_time >= row.plan_time
    return Phase.ENDED.value if ended or _planned_end(row) <= now else Phase.COMING.value


def _planned_end(row: MeetingRow) -> int:
    """Of one whose plan nobody told: as soon as nobody is inside, or a day after it was planned."""
    return row.end_time or (0 if row.first_sign else row.plan_time + DAY)


def _place(row: MeetingRow) -> None:
    """Where it stands in its list."""
    row.begin_time = row.actual_start or row.start_time
    row.over_time = _planned_end(row)
    if row.phase == Phase.RUNNING:
        row.sort_time, row.over_time = row.begin_time, STILL_INSIDE
    elif row.phase == Phase.ENDED:
        row.over_time = row.actual_end or row.end_time or row.ended_time
        row.sort_time = row.over_time
    else:
        row.sort_time = row.start_time


def _ask_who_came(row: MeetingRow) -> None:
    if row.phase != Phase.ENDED or not row.actual_start or row.visits_complete:
        row.visits_due = 0
    elif row.visits_due != IN_VAIN:
        row.visits_due = (row.actual_end or row.over_time) + UNTIL_ASKED


def shown(row: MeetingRow) -> tuple[object, ...]:
    """What callers are told of it, and whether all its visits are known."""
    return (
        *(row.meeting_code, row.subject, row.creator, row.creator_name, row.kind, row.phase),
        *(row.start_time, row.end_time, row.actual_start, row.actual_end),
        *(row.inside_count, row.came_count, row.visits_complete),
    )
