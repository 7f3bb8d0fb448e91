"""The meetings of the whole enterprise, by Tencent's three lists: coming, running, ended."""

from services.meetings.provider import IncompleteError, Kind, ListedMeeting, MeetingKey, MeetingPage, Phase
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.answers import CorpMeeting, CorpMeetings
from services.meetings.tencent.client import Call, TencentClient
from services.meetings.tencent.errors import Endpoint
from services.platform.clock import DAY

PATH = "/v1/corp/meetings"
PAGE = 50
STATES = {Phase.ENDED: "1", Phase.RUNNING: "2", Phase.COMING: "3"}
KINDS = {0: Kind.SINGLE, 1: Kind.RECURRING, 5: Kind.PERSONAL_ROOM, 6: Kind.WEBINAR}
USER = 1
FIRST_MILLISECOND = 10**11
"""Smaller moments are seconds, until the year 5138; as milliseconds they were before 1974."""


class Listing:
    """`operator` is a userid of an administrator; the lists are for no others."""

    def __init__(self, client: TencentClient, accounts: Accounts, name: str, operator: str) -> None:
        self._client = client
        self._accounts = accounts
        self._name = name
        self._operator = operator

    async def page(self, phase: Phase, since: int | None, until: int | None, page: int) -> MeetingPage:
        """The lists go by when meetings begin: with those that touch the window come some of the day before it."""
        query = {
            "meeting_state": STATES[phase],
            "page": str(page),
            "page_size": str(PAGE),
            "operator_id": self._operator,
            "operator_id_type": str(USER),
            **({"start_time": str((since - DAY) // 1000)} if since is not None else {}),
            **({"end_time": str(-(-until // 1000))} if until is not None else {}),
        }
        answer = await self._client.ask(Call(Endpoint.MEETINGS, PATH, query), CorpMeetings)
        check(answer, page)
        made = tuple(self._to_listed(each, phase) for each in answer.rows)
        return MeetingPage(made, page + 1 if page < answer.total_page else 0, answer.total_count)

    def _to_listed(self, row: CorpMeeting, phase: Phase) -> ListedMeeting:
        return ListedMeeting(
            key=MeetingKey(self._name, row.meeting_id, row.sub_meeting_id),
            phase=phase,
            meeting_code=row.meeting_code,
            subject=row.subject,
            creator=self._accounts.to_account(row.userid) if row.userid_type == USER else "",
            creator_name=row.nick_name[:100],
            kind=KINDS.get(row.meeting_type, Kind.UNKNOWN),
            start_time=to_milliseconds(row.start_time),
            end_time=to_milliseconds(row.end_time),
            people=row.participants_num if phase == Phase.ENDED else row.online_member_num,
        )


def to_milliseconds(moment: int) -> int:
    """The list of what has ended tells milliseconds, the others seconds."""
    return moment if moment >= FIRST_MILLISECOND else moment * 1000


def check(answer: CorpMeetings, page: int) -> None:
    """Raises IncompleteError for a page that has fewer rows than it must have by what it says of the whole.

    It may have been asked for in another size than it came in, should the other side allow less.
    """
    rows, total, pages = len(answer.rows), answer.total_count, answer.total_page
    if page > pages > 0 or not total:
        fits = not rows  # the list has become shorter, or there is none
    elif page == pages:
        size = PAGE if -(-total // PAGE) == pages else 0
        fits = rows == total - size * (page - 1) if size or pages == 1 else rows > 0
    else:
        fits = rows > 0 and -(-total // rows) == pages
    if not fits or answer.current_page not in (0, page):
        raise IncompleteError(f"{Endpoint.MEETINGS}: the answer contradicts itself")
