"""Tencent Meeting's calls: proves, stores, and only then acknowledges."""

import json

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from services.meetings import webhooks
from services.meetings.tencent import callbacks
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.callbacks import Checker, Proof
from services.meetings.webhook_events import WebhookEvents
from services.meetings.webhooks import WebhookUnreadableError

PATH = "/tencent"
ACKNOWLEDGED = "successfully received callback"
LARGEST_CHECK = 4096


class WebhookReceiver:
    """Answers 200 to what is stored, or of no concern; to all else as webhooks.app says."""

    def __init__(self, checker: Checker, aes_key: str, accounts: Accounts, webhook_events: WebhookEvents) -> None:
        self._checker = checker
        self._aes_key = aes_key
        self._accounts = accounts
        self._webhook_events = webhook_events

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self.verify, methods=["GET"]), Route(PATH, self.receive, methods=["POST"])]

    async def verify(self, request: Request) -> Response:
        """The check of the address, also sent as a heartbeat: the plain text back, and nothing else."""
        # "+" has a meaning in base64 and another in a query, and not every sender escapes it
        check = request.query_params.get("check_str", "").replace(" ", "+")
        if not 0 < len(check) <= LARGEST_CHECK:
            raise WebhookUnreadableError("check_str is missing or too long")
        self._checker.check(_proof(request), check)
        return Response(callbacks.decode(check, self._aes_key), media_type="text/plain")

    async def receive(self, request: Request) -> Response:
        data = read_data(await webhooks.read_body(request))
        proof = _proof(request)
        self._checker.check(proof, data)
        if not self._checker.settled_before(proof):
            plain = callbacks.decode(data, self._aes_key)
            await self._webhook_events.record(callbacks.read(plain, self._accounts))
            self._checker.settle(proof)
        return PlainTextResponse(ACKNOWLEDGED)


def read_data(body: bytes) -> str:
    """`data` of the envelope, exactly as it was sent. Raises UnreadableError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookUnreadableError("the body is no JSON") from error
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, str) or not data:
        raise WebhookUnreadableError("the body has no data")
    return data


def _proof(request: Request) -> Proof:
    timestamp, nonce, signature = (request.headers.get(name, "") for name in ("timestamp", "nonce", "signature"))
    return Proof(timestamp, nonce, signature)
