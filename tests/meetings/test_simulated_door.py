"""Who gets into a simulated meeting: locks, the waiting room, and who was removed, on both databases."""

import pytest

from services.meetings.people import Device, Role
from services.meetings.provider import (
    MeetingKey,
    NoSuchPersonError,
    NotPermittedError,
    WrongStateError,
)
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_scene import Visitor
from services.meetings.steering import (
    Admit,
    ChangeSettings,
    Mute,
    PutInWaitingRoom,
    Remove,
    TurnAway,
)
from services.platform.data.database import Database
from tests.meetings.builders import HandClock
from tests.meetings.test_simulated import CODE, recurring, told
from tests.meetings.test_simulated_steering import (
    GUEST,
    names,
    one,
    refused_at_the_door,
    target,
    with_three,
)


@pytest.fixture
async def key(simulated: Simulated, clock: HandClock) -> MeetingKey:
    return await with_three(simulated, clock)


async def test_a_locked_meeting_lets_nobody_in(simulated: Simulated, key: MeetingKey) -> None:
    """Who is inside is not concerned, and leaves; then not even its creator gets in, nor somebody's other device."""
    await simulated.do(key, ChangeSettings(locked=True), "li")
    for who in (Visitor("zhao"), Visitor("", "Other"), Visitor("wang", device=Device.IOS)):
        for deed in (Deed.ENTER, Deed.WAIT):
            assert "locked" in await refused_at_the_door(simulated, who, deed)
    await simulated.enter(CODE, "wang")
    await simulated.leave(CODE, "li")
    assert "locked" in await refused_at_the_door(simulated, Visitor("li"))
    assert await names(simulated, key) == (["wang", "Guest"], [])
    await simulated.do(key, ChangeSettings(locked=False), "")
    await simulated.enter(CODE, "li")


async def test_what_was_set_ends_with_the_last_who_leaves(simulated: Simulated, key: MeetingKey) -> None:
    await simulated.do(key, ChangeSettings(locked=True, mute_all=True), "li")
    await simulated.leave(CODE, "li")
    await simulated.leave(CODE, "wang")
    assert "locked" in await refused_at_the_door(simulated, Visitor("li"))
    await simulated.play(CODE, Deed.LEAVE, GUEST)
    await simulated.enter(CODE, "wang")
    assert (await one(simulated, key, "wang")).microphone


async def test_only_people_of_the_organization(simulated: Simulated, key: MeetingKey) -> None:
    await simulated.do(key, ChangeSettings(organization_only=True), "li")
    assert "organization" in await refused_at_the_door(simulated, Visitor("", "Other"))
    await simulated.enter(CODE, "zhao")
    assert await names(simulated, key) == (["li", "wang", "Guest", "zhao"], [])


async def test_the_waiting_room_holds_people_until_they_are_let_in(
    simulated: Simulated, key: MeetingKey, clock: HandClock, database: Database
) -> None:
    """Its creator goes in at once. Waiting is not entering; the entry is when they are let in."""
    await simulated.do(key, ChangeSettings(waiting_room=True), "li")
    for who in (Visitor("zhao"), Visitor("", "Other"), Visitor("zhao")):
        await simulated.play(CODE, Deed.ENTER, who)
    assert await names(simulated, key) == (["li", "wang", "Guest"], ["zhao", "Other"])
    assert await told(database) == ["entered"] * 3
    zhao, other = [each.target for each in await simulated.waiting(key, "li")]
    with pytest.raises(NoSuchPersonError):
        await simulated.do(key, Mute(zhao, muted=True), "li")
    clock.time += 1000
    await simulated.do(key, Admit((zhao, other)), "li")
    assert await names(simulated, key) == (["li", "wang", "Guest", "zhao", "Other"], [])
    people = {each.display_name: each for each in await simulated.inside(key)}
    assert (people["zhao"].target, people["zhao"].enter_time) == (zhao, clock.time)
    assert (people["Other"].target, people["Other"].role) == (other, Role.GUEST)
    assert await told(database) == ["entered"] * 5
    with pytest.raises(NoSuchPersonError):
        await simulated.do(key, Admit((zhao,)), "li")
    await simulated.leave(CODE, "li")
    await simulated.enter(CODE, "li")
    await simulated.leave(CODE, "wang")
    await simulated.enter(CODE, "wang")
    assert await names(simulated, key) == (["Guest", "zhao", "Other", "li"], ["wang"])


async def test_who_waits_gets_in_when_the_waiting_room_is_given_up(simulated: Simulated, key: MeetingKey) -> None:
    """When they try again; and by a locked door not even then."""
    await simulated.do(key, ChangeSettings(waiting_room=True), "li")
    await simulated.enter(CODE, "zhao")
    await simulated.do(key, ChangeSettings(waiting_room=False, locked=True), "li")
    assert "locked" in await refused_at_the_door(simulated, Visitor("zhao"))
    await simulated.do(key, ChangeSettings(locked=False), "li")
    assert await names(simulated, key) == (["li", "wang", "Guest"], ["zhao"])
    await simulated.enter(CODE, "zhao")
    assert await names(simulated, key) == (["li", "wang", "Guest", "zhao"], [])


async def test_people_are_sent_into_the_waiting_room(
    simulated: Simulated, key: MeetingKey, database: Database, clock: HandClock
) -> None:
    """Which is leaving; the host is not sent."""
    clock.time += 1000
    targets = tuple([await target(simulated, key, name) for name in ("wang", "Guest")])
    await simulated.do(key, PutInWaitingRoom(targets), "li")
    assert await names(simulated, key) == (["li"], ["wang", "Guest"])
    assert tuple(each.target for each in await simulated.waiting(key, "li")) == targets
    assert {each.enter_time for each in await simulated.waiting(key, "li")} == {clock.time}
    assert (await told(database))[3:] == ["left", "left"]
    with pytest.raises(WrongStateError):
        await simulated.do(key, PutInWaitingRoom((await target(simulated, key, "li"),)), "li")
    await simulated.do(key, Admit(targets), "li")
    assert await names(simulated, key) == (["li", "wang", "Guest"], [])


@pytest.mark.parametrize("may_return", [True, False])
async def test_who_was_removed_comes_back_only_if_they_may(
    simulated: Simulated, key: MeetingKey, may_return: bool
) -> None:
    """At any device, by account as by a guest's name; others are not concerned."""
    targets = tuple([await target(simulated, key, name) for name in ("wang", "Guest")])
    await simulated.do(key, Remove(targets, may_return=may_return), "li")
    assert await names(simulated, key) == (["li"], [])
    for who in (Visitor("wang"), Visitor("wang", "W", Device.IOS), GUEST):
        if may_return:
            await simulated.play(CODE, Deed.ENTER, who)
        else:
            assert "removed" in await refused_at_the_door(simulated, who)
            assert "removed" in await refused_at_the_door(simulated, who, Deed.WAIT)
    await simulated.play(CODE, Deed.ENTER, Visitor("", "Other"))
    assert len((await names(simulated, key))[0]) == (5 if may_return else 2)
    await simulated.leave(CODE, "li")
    await simulated.play(CODE, Deed.LEAVE, Visitor("", "Other"))
    if not may_return:
        assert "removed" in await refused_at_the_door(simulated, Visitor("wang"))


@pytest.mark.parametrize("may_return", [True, False])
async def test_who_was_turned_away_comes_back_only_if_they_may(
    simulated: Simulated, key: MeetingKey, may_return: bool, database: Database
) -> None:
    await simulated.wait(CODE, "zhao")
    await simulated.do(key, TurnAway((await target(simulated, key, "zhao"),), may_return=may_return), "li")
    assert await names(simulated, key) == (["li", "wang", "Guest"], [])
    assert await told(database) == ["entered"] * 3
    if may_return:
        await simulated.enter(CODE, "zhao")
    else:
        assert "removed" in await refused_at_the_door(simulated, Visitor("zhao"))
    with pytest.raises(NoSuchPersonError):
        await simulated.do(key, TurnAway((await target(simulated, key, "wang"),), may_return=True), "li")


async def test_a_removal_is_of_one_occurrence(simulated: Simulated, clock: HandClock) -> None:
    made = await recurring(simulated, clock)
    first, second = (MeetingKey("simulated", made, number) for number in ("1", "2"))
    for account in ("li", "wang"):
        await simulated.enter(CODE, account)
    await simulated.do(first, Remove((await target(simulated, first, "wang"),), may_return=False), "li")
    await simulated.do(first, ChangeSettings(locked=True), "li")
    await simulated.enter(CODE, "wang", "2")
    assert [each.account for each in await simulated.inside(second)] == ["wang"]


async def test_only_its_creator_sees_who_waits(simulated: Simulated, key: MeetingKey) -> None:
    """As with the original; "" is whoever it was."""
    await simulated.wait(CODE, "zhao")
    assert len(await simulated.waiting(key, "")) == 1
    with pytest.raises(NotPermittedError):
        await simulated.waiting(key, "wang")
