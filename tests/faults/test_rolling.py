"""Told to end, a program finishes what it has begun: each of two replicas in turn, under load."""

from pathlib import Path

import pytest

from tests.faults import rolling

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.mark.parametrize("twins", [("booking", "notifier"), rolling.TWINS])
async def test_restarts_in_good_order_fail_no_call_and_lose_nothing(
    postgres: str, twins: tuple[str, ...], tmp_path: Path
) -> None:
    """Short, each program once; in full it is `make rolling`."""
    size = 10 * len(twins)
    verdict = await rolling.play(tmp_path / "state", postgres, len(twins), size, seed=7, twins=twins)
    assert verdict.breaches == []
