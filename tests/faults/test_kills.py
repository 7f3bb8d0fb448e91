"""kill -9 of a booking in the middle: what was answered is there, what was not can be asked again and comes once."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import checker
from tests.faults.answers import Answer
from tests.faults.installation import Installation, replicated
from tests.faults.stress import failures

pytestmark = [pytest.mark.system, pytest.mark.long]

DECISIONS = "SELECT count(*) FROM decision"
VICTIMS, REQUESTS = (0, 1, 0), 250


async def test_killed_bookings_lose_and_repeat_nothing(shared_url: str, tmp_path: Path) -> None:
    """In the middle of a crowd; clients repeat every request until it is answered."""
    async with replicated(tmp_path / "state", shared_url) as installation:
        answers = [answer for victim in VICTIMS for answer in await shot_at(installation, victim)]
        await installation.settle()
        assert any(each.lost for each in answers), "no answer was lost: nothing was tried"
        assert failures(answers) == []
        assert checker.check(installation.database_url, answers) == []
        assert checker.check_stream(installation.database_url, await installation.published()) == []


async def shot_at(installation: Installation, victim: int) -> list[Answer]:
    """The answers of a crowd during which a booking was killed."""
    before = installation.count(DECISIONS)
    load = asyncio.create_task(installation.load("crowd", REQUESTS, f"crowd-at-{before}"))
    await installation.until(lambda: load.done() or installation.count(DECISIONS) > before + REQUESTS // 10)
    assert not load.done(), "all was over before the booking was killed"
    await installation.restart(victim)
    return (await load)[1]
