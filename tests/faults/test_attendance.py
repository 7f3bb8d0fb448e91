"""The cloud loses, repeats and delays its events, and is away for an hour: no-shows are those who were not there."""

from pathlib import Path

import pytest

from tests.faults import attendance

pytestmark = [pytest.mark.system, pytest.mark.long]


async def test_every_no_show_is_found_and_nobody_is_punished_wrongly(tmp_path: Path) -> None:
    """Short; in full it is `make attendance`."""
    assert await attendance.play(tmp_path / "state", meetings=24, hours=3, seed=7) == []
