"""A provider for machines without an account anywhere: its meetings are rows, and commands play its people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel
from ulid import ULID

from services.meetings import models
from services.meetings.provider import (
    Control,
    Meeting,
    MeetingKey,
    MeetingState,
    NoSuchMeetingError,
    Occurrence,
    Participant,
    ProviderError,
    Stay,
    WrongStateError,
)
from services.meetings.webhook_events import Kind, WebhookEvent, WebhookEvents
from services.platform.clock import Clock
from services.platform.data.database import Database
from services.platform.serving import errors

NAME = "simulated"
FIRST_CODE = 900_000_000
MEETING = SQLModel.metadata.tables[str(models.SimulatedMeeting.__tablename__)]
OCCURRENCE = SQLModel.metadata.tables[str(models.SimulatedOccurrence.__tablename__)]
VISIT = SQLModel.metadata.tables[str(models.SimulatedVisit.__tablename__)]


@dataclass(frozen=True, slots=True)
class Sitting:
    """One time at which a meeting takes place: the only one, number 0, or an occurrence of a recurring meeting."""

    meeting_id: int
    meeting_code: str
    number: int
    start_time: int
    end_time: int
    ended: bool
    cancelled: bool

    @property
    def sub_meeting_id(self) -> str:
        return str(self.number or "")

    def is_over(self, now: int) -> bool:
        return self.ended or self.cancelled or now >= self.end_time


class Simulated:
    """The provider. An account is a user of the same name. Its meetings outlive a restart."""

    name = NAME

    def __init__(
        self,
        database: Database,
        clock: Clock,
        webhook_events: WebhookEvents,
        leads_here: Callable[[str], bool] = lambda meeting_code: True,
    ) -> None:
        """`leads_here`: whether whoever looks for the number looks here."""
        self._leads_here = leads_here
        self._database = database
        self._clock = clock
        self._webhook_events = webhook_events

    async def find(self, meeting_code: str, account: str | None) -> Meeting:
        return await self._database.read(lambda connection: self._told(connection, newest(connection, meeting_code)))

    async def get(self, meeting_id: str, account: str | None) -> Meeting:
        return await self._database.read(lambda connection: self._told(connection, by_id(connection, meeting_id)))

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        def work(connection: Connection) -> list[Participant]:
            sitting = sitting_of(connection, by_id(connection, key.meeting_id), key.sub_meeting_id)
            return to_participants(visits(connection, sitting))

        return await self._database.read(work)

    async def present(self, key: MeetingKey) -> list[Participant]:
        return [each for each in await self.participants(key, None) if each.leave_time is None]

    async def end(self, key: MeetingKey) -> None:
        def work(connection: Connection) -> None:
            self._end(connection, sitting_of(connection, by_id(connection, key.meeting_id), key.sub_meeting_id))

        await self._webhook_events.write(work)

    async def control(self, key: MeetingKey, control: Control) -> None:
        if not await self.present(key):
            raise WrongStateError("nobody is inside")

    async def create(
        self, meeting_code: str, subject: str, creator: str, start: int, end: int, starts: Sequence[int] = ()
    ) -> Meeting:
        """`meeting_code` "" chooses one; `starts` make it recur.

        Raises errors.RpcError: ALREADY_EXISTS, INVALID_ARGUMENT for a number that leads to another provider.
        """
        row = {"subject": subject, "creator": creator, "start_time": start, "end_time": end}

        def work(connection: Connection) -> Meeting:
            code = meeting_code or free_code(connection)
            if not self._leads_here(code):
                raise errors.invalid("meeting_code", *elsewhere(code))
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
            made = newest(connection, code)
            add_occurrences(connection, made, starts)
            return self._told(connection, made)

        return await self._database.write(work)

    async def enter(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """Entering twice is being inside once."""

        def work(connection: Connection, sitting: Sitting) -> None:
            now = self._clock.now()
            if sitting.cancelled or sitting.ended:
                raise not_allowed(
                    "nobody can enter a meeting that was cancelled or ended", "会议已取消或已结束，无法进入"
                )
            if any(each["account"] == account for each in inside(connection, sitting)):
                return
            visit = {"meeting_id": sitting.meeting_id, "occurrence": sitting.number, "account": account}
            connection.execute(sa.insert(VISIT), [visit | {"enter_time": now, "leave_time": None}])
            self._webhook_events.store(connection, [to_webhook_event(Kind.ENTERED, sitting, now, account=account)])

        return await self._act(meeting_code, sub_meeting_id, work)

    async def leave(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        def work(connection: Connection, sitting: Sitting) -> None:
            if not any(each["account"] == account for each in inside(connection, sitting)):
                raise not_allowed(f"{account} is not inside", f"{account} 不在会议中")
            self._leave(connection, sitting, account)

        return await self._act(meeting_code, sub_meeting_id, work)

    async def wait(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """The waiting room: nothing that counts happens."""
        return await self._act(meeting_code, sub_meeting_id, lambda _connection, _sitting: None)

    async def end_by_host(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        return await self._act(meeting_code, sub_meeting_id, self._end)

    async def cancel(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """The whole meeting, or one occurrence."""

        def work(connection: Connection, row: sa.RowMapping) -> None:
            named = [sitting_of(connection, row, sub_meeting_id)] if sub_meeting_id else sittings(connection, row)
            if any(inside(connection, each) for each in named):
                raise not_allowed(
                    "a meeting with people inside cannot be cancelled: end it", "会议中有人，不能取消：请结束会议"
                )
            if not sub_meeting_id:
                update_meeting(connection, row["id"], cancelled=True)
            for each in [sitting for sitting in named if not sitting.cancelled]:
                update(connection, each, cancelled=True)
                self._webhook_events.store(connection, [to_webhook_event(Kind.CANCELLED, each, self._clock.now())])

        return await self._act_on_all(meeting_code, work)

    async def move(self, meeting_code: str, start: int, end: int | None, sub_meeting_id: str = "") -> Meeting:
        def work(connection: Connection, sitting: Sitting) -> None:
            last = end or start + sitting.end_time - sitting.start_time
            if last <= start:
                raise errors.invalid("end_time", *errors.LATER)
            update(connection, sitting, start_time=start, end_time=last)
            told = to_webhook_event(Kind.CHANGED, sitting, self._clock.now())
            self._webhook_events.store(connection, [replace(told, start_time=start, end_time=last)])

        return await self._act(meeting_code, sub_meeting_id, work)

    async def _act(
        self, meeting_code: str, sub_meeting_id: str, work: Callable[[Connection, Sitting], None]
    ) -> Meeting:
        """On the occurrence that is named, or the one that `current` means. Raises errors.RpcError NOT_FOUND."""

        def act(connection: Connection, row: sa.RowMapping) -> None:
            named = sitting_of(connection, row, sub_meeting_id) if sub_meeting_id else None
            work(connection, named or current(sittings(connection, row), self._clock.now()))

        return await self._act_on_all(meeting_code, act)

    async def _act_on_all(self, meeting_code: str, work: Callable[[Connection, sa.RowMapping], None]) -> Meeting:
        """Raises errors.RpcError NOT_FOUND."""

        def act(connection: Connection) -> None:
            try:
                work(connection, newest(connection, meeting_code))
            except NoSuchMeetingError as error:
                raise errors.not_found("meeting", "没有这场会议") from error
            except NoSuchOccurrenceError as error:
                raise errors.not_found("occurrence", "没有这一场") from error

        await self._webhook_events.write(act)
        return await self.find(meeting_code, None)

    def _end(self, connection: Connection, sitting: Sitting) -> None:
        if sitting.ended or sitting.cancelled:
            return
        for visit in inside(connection, sitting):
            self._leave(connection, sitting, visit["account"])
        update(connection, sitting, ended=True)
        self._webhook_events.store(connection, [to_webhook_event(Kind.ENDED, sitting, self._clock.now())])

    def _leave(self, connection: Connection, sitting: Sitting, account: str) -> None:
        now = self._clock.now()
        mine = of(sitting) & (VISIT.c.account == account) & VISIT.c.leave_time.is_(None)
        connection.execute(sa.update(VISIT).where(mine).values(leave_time=now))
        everybody = not inside(connection, sitting)
        told = to_webhook_event(Kind.LEFT, sitting, now, account=account)
        self._webhook_events.store(connection, [replace(told, everybody_left=everybody)])

    def _in_use(self, connection: Connection, meeting_code: str) -> bool:
        try:
            state = self._told(connection, newest(connection, meeting_code)).state
        except NoSuchMeetingError:
            return False
        return state in (MeetingState.SCHEDULED, MeetingState.RUNNING)

    def _told(self, connection: Connection, row: sa.RowMapping) -> Meeting:
        times = sittings(connection, row)
        return Meeting(
            provider=NAME,
            meeting_id=str(row["id"]),
            meeting_code=row["meeting_code"],
            subject=row["subject"],
            creator=row["creator"],
            hosts=(row["creator"],),
            state=self._state(connection, row, times),
            occurrences=tuple(to_occurrence(each) for each in times),
            recurring=bool(times[0].number),
        )

    def _state(self, connection: Connection, row: sa.RowMapping, times: list[Sitting]) -> MeetingState:
        if row["cancelled"]:
            return MeetingState.CANCELLED
        if any(inside(connection, each) for each in times):
            return MeetingState.RUNNING
        return MeetingState.ENDED if all(each.is_over(self._clock.now()) for each in times) else MeetingState.SCHEDULED


class NoSuchOccurrenceError(ProviderError):
    """A recurring meeting is asked about one of its occurrences: none was named, or one that it does not have."""


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


def sittings(connection: Connection, row: sa.RowMapping) -> list[Sitting]:
    """In their order; of a meeting that takes place once, its own time."""
    query = sa.select(OCCURRENCE).where(OCCURRENCE.c.meeting_id == row["id"]).order_by(OCCURRENCE.c.number)
    times: Sequence[Any] = connection.execute(query).mappings().all() or [{**row, "number": 0}]
    names = ("number", "start_time", "end_time", "ended", "cancelled")
    return [Sitting(row["id"], row["meeting_code"], **{name: each[name] for name in names}) for each in times]


def sitting_of(connection: Connection, row: sa.RowMapping, sub_meeting_id: str) -> Sitting:
    """As its key names it: the original, too, says nothing of a recurring meeting as a whole."""
    for each in sittings(connection, row):
        if each.sub_meeting_id == sub_meeting_id:
            return each
    raise NoSuchOccurrenceError(f"the meeting has no occurrence {sub_meeting_id!r}")


def current(times: list[Sitting], now: int) -> Sitting:
    """The one under way, or else the next; the last one when all are over."""
    return next((each for each in times if not each.is_over(now)), times[-1])


def to_occurrence(sitting: Sitting) -> Occurrence:
    return Occurrence(
        sitting.sub_meeting_id, sitting.start_time, sitting.end_time, sitting.cancelled and sitting.number > 0
    )


def add_occurrences(connection: Connection, row: sa.RowMapping, starts: Sequence[int]) -> None:
    length = row["end_time"] - row["start_time"]
    times = [
        {"meeting_id": row["id"], "number": number, "start_time": start, "end_time": start + length}
        for number, start in enumerate(starts, 1)
    ]
    if times:
        connection.execute(sa.insert(OCCURRENCE), [each | {"ended": False, "cancelled": False} for each in times])


def of(sitting: Sitting) -> sa.ColumnElement[bool]:
    return (VISIT.c.meeting_id == sitting.meeting_id) & (VISIT.c.occurrence == sitting.number)


def visits(connection: Connection, sitting: Sitting) -> list[sa.RowMapping]:
    query = sa.select(VISIT).where(of(sitting)).order_by(VISIT.c.enter_time, VISIT.c.id)
    return list(connection.execute(query).mappings().all())


def inside(connection: Connection, sitting: Sitting) -> list[sa.RowMapping]:
    return [visit for visit in visits(connection, sitting) if visit["leave_time"] is None]


def free_code(connection: Connection) -> str:
    newest_id = connection.scalar(sa.select(sa.func.max(MEETING.c.id))) or 0
    return str(FIRST_CODE + newest_id + 1)


def elsewhere(meeting_code: str) -> tuple[str, str]:
    """In English and in Chinese."""
    return (
        f"the number {meeting_code} leads to another provider: give one that YUNHUI_MEETINGS_PROVIDER leads here",
        f"会议号 {meeting_code} 属于另一会议提供方：请改用 YUNHUI_MEETINGS_PROVIDER 指向本提供方的会议号",
    )


def to_participants(rows: list[sa.RowMapping]) -> list[Participant]:
    """One for each account, over all visits; `rows` in the order of enter_time."""
    people: dict[str, list[Stay]] = {}
    for row in rows:
        people.setdefault(row["account"], []).append(Stay(row["enter_time"], row["leave_time"]))
    return [Participant(account, account, tuple(stays)) for account, stays in people.items()]


def to_webhook_event(kind: Kind, sitting: Sitting, now: int, account: str = "") -> WebhookEvent:
    # two things may happen within a millisecond, and nothing is reported twice here
    key = MeetingKey(NAME, str(sitting.meeting_id), sitting.sub_meeting_id)
    return WebhookEvent(kind, key, now, (str(ULID()),), meeting_code=sitting.meeting_code, account=account)


def not_allowed(message: str, chinese: str) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "NOT_ALLOWED_NOW", message, chinese)


def update(connection: Connection, sitting: Sitting, **values: Any) -> None:
    if not sitting.number:
        update_meeting(connection, sitting.meeting_id, **values)
        return
    one = (OCCURRENCE.c.meeting_id == sitting.meeting_id) & (OCCURRENCE.c.number == sitting.number)
    connection.execute(sa.update(OCCURRENCE).where(one).values(**values))


def update_meeting(connection: Connection, meeting_id: int, **values: Any) -> None:
    connection.execute(sa.update(MEETING).where(MEETING.c.id == meeting_id).values(**values))
