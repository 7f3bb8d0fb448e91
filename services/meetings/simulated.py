"""A provider for machines without an account anywhere: its meetings are rows, and commands play its people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import grpc
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, func, select
from ulid import ULID

from services.meetings import simulated_users
from services.meetings.models import SimulatedMeeting, SimulatedOccurrence, SimulatedVisit
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
    UserPage,
    WrongStateError,
)
from services.meetings.webhook_events import Kind, WebhookEvent, WebhookEvents
from services.platform.clock import Clock
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from services.platform.serving import errors
from services.platform.text.messages import Text, message

T = TypeVar("T")

NAME = "simulated"
FIRST_CODE = 900_000_000


@dataclass(frozen=True, slots=True)
class Sitting:
    """One time at which a meeting takes place: the only one, number 0, or an occurrence of a recurring meeting."""

    meeting: SimulatedMeeting
    times: SimulatedMeeting | SimulatedOccurrence
    number: int = 0

    @property
    def sub_meeting_id(self) -> str:
        return str(self.number or "")

    @property
    def is_off(self) -> bool:
        """Ended or cancelled: for good."""
        return self.times.ended or self.times.cancelled

    def is_over(self, now: int) -> bool:
        return self.is_off or now >= self.times.end_time


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
        return await self._read(lambda session: self._told(session, newest(session, meeting_code)))

    async def get(self, meeting_id: str, account: str | None) -> Meeting:
        return await self._read(lambda session: self._told(session, by_id(session, meeting_id)))

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        def work(session: Session) -> list[Participant]:
            sitting = sitting_of(session, by_id(session, key.meeting_id), key.sub_meeting_id)
            return to_participants(visits(session, sitting))

        return await self._read(work)

    async def present(self, key: MeetingKey) -> list[Participant]:
        return [each for each in await self.participants(key, None) if each.leave_time is None]

    async def end(self, key: MeetingKey) -> None:
        def work(connection: Connection) -> None:
            with open_session(connection) as session:
                self._end(session, sitting_of(session, by_id(session, key.meeting_id), key.sub_meeting_id))

        await self._webhook_events.write(work)

    async def control(self, key: MeetingKey, control: Control) -> None:
        if not await self.present(key):
            raise WrongStateError("nobody is inside")

    async def users(self, position: str) -> UserPage:
        return simulated_users.page(position)

    async def create(
        self, meeting_code: str, subject: str, creator: str, start: int, end: int, starts: Sequence[int] = ()
    ) -> Meeting:
        """`meeting_code` "" chooses one; `starts` make it recur.

        Raises errors.RpcError: ALREADY_EXISTS, INVALID_ARGUMENT for a number that leads to another provider.
        """

        def work(connection: Connection) -> Meeting:
            with open_session(connection) as session:
                return add(session)

        def add(session: Session) -> Meeting:
            code = meeting_code or free_code(session)
            if not self._leads_here(code):
                raise errors.invalid("meeting_code", elsewhere(code))
            if meeting_code and self._in_use(session, code):
                words = message(
                    "this number belongs to a meeting that is not over: choose another one, or cancel that one"
                )
                raise errors.failure(
                    grpc.StatusCode.ALREADY_EXISTS,
                    "NUMBER_IN_USE",
                    words,
                )
            made = SimulatedMeeting(meeting_code=code, subject=subject, creator=creator, start_time=start, end_time=end)
            session.add(made)
            session.flush()
            add_occurrences(session, made, starts)
            return self._told(session, made)

        return await self._database.write(work)

    async def enter(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """Entering twice is being inside once."""

        def work(session: Session, sitting: Sitting) -> None:
            now = self._clock.now()
            if sitting.is_off:
                raise not_allowed(message("nobody can enter a meeting that was cancelled or ended"))
            if any(each.account == account for each in inside(session, sitting)):
                return
            visit = SimulatedVisit(
                meeting_id=id_of(sitting.meeting), occurrence=sitting.number, account=account, enter_time=now
            )
            session.add(visit)
            self._report(session, to_webhook_event(Kind.ENTERED, sitting, now, account=account))

        return await self._act(meeting_code, sub_meeting_id, work)

    async def leave(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        def work(session: Session, sitting: Sitting) -> None:
            if not any(each.account == account for each in inside(session, sitting)):
                raise not_allowed(message("{account} is not inside", account=account))
            self._leave(session, sitting, account)

        return await self._act(meeting_code, sub_meeting_id, work)

    async def wait(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """The waiting room: nothing that counts happens."""
        return await self._act(meeting_code, sub_meeting_id, lambda _connection, _sitting: None)

    async def end_by_host(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        return await self._act(meeting_code, sub_meeting_id, self._end)

    async def cancel(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """The whole meeting, or one occurrence."""

        def work(session: Session, meeting: SimulatedMeeting) -> None:
            named = [sitting_of(session, meeting, sub_meeting_id)] if sub_meeting_id else sittings(session, meeting)
            if any(inside(session, each) for each in named):
                raise not_allowed(message("a meeting with people inside cannot be cancelled: end it"))
            for each in [sitting for sitting in named if not sitting.times.cancelled]:
                each.times.cancelled = True
                self._report(session, to_webhook_event(Kind.CANCELLED, each, self._clock.now()))
            if not sub_meeting_id:
                meeting.cancelled = True

        return await self._act_on_all(meeting_code, work)

    async def move(self, meeting_code: str, start: int, end: int | None, sub_meeting_id: str = "") -> Meeting:
        def work(session: Session, sitting: Sitting) -> None:
            times = sitting.times
            last = end or start + times.end_time - times.start_time
            if last <= start:
                raise errors.invalid("end_time", errors.LATER)
            times.start_time, times.end_time = start, last
            told = to_webhook_event(Kind.CHANGED, sitting, self._clock.now())
            self._report(session, replace(told, start_time=start, end_time=last))

        return await self._act(meeting_code, sub_meeting_id, work)

    async def _act(self, meeting_code: str, sub_meeting_id: str, work: Callable[[Session, Sitting], None]) -> Meeting:
        """On the occurrence that is named, or the one that `current` means. Raises errors.RpcError NOT_FOUND."""

        def act(session: Session, meeting: SimulatedMeeting) -> None:
            named = sitting_of(session, meeting, sub_meeting_id) if sub_meeting_id else None
            work(session, named or current(sittings(session, meeting), self._clock.now()))

        return await self._act_on_all(meeting_code, act)

    async def _act_on_all(self, meeting_code: str, work: Callable[[Session, SimulatedMeeting], None]) -> Meeting:
        """Raises errors.RpcError NOT_FOUND."""

        def act(connection: Connection) -> None:
            try:
                with open_session(connection) as session:
                    work(session, newest(session, meeting_code))
            except NoSuchMeetingError as error:
                raise errors.not_found("meeting", message("there is no such meeting")) from error
            except NoSuchOccurrenceError as error:
                raise errors.not_found("occurrence", message("there is no such occurrence")) from error

        await self._webhook_events.write(act)
        return await self.find(meeting_code, None)

    async def _read(self, work: Callable[[Session], T]) -> T:
        def within(connection: Connection) -> T:
            with open_session(connection) as session:
                return work(session)

        return await self._database.read(within)

    def _report(self, session: Session, event: WebhookEvent) -> None:
        self._webhook_events.store(session.connection(), [event])

    def _end(self, session: Session, sitting: Sitting) -> None:
        if sitting.is_off:
            return
        for account in dict.fromkeys(visit.account for visit in inside(session, sitting)):
            self._leave(session, sitting, account)
        sitting.times.ended = True
        self._report(session, to_webhook_event(Kind.ENDED, sitting, self._clock.now()))

    def _leave(self, session: Session, sitting: Sitting, account: str) -> None:
        now = self._clock.now()
        for visit in inside(session, sitting):
            if visit.account == account:
                visit.leave_time = now
        everybody = not inside(session, sitting)
        told = to_webhook_event(Kind.LEFT, sitting, now, account=account)
        self._report(session, replace(told, everybody_left=everybody))

    def _in_use(self, session: Session, meeting_code: str) -> bool:
        try:
            state = self._told(session, newest(session, meeting_code)).state
        except NoSuchMeetingError:
            return False
        return state in (MeetingState.SCHEDULED, MeetingState.RUNNING)

    def _told(self, session: Session, meeting: SimulatedMeeting) -> Meeting:
        times = sittings(session, meeting)
        return Meeting(
            provider=NAME,
            meeting_id=str(meeting.id),
            meeting_code=meeting.meeting_code,
            subject=meeting.subject,
            creator=meeting.creator,
            hosts=(meeting.creator,),
            state=self._state(session, meeting, times),
            occurrences=tuple(to_occurrence(each) for each in times),
            recurring=bool(times[0].number),
        )

    def _state(self, session: Session, meeting: SimulatedMeeting, times: list[Sitting]) -> MeetingState:
        if meeting.cancelled:
            return MeetingState.CANCELLED
        if any(inside(session, each) for each in times):
            return MeetingState.RUNNING
        return MeetingState.ENDED if all(each.is_over(self._clock.now()) for each in times) else MeetingState.SCHEDULED


class NoSuchOccurrenceError(ProviderError):
    """A recurring meeting is asked about one of its occurrences: none was named, or one that it does not have."""


def newest(session: Session, meeting_code: str) -> SimulatedMeeting:
    """Numbers are used again: the last to get it has it. Raises NoSuchMeetingError."""
    with_code = select(SimulatedMeeting).where(SimulatedMeeting.meeting_code == meeting_code)
    return _found(session.exec(with_code.order_by(col(SimulatedMeeting.id).desc()).limit(1)).first())


def by_id(session: Session, meeting_id: str) -> SimulatedMeeting:
    """Raises NoSuchMeetingError."""
    number = int(meeting_id) if meeting_id.isascii() and meeting_id.isdigit() and len(meeting_id) < 18 else 0
    return _found(session.get(SimulatedMeeting, number))


def _found(meeting: SimulatedMeeting | None) -> SimulatedMeeting:
    if meeting is None:
        raise NoSuchMeetingError("no meeting was simulated with it")
    return meeting


def id_of(meeting: SimulatedMeeting) -> int:
    """Any that is stored has one."""
    return meeting.id or 0


def sittings(session: Session, meeting: SimulatedMeeting) -> list[Sitting]:
    """In their order; of a meeting that takes place once, its own time."""
    of_it = select(SimulatedOccurrence).where(SimulatedOccurrence.meeting_id == meeting.id)
    occurrences = session.exec(of_it.order_by(col(SimulatedOccurrence.number))).all()
    return [Sitting(meeting, each, each.number) for each in occurrences] or [Sitting(meeting, meeting)]


def sitting_of(session: Session, meeting: SimulatedMeeting, sub_meeting_id: str) -> Sitting:
    """As its key names it: the original, too, says nothing of a recurring meeting as a whole."""
    for each in sittings(session, meeting):
        if each.sub_meeting_id == sub_meeting_id:
            return each
    raise NoSuchOccurrenceError(f"the meeting has no occurrence {sub_meeting_id!r}")


def current(times: list[Sitting], now: int) -> Sitting:
    """The one under way, or else the next; the last one when all are over."""
    return next((each for each in times if not each.is_over(now)), times[-1])


def to_occurrence(sitting: Sitting) -> Occurrence:
    times = sitting.times
    return Occurrence(sitting.sub_meeting_id, times.start_time, times.end_time, times.cancelled and sitting.number > 0)


def add_occurrences(session: Session, meeting: SimulatedMeeting, starts: Sequence[int]) -> None:
    own_id, length = id_of(meeting), meeting.end_time - meeting.start_time
    session.add_all(
        SimulatedOccurrence(meeting_id=own_id, number=number, start_time=start, end_time=start + length)
        for number, start in enumerate(starts, 1)
    )


def visits(session: Session, sitting: Sitting) -> Sequence[SimulatedVisit]:
    of_it = select(SimulatedVisit).where(
        SimulatedVisit.meeting_id == sitting.meeting.id, SimulatedVisit.occurrence == sitting.number
    )
    return session.exec(of_it.order_by(col(SimulatedVisit.enter_time), col(SimulatedVisit.id))).all()


def inside(session: Session, sitting: Sitting) -> list[SimulatedVisit]:
    return [visit for visit in visits(session, sitting) if visit.leave_time is None]


def free_code(session: Session) -> str:
    newest_id = session.exec(select(func.max(SimulatedMeeting.id))).one() or 0
    return str(FIRST_CODE + newest_id + 1)


def elsewhere(meeting_code: str) -> Text:
    return message(
        "the number {meeting_code} leads to another provider: give one that YUNHUI_MEETINGS_PROVIDER leads here",
        meeting_code=meeting_code,
    )


def to_participants(stored: Sequence[SimulatedVisit]) -> list[Participant]:
    """One for each account, over all visits, which are in the order of enter_time."""
    people: dict[str, list[Stay]] = {}
    for visit in stored:
        people.setdefault(visit.account, []).append(Stay(visit.enter_time, visit.leave_time))
    return [Participant(account, account, tuple(stays)) for account, stays in people.items()]


def to_webhook_event(kind: Kind, sitting: Sitting, now: int, account: str = "") -> WebhookEvent:
    # two things may happen within a millisecond, and nothing is reported twice here
    key = MeetingKey(NAME, str(sitting.meeting.id), sitting.sub_meeting_id)
    return WebhookEvent(kind, key, now, (str(ULID()),), meeting_code=sitting.meeting.meeting_code, account=account)


def not_allowed(words: Text) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "NOT_ALLOWED_NOW", words)
