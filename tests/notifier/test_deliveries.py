"""The delivery log: one worker a notice, every attempt kept, on both databases."""

import asyncio
import itertools
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.notifier import deliveries as log
from services.notifier.channels import MAIL, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import Deliveries, Settlement
from services.platform.clock import HOUR
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.notifier.conftest import HandClock
from tests.notifier.new_deliveries import LATER, NEVER, SENT, attempts, claim_one, new_delivery, queue, rows, settle

LEASE = 1000


@pytest.fixture
def deliveries(database: Database, clock: HandClock) -> Deliveries:
    return Deliveries(database, clock, LEASE)


async def claimed(deliveries: Deliveries) -> DeliveryClaim:
    claim = await claim_one(deliveries)
    assert claim is not None
    return claim


async def events(database: Database) -> list[tuple[Any, ...]]:
    columns = (outbox.TABLE.c.subject, outbox.TABLE.c.entity_id, outbox.TABLE.c.entity_seq, outbox.TABLE.c.payload)
    return await database.read(lambda c: [tuple(row) for row in c.execute(sa.select(*columns))])


@pytest.mark.parametrize(("answer", "state"), [(SENT, "sent"), (NEVER, "failed")])
async def test_settled_is_not_claimed_again_and_the_world_hears_of_it(
    deliveries: Deliveries, database: Database, clock: HandClock, answer: SendResult, state: str
) -> None:
    """An event without recipient and answer: both are personal data."""
    await queue(database, clock.now(), new_delivery())
    await settle(deliveries, await claimed(deliveries), answer, None)
    assert await claim_one(deliveries) is None
    [row] = await rows(database)
    assert (row.state, row.answer, row.attempts, row.lease_end) == (state, answer.text, 1, 0)
    [(subject, entity_id, seq, payload)] = await events(database)
    assert (subject, entity_id, seq) == (f"yunhui.notifier.delivery.{state}", row.delivery_id, 1)
    assert "booker@" not in payload
    assert answer.text not in payload


async def test_what_is_due_later_is_claimed_later(deliveries: Deliveries, database: Database, clock: HandClock) -> None:
    """The table says when, whoever asks."""
    await queue(database, clock.now(), new_delivery())
    await settle(deliveries, await claimed(deliveries), LATER, clock.now() + 5000)
    assert (await deliveries.turn(MAIL, wanted=1)).next_look == clock.now() + 5000
    clock.time += 4999
    assert await claim_one(deliveries) is None
    clock.time += 1
    assert (await claimed(deliveries)).number == 2


async def test_held_until_the_lease_ends_and_then_an_attempt_of_unknown_outcome(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """A worker that died between sending and storing leaves the mail to the next: then it may repeat."""
    await queue(database, clock.now(), new_delivery())
    await claimed(deliveries)
    clock.time += LEASE - 1
    assert await claim_one(deliveries) is None
    assert (await deliveries.turn(MAIL, wanted=1)).next_look == clock.now() + 1
    clock.time += 1
    assert (await claimed(deliveries)).number == 2
    assert [row[:2] for row in await attempts(database)] == [(1, SendVerdict.UNKNOWN)]


async def test_a_lease_of_a_clock_that_was_ahead_holds_up_nothing(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """Of a replica that claimed an hour ahead of us and died; one ahead by no more than a lease is left alone."""
    await queue(database, clock.now(), new_delivery())
    clock.time += LEASE
    await claimed(deliveries)
    clock.time -= LEASE
    assert await claim_one(deliveries) is None
    assert (await deliveries.turn(MAIL, wanted=1)).next_look == clock.now() + 2 * LEASE
    clock.time += HOUR
    await claimed(deliveries)
    clock.time -= HOUR
    assert (await claimed(deliveries)).number == 3


async def test_a_late_yes_counts_and_a_late_no_does_not(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """Whose lease has ended may still know that the mail is out; that it is not is for the next attempt to say."""
    await queue(database, clock.now(), new_delivery())
    slow = await claimed(deliveries)
    clock.time += LEASE
    quick = await claimed(deliveries)
    await settle(deliveries, slow, NEVER, None)
    assert (await rows(database))[0].state == "queued"
    await settle(deliveries, slow, SENT, None)
    await settle(deliveries, quick, LATER, clock.now() + 5)
    assert [(row.state, row.event_seq) for row in await rows(database)] == [("sent", 1)]
    assert [row[:2] for row in await attempts(database)] == [(1, "accepted"), (2, "temporary")]


async def test_sent_again_is_a_new_attempt_with_the_same_content(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """The same Message-ID: a mailbox that has it already shows one."""
    await queue(database, clock.now(), new_delivery())
    first = await claimed(deliveries)
    await settle(deliveries, first, NEVER, None)
    await deliveries.resend(first.delivery_id)
    again = await claimed(deliveries)
    assert (again.number, again.content, again.message_id) == (2, first.content, first.message_id)
    await settle(deliveries, again, SENT, None)
    assert [row[1:3] for row in await attempts(database)] == [("permanent", 550), ("accepted", 250)]
    assert [event[2] for event in await events(database)] == [1, 2]


async def test_queued_forgotten_and_unknown_cannot_be_sent_again(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """And each says why."""
    await queue(database, clock.now(), new_delivery())
    delivery_id = (await rows(database))[0].delivery_id
    for unready, reason in ((delivery_id, "DELIVERY_QUEUED"), ("dlv_none", "DELIVERY_NOT_FOUND")):
        with pytest.raises(errors.RpcError) as caught:
            await deliveries.resend(unready)
        assert reason in str(caught.value.to_status())
    await settle(deliveries, await claimed(deliveries), SENT, None)
    clock.time += 10
    await deliveries.forget(keep_ms=10)
    assert (await rows(database))[0].kept
    clock.time += 1
    await deliveries.forget(keep_ms=10)
    assert [(row.content, row.kept) for row in await rows(database)] == [(b"", False)]
    with pytest.raises(errors.RpcError, match="personal data") as caught:
        await deliveries.resend(delivery_id)
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_busy_recipients_are_passed_over(deliveries: Deliveries, database: Database, clock: HandClock) -> None:
    """The others go on."""
    await queue(database, clock.now(), new_delivery(), new_delivery("event-2", recipient="other@example.org"))
    found = await claim_one(deliveries, without={"booker@example.org"})
    assert found is not None
    assert found.recipient == "other@example.org"
    assert await claim_one(deliveries, without={"booker@example.org"}) is None
    assert await claim_one(deliveries, "webhook") is None


async def test_several_are_claimed_at_once_but_of_each_recipient_only_the_first(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """In the order in which they are due; that there is more is said."""
    for number, recipient in enumerate("aabac"):
        await queue(database, clock.now(), new_delivery(f"event-{number}", recipient=f"{recipient}@example.org"))
        clock.time += 1
    turn = await deliveries.turn(MAIL, wanted=3)
    assert [claim.event_id for claim in turn.claims] == ["event-0", "event-2"]
    assert turn.next_look == clock.now()
    turn = await deliveries.turn(MAIL, wanted=3, without=[claim.recipient for claim in turn.claims])
    assert [claim.event_id for claim in turn.claims] == ["event-4"]
    assert turn.next_look is None


async def test_answers_are_stored_and_the_next_are_claimed_in_one_turn(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """Whoever was written to can be written to again. Each event belongs to the trace of its own mail."""
    recipients = [f"{name}@example.org" for name in "abcde"]
    for number in range(10):
        await queue(database, number, new_delivery(f"event-{number}", recipient=recipients[number % 5]))
    claims = (await deliveries.turn(MAIL, wanted=5)).claims
    answers = [SENT, NEVER, LATER, SENT, SENT]
    dues = [None, None, clock.now() + 5, None, None]
    parts = zip(claims, answers, dues, "abcde", strict=True)
    settlements = [Settlement(claim, answer, due, traceparent=trace) for claim, answer, due, trace in parts]
    turn = await deliveries.turn(MAIL, settlements, 5)
    assert [claim.event_id for claim in turn.claims] == [f"event-{number}" for number in range(5, 10)]
    states = {row.event_id: (row.state, row.attempts, row.lease_end > 0) for row in await rows(database)}
    assert [states[f"event-{number}"] for number in range(5)] == [
        ("sent", 1, False),
        ("failed", 1, False),
        ("queued", 1, False),
        ("sent", 1, False),
        ("sent", 1, False),
    ]
    columns = (outbox.TABLE.c.entity_id, outbox.TABLE.c.traceparent)
    told = await database.read(lambda c: {tuple(row) for row in c.execute(sa.select(*columns))})
    assert {(claims[number].delivery_id, "abcde"[number]) for number in (0, 3, 4)} <= told
    assert len(told) == 4


async def test_all_of_a_turn_is_stored_or_nothing(deliveries: Deliveries, database: Database, clock: HandClock) -> None:
    """What the channel keeps of an answer too."""
    await queue(database, clock.now(), new_delivery(), new_delivery("event-2", recipient="other@example.org"))
    first, second = (await deliveries.turn(MAIL, wanted=2)).claims

    def fail(_: Connection) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await deliveries.turn(MAIL, [Settlement(first, SENT, None), Settlement(second, SENT, None, fail)], 2)
    assert [(row.state, row.attempts) for row in await rows(database)] == [("queued", 1)] * 2
    assert await attempts(database) == []


async def test_two_alike_in_one_event_are_one(database: Database, clock: HandClock) -> None:
    """An event can never keep itself out."""
    await queue(database, clock.now(), new_delivery(), new_delivery(), new_delivery(kind="escalation"))
    assert [row.kind for row in await rows(database)] == ["confirmation", "escalation"]


async def test_foreign_text_is_kept_as_every_database_takes_it(
    deliveries: Deliveries, database: Database, clock: HandClock
) -> None:
    """A server's answer must not be what keeps the answer from being stored."""
    await queue(database, clock.now(), new_delivery())
    strange = SendResult(SendVerdict.PERMANENT, 550, "550 \0\udcff" + "x" * 500)
    await settle(deliveries, await claimed(deliveries), strange, None)
    assert (await rows(database))[0].answer == ("550 ?" + "x" * 500)[:200]


async def test_all_that_waits_for_a_recipient_can_be_given_up(database: Database, clock: HandClock) -> None:
    """With an event for each."""
    await queue(database, clock.now(), *(new_delivery(f"event-{number}") for number in range(3)))
    await queue(database, clock.now(), new_delivery("event-9", recipient="other@example.org"))
    await database.write(lambda c: log.fail_queued(c, "booker@example.org", "gone", 5))
    assert sorted(row.state for row in await rows(database)) == ["failed"] * 3 + ["queued"]
    assert len(await events(database)) == 3


async def test_replicas_that_race_get_one_claim(database: Database, clock: HandClock) -> None:
    """Each mail is claimed once, and none is forgotten."""
    url = database.engine.url.render_as_string(hide_password=False)
    others = [Database(url) for _ in range(4)]
    await queue(database, clock.now(), *(new_delivery(f"event-{number}") for number in range(30)))

    async def work(other: Database) -> list[str]:
        mine, found = Deliveries(other, clock, LEASE), []
        for _ in range(40):
            if claim := await claim_one(mine):
                found.append(claim.event_id)
        return found

    found = await asyncio.gather(*(work(other) for other in others))
    assert sorted(itertools.chain(*found)) == sorted(f"event-{number}" for number in range(30))
    for other in others:
        other.close()
