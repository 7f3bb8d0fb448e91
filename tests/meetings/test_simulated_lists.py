"""The lists of the simulated provider: one row an occurrence, by index, on both databases."""

import pytest
import sqlalchemy as sa

from services.meetings.models import SimulatedMeeting, SimulatedVisit
from services.meetings.provider import Kind, ListedMeeting, MeetingKey, Phase
from services.meetings.simulated import Simulated
from services.meetings.simulated_lists import PAGE
from services.platform.data.database import Database
from tests.meetings.builders import HandClock
from tests.meetings.test_simulated import CODE, HOUR, make, recurring

OTHER = "987654321"


async def listed(
    simulated: Simulated, phase: Phase, since: int | None = None, until: int | None = None
) -> list[ListedMeeting]:
    """All pages, as whoever goes on from each to the next reads them."""
    found: list[ListedMeeting] = []
    number = 1
    while number:
        page = await simulated.meetings(phase, since, until, number)
        found += page.meetings
        number = page.next_page
    assert page.total == len(found)
    return found


async def keys(simulated: Simulated, phase: Phase, since: int | None = None, until: int | None = None) -> list[str]:
    return [each.key.entity_id.removeprefix("simulated/") for each in await listed(simulated, phase, since, until)]


async def test_a_meeting_goes_from_list_to_list(simulated: Simulated, clock: HandClock) -> None:
    """Running tells who is inside, ended who came and when; who left before the planned end leaves it coming."""
    made, start = await make(simulated, clock), clock.time + HOUR
    [coming] = await listed(simulated, Phase.COMING)
    assert coming == ListedMeeting(
        *(MeetingKey("simulated", made), Phase.COMING, CODE, "组会", "li", "li", Kind.SINGLE, start, start + HOUR)
    )
    for account in ("li", "wang"):
        await simulated.enter(CODE, account)
    first = clock.time
    assert await keys(simulated, Phase.COMING) == []
    [running] = await listed(simulated, Phase.RUNNING)
    assert (running.start_time, running.end_time, running.people) == (start, start + HOUR, 2)
    clock.time += 1000
    await simulated.leave(CODE, "wang")
    await simulated.leave(CODE, "li")
    assert [await keys(simulated, phase) for phase in Phase] == [[f"{made}/"], [], []]
    await simulated.enter(CODE, "li")
    clock.time += 3 * HOUR
    assert [await keys(simulated, phase) for phase in Phase] == [[], [f"{made}/"], []]
    await simulated.leave(CODE, "li")
    [ended] = await listed(simulated, Phase.ENDED)
    assert (ended.start_time, ended.end_time, ended.people) == (first, clock.time, 2)


async def test_what_was_cancelled_or_nobody_came_to_is_in_no_list_of_ended_ones(
    simulated: Simulated, clock: HandClock
) -> None:
    await make(simulated, clock)
    await make(simulated, clock, OTHER)
    await simulated.cancel(CODE, "li")
    assert len(await listed(simulated, Phase.COMING)) == 1
    clock.time += 2 * HOUR - 1
    assert len(await listed(simulated, Phase.COMING)) == 1
    clock.time += 1
    assert [await keys(simulated, phase) for phase in Phase] == [[], [], []]


async def test_each_occurrence_is_a_row(simulated: Simulated, clock: HandClock) -> None:
    made = await recurring(simulated, clock)
    assert {each.kind for each in await listed(simulated, Phase.COMING)} == {Kind.RECURRING}
    await simulated.enter(CODE, "li")
    assert await keys(simulated, Phase.RUNNING) == [f"{made}/1"]
    assert await keys(simulated, Phase.COMING) == [f"{made}/2", f"{made}/3"]
    await simulated.end_by_host(CODE, "li")
    await simulated.cancel(CODE, "li", "2")
    assert await keys(simulated, Phase.ENDED) == [f"{made}/1"]
    assert await keys(simulated, Phase.COMING) == [f"{made}/3"]


@pytest.mark.parametrize(
    ("since", "until", "there"),
    [
        (None, None, True),
        (0, None, True),
        (2 * HOUR - 1, None, True),
        (2 * HOUR, None, False),
        (None, HOUR, False),
        (None, HOUR + 1, True),
        (HOUR, HOUR + 1, True),
        (0, HOUR, False),
    ],
)
async def test_a_window_holds_what_touches_it(
    simulated: Simulated, clock: HandClock, since: int | None, until: int | None, there: bool
) -> None:
    """A meeting from one hour to two from now, coming; the same for one that was held exactly so."""
    base = clock.time
    await make(simulated, clock)
    window = [None if each is None else base + each for each in (since, until)]
    assert bool(await listed(simulated, Phase.COMING, *window)) == there
    clock.time = base + HOUR
    await simulated.enter(CODE, "li")
    assert bool(await listed(simulated, Phase.RUNNING, *window)) == there
    clock.time = base + 2 * HOUR
    await simulated.leave(CODE, "li")
    assert bool(await listed(simulated, Phase.ENDED, *window)) == there


async def test_a_meeting_that_goes_on_beyond_its_end_touches_now(simulated: Simulated, clock: HandClock) -> None:
    await make(simulated, clock)
    await simulated.enter(CODE, "li")
    clock.time += 5 * HOUR
    assert len(await listed(simulated, Phase.RUNNING, clock.time)) == 1
    assert await listed(simulated, Phase.RUNNING, clock.time + 1) == []


async def test_a_visit_of_no_time_touches_its_moment(simulated: Simulated, clock: HandClock) -> None:
    await make(simulated, clock)
    await simulated.enter(CODE, "li")
    await simulated.end_by_host(CODE, "li")
    assert len(await listed(simulated, Phase.ENDED, clock.time, clock.time + 1)) == 1
    assert await listed(simulated, Phase.ENDED, clock.time + 1) == []
    assert await listed(simulated, Phase.ENDED, None, clock.time) == []


async def fill(database: Database, clock: HandClock, number: int) -> None:
    """Meetings of an hour, a minute apart from now on; each was entered and left a minute before its end."""
    times = [clock.time + minute * 60_000 for minute in range(1, number + 1)]
    meetings = [
        {"meeting_code": str(900_000_000 + index), "subject": f"s{index}", "creator": "li"}
        | {"start_time": start, "end_time": start + HOUR, "ended": False, "cancelled": False}
        for index, start in enumerate(times, 1)
    ]
    visits = [
        {"meeting_id": index, "account": "li", "enter_time": start, "leave_time": start + HOUR - 60_000}
        for index, start in enumerate(times, 1)
    ]

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.insert(SimulatedMeeting), meetings)
        connection.execute(sa.insert(SimulatedVisit), visits)

    await database.write(work)


@pytest.mark.parametrize("number", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1])
async def test_pages_are_whole(simulated: Simulated, clock: HandClock, database: Database, number: int) -> None:
    if number:
        await fill(database, clock, number)
    names = [f"{index}/" for index in range(1, number + 1)]
    assert await keys(simulated, Phase.COMING) == names
    first = await simulated.meetings(Phase.COMING, None, None, 1)
    assert (first.total, first.next_page, len(first.meetings)) == (number, 2 if number > PAGE else 0, min(number, PAGE))
    beyond = await simulated.meetings(Phase.COMING, None, None, 10)
    assert (beyond.meetings, beyond.next_page, beyond.total) == ((), 0, number)
    clock.time += 30 * HOUR
    assert await keys(simulated, Phase.ENDED) == names


async def test_what_ends_while_one_reads_is_added_behind(
    simulated: Simulated, clock: HandClock, database: Database
) -> None:
    """Nothing of the ended ones is missed or told twice."""
    await fill(database, clock, PAGE + 10)
    clock.time += HOUR + (PAGE + 5) * 60_000
    first = await simulated.meetings(Phase.ENDED, None, None, 1)
    assert (first.total, first.next_page) == (PAGE + 5, 2)
    clock.time += 30 * HOUR
    second = await simulated.meetings(Phase.ENDED, None, None, 2)
    assert (second.total, second.next_page) == (PAGE + 10, 0)
    told = [each.subject for each in (*first.meetings, *second.meetings)]
    assert told == [f"s{index}" for index in range(1, PAGE + 11)]


async def test_what_leaves_the_list_while_one_reads_moves_the_rest_up_and_the_total_says_so(
    simulated: Simulated, clock: HandClock, database: Database
) -> None:
    """As with the original: who sees the totals differ reads again."""
    await fill(database, clock, PAGE + 2)
    first = await simulated.meetings(Phase.COMING, None, None, 1)
    await simulated.cancel("900000001", "li")
    second = await simulated.meetings(Phase.COMING, None, None, 2)
    assert [each.subject for each in second.meetings] == [f"s{PAGE + 2}"]
    assert (first.total, second.total) == (PAGE + 2, PAGE + 1)
    assert len(await keys(simulated, Phase.COMING)) == PAGE + 1


async def test_what_is_made_while_one_reads_moves_the_rest_down_and_hides_nothing(
    simulated: Simulated, clock: HandClock, database: Database
) -> None:
    await fill(database, clock, PAGE + 2)
    first = await simulated.meetings(Phase.COMING, None, None, 1)
    await simulated.create("", "sooner", "li", clock.time + 1, clock.time + HOUR)
    second = await simulated.meetings(Phase.COMING, None, None, 2)
    assert {each.subject for each in (*first.meetings, *second.meetings)} == {f"s{n}" for n in range(1, PAGE + 3)}
    assert (first.total, second.total) == (PAGE + 2, PAGE + 3)
