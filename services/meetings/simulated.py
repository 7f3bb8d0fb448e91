"""A provider for machines without an account anywhere: its meetings are rows, and commands play its people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
from sqlalchemy.engine import Connection
from sqlmodel import Session

from services.meetings import (
    simulated_acts,
    simulated_crowd,
    simulated_lists,
    simulated_plans,
    simulated_steering,
    simulated_users,
)
from services.meetings import simulated_rows as rows
from services.meetings.models import SimulatedMeeting, SimulatedPlan
from services.meetings.people import PersonWaiting, Presence, Quality
from services.meetings.plans import MeetingPlan
from services.meetings.provider import (
    MadeMeeting,
    Meeting,
    MeetingKey,
    MeetingPage,
    MeetingState,
    NoSuchMeetingError,
    Participant,
    Phase,
    UnsupportedError,
    UserPage,
    WrongStateError,
)
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_crowd import Extra
from services.meetings.simulated_rows import NoSuchOccurrenceError, Sitting
from services.meetings.simulated_scene import BATCH, SimulatedScene, Visitor
from services.meetings.steering import ACTS, Act
from services.meetings.webhook_event import WebhookEvent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import Clock
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from services.platform.serving import errors
from services.platform.text.messages import Text, message

T = TypeVar("T")

NAME = rows.NAME


@dataclass(frozen=True, slots=True)
class Filled:
    """A meeting with how many are inside, and how many wait."""

    meeting: Meeting
    inside: int
    waiting: int


class Simulated:
    """The provider. An account is a user of the same name. Its meetings outlive a restart."""

    name = NAME
    acts = ACTS
    people_a_call = 3_000

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
        return await self._read(lambda session: self._told(session, rows.newest(session, meeting_code)))

    async def get(self, meeting_id: str, account: str | None) -> Meeting:
        return await self._read(lambda session: self._told(session, rows.by_id(session, meeting_id)))

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        def work(session: Session) -> list[Participant]:
            sitting = rows.by_key(session, key)
            return rows.to_participants(sitting, rows.visits(session, sitting))

        return await self._read(work)

    async def meetings(self, phase: Phase, since: int | None, until: int | None, page: int) -> MeetingPage:
        """See simulated_lists."""
        now = self._clock.now()
        return await self._read(lambda session: simulated_lists.page(session, phase, since, until, page, now))

    async def inside(self, key: MeetingKey) -> list[Presence]:
        """In the order in which they entered."""

        def work(session: Session) -> list[Presence]:
            sitting = rows.by_key(session, key)
            return [rows.to_presence(sitting, each) for each in rows.inside(session, sitting)]

        return await self._read(work)

    async def waiting(self, key: MeetingKey, creator: str) -> list[PersonWaiting]:
        """The longest first."""

        def work(session: Session) -> list[PersonWaiting]:
            sitting = rows.by_key(session, key)
            simulated_steering.check_operator(sitting, creator)
            return [rows.to_waiting(sitting, each) for each in rows.waiting(session, sitting)]

        return await self._read(work)

    async def quality(self, key: MeetingKey) -> list[Quality]:
        now = self._clock.now()

        def work(session: Session) -> list[Quality]:
            sitting = rows.by_key(session, key)
            people = rows.inside(session, sitting)
            if not people:
                raise WrongStateError("nobody is inside")
            return [rows.to_quality(sitting, each, now) for each in people]

        return await self._read(work)

    async def do(self, key: MeetingKey, act: Act, creator: str) -> None:
        more = await self._within(key, lambda scene: simulated_steering.steer(scene, act, creator))
        while more:
            more = await self._within(key, SimulatedScene.end)

    async def _within(self, key: MeetingKey, work: Callable[[SimulatedScene], None]) -> bool:
        """Whether the meeting is `ending`."""
        ending = False

        def act(session: Session, told: list[WebhookEvent]) -> None:
            nonlocal ending
            scene = self._scene(session, rows.by_key(session, key), told)
            work(scene)
            ending = scene.ending

        await self._report(act)
        return ending

    async def make(self, plan: MeetingPlan, creator: str, making_id: str) -> MadeMeeting:
        """The same `making_id` is one meeting, however often it is made."""

        def work(connection: Connection) -> MadeMeeting:
            with open_session(connection) as session:
                known = simulated_plans.find(session, making_id)
                return self._made(session, known or simulated_plans.make(session, plan, creator, making_id, self._code))

        return await self._database.write(work)

    def _code(self, session: Session) -> str:
        """Raises UnsupportedError."""
        code = rows.free_code(session)
        if not self._leads_here(code):
            raise UnsupportedError(f"{code} leads to another provider")
        return code

    async def find_made(self, plan: MeetingPlan, creator: str, making_id: str) -> list[MadeMeeting]:
        """The one of this `making_id`."""

        def work(session: Session) -> list[MadeMeeting]:
            found = simulated_plans.find(session, making_id)
            if found is None:
                raise NoSuchMeetingError("it was not made")
            return [self._made(session, found)]

        return await self._read(work)

    def _made(self, session: Session, meeting: SimulatedMeeting) -> MadeMeeting:
        return MadeMeeting(self._told(session, meeting), simulated_plans.join_url(meeting.meeting_code))

    async def reschedule(self, key: MeetingKey, creator: str, start_time: int, end_time: int) -> None:
        await self._within(key, lambda scene: simulated_steering.reschedule(scene, creator, start_time, end_time))

    async def call_off(self, key: MeetingKey, creator: str) -> None:
        await self._within(key, lambda scene: simulated_steering.call_off(scene, creator))

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
            code = meeting_code or rows.free_code(session)
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
            rows.add_occurrences(session, made, starts)
            return self._told(session, made)

        return await self._database.write(work)

    async def play(self, meeting_code: str, deed: Deed, who: Visitor, sub_meeting_id: str = "") -> Meeting:
        """What one of the people does. Raises errors.RpcError: NOT_FOUND, FAILED_PRECONDITION."""
        return await self._act(meeting_code, sub_meeting_id, lambda scene: simulated_acts.play(scene, deed, who))

    async def enter(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        return await self.play(meeting_code, Deed.ENTER, Visitor(account), sub_meeting_id)

    async def leave(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        return await self.play(meeting_code, Deed.LEAVE, Visitor(account), sub_meeting_id)

    async def wait(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        return await self.play(meeting_code, Deed.WAIT, Visitor(account), sub_meeting_id)

    async def populate(
        self, meeting_code: str, number: int, waiting: int, seed: int, sub_meeting_id: str = ""
    ) -> Filled:
        """`number` invented people, of whom the last `waiting` wait: some at a time, for others act meanwhile.

        Raises errors.RpcError: NOT_FOUND, FAILED_PRECONDITION.
        """
        people = simulated_crowd.crowd(seed, number)
        filled: list[int] = []

        for first in range(0, number, BATCH):
            entering = people[first : max(first, min(first + BATCH, number - waiting))]
            held = people[max(first, number - waiting) : first + BATCH]

            def work(scene: SimulatedScene, entering: list[Extra] = entering, held: list[Extra] = held) -> None:
                simulated_acts.populate(scene, entering)
                simulated_acts.populate(scene, held, as_waiting=True)
                filled[:] = len(scene.inside), len(scene.waiting)

            after = await self._act(meeting_code, sub_meeting_id, work)
        return Filled(after, *filled)

    async def end_by_host(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """Also when nobody is inside."""
        scenes: list[SimulatedScene] = []

        def work(scene: SimulatedScene) -> None:
            scenes[:] = [scene]
            scene.end()

        after = await self._act(meeting_code, sub_meeting_id, work)
        if not scenes[0].ending:
            return after
        while await self._within(scenes[0].sitting.key, SimulatedScene.end):
            pass
        return await self.find(meeting_code, None)

    async def cancel(self, meeting_code: str, account: str, sub_meeting_id: str = "") -> Meeting:
        """The whole meeting, or one occurrence."""

        def work(session: Session, meeting: SimulatedMeeting, told: list[WebhookEvent]) -> None:
            named = (
                [rows.sitting_of(session, meeting, sub_meeting_id)]
                if sub_meeting_id
                else rows.sittings(session, meeting)
            )
            scenes = [self._scene(session, each, told) for each in named]
            if any(each.inside for each in scenes):
                words = message("a meeting with people inside cannot be cancelled: end it")
                raise simulated_acts.not_allowed(words)
            for scene in [each for each in scenes if not each.sitting.times.cancelled]:
                scene.call_off()
            if not sub_meeting_id:
                meeting.cancelled = True

        return await self._act_on_all(meeting_code, work)

    async def move(self, meeting_code: str, start: int, end: int | None, sub_meeting_id: str = "") -> Meeting:
        def work(scene: SimulatedScene) -> None:
            times = scene.sitting.times
            last = end or start + times.end_time - times.start_time
            if last <= start:
                raise errors.invalid("end_time", errors.LATER)
            scene.reschedule(start, last)

        return await self._act(meeting_code, sub_meeting_id, work)

    async def _act(self, meeting_code: str, sub_meeting_id: str, work: Callable[[SimulatedScene], None]) -> Meeting:
        """On the occurrence that is named, or the one that `current` means. Raises errors.RpcError NOT_FOUND."""

        def act(session: Session, meeting: SimulatedMeeting, told: list[WebhookEvent]) -> None:
            named = rows.sitting_of(session, meeting, sub_meeting_id) if sub_meeting_id else None
            sitting = named or rows.current(rows.sittings(session, meeting), self._clock.now())
            work(self._scene(session, sitting, told))

        return await self._act_on_all(meeting_code, act)

    async def _act_on_all(
        self, meeting_code: str, work: Callable[[Session, SimulatedMeeting, list[WebhookEvent]], None]
    ) -> Meeting:
        """Raises errors.RpcError NOT_FOUND."""

        def act(session: Session, told: list[WebhookEvent]) -> None:
            try:
                work(session, rows.newest(session, meeting_code), told)
            except NoSuchMeetingError as error:
                raise errors.not_found("meeting", message("there is no such meeting")) from error
            except NoSuchOccurrenceError as error:
                raise errors.not_found("occurrence", message("there is no such occurrence")) from error

        await self._report(act)
        return await self.find(meeting_code, None)

    async def _report(self, work: Callable[[Session, list[WebhookEvent]], None]) -> None:
        """One transaction: `work` adds what happens in it to the list that it is given."""

        def within(connection: Connection) -> None:
            told: list[WebhookEvent] = []
            with open_session(connection) as session:
                work(session, told)
            self._webhook_events.store(connection, told)

        await self._webhook_events.write(within)

    async def _read(self, work: Callable[[Session], T]) -> T:
        def within(connection: Connection) -> T:
            with open_session(connection) as session:
                return work(session)

        return await self._database.read(within)

    def _scene(self, session: Session, sitting: Sitting, told: list[WebhookEvent]) -> SimulatedScene:
        return SimulatedScene(session, sitting, self._clock.now(), told)

    def _in_use(self, session: Session, meeting_code: str) -> bool:
        try:
            state = self._told(session, rows.newest(session, meeting_code)).state
        except NoSuchMeetingError:
            return False
        return state in (MeetingState.SCHEDULED, MeetingState.RUNNING)

    def _told(self, session: Session, meeting: SimulatedMeeting) -> Meeting:
        times = rows.sittings(session, meeting)
        return Meeting(
            provider=NAME,
            meeting_id=str(meeting.id),
            meeting_code=meeting.meeting_code,
            subject=meeting.subject,
            creator=meeting.creator,
            hosts=(meeting.creator, *simulated_plans.hosts(session.get(SimulatedPlan, meeting.id))),
            state=self._state(session, meeting, times),
            occurrences=tuple(rows.to_occurrence(each) for each in times),
            recurring=bool(times[0].number),
        )

    def _state(self, session: Session, meeting: SimulatedMeeting, times: list[Sitting]) -> MeetingState:
        if meeting.cancelled:
            return MeetingState.CANCELLED
        if any(rows.is_occupied(session, each) for each in times):
            return MeetingState.RUNNING
        return MeetingState.ENDED if all(each.is_over(self._clock.now()) for each in times) else MeetingState.SCHEDULED


def elsewhere(meeting_code: str) -> Text:
    return message(
        "the number {meeting_code} leads to another provider: give one that YUNHUI_MEETINGS_PROVIDER leads here",
        meeting_code=meeting_code,
    )
