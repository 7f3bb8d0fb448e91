"""Taken in together or one by one, events come to the same."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.message import Message
from sqlmodel import SQLModel

from services.notifier import preferences, webhooks
from services.notifier.deliveries import TABLE
from services.notifier.ingest import IncomingEvent, Ingester
from services.notifier.messages import Composer
from services.notifier.planner import Planner
from services.platform.clock import HOUR
from services.platform.data.database import Database
from tests import templates
from tests.notifier import samples
from tests.notifier.test_planner import NOW, TIMETABLE, StandingClock

STORY: tuple[tuple[str, Callable[..., Any], dict[str, Any]], ...] = (
    ("reservation.confirmed", samples.confirmed, {}),
    ("reservation.pending_approval", samples.pending, {}),
    ("reservation.updated", samples.pending, {"version": 2, "participant_count": 175}),
    ("reservation.updated", samples.changed, {"version": 3}),
    ("reservation.cancelled", samples.withdrawn, {"version": 4}),
    ("account.violation_recorded", samples.violation, {}),
)
COLUMNS = [TABLE.c[name] for name in ("event_id", "channel", "kind", "recipient", "content", "addressee", "message_id")]


@pytest.fixture
def other(tmp_path: Path, service: str) -> Iterator[Database]:
    made = Database(templates.on_sqlite(tmp_path / "other.db", service))
    yield made
    made.close()


async def nowhere(*_: Any) -> None: ...


def events(seed: int) -> list[IncomingEvent]:
    """What happens to some reservations, mixed, with repeats, damage, and now and then out of order."""
    chance = random.Random(seed)
    made: list[IncomingEvent] = []
    tellings = [(about, [*STORY]) for about in "abcd"]
    while left := [telling for telling in tellings if telling[1]]:
        about, story = chance.choice(left)
        kind, body, changes = story.pop(0)
        place = len(STORY) - len(story)
        told = body(**changes)
        told.reservation.reservation_id = f"r-{about}"
        made.append(incoming(len(made) + 1, about, place, kind, told))
    for _ in range(4):
        one, two = chance.randrange(len(made)), chance.randrange(len(made))
        made[one], made[two] = made[two], made[one]
    made.insert(chance.randrange(len(made)), chance.choice(made))
    return made


def incoming(number: int, about: str, place: int, kind: str, body: Message) -> IncomingEvent:
    headers = samples.headers(kind, f"event-{about}-{place}") | {"ce-subject": f"r-{about}", "ce-sequence": str(place)}
    payload = b"{" if (about, place) == ("d", 1) else samples.payload(body)
    return IncomingEvent(f"yunhui.booking.{kind}", headers, payload, number)


def ingester(database: Database) -> Ingester:
    clock, composer = StandingClock(NOW - HOUR), Composer(samples.LETTERHEAD)
    return Ingester(database, clock, composer, Planner(database, clock, composer, TIMETABLE), lambda: None)


async def take_in(database: Database, batches: Sequence[Sequence[IncomingEvent]]) -> list[list[tuple[Any, ...]]]:
    """As the bus does it: what is postponed comes again. All that they came to, table by table."""
    await database.write(lambda c: webhooks.create(c, "https://example.org/", "yunhui.booking.account.>", "", 1))
    await database.write(lambda c: preferences.update(c, samples.organizer().account_id, {"confirmation": False}, 1))
    receiver, waiting = ingester(database), list(batches)
    while waiting:
        batch = waiting.pop(0)
        outcome = await receiver.ingest(batch, nowhere)
        if again := [each for each in batch if each.sequence in outcome.postponed]:
            waiting.append(again)
    return await database.read(stored)


def stored(connection: sa.Connection) -> list[list[tuple[Any, ...]]]:
    tables = SQLModel.metadata.tables
    mails = sa.select(*COLUMNS).where(TABLE.c.channel == "mail")
    calls = sa.select(TABLE.c.event_id, TABLE.c.kind, TABLE.c.content).where(TABLE.c.channel == "webhook")
    inbox = sa.select(*(tables["inbox"].c[name] for name in ("event_id", "subject", "entity_id", "entity_seq")))
    planned, cases = sa.select(*list(tables["planned"].c)[1:]), sa.select(tables["support_case"])
    dead = sa.select(tables["dead_event"].c.dead_event_id, tables["dead_event"].c.reason)
    queries = (mails, calls, inbox, planned, cases, dead)
    return [sorted(tuple(row) for row in connection.execute(query)) for query in queries]


@pytest.mark.parametrize("seed", range(5))
async def test_however_events_are_batched_they_come_to_the_same(database: Database, other: Database, seed: int) -> None:
    """Also what is asked, asked again and withdrawn within one batch."""
    together = await take_in(database, [events(seed)])
    assert together == await take_in(other, [[each] for each in events(seed)])
    assert all(together)
