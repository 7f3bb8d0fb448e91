"""Tencent Meeting behind the port, by its REST API. Lists, people and acts are in modules beside this one."""

from collections.abc import AsyncIterator

from services.meetings.people import PersonWaiting, Presence, Quality
from services.meetings.plans import MeetingPlan
from services.meetings.provider import (
    CancelledError,
    IncompleteError,
    MadeMeeting,
    Meeting,
    MeetingKey,
    MeetingPage,
    MeetingState,
    NoSuchMeetingError,
    Occurrence,
    Participant,
    Phase,
    Stay,
    UserPage,
)
from services.meetings.steering import ACTS, Act
from services.meetings.tencent import answers, paging
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.answers import MeetingInfo, Meetings, Visit, Visits
from services.meetings.tencent.client import Call, TencentClient, Timing
from services.meetings.tencent.errors import Endpoint
from services.meetings.tencent.limits import CALLS_A_MINUTE
from services.meetings.tencent.listing import MeetingLists
from services.meetings.tencent.making import TencentMaking
from services.meetings.tencent.paths import meeting_path
from services.meetings.tencent.people import PAGE, TencentPeople
from services.meetings.tencent.signature import Credentials, TencentAuth
from services.meetings.tencent.steering import Steering
from services.meetings.tencent.users import to_user
from services.platform.clock import DAY, Clock

NAME = "tencent"
ADDRESS = "https://api.meeting.qq.com"
LARGEST_PAGE = 100
TERMINAL = "1"  # `instanceid`: a PC, the usual filler
USER, ROLE_OF_CREATOR, ROLE_OF_HOST = "1", "creator", "hoster"
WINDOW = 30 * DAY  # the provider takes at most 31 days
STATES = {
    "MEETING_STATE_INIT": MeetingState.SCHEDULED,
    "MEETING_STATE_STARTED": MeetingState.RUNNING,
    "MEETING_STATE_CANCELLED": MeetingState.CANCELLED,
    "MEETING_STATE_ENDED": MeetingState.ENDED,
    "MEETING_STATE_NULL": MeetingState.ENDED,
    "MEETING_STATE_RECYCLED": MeetingState.ENDED,
}
RECYCLED = "MEETING_STATE_RECYCLED"


class Tencent:
    """The provider. `operator` is a userid of the enterprise that may see all its meetings."""

    name = NAME
    acts = ACTS
    people_a_call = PAGE

    def __init__(
        self,
        client: TencentClient,
        accounts: Accounts,
        operator: str,
        clock: Clock,
        calls_a_minute: int = CALLS_A_MINUTE,
    ) -> None:
        self._client = client
        self._accounts = accounts
        self._operator = operator
        self._clock = clock
        self._listing = MeetingLists(client, accounts, NAME, operator)
        self._people = TencentPeople(client, accounts, operator, calls_a_minute)
        self._steering = Steering(client, accounts, operator, self._people)
        self._making = TencentMaking(client, accounts, NAME, min(calls_a_minute / CALLS_A_MINUTE, 1))

    async def find(self, meeting_code: str, account: str | None) -> Meeting:
        query = {
            "meeting_code": meeting_code,
            "userid": self._user(account),
            "instanceid": TERMINAL,
            "is_show_all_sub_meetings": "1",
        }
        answer = await self._client.ask(Call(Endpoint.FIND, "/v1/meetings", query), Meetings)
        # numbers are used again: what is not, or no longer, behind this number does not count
        found = [
            each for each in answer.meeting_info_list if each.meeting_code == meeting_code and each.status != RECYCLED
        ]
        if not found:
            raise NoSuchMeetingError(f"{Endpoint.FIND}: no meeting has this number")
        return self._to_meeting(min(found, key=_how_far_gone), account)

    async def get(self, meeting_id: str, account: str | None) -> Meeting:
        query = {"operator_id": self._user(account), "operator_id_type": USER, "instanceid": TERMINAL}
        try:
            answer = await self._client.ask(Call(Endpoint.GET, meeting_path(meeting_id), query), Meetings)
        except CancelledError:
            return Meeting(NAME, meeting_id, "", "", "", (), MeetingState.CANCELLED, ())
        for each in answer.meeting_info_list:
            if each.meeting_id == meeting_id:
                return self._to_meeting(each, account)
        raise NoSuchMeetingError(f"{Endpoint.GET}: another meeting was answered, or none")

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        async with paging.within(Endpoint.PARTICIPANTS, self._client.timing.all_pages):
            return self._to_participants([visit async for visit in self._visits(key, since)])

    async def meetings(self, phase: Phase, since: int | None, until: int | None, page: int) -> MeetingPage:
        return await self._listing.page(phase, since, until, page)

    async def inside(self, key: MeetingKey) -> list[Presence]:
        return await self._people.inside(key)

    async def waiting(self, key: MeetingKey, creator: str) -> list[PersonWaiting]:
        return await self._people.waiting(key, creator)

    async def quality(self, key: MeetingKey) -> list[Quality]:
        return await self._people.quality(key)

    async def do(self, key: MeetingKey, act: Act, creator: str) -> None:
        await self._steering.do(key, act, creator)

    async def make(self, plan: MeetingPlan, creator: str, making_id: str) -> MadeMeeting:
        return await self._making.make(plan, creator)

    async def find_made(self, plan: MeetingPlan, creator: str, making_id: str) -> list[MadeMeeting]:
        return await self._making.find_made(plan, creator)

    async def reschedule(self, key: MeetingKey, creator: str, start_time: int, end_time: int) -> None:
        await self._making.reschedule(key, creator, start_time, end_time)

    async def call_off(self, key: MeetingKey, creator: str) -> None:
        await self._making.call_off(key, creator)

    async def users(self, position: str) -> UserPage:
        query = {"operator_id": self._operator, "operator_id_type": USER, "size": str(LARGEST_PAGE)}
        call = Call(Endpoint.USERS, "/v1/users/advance/list", query | ({"pos": position} if position else {}))
        answer = await self._client.ask(call, answers.People)
        if answer.has_remaining and (not answer.users or answer.next_pos in ("", position)):
            raise IncompleteError(f"{Endpoint.USERS}: there is more than can be read")
        made = tuple(to_user(each, self._accounts) for each in answer.users)
        return UserPage(made, answer.next_pos if answer.has_remaining else "")

    async def _visits(self, key: MeetingKey, since: int | None) -> AsyncIterator[Visit]:
        path, position = f"{meeting_path(key.meeting_id)}/participants", 0
        window = self._window(key, since)
        query = self._as_operator(key) | {"size": str(LARGEST_PAGE)} | window
        read = 0
        for _ in range(paging.MOST_PAGES):
            call = Call(Endpoint.PARTICIPANTS, path, query | {"pos": str(position)})
            answer = await self._client.ask(call, Visits)
            _check_page(call, key, answer, position)
            for visit in answer.participants:
                yield visit
            read += len(answer.participants)
            if not answer.has_remaining and not window and read < answer.total_count:
                break
            if not answer.has_remaining:
                return
            if answer.next_pos <= position:
                break
            position = answer.next_pos
        raise IncompleteError(f"{Endpoint.PARTICIPANTS}: there is more than can be read")

    def _window(self, key: MeetingKey, since: int | None) -> dict[str, str]:
        """A day wider than asked, for the provider goes by when people joined; not understood for occurrences."""
        if since is None or key.sub_meeting_id:
            return {}
        start = since - DAY
        end = min(self._clock.now() + DAY, start + WINDOW)
        return {"start_time": str(start // 1000), "end_time": str(end // 1000)} if start < end else {}

    def _as_operator(self, key: MeetingKey) -> dict[str, str]:
        occurrence = {"sub_meeting_id": key.sub_meeting_id} if key.sub_meeting_id else {}
        return {"operator_id": self._operator, "operator_id_type": USER, **occurrence}

    def _user(self, account: str | None) -> str:
        return self._operator if account is None else self._accounts.to_user(account)

    def _to_meeting(self, info: MeetingInfo, account: str | None) -> Meeting:
        hosts = [self._accounts.to_account(host.userid) for host in info.hosts]
        if account and info.join_meeting_role == ROLE_OF_HOST:
            hosts.append(account)
        occurrences = to_occurrences(info)
        return Meeting(
            provider=NAME,
            meeting_id=info.meeting_id,
            meeting_code=info.meeting_code,
            subject=info.subject,
            # the answer names its creator only by the role of whoever asked
            creator=account if account and info.join_meeting_role == ROLE_OF_CREATOR else "",
            hosts=tuple(dict.fromkeys(filter(None, hosts))),
            state=STATES.get(info.status, MeetingState.UNKNOWN),
            occurrences=occurrences,
            more_occurrences=bool(info.has_more_sub_meeting),
            recurring=info.meeting_type == 1 or bool(info.sub_meetings),
        )

    def _to_participants(self, visits: list[Visit]) -> list[Participant]:
        """One for each person, over all visits. Whoever has no id at all is a person of one visit."""
        people: dict[str, list[Visit]] = {}
        for number, visit in enumerate(visits):
            person = visit.userid or visit.open_id or visit.ms_open_id or f"visit {number}"
            people.setdefault(person, []).append(visit)
        made = [self._to_participant(each) for each in people.values()]
        return sorted(made, key=lambda each: each.enter_time)

    def _to_participant(self, visits: list[Visit]) -> Participant:
        return Participant(
            account=self._accounts.to_account(visits[0].userid),
            display_name=visits[0].user_name[:100],
            stays=tuple(Stay(each.join_time * 1000, each.left_time * 1000 or None) for each in visits),
        )


def to_occurrences(info: MeetingInfo) -> tuple[Occurrence, ...]:
    if info.sub_meetings:
        made = [
            Occurrence(each.sub_meeting_id, each.start_time * 1000, each.end_time * 1000, str(each.status) == "1")
            for each in info.sub_meetings
        ]
        return tuple(sorted(made, key=lambda each: each.start_time))
    if info.start_time and info.end_time:
        return (Occurrence("", info.start_time * 1000, info.end_time * 1000),)
    return ()


def _check_page(call: Call, key: MeetingKey, answer: Visits, position: int) -> None:
    """Raises IncompleteError for what is of another meeting, or counts people whom it does not list."""
    if answer.meeting_id != key.meeting_id or (not position and answer.total_count and not answer.participants):
        raise IncompleteError(f"{call.endpoint}: the answer contradicts itself")


def _how_far_gone(info: MeetingInfo) -> tuple[int, int]:
    """Of several behind one number the one that is on, or to come, and of these the next."""
    order = [
        MeetingState.RUNNING,
        MeetingState.SCHEDULED,
        MeetingState.UNKNOWN,
        MeetingState.ENDED,
        MeetingState.CANCELLED,
    ]
    return order.index(STATES.get(info.status, MeetingState.UNKNOWN)), info.start_time


def create(
    address: str,
    credentials: Credentials,
    accounts: Accounts,
    operator: str,
    clock: Clock,
    timing: Timing | None = None,
    calls_a_minute: int = CALLS_A_MINUTE,
) -> tuple[Tencent, TencentClient]:
    """The provider, and the client to be closed at the end."""
    client = TencentClient(address, TencentAuth(credentials), timing or Timing(), calls_a_minute)
    return Tencent(client, accounts, operator, clock, calls_a_minute), client
