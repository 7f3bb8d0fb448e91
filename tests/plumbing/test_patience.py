"""Work that may take so long and no longer, with one timer for all of it."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from services.platform.serving.patience import OutOfPatienceError, Patience

SOON, APART, LATE = 0.02, 1.0, 60.0


async def soon(word: str) -> str:
    await asyncio.sleep(0)
    return word


def begin(patience: Patience, work: Awaitable[Any]) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(patience.wait(work))


async def test_what_is_done_in_time_is_given_back_and_what_it_raises_is_raised() -> None:
    async def fail() -> None:
        raise TimeoutError("its own")

    patience = Patience(LATE)
    assert await asyncio.gather(*(begin(patience, soon(str(number))) for number in range(5))) == [*"01234"]
    with pytest.raises(TimeoutError, match="its own"):
        await patience.wait(fail())
    assert not patience._ends


async def test_what_takes_too_long_is_cancelled_each_at_its_own_time() -> None:
    patience, gone = Patience(APART), list[int]()

    async def hang(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.append(number)

    first = begin(patience, hang(0))
    await asyncio.sleep(APART / 2)
    others = [begin(patience, hang(number)) for number in (1, 2)]
    await asyncio.wait([first])
    assert gone == [0]
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert [type(each) for each in results] == [OutOfPatienceError] * 3
    assert await patience.wait(soon("again")) == "again"


async def test_whoever_cancels_the_task_is_obeyed_and_not_taken_for_the_timer() -> None:
    task = begin(Patience(LATE), asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_at_the_same_moment_as_the_timer_counts() -> None:
    patience = Patience(LATE)
    task = begin(patience, asyncio.Event().wait())
    await asyncio.sleep(0)
    patience._ends[task] = 0.0
    patience._look(asyncio.get_running_loop())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_there_is_one_timer_however_much_is_waited_for() -> None:
    loop: Any = asyncio.get_running_loop()
    before, patience = len(loop._scheduled), Patience(LATE)
    tasks = [begin(patience, asyncio.Event().wait()) for _ in range(50)]
    await asyncio.sleep(0)
    assert len(loop._scheduled) == before + 1
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_what_swallows_its_cancellation_is_not_cancelled_again() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(2 * SOON)
        return "done"

    patience = Patience(SOON)
    assert await patience.wait(stubborn()) == "done"
    assert not patience._ends


async def test_work_that_makes_something_else_of_its_end_leaves_nothing_behind() -> None:
    """As if it had not been cancelled: the next one that takes too long is told apart again."""

    async def give_up() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "given up"
        return "never"

    async def both() -> str:
        said = await patience.wait(give_up())
        with pytest.raises(OutOfPatienceError):
            await patience.wait(asyncio.Event().wait())
        return said

    patience = Patience(SOON)
    assert await asyncio.ensure_future(both()) == "given up"
