"""Claims: one worker a mail, one effect an event, on both databases."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.database import ConflictError, Database
from services.notifier.channels import Answer, Verdict
from services.notifier.deliveries import TABLE, BusyError, Deliveries
from services.notifier.messages import Message

LEASE = 1000
MAIL = Message("confirmation", "booker@example.org", b"mail")
SENT = Answer(Verdict.ACCEPTED, 250, "250 taken")
LATER = Answer(Verdict.TEMPORARY, 451, "451 later")
NEVER = Answer(Verdict.PERMANENT, 550, "550 no")


class HandClock:
    """Stands still until it is set."""

    patience = 1.0

    def __init__(self) -> None:
        self.time = 1_000_000

    def now(self) -> int:
        return self.time


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'notifier.db'}" if on_sqlite else request.getfixturevalue("postgres")
    made = Database(url)
    made.migrate("services.notifier")
    yield made
    made.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def deliveries(database: Database, clock: HandClock) -> Deliveries:
    return Deliveries(database, clock, LEASE)


async def rows(database: Database) -> list[sa.Row[tuple[object, ...]]]:
    return await database.read(lambda c: list(c.execute(sa.select(TABLE)).all()))


@pytest.mark.parametrize("answer", [SENT, NEVER])
async def test_settled_mail_is_not_claimed_again(deliveries: Deliveries, answer: Answer) -> None:
    """Sent or refused for good: the event may come again, the mail may not."""
    claim = await deliveries.claim("event-1", MAIL)
    assert claim is not None
    await deliveries.settle(claim, answer)
    assert await deliveries.claim("event-1", MAIL) is None


async def test_held_mail_is_busy_until_the_lease_ends(deliveries: Deliveries, clock: HandClock) -> None:
    """A worker that died between sending and marking leaves the mail to the next: then it may repeat."""
    await deliveries.claim("event-1", MAIL)
    clock.time += LEASE - 1
    with pytest.raises(BusyError):
        await deliveries.claim("event-1", MAIL)
    clock.time += 1
    assert await deliveries.claim("event-1", MAIL) is not None


async def test_later_attempts_send_what_the_first_stored(deliveries: Deliveries) -> None:
    """An update of the templates between two attempts does not make two different mails of one."""
    claim = await deliveries.claim("event-1", MAIL)
    assert claim is not None
    await deliveries.settle(claim, LATER)
    again = await deliveries.claim("event-1", Message(MAIL.kind, MAIL.recipient, b"changed"))
    assert again is not None
    assert again.content == b"mail"


async def test_row_tells_the_story_and_forgets_the_mail(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """Attempts, last answer and times; the content goes once it is sent."""
    for answer in (LATER, SENT):
        claim = await deliveries.claim("event-1", MAIL)
        assert claim is not None
        clock.time += 5
        await deliveries.settle(claim, answer)
    [row] = await rows(database)
    assert (row.state, row.attempts, row.answer, row.content) == ("sent", 2, "250 taken", b"")
    assert (row.create_time, row.update_time, row.lease_end) == (1_000_000, 1_000_010, 0)


async def test_each_mail_of_an_event_is_claimed_on_its_own(deliveries: Deliveries, database: Database) -> None:
    """Support and booker both hear of an escalation."""
    assert await deliveries.claim("event-1", MAIL) is not None
    assert await deliveries.claim("event-1", Message("escalation", "support@example.org", b"")) is not None
    assert await deliveries.claim("event-2", MAIL) is not None
    assert len(await rows(database)) == 3


async def test_replicas_that_race_get_one_claim(database: Database, clock: HandClock) -> None:
    """The others are told that it is busy, or stumble over the unique constraint: either way they come again."""
    url = database.engine.url.render_as_string(hide_password=False)
    others = [Database(url) for _ in range(4)]
    for number in range(10):
        event_id = f"event-{number}"
        attempts = [Deliveries(other, clock, LEASE).claim(event_id, MAIL) for other in others]
        answers = await asyncio.gather(*attempts, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BusyError | ConflictError)]
        assert len(refused) == len(others) - 1
    for other in others:
        other.close()
