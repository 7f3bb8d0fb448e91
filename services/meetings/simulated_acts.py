"""What people do in a simulated meeting: they come and go, wait, and turn on what they have with them.

Everything raises errors.RpcError FAILED_PRECONDITION when the meeting does not allow it.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import partial

import grpc

from services.meetings import simulated_rows as rows
from services.meetings.models import SimulatedVisit
from services.meetings.simulated_crowd import Extra
from services.meetings.simulated_quality import NetworkState
from services.meetings.simulated_rows import Person
from services.meetings.simulated_scene import STEERS, SimulatedScene, Visitor
from services.platform.serving import errors
from services.platform.text.messages import Text, message


class Deed(StrEnum):
    """What somebody does."""

    ENTER = "ENTER"
    LEAVE = "LEAVE"
    WAIT = "WAIT"
    STOP_WAITING = "STOP_WAITING"
    MICROPHONE_ON = "MICROPHONE_ON"
    MICROPHONE_OFF = "MICROPHONE_OFF"
    CAMERA_ON = "CAMERA_ON"
    CAMERA_OFF = "CAMERA_OFF"
    SHARING_ON = "SHARING_ON"
    SHARING_OFF = "SHARING_OFF"
    CONNECTION_BAD = "CONNECTION_BAD"
    CONNECTION_GOOD = "CONNECTION_GOOD"
    CONNECTION_USUAL = "CONNECTION_USUAL"


def play(scene: SimulatedScene, deed: Deed, who: Visitor) -> None:
    DEEDS[deed](scene, who)


def enter(scene: SimulatedScene, who: Visitor) -> None:
    """Entering twice is being inside once. Who is held back waits; when nobody is any more, they enter in turn."""
    if scene.of(scene.inside, who):
        return
    check_door(scene, who)
    if scene.settings.waiting_room and not scene.is_host(who):
        wait(scene, who)
        return
    if scene.awaits_host and not scene.is_host(who):
        raise not_allowed(message("nobody can enter before a host does"))
    scene.stop_waiting(scene.of(scene.waiting, who))
    scene.let_in(who)


def wait(scene: SimulatedScene, who: Visitor) -> None:
    """As far as the waiting room. Waiting twice is waiting once, and who is inside has nothing to wait for."""
    already = bool(scene.of(scene.inside, who)) or bool(scene.of(scene.waiting, who))
    if already:
        return
    check_door(scene, who)
    scene.hold(who)


def populate(scene: SimulatedScene, extras: Iterable[Extra], *, as_waiting: bool = False) -> None:
    """Whatever the settings; who is there already is left alone."""
    check_on(scene)
    people: list[Person] = [*scene.inside, *scene.waiting]
    there = {rows.target(scene.sitting, each).person_id for each in people}
    for extra in extras:
        if scene.person_id(extra.visitor) in there:
            continue
        if as_waiting:
            scene.hold(extra.visitor)
            continue
        visit = scene.let_in(extra.visitor)
        visit.microphone = visit.microphone and extra.microphone
        visit.camera, visit.sharing = extra.camera, extra.sharing


def check_on(scene: SimulatedScene) -> None:
    if scene.sitting.is_off:
        raise not_allowed(message("nobody can enter a meeting that was cancelled or ended"))


def check_door(scene: SimulatedScene, who: Visitor) -> None:
    settings = scene.settings
    check_on(scene)
    if scene.is_removed(who):
        raise not_allowed(message("{account} was removed and may not come back", account=who.shown))
    if settings.locked:
        raise not_allowed(message("the meeting is locked: nobody else can enter"))
    if settings.organization_only and not who.account:
        raise not_allowed(message("only people of the organization can enter"))


def leave(scene: SimulatedScene, who: Visitor) -> None:
    scene.put_out(own_visits(scene, who))


def stop_waiting(scene: SimulatedScene, who: Visitor) -> None:
    waiting = scene.of(scene.waiting, who)
    if not waiting:
        raise not_allowed(message("{account} is not in the waiting room", account=who.shown))
    scene.stop_waiting(waiting)


def microphone(scene: SimulatedScene, who: Visitor, *, on: bool) -> None:
    for visit in own_visits(scene, who):
        if on and not scene.settings.may_unmute and visit.role not in STEERS:
            raise not_allowed(message("the host allows nobody to turn the microphone on"))
        visit.microphone = on


def camera(scene: SimulatedScene, who: Visitor, *, on: bool) -> None:
    for visit in own_visits(scene, who):
        visit.camera = on


def sharing(scene: SimulatedScene, who: Visitor, *, on: bool) -> None:
    for visit in own_visits(scene, who):
        if on and not scene.settings.may_share and visit.role not in STEERS:
            raise not_allowed(message("only hosts may share a screen"))
        visit.sharing = on


def connection(scene: SimulatedScene, who: Visitor, *, quality: NetworkState) -> None:
    for visit in own_visits(scene, who):
        visit.connection = quality


def own_visits(scene: SimulatedScene, who: Visitor) -> list[SimulatedVisit]:
    found = scene.of(scene.inside, who)
    if not found:
        raise not_allowed(message("{account} is not inside", account=who.shown))
    return found


def not_allowed(words: Text) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "NOT_ALLOWED_NOW", words)


DEEDS: Mapping[Deed, Callable[[SimulatedScene, Visitor], None]] = {
    Deed.ENTER: enter,
    Deed.LEAVE: leave,
    Deed.WAIT: wait,
    Deed.STOP_WAITING: stop_waiting,
    Deed.MICROPHONE_ON: partial(microphone, on=True),
    Deed.MICROPHONE_OFF: partial(microphone, on=False),
    Deed.CAMERA_ON: partial(camera, on=True),
    Deed.CAMERA_OFF: partial(camera, on=False),
    Deed.SHARING_ON: partial(sharing, on=True),
    Deed.SHARING_OFF: partial(sharing, on=False),
    Deed.CONNECTION_BAD: partial(connection, quality=NetworkState.BAD),
    Deed.CONNECTION_GOOD: partial(connection, quality=NetworkState.GOOD),
    Deed.CONNECTION_USUAL: partial(connection, quality=NetworkState.USUAL),
}
