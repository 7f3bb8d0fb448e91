"""No cancellation is lost, and where one is, a loop of ours ends all the same."""

import asyncio
import contextlib

import pytest

import services.platform.messaging.bus  # noqa: F401 - it mends asyncio.wait_for
from services.platform.tasks import run_forever, until_cancelled
from tests.patience import PATIENCE_SECONDS
from tests.servers import until


async def test_waiting_loses_no_cancellation_that_comes_together_with_the_answer() -> None:
    """Nor does any library's, once there is a bus."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(asyncio.wait_for(answer, PATIENCE_SECONDS))
    await asyncio.sleep(0)
    answer.set_result("here")
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()


async def test_nor_one_that_comes_together_with_a_failure() -> None:
    """So nats-py went on looking for a server that had just refused it."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(asyncio.wait_for(answer, PATIENCE_SECONDS))
    await asyncio.sleep(0)
    answer.set_exception(ConnectionRefusedError())
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()


@pytest.mark.parametrize("seconds", [0.01, 0, -1])
async def test_what_does_not_come_in_time_is_cancelled(seconds: float) -> None:
    waited = asyncio.create_task(asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waited, seconds)
    assert waited.cancelled()


@pytest.mark.parametrize("seconds", [PATIENCE_SECONDS, None])
async def test_what_comes_in_time_is_answered(seconds: float | None) -> None:
    async def fail() -> None:
        raise ValueError("asked")

    assert await asyncio.wait_for(asyncio.sleep(0, "answer"), seconds) == "answer"
    with pytest.raises(ValueError, match="asked"):
        await asyncio.wait_for(fail(), seconds)


async def test_what_is_there_already_is_answered_without_waiting() -> None:
    there = asyncio.get_running_loop().create_future()
    there.set_result("here")
    assert await asyncio.wait_for(there, 0) == "here"


async def test_a_loop_of_ours_needs_to_be_told_once() -> None:
    turns = 0

    async def look() -> None:
        nonlocal turns
        for _ in until_cancelled():
            turns += 1
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    looking.cancel()
    await asyncio.wait([looking])
    assert (turns, looking.cancelled()) == (1, True)


async def test_what_fails_goes_on_and_a_cancellation_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    """Also one that the work itself swallows, as nats-py does."""
    done: list[str] = []

    async def work() -> None:
        done.append("begun")
        if len(done) == 1:
            raise OSError("away")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    running = asyncio.create_task(run_forever(work, "something", 0.001))
    await until(lambda: len(done) == 2)
    running.cancel()
    await asyncio.wait([running], timeout=PATIENCE_SECONDS)
    assert running.cancelled()
    assert [record.getMessage() for record in caplog.records] == ["something: trying again: away"]
