"""The receiver as a real server, with the stand-in calling it: it proves, stores once, and only then acknowledges."""

import asyncio
import base64
import json
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from services.installation.ports import free_port
from services.meetings import webhooks
from services.meetings.tencent import callbacks
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.callbacks import Checker
from services.meetings.tencent.webhooks import PATH, WebhookReceiver
from services.meetings.webhook_events import WebhookEvents
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.standin.cloud import Cloud
from services.standin.sender import ACKNOWLEDGED, Mischief, WebhookSender
from tests.meetings.builders import key
from tests.patience import PATIENCE_SECONDS
from tests.servers import HOST, until

TOKEN = "bVPU6F8Htxl5XkAbp3jGV2xWp"
KEY = base64.b64encode(b"k" * 32).decode().rstrip("=")
NOW = int(time.time())
HOUR = 3600


@pytest.fixture(params=["plain", "encrypted"])
async def sender(request: pytest.FixtureRequest, webhook_events: WebhookEvents) -> AsyncIterator[WebhookSender]:
    """A receiver behind the address that this sender has."""
    port, aes_key = free_port(), KEY if request.param == "encrypted" else ""
    receiver = WebhookReceiver(Checker(TOKEN), aes_key, Accounts(), webhook_events)
    serving = asyncio.create_task(webhooks.serve(receiver.routes(), f"{HOST}:{port}"))
    made = WebhookSender(f"http://{HOST}:{port}{PATH}", TOKEN, aes_key)
    await until(lambda: socket.socket().connect_ex((HOST, port)) == 0)
    yield made
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as client:
        yield client


def joined(meeting_id: str = "77", person: str = "m1", at: int = NOW * 1000) -> dict[str, Any]:
    item = {"operate_time": at, "operator": {"userid": "li", "ms_open_id": person}, "action_scene_type": 0}
    info = {"meeting_id": meeting_id, "meeting_code": "123456789"}
    return {"event": "meeting.participant-joined", "trace_id": "t", "payload": [{**item, "meeting_info": info}]}


async def stored(database: Database) -> list[tuple[str, str, int]]:
    """Subject, meeting and number of every event."""
    table = outbox.TABLE.c
    query = sa.select(table.subject, table.entity_id, table.entity_seq).order_by(table.seq)
    rows = await database.read(lambda connection: connection.execute(query).all())
    return [(subject.rpartition(".")[2], entity, seq) for subject, entity, seq in rows]


async def post(sender: WebhookSender, http: httpx2.AsyncClient, data: str, **headers: str) -> httpx2.Response:
    content = json.dumps({"data": data})
    return await http.post(sender.url, content=content, headers={**sender.sign(data), **headers})


async def test_the_address_is_verified(sender: WebhookSender) -> None:
    """The plain text and nothing else; again and again, for the check is a heartbeat too."""
    for _ in range(3):
        assert await asyncio.to_thread(sender.verify)


async def test_a_plus_that_became_a_space_is_one_again(sender: WebhookSender, http: httpx2.AsyncClient) -> None:
    """Where the sender did not escape it."""
    check = next(code for code in iter(lambda: sender.encode(random.randbytes(48)), "") if "+" in code)
    answer = await http.get(f"{sender.url}?check_str={check}", headers=sender.sign(check))
    assert answer.status_code == 200


async def test_an_event_is_stored_and_then_acknowledged(sender: WebhookSender, database: Database) -> None:
    outcome = await asyncio.to_thread(sender.deliver, joined())
    assert (outcome.status, outcome.body) == (200, ACKNOWLEDGED)
    assert await stored(database) == [("entered", "tencent/77/", 1)]


async def test_a_repeat_is_acknowledged_and_changes_nothing(
    sender: WebhookSender, http: httpx2.AsyncClient, database: Database
) -> None:
    """With a new signature, and with the very same headers, at the same time and one after the other."""
    for _ in range(2):
        assert (await asyncio.to_thread(sender.deliver, joined())).status == 200
    data = sender.encode(json.dumps(joined()).encode())
    headers = sender.sign(data)
    answers = await asyncio.gather(*(post(sender, http, data, **headers) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert await stored(database) == [("entered", "tencent/77/", 1)]


async def test_forged_and_stale_calls_are_refused(
    sender: WebhookSender, http: httpx2.AsyncClient, database: Database
) -> None:
    """Nothing is stored: a forged entry must not stop a no-show."""
    data, now = sender.encode(json.dumps(joined()).encode()), int(time.time())  # NOW may be minutes ago
    forged = await asyncio.to_thread(sender.deliver, joined(), "forged", "another token")
    stale = sender.sign(data, timestamp=str((now - 301) * 1000))
    future = sender.sign(data, timestamp=str((now + 400) * 1000))
    answers = [await post(sender, http, data, **headers) for headers in (stale, future, {"signature": "0" * 40})]
    bare = await http.post(sender.url, json={"data": data})
    assert [forged.status, bare.status_code, *(each.status_code for each in answers)] == [403] * 5
    assert await stored(database) == []


async def test_truncated_calls_are_unreadable(
    sender: WebhookSender, http: httpx2.AsyncClient, database: Database
) -> None:
    """The body, or what was signed."""
    data = sender.encode(json.dumps(joined()).encode())
    body = json.dumps({"data": data}).encode()
    answers = [await http.post(sender.url, content=body[:size], headers=sender.sign(data)) for size in (0, 1, 9, 50)]
    assert {answer.status_code for answer in answers} == {400}
    for cut in (sender.encode(b'{"event": "meeting.end", "payl'), "x", "!!", sender.encode(b"")):
        assert (await post(sender, http, cut)).status_code in (400, 403)
    assert await stored(database) == []


async def test_too_large_is_refused_before_it_is_read(sender: WebhookSender, http: httpx2.AsyncClient) -> None:
    """Announced, and not announced."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 65536

    assert (await http.post(sender.url, content=b"x" * (webhooks.LARGEST_BODY + 1))).status_code == 413
    try:
        answer = await http.post(sender.url, content=endless())
    except httpx2.NetworkError:  # it hung up on us, in the middle of it
        return
    assert answer.status_code == 413


async def test_one_that_trickles_is_given_up(sender: WebhookSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody announces a body and sends the first byte of it."""
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection(HOST, int(sender.url.split(":")[2].partition("/")[0]))
    writer.write(b"POST /tencent HTTP/1.1\r\nHost: here\r\nContent-Length: 50\r\n\r\n{")
    assert (await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_what_cannot_be_stored_is_not_acknowledged(sender: WebhookSender, database: Database) -> None:
    """And is taken when it comes again."""
    event = joined()
    with database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE report RENAME TO away"))
    assert (await asyncio.to_thread(sender.deliver, event)).status in (500, 503)
    with database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO report"))
    assert (await asyncio.to_thread(sender.deliver, event)).status == 200
    assert len(await stored(database)) == 1


async def test_a_change_that_was_overtaken_is_not_told(sender: WebhookSender, database: Database) -> None:
    """Delivery has no order: the later change wins, whichever comes first."""

    def moved(at: int) -> dict[str, Any]:
        item = {"operate_time": at, "meeting_info": {"meeting_id": "77", "start_time": at, "end_time": at + 1}}
        return {"event": "meeting.updated", "payload": [item]}

    for at in (2000, 1000, 3000):
        await asyncio.to_thread(sender.deliver, moved(at))
    assert await stored(database) == [("changed", "tencent/77/", 1), ("changed", "tencent/77/", 2)]


async def test_late_and_unordered_entries_all_count(
    sender: WebhookSender, database: Database, webhook_events: WebhookEvents
) -> None:
    """The first entry is the earliest that happened, not the first that arrived."""
    for at in (NOW, NOW - 500, NOW - 100):
        await asyncio.to_thread(sender.deliver, joined(person=f"m{at}", at=at * 1000))
    assert await webhook_events.first_entry(key("77"), None, None) == (NOW - 500) * 1000
    assert await webhook_events.first_entry(key("77"), (NOW - 200) * 1000, None) == (NOW - 100) * 1000
    assert await webhook_events.first_entry(key("77"), None, (NOW - 500) * 1000) is None
    assert await webhook_events.first_entry(key("77", "other"), None, None) is None


async def test_a_network_at_its_worst(sender: WebhookSender, database: Database) -> None:
    """Some are lost, doubled, late, swapped, forged: what arrived genuine is stored once, in whole sequences."""
    sender.mischief = Mischief(
        lost=0.1, doubled=0.2, late=0.2, swapped=0.2, forged=0.2, late_seconds=0.2, dice=random.Random(7)
    )
    cloud = Cloud(sender)
    for number in range(30):
        meeting = cloud.create(f"user{number}", NOW, NOW + HOUR)
        cloud.leave(meeting, cloud.enter(meeting, f"user{number}"))
    assert await asyncio.to_thread(sender.drain)
    answered = Counter((outcome.what == "forged", outcome.status) for outcome in sender.outcomes)
    assert set(answered) == {(True, 403), (False, 200)}
    kinds = Counter(kind for kind, _, _ in await stored(database))
    genuine = {json.dumps(each.event, sort_keys=True) for each in sender.outcomes if each.what != "forged"}
    told = Counter(json.loads(each)["event"] for each in genuine)
    assert kinds["entered"] + kinds["left"] == sum(
        told[f"meeting.participant-{name}"] for name in ("joined", "left", "status-update")
    )
    sequences: dict[str, list[int]] = {}
    for _, entity, seq in await stored(database):
        sequences.setdefault(entity, []).append(seq)
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in sequences.values())


async def test_two_replicas_store_one_event_once(database: Database, url: str, webhook_events: WebhookEvents) -> None:
    """The same event at both at the same time, and others of the same meeting."""
    other = Database(url)
    replicas = [webhook_events, WebhookEvents(other, webhook_events._clock, lambda: None)]
    checks = [joined(person=f"m{number % 10}", at=NOW * 1000 + number % 10) for number in range(40)]
    work = [
        replicas[number % 2].record(callbacks.read(json.dumps(event).encode(), Accounts()))
        for number, event in enumerate(checks)
    ]
    await asyncio.gather(*work)
    assert [seq for _, _, seq in await stored(database)] == list(range(1, 11))
    other.close()
