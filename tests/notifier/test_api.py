"""What callers may ask of the notifier, over real gRPC: roles, filters, pages, faults that name their field."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, cast
from zoneinfo import ZoneInfo

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from yunhui.notifier.v1 import delivery_pb2 as pb
from yunhui.notifier.v1 import notifier_service_pb2 as api
from yunhui.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub, add_NotifierServiceServicer_to_server

from services.notifier.addresses import AddressGuard
from services.notifier.api import NEEDED, SERVICE, NotifierService
from services.notifier.channels import WEBHOOK, SendResult, SendVerdict
from services.notifier.deliveries import Deliveries
from services.notifier.ingest import IncomingEvent, Ingester
from services.notifier.messages import Composer
from services.notifier.planner import Planner, Timetable
from services.notifier.webhooks import matches
from services.platform.data.database import Database
from services.platform.serving import rpc
from services.platform.serving.identity import Principal, Verifier
from tests.callers import roles_with
from tests.notifier import samples
from tests.notifier.conftest import HandClock
from tests.notifier.new_deliveries import SENT, claim_one, new_delivery, queue, rows, settle


class NamedTokens(Verifier):
    """`role:account`."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        role, _, account_id = token.partition(":")
        return Principal(account_id, frozenset({role}))


@dataclass
class Notifier:
    """One replica without the bus and without senders. `address` is that of a host which every name leads to."""

    database: Database
    clock: HandClock
    stub: Any
    deliveries: Deliveries
    ingester: Ingester
    buried: list[str]

    async def ask(self, who: str, method: str, request: Message) -> Any:
        metadata = (("authorization", f"Bearer {who if ':' in who else who + ':somebody'}"),)
        return await getattr(self.stub, method)(request, metadata=metadata)

    async def refused(self, who: str, method: str, request: Message) -> tuple[str, str]:
        """The code, and what it is about: the field, or the reason."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(who, method, request)
        for detail in rpc_status.from_call(cast(grpc.Call, caught.value)).details:
            bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
            if detail.Unpack(bad):
                return caught.value.code().name, str(bad.field_violations[0].field)
            if detail.Unpack(info):
                return caught.value.code().name, str(info.reason)
        return caught.value.code().name, ""

    async def receive(self, *incoming_events: IncomingEvent, late: tuple[int, ...] = ()) -> Any:
        async def bury(subject: str, payload: bytes, headers: dict[str, str]) -> None:
            self.buried.append(headers["dead-reason"])

        return await self.ingester.ingest(incoming_events, bury, late)


@pytest.fixture
async def notifier(database: Database, clock: HandClock) -> AsyncIterator[Notifier]:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.7"] if host.startswith("intern") else ["93.184.215.14"]

    deliveries = Deliveries(database, clock, 1000)
    composer = Composer(samples.LETTERHEAD)
    planner = Planner(database, clock, composer, Timetable(0, None, ZoneInfo("Asia/Shanghai")))
    ingester = Ingester(database, clock, composer, planner, lambda: None)
    guard = AddressGuard(development=False, resolve=resolve)
    service = NotifierService(database, clock, deliveries, ingester, [], guard)
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED),
        {SERVICE: lambda bare: add_NotifierServiceServicer_to_server(service, bare)},
        with_reflection=False,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Notifier(database, clock, NotifierServiceStub(channel), deliveries, ingester, [])
    await server.stop()


def incoming(event_type: str, event_id: str, sequence: int = 0, body: Message | None = None) -> IncomingEvent:
    payload = samples.payload(body or samples.SAMPLES[event_type]())
    return IncomingEvent(f"yunhui.booking.{event_type}", samples.headers(event_type, event_id), payload, sequence)


REQUESTS: dict[str, Message] = {
    "ListDeliveries": api.ListDeliveriesRequest(),
    "GetDelivery": api.GetDeliveryRequest(delivery_id="x"),
    "ResendDelivery": api.ResendDeliveryRequest(delivery_id="x"),
    "GetPreferences": api.GetPreferencesRequest(),
    "UpdatePreferences": api.UpdatePreferencesRequest(),
    "CreateWebhook": api.CreateWebhookRequest(url="https://example.org/"),
    "ListWebhooks": api.ListWebhooksRequest(),
    "UpdateWebhook": api.UpdateWebhookRequest(webhook_id="x"),
    "DeleteWebhook": api.DeleteWebhookRequest(webhook_id="x"),
    "ListDeadEvents": api.ListDeadEventsRequest(),
    "GetDeadEvent": api.GetDeadEventRequest(dead_event_id="x"),
    "RetryDeadEvent": api.RetryDeadEventRequest(dead_event_id="x"),
    "DropDeadEvent": api.DropDeadEventRequest(dead_event_id="x", note="n"),
}


async def test_each_method_is_for_its_roles_only(notifier: Notifier) -> None:
    """Every cell; a new method without a row here fails."""
    assert {f"/{SERVICE}/{method}" for method in REQUESTS} == set(NEEDED)
    for method, request in REQUESTS.items():
        for role in ("booker", "support", "admin", "service"):
            if role in roles_with(NEEDED[f"/{SERVICE}/{method}"]):
                continue
            assert await notifier.refused(role, method, request) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


async def test_deliveries_are_filtered_and_paged_by_key(notifier: Notifier) -> None:
    """Newest first; what comes meanwhile moves no page."""
    for number in range(5):
        about = {"account_id": f"account-{number % 2}", "reservation_id": f"r-{number}", "kind": f"kind-{number}"}
        await queue(notifier.database, 1, new_delivery(f"event-{number}", **about))
    first = await notifier.ask("admin", "ListDeliveries", api.ListDeliveriesRequest(page_size=3))
    await queue(notifier.database, 1, new_delivery("event-9"))
    token = first.next_page_token
    second = await notifier.ask("admin", "ListDeliveries", api.ListDeliveriesRequest(page_size=3, page_token=token))
    listed = [each.event_id for each in [*first.deliveries, *second.deliveries]]
    assert sorted(listed) == [f"event-{number}" for number in range(5)]
    assert second.next_page_token == ""
    claim = await claim_one(notifier.deliveries)
    assert claim is not None
    await settle(notifier.deliveries, claim, SENT, None)
    for wanted, number in (
        (api.ListDeliveriesRequest(account_id="account-1"), 1 + 2),
        (api.ListDeliveriesRequest(reservation_id="r-3"), 1),
        (api.ListDeliveriesRequest(kind="kind-2"), 1),
        (api.ListDeliveriesRequest(states=[pb.DELIVERY_STATE_SENT]), 1),
        (api.ListDeliveriesRequest(channel=pb.CHANNEL_WEBHOOK), 0),
    ):
        assert len((await notifier.ask("support", "ListDeliveries", wanted)).deliveries) == number


async def test_a_booker_sees_the_mails_to_oneself_and_no_others(notifier: Notifier) -> None:
    """Of one event: the booker's mail, support's, a webhook's; and another's mail about another reservation."""
    body = samples.SAMPLES["reservation.pending_approval"]()
    asked = incoming("reservation.pending_approval", "evt-1", 1, body)
    await notifier.ask("admin", "CreateWebhook", api.CreateWebhookRequest(url="https://example.org/"))
    await notifier.receive(asked)
    account, reservation = body.reservation.organizer.account_id, body.reservation.reservation_id
    await queue(notifier.database, 1, new_delivery("evt-2", account_id="eve", addressee="eve", reservation_id="rsv-2"))
    about = api.ListDeliveriesRequest(reservation_id=reservation)
    everything = await notifier.ask("support", "ListDeliveries", about)
    assert {each.kind for each in everything.deliveries} == {
        *("pending", "escalation", "yunhui.booking.reservation.pending_approval"),
    }
    while claim := await claim_one(notifier.deliveries):
        await settle(
            notifier.deliveries, claim, SendResult(SendVerdict.PERMANENT, 550, "550 mx7.internal says no"), None
        )
    for request in (about, api.ListDeliveriesRequest(), api.ListDeliveriesRequest(account_id=account)):
        [own] = (await notifier.ask(f"booker:{account}", "ListDeliveries", request)).deliveries
        assert (own.kind, own.answer, own.reservation_id) == ("pending", "", reservation)
        assert "***@" in own.recipient
    assert (await notifier.ask("booker:eve", "ListDeliveries", about)).deliveries == []
    refused = [
        await notifier.refused("booker:eve", "ListDeliveries", api.ListDeliveriesRequest(account_id=each))
        for each in (account, "nobody")
    ]
    assert refused == [("NOT_FOUND", "ACCOUNT_NOT_FOUND")] * 2


@pytest.mark.parametrize("event_type", sorted(samples.SAMPLES))
async def test_every_mail_is_somebodys(notifier: Notifier, event_type: str) -> None:
    """Whose it is follows from whom it is written to."""
    body = samples.SAMPLES[event_type]()
    await notifier.receive(incoming(event_type, "evt-1", 1, body))
    whose = {samples.BOOKER: "account-1", samples.COLLEAGUE: "account-2"}
    for row in await rows(notifier.database):
        assert row.addressee == whose.get(row.recipient, ""), row.kind
        assert row.account_id == (row.addressee or "account-1"), row.kind


async def test_faults_name_their_field(notifier: Notifier) -> None:
    """And the way out."""
    for method, request, field in (
        ("ListDeliveries", api.ListDeliveriesRequest(page_size=501), "page_size"),
        ("ListDeliveries", api.ListDeliveriesRequest(page_token="a b"), "page_token"),
        ("ListDeliveries", api.ListDeliveriesRequest(states=cast(Any, [9])), "states"),
        ("ListDeliveries", api.ListDeliveriesRequest(channel=cast(Any, 9)), "channel"),
        ("GetDelivery", api.GetDeliveryRequest(), "delivery_id"),
        ("ListDeadEvents", api.ListDeadEventsRequest(page_token="7"), "page_token"),
        ("DropDeadEvent", api.DropDeadEventRequest(dead_event_id="x"), "note"),
        ("CreateWebhook", api.CreateWebhookRequest(url="http://example.org"), "url"),
        ("CreateWebhook", api.CreateWebhookRequest(url="https://intern.example.org"), "url"),
        ("CreateWebhook", api.CreateWebhookRequest(url="https://example.org", filter="yunhui.>"), "filter"),
        ("CreateWebhook", api.CreateWebhookRequest(url="https://example.org", description="x" * 201), "description"),
        ("GetPreferences", api.GetPreferencesRequest(account_id="x" * 129), "account_id"),
    ):
        assert await notifier.refused("admin", method, request) == ("INVALID_ARGUMENT", field)


async def test_support_sees_addresses_masked(notifier: Notifier) -> None:
    """In the answers of mail servers too."""
    await queue(notifier.database, 1, new_delivery())
    claim = await claim_one(notifier.deliveries)
    assert claim is not None
    told = SendResult(SendVerdict.PERMANENT, 550, "550 <booker@example.org> is unknown")
    await settle(notifier.deliveries, claim, told, None)
    request = api.GetDeliveryRequest(delivery_id=claim.delivery_id)
    support, admin = [await notifier.ask(role, "GetDelivery", request) for role in ("support", "admin")]
    assert support.delivery.recipient == "b***@example.org"
    assert support.attempts[0].answer == support.delivery.answer == "550 <b***@example.org> is unknown"
    assert (admin.delivery.recipient, admin.attempts[0].answer) == ("booker@example.org", told.text)
    resent = await notifier.ask("support", "ResendDelivery", api.ResendDeliveryRequest(delivery_id=claim.delivery_id))
    assert resent.delivery.state == pb.DELIVERY_STATE_QUEUED


async def test_optional_notices_can_be_switched_off_and_mandatory_ones_cannot(notifier: Notifier) -> None:
    """Trying says so, and changes nothing."""

    def wish(**notices: bool) -> api.UpdatePreferencesRequest:
        wishes = [api.NoticePreference(notice=name, enabled=enabled) for name, enabled in notices.items()]
        return api.UpdatePreferencesRequest(notices=wishes)

    me = "booker:account-1"
    for mandatory in ("release", "violation", "suspension", "escalation", "cancellation"):
        refused = await notifier.refused(me, "UpdatePreferences", wish(confirmation=False, **{mandatory: False}))
        assert refused == ("INVALID_ARGUMENT", "notices[1].enabled")
    assert await notifier.refused(me, "UpdatePreferences", wish(spam=False)) == (
        "INVALID_ARGUMENT",
        "notices[0].notice",
    )
    await notifier.ask(me, "UpdatePreferences", wish(confirmation=False, own_cancellation=False, release=True))
    answer = await notifier.ask(me, "GetPreferences", api.GetPreferencesRequest())
    assert [each.notice for each in answer.notices if not each.enabled] == ["confirmation", "own_cancellation"]
    await notifier.ask(me, "UpdatePreferences", wish(confirmation=True))
    answer = await notifier.ask("admin", "GetPreferences", api.GetPreferencesRequest(account_id="account-1"))
    assert [each.notice for each in answer.notices if not each.enabled] == ["own_cancellation"]
    theirs = api.GetPreferencesRequest(account_id="account-2")
    assert await notifier.refused(me, "GetPreferences", theirs) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")


async def test_preferences_hold_and_never_for_mandatory_notices(notifier: Notifier) -> None:
    """One's own cancellation need not be told; what others do must be."""
    off = [api.NoticePreference(notice=each) for each in ("confirmation", "own_cancellation")]
    await notifier.ask("booker:account-1", "UpdatePreferences", api.UpdatePreferencesRequest(notices=off))
    by_support = samples.cancelled()
    by_support.actor = "support"
    await notifier.receive(
        incoming("reservation.confirmed", "event-1", 1),
        incoming("reservation.cancelled", "event-2", 2),
        incoming("reservation.cancelled", "event-3", 3, by_support),
        incoming("reservation.released", "event-4", 4),
    )
    assert [(row.event_id, row.kind) for row in await rows(notifier.database)] == [
        ("event-3", "cancellation"),
        ("event-4", "release"),
    ]


async def test_an_event_takes_effect_once_and_in_order(notifier: Notifier) -> None:
    """Within a batch, across batches, and after it was waited for long enough."""

    def numbered(number: int) -> IncomingEvent:
        plain = incoming("reservation.confirmed", f"event-{number}", number)
        order = {"ce-subject": "reservation-1", "ce-sequence": str(number)}
        return replace(plain, headers={**plain.headers, **order})

    outcome = await notifier.receive(numbered(1), numbered(1), numbered(3))
    assert (outcome.postponed, len(await rows(notifier.database))) == ({3}, 1)
    assert (await notifier.receive(numbered(3), numbered(2), numbered(1))).postponed == {3}
    assert (await notifier.receive(numbered(3))).postponed == set()
    assert (await notifier.receive(numbered(9))).postponed == {9}
    assert (await notifier.receive(numbered(9), late=(9,))).postponed == set()
    assert [row.event_id for row in await rows(notifier.database)] == ["event-1", "event-2", "event-3", "event-9"]


async def test_dead_events_are_retried_and_dropped_on_the_record(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with one of them, the others come through."""
    broken = IncomingEvent(
        "yunhui.booking.reservation.confirmed", samples.headers("reservation.confirmed", "bad"), b"{", 1
    )

    def fail(*_: Any) -> list[Any]:
        raise KeyError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Composer, "compose", fail)
        unwritable = incoming("reservation.confirmed", "unwritable", 2)
        outcome = await notifier.receive(broken, unwritable)
    assert (outcome.dead, await rows(notifier.database)) == ({1, 2}, [])
    await notifier.receive(broken, unwritable, incoming("reservation.confirmed", "good", 3))
    assert [row.event_id for row in await rows(notifier.database)] == ["good"]
    assert notifier.buried == [
        "unreadable: the payload is no ReservationEvent",
        "no notice can be made of it: KeyError",
    ]
    listed = await notifier.ask("admin", "ListDeadEvents", api.ListDeadEventsRequest(page_size=1))
    rest = api.ListDeadEventsRequest(page_token=listed.next_page_token)
    listed = [*listed.dead_events, *(await notifier.ask("admin", "ListDeadEvents", rest)).dead_events]
    assert sorted(each.dead_event_id for each in listed) == ["bad", "unwritable"]
    retry = api.RetryDeadEventRequest(dead_event_id="unwritable")
    done = await notifier.ask("admin:anna", "RetryDeadEvent", retry)
    assert (done.dead_event.state, done.dead_event.actor) == (api.DEAD_EVENT_STATE_RETRIED, "anna")
    assert [row.event_id for row in await rows(notifier.database)] == ["good", "unwritable"]
    settled = ("FAILED_PRECONDITION", "DEAD_EVENT_SETTLED")
    assert await notifier.refused("admin", "RetryDeadEvent", retry) == settled
    still = api.RetryDeadEventRequest(dead_event_id="bad")
    assert await notifier.refused("admin", "RetryDeadEvent", still) == ("FAILED_PRECONDITION", "STILL_DEAD")
    drop = api.DropDeadEventRequest(dead_event_id="bad", note="a test")
    dropped = (await notifier.ask("admin:anna", "DropDeadEvent", drop)).dead_event
    assert (dropped.state, dropped.actor, dropped.note) == (api.DEAD_EVENT_STATE_DROPPED, "anna", "a test")
    assert await notifier.refused("admin", "DropDeadEvent", drop) == settled
    shown = await notifier.ask("admin", "GetDeadEvent", api.GetDeadEventRequest(dead_event_id="bad"))
    assert (shown.payload, shown.headers["ce-id"]) == (b"{", "bad")


async def test_what_the_database_refuses_keeps_nobody_out(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is buried like the rest of the dead."""
    from services.notifier import ingest

    plain = ingest._new_deliveries

    def new_deliveries(opted_out: Any, listening: Any, prepared: Any) -> Any:
        if prepared.entry.event_id == "evil":
            raise ValueError("no row can be made of it")
        return plain(opted_out, listening, prepared)

    monkeypatch.setattr(ingest, "_new_deliveries", new_deliveries)
    batch = [incoming("reservation.confirmed", name, number) for number, name in enumerate(("one", "evil", "two"), 1)]
    outcome = await notifier.receive(*batch)
    assert (outcome.dead, outcome.postponed) == ({2}, set())
    assert [row.event_id for row in await rows(notifier.database)] == ["one", "two"]


async def test_a_dead_letter_that_cannot_be_published_comes_again(notifier: Notifier) -> None:
    """Nothing is noted before the stream has it."""

    async def bury(*_: Any) -> None:
        raise ConnectionError

    broken = IncomingEvent("yunhui.booking.reservation.confirmed", {}, b"", 1)
    outcome = await notifier.ingester.ingest([broken], bury)
    assert (outcome.postponed, outcome.dead) == ({1}, set())
    assert (await notifier.receive(broken)).dead == {1}


async def test_webhooks_from_first_to_last(notifier: Notifier) -> None:
    """The secret is shown once; the filter decides; what waits for a removed one fails."""
    create = api.CreateWebhookRequest(url="https://example.org/h", filter="yunhui.booking.reservation.confirmed")
    made = await notifier.ask("admin", "CreateWebhook", create)
    assert made.secret.startswith("whsec_")
    webhook_id = made.webhook.webhook_id
    listed = (await notifier.ask("admin", "ListWebhooks", api.ListWebhooksRequest())).webhooks
    assert [each.webhook_id for each in listed] == [webhook_id]
    assert "whsec_" not in str(listed)
    await notifier.receive(
        incoming("reservation.confirmed", "event-1", 1), incoming("reservation.released", "event-2", 2)
    )
    found = [row for row in await rows(notifier.database) if row.channel == WEBHOOK]
    assert [(row.event_id, row.recipient, row.message_id) for row in found] == [("event-1", webhook_id, "event-1")]
    change = api.UpdateWebhookRequest(webhook_id=webhook_id, filter="yunhui.booking.>", enabled=False)
    changed = (await notifier.ask("admin", "UpdateWebhook", change)).webhook
    assert (changed.filter, changed.enabled, changed.url) == ("yunhui.booking.>", False, "https://example.org/h")
    assert changed.reason
    await notifier.ask("admin", "UpdateWebhook", api.UpdateWebhookRequest(webhook_id=webhook_id, enabled=True))
    await notifier.receive(incoming("reservation.released", "event-3", 3))
    await notifier.ask("admin", "DeleteWebhook", api.DeleteWebhookRequest(webhook_id=webhook_id))
    found = [row for row in await rows(notifier.database) if row.channel == WEBHOOK]
    assert [(row.state, bool(row.answer)) for row in found] == [("failed", True)] * 2
    gone = api.DeleteWebhookRequest(webhook_id=webhook_id)
    assert await notifier.refused("admin", "DeleteWebhook", gone) == ("NOT_FOUND", "WEBHOOK_NOT_FOUND")


@pytest.mark.parametrize(
    ("subjects", "subject", "wanted"),
    [
        ("yunhui.booking.>", "yunhui.booking.reservation.confirmed", True),
        ("yunhui.booking.>", "yunhui.booking", False),
        ("yunhui.booking.*.confirmed", "yunhui.booking.reservation.confirmed", True),
        ("yunhui.booking.*", "yunhui.booking.reservation.confirmed", False),
        ("yunhui.booking.reservation.confirmed", "yunhui.booking.reservation.released", False),
        ("yunhui.booking.reservation.confirmed.*", "yunhui.booking.reservation.confirmed", False),
    ],
)
def test_filters_match_as_nats_does(subjects: str, subject: str, wanted: bool) -> None:
    """Who knows one knows the other."""
    assert matches(subjects, subject) is wanted
