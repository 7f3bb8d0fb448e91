"""What hosts do to a simulated meeting while it runs: each act of steering.py with its effect. Before it runs they move
it, or call it off.

An act is done for all whom it names, or, when one of them is not there, for nobody. Raises ProviderError.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from services.meetings import simulated_rows as rows
from services.meetings.models import SimulatedInvitation
from services.meetings.people import Device, MeetingRole, Target
from services.meetings.provider import CancelledError, NoSuchPersonError, NotPermittedError, WrongStateError
from services.meetings.simulated_rows import Person, Sitting
from services.meetings.simulated_scene import STEERS, P, SimulatedScene, Visitor
from services.meetings.steering import (
    Act,
    Admit,
    ChangeSettings,
    End,
    Invite,
    Mute,
    PutInWaitingRoom,
    Remove,
    Rename,
    SetCoHost,
    StopSharing,
    StopVideo,
    TurnAway,
)


def check_operator(sitting: Sitting, operator: str) -> None:
    """As the original: only who made the meeting, for whom "" stands too. Raises NotPermittedError."""
    if operator not in ("", sitting.meeting.creator):
        raise NotPermittedError("only who made the meeting may do this")


def steer(scene: SimulatedScene, act: Act, operator: str) -> None:
    """Raises NotPermittedError, WrongStateError when nobody is inside, NoSuchPersonError."""
    check_operator(scene.sitting, operator)
    if isinstance(act, End) and scene.sitting.times.ended:
        return
    if not scene.inside:
        raise WrongStateError("nobody is inside")
    STEER[type(act)](scene, act)


def change_settings(scene: SimulatedScene, act: ChangeSettings) -> None:
    """Hosts and co-hosts are neither muted nor kept from sharing."""
    for each in fields(act):
        if (value := getattr(act, each.name)) is not None:
            setattr(scene.settings, each.name, value)
    scene.keep_settings()
    others = [visit for visit in scene.inside if visit.role not in STEERS]
    for visit in others:
        visit.microphone = visit.microphone and act.mute_all is not True
        visit.sharing = visit.sharing and act.may_share is not False


def mute(scene: SimulatedScene, act: Mute) -> None:
    for visit in found(scene, scene.inside, [act.target]):
        visit.microphone = not act.muted


def remove(scene: SimulatedScene, act: Remove) -> None:
    people = found(scene, scene.inside, act.targets)
    refuse_from_now_on(scene, people, may_return=act.may_return)
    scene.put_out(people)


def set_co_host(scene: SimulatedScene, act: SetCoHost) -> None:
    for visit in found(scene, scene.inside, [act.target]):
        if visit.role == MeetingRole.HOST:
            raise WrongStateError("the host stays host")
        others = MeetingRole.MEMBER if visit.account else MeetingRole.GUEST
        visit.role = MeetingRole.CO_HOST if act.co_host else others


def admit(scene: SimulatedScene, act: Admit) -> None:
    people = found(scene, scene.waiting, act.targets)
    scene.stop_waiting(people)
    for each in people:
        scene.let_in(visitor(each), rows.target(scene.sitting, each).person_id)


def put_in_waiting_room(scene: SimulatedScene, act: PutInWaitingRoom) -> None:
    people = found(scene, scene.inside, act.targets)
    if any(visit.role == MeetingRole.HOST for visit in people):
        raise WrongStateError("the host does not wait")
    scene.put_out(people)
    for each in people:
        scene.hold(visitor(each), rows.target(scene.sitting, each).person_id)


def turn_away(scene: SimulatedScene, act: TurnAway) -> None:
    people = found(scene, scene.waiting, act.targets)
    refuse_from_now_on(scene, people, may_return=act.may_return)
    scene.stop_waiting(people)


def rename(scene: SimulatedScene, act: Rename) -> None:
    for visit in found(scene, scene.inside, [act.target]):
        visit.display_name = act.display_name


def stop_video(scene: SimulatedScene, act: StopVideo) -> None:
    for visit in found(scene, scene.inside, [act.target]):
        visit.camera = False


def stop_sharing(scene: SimulatedScene, act: StopSharing) -> None:
    for visit in found(scene, scene.inside, [act.target]):
        visit.sharing = False


def invite(scene: SimulatedScene, act: Invite) -> None:
    meeting_id, _ = scene.place
    for account in dict.fromkeys(act.accounts):
        if scene.session.get(SimulatedInvitation, (meeting_id, account)) is None:
            scene.session.add(SimulatedInvitation(meeting_id=meeting_id, account=account))
    scene.session.flush()


def end(scene: SimulatedScene, act: End) -> None:
    scene.end()


def reschedule(scene: SimulatedScene, creator: str, start: int, end: int) -> None:
    """Raises CancelledError, WrongStateError when it runs or is over, NotPermittedError."""
    check_operator(scene.sitting, creator)
    times = scene.sitting.times
    if times.cancelled:
        raise CancelledError("it was cancelled")
    if scene.inside or scene.sitting.is_over(scene.now):
        raise WrongStateError("it runs, or is over")
    if (times.start_time, times.end_time) != (start, end):
        scene.reschedule(start, end)


def call_off(scene: SimulatedScene, creator: str) -> None:
    """Nothing happens to one that is over. Raises WrongStateError while somebody is inside, NotPermittedError."""
    check_operator(scene.sitting, creator)
    if scene.inside:
        raise WrongStateError("people are inside")
    if not scene.sitting.is_over(scene.now):
        scene.call_off()
        scene.sitting.meeting.cancelled = True


def found(scene: SimulatedScene, people: Sequence[P], targets: Sequence[Target]) -> list[P]:
    """Each once. Raises NoSuchPersonError for one who is not among them."""
    those: dict[int, P] = {}
    for target in targets:
        matching = scene.matching(people, target)
        if not matching:
            raise NoSuchPersonError(f"{target.person_id} is not there")
        those |= {id(each): each for each in matching}
    return list(those.values())


def refuse_from_now_on(scene: SimulatedScene, people: Sequence[Person], *, may_return: bool) -> None:
    if may_return:
        return
    for each in people:
        scene.refuse_from_now_on(each)


def visitor(person: Person) -> Visitor:
    return Visitor(person.account, rows.name_of(person), Device(person.terminal or Device.UNKNOWN))


STEER: Mapping[type[Act], Callable[[SimulatedScene, Any], None]] = {
    ChangeSettings: change_settings,
    Mute: mute,
    Remove: remove,
    SetCoHost: set_co_host,
    Admit: admit,
    PutInWaitingRoom: put_in_waiting_room,
    TurnAway: turn_away,
    Rename: rename,
    StopVideo: stop_video,
    StopSharing: stop_sharing,
    Invite: invite,
    End: end,
}
