"""Meetings on pages: their addresses, what is known of one, and which times a list is about."""

import hashlib
from datetime import datetime, time, timedelta
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.platform.text.messages import Text, message
from services.portal.calls import ask, services_of
from services.portal.rendering import reader_of
from services.portal.texts import MEETING_KINDS
from services.portal.times import Reader, stamp_of

LONGEST_ID = 200
PHASES = {
    "coming": pb.MEETING_PHASE_COMING,
    "running": pb.MEETING_PHASE_RUNNING,
    "ended": pb.MEETING_PHASE_ENDED,
}
"""As the address says them."""
TABS = {"coming": message("Coming up"), "running": message("Running"), "ended": message("Ended")}
USUAL = "running"
AHEAD = {
    "hour": message("The next hour"),
    "today": message("Today"),
    "week": message("The next 7 days"),
    "month": message("The next 31 days"),
}
BACK = {
    "day": message("The last day"),
    "week": message("The last 7 days"),
    "month": message("The last 31 days"),
}
SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}


def key_in(request: Request) -> MeetingKey:
    """The one of the address."""
    given = request.query_params
    return MeetingKey(
        provider=given.get("provider", "")[:LONGEST_ID],
        meeting_id=given.get("id", "")[:LONGEST_ID],
        sub_meeting_id=given.get("occurrence", "")[:LONGEST_ID],
    )


def query_of(key: MeetingKey, **more: str) -> str:
    """For addresses, as `key_in` reads it."""
    named = {"provider": key.provider, "id": key.meeting_id, "occurrence": key.sub_meeting_id, **more}
    return urlencode({name: value for name, value in named.items() if value})


def mark_of(key: MeetingKey) -> str:
    """For ids in pages: the provider's may be any text."""
    text = "\n".join((key.provider, key.meeting_id, key.sub_meeting_id))
    return "m-" + hashlib.sha256(text.encode()).hexdigest()[:12]


async def get(request: Request, key: MeetingKey) -> api.GetMeetingResponse:
    """Raises grpc.aio.AioRpcError."""
    return await ask(request, services_of(request).meetings.GetMeeting, api.GetMeetingRequest(meeting=key))


def kind_of(each: pb.ListedMeeting) -> Text | str:
    return MEETING_KINDS.get(each.kind, "")


def creator_of(each: pb.ListedMeeting) -> str:
    return each.creator_name or each.creator_account_id


def latest_start(request: Request, ahead: str) -> Timestamp | None:
    """Of meetings to come: those that start before it."""
    reader = reader_of(request)
    if ahead == "today":
        midnight = datetime.combine(reader.today + timedelta(days=1), time(0), reader.zone)
        return stamp_of(midnight)
    return stamp_of(reader.now + SPANS[ahead]) if ahead in SPANS else None


def earliest_end(request: Request, back: str) -> Timestamp | None:
    """Of ended meetings: those that ended after it."""
    return stamp_of(reader_of(request).now - SPANS[back]) if back in SPANS else None


def times_of(each: pb.ListedMeeting, reader: Reader) -> str:
    """When it was, as far as it was, else when it is planned for."""
    if each.HasField("actual_start_time") and each.HasField("actual_end_time"):
        return reader.interval(each.actual_start_time, each.actual_end_time)
    return reader.interval(each.start_time, each.end_time)
