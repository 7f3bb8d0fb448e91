"""All that the notifier does for callers, one method an RPC: check what came in, hand it on, answer."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.notifier.v1 import delivery_pb2 as pb
from yunhui.notifier.v1 import notifier_service_pb2 as api
from yunhui.notifier.v1 import notifier_service_pb2_grpc as api_grpc

from services.notifier import dead_letters, deliveries, preferences, webhooks
from services.notifier.addresses import AddressGuard, RefusedAddressError
from services.notifier.channels import MAIL
from services.notifier.deliveries import Deliveries, DeliveryFilter
from services.notifier.ingest import Ingester
from services.notifier.models import DeadEventState, Webhook
from services.notifier.sender import Sender
from services.platform.clock import Clock
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.serving import errors, pages, permissions, rpc
from services.platform.serving.identity import Principal
from services.platform.text.messages import message

SERVICE = "yunhui.notifier.v1.NotifierService"
NEEDED = permissions.of(SERVICE)

MAX_NOTE = 500
MAX_DESCRIPTION = 200
MAX_WEBHOOKS = 100
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_FILTER = re.compile(r"yunhui\.booking(\.([a-z_]+|\*)){0,4}(\.>)?")
_SEES_ALL, _MANAGES = "notices.view_all", "notices.manage"
_ADDRESS = re.compile(r"([^\s<>@])[^\s<>@]*(@[^\s<>@]+)")


class NotifierService(api_grpc.NotifierServiceServicer):
    def __init__(
        self,
        database: Database,
        clock: Clock,
        log: Deliveries,
        ingester: Ingester,
        senders: list[Sender],
        guard: AddressGuard,
    ) -> None:
        self._database = database
        self._clock = clock
        self._log = log
        self._ingester = ingester
        self._senders = senders
        self._guard = guard

    async def ListDeliveries(
        self, request: api.ListDeliveriesRequest, context: rpc.Context
    ) -> api.ListDeliveriesResponse:
        size, caller = pages.size(request.page_size), rpc.principal()
        sees_all = caller.everywhere(_SEES_ALL)
        wanted = DeliveryFilter(
            addressee="" if sees_all else caller.account_id,
            reservation_id=request.reservation_id,
            account_id=request.account_id if sees_all else own_account(caller, request.account_id),
            kind=request.kind,
            channel=_enum(pb.Channel, "channel", request.channel),
            states=[_enum(pb.DeliveryState, "states", state) for state in request.states],
            before_key=optional_id("page_token", request.page_token),
            limit=size + 1,
        )
        rows = await self._log.list(wanted)
        more = rows[size - 1].delivery_id if len(rows) > size else ""
        return api.ListDeliveriesResponse(deliveries=[shown(row) for row in rows[:size]], next_page_token=more)

    async def GetDelivery(self, request: api.GetDeliveryRequest, context: rpc.Context) -> api.GetDeliveryResponse:
        row, attempts = await self._log.get(required_id("delivery_id", request.delivery_id))
        told = [deliveries.to_attempt(each) for each in attempts]
        for attempt in told:
            attempt.answer = masked(attempt.answer)
        return api.GetDeliveryResponse(delivery=shown(row), attempts=told)

    async def ResendDelivery(
        self, request: api.ResendDeliveryRequest, context: rpc.Context
    ) -> api.ResendDeliveryResponse:
        row = await self._log.resend(required_id("delivery_id", request.delivery_id), audit.caller())
        for sender in self._senders:
            sender.wake()
        return api.ResendDeliveryResponse(delivery=shown(row))

    async def GetPreferences(
        self, request: api.GetPreferencesRequest, context: rpc.Context
    ) -> api.GetPreferencesResponse:
        account_id = own_account(rpc.principal(), request.account_id)
        off = await self._database.read(lambda c: preferences.switched_off(c, account_id))
        return api.GetPreferencesResponse(account_id=account_id, notices=all_notices(off))

    async def UpdatePreferences(
        self, request: api.UpdatePreferencesRequest, context: rpc.Context
    ) -> api.UpdatePreferencesResponse:
        account_id = own_account(rpc.principal(), request.account_id)
        wishes = preferences.check([(each.notice, each.enabled) for each in request.notices])
        now = self._clock.now()

        def work(connection: Connection) -> set[str]:
            preferences.update(connection, account_id, wishes, now)
            return preferences.switched_off(connection, account_id)

        by = audit.caller()
        entry = (
            None if account_id == by.account_id else audit.AuditEntry(by, "preferences", "", account_id, detail=wishes)
        )
        off = await self._database.write(audit.audited(work, lambda _: entry))
        return api.UpdatePreferencesResponse(account_id=account_id, notices=all_notices(off))

    async def CreateWebhook(self, request: api.CreateWebhookRequest, context: rpc.Context) -> api.CreateWebhookResponse:
        url = await self._checked_url(request.url)
        subjects = checked_filter(request.filter or webhooks.EVERYTHING)
        description = checked_text("description", request.description, MAX_DESCRIPTION)
        now = self._clock.now()

        def work(connection: Connection) -> Webhook:
            if len(webhooks.read_all(connection)) >= MAX_WEBHOOKS:
                words = message("there are {limit} webhooks already: remove one first", limit=MAX_WEBHOOKS)
                raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_WEBHOOKS", words)
            return webhooks.create(connection, url, subjects, description, now)

        by = audit.caller()
        told = {"filter": subjects, "host": urlsplit(url).hostname}
        row = await self._database.write(audit.audited(work, lambda row: to_audit_entry(by, row.webhook_id, told)))
        return api.CreateWebhookResponse(webhook=webhooks.to_message(row), secret=row.secret)

    async def ListWebhooks(self, request: api.ListWebhooksRequest, context: rpc.Context) -> api.ListWebhooksResponse:
        rows = await self._database.read(webhooks.read_all)
        return api.ListWebhooksResponse(webhooks=[webhooks.to_message(row) for row in rows])

    async def UpdateWebhook(self, request: api.UpdateWebhookRequest, context: rpc.Context) -> api.UpdateWebhookResponse:
        webhook_id, now = required_id("webhook_id", request.webhook_id), self._clock.now()
        values: dict[str, object] = {}
        if request.HasField("url"):
            values["url"] = await self._checked_url(request.url)
        if request.HasField("filter"):
            values["filter"] = checked_filter(request.filter)
        if request.HasField("description"):
            values["description"] = checked_text("description", request.description, MAX_DESCRIPTION)
        if request.HasField("enabled"):
            values["enabled"] = request.enabled
        entry = to_audit_entry(audit.caller(), webhook_id, values)
        work = audit.audited(lambda c: webhooks.update(c, webhook_id, values, now), lambda _: entry)
        row = await self._database.write(work)
        self._log.announce()
        return api.UpdateWebhookResponse(webhook=webhooks.to_message(row))

    async def DeleteWebhook(self, request: api.DeleteWebhookRequest, context: rpc.Context) -> api.DeleteWebhookResponse:
        webhook_id, now = required_id("webhook_id", request.webhook_id), self._clock.now()
        entry = to_audit_entry(audit.caller(), webhook_id, {}, "deleted")
        await self._database.write(audit.audited(lambda c: webhooks.delete(c, webhook_id, now), lambda _: entry))
        self._log.announce()
        return api.DeleteWebhookResponse()

    async def ListDeadEvents(
        self, request: api.ListDeadEventsRequest, context: rpc.Context
    ) -> api.ListDeadEventsResponse:
        size, before = pages.size(request.page_size), pages.from_token(request.page_token)
        state = _enum(api.DeadEventState, "state", request.state) or DeadEventState.OPEN
        rows = await self._database.read(lambda c: dead_letters.list_page(c, state, before, size + 1))
        more = pages.to_token(rows[size - 1].create_time, rows[size - 1].dead_event_id) if len(rows) > size else ""
        shown_rows = [dead_letters.to_message(row) for row in rows[:size]]
        return api.ListDeadEventsResponse(dead_events=shown_rows, next_page_token=more)

    async def GetDeadEvent(self, request: api.GetDeadEventRequest, context: rpc.Context) -> api.GetDeadEventResponse:
        wanted = required_id("dead_event_id", request.dead_event_id)
        row = await self._database.read(lambda c: dead_letters.get(c, wanted))
        return api.GetDeadEventResponse(
            dead_event=dead_letters.to_message(row),
            headers=dead_letters.headers_of(row),
            payload=row.payload[: rpc.MAX_MESSAGE_BYTES],
        )

    async def RetryDeadEvent(
        self, request: api.RetryDeadEventRequest, context: rpc.Context
    ) -> api.RetryDeadEventResponse:
        wanted = required_id("dead_event_id", request.dead_event_id)
        row = await self._ingester.retry(wanted, rpc.principal().account_id, audit.caller())
        return api.RetryDeadEventResponse(dead_event=dead_letters.to_message(row))

    async def DropDeadEvent(self, request: api.DropDeadEventRequest, context: rpc.Context) -> api.DropDeadEventResponse:
        wanted = required_id("dead_event_id", request.dead_event_id)
        note = checked_text("note", request.note, MAX_NOTE)
        if not note:
            raise errors.invalid("note", message("is required: say why it is dropped"))
        row = await self._ingester.drop(wanted, rpc.principal().account_id, note, audit.caller())
        return api.DropDeadEventResponse(dead_event=dead_letters.to_message(row))

    async def _checked_url(self, url: str) -> str:
        try:
            await self._guard.pin(url)
        except RefusedAddressError as error:
            raise errors.invalid("url", error.words) from error
        return url


def to_audit_entry(
    by: audit.Caller, webhook_id: str, changes: Mapping[str, object], outcome: str = "done"
) -> audit.AuditEntry:
    """Of an address only the host is noted: the rest can be a secret."""
    told = {name: value for name, value in changes.items() if name not in ("url", "description")}
    if "url" in changes:
        told["host"] = urlsplit(str(changes["url"])).hostname
    return audit.AuditEntry(by, "webhook", webhook_id, "", outcome, told)


def own_account(caller: Principal, asked: str) -> str:
    """Whose preferences; the same answer for what is another's and what does not exist."""
    if asked in ("", caller.account_id) or caller.everywhere(_MANAGES):
        return checked_text("account_id", asked, 128) or caller.account_id
    raise errors.not_found("account", message("there is no such account"))


def all_notices(off: set[str]) -> list[api.NoticePreference]:
    optional = [api.NoticePreference(notice=each, enabled=each not in off) for each in preferences.OPTIONAL]
    return optional + [
        api.NoticePreference(notice=each, enabled=True, mandatory=True) for each in preferences.MANDATORY
    ]


def shown(row: sa.Row[tuple[object, ...]]) -> pb.Delivery:
    """Addresses only to whom they may be shown."""
    delivery = deliveries.to_message(row)
    delivery.answer = masked(delivery.answer) if rpc.principal().everywhere(_SEES_ALL) else ""
    if delivery.channel == pb.Channel.Value(f"CHANNEL_{MAIL.upper()}"):
        delivery.recipient = masked(delivery.recipient)
    return delivery


def masked(text: str) -> str:
    """booker@example.org becomes b***@example.org, unless whoever asks may see it."""
    return text if rpc.principal().everywhere(_MANAGES) else _ADDRESS.sub(r"\1***\2", text)


def required_id(field: str, value: str) -> str:
    if not value:
        raise errors.invalid(field, errors.REQUIRED)
    return optional_id(field, value)


def optional_id(field: str, value: str) -> str:
    if value and not _ID.fullmatch(value):
        raise errors.invalid(
            field,
            message("is not one of ours: 1 to 128 letters, digits, '.', '_' or '-'"),
        )
    return value


def checked_text(field: str, value: str, longest: int) -> str:
    text = value.strip()
    if len(text) > longest or not text.isprintable():
        raise errors.invalid(field, message("at most {longest} characters on one line", longest=longest))
    return text


def checked_filter(subjects: str) -> str:
    if not _FILTER.fullmatch(subjects):
        raise errors.invalid(
            "filter",
            message(
                "must be a subject such as yunhui.booking.reservation.* or {everything}", everything=webhooks.EVERYTHING
            ),
        )
    return subjects


def _enum(kind: "type[object]", field: str, number: int) -> str:
    """`queued` for DELIVERY_STATE_QUEUED; empty for the unspecified."""
    if not number:
        return ""
    try:
        name: str = kind.Name(number)  # type: ignore[attr-defined] # of every protobuf enum
    except ValueError:
        raise errors.invalid(field, message("{number} is not known", number=number)) from None
    return name.removeprefix(kind.Name(0).removesuffix("UNSPECIFIED")).lower()  # type: ignore[attr-defined]
