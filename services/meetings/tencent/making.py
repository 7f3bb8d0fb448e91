"""Meetings that are made here, at Tencent, always as whoever's they are. Making one is not the same when done twice."""

from typing import Any

from services.meetings.plans import MeetingPlan
from services.meetings.provider import (
    IncompleteError,
    MadeMeeting,
    Meeting,
    MeetingKey,
    MeetingState,
    Occurrence,
    WrongStateError,
)
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.answers import Done, Made, OwnMeeting, OwnMeetings
from services.meetings.tencent.client import Call, TencentClient
from services.meetings.tencent.errors import OVER, Endpoint, code_of
from services.meetings.tencent.limits import MADE_CALLS, PerOne
from services.meetings.tencent.paging import MOST_PAGES, within
from services.meetings.tencent.paths import meeting_path

PATH = "/v1/meetings"
TERMINAL = 1  # `instanceid`: a PC, the usual filler
BOOKED, SINGLE = 0, 0  # `type` and `meeting_type`
CREATOR = "creator"
EVERYBODY, ORGANIZATION = 1, 3  # `only_user_join_type`
OFF, ON = 0, 1  # `mute_enable_type_join`
BY_PLAN = 1  # `reason_code`: any number will do


class TencentMaking:
    """`share` of the limit a minute of each person."""

    def __init__(self, client: TencentClient, accounts: Accounts, name: str, share: float = 1.0) -> None:
        self._client, self._accounts, self._name = client, accounts, name
        self._calls = PerOne(max(int(MADE_CALLS * share), 1))

    async def make(self, plan: MeetingPlan, creator: str) -> MadeMeeting:
        user = self._accounts.to_user(creator)
        self._calls.take(user)
        answer = await self._client.ask(Call(Endpoint.MAKE, PATH, {}, self._body(plan, user)), Made)
        return self._made(answer.meeting_info_list[0], plan, creator)

    def _body(self, plan: MeetingPlan, user: str) -> dict[str, Any]:
        options = plan.options
        # whoever is not among named hosts is none
        hosts = dict.fromkeys([user, *map(self._accounts.to_user, options.hosts)])
        body: dict[str, Any] = {
            "userid": user,
            "instanceid": TERMINAL,
            "subject": plan.subject,
            "type": BOOKED,
            "meeting_type": SINGLE,
            **times(plan.start_time, plan.end_time),
            "time_zone": options.time_zone,
            "settings": settings(plan),
        }
        if len(hosts) > 1:
            body["hosts"] = [{"userid": each} for each in hosts]
        if options.invitees:
            body["invitees"] = [{"userid": self._accounts.to_user(each)} for each in options.invitees]
        if options.password:
            body["password"] = options.password
        return body

    def _made(self, info: OwnMeeting, plan: MeetingPlan, creator: str) -> MadeMeeting:
        hosts = [creator, *(self._accounts.to_account(each.userid) for each in info.hosts)]
        meeting = Meeting(
            provider=self._name,
            meeting_id=info.meeting_id,
            meeting_code=info.meeting_code,
            subject=plan.subject,
            creator=creator,
            hosts=tuple(dict.fromkeys(filter(None, hosts))),
            state=MeetingState.SCHEDULED,
            occurrences=(Occurrence("", plan.start_time, plan.end_time),),
        )
        return MadeMeeting(meeting, info.join_url)

    async def find_made(self, plan: MeetingPlan, creator: str) -> list[MadeMeeting]:
        """Those of the creator's coming ones that look like it. Raises IncompleteError."""
        user = self._accounts.to_user(creator)
        async with within(Endpoint.OWN, self._client.timing.all_pages):
            listed = await self._own(user)
        return [self._made(each, plan, creator) for each in listed.values() if looks_like(each, plan)]

    async def _own(self, user: str) -> dict[str, OwnMeeting]:
        """All of them by their ids: pages go by time and overlap."""
        found: dict[str, OwnMeeting] = {}
        query = {"userid": user, "instanceid": str(TERMINAL)}
        place: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            answer = await self._client.ask(Call(Endpoint.OWN, PATH, query | place), OwnMeetings)
            found |= {each.meeting_id: each for each in answer.meeting_info_list}
            if not answer.remaining:
                return found
            following = {"pos": str(answer.next_pos), "cursory": str(answer.next_cursory)}
            if following == place or not answer.meeting_info_list:
                break
            place = following
        raise IncompleteError(f"{Endpoint.OWN}: there is more than can be read")

    async def reschedule(self, key: MeetingKey, creator: str, start_time: int, end_time: int) -> None:
        body = {
            "userid": self._accounts.to_user(creator),
            "instanceid": TERMINAL,
            **times(start_time, end_time),
        }
        await self._client.ask(Call(Endpoint.MOVE, meeting_path(key.meeting_id), {}, body), Done)

    async def call_off(self, key: MeetingKey, creator: str) -> None:
        user = self._accounts.to_user(creator)
        body = {"userid": user, "instanceid": TERMINAL, "reason_code": BY_PLAN}
        try:
            await self._client.ask(Call(Endpoint.CALL_OFF, f"{meeting_path(key.meeting_id)}/cancel", {}, body), Done)
        except WrongStateError as error:
            if code_of(error) not in OVER:
                raise


def times(start_time: int, end_time: int) -> dict[str, str]:
    return {"start_time": str(start_time // 1000), "end_time": str(end_time // 1000)}


def settings(plan: MeetingPlan) -> dict[str, Any]:
    """All that have a default over there, which may be another one."""
    options = plan.options
    return {
        "mute_enable_type_join": ON if options.mute_on_entry else OFF,
        "allow_in_before_host": options.enter_before_host,
        "auto_in_waiting_room": options.waiting_room,
        "allow_screen_shared_watermark": options.watermark,
        "only_user_join_type": ORGANIZATION if options.organization_only else EVERYBODY,
    }


def looks_like(info: OwnMeeting, plan: MeetingPlan) -> bool:
    same = (info.subject, info.start_time * 1000, info.end_time * 1000) == (
        plan.subject,
        plan.start_time,
        plan.end_time,
    )
    return same and info.meeting_type == SINGLE and info.join_meeting_role in (CREATOR, "")
