"""Whoever loses a cancellation ends all the same."""

import asyncio
import contextlib

import pytest

from services import tasks
from services.tasks import cancellable, until_cancelled


async def test_what_goes_on_when_cancelled_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cancellations are lost in something that we did not write."""
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    told = 0

    async def connect() -> None:
        nonlocal told
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            told += 1
        await asyncio.Event().wait()

    connecting = asyncio.create_task(cancellable(connect()))
    await asyncio.sleep(0.01)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert (told, connecting.cancelled()) == (2, True)


async def test_an_answer_together_with_the_cancellation_hides_nothing() -> None:
    answer = asyncio.Event()
    asking = asyncio.create_task(cancellable(answer.wait()))
    await asyncio.sleep(0.01)
    answer.set()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()


async def test_what_was_not_cancelled_answers_or_fails() -> None:
    async def fail() -> None:
        raise ValueError

    assert await cancellable(asyncio.sleep(0, "answer")) == "answer"
    with pytest.raises(ValueError):  # noqa: PT011
        await cancellable(fail())


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
