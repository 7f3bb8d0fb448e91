"""Recordings of all meetings of the organization as a table, and the pages of each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from yunhui.directory.v1 import member_pb2
from yunhui.meetings.v1 import recording_pb2 as pb
from yunhui.meetings.v1 import recording_service_pb2 as api

from services.contracts import invitations
from services.platform.text.messages import message
from services.portal.calls import ask, read, services_of
from services.portal.console.addresses import RECORDING, RECORDINGS
from services.portal.console.meetings import LONGEST_QUERY, creators
from services.portal.recordings import (
    RecordingPages,
    RecordingPlace,
    listed_window,
    meeting_in,
    size_of,
    state_of,
)
from services.portal.tables import Asked, Column, Listing, Table, TableFilter
from services.portal.texts import RECORDING_TONES

VIEW = "meetings.view_all"
TITLE = message("Recordings")
PLACE = RecordingPlace(RECORDING, RECORDINGS, TITLE, VIEW, deep=True)
PAGE = 20
"""Rows that the provider gives at once."""
EXPORT_ATTEMPTS = 20
"""Of one page of a file: the provider allows few calls a minute."""
BACK = {
    "week": message("The last 7 days"),
    "quarter": message("The last 92 days"),
    "year": message("The last 366 days"),
}
SPANS = {"week": timedelta(days=7), "quarter": timedelta(days=92), "year": timedelta(days=366)}


@dataclass(frozen=True, slots=True)
class RecordingNotes:
    """`as_of`: when the provider was asked. `alike`: people of whom one must be chosen. `more`: some may follow."""

    as_of: Timestamp | None
    alike: Sequence[member_pb2.Member] = ()
    more: bool = False


async def fetch(request: Request, asked: Asked) -> Listing[pb.Recording]:
    filters = asked.filters
    alike = await creators(request, filters["creator"])
    unsure = len(alike) > 1
    codes = invitations.numbers(filters["number"])
    if unsure or (filters["number"] and len(codes) != 1):  # as one types it, a number is none yet
        return Listing([], total=0, notes=RecordingNotes(None, alike if unsure else ()))
    meeting = meeting_in(filters["meeting"])
    question = api.ListRecordingsRequest(
        start_time=listed_window(request, SPANS[filters["back"]]) if filters["back"] else None,
        meeting=meeting,
        meeting_code=codes[0] if codes and not meeting else "",
        creator_account_id=alike[0].account_id if alike else filters["creator"],
        page_token=asked.page_token,
    )
    answer = await _answer(request, question)
    notes = RecordingNotes(answer.as_of, more=bool(answer.next_page_token) and not answer.recordings)
    total = answer.total_count if answer.HasField("total_count") else None
    return Listing(list(answer.recordings), answer.next_page_token, total, notes)


async def _answer(request: Request, question: api.ListRecordingsRequest) -> api.ListRecordingsResponse:
    """A file waits until the provider allows more calls; a page says so. Raises grpc.aio.AioRpcError."""
    attempts = EXPORT_ATTEMPTS if request.url.path != RECORDINGS else 1
    while True:
        try:
            return await ask(request, services_of(request).recordings.ListRecordings, question)
        except grpc.aio.AioRpcError as error:
            attempts -= 1
            problem = read(error)
            if not problem.away or not attempts:
                raise
            await asyncio.sleep(problem.retry_seconds)


TABLE: Table[pb.Recording] = Table(
    RECORDINGS,
    TITLE,
    fetch,
    columns=[
        Column(
            message("Subject"),
            lambda each: each.subject or "–",
            link=lambda each: PLACE.of(each.recording_id),
            width="wide",
        ),
        Column(
            message("Meeting number"),
            lambda each: invitations.dashed(each.meeting_code),
            name="number",
            width="narrow",
            minor=True,
        ),
        Column(message("Creator"), lambda each: each.creator_account_id, name="creator", minor=True),
        Column(
            message("State"),
            state_of,
            name="state",
            width="narrow",
            tone=lambda each: RECORDING_TONES.get(each.state, ""),
        ),
        Column(message("Meeting began"), lambda each: each.start_time, name="began"),
        Column(
            message("Files"),
            lambda each: f"{len(each.files)}" if each.files else "",
            name="files",
            width="narrow",
            minor=True,
        ),
        Column(message("Size"), size_of, name="size", width="narrow", minor=True),
    ],
    filters=[
        TableFilter("meeting", message("Which meeting"), hidden=True, longest=200),
        TableFilter("number", message("Meeting number"), longest=invitations.LONGEST),
        TableFilter("creator", message("Creator"), longest=LONGEST_QUERY),
        TableFilter("back", message("When"), BACK, unchosen=message("The last 31 days")),
    ],
    permission=VIEW,
    most=PAGE,
    icon="film",
    template="console/recordings.html",
)
PAGES = RecordingPages(PLACE).pages
