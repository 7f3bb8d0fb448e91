"""Webhooks: who registered, which events they get, and the signed call in the form of Standard Webhooks."""

import asyncio
import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx2
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select
from standardwebhooks.webhooks import Webhook as Signer
from yunhui.notifier.v1 import notifier_service_pb2 as api

from services.notifier import deliveries
from services.notifier.addresses import AddressGuard, RefusedAddressError
from services.notifier.channels import ANSWER_LENGTH, WEBHOOK, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import NewDelivery
from services.notifier.events import UnreadableEventError
from services.notifier.inbox import InboxEntry
from services.notifier.models import Webhook
from services.platform.clock import to_timestamp
from services.platform.data.database import Database, query
from services.platform.data.rows import open_session
from services.platform.ids import new_id
from services.platform.serving import errors
from services.platform.text.messages import message

EVERYTHING = "yunhui.booking.>"
SECRET_BYTES = 32
GONE = 410
AWAY_CODES = {429, 500, 502, 503, 504}
_LISTENING = "SELECT webhook_id, filter FROM webhook WHERE enabled"


def create(connection: Connection, url: str, subjects: str, description: str, now: int) -> Webhook:
    webhook = Webhook(
        webhook_id=new_id("whk"),
        url=url,
        filter=subjects,
        description=description,
        secret=new_secret(),
        create_time=now,
        update_time=now,
    )
    with open_session(connection) as session:
        session.add(webhook)
    return webhook


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def get(connection: Connection, webhook_id: str) -> Webhook:
    """Raises errors.not_found."""
    with open_session(connection) as session:
        return _get(session, webhook_id)


def _get(session: Session, webhook_id: str, *, to_change: bool = False) -> Webhook:
    """`to_change`: nobody else changes it meanwhile. What differs from what was read is all that is written."""
    webhook = session.get(Webhook, webhook_id, with_for_update=to_change)
    if webhook is None:
        raise errors.not_found("webhook", message("there is no such webhook"))
    return webhook


def read_all(connection: Connection) -> Sequence[Webhook]:
    with open_session(connection) as session:
        return session.exec(select(Webhook).order_by(col(Webhook.webhook_id))).all()


def update(connection: Connection, webhook_id: str, values: Mapping[str, Any], now: int) -> Webhook:
    """Raises errors.not_found. Switching off gives up what is queued."""
    with open_session(connection) as session:
        webhook = _get(session, webhook_id, to_change=True)
        if values.get("enabled"):
            webhook.reason, webhook.failing_since = "", 0
        if values.get("enabled") is False:
            _switch_off(connection, webhook, "switched off by an administrator", now)
        return webhook.sqlmodel_update({**values, "update_time": now})


def delete(connection: Connection, webhook_id: str, now: int) -> None:
    """Raises errors.not_found. What was sent stays in the log; what is queued fails."""
    with open_session(connection) as session:
        session.delete(_get(session, webhook_id, to_change=True))
    deliveries.fail_queued(connection, webhook_id, "the webhook was removed", now)


def _switch_off(connection: Connection, webhook: Webhook, reason: str, now: int) -> None:
    webhook.enabled, webhook.reason, webhook.update_time = False, reason, now
    deliveries.fail_queued(connection, webhook.webhook_id, f"the webhook is off: {reason}", now)


def body(headers: Mapping[str, str], payload: bytes) -> bytes:
    """What is posted: type, time and the event as it was published. Raises UnreadableEventError."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise UnreadableEventError("the payload is no JSON") from None
    content = {"type": headers.get("ce-type", ""), "timestamp": headers.get("ce-time", ""), "data": data}
    return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()


Listening = Sequence[tuple[str, str]]
"""Webhooks that are on, each with its filter."""


def listening(connection: Connection) -> Listening:
    """Asked for all events, so it is a statement."""
    return [(webhook_id, subjects) for webhook_id, subjects in query(connection, _LISTENING)]


def new_deliveries(
    webhooks: Listening, entry: InboxEntry, headers: Mapping[str, str], payload: bytes, about: tuple[str, str]
) -> list[NewDelivery]:
    """One for each webhook that wants to know."""
    wanting = [webhook_id for webhook_id, subjects in webhooks if matches(subjects, entry.subject)]
    if not wanting:
        return []
    call, event_id = body(headers, payload), entry.event_id
    return [NewDelivery(event_id, WEBHOOK, entry.subject, each, *about, event_id, call) for each in wanting]


def matches(subjects: str, subject: str) -> bool:
    """As NATS does: * stands for one part, > at the end for one or more."""
    wanted, parts = subjects.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(parts) > index
        if index >= len(parts) or part not in ("*", parts[index]):
            return False
    return len(wanted) == len(parts)


def to_message(row: Webhook) -> api.Webhook:
    message = api.Webhook(
        webhook_id=row.webhook_id,
        url=row.url,
        filter=row.filter,
        description=row.description,
        enabled=row.enabled,
        reason=row.reason,
        create_time=to_timestamp(row.create_time),
        update_time=to_timestamp(row.update_time),
    )
    if row.failing_since:
        message.failing_since.CopyFrom(to_timestamp(row.failing_since))
    return message


class WebhookCaller:
    """The channel: posts to the address that was checked, follows no redirect, reads little of the answer."""

    name = WEBHOOK
    shared = False

    def __init__(self, database: Database, guard: AddressGuard, timeout: float, patience_ms: int) -> None:
        self._database = database
        self._guard = guard
        self._patience_ms = patience_ms
        limits = httpx2.Limits(max_keepalive_connections=0)  # a kept connection would outlive the check of its address
        self._client = httpx2.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False, limits=limits)
        self._timeout = timeout

    async def send(self, claim: DeliveryClaim) -> SendResult:
        try:
            row = await self._database.read(lambda c: get(c, claim.recipient))
        except errors.RpcError as error:
            gone = error.code is grpc.StatusCode.NOT_FOUND
            return SendResult(SendVerdict.PERMANENT if gone else SendVerdict.TEMPORARY, 0, str(error))
        if not row.enabled:  # what was queued in the moment in which it was switched off
            return SendResult(SendVerdict.PERMANENT, 0, f"the webhook is off: {row.reason}")
        try:
            async with asyncio.timeout(self._timeout):  # the client's own is for each step
                return await self._post(row, claim)
        except RefusedAddressError as error:
            return SendResult(SendVerdict.AWAY, 0, f"not called: {error}")
        except (httpx2.HTTPError, TimeoutError, OSError) as error:
            return SendResult(SendVerdict.AWAY, 0, f"{type(error).__name__}: {error}")

    async def _post(self, row: Webhook, claim: DeliveryClaim) -> SendResult:
        address = await self._guard.pin(row.url)
        parts = urlsplit(row.url)
        url = httpx2.URL(row.url).copy_with(host=address)
        headers = {**signed(row.secret, claim.message_id, claim.content), "Host": parts.netloc}
        request = self._client.build_request(
            "POST", url, content=claim.content, headers=headers, extensions={"sni_hostname": parts.hostname}
        )
        answer = await self._client.send(request, stream=True)
        try:
            return classify(answer.status_code, await _beginning(answer))
        finally:
            await answer.aclose()

    def record(self, connection: Connection, claim: DeliveryClaim, answer: SendResult, now: int) -> None:
        """Since when nothing was accepted; switched off by 410, or when that has lasted too long."""
        with open_session(connection) as session:
            webhook = session.get(Webhook, claim.recipient, with_for_update=True)
            if webhook is None or not webhook.enabled:
                return
            webhook.failing_since = since = (
                0 if answer.verdict is SendVerdict.ACCEPTED else webhook.failing_since or now
            )
            if answer.code == GONE:
                _switch_off(connection, webhook, "the receiver answered 410 Gone", now)
            elif since and now - since >= self._patience_ms:
                reason = f"nothing was accepted for {self._patience_ms // 3_600_000} hours; last: {answer.text[:100]}"
                _switch_off(connection, webhook, reason, now)

    async def rest(self) -> None:
        """No connection is kept anyway."""


def signed(secret: str, message_id: str, content: bytes) -> dict[str, str]:
    now = datetime.now(UTC)  # real time: receivers compare it with theirs
    return {
        "content-type": "application/json",
        "user-agent": "yunhui",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(secret).sign(message_id, now, content.decode()),
    }


async def _beginning(answer: httpx2.Response) -> str:
    read = b""
    async for part in answer.aiter_raw():
        read += part
        if len(read) >= ANSWER_LENGTH:
            break
    return read[:ANSWER_LENGTH].decode("utf-8", "replace")


def classify(status: int, text: str) -> SendResult:
    told = f"{status} {text}".strip()
    if 200 <= status < 300:
        return SendResult(SendVerdict.ACCEPTED, status, told)
    if status == GONE:
        return SendResult(SendVerdict.PERMANENT, status, told)
    return SendResult(SendVerdict.AWAY if status in AWAY_CODES else SendVerdict.TEMPORARY, status, told)
