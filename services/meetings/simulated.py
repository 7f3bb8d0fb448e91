"""A provider for machines without an account anywhere: its meetings are rows, and commands play its people."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel
from ulid import ULID

from services import errors
from services.clock import Clock
from services.database import Database
from services.meetings import models
from services.meetings.happenings import Happening, Happenings, Kind
from services.meetings.provider import (
    Control,
    Meeting,
    MeetingKey,
    NoSuchMeetingError,
    Occurrence,
    Participant,
    State,
    Stay,
    WrongStateError,
)

NAME = "simulated"
FIRST_CODE = 900_000_000
MEETING = SQLModel.metadata.tables[str(models.SimulatedMeeting.__tablename__)]
VISIT = SQLModel.metadata.tables[str(models.SimulatedVisit.__tablename__)]


class Simulated:
    """The provider. An account is a user of the same name. Its meetings outlive a restart."""

    name = NAME

    def __init__(self, database: Database, clock: Clock, happenings: Happenings) -> None:
        self._database = database
        self._clock = clock
        self._happenings = happenings

    async def find(self, meeting_code: str, account: str | None) -> Meeting:
        return await self._database.read(lambda connection: self._told(connection, newest(connection, meeting_code)))

    async def get(self, meeting_id: str, account: str | None) -> Meeting:
        return await self._database.read(lambda connection: self._told(connection, by_id(connection, meeting_id)))

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        def work(connection: Connection) -> list[Participant]:
            return to_participants(visits(connection, by_id(connection, key.meeting_id)["id"]))

        return await self._database.read(work)

    async def present(self, key: MeetingKey) -> list[Participant]:
        return [each for each in await self.participants(key, None) if each.leave_time is None]

    async def end(self, key: MeetingKey) -> None:
        await self._happenings.write(lambda connection: self._end(connection, by_id(connection, key.meeting_id)))

    async def control(self, key: MeetingKey, control: Control) -> None:
        if not await self.present(key):
            raise WrongStateError("nobody is inside")

    async def create(self, meeting_code: str, subject: str, creator: str, start: int, end: int) -> Meeting:
        """`meeting_code` "" chooses one. Raises errors.RpcError ALREADY_EXISTS."""
        row = {"subject": subject, "creator": creator, "start_time": start, "end_time": end}

        def work(connection: Connection) -> Meeting:
            code = meeting_code or free_code(connection)
            if meeting_code and self._in_use(connection, code):
                words = "this number belongs to a meeting that is not over: choose another one, or cancel that one"
                raise errors.failure(
                    grpc.StatusCode.ALREADY_EXISTS,
                    "NUMBER_IN_USE",
                    words,
                    "这个会议号正在使用：请换一个，或取消那场会议",
                )
            fresh = {**row, "meeting_code": code, "ended": False, "cancelled": False}
            connection.execute(sa.insert(MEETING), [fresh])
            return self._told(connection, newest(connection, code))

        return await self._database.write(work)

    async def enter(self, meeting_code: str, account: str) -> Meeting:
        """Entering twice is being inside once."""

        def work(connection: Connection, row: sa.RowMapping) -> None:
            now = self._clock.now()
            if row["cancelled"] or row["ended"]:
                raise not_allowed(
                    "nobody can enter a meeting that was cancelled or ended", "会议已取消或已结束，无法进入"
                )
            if any(each["account"] == account for each in inside(connection, row["id"])):
                return
            visit = {"meeting_id": row["id"], "account": account, "enter_time": now, "leave_time": None}
            connection.execute(sa.insert(VISIT), [visit])
            self._happenings.store(connection, [happening(Kind.ENTERED, row, now, account=account)])

        return await self._act(meeting_code, work)

    async def leave(self, meeting_code: str, account: str) -> Meeting:
        def work(connection: Connection, row: sa.RowMapping) -> None:
            if not any(each["account"] == account for each in inside(connection, row["id"])):
                raise not_allowed(f"{account} is not inside", f"{account} 不在会议中")
            self._leave(connection, row, account)

        return await self._act(meeting_code, work)

    async def wait(self, meeting_code: str, account: str) -> Meeting:
        """The waiting room: nothing that counts happens."""
        return await self._act(meeting_code, lambda _connection, _row: None)

    async def end_by_host(self, meeting_code: str, account: str) -> Meeting:
        return await self._act(meeting_code, self._end)

    async def cancel(self, meeting_code: str, account: str) -> Meeting:
        def work(connection: Connection, row: sa.RowMapping) -> None:
            if inside(connection, row["id"]):
                raise not_allowed(
                    "a meeting with people inside cannot be cancelled: end it", "会议中有人，不能取消：请结束会议"
                )
            _update(connection, row, cancelled=True)
            self._happenings.store(connection, [happening(Kind.CANCELLED, row, self._clock.now())])

        return await self._act(meeting_code, work)

    async def move(self, meeting_code: str, start: int, end: int | None) -> Meeting:
        def work(connection: Connection, row: sa.RowMapping) -> None:
            last = end or start + row["end_time"] - row["start_time"]
            if last <= start:
                raise errors.invalid("end_time", *errors.LATER)
            _update(connection, row, start_time=start, end_time=last)
            told = happening(Kind.CHANGED, row, self._clock.now())
            self._happenings.store(connection, [replace(told, start_time=start, end_time=last)])

        return await self._act(meeting_code, work)

    async def _act(self, meeting_code: str, work: Callable[[Connection, sa.RowMapping], None]) -> Meeting:
        """Raises errors.RpcError NOT_FOUND."""

        def act(connection: Connection) -> None:
            try:
                row = newest(connection, meeting_code)
            except NoSuchMeetingError as error:
                raise errors.not_found("meeting", "没有这场会议") from error
            work(connection, row)

        await self._happenings.write(act)
        return await self.find(meeting_code, None)

    def _end(self, connection: Connection, row: sa.RowMapping) -> None:
        if row["ended"] or row["cancelled"]:
            return
        for visit in inside(connection, row["id"]):
            self._leave(connection, row, visit["account"])
        _update(connection, row, ended=True)
        self._happenings.store(connection, [happening(Kind.ENDED, row, self._clock.now())])

    def _leave(self, connection: Connection, row: sa.RowMapping, account: str) -> None:
        now = self._clock.now()
        mine = (VISIT.c.meeting_id == row["id"]) & (VISIT.c.account == account) & VISIT.c.leave_time.is_(None)
        connection.execute(sa.update(VISIT).where(mine).values(leave_time=now))
        everybody = not inside(connection, row["id"])
        told = happening(Kind.LEFT, row, now, account=account)
        self._happenings.store(connection, [replace(told, everybody_left=everybody)])

    def _in_use(self, connection: Connection, meeting_code: str) -> bool:
        try:
            state = self._told(connection, newest(connection, meeting_code)).state
        except NoSuchMeetingError:
            return False
        return state in (State.SCHEDULED, State.RUNNING)

    def _told(self, connection: Connection, row: sa.RowMapping) -> Meeting:
        return Meeting(
            provider=NAME,
            meeting_id=str(row["id"]),
            meeting_code=row["meeting_code"],
            subject=row["subject"],
            creator=row["creator"],
            hosts=(row["creator"],),
            state=self._state(connection, row),
            occurrences=(Occurrence("", row["start_time"], row["end_time"]),),
        )

    def _state(self, connection: Connection, row: sa.RowMapping) -> State:
        if row["cancelled"]:
            return State.CANCELLED
        if inside(connection, row["id"]):
            return State.RUNNING
        over = row["ended"] or self._clock.now() >= row["end_time"]
        return State.ENDED if over else State.SCHEDULED


def newest(connection: Connection, meeting_code: str) -> sa.RowMapping:
    """Numbers are used again: the last to get it has it. Raises NoSuchMeetingError."""
    query = sa.select(MEETING).where(MEETING.c.meeting_code == meeting_code).order_by(MEETING.c.id.desc()).limit(1)
    return _one(connection, query)


def by_id(connection: Connection, meeting_id: str) -> sa.RowMapping:
    """Raises NoSuchMeetingError."""
    number = int(meeting_id) if meeting_id.isascii() and meeting_id.isdigit() and len(meeting_id) < 18 else 0
    return _one(connection, sa.select(MEETING).where(MEETING.c.id == number))


def _one(connection: Connection, query: sa.Select[Any]) -> sa.RowMapping:
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NoSuchMeetingError("no meeting was simulated with it")
    return row


def visits(connection: Connection, meeting_id: int) -> list[sa.RowMapping]:
    query = sa.select(VISIT).where(VISIT.c.meeting_id == meeting_id).order_by(VISIT.c.enter_time, VISIT.c.id)
    return list(connection.execute(query).mappings().all())


def inside(connection: Connection, meeting_id: int) -> list[sa.RowMapping]:
    return [visit for visit in visits(connection, meeting_id) if visit["leave_time"] is None]


def free_code(connection: Connection) -> str:
    newest_id = connection.scalar(sa.select(sa.func.max(MEETING.c.id))) or 0
    return str(FIRST_CODE + newest_id + 1)


def to_participants(rows: list[sa.RowMapping]) -> list[Participant]:
    """One for each account, over all visits; `rows` in the order of enter_time."""
    people: dict[str, list[Stay]] = {}
    for row in rows:
        people.setdefault(row["account"], []).append(Stay(row["enter_time"], row["leave_time"]))
    return [Participant(account, account, tuple(stays)) for account, stays in people.items()]


def happening(kind: Kind, row: sa.RowMapping, now: int, account: str = "") -> Happening:
    # two things may happen within a millisecond, and nothing is reported twice here
    key = MeetingKey(NAME, str(row["id"]))
    return Happening(kind, key, now, (str(ULID()),), meeting_code=row["meeting_code"], account=account)


def not_allowed(message: str, chinese: str) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "NOT_ALLOWED_NOW", message, chinese)


def _update(connection: Connection, row: sa.RowMapping, **values: Any) -> None:
    connection.execute(sa.update(MEETING).where(MEETING.c.id == row["id"]).values(**values))
