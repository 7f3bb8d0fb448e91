"""The ledger as it is read: lists by key, one meeting, who was inside when, and how well."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.contracts import invitations
from services.meetings import ledger, rendering, requests
from services.meetings.ledger_models import MEETING, SWEEP, MeetingRow, QualitySampleRow, VisitRow
from services.meetings.provider import MeetingKey, Phase
from services.platform.clock import to_timestamp
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from services.platform.serving import errors, pages
from services.platform.text.messages import message

MOST_COUNTED = 10_000
MOST_SAMPLES = 10_000
LONGEST_QUERY = 100
NEWEST_FIRST = (Phase.ENDED.value, ledger.CANCELLED)


@dataclass(frozen=True, slots=True)
class Sight:
    """Whose meetings somebody sees: those that an account made; None: all."""

    creator: str | None

    def includes(self, row: MeetingRow) -> bool:
        return self.creator is None or row.creator == self.creator


EVERYBODYS = Sight(None)


def no_such_meeting() -> errors.RpcError:
    return errors.not_found("meeting", message("there is no such meeting"))


def seen(session: Session, key: MeetingKey, sight: Sight) -> MeetingRow:
    """Raises NOT_FOUND, also for one that is another's."""
    row = ledger.find(session, key)
    if row is None or not sight.includes(row):
        raise no_such_meeting()
    return row


async def list_(
    database: Database, request: api.ListMeetingsRequest, sight: Sight, providers: Collection[str]
) -> api.ListMeetingsResponse:
    """`providers`: those in use. Raises errors.RpcError."""
    phase = _name("phase", pb.MeetingPhase, request.phase)
    if not phase:
        raise errors.invalid("phase", errors.REQUIRED)
    size, key = pages.size(request.page_size), _position(request.page_token)
    creator = sight.creator or requests.account(request.creator_account_id, "creator_account_id")
    conditions = [MEETING.c.phase == phase, *_conditions(request)]
    if creator:
        conditions.append(MEETING.c.creator == creator)

    def work(connection: Connection) -> api.ListMeetingsResponse:
        counted = sa.select(sa.literal(1)).select_from(MEETING).where(*conditions).limit(MOST_COUNTED)
        total = connection.scalar(sa.select(sa.func.count()).select_from(counted.subquery())) or 0
        rows = _page(connection, conditions, phase, key, size + 1)
        last = rows[size - 1] if len(rows) > size else None
        return api.ListMeetingsResponse(
            meetings=[rendering.to_meeting(row) for row in rows[:size]],
            next_page_token=pages.to_token(last.sort_time, str(last.id)) if last else "",
            total_count=total,
            as_of=_read_whole(connection, phase, providers),
        )

    return await database.read(work)


def _conditions(request: api.ListMeetingsRequest) -> list[sa.ColumnElement[bool]]:
    c, met = MEETING.c, list[sa.ColumnElement[bool]]()
    since, until = _moment("start_time", request), _moment("end_time", request)
    if since is not None and until is not None and until <= since:
        raise errors.invalid("end_time", errors.LATER)
    if since is not None:
        met.append(c.over_time > since)
    if until is not None:
        met.append(c.begin_time < until)
    if request.meeting_code:
        met.append(c.meeting_code == invitations.meeting_code(request.meeting_code))
    if query := requests.line("query", request.query, LONGEST_QUERY).casefold():
        met.append(c.subject_folded.contains(query, autoescape=True))
    if kind := _name("kind", pb.MeetingKind, request.kind):
        met.append(c.kind == kind)
    return met


def _moment(field: str, request: api.ListMeetingsRequest) -> int | None:
    given: Timestamp = getattr(request, field)
    return errors.moment(field, given) if request.HasField(field) else None  # type: ignore[arg-type] # a field's name


def _name(field: str, kind: Any, given: int) -> str:
    """What its value is called here; "" for the one that is none. Raises errors.invalid."""
    if given not in kind.values():
        raise errors.invalid(field, message("{number} is none that we know", number=given))
    prefix = str(kind.Name(0)).removesuffix("UNSPECIFIED")
    return str(kind.Name(given)).removeprefix(prefix) if given else ""


def _position(token: str) -> tuple[int, int] | None:
    """Of the last row of the page before."""
    key = pages.from_token(token)
    if key is None:
        return None
    if not (key[1].isascii() and key[1].isdigit() and len(key[1]) < 19):
        raise pages.not_ours()
    return key[0], int(key[1])


def _page(
    connection: Connection,
    conditions: list[sa.ColumnElement[bool]],
    phase: str,
    key: tuple[int, int] | None,
    limit: int,
) -> list[MeetingRow]:
    """Found by what stands in an index; only the rows that are shown are looked up."""
    c, place = MEETING.c, (MEETING.c.sort_time, MEETING.c.id)
    downwards = phase in NEWEST_FIRST
    found = sa.select(c.id).where(*conditions).order_by(*(each.desc() if downwards else each for each in place))
    if key:
        here, last = sa.tuple_(*place), sa.tuple_(*key)
        found = found.where(here < last if downwards else here > last)
    ids = connection.scalars(found.limit(limit)).all()
    with open_session(connection) as session:
        rows = {row.id: row for row in session.exec(select(MeetingRow).where(col(MeetingRow.id).in_(ids)))}
    return [rows[each] for each in ids]


def _read_whole(connection: Connection, phase: str, providers: Collection[str]) -> Timestamp | None:
    """When the last of them was read to its end; None as long as one never was."""
    times = sa.select(SWEEP.c.read_time).where(SWEEP.c.phase == phase, SWEEP.c.provider.in_(providers))
    read = connection.scalars(times).all()
    return to_timestamp(min(read)) if providers and len(read) == len(providers) else None


async def get(database: Database, key: MeetingKey, sight: Sight) -> MeetingRow:
    """Raises NOT_FOUND."""

    def work(connection: Connection) -> MeetingRow:
        with open_session(connection) as session:
            return seen(session, key, sight)

    return await database.read(work)


async def visits(database: Database, request: api.ListVisitsRequest, sight: Sight) -> api.ListVisitsResponse:
    """Raises errors.RpcError."""
    key = requests.meeting_key(request.meeting)
    size, position = pages.size(request.page_size, usual=100), _position(request.page_token)

    def work(connection: Connection) -> api.ListVisitsResponse:
        with open_session(connection) as session:
            meeting = seen(session, key, sight)
            place = (col(VisitRow.enter_time), col(VisitRow.id))
            those = select(VisitRow).where(VisitRow.meeting_row == meeting.id, col(VisitRow.enter_time).is_not(None))
            if position:
                those = those.where(sa.tuple_(*place) > sa.tuple_(*position))
            rows = session.exec(those.order_by(*place).limit(size + 1)).all()
            last = rows[size - 1] if len(rows) > size else None
            return api.ListVisitsResponse(
                visits=[rendering.to_visit(row) for row in rows[:size]],
                next_page_token=pages.to_token(last.enter_time or 0, str(last.id)) if last else "",
                complete=meeting.visits_complete,
            )

    return await database.read(work)


async def quality(database: Database, request: api.GetQualityRequest, sight: Sight) -> api.GetQualityResponse:
    """Raises errors.RpcError."""
    key, account = requests.meeting_key(request.meeting), requests.account(request.account_id)

    def work(connection: Connection) -> api.GetQualityResponse:
        with open_session(connection) as session:
            meeting = seen(session, key, sight)
            of_it = select(QualitySampleRow).where(QualitySampleRow.meeting_row == meeting.id)
            if account:
                of_it = of_it.where(QualitySampleRow.account == account)
            ordered = of_it.order_by(col(QualitySampleRow.sample_time), col(QualitySampleRow.id)).limit(MOST_SAMPLES)
            return api.GetQualityResponse(samples=[rendering.to_sample(row) for row in session.exec(ordered)])

    return await database.read(work)
