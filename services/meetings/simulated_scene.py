"""One sitting of a simulated meeting within one transaction: who is there, and how that changes, with its events."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlmodel import Session
from ulid import ULID

from services.meetings import simulated_plans
from services.meetings import simulated_rows as rows
from services.meetings.models import (
    SimulatedPlan,
    SimulatedRemoval,
    SimulatedSettings,
    SimulatedVisit,
    SimulatedWaiting,
)
from services.meetings.people import Device, MeetingRole, Target
from services.meetings.simulated_rows import Person, Sitting
from services.meetings.steering import MuteOnEntry
from services.meetings.webhook_event import Kind, WebhookEvent

STEERS = (MeetingRole.HOST, MeetingRole.CO_HOST)
"""Whom no rule for the others concerns."""
ABOVE = 6
BATCH = 200
"""How many come or go in one transaction, so that others wait no longer for the database."""
P = TypeVar("P", SimulatedVisit, SimulatedWaiting)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who comes, and with what: "" is a guest, who is known by the name. Any device of theirs is meant by None."""

    account: str
    display_name: str = ""
    device: Device | None = None

    @property
    def shown(self) -> str:
        return self.display_name or self.account


class SimulatedScene:
    """`inside`, `waiting` and `settings` are kept as the methods change them."""

    def __init__(self, session: Session, sitting: Sitting, now: int, told: list[WebhookEvent]) -> None:
        """What happens is added to `told`, for whoever reports it in the transaction of the session."""
        self.session = session
        self.sitting = sitting
        self.now = now
        self.inside = rows.inside(session, sitting)
        self.waiting = rows.waiting(session, sitting)
        self.ending = False
        self.told = told
        self.plan = session.get(SimulatedPlan, rows.id_of(sitting.meeting))
        stored = session.get(SimulatedSettings, self.place)
        self.settings = stored or simulated_plans.settings(self.plan, *self.place)

    @property
    def place(self) -> tuple[int, int]:
        return rows.id_of(self.sitting.meeting), self.sitting.number

    def keep_settings(self) -> None:
        """What was changed in `settings`."""
        self.session.add(self.settings)
        self.session.flush()

    def person_id(self, who: Visitor) -> str:
        return rows.person_id(self.sitting, who.account, who.display_name)

    def matching(self, people: Iterable[P], wanted: Target) -> list[P]:
        """All devices of the person when the target names none."""
        found = [(each, rows.target(self.sitting, each)) for each in people]
        return [
            each for each, own in found if own.person_id == wanted.person_id and wanted.terminal in ("", own.terminal)
        ]

    def of(self, people: Iterable[P], who: Visitor) -> list[P]:
        return self.matching(people, Target(self.person_id(who), who.device or ""))

    def is_removed(self, who: Visitor) -> bool:
        return self.session.get(SimulatedRemoval, (*self.place, self.person_id(who))) is not None

    def refuse_from_now_on(self, person: Person) -> None:
        meeting_id, occurrence = self.place
        own_id = rows.target(self.sitting, person).person_id
        if self.session.get(SimulatedRemoval, (meeting_id, occurrence, own_id)) is None:
            self.session.add(SimulatedRemoval(meeting_id=meeting_id, occurrence=occurrence, person_id=own_id))
            self.session.flush()

    def is_host(self, who: Visitor) -> bool:
        meeting = self.sitting.meeting
        return bool(who.account) and who.account in (meeting.creator, *simulated_plans.hosts(self.plan))

    @property
    def awaits_host(self) -> bool:
        """Nobody else can enter yet."""
        there = any(visit.role == MeetingRole.HOST for visit in self.inside)
        return self.plan is not None and not self.plan.enter_before_host and not there

    def let_in(self, who: Visitor, own_id: str = "") -> SimulatedVisit:
        """`own_id`: of somebody who has one already."""
        meeting_id, occurrence = self.place
        role = MeetingRole.HOST if self.is_host(who) else MeetingRole.MEMBER if who.account else MeetingRole.GUEST
        visit = SimulatedVisit(
            meeting_id=meeting_id,
            occurrence=occurrence,
            account=who.account,
            enter_time=self.now,
            person_id=own_id or self.person_id(who),
            display_name=who.shown,
            terminal=who.device or Device.PC,
            role=role,
            microphone=role == MeetingRole.HOST or not self._muted_on_entry(),
        )
        self.session.add(visit)
        self.inside.append(visit)
        self.report(Kind.ENTERED, visit)
        return visit

    def _muted_on_entry(self) -> bool:
        settings = self.settings
        above = settings.mute_on_entry == MuteOnEntry.ABOVE_SIX and len(self.inside) >= ABOVE
        return settings.mute_all or settings.mute_on_entry == MuteOnEntry.ON or above

    def hold(self, who: Visitor, own_id: str = "") -> None:
        """In the waiting room."""
        meeting_id, occurrence = self.place
        person = SimulatedWaiting(
            meeting_id=meeting_id,
            occurrence=occurrence,
            account=who.account,
            person_id=own_id or self.person_id(who),
            display_name=who.shown,
            terminal=who.device or Device.PC,
            enter_time=self.now,
        )
        self.session.add(person)
        self.waiting.append(person)

    def stop_waiting(self, people: Iterable[SimulatedWaiting]) -> None:
        for each in list(people):
            self.waiting.remove(each)
            self.session.delete(each)
        self.session.flush()

    def put_out(self, people: Iterable[SimulatedVisit]) -> None:
        """What was set for the running meeting is forgotten with the last one: it is again as it was planned."""
        for each in list(people):
            each.leave_time = self.now
            self.inside.remove(each)
            self.report(Kind.LEFT, each)
        if not self.inside:
            self._forget_settings()

    def _forget_settings(self) -> None:
        if self.settings in self.session:
            self.session.delete(self.settings)
            self.session.flush()
        self.settings = simulated_plans.settings(self.plan, *self.place)

    def end(self) -> None:
        """For everybody; nothing happens to one that is off already.

        As many go as one transaction has time for: while it is `ending` it is to be called again, in another one.
        """
        if self.sitting.is_off:
            return
        self.put_out(self.inside[:BATCH])
        self.ending = bool(self.inside)
        if self.ending:
            return
        self.stop_waiting(self.waiting)
        self.sitting.times.ended = True
        self.report(Kind.ENDED)

    def reschedule(self, start: int, end: int) -> None:
        times = self.sitting.times
        times.start_time, times.end_time = start, end
        changed = to_webhook_event(Kind.CHANGED, self.sitting, self.now)
        self.told.append(replace(changed, start_time=start, end_time=end))

    def call_off(self) -> None:
        self.stop_waiting(self.waiting)
        self.sitting.times.cancelled = True
        self.report(Kind.CANCELLED)

    def report(self, kind: Kind, person: SimulatedVisit | None = None) -> None:
        event = to_webhook_event(kind, self.sitting, self.now, person)
        self.told.append(replace(event, everybody_left=kind == Kind.LEFT and not self.inside))


def to_webhook_event(kind: Kind, sitting: Sitting, now: int, person: SimulatedVisit | None = None) -> WebhookEvent:
    # two things may happen within a millisecond, and nothing is reported twice here
    told = WebhookEvent(
        kind,
        sitting.key,
        now,
        (str(ULID()),),
        meeting_code=sitting.meeting.meeting_code,
        subject=sitting.meeting.subject,
        creator=sitting.meeting.creator,
    )
    if person is None:
        return told
    own = rows.target(sitting, person)
    return replace(
        told,
        account=person.account,
        person_id=own.person_id,
        terminal=own.terminal,
        display_name=rows.name_of(person),
    )
