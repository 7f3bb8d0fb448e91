"""Told to end, a program finishes what it has begun: each of two replicas in turn, under load."""

from pathlib import Path

import pytest

from tests.faults import rolling

pytestmark = [pytest.mark.system, pytest.mark.long]


async def test_restarts_in_good_order_fail_no_call_and_lose_nothing(postgres: str, tmp_path: Path) -> None:
    """Short, each program once; in full it is `make rolling`."""
    rounds = len(rolling.TWINS)
    verdict = await rolling.play(tmp_path / "state", postgres, rounds, 10 * rounds, seed=7, twins=rolling.TWINS)
    assert verdict.breaches == []
