"""Who is inside, asked of the provider no more often than it can bear."""

from services.meetings.people import Presence
from services.meetings.people_now import PeopleNow
from services.meetings.provider import MeetingKey
from services.meetings.simulated import Simulated
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR
from services.platform.data.database import Database
from tests.meetings.builders import HandClock

CODE = "912345678"


class Counted(Simulated):
    """Says how often it was asked. Two people come with one call."""

    people_a_call = 2
    asked = 0

    async def inside(self, key: MeetingKey) -> list[Presence]:
        self.asked += 1
        return await super().inside(key)


async def test_a_look_lasts_a_second_for_each_call_that_it_costs(
    database: Database, clock: HandClock, webhook_events: WebhookEvents
) -> None:
    provider = Counted(database, clock, webhook_events)
    made = await provider.create(CODE, "组会", "li", clock.now(), clock.now() + HOUR)
    key, seconds = MeetingKey("simulated", made.meeting_id), [100.0]
    people = PeopleNow(clock, lambda: seconds[0])
    for accounts, lasts in ((["li", "wang"], 1.0), (["zhao"], 2.0)):
        for account in accounts:
            await provider.enter(CODE, account)
        people.forget(key)
        before = provider.asked
        for later, asked in ((0.0, 1), (lasts - 0.1, 1), (0.1, 2)):
            seconds[0] += later
            await people.of(provider, key, "li")
            assert provider.asked - before == asked
