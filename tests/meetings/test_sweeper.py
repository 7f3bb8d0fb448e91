"""Looking at what the provider holds: nothing is missed, nothing is asked too often, and half a list says half."""

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from services.meetings import sweeper as sweeping
from services.meetings.ledger_models import MEETING, QUALITY, SWEEP, VISIT
from services.meetings.provider import AwayError, NotPermittedError, ProviderError, RateLimitedError, UnsupportedError
from services.meetings.simulated_lists import PAGE
from services.meetings.sweeper import Sweeper, SweepPace
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import DAY, HOUR, MINUTE, SECOND
from services.platform.data.database import Database
from tests.meetings.builders import HandClock
from tests.meetings.swept import Asked, fill, in_phase, rows


@pytest.fixture
def provider(database: Database, clock: HandClock) -> Asked:
    return Asked(database, clock)


@pytest.fixture
def sweeper(database: Database, clock: HandClock, provider: Asked) -> Sweeper:
    return Sweeper(database, clock, provider, SweepPace(), clock.seconds())


async def sweep(sweeper: Sweeper, clock: HandClock, seconds: float) -> None:
    """As the loop does it, in virtual time: a call takes a tenth of a second."""
    end = clock.time + int(seconds * SECOND)
    while clock.time < end:
        clock.time += 100 if await sweeper.turn() else 2 * SECOND


def most_in_a_minute(provider: Asked) -> int:
    times = [at for at, _, _ in provider.calls]
    return max(sum(at <= each < at + MINUTE for each in times) for at in times)


async def test_what_nobody_told_is_found(
    database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper
) -> None:
    """Coming, running, ended by turns, with who came."""
    start, end = clock.time + HOUR, clock.time + 2 * HOUR
    await provider.create("123456789", "组会", "li", start, end)
    await sweep(sweeper, clock, 30)
    [row] = rows(database)
    assert (row.phase, row.subject, row.creator, row.start_time, row.end_time) == ("COMING", "组会", "li", start, end)
    clock.time = start
    await provider.enter("123456789", "ann")
    await sweep(sweeper, clock, 30)
    [row] = rows(database)
    assert (row.phase, row.inside_count, row.came_count) == ("RUNNING", 1, 1)
    await provider.leave("123456789", "ann")
    left = clock.time
    clock.time = end + 1
    await sweep(sweeper, clock, 3 * 60)
    [row] = rows(database)
    assert (row.phase, row.inside_count, row.came_count, row.visits_complete) == ("ENDED", 0, 1, True)
    assert (row.actual_start, row.actual_end) == (start, left)
    with database.engine.begin() as connection:
        visits = connection.execute(sa.select(VISIT.c.account, VISIT.c.enter_time, VISIT.c.leave_time)).all()
    assert [tuple(each) for each in visits] == [("ann", start, left)]
    assert provider.asked("visits") == 1


async def test_one_that_was_called_off_or_moved_is_noticed(
    database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper
) -> None:
    for code in ("123456789", "123456780"):
        await provider.create(code, "x", "li", clock.time + HOUR, clock.time + 2 * HOUR)
    await sweep(sweeper, clock, 30)
    await provider.cancel("123456789", "li")
    await provider.move("123456780", clock.time + 5 * HOUR, None)
    clock.time += 5 * MINUTE
    await sweep(sweeper, clock, 30)
    first, second = rows(database)
    assert (first.phase, second.phase, second.start_time > clock.time + 4 * HOUR) == ("CANCELLED", "COMING", True)


async def test_a_thousand_that_run_are_kept_current_with_sixty_calls_a_minute(
    database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper
) -> None:
    """Though no event comes at all; quality and who came take what is left."""
    fill(database, clock, 1000, inside=True)
    fill(database, clock, 120, inside=False, first=1000)
    await sweep(sweeper, clock, 30)
    assert (in_phase(database, "RUNNING"), in_phase(database, "COMING")) == (1000, 120)
    for each in range(0, 1000, 100):
        await provider.end_by_host(f"{100_000_000 + each}", "li")
    await sweep(sweeper, clock, 75)
    assert in_phase(database, "RUNNING") == 990
    await sweep(sweeper, clock, 90)
    assert in_phase(database, "ENDED") == 10
    assert {row.visits_complete for row in rows(database, MEETING.c.phase == "ENDED")} == {True}
    assert provider.asked("quality") > 10
    assert most_in_a_minute(provider) <= 60
    assert provider.asked("RUNNING") >= 1000 / PAGE * 3


PAGES = 3


@pytest.mark.parametrize("page", range(1, PAGES + 1))
@pytest.mark.parametrize("phase", ["RUNNING", "COMING"])
async def test_of_a_list_that_fails_half_way_nothing_follows(
    database: Database, clock: HandClock, provider: Asked, phase: str, page: int
) -> None:
    """On each page in turn: what was not read is neither over nor called off, and the list is not said to be whole."""
    sweeper = Sweeper(database, clock, provider, SweepPace(coming=20, ended=20), clock.seconds())
    fill(database, clock, PAGES * PAGE - 10, inside=phase == "RUNNING")
    await sweep(sweeper, clock, 30)
    assert in_phase(database, phase) == PAGES * PAGE - 10
    before = read_times(database)
    provider.fault = lambda what, number: AwayError("a fault") if (what, number) == (phase, page) else None
    if phase == "RUNNING":
        await provider.end_by_host("100000000", "li")
    else:
        await provider.cancel("100000000", "li")
    await sweep(sweeper, clock, 60)
    assert provider.asked(phase) > PAGES
    assert in_phase(database, phase) == PAGES * PAGE - 10
    assert read_times(database)[phase] == before[phase]
    provider.fault = lambda what, number: None
    await sweep(sweeper, clock, 60)
    assert in_phase(database, phase) == PAGES * PAGE - 11
    assert read_times(database)[phase] > before[phase]


def read_times(database: Database) -> dict[str, int]:
    with database.engine.begin() as connection:
        return {row.phase: row.read_time for row in connection.execute(sa.select(SWEEP))}


async def test_what_moved_up_while_the_list_was_read_is_not_over(
    database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper
) -> None:
    """One of the first page ends while the second is asked for: what stood at its top is missed this time."""
    fill(database, clock, 3 * PAGE, inside=True)
    await sweep(sweeper, clock, 15)
    lost = iter(range(PAGE))

    def fault(what: str, number: int) -> None:
        if (what, number) == ("RUNNING", 2):
            each = next(lost)
            with database.engine.begin() as connection:
                connection.execute(sa.text("DELETE FROM simulated_visit WHERE meeting_id = :id"), {"id": each + 1})

    provider.fault = fault
    await sweep(sweeper, clock, 15)
    assert (next(lost), in_phase(database, "RUNNING")) == (1, 3 * PAGE)
    provider.fault = lambda what, number: None
    await sweep(sweeper, clock, 45)
    assert in_phase(database, "RUNNING") == 3 * PAGE - 1


@pytest.mark.parametrize(("error", "seconds"), [(RateLimitedError("too much", 40), 40), (AwayError("gone"), 5)])
async def test_it_pauses_as_it_is_told(
    clock: HandClock, provider: Asked, sweeper: Sweeper, error: ProviderError, seconds: int
) -> None:
    provider.fault = lambda what, number: error
    began = clock.time
    await sweep(sweeper, clock, 3 * seconds + 2)
    [first, second] = [(at - began) / SECOND for at, _, _ in provider.calls[:2]]
    assert first == 0
    assert seconds <= second <= seconds + 2


async def test_lists_that_a_provider_has_not_are_asked_for_once(
    clock: HandClock, provider: Asked, sweeper: Sweeper
) -> None:
    provider.fault = lambda what, number: UnsupportedError("no") if what != "RUNNING" else NotPermittedError("no")
    await sweep(sweeper, clock, 150)
    assert (provider.asked("COMING"), provider.asked("ENDED"), provider.asked("RUNNING")) == (1, 1, 3)


async def test_who_came_is_asked_again_when_it_is_too_early_and_not_for_ever(
    database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper
) -> None:
    """The newest first; what cannot be told is given up."""
    fill(database, clock, 3, inside=True)
    await sweep(sweeper, clock, 5)
    for each in range(3):
        await provider.end_by_host(f"{100_000_000 + each}", "li")
        clock.time += 1000
    provider.fault = lambda what, number: NotPermittedError("no") if what == "visits" else None
    await sweep(sweeper, clock, 5 * 60)
    assert provider.asked("visits") == 3
    assert {row.visits_due for row in rows(database)} == {-1}
    assert {row.visits_complete for row in rows(database)} == {False}


async def test_quality_is_sampled_in_turn_and_bad_is_marked(
    database: Database, clock: HandClock, provider: Asked
) -> None:
    fill(database, clock, 3, inside=True)
    strict = Sweeper(database, clock, provider, SweepPace(bad_delay_ms=0.001), clock.seconds())
    await sweep(strict, clock, 45)
    with database.engine.begin() as connection:
        samples = connection.execute(sa.select(QUALITY)).all()
        per_meeting = connection.execute(
            sa.select(sa.func.count()).select_from(QUALITY).group_by(QUALITY.c.meeting_row)
        ).all()
    assert {each.bad for each in samples} == {True}
    assert {tuple(each) for each in per_meeting} <= {(2,), (3,)}
    assert len(per_meeting) == 3


async def test_old_samples_go(database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper) -> None:
    fill(database, clock, 1, inside=True)
    await sweep(sweeper, clock, 5)
    with database.engine.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(QUALITY)) == 1
    await provider.end_by_host("100000000", "li")
    clock.time += 90 * DAY - MINUTE
    await sweep(sweeper, clock, 30)
    with database.engine.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(QUALITY)) == 1
    clock.time += 2 * MINUTE
    await sweep(sweeper, clock, 10)
    with database.engine.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(QUALITY)) == 0


async def test_a_meeting_to_which_nobody_came_ends_with_its_time(
    database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper
) -> None:
    await provider.create("123456789", "x", "li", clock.time + 10_000, clock.time + 60_000)
    await sweep(sweeper, clock, 9)
    as_of = rows(database)[0].as_of
    clock.time += 60_000
    await sweep(sweeper, clock, 9)
    [row] = rows(database)
    assert (row.phase, row.came_count, row.actual_start, row.as_of) == ("ENDED", 0, None, as_of)


async def test_only_who_owns_looks(database: Database, clock: HandClock, provider: Asked, sweeper: Sweeper) -> None:
    owns = False
    task = asyncio.create_task(sweeping.run([sweeper], lambda: owns))
    await asyncio.sleep(0.1)
    assert provider.calls == []
    owns = True
    await until(lambda: len(provider.calls) >= 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.02)


async def test_events_and_sweeps_together_tell_the_same(
    database: Database, clock: HandClock, webhook_events: WebhookEvents
) -> None:
    """Nothing is counted twice when both say it."""
    provider = Asked(database, clock, webhook_events)
    sweeper = Sweeper(database, clock, provider, SweepPace(), clock.seconds())
    await provider.create("123456789", "x", "li", clock.time, clock.time + HOUR)
    await provider.enter("123456789", "ann")
    clock.time += 1000
    await sweep(sweeper, clock, 25)
    await provider.enter("123456789", "bob")
    [row] = rows(database)
    assert (row.phase, row.inside_count, row.came_count) == ("RUNNING", 2, 2)
    clock.time += 1000
    await provider.leave("123456789", "ann")
    assert rows(database)[0].inside_count == 1
    await sweep(sweeper, clock, 25)
    assert rows(database)[0].inside_count == 1
