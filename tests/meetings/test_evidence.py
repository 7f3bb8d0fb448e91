"""Who came, out of the ledger: fewer questions to the provider, and never another verdict than the provider's own."""

import random

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.meetings import heard, ledger
from services.meetings.gateway import Gateway
from services.meetings.models import SimulatedMeeting, SimulatedVisit
from services.meetings.provider import MeetingKey
from services.meetings.providers import Providers
from services.meetings.webhook_event import Kind, WebhookEvent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR, MINUTE, to_timestamp
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from tests.meetings.builders import HandClock
from tests.meetings.swept import Asked

START = HandClock().time - 10 * HOUR
STAYS = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.integers(-30, 60), st.integers(1, 40)), max_size=5)


@pytest.fixture
def provider(database: Database, clock: HandClock) -> Asked:
    return Asked(database, clock)


@pytest.fixture
def gateway(database: Database, webhook_events: WebhookEvents, provider: Asked) -> Gateway:
    return Gateway(Providers({"": provider}), webhook_events, database)


def meet(database: Database, stays: list[tuple[str, int, int]]) -> MeetingKey:
    """Minutes from the start, and for how many."""
    with database.engine.begin() as connection, open_session(connection) as session:
        made = SimulatedMeeting(
            meeting_code="123456789", subject="x", creator="li", start_time=START, end_time=START + HOUR
        )
        session.add(made)
        session.flush()
        for account, entered, minutes in stays:
            at = START + entered * MINUTE
            session.add(
                SimulatedVisit(
                    meeting_id=made.id or 0, account=account, enter_time=at, leave_time=at + minutes * MINUTE
                )
            )
        return MeetingKey("simulated", str(made.id))


def reports(key: MeetingKey, stays: list[tuple[str, int, int]]) -> list[WebhookEvent]:
    """Of one person's at two places at once the second has another device."""
    events = []
    for number, (account, entered, minutes) in enumerate(stays):
        for kind, minute in ((Kind.ENTERED, entered), (Kind.LEFT, entered + minutes)):
            at = START + minute * MINUTE
            made = WebhookEvent(kind, key, at, (account, str(number)), account=account, person_id=account)
            events.append(made)
    return events


def question(key: MeetingKey, since: int = 0, until: int = 30) -> api.ListParticipantsRequest:
    return api.ListParticipantsRequest(
        meeting=pb.MeetingKey(provider=key.provider, meeting_id=key.meeting_id),
        start_time=to_timestamp(START + since * MINUTE),
        end_time=to_timestamp(START + until * MINUTE + 1),
    )


async def complete(database: Database, provider: Asked, key: MeetingKey, at: int) -> None:
    people = await provider.participants(key, START - HOUR)
    with database.engine.begin() as connection, open_session(connection) as session:
        ledger.lock(connection)
        row = ledger.find(session, key) or ledger.new(session, key)
        heard.complete(session, row, people, START - HOUR, at, at)


def came(answer: api.ListParticipantsResponse) -> bool:
    assert answer.knowledge == pb.KNOWLEDGE_KNOWN
    return answer.HasField("first_enter_time")


@given(stays=STAYS, kept=st.integers(0, 10), seed=st.integers(0, 2**32))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_the_verdict_is_the_providers(
    database: Database,
    webhook_events: WebhookEvents,
    provider: Asked,
    gateway: Gateway,
    stays: list[tuple[str, int, int]],
    kept: int,
    seed: int,
) -> None:
    """Whatever was lost of what was reported, and in whatever order the rest came."""
    key, dice = meet(database, stays), random.Random(seed)
    told = reports(key, stays)
    dice.shuffle(told)
    await webhook_events.record(told[:kept])
    truth = came(await gateway.participants(question(key)))
    assert came(await gateway.participants(question(key), somebody=True)) == truth


@given(stays=STAYS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_the_providers_own_list_is_enough_after_the_end(
    database: Database, provider: Asked, gateway: Gateway, stays: list[tuple[str, int, int]]
) -> None:
    key = meet(database, stays)
    await complete(database, provider, key, START + 3 * HOUR)
    truth, asked = came(await gateway.participants(question(key))), len(provider.calls)
    assert came(await gateway.participants(question(key), somebody=True)) == truth
    assert len(provider.calls) == asked


@pytest.mark.parametrize(("minutes", "calls"), [(30, 1), (31, 1), (32, 0)])
async def test_a_list_of_the_time_itself_says_nothing_of_nobody(
    database: Database, provider: Asked, gateway: Gateway, minutes: int, calls: int
) -> None:
    """It must be read a minute after the window: clocks differ."""
    key = meet(database, [])
    await complete(database, provider, key, START + minutes * MINUTE)
    before = len(provider.calls)
    assert not came(await gateway.participants(question(key), somebody=True))
    assert len(provider.calls) - before == calls


async def test_that_nobody_was_reported_is_asked_for(
    database: Database, provider: Asked, gateway: Gateway, webhook_events: WebhookEvents
) -> None:
    key = meet(database, [("ann", 5, 10)])
    assert came(await gateway.participants(question(key), somebody=True))
    assert len(provider.calls) == 1
    await webhook_events.record(reports(key, [("ann", 5, 10)])[:1])
    assert came(await gateway.participants(question(key), somebody=True))
    assert len(provider.calls) == 1
    with database.engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM visit")) == 1


async def test_between_two_reports_nothing_is_sure(
    provider: Asked, gateway: Gateway, database: Database, webhook_events: WebhookEvents
) -> None:
    """One of before, one of after: what lies between may be the end of one stay and the beginning of another."""
    stays = [("ann", -20, 10), ("ann", 40, 5)]
    key = meet(database, stays)
    told = reports(key, stays)
    await webhook_events.record([told[0], told[3]])
    assert not came(await gateway.participants(question(key), somebody=True))
    assert len(provider.calls) == 1
