"""Versions are published atomically, followed by every replica, and each is in force from its time on."""

import asyncio
import importlib.resources
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from yunhui.policy.v1 import policy_service_pb2 as pb
from yunhui.policy.v1.decision_pb2 import EFFECT_ALLOW, EFFECT_DENY

from services.platform import process
from services.platform.clock import DAY, HOUR
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors
from services.policy import drafts
from services.policy.questions import InvalidRequestError
from services.policy.subscriptions import decide
from services.policy.versions import PolicyDraft, Versions
from tests import templates
from tests.patience import PATIENCE_SECONDS
from tests.policy.questions import MONDAY, question

RULES = importlib.resources.files("services.policy") / "rules"
SOURCE, TESTS = ((RULES / name).read_text(encoding="utf-8") for name in ("default.yaml", "default.test.yaml"))
STRICT = SOURCE.replace("booking_horizon_days: {value: 7", "booking_horizon_days: {value: 0")


class HandClock:
    patience = 1.0

    def __init__(self) -> None:
        self.time = MONDAY

    def now(self) -> int:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=templates.DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/policy.db"
    postgres: str = request.getfixturevalue("postgres")
    return postgres


@pytest.fixture
async def replicas(url: str, clock: HandClock) -> AsyncIterator[list[Versions]]:
    """Two on one database, started at the same time."""
    databases = [Database(url) for _ in range(2)]
    databases[0].migrate("services.policy")
    made = [Versions(database, clock, lambda: None) for database in databases]
    await asyncio.gather(*(each.start() for each in made))
    yield made
    for database in databases:
        database.close()


def draft(source: str = STRICT, **fields: object) -> PolicyDraft:
    return PolicyDraft(**({"source": source, "tests": TESTS, "author": "admin", "note": "why not"} | fields))  # type: ignore[arg-type]


def test_the_strict_rules_differ() -> None:
    assert STRICT != SOURCE


async def test_the_rules_as_delivered_are_the_first_version_and_published_once(replicas: list[Versions]) -> None:
    for each in replicas:
        await each.refresh()
        [only] = each.newest_first()
        assert (only.info.version, only.source) == ("default@1", SOURCE)
    assert each.at(0) is only  # always in force


async def test_a_version_decides_from_its_time_on_and_never_before(replicas: list[Versions], clock: HandClock) -> None:
    one, other = replicas
    await one.publish(draft(effective_time=MONDAY + HOUR))
    await other.refresh()
    for each in replicas:
        before = each.decide(question(now=MONDAY + HOUR - 1, start=MONDAY + DAY))
        after = each.decide(question(now=MONDAY + HOUR, start=MONDAY + DAY))
        assert (before.policy_version, before.effect) == ("default@1", EFFECT_ALLOW)
        assert (after.policy_version, after.effect) == ("default@2", EFFECT_DENY)


async def test_without_a_time_it_decides_at_once(replicas: list[Versions], clock: HandClock) -> None:
    published = await replicas[0].publish(draft())
    assert replicas[0].at(clock.now()) is published
    assert published.info.author == "admin"


async def test_a_decision_can_be_asked_of_an_old_version(replicas: list[Versions]) -> None:
    await replicas[0].publish(draft())
    asked = question(start=MONDAY + DAY)
    asked.policy_version = "default@1"
    assert replicas[0].decide(asked).effect == EFFECT_ALLOW
    asked.policy_version = "default@9"
    with pytest.raises(errors.RpcError) as caught:
        replicas[0].decide(asked)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


async def test_of_two_at_once_from_the_same_base_one_wins(replicas: list[Versions]) -> None:
    results = await asyncio.gather(
        *(each.publish(draft(base="default@1")) for each in replicas), return_exceptions=True
    )
    [error] = [each for each in results if isinstance(each, errors.RpcError)]
    assert error.code is grpc.StatusCode.ABORTED
    for each in replicas:
        await each.refresh()
        assert [version.info.version for version in each.newest_first()] == ["default@2", "default@1"]


async def test_replicas_follow_by_themselves(replicas: list[Versions]) -> None:
    following = asyncio.create_task(replicas[1].follow())
    await replicas[0].publish(draft())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(replicas[1].newest_first()) < 2:  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.01)
    following.cancel()


async def test_each_publication_has_its_event(replicas: list[Versions], url: str) -> None:
    await replicas[0].publish(draft())
    await replicas[0].publish(draft(SOURCE, rolled_back_to="default@1"))
    database = Database(url)
    query = sa.select(outbox.TABLE.c.subject, outbox.TABLE.c.entity_seq).order_by(outbox.TABLE.c.seq)
    rows = [tuple(row) for row in await database.read(lambda c: list(c.execute(query)))]
    database.close()
    assert rows == [
        ("yunhui.policy.version.published", 1),
        ("yunhui.policy.version.published", 2),
        ("yunhui.policy.version.rolled_back", 3),
    ]


def test_a_policy_that_fails_its_own_table_is_not_valid() -> None:
    checked = drafts.validate(STRICT, TESTS)
    assert not checked.valid
    assert any(not case.passed for case in checked.tests)
    assert drafts.validate(SOURCE, TESTS).valid


@pytest.mark.parametrize("source", ["", "a: [", "rules: 3", "x" * 200_001, SOURCE.replace("more_than", "about", 1)])
def test_a_broken_draft_is_told_what_is_wrong(source: str) -> None:
    checked = drafts.validate(source, TESTS)
    assert not checked.valid
    assert all(fault.message for fault in checked.faults)
    assert checked.faults


async def test_a_publish_during_load_fails_no_decision_and_mixes_no_versions(replicas: list[Versions]) -> None:
    sys.setswitchinterval(process.SWITCH_SECONDS)  # as every program does: without it this starves
    batch = pb.DecideBatchRequest(requests=[question(start=MONDAY + DAY) for _ in range(32)])
    effects = {"default@1": EFFECT_ALLOW, "default@2": EFFECT_DENY}
    seen = set()

    async def load() -> None:
        while "default@2" not in seen:
            results = decide(replicas[0], batch).results
            assert len(results) == 32
            for result in results:
                assert result.decision.effect == effects[result.decision.policy_version]
                seen.add(result.decision.policy_version)
            await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE_SECONDS):
        loading = asyncio.create_task(load())
        await asyncio.sleep(0.05)
        await replicas[0].publish(draft())
        await loading
    assert seen == {"default@1", "default@2"}


async def test_a_bad_question_fails_alone(replicas: list[Versions]) -> None:
    good, bad, unknown = question(), question(), question()
    bad.ClearField("now")
    unknown.policy_version = "nothing@7"
    batch = pb.DecideBatchRequest(requests=[bad, good, unknown])
    codes = [result.error.code for result in decide(replicas[0], batch).results]
    assert codes == [grpc.StatusCode.INVALID_ARGUMENT.value[0], 0, grpc.StatusCode.NOT_FOUND.value[0]]
    with pytest.raises(InvalidRequestError):
        replicas[0].decide(bad)


async def test_a_batch_that_is_too_large_is_no_decision(replicas: list[Versions]) -> None:
    assert not decide(replicas[0], pb.DecideBatchRequest(requests=[question()] * 257)).results
