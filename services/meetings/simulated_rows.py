"""The rows of the simulated provider: which there are, and what they are in the words of the port."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, func, select

from services.meetings import simulated_quality
from services.meetings.models import SimulatedMeeting, SimulatedOccurrence, SimulatedVisit, SimulatedWaiting
from services.meetings.people import Device, Presence, Quality, Role, Target, Waiting
from services.meetings.provider import (
    MeetingKey,
    NoSuchMeetingError,
    Occurrence,
    Participant,
    ProviderError,
    Stay,
)

NAME = "simulated"
FIRST_CODE = 900_000_000
Person = SimulatedVisit | SimulatedWaiting


class NoSuchOccurrenceError(ProviderError):
    """A recurring meeting is asked about one of its occurrences: none was named, or one that it does not have."""


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
    def key(self) -> MeetingKey:
        return MeetingKey(NAME, str(self.meeting.id), self.sub_meeting_id)

    @property
    def is_off(self) -> bool:
        """Ended or cancelled: for good."""
        return self.times.ended or self.times.cancelled

    def is_over(self, now: int) -> bool:
        return self.is_off or now >= self.times.end_time


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


def by_key(session: Session, key: MeetingKey) -> Sitting:
    """Raises NoSuchMeetingError, NoSuchOccurrenceError."""
    return sitting_of(session, by_id(session, key.meeting_id), key.sub_meeting_id)


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


def add_occurrences(session: Session, meeting: SimulatedMeeting, starts: Sequence[int]) -> None:
    own_id, length = id_of(meeting), meeting.end_time - meeting.start_time
    session.add_all(
        SimulatedOccurrence(meeting_id=own_id, number=number, start_time=start, end_time=start + length)
        for number, start in enumerate(starts, 1)
    )


def free_code(session: Session) -> str:
    newest_id = session.exec(select(func.max(SimulatedMeeting.id))).one() or 0
    return str(FIRST_CODE + newest_id + 1)


def visits(session: Session, sitting: Sitting, *, only_inside: bool = False) -> list[SimulatedVisit]:
    """In the order of enter_time."""
    of_it = select(SimulatedVisit).where(
        SimulatedVisit.meeting_id == sitting.meeting.id, SimulatedVisit.occurrence == sitting.number
    )
    if only_inside:
        of_it = of_it.where(col(SimulatedVisit.leave_time).is_(None))
    return list(session.exec(of_it.order_by(col(SimulatedVisit.enter_time), col(SimulatedVisit.id))).all())


def inside(session: Session, sitting: Sitting) -> list[SimulatedVisit]:
    return visits(session, sitting, only_inside=True)


def is_occupied(session: Session, sitting: Sitting) -> bool:
    of_it = select(SimulatedVisit.id).where(
        SimulatedVisit.meeting_id == sitting.meeting.id,
        SimulatedVisit.occurrence == sitting.number,
        col(SimulatedVisit.leave_time).is_(None),
    )
    return session.exec(of_it.limit(1)).first() is not None


def waiting(session: Session, sitting: Sitting) -> list[SimulatedWaiting]:
    """The longest first."""
    of_it = select(SimulatedWaiting).where(
        SimulatedWaiting.meeting_id == sitting.meeting.id, SimulatedWaiting.occurrence == sitting.number
    )
    return list(session.exec(of_it.order_by(col(SimulatedWaiting.enter_time), col(SimulatedWaiting.id))).all())


def person_id(sitting: Sitting, account: str, display_name: str) -> str:
    """As the original it is of this meeting alone, and comes back with the person; a guest is known by name."""
    who = f"account {account}" if account else f"guest {display_name}"
    return hashlib.sha256(f"{sitting.key.entity_id} {who}".encode()).hexdigest()[:24]


def target(sitting: Sitting, person: Person) -> Target:
    """Of those who came when there were no ids yet, too."""
    own_id = person.person_id or person_id(sitting, person.account, person.display_name)
    return Target(own_id, person.terminal)


def name_of(person: Person) -> str:
    return person.display_name or person.account


def to_occurrence(sitting: Sitting) -> Occurrence:
    times = sitting.times
    return Occurrence(sitting.sub_meeting_id, times.start_time, times.end_time, times.cancelled and sitting.number > 0)


def to_participants(sitting: Sitting, stored: Sequence[SimulatedVisit]) -> list[Participant]:
    """One for each person, over all visits, which are in the order of enter_time."""
    people: dict[str, list[SimulatedVisit]] = {}
    for visit in stored:
        people.setdefault(target(sitting, visit).person_id, []).append(visit)
    return [
        Participant(own[-1].account, name_of(own[-1]), tuple(Stay(each.enter_time, each.leave_time) for each in own))
        for own in people.values()
    ]


def to_presence(sitting: Sitting, visit: SimulatedVisit) -> Presence:
    return Presence(
        target=target(sitting, visit),
        account=visit.account,
        display_name=name_of(visit),
        device=Device(visit.terminal or Device.UNKNOWN),
        role=Role(visit.role),
        enter_time=visit.enter_time,
        microphone=visit.microphone,
        camera=visit.camera,
        sharing=visit.sharing,
    )


def to_quality(sitting: Sitting, visit: SimulatedVisit, now: int) -> Quality:
    own = target(sitting, visit)
    measures = simulated_quality.measure(sitting.key.entity_id, own.person_id, now, visit.connection)
    return Quality(own, visit.account, name_of(visit), *measures)


def to_waiting(sitting: Sitting, person: SimulatedWaiting) -> Waiting:
    return Waiting(target(sitting, person), person.account, name_of(person), person.enter_time)
