"""Cloud recordings by Tencent's API: lists of at most 31 days in pages of 20, addresses that last, sharing, deletion.

Who may: the creator of the meeting, or an administrator who may manage recordings. What is done is never done again by
itself: only an answer with an error code says that it was not done.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from services.meetings.provider import IncompleteError, MisconfiguredError, NoSuchMeetingError, ProviderError
from services.meetings.recordings import (
    Audience,
    FileLinks,
    NoSuchRecordingError,
    Recording,
    RecordingFile,
    RecordingKey,
    RecordingLinks,
    RecordingPage,
    RecordingQuery,
    RecordingState,
    Sharing,
)
from services.meetings.tencent import paging
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.answers import Done, NumberedPage
from services.meetings.tencent.client import Call, TencentClient
from services.meetings.tencent.errors import ANOTHER_MAY, INVALID, UNREGISTERED, Endpoint, code_of
from services.meetings.tencent.paths import checked
from services.meetings.tencent.recording_answers import (
    DONE,
    RECORDING,
    TRANSCODING,
    FileAddress,
    FileAddresses,
    RecordFile,
    RecordMeeting,
    RecordMeetings,
    RecordSettings,
)
from services.platform.clock import DAY, HOUR, Clock

log = logging.getLogger(__name__)

PAGE = 20
MOST_PAGES = 10
"""Of one meeting within a month."""
USER = 1
LINKS_LAST = 6 * HOUR
"""Of addresses for downloading, as documented."""
STATES = {
    RECORDING: RecordingState.RECORDING,
    TRANSCODING: RecordingState.TRANSCODING,
    DONE: RecordingState.READY,
}
SCOPES: Mapping[Audience, tuple[int, int]] = {
    Audience.PARTICIPANTS: (0, 2),
    Audience.ORGANIZATION: (1, 1),
    Audience.ANYBODY: (0, 0),
}
"""`share_scope` and `sharing_auth_type`; whoever it is has to sign in over there."""


class TencentRecordings:
    """`operator` is a userid of an administrator."""

    def __init__(self, client: TencentClient, accounts: Accounts, name: str, operator: str, clock: Clock) -> None:
        self._client = client
        self._accounts = accounts
        self._name = name
        self._operator = operator
        self._clock = clock

    async def recordings(self, query: RecordingQuery, page: int) -> RecordingPage:
        """Of the whole enterprise, which has a list of its own without files, or of one person, meeting or number."""
        everything = not (query.creator or query.meeting_id or query.meeting_code)
        answer = await self._page(query, page, everything=everything)
        made = tuple(self._to_recording(each, query.creator) for each in answer.rows)
        return RecordingPage(made, page + 1 if page < answer.total_page else 0, answer.total_count)

    async def _page(self, query: RecordingQuery, page: int, *, everything: bool) -> RecordMeetings:
        asked = {
            "start_time": str(-(-query.since // 1000)),
            "end_time": str(-(-query.until // 1000) - 1),  # theirs is inclusive
            "page": str(page),
            "page_size": str(PAGE),
            **self._as(query.creator),
            **({"meeting_id": query.meeting_id} if query.meeting_id else {}),
            **({"meeting_code": query.meeting_code} if query.meeting_code and not query.meeting_id else {}),
        }
        call = Call(Endpoint.ALL_RECORDINGS, "/v1/corp/records", asked)
        if not everything:
            call = Call(Endpoint.RECORDINGS, "/v1/records", asked)
        try:
            answer = await self._client.ask(call, RecordMeetings)
        except NoSuchMeetingError as error:
            if query.creator or code_of(error) != UNREGISTERED:
                raise
            raise MisconfiguredError(f"{error}: our own operator") from error
        check(call.endpoint, answer, page)
        return answer

    async def recording(self, key: RecordingKey, creator: str) -> Recording:
        return self._to_recording(await self._row(key, creator), creator)

    async def _row(self, key: RecordingKey, creator: str) -> RecordMeeting:
        """Among those of its meeting, so that it is of that one."""
        since = max(key.start_time - DAY, 1000)
        query = RecordingQuery(since, since + 30 * DAY, creator, checked(key.meeting_id))
        for page in range(1, MOST_PAGES + 1):
            answer = await self._page(query, page, everything=False)
            for each in answer.rows:
                if (each.meeting_record_id, each.meeting_id) == (key.recording_id, key.meeting_id):
                    return each
            if page >= answer.total_page:
                raise NoSuchRecordingError(f"{Endpoint.RECORDINGS}: not among those of its meeting")
        raise IncompleteError(f"{Endpoint.RECORDINGS}: more than {MOST_PAGES} pages")

    async def sharing(self, key: RecordingKey, creator: str) -> Sharing:
        path = f"/v1/records/settings/{checked(key.recording_id)}"
        call = Call(Endpoint.SHARING_OF, path, self._as(creator))
        config = (await _of_one(self._client.ask(call, RecordSettings))).sharing_config
        if not config.enable_sharing:
            return Sharing(Audience.NOBODY)
        audience = Audience.ORGANIZATION if config.share_scope == 1 else Audience.ANYBODY
        if audience is Audience.ANYBODY:  # that it is for those who were there is told of its files alone
            files = (await self._row(key, creator)).record_files or []
            audience = Audience.PARTICIPANTS if any(each.required_participant for each in files) else audience
        expire = config.sharing_expire if config.enable_sharing_expire else 0
        return Sharing(audience, config.enable_password, expire or None, config.allow_download)

    async def recording_links(self, key: RecordingKey, creator: str) -> RecordingLinks:
        expire_time = self._clock.now() + LINKS_LAST

        async def ask(page: int) -> NumberedPage[FileAddress]:
            wanted = {"meeting_record_id": key.recording_id, "page": str(page), "page_size": str(PAGE)}
            call = Call(Endpoint.ADDRESSES, "/v1/addresses", wanted | self._as(creator))
            answer = await self._client.ask(call, FileAddresses)
            if answer.meeting_record_id != key.recording_id:
                raise IncompleteError(f"{Endpoint.ADDRESSES}: another recording was answered")
            return answer

        async with paging.within(Endpoint.ADDRESSES, self._client.timing.all_pages):
            row = await self._row(key, creator)
            found = await _of_one(paging.read_all(Endpoint.ADDRESSES, ask, lambda each: each.record_file_id))
        links = tuple(
            FileLinks(
                each.record_file_id,
                web(each.view_address),
                web(each.download_address),
                web(each.audio_address),
                expire_time,
            )
            for each in found
        )
        shared = next((each for each in row.record_files or [] if each.sharing_state == 1 and each.sharing_url), None)
        return RecordingLinks(links, web(shared.sharing_url) if shared else "", shared.password if shared else "")

    async def share_recording(self, key: RecordingKey, sharing: Sharing, password: str, creator: str) -> None:
        path = f"/v1/records/settings/{checked(key.recording_id)}"
        body = {"meeting_id": checked(key.meeting_id), "sharing_config": to_config(sharing, password)}

        async def send(user: str) -> None:
            """Its pages contradict each other on how to say who acts."""
            try:
                who: dict[str, Any] = {"operator_id": user, "operator_id_type": USER}
                await self._client.ask(Call(Endpoint.SHARE, path, {}, who | body), Done)
            except ProviderError as error:
                if code_of(error) != INVALID:
                    raise
                await self._client.ask(Call(Endpoint.SHARE, path, {}, {"userid": user} | body), Done)

        await self._on_behalf(creator, send)

    async def delete_recording(self, key: RecordingKey, file_id: str, creator: str) -> None:
        meeting = {"meeting_id": checked(key.meeting_id)}

        async def send(user: str) -> None:
            who = {"operator_id": user, "operator_id_type": str(USER)}
            whole = {"meeting_record_id": checked(key.recording_id)}
            call = Call(Endpoint.DELETE_RECORDING, "/v1/records", whole | meeting | who)
            if file_id:
                call = Call(Endpoint.DELETE_FILE, f"/v1/records/{checked(file_id)}", meeting | who)
            await self._client.ask(call, Done)

        await self._on_behalf(creator, send)

    async def _on_behalf(self, creator: str, send: Callable[[str], Awaitable[None]]) -> None:
        """The administrator, where the creator is not permitted what is theirs."""
        user = self._accounts.to_user(creator) if creator else self._operator
        try:
            await _of_one(send(user))
        except ProviderError as error:
            if user == self._operator or code_of(error) not in ANOTHER_MAY:
                raise
            log.info("%s, as the creator", error)
            await _of_one(send(self._operator))

    def _as(self, creator: str) -> dict[str, str]:
        user = self._accounts.to_user(creator) if creator else self._operator
        return {"operator_id": user, "operator_id_type": str(USER)}

    def _to_recording(self, row: RecordMeeting, creator: str) -> Recording:
        state = STATES.get(row.state, RecordingState.UNKNOWN)
        files = None if row.record_files is None and state is RecordingState.READY else row.record_files or []
        return Recording(
            key=RecordingKey(self._name, row.meeting_id, row.meeting_record_id, row.media_start_time),
            state=state,
            meeting_code=row.meeting_code,
            subject=row.subject[:200],
            creator=self._accounts.to_account(row.userid) if row.userid else creator,
            files=None if files is None else tuple(map(_to_file, files)),
        )


async def _of_one(question: Awaitable[Any]) -> Any:
    """About one recording: what is absent is that. Raises NoSuchRecordingError."""
    try:
        return await question
    except NoSuchMeetingError as error:
        raise NoSuchRecordingError(str(error)) from error.__cause__


def _to_file(file: RecordFile) -> RecordingFile:
    return RecordingFile(file.record_file_id, file.record_start_time, file.record_end_time or None, file.record_size)


def to_config(sharing: Sharing, password: str) -> Mapping[str, Any]:
    """Nothing else may be said of what is not shared."""
    if sharing.audience is Audience.NOBODY:
        return {"enable_sharing": False}
    scope, kind = SCOPES[sharing.audience]
    return {
        "enable_sharing": True,
        "share_scope": scope,
        "sharing_auth_type": kind,
        "enable_password": bool(password),
        **({"password": password} if password else {}),
        "enable_sharing_expire": sharing.expire_time is not None,
        **({"sharing_expire": sharing.expire_time} if sharing.expire_time is not None else {}),
        "allow_download": sharing.may_download,
    }


def web(address: str) -> str:
    """What is no address of the web is none: it is shown as a link."""
    return address if address.startswith(("https://", "http://")) and address.isprintable() else ""


def check(endpoint: Endpoint, answer: RecordMeetings, page: int) -> None:
    """Raises IncompleteError for a page that has not as many rows as it must have by what it says of the whole."""
    total, pages = answer.total_count, -(-answer.total_count // PAGE)
    expected = max(0, min(PAGE, total - PAGE * (page - 1)))
    fits = len(answer.rows) == expected and (answer.total_page == pages or not total)
    if not fits or answer.current_page not in (0, page):
        raise IncompleteError(f"{endpoint}: the answer contradicts itself")
