"""The simulated provider: meetings that commands make and people that commands play, on both databases."""

import json

import grpc
import pytest
import sqlalchemy as sa

from services.meetings.provider import MeetingKey, MeetingState, NoSuchMeetingError, ProviderError
from services.meetings.simulated import Simulated
from services.meetings.steering import End
from services.meetings.webhook_events import WebhookEvents
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.meetings.builders import HandClock

HOUR = 3_600_000
CODE = "123456789"


async def make(simulated: Simulated, clock: HandClock, code: str = CODE) -> str:
    made = await simulated.create(code, "组会", "li", clock.time + HOUR, clock.time + 2 * HOUR)
    return made.meeting_id


async def told(database: Database) -> list[str]:
    table = outbox.TABLE.c
    query = sa.select(table.subject, table.payload).order_by(table.seq)
    rows = await database.read(lambda connection: connection.execute(query).all())
    return [subject.rpartition(".")[2] + "!" * json.loads(text).get("everybodyLeft", False) for subject, text in rows]


def at(meeting_id: str) -> MeetingKey:
    return MeetingKey("simulated", meeting_id)


async def test_a_meeting_is_made_and_found_and_outlives_a_restart(
    simulated: Simulated, clock: HandClock, url: str, webhook_events: WebhookEvents
) -> None:
    made = await make(simulated, clock)
    found = await simulated.find(CODE, "li")
    assert (found.meeting_id, found.state, found.belongs_to("li")) == (made, MeetingState.SCHEDULED, True)
    await simulated.enter(CODE, "li")
    again = Database(url)
    revived = Simulated(again, clock, webhook_events)
    assert (await revived.get(made, None)).state == MeetingState.RUNNING
    assert [each.account for each in await revived.inside(at(made))] == ["li"]
    again.close()


async def test_people_come_and_go(simulated: Simulated, clock: HandClock, database: Database) -> None:
    """Waiting is not entering; entering twice is being inside once; coming back keeps the first entry."""
    made = await make(simulated, clock)
    await simulated.wait(CODE, "li")
    assert await simulated.participants(at(made), None) == []
    first = clock.time
    for account in ("li", "li", "wang"):
        await simulated.enter(CODE, account)
    clock.time += 1000
    await simulated.leave(CODE, "li")
    await simulated.leave(CODE, "wang")
    assert await simulated.inside(at(made)) == []
    assert (await simulated.get(made, None)).state == MeetingState.SCHEDULED
    clock.time += 1000
    await simulated.enter(CODE, "li")
    people = await simulated.participants(at(made), None)
    assert [(each.account, each.enter_time, each.leave_time) for each in people] == [
        ("li", first, None),
        ("wang", first, first + 1000),
    ]
    assert await told(database) == ["entered", "entered", "left", "left!", "entered"]


async def test_it_is_moved_ended_and_cancelled(simulated: Simulated, clock: HandClock, database: Database) -> None:
    made = await make(simulated, clock)
    moved = await simulated.move(CODE, clock.time + 5 * HOUR, None)
    assert moved.occurrences[0].end_time - moved.occurrences[0].start_time == HOUR
    await simulated.enter(CODE, "li")
    assert (await simulated.end_by_host(CODE, "li")).state == MeetingState.ENDED
    await simulated.do(at(made), End(), "li")
    other = await make(simulated, clock)
    assert (await simulated.cancel(CODE, "li")).state == MeetingState.CANCELLED
    assert (await simulated.get(other, None)).state == MeetingState.CANCELLED
    assert await told(database) == ["changed", "entered", "left!", "ended", "cancelled"]


async def test_a_number_is_free_again_when_its_meeting_is_over(simulated: Simulated, clock: HandClock) -> None:
    first = await make(simulated, clock)
    with pytest.raises(errors.RpcError) as caught:
        await make(simulated, clock)
    assert caught.value.code == grpc.StatusCode.ALREADY_EXISTS
    clock.time += 3 * HOUR
    second = await make(simulated, clock)
    assert (await simulated.find(CODE, None)).meeting_id == second
    assert (await simulated.get(first, None)).state == MeetingState.ENDED


async def test_numbers_are_chosen(simulated: Simulated, clock: HandClock) -> None:
    made = [await make(simulated, clock, "") for _ in range(3)]
    assert len({(await simulated.get(each, None)).meeting_code for each in made}) == 3


async def test_what_cannot_be_is_refused(simulated: Simulated, clock: HandClock) -> None:
    for code in ("999999999", CODE):
        with pytest.raises(errors.RpcError) as caught:
            await simulated.enter(code, "li")
        assert caught.value.code == grpc.StatusCode.NOT_FOUND
    for odd in ("x", "", "9" * 30, "①"):
        with pytest.raises(NoSuchMeetingError):
            await simulated.get(odd, None)
    await make(simulated, clock)
    for act in (simulated.leave(CODE, "li"), _enter_then_cancel(simulated)):
        with pytest.raises(errors.RpcError) as caught:
            await act
        assert caught.value.code == grpc.StatusCode.FAILED_PRECONDITION


async def _enter_then_cancel(simulated: Simulated) -> None:
    await simulated.enter(CODE, "li")
    await simulated.cancel(CODE, "li")


async def recurring(simulated: Simulated, clock: HandClock) -> str:
    """Three times, an hour each, a day apart."""
    first = clock.time + HOUR
    starts = [first + day * 24 * HOUR for day in range(3)]
    made = await simulated.create(CODE, "组会", "li", first, first + HOUR, starts)
    return made.meeting_id


async def test_each_occurrence_of_a_recurring_meeting_has_its_own_people(
    simulated: Simulated, clock: HandClock, database: Database
) -> None:
    """Who enters enters the one under way, or the next; ending it ends no other."""
    made = await recurring(simulated, clock)
    first, second = MeetingKey("simulated", made, "1"), MeetingKey("simulated", made, "2")
    found = await simulated.enter(CODE, "li")
    assert (found.recurring, found.state) == (True, MeetingState.RUNNING)
    assert [each.sub_meeting_id for each in found.occurrences] == ["1", "2", "3"]
    assert [each.account for each in await simulated.inside(first)] == ["li"]
    assert await simulated.inside(second) == []
    assert (await simulated.end_by_host(CODE, "li")).state == MeetingState.SCHEDULED
    await simulated.enter(CODE, "wang")
    assert [each.account for each in await simulated.participants(first, None)] == ["li"]
    assert [each.account for each in await simulated.participants(second, None)] == ["wang"]
    with pytest.raises(errors.RpcError):
        await simulated.enter(CODE, "li", "1")
    clock.time += 72 * HOUR
    await simulated.leave(CODE, "wang", "2")
    assert (await simulated.get(made, None)).state == MeetingState.ENDED
    query = sa.select(outbox.TABLE.c.entity_id).order_by(outbox.TABLE.c.seq)
    entities = await database.read(lambda connection: connection.execute(query).scalars().all())
    assert [entity.removeprefix(f"simulated/{made}/") for entity in entities] == ["1", "1", "1", "2", "2"]


async def test_a_recurring_meeting_says_nothing_as_a_whole(simulated: Simulated, clock: HandClock) -> None:
    """As the original: without an occurrence, or with one that is not there, who came is unknown and never nobody."""
    made = await recurring(simulated, clock)
    for odd in ("", "0", "4", "x"):
        with pytest.raises(ProviderError):
            await simulated.participants(MeetingKey("simulated", made, odd), None)
    with pytest.raises(errors.RpcError) as caught:
        await simulated.enter(CODE, "li", "4")
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
    single = await make(simulated, clock, "987654321")
    with pytest.raises(ProviderError):
        await simulated.participants(MeetingKey("simulated", single, "1"), None)


async def test_one_occurrence_or_all_are_moved_and_cancelled(
    simulated: Simulated, clock: HandClock, database: Database
) -> None:
    await recurring(simulated, clock)
    start = clock.time + 30 * HOUR
    moved = await simulated.move(CODE, start, None, "2")
    assert [each.start_time == start for each in moved.occurrences] == [False, True, False]
    off = await simulated.cancel(CODE, "li", "1")
    assert ([each.cancelled for each in off.occurrences], off.state) == ([True, False, False], MeetingState.SCHEDULED)
    await simulated.enter(CODE, "li")
    with pytest.raises(errors.RpcError):
        await simulated.cancel(CODE, "li")
    await simulated.leave(CODE, "li")
    assert (await simulated.cancel(CODE, "li")).state == MeetingState.CANCELLED
    assert await told(database) == ["changed", "cancelled", "entered", "left!", "cancelled", "cancelled"]
