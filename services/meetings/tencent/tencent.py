"""Tencent Meeting behind the port: its REST API (AK/SK), asked within limits and in bounded time."""

import asyncio
import base64
import binascii
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from services.meetings.provider import (
    AwayError,
    CancelledError,
    Control,
    IncompleteError,
    Meeting,
    MeetingKey,
    MeetingState,
    MisconfiguredError,
    NoSuchMeetingError,
    Occurrence,
    Participant,
    ProviderError,
    RateLimitedError,
    Stay,
    WrongStateError,
)
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.errors import OF_ALL_CALLS, Endpoint, to_error
from services.meetings.tencent.limits import CALLS_A_DAY, CALLS_A_MINUTE, Restraint, TokenBucket
from services.meetings.tencent.signature import Credentials, TencentAuth
from services.platform.clock import DAY, Clock

log = logging.getLogger(__name__)

NAME = "tencent"
ADDRESS = "https://api.meeting.qq.com"
LARGEST_ANSWER = 8 * 1024 * 1024
LARGEST_PAGE, PRESENT_PAGE = 100, 50
MOST_PAGES = 100
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


def _number(value: Any) -> Any:
    return value or 0  # "" and null stand for no time


def _decoded(value: Any) -> Any:
    """Names travel in base64; one that does not is taken as it is, for a name must not cost an answer."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError, TypeError):
        return value if isinstance(value, str) else ""


Seconds = Annotated[int, BeforeValidator(_number)]
Encoded = Annotated[str, BeforeValidator(_decoded)]


class TencentAnswer(BaseModel):
    """Unknown fields are ignored: there will be more. A null is a field that is not there."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, content: Any) -> Any:
        return (
            {name: value for name, value in content.items() if value is not None} if type(content) is dict else content
        )


class User(TencentAnswer):
    userid: str = ""


class SubMeeting(TencentAnswer):
    sub_meeting_id: str
    status: int | str = 0  # 0 as planned, 1 called off
    start_time: Seconds = 0
    end_time: Seconds = 0


class MeetingInfo(TencentAnswer):
    meeting_id: str
    meeting_code: str = ""
    subject: str = ""
    status: str = ""
    meeting_type: int = 0
    start_time: Seconds = 0
    end_time: Seconds = 0
    hosts: list[User] = []
    join_meeting_role: str = ""
    sub_meetings: list[SubMeeting] = []
    has_more_sub_meeting: int = 0


class Meetings(TencentAnswer):
    """With neither field it says nothing, and must not be taken for "there is none"."""

    meeting_number: int = -1
    meeting_info_list: list[MeetingInfo] = []

    @model_validator(mode="after")
    def refuse_silence(self) -> Self:
        if self.meeting_number < 0 and not self.meeting_info_list:
            raise ValueError("an answer without meeting_number")
        return self


class Visit(TencentAnswer):
    userid: str = ""
    open_id: str = ""
    ms_open_id: str = ""
    user_name: Encoded = ""
    join_time: Annotated[int, BeforeValidator(_number), Field(gt=0)]
    left_time: Seconds = 0


class Visits(TencentAnswer):
    """`meeting_id` and `total_count` are required: an empty object must not be taken for "nobody"."""

    meeting_id: str
    total_count: int
    participants: list[Visit] = []
    has_remaining: bool = False
    next_pos: int = 0


class Present(TencentAnswer):
    meeting_id: str
    total_count: int
    participants: list[Visit] = []
    total_page: int = 0


class ErrorInfo(TencentAnswer):
    error_code: int
    message: str = ""


class Failure(TencentAnswer):
    error_info: ErrorInfo | None = None


class Done(TencentAnswer):
    """Nothing to read."""


A = TypeVar("A", bound=TencentAnswer)


@dataclass(frozen=True, slots=True)
class Call:
    """One request before it is signed. Only what is read may be repeated after an answer that did not come."""

    endpoint: Endpoint
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None = None

    @property
    def method(self) -> str:
        return self.endpoint.partition(" ")[0]

    @property
    def repeatable(self) -> bool:
        return self.method == "GET"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: for a connection, a read or write, a call with its attempts and waits, an answer of many pages."""

    connect: float = 2.0
    read: float = 4.0
    whole: float = 8.0
    all_pages: float = 20.0
    pauses: tuple[float, ...] = (0.2, 0.6)
    """Before the second attempt, and the third."""


class TencentClient:
    """Asks: signed anew each time, within the limits, once more after each pause, and no longer than `timing.whole`."""

    def __init__(self, address: str, auth: httpx2.Auth, timing: Timing, calls_a_minute: int = CALLS_A_MINUTE) -> None:
        timeout = httpx2.Timeout(timing.read, connect=timing.connect)
        # no HTTP/2: it would write header names in lower case, and the other side takes them for others
        self._http = httpx2.AsyncClient(base_url=address, auth=auth, timeout=timeout, http2=False)
        self.timing = timing
        buckets = [TokenBucket(calls_a_minute, 60, burst=20), TokenBucket(CALLS_A_DAY, 86400, burst=CALLS_A_DAY // 2)]
        self._restraint = Restraint(buckets, timing.whole)

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, call: Call, kind: type[A]) -> A:
        """Raises ProviderError."""
        try:
            async with asyncio.timeout(self.timing.whole):
                return await self._ask_again_and_again(call, kind)
        except TimeoutError as error:
            raise AwayError(f"{call.endpoint}: no answer within {self.timing.whole:g} s") from error

    async def _ask_again_and_again(self, call: Call, kind: type[A]) -> A:
        for pause in self.timing.pauses:
            try:
                return await self._ask_once(call, kind)
            except (RateLimitedError, MisconfiguredError):
                raise
            except AwayError as error:
                if not call.repeatable:
                    raise
                log.info("%s, trying again", error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
        return await self._ask_once(call, kind)

    async def _ask_once(self, call: Call, kind: type[A]) -> A:
        await self._restraint.take()
        try:
            status, content = await self._send(call)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise AwayError(f"{call.endpoint}: {type(error).__name__}") from error
        info = read_error(content)
        if info:
            raise self._failed(call, info)
        if status != httpx2.codes.OK:
            raise AwayError(f"{call.endpoint}: HTTP {status} without an error code")
        return read(call, kind, content)

    async def _send(self, call: Call) -> tuple[int, bytes]:
        request = self._http.build_request(call.method, call.path + encode(call.query), json=call.body)
        response = await self._http.send(request, stream=True)
        try:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > LARGEST_ANSWER:
                    raise AwayError(f"{call.endpoint}: the answer is larger than {LARGEST_ANSWER} bytes")
            return response.status_code, bytes(content)
        finally:
            await response.aclose()

    def _failed(self, call: Call, info: ErrorInfo) -> ProviderError:
        error = to_error(call.endpoint, info.error_code, info.message)
        if isinstance(error, RateLimitedError) and info.error_code in OF_ALL_CALLS:
            self._restraint.pause(error.retry_seconds)
        return error


def read_error(content: bytes) -> ErrorInfo | None:
    """Whatever the HTTP status is."""
    try:
        return Failure.model_validate_json(content).error_info
    except ValidationError:
        return None


def read(call: Call, kind: type[A], content: bytes) -> A:
    try:
        return kind.model_validate_json(content or b"{}")
    except ValidationError as error:
        # the error quotes what was read, which can be personal: only where it failed is told
        places = ", ".join(".".join(map(str, each["loc"])) for each in error.errors(include_input=False)[:3])
        raise AwayError(f"{call.endpoint}: an answer that cannot be read: {places or 'no JSON'}") from error


def encode(query: Mapping[str, str]) -> str:
    """Percent-encoded throughout: a "+" would be a space to some and itself to others, and the signature broken."""
    joined = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    return f"?{joined}" if joined else ""


class Tencent:
    """The provider. `operator` is a userid of the enterprise that may see all its meetings."""

    name = NAME

    def __init__(self, client: TencentClient, accounts: Accounts, operator: str, clock: Clock) -> None:
        self._client = client
        self._accounts = accounts
        self._operator = operator
        self._clock = clock

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
        async with self._within_all_pages(Endpoint.PARTICIPANTS):
            return self._to_participants([visit async for visit in self._visits(key, since)])

    async def present(self, key: MeetingKey) -> list[Participant]:
        async with self._within_all_pages(Endpoint.PRESENT):
            return self._to_participants(await self._present(key))

    async def end(self, key: MeetingKey) -> None:
        body = {
            "operator_id": self._operator,
            "operator_id_type": int(USER),
            "instanceid": int(TERMINAL),
            "reason_code": 1,
            "force_dismiss_meeting": 1,
            "retrieve_code": 0,
        }
        call = Call(Endpoint.END, f"{meeting_path(key.meeting_id)}/dismiss", {}, body)
        try:
            await self._client.ask(call, Done)
        except WrongStateError as error:
            log.info("%s: taken as done", error)

    async def control(self, key: MeetingKey, control: Control) -> None:
        wanted = {
            "mute_all": control.mute_all,
            "meeting_locked": control.locked,
            "auto_waiting_room": control.waiting_room,
        }
        body = {
            "operator_id": self._operator,
            "operator_id_type": int(USER),
            "instanceid": int(TERMINAL),
            **{name: value for name, value in wanted.items() if value is not None},
        }
        path = f"/v1/real-control/meetings/{_id_in_path(key.meeting_id)}/status"
        await self._client.ask(Call(Endpoint.CONTROL, path, {}, body), Done)

    async def _present(self, key: MeetingKey) -> list[Visit]:
        path = f"{meeting_path(key.meeting_id)}/real-time-participants"
        visits: list[Visit] = []
        for page in range(1, MOST_PAGES + 1):
            query = self._as_operator(key) | {"page": str(page), "page_size": str(PRESENT_PAGE)}
            call = Call(Endpoint.PRESENT, path, query)
            answer = await self._client.ask(call, Present)
            _check_page(call, key, answer, page - 1)
            visits += answer.participants
            if page >= answer.total_page:
                return [visit.model_copy(update={"left_time": 0}) for visit in visits]
        raise IncompleteError(f"{Endpoint.PRESENT}: more than {MOST_PAGES} pages")

    async def _visits(self, key: MeetingKey, since: int | None) -> AsyncIterator[Visit]:
        path, position = f"{meeting_path(key.meeting_id)}/participants", 0
        query = self._as_operator(key) | {"size": str(LARGEST_PAGE)} | self._window(key, since)
        for _ in range(MOST_PAGES):
            call = Call(Endpoint.PARTICIPANTS, path, query | {"pos": str(position)})
            answer = await self._client.ask(call, Visits)
            _check_page(call, key, answer, position)
            for visit in answer.participants:
                yield visit
            if not answer.has_remaining:
                return
            if answer.next_pos <= position:
                break
            position = answer.next_pos
        raise IncompleteError(f"{Endpoint.PARTICIPANTS}: there is more than can be read")

    @asynccontextmanager
    async def _within_all_pages(self, endpoint: Endpoint) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._client.timing.all_pages):
                yield
        except TimeoutError as error:
            raise IncompleteError(f"{endpoint}: more pages than there is time for") from error

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


def meeting_path(meeting_id: str) -> str:
    return f"/v1/meetings/{_id_in_path(meeting_id)}"


def _id_in_path(meeting_id: str) -> str:
    """What is no id of theirs must not become another path."""
    if not (meeting_id.isascii() and meeting_id.isalnum() and len(meeting_id) <= 64):
        raise NoSuchMeetingError("not an id of a meeting of this provider")
    return meeting_id


def _check_page(call: Call, key: MeetingKey, answer: Visits | Present, position: int) -> None:
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
    return Tencent(client, accounts, operator, clock), client
