"""From the bus to the mailbox, over a real nats-server that lets the notifier do only what installations allow."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import col
from standardwebhooks.webhooks import Webhook

from services.installation.ports import free_port
from services.notifier import inbox, webhooks
from services.notifier.assembly import build
from services.notifier.deliveries import TABLE
from services.notifier.models import DeadEvent
from services.notifier.settings import NotifierSettings
from services.platform.data.database import Database
from tests.notifier import samples
from tests.notifier.test_events import POISON
from tests.notifier.test_webhooks import Receiver
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, Bus, MailSink, password, until

Notifier = AbstractAsyncContextManager[None]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path / 'notifier.db'}")
    made.migrate("services.notifier")
    return made


def options(bus: Bus, sink: MailSink) -> NotifierSettings:
    return NotifierSettings(
        environment="development",
        nats_url=bus.url,
        nats_user="notifier",
        nats_password=SecretStr(password("notifier")),
        issuer="https://issuer.example.org",
        jwks="unused.json",
        database_url="sqlite://",
        portal_url="http://portal.example.org",
        mail_from=samples.LETTERHEAD.sender,
        smtp_host=HOST,
        smtp_port=sink.port,
        smtp_tls="off",
        smtp_timeout_seconds=5,
        retry_first_seconds=0.05,
        retry_longest_seconds=0.2,
    )


@pytest.fixture
def notifier(bus: Bus, sink: MailSink, database: Database) -> Callable[[], Notifier]:
    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        tasks = [asyncio.create_task(loop) for loop in build(options(bus, sink), database).loops()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return run


async def publish(bus: Bus, event_id: str, event_type: str = "reservation.confirmed") -> None:
    payload = samples.payload(samples.SAMPLES[event_type]())
    await bus.publish(samples.headers(event_type, event_id), payload)


async def test_event_becomes_one_mail(bus: Bus, sink: MailSink, notifier: Callable[[], Notifier]) -> None:
    """Published before the notifier runs: the durable consumer keeps the place."""
    await publish(bus, "event-1")
    async with notifier():
        await until(lambda: sink.taken)
        await until(bus.drained)
    assert sink.message_ids() == ["<event-1.confirmation@yunhui.example.org>"]


async def test_same_event_twice_is_one_mail(bus: Bus, sink: MailSink, notifier: Callable[[], Notifier]) -> None:
    """Under another Nats-Msg-Id JetStream lets the repeat through; the inbox does not."""
    async with notifier():
        for event_id in ("event-1", "event-1", "event-2"):
            await publish(bus, event_id)
        await until(lambda: len(sink.taken) == 2)
        await until(bus.drained)
    assert sorted(sink.message_ids()) == [
        "<event-1.confirmation@yunhui.example.org>",
        "<event-2.confirmation@yunhui.example.org>",
    ]


async def test_repeat_after_a_restart_is_still_one_mail(
    bus: Bus, sink: MailSink, notifier: Callable[[], Notifier]
) -> None:
    """The memory is in the database, not in the process."""
    for _ in range(2):
        async with notifier():
            await publish(bus, "event-1")
            await until(bus.drained)
    assert len(sink.taken) == 1


async def test_poison_blocks_nobody(
    bus: Bus, sink: MailSink, database: Database, notifier: Callable[[], Notifier]
) -> None:
    """What cannot be read lies in the dead-letter stream with the reason, and what comes after it arrives."""
    for number, (headers, payload) in enumerate(POISON.values()):
        unbroken = {name: value for name, value in headers.items() if "\n" not in value} | {"Nats-Msg-Id": str(number)}
        if "ce-id" in unbroken:
            unbroken["ce-id"] = f"poison-{number}"
        await bus.publish(unbroken, payload, "yunhui.booking.reservation.confirmed")
    await publish(bus, "event-1")
    async with notifier():
        await until(lambda: sink.taken)
        await until(bus.drained)
    dead = await database.read(
        lambda c: c.execute(sa.select(col(DeadEvent.dead_event_id), col(DeadEvent.reason))).all()
    )
    assert len(dead) == len(POISON)
    buried = await bus.messages("DEAD")
    assert {message.headers["dead-reason"] for message in buried} == {row.reason for row in dead}
    assert {message.subject for message in buried} == {"yunhui.dead.notifier.booking.reservation.confirmed"}
    assert ((await bus.consumer()).num_redelivered or 0) <= len(
        POISON
    )  # those that came before the publisher was connected


async def test_an_event_waits_for_the_one_before_it(
    bus: Bus, sink: MailSink, database: Database, notifier: Callable[[], Notifier]
) -> None:
    """Whatever order they arrive in, the inbox has the order of the reservation."""
    for number in (3, 1, 2):
        headers = samples.headers("reservation.confirmed", f"event-{number}")
        order = {"ce-subject": "reservation-1", "ce-sequence": str(number)}
        await bus.publish({**headers, **order}, samples.payload(samples.confirmed()))
    async with notifier():
        await until(lambda: len(sink.taken) == 3)
        await until(bus.drained)
    query = sa.select(inbox.TABLE.c.entity_seq).order_by(inbox.TABLE.c.seq)
    assert await database.read(lambda c: list(c.execute(query).scalars())) == [1, 2, 3]


async def test_the_world_hears_of_deliveries(bus: Bus, sink: MailSink, notifier: Callable[[], Notifier]) -> None:
    """Through the outbox, as the notifier's own events."""
    sink.answers = ["250 taken", "550 no"]
    async with notifier():
        for number in (1, 2):
            await publish(bus, f"event-{number}")
            await until(lambda number=number: sink.asked == number)
        await until(lambda: bus.count("NOTIFIER", 2))
    subjects = [message.subject for message in await bus.messages("NOTIFIER")]
    assert subjects == ["yunhui.notifier.delivery.sent", "yunhui.notifier.delivery.failed"]


async def test_an_event_is_posted_to_a_webhook(
    bus: Bus, sink: MailSink, database: Database, notifier: Callable[[], Notifier]
) -> None:
    """With the same payload as on the bus, beside the mail."""
    receiver = Receiver()
    await receiver.start()
    url = receiver.url
    webhook = await database.write(lambda c: webhooks.create(c, url, "yunhui.booking.reservation.*", "", 1))
    await publish(bus, "event-1")
    async with notifier():
        await until(lambda: receiver.calls and sink.taken)
        await until(bus.drained)
    await receiver.stop()
    [(headers, content)] = receiver.calls
    posted = Webhook(webhook.secret).verify(content, headers)
    assert posted["type"] == "yunhui.booking.reservation.confirmed"
    assert posted["data"] == json.loads(samples.payload(samples.confirmed()))


async def test_nothing_personal_is_logged(
    bus: Bus, sink: MailSink, notifier: Callable[[], Notifier], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither address, name nor subject, whether it goes well or not."""
    caplog.set_level("DEBUG", "services")
    sink.answers = ["550 no <booker@example.org>", "451 later <booker@example.org>"]
    poison = b'{"reservation": {"subject": 7, "x": "canary"}}'
    await bus.publish(samples.headers("reservation.confirmed", "poison"), poison)
    await publish(bus, "event-1")
    await publish(bus, "event-2", "reservation.pending_approval")
    async with notifier():
        await until(bus.drained)
        await until(lambda: len(sink.taken) == 2)
    for told in (
        "the payload is no ReservationEvent",
        "permanent, code 550",
        "temporary, code 451",
        "accepted, code 250",
    ):
        assert told in caplog.text
    for private in (samples.BOOKER, samples.SUPPORT, "预约人", "项目周例会", "canary"):
        assert private not in caplog.text


async def test_mail_server_away_then_back(
    bus: Bus, sink: MailSink, database: Database, notifier: Callable[[], Notifier]
) -> None:
    """The mail waits and goes out by itself, once."""
    await sink.stop()
    await publish(bus, "event-1")

    async def tried_twice() -> bool:
        query = sa.select(TABLE.c.attempts)
        return (await database.read(lambda c: c.execute(query).scalar_one_or_none()) or 0) >= 2

    async with notifier():
        await until(tried_twice)
        await sink.start()
        await until(lambda: sink.taken)
        await until(bus.drained)
    assert len(sink.taken) == 1


async def test_refused_for_good_is_not_tried_again(
    bus: Bus, sink: MailSink, database: Database, notifier: Callable[[], Notifier]
) -> None:
    """The row keeps the answer for whoever looks into it."""
    sink.answers = ["550 no such person"]
    await publish(bus, "event-1")
    async with notifier():
        await until(bus.drained)
        await until(lambda: sink.asked)
    states = await database.read(lambda c: c.execute(sa.select(TABLE.c.state, TABLE.c.answer)).all())
    assert [tuple(state) for state in states] == [("failed", "550 no such person")]
    assert sink.taken == []


async def test_bus_away_at_start_and_again_later(bus: Bus, sink: MailSink, notifier: Callable[[], Notifier]) -> None:
    """No restart is needed for either."""
    await bus.stop()
    async with notifier():
        for number in (1, 2):
            await bus.start()
            await publish(bus, f"event-{number}")
            await until(lambda number=number: len(sink.taken) == number)
            await bus.stop()


async def test_stops_while_the_bus_is_away(
    bus: Bus, notifier: Callable[[], Notifier], caplog: pytest.LogCaptureFixture
) -> None:
    """Told to end, it ends, and leaves nothing behind that goes on looking for the bus."""
    before = asyncio.all_tasks()
    await bus.stop()
    async with asyncio.timeout(PATIENCE_SECONDS), notifier():
        await until(lambda: "Connect call failed" in caplog.text)
    await until(lambda: asyncio.all_tasks() <= before)


async def test_turned_away_by_the_bus_then_let_in(
    bus: Bus, sink: MailSink, notifier: Callable[[], Notifier], caplog: pytest.LogCaptureFixture
) -> None:
    """A password that is wrong for a while closes the connection for good: then a new one is made."""
    async with notifier():
        await publish(bus, "event-1")
        await until(lambda: len(sink.taken) == 1)
        await bus.stop()
        await bus.start(notifier="p-another")
        await until(lambda: "Authorization Violation" in caplog.text)
        await bus.stop()
        await bus.start()
        await publish(bus, "event-2")
        await until(lambda: len(sink.taken) == 2)


async def test_consumer_missing_then_made(bus: Bus, sink: MailSink, notifier: Callable[[], Notifier]) -> None:
    """Whoever starts the notifier before the admin step only waits."""
    admin = await bus.connect()
    await admin.jetstream().delete_consumer("BOOKING", "notifier")
    async with notifier():
        await publish(bus, "event-1")
        await bus.set_up()
        await until(lambda: sink.taken)
    await admin.close()


async def test_consumer_lost_while_running(bus: Bus, sink: MailSink, notifier: Callable[[], Notifier]) -> None:
    """The notifier rests between its questions, and goes on once the consumer is there again."""
    async with notifier():
        await publish(bus, "event-1")
        await until(lambda: len(sink.taken) == 1)
        admin = await bus.connect()
        await admin.jetstream().delete_consumer("BOOKING", "notifier")
        await bus.set_up()
        await publish(bus, "event-2")
        await until(lambda: len(sink.taken) == 2)
        await admin.close()


def test_unsafe_settings_are_refused() -> None:
    """A production notifier neither sends passwords in the clear nor links to unprotected pages."""
    good = {
        "database_url": "sqlite://",
        "mail_from": "noreply@example.org",
        "portal_url": "https://portal.example.org/",
        "issuer": "https://issuer.example.org",
        "jwks": "https://issuer.example.org/keys",
        "nats_user": "notifier",
        "nats_password": "k2Vw9QxLr7TnB4ZmH8sD",
    }
    assert NotifierSettings.model_validate(good).portal_url == "https://portal.example.org"
    assert NotifierSettings.model_validate(good | {"digest_time": "none"}).digest_time is None
    for bad in (
        {"portal_url": "http://portal.example.org"},
        {"portal_url": "javascript:alert(1)"},
        {"smtp_user": "user", "smtp_tls": "auto"},
        {"mail_from": "nobody"},
        {"display_zone": "Beijing"},
        {"support_mail": "nobody"},
        {"digest_time": "half past eight"},
        {"reminder_minutes": -1},
        {"smtp_port": free_port() + 65536},
    ):
        with pytest.raises(ValueError, match="validation error"):
            NotifierSettings.model_validate(good | bad)
