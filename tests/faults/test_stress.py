"""The loads of `make stress`, short: the checker finds nothing on any arrangement, and breaches without the guards."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.faults.checker import summary
from tests.faults.installation import Installation, replicated, upped
from tests.faults.stress import strain

pytestmark = [pytest.mark.system, pytest.mark.long]

REQUESTS, ROUNDS = 600, 6
"""Of the crowd, and of the rush."""


async def strained(
    arrangement: AbstractAsyncContextManager[Installation],
) -> dict[str, int]:
    async with arrangement as installation:
        rush, crowd = await strain(installation, REQUESTS, ROUNDS)
    assert sum(each.accepted for each in crowd.answers) > REQUESTS / 10
    return summary([*rush.breaches, *crowd.breaches])


async def test_one_booking_keeps_its_promises(tmp_path: Path) -> None:
    """`yunhui up`, as it is."""
    assert await strained(upped(tmp_path / "state")) == {}


async def test_two_bookings_keep_their_promises(shared_url: str, tmp_path: Path) -> None:
    """On one PostgreSQL, and on one SQLite file."""
    assert await strained(replicated(tmp_path / "state", shared_url)) == {}


async def test_without_guards_the_checker_finds_what_they_prevent(postgres: str, tmp_path: Path) -> None:
    """The control: otherwise finding nothing would prove nothing."""
    breaches = await strained(replicated(tmp_path / "state", postgres, "tests.faults.unguarded"))
    assert {"overlap", "daily quota", "not exactly three"} <= breaches.keys()
