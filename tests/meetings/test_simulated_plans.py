"""Simulated meetings that are made here: how they are to be holds for whoever enters, each time they begin."""

from typing import Any

import pytest

from services.contracts import invitations
from services.meetings.plans import MeetingOptions, MeetingPlan
from services.meetings.provider import (
    MadeMeeting,
    MeetingKey,
    MeetingState,
    NoSuchMeetingError,
    NotPermittedError,
    UnsupportedError,
    WrongStateError,
)
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_scene import Visitor
from services.meetings.steering import ChangeSettings
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR
from services.platform.data.database import Database
from services.platform.serving import errors
from tests.meetings.builders import HandClock

GUEST = Visitor("", "guest")


async def make(simulated: Simulated, making_id: str = "m-1", **options: Any) -> MadeMeeting:
    start = simulated._clock.now()
    usual = {"enter_before_host": True}
    return await simulated.make(
        MeetingPlan("s", start, start + HOUR, MeetingOptions(**{**usual, **options})), "li", making_id
    )


def key(made: MadeMeeting) -> MeetingKey:
    return MeetingKey("simulated", made.meeting.meeting_id)


async def there(simulated: Simulated, made: MadeMeeting) -> tuple[list[str], list[str]]:
    """Who is inside, and who waits."""
    inside, waiting = await simulated.inside(key(made)), await simulated.waiting(key(made), "li")
    return [each.display_name for each in inside], [each.display_name for each in waiting]


async def test_the_same_id_is_one_meeting(simulated: Simulated) -> None:
    first, again, another = [await make(simulated, each) for each in ("m-1", "m-1", "m-2")]
    assert first == again
    assert first.meeting.meeting_id != another.meeting.meeting_id
    plan = MeetingPlan("s", 1000, 2000)
    assert await simulated.find_made(plan, "li", "m-2") == [another]
    with pytest.raises(NoSuchMeetingError):
        await simulated.find_made(plan, "li", "m-3")


async def test_its_link_means_its_number(simulated: Simulated) -> None:
    made = await make(simulated)
    assert invitations.meeting_code(made.join_url) == made.meeting.meeting_code


async def test_without_a_number_that_leads_here_it_is_not_made(
    database: Database, clock: HandClock, webhook_events: WebhookEvents
) -> None:
    elsewhere = Simulated(database, clock, webhook_events, lambda code: False)
    with pytest.raises(UnsupportedError):
        await make(elsewhere)


async def test_people_wait_where_there_is_a_waiting_room(simulated: Simulated) -> None:
    """Hosts do not. What was set while it ran is forgotten with the last one."""
    made = await make(simulated, waiting_room=True, hosts=("wang",))
    code = made.meeting.meeting_code
    assert made.meeting.hosts == ("li", "wang")
    for who in ("zhao", "wang", "li"):
        await simulated.enter(code, who)
    assert await there(simulated, made) == (["wang", "li"], ["zhao"])
    await simulated.do(key(made), ChangeSettings(waiting_room=False), "li")
    await simulated.enter(code, "chen")
    assert (await there(simulated, made))[0] == ["wang", "li", "chen"]
    for who in ("wang", "li", "chen"):
        await simulated.leave(code, who)
    await simulated.enter(code, "chen")
    assert await there(simulated, made) == ([], ["zhao", "chen"])


@pytest.mark.parametrize("host", ["li", "wang"])
async def test_nobody_enters_before_a_host(simulated: Simulated, host: str) -> None:
    made = await make(simulated, enter_before_host=False, hosts=("wang",))
    code = made.meeting.meeting_code
    with pytest.raises(errors.RpcError, match="before a host"):
        await simulated.enter(code, "zhao")
    await simulated.enter(code, host)
    await simulated.enter(code, "zhao")
    await simulated.leave(code, host)
    assert (await there(simulated, made))[0] == ["zhao"]  # whoever is inside stays
    with pytest.raises(errors.RpcError, match="before a host"):
        await simulated.enter(code, "chen")


async def test_where_there_is_a_waiting_room_one_waits_before_a_host(simulated: Simulated) -> None:
    made = await make(simulated, enter_before_host=False, waiting_room=True)
    await simulated.enter(made.meeting.meeting_code, "zhao")
    assert await there(simulated, made) == ([], ["zhao"])


async def test_guests_are_kept_out_where_only_the_organization_may_enter(simulated: Simulated) -> None:
    open_to_all, ours = await make(simulated), await make(simulated, "m-2", organization_only=True)
    await simulated.play(open_to_all.meeting.meeting_code, Deed.ENTER, GUEST)
    with pytest.raises(errors.RpcError, match="organization"):
        await simulated.play(ours.meeting.meeting_code, Deed.ENTER, GUEST)
    await simulated.enter(ours.meeting.meeting_code, "zhao")


async def test_people_come_in_muted(simulated: Simulated) -> None:
    """But hosts."""
    loud, quiet = await make(simulated), await make(simulated, "m-2", mute_on_entry=True, hosts=("wang",))
    for made, expected in ((loud, [True, True, True]), (quiet, [True, True, False])):
        for who in ("li", "wang", "zhao"):
            await simulated.enter(made.meeting.meeting_code, who)
        assert [each.microphone for each in await simulated.inside(key(made))] == expected


async def test_it_is_moved_and_called_off_by_its_creator(simulated: Simulated, clock: HandClock) -> None:
    made, now = await make(simulated), clock.now()
    one = key(made)
    for who in ("wang", "zhao"):
        with pytest.raises(NotPermittedError):
            await simulated.reschedule(one, who, now + HOUR, now + 2 * HOUR)
        with pytest.raises(NotPermittedError):
            await simulated.call_off(one, who)
    await simulated.reschedule(one, "li", now + HOUR, now + 2 * HOUR)
    [occurrence] = (await simulated.get(one.meeting_id, None)).occurrences
    assert (occurrence.start_time, occurrence.end_time) == (now + HOUR, now + 2 * HOUR)
    for _ in range(2):
        await simulated.call_off(one, "li")
    assert (await simulated.get(one.meeting_id, None)).state is MeetingState.CANCELLED
    with pytest.raises(NoSuchMeetingError):
        await simulated.reschedule(one, "li", now, now + HOUR)


async def test_neither_while_it_runs_nor_when_it_is_over(simulated: Simulated, clock: HandClock) -> None:
    """Calling off what is over changes nothing."""
    made, now = await make(simulated), clock.now()
    await simulated.enter(made.meeting.meeting_code, "li")
    with pytest.raises(WrongStateError):
        await simulated.reschedule(key(made), "li", now, now + 2 * HOUR)
    with pytest.raises(WrongStateError):
        await simulated.call_off(key(made), "li")
    await simulated.leave(made.meeting.meeting_code, "li")
    clock.time += HOUR - 1
    await simulated.reschedule(key(made), "li", now, now + 2 * HOUR)
    clock.time = now + 2 * HOUR
    with pytest.raises(WrongStateError):
        await simulated.reschedule(key(made), "li", now, now + 3 * HOUR)
    await simulated.call_off(key(made), "li")
    assert (await simulated.get(made.meeting.meeting_id, None)).state is MeetingState.ENDED
