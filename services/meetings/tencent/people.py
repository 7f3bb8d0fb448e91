"""Who is in a meeting now, or waits, and how well they are connected, by Tencent's lists of a running meeting."""

import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping

from services.meetings.people import Device, MeetingRole, PersonWaiting, Presence, Quality, Target
from services.meetings.provider import IncompleteError, MeetingKey, ProviderError, WrongStateError
from services.meetings.tencent import paging
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.answers import (
    DeviceQuality,
    Inside,
    MeetingQuality,
    PersonQuality,
    VisitNow,
    WaitingPerson,
    WaitingRoom,
)
from services.meetings.tencent.client import Call, TencentClient
from services.meetings.tencent.errors import INVALID, Endpoint, code_of
from services.meetings.tencent.limits import CALLS_A_MINUTE, QUALITY_CALLS, PerOne
from services.meetings.tencent.paths import meeting_path

log = logging.getLogger(__name__)

PAGE, QUALITY_PAGE = 50, 100
REMEMBERED = 1_000
USER = "1"
STARTED = "MEETING_STATE_STARTED"
DEVICES = {
    "0": Device.PHONE,
    "1": Device.PC,
    "2": Device.MAC,
    "3": Device.ANDROID,
    "4": Device.IOS,
    "5": Device.WEB,
    "6": Device.TABLET,
    "7": Device.TABLET,
    "8": Device.MINI_PROGRAM,
    "9": Device.CONNECTOR,
    "10": Device.LINUX,
    **dict.fromkeys(("20", "21", "22", "30", "31", "32", "33"), Device.ROOMS),
}
ROLES = {
    2: MeetingRole.HOST,
    3: MeetingRole.HOST,  # and creator
    4: MeetingRole.GUEST,
    5: MeetingRole.HOST,  # and guest
    6: MeetingRole.CO_HOST,
    7: MeetingRole.CO_HOST,  # and creator
}
"""A creator who gave the role of host away is a member."""


class TencentPeople:
    """Asks as `operator`, a userid of an administrator, but for the waiting room, which its creator alone may see."""

    def __init__(
        self, client: TencentClient, accounts: Accounts, operator: str, calls_a_minute: int = CALLS_A_MINUTE
    ) -> None:
        self._client = client
        self._accounts = accounts
        self._operator = operator
        share = min(calls_a_minute / CALLS_A_MINUTE, 1)
        self._quality_calls = PerOne(max(int(QUALITY_CALLS * share), 1))
        self._known: OrderedDict[MeetingKey, dict[str, str]] = OrderedDict()

    async def inside(self, key: MeetingKey) -> list[Presence]:
        occurrence = {"sub_meeting_id": key.sub_meeting_id} if key.sub_meeting_id else {}
        query = {"operator_id": self._operator, "operator_id_type": USER, **occurrence, "page_size": str(PAGE)}

        async def ask(page: int) -> Inside:
            path = f"{meeting_path(key.meeting_id)}/real-time-participants"
            answer = await self._client.ask(Call(Endpoint.INSIDE, path, query | {"page": str(page)}), Inside)
            if answer.meeting_id != key.meeting_id:
                raise IncompleteError(f"{Endpoint.INSIDE}: the answer is of another meeting")
            return answer

        async with paging.within(Endpoint.INSIDE, self._client.timing.all_pages):
            found = [self._to_presence(each) for each in await paging.read_all(Endpoint.INSIDE, ask, _identity)]
        self._remember(key, found)
        return found

    async def waiting(self, key: MeetingKey, creator: str) -> list[PersonWaiting]:
        user = self._accounts.to_user(creator) if creator else self._operator
        query = {"userid": user, "page_size": str(PAGE)}

        async def ask(page: int) -> WaitingRoom:
            path = f"{meeting_path(key.meeting_id)}/waiting-room-participants"
            answer = await self._client.ask(Call(Endpoint.WAITING, path, query | {"page": str(page)}), WaitingRoom)
            if answer.meeting_id not in ("", key.meeting_id):
                raise IncompleteError(f"{Endpoint.WAITING}: the answer is of another meeting")
            return answer

        async with paging.within(Endpoint.WAITING, self._client.timing.all_pages):
            return [self._to_waiting(each) for each in await paging.read_all(Endpoint.WAITING, ask, _identity)]

    async def quality(self, key: MeetingKey) -> list[Quality]:
        """Of each device of each person."""
        query = {"operator_id": self._operator, "operator_id_type": USER, "page_size": str(QUALITY_PAGE)}

        async def ask(page: int) -> MeetingQuality:
            self._quality_calls.take(key.meeting_id)
            path = f"{meeting_path(key.meeting_id)}/qos"
            return await self._client.ask(Call(Endpoint.QUALITY, path, query | {"page": str(page)}), MeetingQuality)

        try:
            async with paging.within(Endpoint.QUALITY, self._client.timing.all_pages):
                people = await paging.read_all(Endpoint.QUALITY, ask, lambda each: each.ms_open_id or None)
        except ProviderError as error:
            if code_of(error) != INVALID or await self.runs(key):
                raise
            people = []
        if not people:
            raise WrongStateError(f"{Endpoint.QUALITY}: nobody is inside")
        accounts = await self._accounts_of(key, {each.ms_open_id for each in people})
        return [_to_quality(person, device, accounts) for person in people for device in person.qos_details]

    async def runs(self, key: MeetingKey) -> bool:
        """Whether somebody is inside."""
        occurrence = {"sub_meeting_id": key.sub_meeting_id} if key.sub_meeting_id else {}
        query = {"operator_id": self._operator, "operator_id_type": USER, **occurrence, "page": "1", "page_size": "1"}
        path = f"{meeting_path(key.meeting_id)}/real-time-participants"
        answer = await self._client.ask(Call(Endpoint.INSIDE, path, query), Inside)
        return answer.meeting_id != key.meeting_id or answer.total_count > 0 or answer.status == STARTED

    def _remember(self, key: MeetingKey, people: list[Presence]) -> None:
        """Which account somebody is in this meeting: not told with the quality."""
        self._known[key] = {each.target.person_id: each.account for each in people}
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _accounts_of(self, key: MeetingKey, people: set[str]) -> dict[str, str]:
        """Of those of whom it can be found out."""
        if not people <= self._known.get(key, {}).keys():
            try:
                await self.inside(key)
            except ProviderError as error:
                log.info("whose quality it is, is not known of all: %s", error)
        return self._known.get(key, {})

    def _to_presence(self, person: VisitNow) -> Presence:
        return Presence(
            target=Target(person.ms_open_id, person.instanceid),
            account=self._accounts.to_account(person.userid),
            display_name=person.user_name[:100],
            device=DEVICES.get(person.instanceid, Device.UNKNOWN),
            role=ROLES.get(person.user_role, MeetingRole.MEMBER),
            enter_time=person.join_time * 1000,
            microphone=person.audio_state,
            camera=person.video_state,
            sharing=person.screen_shared_state,
        )

    def _to_waiting(self, person: WaitingPerson) -> PersonWaiting:
        return PersonWaiting(
            target=Target(person.ms_open_id, person.instanceid),
            account=self._accounts.to_account(person.userid),
            display_name=person.user_name[:100],
            enter_time=person.join_time * 1000,
        )


def _identity(person: VisitNow | WaitingPerson) -> Hashable:
    """None of whom nothing is told. One who came twice is not taken for two pages that overlap."""
    who = person.ms_open_id or person.userid or person.open_id
    return (who, person.instanceid, person.join_time, getattr(person, "join_type", 0)) if who else None


def _to_quality(person: PersonQuality, device: DeviceQuality, accounts: Mapping[str, str]) -> Quality:
    network = device.network
    return Quality(
        target=Target(person.ms_open_id, device.instanceid),
        account=accounts.get(person.ms_open_id, ""),
        display_name=person.nick_name[:100],
        delay=network.network_delay,
        upstream_loss=network.upstream_packet_loss,
        downstream_loss=network.downstream_packet_loss,
    )
