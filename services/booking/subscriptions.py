"""What booking receives from NATS: the policy asks for stored requests, the meetings gateway tells what happened."""

import asyncio
import logging
import re
from collections.abc import Sequence

import sqlalchemy as sa
from faststream.nats import NatsBroker
from google.protobuf import json_format
from nats.aio.msg import Msg
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import calendar_pb2 as calendar
from yunhui.booking.v1 import export_pb2 as export
from yunhui.meetings.v1.events_pb2 import MeetingEvent
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1.policy_service_pb2 import DecideRequest

from services.booking import calendar_feeds, meetings, models, states
from services.booking.attendance_checks import MeetingEvents
from services.contracts import subjects
from services.platform.clock import Clock, from_timestamp, to_timestamp
from services.platform.data.database import ConflictError, Database
from services.platform.messaging import request_reply
from services.platform.messaging.consumer import PullConsumer, Source
from services.platform.serving import errors
from services.platform.settings import Settings

log = logging.getLogger(__name__)

CALENDARS_AT_ONCE = 16
PAGE = 500
LATEST = 2**62
EVENTS = Source(
    "MEETINGS",
    "yunhui.meetings.>",
    "booking",
    16,
    "What happens to meetings: who entered, what was changed or cancelled.",
)
GRACEFUL_SECONDS = 10.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 300.0


def create_broker(settings: Settings, database: Database, clock: Clock) -> NatsBroker:
    """A broker that answers; start and stop it."""
    broker = request_reply.create_broker(settings, "booking")

    @request_reply.responder(broker, subjects.REQUESTS, export.ExportRequestsRequest)
    async def on_requests(asked: export.ExportRequestsRequest) -> export.ExportRequestsResponse:
        try:
            after = to_key(asked.page_token)
        except ValueError:
            log.error("%s: a page token that is not ours", subjects.REQUESTS)
            return export.ExportRequestsResponse()
        return await database.read(lambda connection: read_requests(connection, asked, after))

    @request_reply.responder(broker, subjects.CALENDAR, calendar.ReadCalendarRequest, at_once=CALENDARS_AT_ONCE)
    async def on_calendar(asked: calendar.ReadCalendarRequest) -> calendar.ReadCalendarResponse:
        return await read_calendar(database, clock, asked)

    return broker


async def read_calendar(
    database: Database, clock: Clock, asked: calendar.ReadCalendarRequest
) -> calendar.ReadCalendarResponse:
    """The same answer for whatever opens nothing."""
    try:
        found = await calendar_feeds.fetch(database, asked.secret_hash, clock.now())
    except (errors.RpcError, ConflictError):
        return calendar.ReadCalendarResponse(unavailable=True)
    return calendar.ReadCalendarResponse(found=found is not None, reservations=found or [])


def to_key(token: str) -> tuple[int, str] | None:
    """Time and id of the last row of the page before. Raises ValueError."""
    if not token:
        return None
    if not re.fullmatch(r"[0-9]{1,18}:[A-Za-z0-9._-]{1,128}", token):
        raise ValueError("not a token of ours")
    time, _, decision_id = token.partition(":")
    return int(time), decision_id


def read_requests(
    connection: Connection, asked: export.ExportRequestsRequest, after: tuple[int, str] | None
) -> export.ExportRequestsResponse:
    """One page; the token is the key of its last row."""
    d, r = models.DECISION.c, models.RESERVATION.c
    since = min(max(from_timestamp(asked.since), 0), LATEST)
    wanted = (d.action == "CREATE") & (d.time >= since)
    query = sa.select(d.time, d.decision_id, d.request, d.decision, r.state, r.cancel_time, r.enter_time)
    query = query.outerjoin(models.RESERVATION, r.reservation_id == d.reservation_id).where(wanted)
    if after:
        query = query.where(sa.tuple_(d.time, d.decision_id) > after)
    rows = connection.execute(query.order_by(d.time, d.decision_id).limit(PAGE)).mappings().all()
    page = export.ExportRequestsResponse(requests=[to_stored(row) for row in rows])
    if len(rows) == PAGE:
        page.next_page_token = f"{rows[-1]['time']}:{rows[-1]['decision_id']}"
    if not asked.page_token:
        count = sa.select(sa.func.count()).select_from(models.DECISION).where(wanted)
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
        stored.state = states.to_proto(row["state"])
    for name in ("cancel_time", "enter_time"):
        if row[name] is not None:
            getattr(stored, name).CopyFrom(to_timestamp(row[name]))
    return stored


def create_consumer(settings: Settings, meeting_events: MeetingEvents) -> PullConsumer:
    """The durable consumer of the gateway's events; `run` it."""

    async def receive(messages: Sequence[Msg]) -> None:
        await asyncio.gather(*(answer(meeting_events, message) for message in messages))

    return PullConsumer(settings, EVENTS, receive, GRACEFUL_SECONDS)


async def answer(meeting_events: MeetingEvents, message: Msg) -> None:
    """ack when it has had its effect, nak to see it again, term when it is no event."""
    metadata = message.metadata
    try:
        await take(meeting_events, message.subject, message.data)
    except (json_format.ParseError, ValueError, RecursionError):
        log.error("stream message %d of %s is no event", metadata.sequence.stream, EVENTS.stream)
        await message.term()
    except Exception as error:
        log.warning("stream message %d of %s: %s", metadata.sequence.stream, EVENTS.stream, type(error).__name__)
        await message.nak(delay=pause_seconds(metadata.num_delivered))
    else:
        await message.ack()


def pause_seconds(attempt: int) -> float:
    """Doubled each time up to a limit. `attempt` counts from 1."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 16), LONGEST_PAUSE_SECONDS))


async def take(meeting_events: MeetingEvents, subject: str, body: bytes) -> None:
    """Any number of times, in any order. Raises ValueError for what is no event."""
    kind = subject.rpartition(".")[2]
    if kind not in ("entered", "changed", "cancelled", "ended"):
        return
    event = json_format.Parse(body, MeetingEvent(), ignore_unknown_fields=True)
    key = meetings.from_key(event.meeting)
    if not key.provider or not key.meeting_id:
        raise ValueError("names no meeting")
    if kind == "entered":
        await meeting_events.entered(key, from_timestamp(event.event_time))
    else:
        await meeting_events.changed(key, cancelled=kind == "cancelled")
