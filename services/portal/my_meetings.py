"""My meetings: those that one made oneself, to come, running and over; who was in them, and the way to a room."""

import asyncio
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import Response
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.contracts.invitations import dashed
from services.platform.text.messages import message
from services.portal import meeting_history
from services.portal.calls import ask, person_of, services_of
from services.portal.meetings import PHASES, TABS, get, key_in, mark_of, query_of
from services.portal.recordings import of_meeting
from services.portal.rendering import reader_of, render
from services.portal.tables import LONGEST_TOKEN
from services.portal.times import Reader

PATH, LABEL, PERMISSION = "/meetings", message("My meetings"), "meetings.view"
ONE = f"{PATH}/meeting"
"""With ?provider=, ?id= and ?occurrence=."""
USUAL = "coming"
SHOWN = 30
LIVE = "/live/meetings"


def of_listed(each: pb.ListedMeeting, reader: Reader, join_url: str = "") -> str:
    """Its invitation."""
    return invitation(each.subject, each.start_time, each.end_time, each.meeting_code, reader, join_url)


def link_in(answer: api.GetMeetingResponse) -> str:
    """To enter by; only what leads to a page."""
    return answer.join_url if answer.join_url.startswith(("https://", "http://")) else ""


def of_mine(key: MeetingKey, **query: str) -> str:
    return f"{ONE}?{query_of(key, **query)}"


def to_room(meeting: pb.ListedMeeting) -> str:
    """Where its room is reserved, with the number filled in."""
    return f"/book?{urlencode({'meeting_code': meeting.meeting_code})}"


def invitation(subject: str, start: Timestamp, end: Timestamp, code: str, reader: Reader, join_url: str = "") -> str:
    """What is sent to others; in the language of whoever sends it."""
    language = reader.language
    when = f"{reader.bare_interval(start, end)} ({reader.zone_name(reader.local(start))})"
    lines = [
        message("Subject: {subject}").to(language, subject=subject),
        message("Time: {when}").to(language, when=when),
        message("Meeting number: {code}").to(language, code=dashed(code)),
    ]
    if join_url:
        lines.append(message("Link: {link}").to(language, link=join_url))
    return "\n".join(lines)


async def show(request: Request) -> Response:
    tab = request.query_params.get("phase", USUAL)
    tab = tab if tab in PHASES else USUAL
    token, reader = request.query_params.get("page", "")[:LONGEST_TOKEN], reader_of(request)
    question = api.ListMeetingsRequest(
        phase=PHASES[tab], creator_account_id=person_of(request).account_id, page_size=SHOWN, page_token=token
    )
    answer = await ask(request, services_of(request).meetings.ListMeetings, question)
    return render(
        request,
        "my_meetings.html",
        tab=tab,
        tabs=TABS,
        address=lambda **query: f"{PATH}?{urlencode(query)}",
        listed=answer,
        live="" if tab == "ended" or token else LIVE,
        to=of_mine,
        to_room=to_room,
        mark=mark_of,
        invitation=lambda each: of_listed(each, reader),
    )


async def show_one(request: Request) -> Response:
    """Raises grpc.aio.AioRpcError: NOT_FOUND also for another's."""
    key, reader = key_in(request), reader_of(request)
    answer = await get(request, key)
    meeting, join_url = answer.meeting, link_in(answer)
    history = None
    if meeting.phase in (pb.MEETING_PHASE_RUNNING, pb.MEETING_PHASE_ENDED):
        visits, quality = await asyncio.gather(
            meeting_history.visits(request, key, reader), meeting_history.quality(request, key, reader)
        )
        history = {"visits": visits, "quality": quality}
    return render(
        request,
        "my_meeting.html",
        meeting=meeting,
        history=history,
        recordings=of_meeting(f"{PATH}/recordings", key),
        at=lambda **query: of_mine(key, **query),
        to_room=to_room,
        mark=mark_of,
        invitation=of_listed(meeting, reader, join_url),
        join_url=join_url,
    )
