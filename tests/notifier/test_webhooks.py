"""Webhooks against a real HTTP server: signed, refused where they must not lead, switched off when nobody listens."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier import webhooks
from services.notifier.addresses import AddressGuard, RefusedAddressError, is_public
from services.notifier.channels import WEBHOOK, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import Deliveries
from services.notifier.sender import Retry, Sender
from services.notifier.webhooks import WebhookCaller
from services.platform.clock import HOUR, SECOND
from services.platform.data.database import Database
from tests.notifier.conftest import HandClock
from tests.notifier.new_deliveries import attempts, claim, new_delivery, queue, rows
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, until

BODY = b'{"type":"yunhui.booking.reservation.confirmed","data":{}}'


class Receiver:
    """An HTTP server that answers as the test says: a status with headers, "stall" or "close"; 204 otherwise."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[str] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0)

    @property
    def url(self) -> str:
        assert self._server
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}/hook"

    async def stop(self) -> None:
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.calls.append((headers, await reader.readexactly(int(headers["content-length"]))))
        answer = self.answers.pop(0) if self.answers else "204 No Content"
        if answer == "stall":
            await asyncio.sleep(PATIENCE_SECONDS)
        if answer not in ("stall", "close"):
            writer.write(f"HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n".encode())
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


def caller(database: Database, *, development: bool = True, timeout: float = 5.0, **guard: Any) -> WebhookCaller:
    return WebhookCaller(database, AddressGuard(development=development, **guard), timeout, 72 * HOUR)


async def register(database: Database, url: str) -> Any:
    return await database.write(lambda c: webhooks.create(c, url, webhooks.EVERYTHING, "", 1))


def call(webhook: Any) -> DeliveryClaim:
    return claim(webhook.webhook_id, BODY, WEBHOOK)


async def test_signed_in_the_standard_form(database: Database, receiver: Receiver) -> None:
    """The standard's own library accepts it, and nothing that was changed on the way."""
    webhook = await register(database, receiver.url)
    answer = await caller(database).send(call(webhook))
    assert (answer.verdict, answer.code) == (SendVerdict.ACCEPTED, 204)
    [(headers, content)] = receiver.calls
    assert headers["webhook-id"] == "event-1"
    assert Webhook(webhook.secret).verify(content, headers) == json.loads(BODY)
    for secret, changed in ((webhook.secret, content + b" "), (webhooks.new_secret(), content)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(changed, headers)


@pytest.mark.parametrize(
    ("answer", "verdict", "code"),
    [
        ("200 OK", SendVerdict.ACCEPTED, 200),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", SendVerdict.TEMPORARY, 302),
        ("400 Bad Request", SendVerdict.TEMPORARY, 400),
        ("410 Gone", SendVerdict.PERMANENT, 410),
        ("429 Too Many", SendVerdict.AWAY, 429),
        ("503 Unavailable", SendVerdict.AWAY, 503),
        ("close", SendVerdict.AWAY, 0),
        ("stall", SendVerdict.AWAY, 0),
    ],
)
async def test_what_an_answer_means(
    database: Database, receiver: Receiver, answer: str, verdict: SendVerdict, code: int
) -> None:
    """A redirect is not followed: it could lead anywhere."""
    webhook = await register(database, receiver.url)
    receiver.answers = [answer]
    told = await caller(database, timeout=0.5).send(call(webhook))
    assert (told.verdict, told.code) == (verdict, code)
    assert len(receiver.calls) == 1


async def test_only_the_beginning_of_an_answer_is_read(database: Database, receiver: Receiver) -> None:
    """However much is said, and in whatever form."""
    webhook = await register(database, receiver.url)
    receiver.answers = ["500 Oops\r\nx: y\r\n\r\n" + "no" * 100_000]
    assert len((await caller(database).send(call(webhook))).text) <= 204


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "ff02::1", "2001:0:5ef5:79fb:0:0:80ff:fffe", "nonsense",
    ],
)  # fmt: skip
async def test_private_addresses_are_refused(database: Database, receiver: Receiver, address: str) -> None:
    """At every call, not only when it was registered: names change."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.215.14", address]

    assert not is_public(address)
    webhook = await register(database, "https://example.org/hook")
    answer = await caller(database, development=False, resolve=resolve).send(call(webhook))
    assert answer.verdict is SendVerdict.AWAY
    assert "private address" in answer.text


async def test_the_address_that_was_checked_is_the_one_called(database: Database, receiver: Receiver) -> None:
    """A name that leads elsewhere a moment later changes nothing: it is resolved once."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return [HOST]

    webhook = await register(database, receiver.url.replace(HOST, "hook.example.org"))
    answer = await caller(database, resolve=resolve).send(call(webhook))
    assert answer.verdict is SendVerdict.ACCEPTED
    assert asked == ["hook.example.org"]
    assert receiver.calls[0][0]["host"] == webhook.url.split("/")[2]


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org", "http://example.org", "https://", "https://u:p@example.org",
        "https://example.org:99999", "https://example.org/\r\nHost: x", "https://exämple.org", "https://[::1",
        "https://example.org/#x", "https://example.org/" + "x" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_webhook(url: str) -> None:
    """In production."""
    with pytest.raises(RefusedAddressError):
        AddressGuard(development=False).check_url(url)


async def test_numbers_that_hide_an_address_are_resolved_like_names() -> None:
    """2130706433 is 127.0.0.1 to some resolvers."""
    for url in ("https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://localhost/", "https://[::1]/"):
        with pytest.raises(RefusedAddressError):
            await AddressGuard(development=False).pin(url)


@pytest.fixture
async def sender(database: Database, clock: HandClock) -> AsyncIterator[Sender]:
    made = Sender(Deliveries(database, clock, 60 * SECOND), caller(database), clock, Retry(give_up_ms=100 * HOUR))
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def read(database: Database, webhook: Any) -> Any:
    return await database.read(lambda c: webhooks.get(c, webhook.webhook_id))


async def test_retried_in_the_same_log(
    database: Database, clock: HandClock, receiver: Receiver, sender: Sender
) -> None:
    """With the same webhook-id each time; while one endpoint is away the others get theirs."""
    away, well = await register(database, "http://127.0.0.1:1/"), await register(database, receiver.url)
    receiver.answers = ["500 Oops"]
    for webhook in (away, well):
        await queue(
            database, clock.now(), new_delivery(channel=WEBHOOK, recipient=webhook.webhook_id, message_id="event-1")
        )
    sender.wake()

    async def both_tried() -> bool:
        return len(await attempts(database)) == 2

    await until(both_tried)
    assert (await read(database, well)).failing_since == clock.now()
    clock.time += 5 * SECOND
    await until(lambda: len(receiver.calls) == 2)

    async def sent() -> bool:
        return [row.state for row in await rows(database) if row.recipient == well.webhook_id] == ["sent"]

    await until(sent)
    assert (await read(database, well)).failing_since == 0
    assert {headers["webhook-id"] for headers, _ in receiver.calls} == {"event-1"}
    assert (await read(database, away)).enabled


async def test_410_switches_it_off(database: Database, clock: HandClock, receiver: Receiver, sender: Sender) -> None:
    """At once, with all that waits for it, and it says why."""
    webhook = await register(database, receiver.url)
    receiver.answers = ["410 Gone"]
    for number in range(3):
        await queue(
            database, clock.now(), new_delivery(f"event-{number}", channel=WEBHOOK, recipient=webhook.webhook_id)
        )
    sender.wake()

    async def failed() -> bool:
        return [row.state for row in await rows(database)] == ["failed"] * 3

    await until(failed)
    assert len(receiver.calls) == 1
    assert not (await read(database, webhook)).enabled
    assert "410" in (await read(database, webhook)).reason


async def test_what_is_queued_as_it_goes_off_is_not_sent(database: Database, receiver: Receiver) -> None:
    """Another replica had read it as on."""
    webhook = await register(database, receiver.url)
    await database.write(lambda c: webhooks.update(c, webhook.webhook_id, {"enabled": False}, 2))
    answer = await caller(database).send(call(webhook))
    assert (answer.verdict, answer.text) == (
        SendVerdict.PERMANENT,
        "the webhook is off: switched off by an administrator",
    )
    assert receiver.calls == []


async def test_nothing_accepted_for_long_switches_it_off(
    database: Database, clock: HandClock, receiver: Receiver, sender: Sender
) -> None:
    """The reason names the last answer."""
    webhook = await register(database, receiver.url)
    receiver.answers = ["500 Oops"] * 2
    await queue(database, clock.now(), new_delivery(channel=WEBHOOK, recipient=webhook.webhook_id))
    sender.wake()
    await until(lambda: len(receiver.calls) == 1)

    async def noted() -> bool:
        return bool((await read(database, webhook)).failing_since)

    await until(noted)
    clock.time += 72 * HOUR

    async def off() -> bool:
        return not (await read(database, webhook)).enabled

    await until(off)
    assert (await read(database, webhook)).reason == "nothing was accepted for 72 hours; last: 500"
    assert [row.state for row in await rows(database)] == ["failed"]


async def test_who_switches_it_on_while_it_goes_off_has_it_on(database: Database, clock: HandClock) -> None:
    """A replica hears 410 and has not committed; the administrator's word is the later one, and holds."""
    webhook = await register(database, "https://hooks.example.org")
    other = Database(database.engine.url.render_as_string(hide_password=False))
    gone = SendResult(SendVerdict.PERMANENT, 410, "gone")
    on = partial(webhooks.update, webhook_id=webhook.webhook_id, values={"enabled": True}, now=clock.now())
    with other.engine.begin() as connection:
        caller(database).record(connection, call(webhook), gone, clock.now())
        switching = asyncio.create_task(database.write(on))
        await asyncio.sleep(0.2)
    assert (await switching).enabled
    stored = await read(database, webhook)
    assert (stored.enabled, stored.reason) == (True, "")
    other.close()
