"""Simulated meetings that are made here, and how they are to be. Their passwords are neither stored nor asked for."""

import json
from collections.abc import Callable, Sequence

from sqlmodel import Session, select

from services.meetings import simulated_rows as rows
from services.meetings.models import SimulatedInvitation, SimulatedMeeting, SimulatedPlan, SimulatedSettings
from services.meetings.plans import MeetingPlan
from services.meetings.steering import MuteOnEntry


def make(
    session: Session, plan: MeetingPlan, creator: str, making_id: str, code: Callable[[Session], str]
) -> SimulatedMeeting:
    """`code` chooses its number."""
    made = SimulatedMeeting(
        meeting_code=code(session),
        subject=plan.subject,
        creator=creator,
        start_time=plan.start_time,
        end_time=plan.end_time,
    )
    session.add(made)
    session.flush()
    options, meeting_id = plan.options, rows.id_of(made)
    session.add(
        SimulatedPlan(
            meeting_id=meeting_id,
            making_id=making_id,
            hosts=json.dumps([each for each in options.hosts if each != creator]),
            waiting_room=options.waiting_room,
            enter_before_host=options.enter_before_host,
            organization_only=options.organization_only,
            mute_on_entry=options.mute_on_entry,
        )
    )
    session.add_all(SimulatedInvitation(meeting_id=meeting_id, account=each) for each in options.invitees)
    session.flush()
    return made


def find(session: Session, making_id: str) -> SimulatedMeeting | None:
    plan = session.exec(select(SimulatedPlan).where(SimulatedPlan.making_id == making_id)).one_or_none()
    return session.get(SimulatedMeeting, plan.meeting_id) if plan else None


def join_url(meeting_code: str) -> str:
    """Leads nowhere; who pastes it is understood to mean the number."""
    return f"https://meeting.invalid/join?meeting_code={meeting_code}"


def hosts(plan: SimulatedPlan | None) -> Sequence[str]:
    """Beside the creator."""
    return list(map(str, json.loads(plan.hosts))) if plan else []


def settings(plan: SimulatedPlan | None, meeting_id: int, occurrence: int) -> SimulatedSettings:
    """As it begins."""
    usual = SimulatedSettings(meeting_id=meeting_id, occurrence=occurrence)
    if plan:
        usual.waiting_room, usual.organization_only = plan.waiting_room, plan.organization_only
        usual.mute_on_entry = MuteOnEntry.ON if plan.mute_on_entry else MuteOnEntry.OFF
    return usual
