"""What hosts do to a simulated meeting: each act with its effect and its refusals, on both databases."""

from services.meetings.people import Target
from services.meetings.simulated import Simulated
from services.meetings.steering import Admit, ChangeSettings, Mute
from tests.meetings.builders import HandClock
from tests.meetings.test_simulated import CODE, at, make


async def test_the_port(simulated: Simulated, clock: HandClock) -> None:
    key = at(await make(simulated, clock))
    for account in ("li", "wang"):
        await simulated.enter(CODE, account)
    await simulated.do(key, ChangeSettings(waiting_room=True, mute_all=True, may_unmute=False), "li")
    await simulated.enter(CODE, "zhao")
    assert [(each.account, each.microphone) for each in await simulated.inside(key)] == [("li", True), ("wang", False)]
    [one] = await simulated.waiting(key, "li")
    await simulated.do(key, Admit((one.target,)), "li")
    await simulated.do(key, Mute(one.target, muted=False), "")
    assert len(await simulated.quality(key)) == 3
    assert Target(one.target.person_id, "PC") == one.target
