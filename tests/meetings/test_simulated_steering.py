"""What hosts do to a simulated meeting: each act with its effect and its refusals, on both databases."""

from dataclasses import fields
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from services.meetings.models import SimulatedInvitation, SimulatedSettings
from services.meetings.people import Device, Presence, Role, Target, Waiting
from services.meetings.provider import (
    MeetingKey,
    MeetingState,
    NoSuchMeetingError,
    NoSuchPersonError,
    NotPermittedError,
    ProviderError,
    WrongStateError,
)
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_scene import Visitor
from services.meetings.steering import (
    ACTS,
    Act,
    Admit,
    ChangeSettings,
    Chat,
    End,
    Invite,
    Mute,
    MuteOnEntry,
    PutInWaitingRoom,
    Remove,
    Rename,
    SetCoHost,
    StopSharing,
    StopVideo,
    TurnAway,
)
from services.platform.data.database import Database
from services.platform.serving import errors
from tests.meetings.builders import HandClock
from tests.meetings.test_simulated import CODE, HOUR, at, make, told

GUEST = Visitor("", "Guest")
NOBODY = Target("nobody")


@pytest.fixture
async def key(simulated: Simulated, clock: HandClock) -> MeetingKey:
    """A meeting of li's, in which are li, wang and a guest."""
    return await with_three(simulated, clock)


async def with_three(simulated: Simulated, clock: HandClock) -> MeetingKey:
    made = at(await make(simulated, clock))
    for who in (Visitor("li"), Visitor("wang"), GUEST):
        await simulated.play(CODE, Deed.ENTER, who)
    return made


async def one(simulated: Simulated, key: MeetingKey, name: str) -> Presence:
    [found] = [each for each in await simulated.inside(key) if each.display_name == name]
    return found


async def names(simulated: Simulated, key: MeetingKey) -> tuple[list[str], list[str]]:
    """Inside, and waiting."""
    inside, waiting = await simulated.inside(key), await simulated.waiting(key, "li")
    return [each.display_name for each in inside], [each.display_name for each in waiting]


async def target(simulated: Simulated, key: MeetingKey, name: str) -> Target:
    """Of somebody who is inside, or waits."""
    people: list[Presence | Waiting] = [*await simulated.inside(key), *await simulated.waiting(key, "li")]
    return next(each.target for each in people if each.display_name == name)


async def refused_at_the_door(simulated: Simulated, who: Visitor, deed: Deed = Deed.ENTER) -> str:
    with pytest.raises(errors.RpcError) as caught:
        await simulated.play(CODE, deed, who)
    assert caught.value.code == grpc.StatusCode.FAILED_PRECONDITION
    return str(caught.value)


def of_each(someone: Target) -> list[Act]:
    """Every act that there is, once."""
    return [
        *(ChangeSettings(locked=True), Mute(someone, muted=True), Remove((someone,), may_return=True)),
        *(SetCoHost(someone, co_host=True), Admit((someone,)), PutInWaitingRoom((someone,))),
        *(TurnAway((someone,), may_return=True), Rename(someone, "x"), StopVideo(someone), StopSharing(someone)),
        *(Invite(("zhao",)), End()),
    ]


async def test_it_has_a_way_to_do_every_act(simulated: Simulated) -> None:
    assert simulated.acts == ACTS == {type(each) for each in of_each(NOBODY)}


@pytest.mark.parametrize("act", of_each(NOBODY), ids=lambda act: type(act).__name__)
async def test_nothing_is_done_where_nobody_is_inside(simulated: Simulated, clock: HandClock, act: Act) -> None:
    """Also when all have left, and when it was cancelled; End does nothing to what has ended."""
    key = at(await make(simulated, clock))
    with pytest.raises(WrongStateError) as caught:
        await simulated.do(key, act, "li")
    assert caught.value.reason == "WRONG_STATE"
    await simulated.enter(CODE, "li")
    await simulated.leave(CODE, "li")
    with pytest.raises(WrongStateError):
        await simulated.do(key, act, "li")
    await simulated.end_by_host(CODE, "li")
    if isinstance(act, End):
        await simulated.do(key, act, "li")
    else:
        with pytest.raises(WrongStateError):
            await simulated.do(key, act, "li")
    off = at(await make(simulated, clock, "987654321"))
    await simulated.cancel("987654321", "li")
    with pytest.raises(WrongStateError):
        await simulated.do(off, act, "li")


@pytest.mark.parametrize("act", of_each(NOBODY), ids=lambda act: type(act).__name__)
async def test_nothing_is_done_by_another_or_to_another_or_elsewhere(
    simulated: Simulated, key: MeetingKey, act: Act
) -> None:
    """Only its creator acts, or nobody who is named; whom an act means is there; the meeting exists."""
    before = await simulated.inside(key), await told_so_far(simulated)
    with pytest.raises(NotPermittedError):
        await simulated.do(key, act, "wang")
    if not isinstance(act, ChangeSettings | Invite | End):
        for operator in ("li", ""):
            with pytest.raises(NoSuchPersonError) as caught:
                await simulated.do(key, act, operator)
            assert caught.value.reason == "NO_SUCH_PERSON"
    for odd in (MeetingKey("simulated", "999"), MeetingKey("simulated", "x")):
        with pytest.raises(NoSuchMeetingError):
            await simulated.do(odd, act, "li")
    with pytest.raises(ProviderError):
        await simulated.do(MeetingKey("simulated", key.meeting_id, "1"), act, "li")
    assert (await simulated.inside(key), await told_so_far(simulated)) == before


async def told_so_far(simulated: Simulated) -> list[str]:
    return await told(simulated._database)


async def test_who_has_left_is_no_longer_there(simulated: Simulated, key: MeetingKey) -> None:
    gone = (await one(simulated, key, "wang")).target
    await simulated.leave(CODE, "wang")
    for act in (Mute(gone, muted=True), Remove((gone,), may_return=True), PutInWaitingRoom((gone,)), Admit((gone,))):
        with pytest.raises(NoSuchPersonError):
            await simulated.do(key, act, "li")


async def test_of_several_all_are_there_or_nothing_is_done(simulated: Simulated, key: MeetingKey) -> None:
    wang = await target(simulated, key, "wang")
    for act in (Remove((wang, NOBODY), may_return=False), PutInWaitingRoom((wang, NOBODY))):
        with pytest.raises(NoSuchPersonError):
            await simulated.do(key, act, "li")
    await simulated.leave(CODE, "wang")
    await simulated.enter(CODE, "wang")
    assert await names(simulated, key) == (["li", "Guest", "wang"], [])
    await simulated.do(key, Remove((wang, wang), may_return=False), "li")
    assert await names(simulated, key) == (["li", "Guest"], [])


async def test_one_is_muted_and_may_speak_again(simulated: Simulated, key: MeetingKey) -> None:
    wang = await target(simulated, key, "wang")
    for muted in (True, True, False):
        await simulated.do(key, Mute(wang, muted=muted), "li")
        assert [each.microphone for each in await simulated.inside(key)] == [True, not muted, True]


async def test_a_target_is_one_device_or_all_of_a_person(simulated: Simulated, key: MeetingKey) -> None:
    """Of somebody who is inside twice; a device of somebody else's is nobody."""
    await simulated.play(CODE, Deed.ENTER, Visitor("wang", device=Device.IOS))
    first, second = [each.target for each in await simulated.inside(key) if each.account == "wang"]
    assert (first, second) == (Target(first.person_id, "PC"), Target(first.person_id, "IOS"))
    await simulated.do(key, Mute(second, muted=True), "li")
    assert [each.microphone for each in await simulated.inside(key)] == [True, True, True, False]
    await simulated.do(key, Mute(Target(first.person_id), muted=True), "li")
    assert [each.microphone for each in await simulated.inside(key)] == [True, False, True, False]
    with pytest.raises(NoSuchPersonError):
        await simulated.do(key, Mute(Target(first.person_id, "MAC"), muted=False), "li")
    await simulated.do(key, Remove((second,), may_return=True), "li")
    assert [each.target for each in await simulated.inside(key) if each.account == "wang"] == [first]


async def test_all_are_muted_but_hosts_and_nobody_turns_it_on_again(simulated: Simulated, key: MeetingKey) -> None:
    """A co-host does as the host; whoever comes later is muted, too; unmuted by the host one may speak."""
    await simulated.enter(CODE, "zhao")
    await simulated.do(key, SetCoHost(await target(simulated, key, "zhao"), co_host=True), "li")
    await simulated.do(key, ChangeSettings(mute_all=True, may_unmute=False), "li")
    await simulated.enter(CODE, "qian")
    speak = {each.display_name: each.microphone for each in await simulated.inside(key)}
    assert speak == {"li": True, "wang": False, "Guest": False, "zhao": True, "qian": False}
    for who in (Visitor("wang"), GUEST, Visitor("qian")):
        assert "microphone" in await refused_at_the_door(simulated, who, Deed.MICROPHONE_ON)
        await simulated.play(CODE, Deed.MICROPHONE_OFF, who)
    for who in (Visitor("li"), Visitor("zhao")):
        await simulated.play(CODE, Deed.MICROPHONE_OFF, who)
        await simulated.play(CODE, Deed.MICROPHONE_ON, who)
    await simulated.do(key, Mute(await target(simulated, key, "wang"), muted=False), "li")
    assert (await one(simulated, key, "wang")).microphone
    await simulated.do(key, ChangeSettings(may_unmute=True), "li")
    await simulated.play(CODE, Deed.MICROPHONE_ON, GUEST)
    assert (await one(simulated, key, "Guest")).microphone
    await simulated.do(key, ChangeSettings(mute_all=False), "li")
    assert not (await one(simulated, key, "qian")).microphone
    await simulated.enter(CODE, "sun")
    assert (await one(simulated, key, "sun")).microphone


@pytest.mark.parametrize(
    ("rule", "speak"),
    [
        (MuteOnEntry.OFF, [True, True, True, True]),
        (MuteOnEntry.ON, [False, False, False, False]),
        (MuteOnEntry.ABOVE_SIX, [True, True, True, False]),
    ],
)
async def test_who_enters_may_be_muted(
    simulated: Simulated, key: MeetingKey, rule: MuteOnEntry, speak: list[bool]
) -> None:
    """Of those from the fourth to the seventh; who was there stays as they were, and the host is never."""
    await simulated.do(key, ChangeSettings(mute_on_entry=rule), "li")
    for number in range(4, 8):
        await simulated.enter(CODE, f"number {number}")
    assert [each.microphone for each in await simulated.inside(key)] == [True, True, True, *speak]
    await simulated.leave(CODE, "li")
    await simulated.enter(CODE, "li")
    assert (await one(simulated, key, "li")).microphone


async def test_co_hosts_are_made_and_unmade(simulated: Simulated, key: MeetingKey) -> None:
    """The host stays what they are, and a guest is a guest again."""
    for name, before in (("wang", Role.MEMBER), ("Guest", Role.GUEST)):
        who = await target(simulated, key, name)
        for co_host, role in ((True, Role.CO_HOST), (True, Role.CO_HOST), (False, before)):
            await simulated.do(key, SetCoHost(who, co_host=co_host), "li")
            assert (await one(simulated, key, name)).role == role
    for co_host in (True, False):
        with pytest.raises(WrongStateError):
            await simulated.do(key, SetCoHost(await target(simulated, key, "li"), co_host=co_host), "li")
    assert (await one(simulated, key, "li")).role == Role.HOST


async def test_somebody_is_shown_under_another_name(simulated: Simulated, key: MeetingKey, database: Database) -> None:
    """The person stays the same: a guest is known by the name they came with."""
    before = await one(simulated, key, "Guest")
    await simulated.do(key, Rename(before.target, "访客"), "li")
    after = await one(simulated, key, "访客")
    assert (after.target, after.account) == (before.target, "")
    await simulated.play(CODE, Deed.LEAVE, GUEST)
    assert await names(simulated, key) == (["li", "wang"], [])
    assert (await told(database))[3:] == ["left"]


async def test_cameras_and_screens_are_turned_off(simulated: Simulated, key: MeetingKey) -> None:
    """And are turned on again by whom they belong to; turning off what is off is nothing."""
    wang = Visitor("wang")
    for deed in (Deed.CAMERA_ON, Deed.SHARING_ON):
        await simulated.play(CODE, deed, wang)
    who = await target(simulated, key, "wang")
    for _ in range(2):
        await simulated.do(key, StopVideo(who), "li")
        now = await one(simulated, key, "wang")
        assert (now.camera, now.sharing) == (False, True)
    for _ in range(2):
        await simulated.do(key, StopSharing(who), "li")
        assert not (await one(simulated, key, "wang")).sharing
    await simulated.play(CODE, Deed.CAMERA_ON, wang)
    assert (await one(simulated, key, "wang")).camera


async def test_sharing_is_for_hosts_alone_when_it_is_said(simulated: Simulated, key: MeetingKey) -> None:
    """Who shares already is stopped."""
    for account in ("li", "wang"):
        await simulated.play(CODE, Deed.SHARING_ON, Visitor(account))
    await simulated.do(key, ChangeSettings(may_share=False), "li")
    assert [each.sharing for each in await simulated.inside(key)] == [True, False, False]
    assert "share" in await refused_at_the_door(simulated, Visitor("wang"), Deed.SHARING_ON)
    await simulated.play(CODE, Deed.SHARING_ON, Visitor("li"))
    await simulated.do(key, ChangeSettings(may_share=True), "li")
    await simulated.play(CODE, Deed.SHARING_ON, Visitor("wang"))


async def test_settings_that_are_not_given_stay(simulated: Simulated, key: MeetingKey, database: Database) -> None:
    """Every one is kept, whatever its effect here."""
    wanted: dict[str, Any] = {each.name: True for each in fields(ChangeSettings)}
    wanted |= {"mute_on_entry": MuteOnEntry.ABOVE_SIX, "chat": Chat.HOSTS}
    wanted |= {"may_unmute": False, "may_share": False, "red_envelopes": False}
    for name, value in wanted.items():
        await simulated.do(key, ChangeSettings(**{name: value}), "li")
    await simulated.do(key, ChangeSettings(), "li")
    query = sa.select(SimulatedSettings)
    [row] = await database.read(lambda connection: connection.execute(query).mappings().all())
    assert {name: row[name] for name in wanted} == wanted


async def test_members_are_invited_beside_those_who_are(
    simulated: Simulated, key: MeetingKey, database: Database
) -> None:
    await simulated.do(key, Invite(("zhao", "qian", "zhao")), "li")
    await simulated.do(key, Invite(("qian", "sun")), "li")
    query = sa.select(SimulatedInvitation.account).order_by(SimulatedInvitation.account)  # type: ignore[call-overload]
    assert await database.read(lambda connection: connection.execute(query).scalars().all()) == ["qian", "sun", "zhao"]


async def test_it_is_ended_for_everybody(
    simulated: Simulated, key: MeetingKey, database: Database, clock: HandClock
) -> None:
    """Also for those who wait. Nobody comes back, and ending it again does nothing."""
    await simulated.wait(CODE, "zhao")
    await simulated.do(key, End(), "li")
    assert (await simulated.get(key.meeting_id, None)).state == MeetingState.ENDED
    assert await names(simulated, key) == ([], [])
    assert await told(database) == ["entered"] * 3 + ["left", "left", "left!", "ended"]
    await simulated.do(key, End(), "li")
    assert len(await told(database)) == 7
    assert "ended" in await refused_at_the_door(simulated, Visitor("wang"))
    clock.time += 3 * HOUR
    with pytest.raises(WrongStateError):
        await simulated.do(key, ChangeSettings(locked=True), "li")
