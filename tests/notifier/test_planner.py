"""Planned notices on both databases: each at its time, once, whoever stops, restarts or runs beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import time
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from google.protobuf import json_format
from google.protobuf.message import Message as ProtoMessage
from sqlmodel import col

from services.notifier import scheduled_notices, support_cases
from services.notifier.channels import DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import TABLE, Deliveries
from services.notifier.ingest import IncomingEvent, Ingester
from services.notifier.messages import Composer
from services.notifier.models import ScheduledNotice, SupportCase
from services.notifier.planner import Planner, Timetable
from services.notifier.sender import Retry, Sender
from services.notifier.smtp import Smtp
from services.platform.clock import DAY, HOUR, MINUTE, SECOND
from services.platform.data.database import Database
from tests.notifier import samples
from tests.notifier.new_deliveries import claim_one, settle
from tests.servers import MailSink, until

BEIJING = ZoneInfo("Asia/Shanghai")
NOW = samples.to_ms(samples.NOW)  # Monday 09:00
START = samples.to_ms("2025-07-14T06:00:00Z")  # 14:00 of the same day
LEAD = 15 * MINUTE
DUE = START - LEAD
MOVED_DUE = samples.to_ms("2025-07-15T02:00:00Z") - LEAD
TIMETABLE = Timetable(LEAD, time(8, 30), BEIJING)
LATER: dict[str, Any] = {
    "start_time": samples.time("2025-07-18T06:00:00Z"),
    "end_time": samples.time("2025-07-18T08:00:00Z"),
}
NEXT_DIGEST = samples.to_ms("2025-07-15T00:30:00Z")  # Tuesday 08:30


@dataclass
class StandingClock:
    """Stands still until it is set."""

    time: int = NOW
    patience: float = 0.005

    def now(self) -> int:
        return self.time


@dataclass
class Replica:
    """One notifier without its bus: what it is told, and what it sends."""

    database: Database
    clock: StandingClock
    channel: Smtp
    timetable: Timetable = TIMETABLE
    planner: Planner = field(init=False)
    ingester: Ingester = field(init=False)

    def __post_init__(self) -> None:
        composer = Composer(samples.LETTERHEAD)
        self.planner = Planner(self.database, self.clock, composer, self.timetable)
        self.ingester = Ingester(self.database, self.clock, composer, self.planner, lambda: None)
        self.deliveries = Deliveries(self.database, self.clock, MINUTE)
        self.sender = Sender(self.deliveries, self.channel, self.clock, Retry())

    async def told(self, event_type: str, body: ProtoMessage, event_id: str = "event-1") -> None:
        payload = json_format.MessageToJson(body).encode()
        incoming = IncomingEvent(f"yunhui.booking.{event_type}", samples.headers(event_type, event_id), payload)
        outcome = await self.ingester.ingest([incoming], nowhere)
        assert not outcome.dead
        assert not outcome.postponed
        await self.post()

    async def at(self, now: int) -> None:
        self.clock.time = now
        await self.planner.catch_up(self.ingester.queue, lambda: None)
        await self.post()

    async def post(self) -> None:
        """Sends what is queued, in the order in which it was."""
        while claim := await claim_one(self.deliveries):
            answer = await self.channel.send(claim)
            assert answer.verdict is SendVerdict.ACCEPTED
            await settle(self.deliveries, claim, answer, None)
        await self.channel.rest()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self.planner.run(self.ingester.queue, self.sender.wake)),
            asyncio.create_task(self.sender.run()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def nowhere(_subject: str, _payload: bytes, _headers: dict[str, str]) -> None:
    """Where dead letters go."""


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def replica(database: Database, clock: StandingClock, channel: Smtp) -> Replica:
    return Replica(database, clock, channel)


@pytest.fixture
def another(database: Database, clock: StandingClock, channel: Smtp) -> Iterator[Callable[[], Replica]]:
    """Makes further replicas, each with connections of its own."""
    made: list[Database] = []

    def make() -> Replica:
        made.append(Database(database.engine.url.render_as_string(hide_password=False)))
        return Replica(made[-1], clock, channel)

    yield make
    for each in made:
        each.close()


def kinds(sink: MailSink) -> list[str]:
    """The kind of each mail taken, in order, as its Message-ID tells."""
    return [message_id.partition("@")[0].rpartition(".")[2] for message_id in sink.message_ids()]


async def states(database: Database) -> list[str]:
    query = sa.select(col(ScheduledNotice.state)).where(col(ScheduledNotice.kind) == scheduled_notices.REMINDER)
    return list(await database.read(lambda c: c.scalars(query).all()))


@pytest.mark.parametrize(
    ("now", "sent"),
    [
        (DUE - MINUTE, 0),
        (DUE - 1, 0),
        (DUE, 1),
        (DUE + MINUTE, 1),
        (START - 1, 1),
        (START, 0),
        (START + DAY, 0),
    ],
)
async def test_reminder_comes_in_time_or_not_at_all(replica: Replica, sink: MailSink, now: int, sent: int) -> None:
    """From a quarter of an hour before the start until the start; twice asked, it comes once."""
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.at(now)
    await replica.at(now)
    assert kinds(sink) == ["confirmation"] + ["reminder"] * sent


async def test_moved_reservation_reminds_before_the_new_start(replica: Replica, sink: MailSink) -> None:
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.told("reservation.updated", samples.changed(), "event-2")
    await replica.at(MOVED_DUE - 1)
    assert kinds(sink) == ["confirmation", "change"]
    await replica.at(MOVED_DUE)
    assert kinds(sink)[2:] == ["reminder"]
    assert "7月15日 周二 10:00" in str(sink.taken[-1]["Subject"])


async def test_who_took_it_over_is_reminded_and_who_had_it_is_not(replica: Replica, sink: MailSink) -> None:
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.told("reservation.handed_over", samples.handed_over(), "event-2")
    await replica.at(DUE)
    assert kinds(sink)[3:] == ["reminder"]
    assert samples.COLLEAGUE in str(sink.taken[-1]["To"])


async def test_what_is_handed_over_while_it_waits_is_before_support_as_it_is_now(
    replica: Replica, sink: MailSink
) -> None:
    handed = ("reservation.handed_over", samples.handed_over_waiting(**LATER))
    await prepared(replica, ("reservation.pending_approval", samples.pending(**LATER)), handed)
    assert sorted(kinds(sink)) == ["escalation", "handed_over", "pending", "taken_over"]
    await replica.at(NEXT_DIGEST)
    assert kinds(sink)[4:] == ["digest"]
    digest = sink.taken[-1].get_body(("plain",))
    assert digest
    assert "接手人" in digest.get_content()


async def test_moved_after_the_reminder_it_reminds_again(replica: Replica, sink: MailSink) -> None:
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.at(DUE)
    await replica.told("reservation.updated", samples.changed(), "event-2")
    await replica.at(MOVED_DUE)
    assert kinds(sink) == ["confirmation", "reminder", "change", "reminder"]


@pytest.mark.parametrize(
    "event_type",
    ["reservation.cancelled", "reservation.released", "reservation.in_use", "reservation.completed"],
)
async def test_nobody_is_reminded_of_what_is_over_or_under_way(
    replica: Replica, database: Database, sink: MailSink, event_type: str
) -> None:
    """And the copy of the reservation goes with the plan."""
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.told(event_type, samples.cancelled(), "event-2")
    await replica.at(DUE)
    assert "reminder" not in kinds(sink)
    payloads = await database.read(lambda c: c.scalars(sa.select(col(ScheduledNotice.payload))).all())
    assert payloads == [""]


async def test_older_event_that_comes_late_revives_nothing(replica: Replica, sink: MailSink) -> None:
    """A mail server that was away lets events overtake each other."""
    await replica.told("reservation.cancelled", samples.cancelled(), "event-2")
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.at(DUE)
    assert "reminder" not in kinds(sink)


async def test_repeated_event_plans_no_second_reminder(replica: Replica, database: Database, sink: MailSink) -> None:
    """And once it is sent the reservation is no longer kept here."""
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.at(DUE)
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.at(DUE + MINUTE)
    assert kinds(sink) == ["confirmation", "reminder"]
    payloads = await database.read(lambda c: c.scalars(sa.select(col(ScheduledNotice.payload))).all())
    assert payloads == [""]


async def test_booked_within_the_lead_needs_no_reminder(replica: Replica, clock: StandingClock, sink: MailSink) -> None:
    """The confirmation has only just been read."""
    clock.time = DUE
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.at(DUE + MINUTE)
    assert kinds(sink) == ["confirmation"]


async def test_no_lead_no_reminders(database: Database, clock: StandingClock, channel: Smtp, sink: MailSink) -> None:
    silent = Replica(database, clock, channel, Timetable(0, None, BEIJING))
    await silent.told("reservation.confirmed", samples.confirmed())
    await silent.at(DUE)
    assert await states(database) == []


async def test_replicas_remind_once(replica: Replica, another: Callable[[], Replica], sink: MailSink) -> None:
    """Twenty reminders due at the same moment, three replicas."""
    bodies = [samples.confirmed(reservation_id=f"reservation-{number}") for number in range(20)]
    events = [samples.event("reservation.confirmed", body, f"event-{number}") for number, body in enumerate(bodies)]
    await replica.database.write(partial(replica.planner.plan, events=events, now=NOW))
    await asyncio.gather(*(each.at(DUE) for each in (replica, another(), another())))
    assert sorted(sink.message_ids()) == sorted(f"<event-{number}.reminder@yunhui.example.org>" for number in range(20))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
async def test_of_versions_that_come_together_the_newest_is_reminded_of(
    replica: Replica, database: Database, order: tuple[int, ...]
) -> None:
    """Booked, moved and given up within one batch, in whatever order they are told: one row, and nothing to remind."""
    moved = samples.confirmed(version=2, **LATER)
    events = [
        samples.event("reservation.confirmed", samples.confirmed(), "event-1"),
        samples.event("reservation.updated", moved, "event-2"),
        samples.event("reservation.cancelled", samples.confirmed(version=3, **LATER), "event-3"),
    ]
    await database.write(partial(replica.planner.plan, events=[events[each] for each in order], now=NOW))
    query = sa.select(col(ScheduledNotice.version), col(ScheduledNotice.state))
    assert await database.read(lambda c: c.execute(query).all()) == [(3, "void")]


async def test_a_reminder_still_queued_at_the_start_is_not_sent(
    replica: Replica, clock: StandingClock, database: Database, sink: MailSink
) -> None:
    """The mail server was away all the time."""
    await replica.told("reservation.confirmed", samples.confirmed())
    clock.time = DUE
    await replica.planner.catch_up(replica.ingester.queue, lambda: None)
    clock.time = START
    async with replica.running():
        failed = sa.select(TABLE.c.answer).where(TABLE.c.state == "failed")
        await until(lambda: is_there(database, failed, "not sent: its time has passed"))
    assert kinds(sink) == ["confirmation"]


async def is_there(database: Database, query: sa.Select[Any], found: str) -> bool:
    return bool(await database.read(lambda c: c.scalar(query)) == found)


async def test_restart_and_jump_of_the_clock(
    replica: Replica, another: Callable[[], Replica], clock: StandingClock, database: Database, sink: MailSink
) -> None:
    """Three planned, then a stop; the clock jumps over the start of one: the other two are reminded, once."""
    for number, minutes in enumerate((0, 20, 25)):
        start, end = (samples.to_stamp(START + (minutes + more) * MINUTE) for more in (0, 60))
        body = samples.confirmed(reservation_id=f"reservation-{number}", start_time=start, end_time=end)
        await replica.told("reservation.confirmed", body, f"event-{number}")
    for _ in range(2):
        async with another().running():
            await until(lambda: clock.time == NOW or len(sink.taken) == 5)
            clock.time = START + 10 * MINUTE
            await until(lambda: len(sink.taken) == 5)
    assert sorted(sink.message_ids()[3:]) == [f"<event-{n}.reminder@yunhui.example.org>" for n in (1, 2)]
    assert await states(database) == ["done"] * 3


async def test_running_planner_notices_an_earlier_plan(replica: Replica, clock: StandingClock, sink: MailSink) -> None:
    """It sleeps towards a later one, and is woken: nothing else would make it look before the meeting."""
    clock.time = DUE - SECOND
    async with replica.running():
        await until(lambda: replica.database.read(scheduled_notices.read_next))
        await asyncio.sleep(0.1)
        await replica.told("reservation.confirmed", samples.confirmed())
        clock.time = DUE
        await until(lambda: "reminder" in kinds(sink))


# The digest, and what support hears after it was asked


async def prepared(replica: Replica, *events: tuple[str, ProtoMessage], due: int = NEXT_DIGEST) -> None:
    """Started, so that a digest is due then, and told of the events."""
    async with replica.running():
        await until(lambda: next_is(replica.database, due))
    for number, (event_type, body) in enumerate(events):
        await replica.told(event_type, body, f"event-{number}")


async def next_is(database: Database, due: int) -> bool:
    return await database.read(scheduled_notices.read_next) == due


async def test_digest_comes_each_morning_while_something_is_open(replica: Replica, sink: MailSink) -> None:
    """Not a moment earlier, once a morning, and one for a stop over several mornings."""
    await prepared(replica, ("reservation.pending_approval", samples.pending(**LATER)))
    for now, digests in (
        (NEXT_DIGEST - 1, 0),
        (NEXT_DIGEST, 1),
        (NEXT_DIGEST + HOUR, 1),
        (NEXT_DIGEST + DAY, 2),
        (NEXT_DIGEST + 3 * DAY, 3),
        (NEXT_DIGEST + 3 * DAY + HOUR, 3),
    ):
        await replica.at(now)
        assert kinds(sink).count("digest") == digests
    ids = [message_id for message_id in sink.message_ids() if ".digest@" in message_id]
    assert len(set(ids)) == 3


async def test_digest_missed_by_a_stop_comes_at_the_start(
    replica: Replica, clock: StandingClock, sink: MailSink
) -> None:
    await prepared(replica, ("reservation.pending_approval", samples.pending(**LATER)))
    clock.time = NEXT_DIGEST + HOUR
    async with replica.running():
        await until(lambda: "digest" in kinds(sink))


@pytest.mark.parametrize(
    "end",
    [
        ("reservation.approved", samples.approved()),
        ("reservation.declined", samples.declined()),
        ("reservation.expired", samples.expired()),
        ("reservation.cancelled", samples.withdrawn()),
        ("reservation.updated", samples.changed(**LATER)),
    ],
)
async def test_digest_of_nothing_is_not_sent(
    replica: Replica, database: Database, sink: MailSink, end: tuple[str, ProtoMessage]
) -> None:
    await prepared(replica, ("reservation.pending_approval", samples.pending(**LATER)), end)
    await replica.at(NEXT_DIGEST)
    assert "digest" not in kinds(sink)
    assert await next_is(database, NEXT_DIGEST + DAY)
    payloads = await database.read(lambda c: c.scalars(sa.select(col(SupportCase.payload))).all())
    assert payloads == [""]


async def test_digest_leaves_out_what_can_no_longer_be_answered(replica: Replica, sink: MailSink) -> None:
    """Its cut-off has passed, though booking has not said so yet."""
    await prepared(replica, ("reservation.pending_approval", samples.pending()))
    await replica.at(NEXT_DIGEST)
    assert "digest" not in kinds(sink)


async def test_replicas_send_one_digest(replica: Replica, another: Callable[[], Replica], sink: MailSink) -> None:
    await prepared(replica, ("reservation.pending_approval", samples.pending(**LATER)))
    second = another()
    await prepared(second)
    await asyncio.gather(replica.at(NEXT_DIGEST), second.at(NEXT_DIGEST))
    assert kinds(sink).count("digest") == 1


async def test_digest_follows_its_setting(
    database: Database, clock: StandingClock, channel: Smtp, sink: MailSink
) -> None:
    """Another hour after a restart; none at all when it is turned off."""
    await prepared(Replica(database, clock, channel), ("reservation.pending_approval", samples.pending(**LATER)))
    later = Replica(database, clock, channel, Timetable(LEAD, time(10, 0), BEIJING))
    await prepared(later, due=samples.to_ms("2025-07-14T02:00:00Z"))
    await later.at(samples.to_ms("2025-07-14T01:59:59Z"))
    assert "digest" not in kinds(sink)
    await later.at(samples.to_ms("2025-07-14T02:00:00Z"))
    assert kinds(sink).count("digest") == 1
    off = Replica(database, clock, channel, Timetable(LEAD, None, BEIJING))
    async with off.running():
        query = sa.select(sa.func.count()).select_from(ScheduledNotice)
        await until(lambda: nothing_of(database, query))


async def nothing_of(database: Database, query: sa.Select[Any]) -> bool:
    return bool(await database.read(lambda c: c.scalar(query)) == 0)


async def test_support_is_told_once_that_a_request_was_withdrawn(replica: Replica, sink: MailSink) -> None:
    """Though the event comes twice; and nobody is told about a reservation that support never saw."""
    await replica.told("reservation.pending_approval", samples.pending())
    for _ in range(2):
        await replica.told("reservation.cancelled", samples.withdrawn(), "event-2")
    await replica.told("reservation.cancelled", samples.cancelled(reservation_id="another"), "event-3")
    assert kinds(sink) == ["escalation", "pending", "cancellation", "withdrawn", "cancellation"]


def to_support(sink: MailSink) -> list[str]:
    return [kind for kind in kinds(sink) if kind in ("escalation", "withdrawn")]


async def test_one_mail_asks_support_and_one_says_that_it_is_settled(replica: Replica, sink: MailSink) -> None:
    """However often the request changes in between; the digest and the desk show it as it is."""
    await replica.told("reservation.pending_approval", samples.pending())
    for version in range(2, 20):
        changed = samples.pending(version=version, participant_count=100 + version)
        await replica.told("reservation.updated", changed, f"event-{version}")
    assert to_support(sink) == ["escalation"]
    await replica.told("reservation.cancelled", samples.withdrawn(version=20), "event-20")
    assert to_support(sink) == ["escalation", "withdrawn"]


async def test_a_request_that_came_late_is_not_asked_about_after_its_change(replica: Replica, sink: MailSink) -> None:
    """The event before it was given up waiting for; then it came after all, first while support decides, then after."""
    await replica.told("reservation.updated", samples.pending(version=2), "event-2")
    await replica.told("reservation.pending_approval", samples.pending(), "event-1")
    assert to_support(sink) == ["escalation"]
    await replica.told("reservation.approved", samples.approved(version=3), "event-3")
    await replica.told("reservation.updated", samples.pending(version=2), "event-2-again")
    assert to_support(sink) == ["escalation"]


async def take_in(replica: Replica, event_type: str, body: ProtoMessage, event_id: str) -> None:
    """Without sending anything: the mail server is away."""
    payload = json_format.MessageToJson(body).encode()
    incoming = IncomingEvent(f"yunhui.booking.{event_type}", samples.headers(event_type, event_id), payload)
    outcome = await replica.ingester.ingest([incoming], nowhere)
    assert not outcome.dead
    assert not outcome.postponed


async def test_a_notice_that_has_not_left_yet_says_what_is_now(
    replica: Replica, database: Database, sink: MailSink
) -> None:
    await take_in(replica, "reservation.pending_approval", samples.pending(), "event-1")
    before = await database.read(lambda c: c.scalars(sa.select(TABLE.c.message_id)).all())
    for version, people in ((2, 130), (3, 175)):
        changed = samples.pending(version=version, participant_count=people)
        await take_in(replica, "reservation.updated", changed, f"event-{version}")
    await replica.post()
    assert to_support(sink) == ["escalation"]
    [asked] = [mail for mail in sink.taken if ".escalation@" in str(mail["Message-ID"])]
    assert str(asked["Message-ID"]) in before
    assert "175" in str(asked["Subject"])


async def test_a_notice_that_has_not_left_yet_is_taken_back_when_nothing_is_left_to_decide(
    replica: Replica, sink: MailSink
) -> None:
    await take_in(replica, "reservation.pending_approval", samples.pending(), "event-1")
    await take_in(replica, "reservation.cancelled", samples.withdrawn(), "event-2")
    await replica.post()
    assert to_support(sink) == []
    assert kinds(sink) == ["pending", "cancellation"]


async def test_a_change_that_settles_an_unsent_case_is_told_to_the_booker_as_before(
    replica: Replica, sink: MailSink
) -> None:
    await take_in(replica, "reservation.pending_approval", samples.pending(), "event-1")
    await take_in(replica, "reservation.updated", samples.changed(), "event-2")
    await replica.post()
    assert kinds(sink) == ["pending", "change"]


async def test_what_expired_before_support_could_be_asked_is_told_all_the_same(
    replica: Replica, sink: MailSink
) -> None:
    await take_in(replica, "reservation.pending_approval", samples.pending(), "event-1")
    await take_in(replica, "reservation.expired", samples.expired(), "event-2")
    await replica.post()
    assert to_support(sink) == ["escalation", "withdrawn"]


async def test_a_notice_that_was_tried_is_neither_rewritten_nor_taken_back(
    replica: Replica, database: Database, sink: MailSink
) -> None:
    """A server may have taken it: every attempt sends the same, and what was asked must be withdrawn."""
    await take_in(replica, "reservation.pending_approval", samples.pending(), "event-1")
    claims = [claim async for claim in claimed(replica)]
    before = {claim.delivery_id: claim.content for claim in claims}
    await take_in(replica, "reservation.updated", samples.pending(version=2, participant_count=175), "event-2")
    for claim in claims:
        await settle(replica.deliveries, claim, SendResult(SendVerdict.TEMPORARY, 451, "later"), NOW)
    await take_in(replica, "reservation.updated", samples.pending(version=3, participant_count=176), "event-3")
    rows = await database.read(lambda c: c.execute(sa.select(TABLE.c.delivery_id, TABLE.c.content)).all())
    assert {id_: bytes(content) for id_, content in rows if id_ in before} == before
    await take_in(replica, "reservation.cancelled", samples.withdrawn(version=4), "event-4")
    await replica.post()
    assert to_support(sink) == ["escalation", "withdrawn"]


async def claimed(replica: Replica) -> AsyncIterator[DeliveryClaim]:
    while claim := await claim_one(replica.deliveries):
        yield claim


async def test_what_support_has_answered_is_not_withdrawn(replica: Replica, sink: MailSink) -> None:
    await replica.told("reservation.pending_approval", samples.pending())
    await replica.told("reservation.approved", samples.approved(), "event-2")
    await replica.told("reservation.updated", samples.changed(version=3), "event-3")
    await replica.told("reservation.cancelled", samples.cancelled(version=4), "event-4")
    assert kinds(sink)[2:] == ["confirmation", "change", "cancellation"]


async def test_changed_request_waits_since_it_was_first_made(replica: Replica, database: Database) -> None:
    await replica.told("reservation.pending_approval", samples.pending())
    await replica.told("reservation.updated", samples.pending(version=2, **LATER), "event-2")
    [case] = await database.read(lambda c: support_cases.read_answerable(c, NOW))
    assert (case.version, case.open_time) == (2, NOW)
    assert case.cutoff == samples.to_ms("2025-07-18T05:30:00Z")


async def test_what_is_long_over_is_forgotten(replica: Replica, database: Database, clock: StandingClock) -> None:
    await replica.told("reservation.confirmed", samples.confirmed())
    await replica.told("reservation.pending_approval", samples.pending(reservation_id="another"), "event-2")
    await replica.at(START)
    clock.time = NOW + scheduled_notices.KEPT_MS + DAY
    async with replica.running():
        for model in (ScheduledNotice, SupportCase):
            rest = sa.select(sa.func.count()).select_from(model).where(col(model.version) > 0)
            await until(lambda rest=rest: nothing_of(database, rest))


@pytest.mark.parametrize(
    ("zone", "at", "now", "expected"),
    [
        ("Asia/Shanghai", time(8, 30), "2025-07-14T00:29:59Z", "2025-07-14T00:30:00Z"),
        ("Asia/Shanghai", time(8, 30), "2025-07-14T00:30:00Z", "2025-07-15T00:30:00Z"),
        ("Asia/Shanghai", time(8, 30), "2025-12-31T23:00:00Z", "2026-01-01T00:30:00Z"),
        ("Europe/Berlin", time(8, 30), "2025-03-29T08:00:00Z", "2025-03-30T06:30:00Z"),
        ("Europe/Berlin", time(2, 30), "2025-03-30T00:00:00Z", "2025-03-30T01:30:00Z"),
    ],
)
def test_next_digest(zone: str, at: time, now: str, expected: str) -> None:
    """By the local clock, also where it is put forward that night."""
    due = Timetable(LEAD, at, ZoneInfo(zone)).next_digest(samples.to_ms(now))
    assert due == samples.to_ms(expected)
