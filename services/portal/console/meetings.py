"""All meetings of the organization as a table: those to come, those that run, those that have ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import Response
from yunhui.directory.v1 import member_pb2
from yunhui.directory.v1 import member_service_pb2 as members
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.contracts import invitations
from services.platform.text.messages import message
from services.portal.calls import ask, may, services_of
from services.portal.console.addresses import MEETINGS, of_meeting
from services.portal.meetings import (
    AHEAD,
    BACK,
    PHASES,
    TABS,
    USUAL,
    creator_of,
    earliest_end,
    kind_of,
    latest_start,
    mark_of,
)
from services.portal.tables import Asked, Column, Listing, Table, TableFilter, Where
from services.portal.texts import MEETING_KINDS

VIEW = "meetings.view_all"
LONGEST_QUERY = 100
ALIKE = 8
"""People shown of those who are called so."""
KINDS = {
    "single": pb.MEETING_KIND_SINGLE,
    "recurring": pb.MEETING_KIND_RECURRING,
    "instant": pb.MEETING_KIND_INSTANT,
    "personal": pb.MEETING_KIND_PERSONAL_ROOM,
    "webinar": pb.MEETING_KIND_WEBINAR,
}
"""As the address says them."""
LIVE = "/live/meetings"


@dataclass(frozen=True, slots=True)
class MeetingNotes:
    """`as_of`: when the list was last read whole. `alike`: people of whom one must be chosen as the creator."""

    as_of: Timestamp | None
    alike: Sequence[member_pb2.Member] = ()


def phase_in(filters: Mapping[str, str]) -> str:
    return filters["phase"] or USUAL


def of_phases(*names: str) -> Where:
    return lambda filters: phase_in(filters) in names


async def fetch(request: Request, asked: Asked) -> Listing[pb.ListedMeeting]:
    filters, phase = asked.filters, phase_in(asked.filters)
    alike = await creators(request, filters["creator"])
    unsure = len(alike) > 1
    codes = invitations.numbers(filters["number"])
    if unsure or (filters["number"] and len(codes) != 1):  # as one types it, a number is none yet
        return Listing([], total=0, notes=MeetingNotes(None, alike if unsure else ()))
    question = api.ListMeetingsRequest(
        phase=PHASES[phase],
        start_time=earliest_end(request, filters["back"]) if phase == "ended" else None,
        end_time=latest_start(request, filters["ahead"]) if phase == "coming" else None,
        meeting_code=codes[0] if codes else "",
        query=filters["q"],
        creator_account_id=alike[0].account_id if alike else filters["creator"],
        kind=KINDS.get(filters["kind"], pb.MEETING_KIND_UNSPECIFIED),
        page_size=asked.page_size,
        page_token=asked.page_token,
    )
    answer = await ask(request, services_of(request).meetings.ListMeetings, question)
    as_of = answer.as_of if answer.HasField("as_of") else None
    return Listing(list(answer.meetings), answer.next_page_token, answer.total_count, MeetingNotes(as_of))


async def creators(request: Request, typed: str) -> list[member_pb2.Member]:
    """Whom the text may mean: the one whose account it is, or all who are called so; none whom the directory knows."""
    if not typed or not may(request, "members.view"):
        return []
    question = members.ListMembersRequest(query=typed, page_size=ALIKE)
    found = (await ask(request, services_of(request).members.ListMembers, question)).members
    return [each for each in found if each.account_id == typed] or list(found)


class MeetingTable(Table[pb.ListedMeeting]):
    async def show(self, request: Request) -> Response:
        """The page follows what happens, but for what is over, and for later pages."""
        over = request.query_params.get("phase") == "ended" or "page" in request.query_params
        return await self.answer(request, tabs=TABS, usual=USUAL, live="" if over else LIVE)


TABLE = MeetingTable(
    MEETINGS,
    message("Meetings"),
    fetch,
    columns=[
        Column(message("Subject"), lambda each: each.subject, link=lambda each: of_meeting(each.meeting), width="wide"),
        Column(
            message("Meeting number"), lambda each: invitations.dashed(each.meeting_code), name="number", width="narrow"
        ),
        Column(message("Creator"), creator_of, name="creator", minor=True),
        Column(message("Account"), lambda each: each.creator_account_id, name="account", usual=False, minor=True),
        Column(message("Kind"), kind_of, name="kind", width="narrow", minor=True),
        Column(message("Planned from"), lambda each: each.start_time, name="from", where=of_phases("coming")),
        Column(
            message("Planned until"), lambda each: each.end_time, name="until", minor=True, where=of_phases("coming")
        ),
        Column(
            message("Planned from"),
            lambda each: each.start_time,
            name="planned",
            usual=False,
            minor=True,
            where=of_phases("running", "ended"),
        ),
        Column(
            message("Planned until"),
            lambda each: each.end_time,
            name="end",
            usual=False,
            minor=True,
            where=of_phases("running", "ended"),
        ),
        Column(
            message("Began"),
            lambda each: each.actual_start_time,
            name="began",
            minor=True,
            where=of_phases("running", "ended"),
        ),
        Column(message("Was over"), lambda each: each.actual_end_time, name="over", where=of_phases("ended")),
        Column(
            message("Inside now"),
            lambda each: each.inside_count,
            name="inside",
            width="narrow",
            where=of_phases("running"),
        ),
        Column(
            message("People so far"),
            lambda each: each.came_count,
            name="came",
            width="narrow",
            minor=True,
            where=of_phases("running", "ended"),
        ),
        Column(message("As of"), lambda each: each.as_of, name="as-of", usual=False, minor=True),
    ],
    filters=[
        TableFilter("phase", message("Which meetings"), TABS, hidden=True),
        TableFilter("q", message("Subject"), hint=message("Characters of the subject"), longest=LONGEST_QUERY),
        TableFilter("number", message("Meeting number"), longest=invitations.LONGEST),
        TableFilter("creator", message("Creator"), longest=LONGEST_QUERY),
        TableFilter("kind", message("Kind"), {name: MEETING_KINDS[each] for name, each in KINDS.items()}),
        TableFilter("ahead", message("When"), AHEAD, where=of_phases("coming")),
        TableFilter("back", message("When"), BACK, where=of_phases("ended")),
    ],
    permission=VIEW,
    icon="video",
    template="console/meetings.html",
    row_id=lambda each: mark_of(each.meeting),
)
