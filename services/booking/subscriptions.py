"""What booking receives from NATS: the policy asks for stored requests, to try a draft on them."""

import logging

import sqlalchemy as sa
from faststream.nats import NatsBroker
from google.protobuf.message import DecodeError
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import export_pb2 as export
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1.policy_service_pb2 import DecideRequest

from services import bus
from services.booking import life, store
from services.clock import from_timestamp, to_timestamp
from services.database import Database
from services.settings import Settings

log = logging.getLogger(__name__)

SUBJECT = QUEUE = "booking.requests"
PAGE = 500


def create_broker(settings: Settings, database: Database) -> NatsBroker:
    """A broker that answers; start and stop it."""
    broker = bus.create_broker(settings, "booking")

    @broker.subscriber(SUBJECT, queue=QUEUE, decoder=bus.undecoded, title=SUBJECT)
    async def on_requests(body: bytes) -> bytes:
        try:
            asked = export.ExportRequestsRequest.FromString(body)
        except DecodeError:
            log.error("%s: a message of %d bytes cannot be read", SUBJECT, len(body))
            return b""
        page = await database.read(lambda connection: read_requests(connection, asked))
        return page.SerializeToString()

    return broker


def read_requests(connection: Connection, asked: export.ExportRequestsRequest) -> export.ExportRequestsResponse:
    """One page; the token is the key of its last row."""
    d, r = store.DECISION.c, store.RESERVATION.c
    wanted = (d.action == "CREATE") & (d.time >= from_timestamp(asked.since))
    query = sa.select(d.time, d.decision_id, d.request, d.decision, r.state, r.cancel_time, r.enter_time)
    query = query.outerjoin(store.RESERVATION, r.reservation_id == d.reservation_id).where(wanted)
    if asked.page_token:
        time, _, decision_id = asked.page_token.partition(":")
        query = query.where(sa.tuple_(d.time, d.decision_id) > (int(time), decision_id))
    rows = connection.execute(query.order_by(d.time, d.decision_id).limit(PAGE)).mappings().all()
    page = export.ExportRequestsResponse(requests=[to_stored(row) for row in rows])
    if len(rows) == PAGE:
        page.next_page_token = f"{rows[-1]['time']}:{rows[-1]['decision_id']}"
    if not asked.page_token:
        count = sa.select(sa.func.count()).select_from(store.DECISION).where(wanted)
        page.total = connection.scalar(count) or 0
    return page


def to_stored(row: sa.RowMapping) -> export.StoredRequest:
    decision = policy.Decision.FromString(bytes(row["decision"]))
    stored = export.StoredRequest(
        question=DecideRequest.FromString(bytes(row["request"])),
        effect=decision.effect,
        rule_ids=[rule.rule_id for rule in decision.rules],
    )
    if row["state"]:
        stored.state = life.to_proto(row["state"])
    for name in ("cancel_time", "enter_time"):
        if row[name] is not None:
            getattr(stored, name).CopyFrom(to_timestamp(row[name]))
    return stored
