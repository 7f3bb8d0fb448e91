"""Backups taken under load: restored, nothing acknowledged is missing, and nobody is written to twice."""

import asyncio
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.installation import snapshot
from services.installation.state import State
from services.platform.clock import HOUR
from tests.faults import checker
from tests.faults.notices import compare
from tests.faults.stress import failures
from tests.faults.whole import Whole, whole

pytestmark = [pytest.mark.system, pytest.mark.long]

EARLY, RESERVATIONS, BACKUPS = 20, 120, 2
ACCEPTED = "SELECT reservation_id FROM reservation"


@dataclass
class Taken:
    """A backup, and the reservations that had been committed before it began."""

    place: Path
    before: set[str]


async def test_what_was_acknowledged_before_a_backup_is_in_it(tmp_path: Path) -> None:
    """Outbox, stream and inbox agree after the restore, and what the backup knows as mailed is not mailed again."""
    async with whole(tmp_path / "state") as running:
        await running.load("queue", EARLY, "early")
        await running.drain()
        load, early = asyncio.create_task(running.load("queue", RESERVATIONS)), len(accepted(running))
        taken = []
        for number in range(1, BACKUPS + 1):
            enough = early + RESERVATIONS * number // (BACKUPS + 2)
            await running.until(lambda enough=enough: len(accepted(running)) >= enough)  # type: ignore[misc]
            taken.append(await back_up(running, tmp_path / f"backup-{number}"))
            assert not load.done(), "all was over before the backup was taken"
        _, answers = await load
        assert failures(answers) == []
        total = accepted(running)
    for each in taken:
        assert len(each.before) < len(total)
        await restore_and_check(each, tmp_path / f"restored-{each.place.name}")


def accepted(installation: Whole) -> set[str]:
    return {row[0] for row in installation.rows(ACCEPTED)}


async def back_up(running: Whole, place: Path) -> Taken:
    before = accepted(running)
    await asyncio.to_thread(snapshot.take, running.state, place)
    return Taken(place, before)


async def restore_and_check(taken: Taken, root: Path) -> None:
    await asyncio.to_thread(snapshot.restore, taken.place, State(root))
    assert inbox_of(root) <= outbox_of(root), "the notifier is ahead of booking"
    sent = sent_by(root)
    assert sent, "nothing had been mailed: nothing is tried"
    async with whole(root, restored=True) as restored:
        assert taken.before <= accepted(restored)
        restored.pass_time(HOUR)  # leases of what was being sent at the moment of the backup
        await restored.drain()
        await restored.consumed()
        assert await compare(restored) == []
        assert checker.check(restored.database_url) == []
        mailed = {name for name, _ in restored.mailbox.received}
        assert mailed & sent == set()
        assert set(restored.notices("true")) == mailed | sent
        assert failures((await restored.load("queue", 20, "afterwards"))[1]) == []


def sent_by(root: Path) -> set[str]:
    return column(root, "notifier", "SELECT message_id FROM delivery WHERE channel = 'mail' AND state = 'sent'")


def inbox_of(root: Path) -> set[str]:
    return column(root, "notifier", "SELECT event_id FROM inbox")


def outbox_of(root: Path) -> set[str]:
    return column(root, "booking", "SELECT event_id FROM outbox")


def column(root: Path, program: str, query: str) -> set[str]:
    with closing(snapshot.connect(State(root).database(program))) as connection:
        return {row[0] for row in connection.execute(query)}
