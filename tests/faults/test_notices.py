"""Killed programs forget nothing and write to nobody twice; a lost stream is rebuilt; whoever was away catches up."""

from pathlib import Path

import pytest

from tests.faults import notices

pytestmark = [pytest.mark.system, pytest.mark.long]


async def test_outbox_stream_inbox_and_mailbox_agree_whatever_is_killed(tmp_path: Path) -> None:
    """Short; in full it is `make notices`."""
    assert await notices.play(tmp_path / "state", reservations=150, kills=4, seed=7) == []
