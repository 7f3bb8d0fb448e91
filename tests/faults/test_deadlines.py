"""Deadlines happen exactly once: two bookings on one database, a clock that jumps, and kill -9 in the middle."""

import asyncio
from pathlib import Path

import pytest
from yunhui.booking.v1 import booking_service_pb2 as api

from services.cli.client import booking_at
from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from tests.faults import checker
from tests.faults.installation import Installation, replicated
from tests.faults.load import MIDNIGHT

pytestmark = [pytest.mark.system, pytest.mark.long]

ACCOUNTS = 50
STARTS = [MIDNIGHT + hour * HOUR for hour in (10, 12, 14)]
RELEASED = "SELECT count(*) FROM outbox WHERE subject LIKE '%.released'"
REINSTATED = "SELECT count(*) FROM outbox WHERE subject LIKE '%.reinstated'"


async def test_what_is_due_happens_once_and_in_order(shared_url: str, tmp_path: Path) -> None:
    """Each account misses three meetings, noticed all at once: the second closes booking, a week later it opens."""
    accounts = [f"absent-{number}" for number in range(ACCOUNTS)]
    due = ACCOUNTS * len(STARTS)
    async with replicated(tmp_path / "state", shared_url, rooms=[30] * ACCOUNTS) as installation:
        await asyncio.to_thread(reserve_all, installation, accounts)
        installation.pass_time(8 * HOUR)
        await installation.until(lambda: installation.count(RELEASED) >= due // 10)
        middle = installation.count(RELEASED)
        await installation.restart(0)
        await installation.until(lambda: installation.count(RELEASED) >= due)
        installation.pass_time(8 * DAY)
        await installation.until(lambda: installation.count(REINSTATED) > 0)
        await installation.restart(1)
        await installation.until(lambda: installation.count(REINSTATED) >= ACCOUNTS)
        await installation.settle()
        assert {account: told(installation, account) for account in accounts} == dict.fromkeys(accounts, EXPECTED)
        assert events_of_reservations(installation) == {("confirmed", "released"): due}
        assert checker.check(installation.database_url) == []
        assert checker.check_stream(installation.database_url, await installation.published()) == []
        assert middle < due, "nothing was left to do when the booking was killed"


SECOND = STARTS[1] + 30 * MINUTE
EXPECTED = [
    ("violation_recorded", STARTS[0] + 30 * MINUTE),
    ("violation_recorded", SECOND),
    ("suspended", SECOND),
    ("violation_recorded", STARTS[2] + 30 * MINUTE),
    ("reinstated", SECOND + 7 * DAY),
]


def reserve_all(installation: Installation, accounts: list[str]) -> None:
    for number, account_id in enumerate(accounts):
        token = issuer.mint(installation.state, SampleAccount(account_id, "booker"))
        with booking_at(installation.addresses[number % 2], token) as booking:
            for start in STARTS:
                reply = booking.ask(booking.stub.CreateReservation, request(start, f"{account_id}-{start}"))
                assert reply.HasField("reservation")


def request(start: int, subject: str) -> api.CreateReservationRequest:
    return api.CreateReservationRequest(
        meeting_code="123-456-789",
        subject=subject,
        start_time=to_timestamp(start),
        end_time=to_timestamp(start + HOUR),
        participant_count=12,
    )


def told(installation: Installation, account_id: str) -> list[tuple[str, int]]:
    """What was published about an account, with the time it happened at, in the order of its numbers."""
    query = f"SELECT subject, time FROM outbox WHERE entity_id = '{account_id}' ORDER BY entity_seq"
    return [(subject.rpartition(".")[2], time) for subject, time in installation.rows(query)]


def events_of_reservations(installation: Installation) -> dict[tuple[str, ...], int]:
    """How many reservations have had which events."""
    query = "SELECT entity_id, subject FROM outbox WHERE subject LIKE '%.reservation.%' ORDER BY seq"
    grouped = checker.group((entity, subject.rpartition(".")[2]) for entity, subject in installation.rows(query))
    lives = [tuple(each) for each in grouped.values()]
    return {life: lives.count(life) for life in set(lives)}
