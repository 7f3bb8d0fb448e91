"""A question with a long history holds up nobody else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.platform.clock import SystemClock
from services.platform.data.database import Database
from services.policy.api import PolicyService
from services.policy.versions import Versions
from tests.policy.questions import question

UNUSED: Any = None


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[PolicyService]:
    database = Database(f"sqlite:///{tmp_path}/policy.db")
    database.migrate("services.policy")
    versions = Versions(database, SystemClock(), lambda: None)
    await versions.start()
    yield PolicyService(versions, SystemClock(), UNUSED)
    database.close()


def long_question() -> pb.DecideRequest:
    asked = question()
    for number in range(10_000):
        past = asked.history.reservations.add(reservation_id=f"{number}", status=pb.RESERVATION_STATUS_COMPLETED)
        past.start_time.seconds = 1_000_000 + number
    return asked


async def test_a_short_question_is_answered_while_a_long_one_is_worked_at(service: PolicyService) -> None:
    long = asyncio.create_task(service.Decide(long_question(), UNUSED))
    await asyncio.sleep(0)  # it has begun
    short = await service.Decide(question(), UNUSED)
    assert not long.done()
    assert (await long).decision.effect == short.decision.effect


async def test_so_it_is_with_decisions_that_are_replayed(service: PolicyService) -> None:
    asked = long_question()
    decision = (await service.Decide(asked, UNUSED)).decision
    replay = asyncio.create_task(
        service.ReplayDecision(pb.ReplayDecisionRequest(question=asked, decision=decision), UNUSED)
    )
    await asyncio.sleep(0)
    assert not replay.done()
    assert (await replay).equal


async def test_what_is_wrong_with_a_long_question_is_said_as_with_a_short_one(service: PolicyService) -> None:
    asked = long_question()
    asked.history.reservations.add(reservation_id="9", status=pb.RESERVATION_STATUS_COMPLETED).start_time.seconds = 1
    with pytest.raises(Exception, match="at most 10000 entries"):
        await service.Decide(asked, UNUSED)
