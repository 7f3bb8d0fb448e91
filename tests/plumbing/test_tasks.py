"""Whoever loses a cancellation ends all the same."""

import asyncio
import contextlib

import pytest

from services import tasks
from services.tasks import end, until_cancelled


async def test_what_lost_a_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, while it does something that we did not write and that goes on."""
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)

    async def connect() -> None:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    connecting = asyncio.create_task(connect())
    await asyncio.sleep(0)
    await end(connecting)
    assert connecting.cancelled()


async def test_what_finishes_something_is_left_to_it() -> None:
    finished = False

    async def serve() -> None:
        nonlocal finished
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            finished = True

    serving = asyncio.create_task(serve())
    await asyncio.sleep(0)
    await end(serving)
    assert finished


async def test_a_loop_of_ours_needs_no_second_one() -> None:
    turns = 0

    async def look() -> None:
        nonlocal turns
        for _ in until_cancelled():
            turns += 1
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    await end(looking)
    assert (turns, looking.cancelled()) == (1, True)


async def test_what_has_ended_is_no_trouble() -> None:
    """However it ended."""

    async def fail() -> None:
        raise ValueError

    failed = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end()
    await end(failed)
    assert isinstance(failed.exception(), ValueError)
