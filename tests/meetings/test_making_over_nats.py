"""Booking asks for meetings over NATS, as its own user; nobody else may."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.errors import Error as NatsError
from yunhui.meetings.v1 import making_pb2 as pb

from services.contracts import subjects
from services.meetings import subscriptions
from services.meetings.gateway import Gateway
from services.meetings.making import Making
from services.meetings.provider import RateLimitedError
from services.meetings.providers import Providers
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR
from services.platform.data.database import Database
from services.platform.settings import Settings
from tests import templates
from tests.meetings import made
from tests.meetings.builders import HandClock
from tests.meetings.made import DONE, REFUSED, START, moved, unwanted, wanted
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password


@pytest.fixture
def url(tmp_path: Path, service: str) -> str:
    return templates.on_sqlite(tmp_path / "meetings.db", service)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    running = Bus(tmp_path / "nats")
    await running.start()
    await running.set_up()
    yield running
    await running.stop()


async def test_booking_has_a_meeting_made_moved_and_unmade(
    bus: Bus, database: Database, clock: HandClock, webhook_events: WebhookEvents
) -> None:
    """Errors are answers, so that nobody waits in vain."""
    provider = made.Making(database, clock, webhook_events)
    providers = Providers({"": provider})
    settings = Settings(nats_url=bus.url, nats_user="meetings", nats_password=password("meetings"))
    making = Making(database, clock, providers)
    broker = subscriptions.create_broker(settings, Gateway(providers, webhook_events), making)
    await broker.start()
    booking = await bus.connect("booking")

    async def ask(
        subject: str, asked: pb.MakeMeetingRequest | pb.MoveMeetingRequest | pb.UnmakeMeetingRequest
    ) -> pb.MakingReply:
        answer = await booking.request(subject, asked.SerializeToString(), timeout=PATIENCE_SECONDS)
        return pb.MakingReply.FromString(answer.data)

    provider.before = lambda what, number: RateLimitedError("no", 7) if number == 1 else None
    away = (await ask(subjects.MAKE_MEETING, wanted())).error
    assert (away.code, away.retry_after_ms) == (14, 7000)
    answer = (await ask(subjects.MAKE_MEETING, wanted())).response
    assert (answer.outcome, answer.meeting.creator_account_id) == (DONE, "li")
    provider.before = lambda what, number: None
    assert (await ask(subjects.MOVE_MEETING, moved(START, START + 2 * HOUR))).response.outcome == DONE
    assert (await ask(subjects.UNMAKE_MEETING, unwanted())).response.outcome == DONE
    assert (await ask(subjects.MAKE_MEETING, wanted())).response.outcome == REFUSED
    wrong = (await ask(subjects.MAKE_MEETING, wanted("m-2", password="12"))).error
    assert (wrong.code, wrong.message) == (3, "options.password: must be 4 to 6 digits")
    for subject in (subjects.MAKE_MEETING, subjects.MOVE_MEETING, subjects.UNMAKE_MEETING):
        assert (await booking.request(subject, b"\xff\xff", timeout=PATIENCE_SECONDS)).data == b""
        assert pb.MakingReply.FromString(
            (await booking.request(subject, b"", timeout=PATIENCE_SECONDS)).data
        ).error.message.startswith("making_id: ")

    asked = len(provider.asked)
    portal = await bus.connect("portal")
    with pytest.raises((NatsError, TimeoutError, asyncio.TimeoutError)):
        await portal.request(subjects.MAKE_MEETING, wanted("m-3").SerializeToString(), timeout=1)
    assert len(provider.asked) == asked
    await portal.close()
    await booking.close()
    await broker.stop()
    await making.close()
