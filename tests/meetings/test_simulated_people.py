"""What people do in simulated meetings, one by one and in thousands, on both databases."""

import json
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa

from services.meetings import simulated_crowd
from services.meetings.people import Device, MeetingRole, Presence
from services.meetings.provider import MeetingKey, MeetingState, Phase, WrongStateError
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_quality import BAD, GOOD, NetworkState, measure
from services.meetings.simulated_scene import BATCH, Visitor
from services.meetings.steering import ChangeSettings, End
from services.meetings.webhook_event import WebhookEvent
from services.meetings.webhook_events import WebhookEvents
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests import templates
from tests.meetings.builders import HandClock
from tests.meetings.test_simulated import CODE, at, make, told

LI, GUEST = Visitor("li"), Visitor("", "Guest")


@pytest.fixture
async def key(simulated: Simulated, clock: HandClock) -> MeetingKey:
    return at(await make(simulated, clock))


async def refused(simulated: Simulated, deed: Deed, who: Visitor) -> None:
    with pytest.raises(errors.RpcError) as caught:
        await simulated.play(CODE, deed, who)
    assert (caught.value.code, caught.value.reason.split()[-1]) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "NOT_ALLOWED_NOW",
    )


async def test_people_come_with_names_and_devices(simulated: Simulated, key: MeetingKey, clock: HandClock) -> None:
    for who in (LI, Visitor("wang", "小王", Device.IOS), Visitor("", "Guest", Device.WEB)):
        await simulated.play(CODE, Deed.ENTER, who)
    people = await simulated.inside(key)
    assert [(each.account, each.display_name, each.device, each.role) for each in people] == [
        ("li", "li", Device.PC, MeetingRole.HOST),
        ("wang", "小王", Device.IOS, MeetingRole.MEMBER),
        ("", "Guest", Device.WEB, MeetingRole.GUEST),
    ]
    assert {(each.microphone, each.camera, each.sharing, each.enter_time) for each in people} == {
        (True, False, False, clock.time)
    }
    assert len({each.target for each in people}) == 3
    came = await simulated.participants(key, None)
    assert [(each.account, each.display_name) for each in came] == [("li", "li"), ("wang", "小王"), ("", "Guest")]


async def test_a_person_keeps_their_id_in_a_meeting_and_has_another_elsewhere(
    simulated: Simulated, key: MeetingKey, clock: HandClock
) -> None:
    other = at(await make(simulated, clock, "987654321"))
    first = await entered(simulated, key, LI)
    await simulated.leave(CODE, "li")
    again = await entered(simulated, key, Visitor("li", "Li", Device.MAC))
    assert again.target.person_id == first.target.person_id
    await simulated.enter("987654321", "li")
    [elsewhere] = await simulated.inside(other)
    assert elsewhere.target.person_id != first.target.person_id
    guests = [await entered(simulated, key, Visitor("", name)) for name in ("li", "Li")]
    assert len({each.target.person_id for each in (first, *guests)}) == 3


async def entered(simulated: Simulated, key: MeetingKey, who: Visitor) -> Presence:
    await simulated.play(CODE, Deed.ENTER, who)
    return (await simulated.inside(key))[-1]


async def test_two_devices_of_one_person(simulated: Simulated, key: MeetingKey, database: Database) -> None:
    """Each is a visit of one participant; the person leaves with one, or with all."""
    for device in (Device.PC, Device.IOS, Device.IOS):
        await simulated.play(CODE, Deed.ENTER, Visitor("li", device=device))
    assert [each.device for each in await simulated.inside(key)] == [Device.PC, Device.IOS]
    [came] = await simulated.participants(key, None)
    assert len(came.stays) == 2
    await simulated.play(CODE, Deed.LEAVE, Visitor("li", device=Device.PC))
    await refused(simulated, Deed.LEAVE, Visitor("li", device=Device.PC))
    assert [each.device for each in await simulated.inside(key)] == [Device.IOS]
    await simulated.play(CODE, Deed.ENTER, Visitor("li", device=Device.PC))
    await simulated.leave(CODE, "li")
    assert await simulated.inside(key) == []
    assert await told(database) == ["entered", "entered", "left", "entered", "left", "left!"]


@pytest.mark.parametrize(
    ("on", "off", "state"),
    [
        (Deed.MICROPHONE_ON, Deed.MICROPHONE_OFF, "microphone"),
        (Deed.CAMERA_ON, Deed.CAMERA_OFF, "camera"),
        (Deed.SHARING_ON, Deed.SHARING_OFF, "sharing"),
    ],
)
async def test_what_they_have_is_turned_on_and_off(
    simulated: Simulated, key: MeetingKey, on: Deed, off: Deed, state: str
) -> None:
    for who in (LI, GUEST):
        await refused(simulated, on, who)
        await simulated.play(CODE, Deed.ENTER, who)
        for deed in (off, on, on, off):
            await simulated.play(CODE, deed, who)
            [own] = [each for each in await simulated.inside(key) if each.account == who.account]
            assert getattr(own, state) == (deed == on)
    await simulated.play(CODE, on, GUEST)
    assert [getattr(each, state) for each in await simulated.inside(key)] == [False, True]


async def test_waiting_is_left_and_is_not_entering(simulated: Simulated, key: MeetingKey, database: Database) -> None:
    await refused(simulated, Deed.STOP_WAITING, LI)
    for _ in range(2):
        await simulated.play(CODE, Deed.WAIT, LI)
    [waiting] = await simulated.waiting(key, "li")
    assert (waiting.account, waiting.display_name) == ("li", "li")
    await refused(simulated, Deed.LEAVE, LI)
    await simulated.play(CODE, Deed.STOP_WAITING, LI)
    assert (await simulated.waiting(key, "li"), await told(database)) == ([], [])
    await simulated.play(CODE, Deed.WAIT, LI)
    await simulated.play(CODE, Deed.ENTER, LI)
    await simulated.play(CODE, Deed.WAIT, LI)
    assert (await simulated.waiting(key, "li"), len(await simulated.inside(key))) == ([], 1)
    await simulated.wait(CODE, "wang")
    await simulated.leave(CODE, "li")
    await simulated.cancel(CODE, "li")
    assert await simulated.waiting(key, "li") == []
    for deed in (Deed.ENTER, Deed.WAIT):
        await refused(simulated, deed, LI)


async def test_connections_become_bad_and_good(simulated: Simulated, key: MeetingKey, clock: HandClock) -> None:
    """Of one person, from one question to the next."""
    with pytest.raises(WrongStateError):
        await simulated.quality(key)
    await refused(simulated, Deed.CONNECTION_BAD, LI)
    for who in (LI, GUEST):
        await simulated.play(CODE, Deed.ENTER, who)
    for deed, least in ((Deed.CONNECTION_BAD, BAD[0]), (Deed.CONNECTION_GOOD, GOOD[0])):
        await simulated.play(CODE, deed, GUEST)
        li, guest = await simulated.quality(key)
        assert (li.account, guest.display_name) == ("li", "Guest")
        assert least <= (guest.delay or 0) <= least + 30
        usual = measure(key.entity_id, li.target.person_id, clock.time, NetworkState.USUAL)
        assert (li.delay, li.upstream_loss, li.downstream_loss) == usual
    await simulated.play(CODE, Deed.CONNECTION_USUAL, GUEST)
    guest = (await simulated.quality(key))[1]
    assert guest.delay == measure(key.entity_id, guest.target.person_id, clock.time)[0]


async def test_events_say_who_and_which_meeting(
    simulated: Simulated, key: MeetingKey, webhook_events: WebhookEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[WebhookEvent] = []
    store = webhook_events.store

    def hear(connection: sa.Connection, reported: list[WebhookEvent]) -> None:
        heard.extend(reported)
        store(connection, reported)

    monkeypatch.setattr(webhook_events, "store", hear)
    await simulated.play(CODE, Deed.ENTER, Visitor("", "Guest", Device.WEB))
    [inside] = await simulated.inside(key)
    await simulated.end_by_host(CODE, "li")
    entered, left, ended = heard
    for each in heard:
        assert (each.key, each.meeting_code, each.subject, each.creator) == (key, CODE, "组会", "li")
    for each in (entered, left):
        assert (each.person_id, each.terminal) == (inside.target.person_id, inside.target.terminal)
        assert (each.account, each.display_name) == ("", "Guest")
    assert (ended.person_id, ended.display_name, entered.everybody_left, left.everybody_left) == ("", "", False, True)


async def test_who_came_when_people_had_no_ids_is_still_somebody(
    simulated: Simulated, key: MeetingKey, database: Database, clock: HandClock
) -> None:
    """Rows of an older version."""
    visit = sa.text("INSERT INTO simulated_visit (meeting_id, account, enter_time) VALUES (1, 'li', :now)")
    await database.write(lambda connection: connection.execute(visit, {"now": clock.time}))
    [inside] = await simulated.inside(key)
    assert (inside.account, inside.display_name, inside.device) == ("li", "li", Device.UNKNOWN)
    assert [each.account for each in await simulated.participants(key, None)] == ["li"]
    assert len(await simulated.quality(key)) == 1
    await simulated.leave(CODE, "li")
    await simulated.enter(CODE, "li")
    assert [len(each.stays) for each in await simulated.participants(key, None)] == [2]


def test_a_crowd_is_the_same_for_a_seed_and_its_first_are_too() -> None:
    crowd = simulated_crowd.crowd(1, 3000)
    assert simulated_crowd.crowd(1, 10) == crowd[:10]
    assert simulated_crowd.crowd(2, 10) != crowd[:10]
    assert len({each.visitor.shown for each in crowd}) == 3000
    guests = sum(not each.visitor.account for each in crowd)
    assert 200 < guests < 400
    assert {each.visitor.device for each in crowd} == set(Device) - {Device.UNKNOWN}
    assert all(any(getattr(each, state) for each in crowd) for state in ("microphone", "camera", "sharing"))
    assert not any(each.camera for each in crowd if each.visitor.device == Device.PHONE)


async def test_a_meeting_is_filled_and_ended_whatever_its_number(
    simulated: Simulated, key: MeetingKey, database: Database
) -> None:
    """Over the border of a transaction, again and further; whatever its settings; the events are all there."""
    await simulated.enter(CODE, "li")
    await simulated.do(key, ChangeSettings(locked=True, mute_all=True), "li")
    number = BATCH + 1
    for _ in range(2):
        filled = await simulated.populate(CODE, number, 1, 7)
        assert (filled.inside, filled.waiting) == (number, 1)
    assert filled.meeting.state == MeetingState.RUNNING
    assert [each.microphone for each in await simulated.inside(key)] == [True, *[False] * BATCH]
    [waiting] = await simulated.waiting(key, "li")
    assert waiting.display_name == simulated_crowd.invent(7, number).visitor.shown
    [listed] = (await simulated.meetings(Phase.RUNNING, None, None, 1)).meetings
    assert listed.people == number
    await simulated.do(key, End(), "li")
    assert (await simulated.inside(key), await simulated.waiting(key, "li")) == ([], [])
    happened = await told(database)
    assert happened == ["entered"] * number + ["left"] * BATCH + ["left!", "ended"]
    with pytest.raises(errors.RpcError):
        await simulated.populate(CODE, 1, 0, 8)


async def test_its_host_ends_a_large_one_too(simulated: Simulated, key: MeetingKey, database: Database) -> None:
    await simulated.populate(CODE, BATCH, 0, 1)
    await simulated.enter(CODE, "li")
    assert (await simulated.end_by_host(CODE, "li")).state == MeetingState.ENDED
    assert (await told(database))[-2:] == ["left!", "ended"]


class TestThreeThousand:
    """On one database: how many there are is the same to both."""

    @pytest.fixture(params=["sqlite"])
    def url(self, tmp_path: Path, service: str) -> str:
        return templates.on_sqlite(tmp_path / "meetings.db", service)

    async def test_three_thousand_people(self, simulated: Simulated, key: MeetingKey, database: Database) -> None:
        """All of them at once in every answer, each with a name, a device and an event of their own."""
        filled = await simulated.populate(CODE, 3000, 100, 1)
        assert (filled.inside, filled.waiting) == (2900, 100)
        inside, waiting = await simulated.inside(key), await simulated.waiting(key, "li")
        assert len({each.target for each in inside} | {each.target for each in waiting}) == 3000
        assert all(each.display_name and each.device != Device.UNKNOWN for each in inside)
        assert [each.target for each in await simulated.quality(key)] == [each.target for each in inside]
        assert len(await simulated.participants(key, None)) == 2900
        [listed] = (await simulated.meetings(Phase.RUNNING, None, None, 1)).meetings
        assert listed.people == 2900
        await simulated.do(key, ChangeSettings(mute_all=True), "li")
        assert not any(each.microphone for each in await simulated.inside(key))
        query = sa.select(outbox.TABLE.c.payload)
        payloads = await database.read(lambda connection: connection.execute(query).scalars().all())
        assert len({json.loads(each).get("accountId", "") for each in payloads}) > 2500
        assert len(payloads) == 2900
