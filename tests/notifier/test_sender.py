"""Sending by the table's due times: what is retried when, what is given up, and what an outage of a day comes to."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from services.notifier.channels import MAIL, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import Deliveries, Settlement, Turn
from services.notifier.sender import AT_ONCE, Retry, Sender
from services.notifier.smtp import Smtp, SmtpServer
from services.platform.clock import DAY, HOUR, MINUTE, SECOND
from services.platform.data.database import ConflictError, Database
from services.platform.serving import errors
from tests.notifier.conftest import HandClock
from tests.notifier.new_deliveries import LATER, NEVER, SENT, attempts, new_delivery, queue, rows
from tests.notifier.samples import LETTERHEAD
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, MailSink, until

AWAY = SendResult(SendVerdict.AWAY, 0, "ConnectionRefusedError")
RETRY = Retry(first_seconds=5, longest_seconds=300, give_up_ms=2 * DAY)
Run = Callable[[Any], AbstractAsyncContextManager[Sender]]


class Script:
    """A channel that answers as the test says; what is left out is taken."""

    name = MAIL
    shared = True

    def __init__(self, *answers: SendResult | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def send(self, claim: DeliveryClaim) -> SendResult:
        self.asked.append(claim.event_id)
        answer = self.answers.pop(0) if self.answers else SENT
        if isinstance(answer, Exception):
            raise answer
        return answer

    def record(self, connection: Connection, claim: DeliveryClaim, answer: SendResult, now: int) -> None: ...

    async def rest(self) -> None: ...


@pytest.fixture
def deliveries(database: Database, clock: HandClock) -> Deliveries:
    return Deliveries(database, clock, 100 * SECOND)


@pytest.fixture
def run(deliveries: Deliveries, clock: HandClock) -> Run:
    @asynccontextmanager
    async def running(channel: Any) -> Any:
        sender = Sender(deliveries, channel, clock, RETRY)
        task = asyncio.create_task(sender.run())
        yield sender
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return running


def settled(database: Database, *states: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return sorted(row.state for row in await rows(database)) == sorted(states)

    return look


def tried(database: Database, number: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return len(await attempts(database)) == number

    return look


async def test_pauses_grow_and_the_clock_decides(database: Database, clock: HandClock, run: Run) -> None:
    """5, 10, 20, ... seconds after each no, and then no more."""
    await queue(database, clock.now(), new_delivery())
    due = []
    async with run(Script(LATER, LATER, LATER)):
        for number in range(1, 4):
            await until(tried(database, number))
            [row] = await rows(database)
            due.append((row.due_time - clock.now()) // SECOND)
            clock.time = row.due_time
        await until(settled(database, "sent"))
    assert due == [5, 10, 20]
    assert [RETRY.pause_ms(number) for number in (6, 7, 99)] == [160_000, 300_000, 300_000]
    assert [row[:2] for row in await attempts(database)] == [
        (1, "temporary"),
        (2, "temporary"),
        (3, "temporary"),
        (4, "accepted"),
    ]


async def test_final_is_final(database: Database, clock: HandClock, run: Run) -> None:
    """And visible, with the server's words."""
    await queue(database, clock.now(), new_delivery())
    channel = Script(NEVER)
    async with run(channel):
        await until(settled(database, "failed"))
        clock.time += DAY
    assert [(row.code, row.answer) for row in await rows(database)] == [(550, "550 no")]
    assert len(channel.asked) == 1


async def test_given_up_after_long(database: Database, clock: HandClock, run: Run) -> None:
    """The last answer says why."""
    await queue(database, clock.now(), new_delivery())
    clock.time += RETRY.give_up_ms - 5 * SECOND
    async with run(Script(LATER)):
        await until(settled(database, "failed"))
    assert [row.answer for row in await rows(database)] == ["451 later"]


async def test_an_outage_of_a_day_loses_nothing_and_floods_nobody(
    database: Database, clock: HandClock, run: Run
) -> None:
    """While the server is away one mail at a time asks for it, no more than every five minutes; then all go, once."""
    await queue(database, clock.now(), *(new_delivery(f"event-{number}") for number in range(40)))
    channel = Script(*[AWAY] * 10_000)
    start = clock.now()
    async with run(channel) as sender:
        await until(lambda: channel.asked)
        while clock.now() < start + DAY:
            asked = len(channel.asked)
            clock.time += 30 * MINUTE
            sender.wake()
            await until(lambda asked=asked: len(channel.asked) > asked)
        channel.answers.clear()
        before = len(channel.asked)
        clock.time += HOUR
        sender.wake()
        await until(settled(database, *["sent"] * 40))
    assert before <= 4 * 50  # of four workers, some may have begun before it was known
    assert sorted(channel.asked[before:]) == sorted(f"event-{number}" for number in range(40))


async def test_an_outage_that_ends_between_two_looks_holds_nothing_up(
    database: Database, clock: HandClock, run: Run
) -> None:
    """Nothing may be begun yet, and a moment later there is no end to wait for any more."""

    class Parting(Script):
        async def rest(self) -> None:
            if len(self.asked) == 1:
                clock.time += 5 * SECOND

    await queue(database, clock.now(), new_delivery())
    async with run(Parting(AWAY)):
        await until(settled(database, "sent"))


async def test_while_one_asks_for_all_the_others_rest(
    database: Database, clock: HandClock, deliveries: Deliveries, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is slow to say that it is away costs nothing meanwhile."""
    gate, turns = asyncio.Event(), []
    channel = Script(AWAY)
    send, turn = channel.send, deliveries.turn

    async def slowly(claim: DeliveryClaim) -> SendResult:
        if channel.asked:
            await gate.wait()
        return await send(claim)

    async def counted(*given: Any) -> Turn:
        turns.append(1)
        return await turn(*given)

    monkeypatch.setattr(channel, "send", slowly)
    monkeypatch.setattr(deliveries, "turn", counted)
    await queue(database, clock.now(), *(new_delivery(f"event-{n}", recipient=f"r{n}@example.org") for n in range(3)))
    async with run(channel):
        await until(tried(database, 1))
        clock.time += MINUTE
        await asyncio.sleep(0.3)
        assert len(turns) < 10
        gate.set()
        await until(settled(database, *["sent"] * 3))


async def test_no_two_at_once_to_one_recipient(
    database: Database, clock: HandClock, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So they arrive in order, whatever the server takes its time over."""
    await queue(database, clock.now(), *(new_delivery(f"event-{number}") for number in range(10)))
    channel = Script()
    send, under_way, most = channel.send, [0], [0]

    async def slowly(claim: DeliveryClaim) -> SendResult:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        await asyncio.sleep(0.02)
        under_way[0] -= 1
        return await send(claim)

    monkeypatch.setattr(channel, "send", slowly)
    async with run(channel):
        await until(settled(database, *["sent"] * 10))
    assert (most[0], channel.asked) == (1, [row.event_id for row in await rows(database)])


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_servers_do_each_recipient_gets_theirs_once_in_order_and_one_at_a_time(
    database: Database, clock: HandClock, run: Run, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Some slow, some fast; how many are written to at once has a limit."""
    chance = random.Random(seed)
    names = [chance.choice("aaabcdefgh") for _ in range(60)]
    for number, name in enumerate(names):
        await queue(
            database, clock.now() - 60 + number, new_delivery(f"event-{number}", recipient=f"{name}@example.org")
        )
    channel, now, most = Script(), [], 0
    send = channel.send

    async def slowly(claim: DeliveryClaim) -> SendResult:
        nonlocal most
        assert claim.recipient not in now
        now.append(claim.recipient)
        most = max(most, len(now))
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01, 0.15)))
        now.remove(claim.recipient)
        return await send(claim)

    monkeypatch.setattr(channel, "send", slowly)
    async with run(channel):
        await until(settled(database, *["sent"] * 60))
    assert most <= AT_ONCE
    for name in set(names):
        mine = [f"event-{number}" for number, each in enumerate(names) if each == name]
        assert [each for each in channel.asked if each in mine] == mine
    assert len(channel.asked) == 60


async def test_an_answer_that_cannot_be_stored_keeps_no_other_out(
    database: Database, clock: HandClock, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes again when its lease ends."""
    await queue(database, clock.now(), *(new_delivery(f"event-{n}", recipient=f"r{n}@example.org") for n in range(4)))
    channel, broken = Script(), ["event-1"]

    def record(_: Connection, claim: DeliveryClaim, *_more: Any) -> None:
        if claim.event_id in broken:
            raise RuntimeError("a bug")

    monkeypatch.setattr(channel, "record", record)
    async with run(channel):
        await until(settled(database, "queued", "sent", "sent", "sent"))
        broken.clear()
        clock.time += 100 * SECOND
        await until(settled(database, *["sent"] * 4))
    assert sorted(channel.asked) == ["event-0", "event-1", "event-1", "event-2", "event-3"]


async def test_an_error_of_ours_holds_up_only_that_mail(database: Database, clock: HandClock, run: Run) -> None:
    """And it is tried again."""
    await queue(database, clock.now(), new_delivery(), new_delivery("event-2", recipient="other@example.org"))
    async with run(Script(RuntimeError("a bug"))):
        await until(settled(database, "queued", "sent"))
        clock.time += 5 * SECOND
        await until(settled(database, "sent", "sent"))


@pytest.mark.parametrize("failure", [errors.unavailable("database"), ConflictError("another replica was faster")])
async def test_an_answer_outlives_a_restart_of_the_database_and_who_was_faster(
    database: Database,
    clock: HandClock,
    deliveries: Deliveries,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    """The mail is out: it must not go out again because that could not be stored at once."""
    monkeypatch.setattr("services.notifier.sender.RETRY_SECONDS", 0.01)
    turn, failures = deliveries.turn, [failure] * 3

    async def failing(channel: str, settlements: Sequence[Settlement], *given: Any) -> Turn:
        if settlements and failures:
            raise failures.pop()
        return await turn(channel, settlements, *given)

    monkeypatch.setattr(deliveries, "turn", failing)
    await queue(database, clock.now(), new_delivery())
    channel = Script()
    async with run(channel):
        await until(settled(database, "sent"))
    assert len(channel.asked) == 1


async def test_told_to_end_it_stores_what_is_under_way(database: Database, clock: HandClock, sink: MailSink) -> None:
    """And leaves the rest unclaimed, for the next start."""
    await queue(database, clock.now(), *(new_delivery(f"event-{number}") for number in range(3)))
    sink.gate = asyncio.Event()
    server = SmtpServer(HOST, sink.port, LETTERHEAD.sender, encryption="off", timeout=PATIENCE_SECONDS, rate=1000)
    sender = Sender(Deliveries(database, clock, 100 * SECOND), Smtp(server), clock, RETRY)
    task = asyncio.create_task(sender.run())
    await until(lambda: sink.asked)
    task.cancel()
    sink.gate.set()
    await asyncio.gather(task, return_exceptions=True)
    assert [(row.state, row.lease_end) for row in await rows(database)] == [("sent", 0), ("queued", 0), ("queued", 0)]


async def test_every_misdeed_of_a_server_ends_well(database: Database, clock: HandClock, sink: MailSink) -> None:
    """4xx then 2xx, 5xx, a stall, a cut, a lost answer: repeats only where the mail was taken and nobody said so."""
    misdeeds = ["451 later", "550 never", "stall", "close", "lost", "421 closing"]
    for number, _ in enumerate(misdeeds):
        await queue(database, clock.now(), new_delivery(f"event-{number}", recipient=f"r{number}@example.org"))
    sink.answers = list(misdeeds)
    server = SmtpServer(HOST, sink.port, LETTERHEAD.sender, encryption="off", timeout=3, rate=1000)
    sender = Sender(Deliveries(database, clock, 100 * SECOND), Smtp(server), clock, RETRY)
    task = asyncio.create_task(sender.run())
    await until(lambda: sink.asked >= len(misdeeds))
    await until(tried(database, len(misdeeds)))
    clock.time += MINUTE
    sender.wake()
    await until(settled(database, "failed", *["sent"] * 5))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(sink.taken) == 5 + 2  # the stall and the lost answer: both had been taken
