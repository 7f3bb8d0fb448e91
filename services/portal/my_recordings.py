"""What was recorded in one's own meetings: a list beside them, and the pages of each."""

from datetime import timedelta
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from yunhui.meetings.v1 import recording_service_pb2 as api

from services.platform.text.messages import message
from services.portal import my_meetings
from services.portal.calls import ask, person_of, services_of
from services.portal.meetings import TABS
from services.portal.recordings import (
    RecordingPages,
    RecordingPlace,
    listed_window,
    meeting_in,
    size_of,
    token_in,
)
from services.portal.rendering import render
from services.portal.tables import LONGEST, forbidden

PATH = f"{my_meetings.PATH}/recordings"
PLACE = RecordingPlace(f"{my_meetings.PATH}/recording", PATH, message("Recordings"), my_meetings.PERMISSION)
BACK = timedelta(days=366)


async def show(request: Request) -> Response:
    """Of one meeting, or of a year."""
    if refused := forbidden(request, PLACE.permission):
        return refused
    only = request.query_params.get("meeting", "")[:LONGEST]
    meeting = meeting_in(only)
    question = api.ListRecordingsRequest(
        start_time=None if meeting else listed_window(request, BACK),
        meeting=meeting,
        creator_account_id=person_of(request).account_id,
        page_token=token_in(request),
    )
    answer = await ask(request, services_of(request).recordings.ListRecordings, question)
    query = {"meeting": only} if meeting else {}
    return render(
        request,
        "my_recordings.html",
        tab="recordings",
        tabs=TABS,
        address=lambda **more: f"{my_meetings.PATH}?{urlencode(more)}",
        listed=answer,
        only=bool(meeting),
        following=f"{PATH}?{urlencode({**query, 'page': answer.next_page_token})}",
        to=PLACE.of,
        size_of=size_of,
    )


PAGES = RecordingPages(PLACE).pages
