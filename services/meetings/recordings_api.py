"""RecordingService over gRPC: who sees what of which recordings, and what the provider says of them just now."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import grpc
from yunhui.meetings.v1 import recording_service_pb2 as api
from yunhui.meetings.v1 import recording_service_pb2_grpc as pb_grpc

from services.contracts import invitations
from services.meetings import (
    listing,
    recording_acts,
    recording_rendering,
    recording_requests,
    requests,
)
from services.meetings.control import no_such_verb
from services.meetings.gateway import CALLS
from services.meetings.provider import (
    AwayError,
    IncompleteError,
    MeetingKey,
    NoSuchMeetingError,
    NotPermittedError,
    ProviderError,
    WrongStateError,
)
from services.meetings.providers import Providers
from services.meetings.recording_control import RecordingControl
from services.meetings.recording_lists import ListPosition, RecordingLists, from_token
from services.meetings.recording_models import RecordingActRow
from services.meetings.recording_requests import Delete, RecordingOrder
from services.meetings.recordings import (
    LONGEST_WINDOW,
    NoSuchRecordingError,
    Recording,
    RecordingKey,
    RecordingProvider,
    RecordingQuery,
    RecordingState,
)
from services.platform.clock import DAY, MINUTE, Clock, to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.serving import errors, pages, permissions, rpc
from services.platform.serving.rates import Rate
from services.platform.text.messages import message

log = logging.getLogger(__name__)

SERVICE = "yunhui.meetings.v1.RecordingService"
NEEDED = permissions.of(SERVICE)
_ALL, _MANAGE = "meetings.view_all", "recordings.manage"
QUESTION = "recordings"
CALLS_A_MINUTE = 60
"""Of somebody who sees only their own: nobody shall use up what the provider allows all."""

T = TypeVar("T")


class RecordingService(pb_grpc.RecordingServiceServicer):
    def __init__(
        self,
        providers: Providers,
        recordings: Mapping[str, RecordingProvider],
        database: Database,
        clock: Clock,
        control: RecordingControl,
        lists: RecordingLists,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`recordings`: the providers that have some, by their names."""
        self._providers, self._recordings = providers, recordings
        self._database, self._clock = database, clock
        self._control, self._lists = control, lists
        self._calls = Rate(CALLS_A_MINUTE, now)

    async def ListRecordings(
        self, request: api.ListRecordingsRequest, context: rpc.Context
    ) -> api.ListRecordingsResponse:
        creator = requests.account(request.creator_account_id, "creator_account_id")
        if own := self._sight():
            if creator not in ("", own):
                raise errors.not_permitted(message("looking up the meetings of others"), _ALL)
            creator = own
            self._restrain(own)
        pages.size(request.page_size, most=recording_requests.PAGE)
        asked, key = self._asked(request), self._meeting(request)
        since, until = await self._window(request, key)
        query = RecordingQuery(since, until, creator, key.meeting_id if key else "", _code(request))
        position = from_token(request.page_token, len(asked)) or ListPosition(since, until)
        found = await _answered(self._lists.read(asked, query, position))
        told = await self._with_creators(found.page.recordings)
        if own:  # whoever is administrator over there and not here
            told = [each for each in told if each.creator == own]
        whole = len(asked) == 1 and position.until - position.since <= LONGEST_WINDOW
        return api.ListRecordingsResponse(
            recordings=[recording_rendering.to_recording(each) for each in told],
            next_page_token=found.following.to_token() if found.following else "",
            total_count=found.page.total if whole else None,
            as_of=to_timestamp(found.as_of),
        )

    async def GetRecording(self, request: api.GetRecordingRequest, context: rpc.Context) -> api.GetRecordingResponse:
        key = recording_requests.recording_key(request.recording_id)
        recording, delete_time = await self._seen(key)
        sharing = None
        if recording.state != RecordingState.DELETED:
            try:
                sharing = await self._provider(key).sharing(key, self._sight())
            except ProviderError as error:
                log.info("who may see a recording is not known: %s", error)
        acts = await self._database.read(lambda c: recording_acts.of_recording(c, key))
        return api.GetRecordingResponse(
            recording=recording_rendering.to_recording(recording, sharing, delete_time),
            acts=[recording_rendering.to_act(row) for row in acts],
            may_manage=_may_manage(recording),
        )

    async def GetRecordingLinks(
        self, request: api.GetRecordingLinksRequest, context: rpc.Context
    ) -> api.GetRecordingLinksResponse:
        key = recording_requests.recording_key(request.recording_id)
        recording, _ = await self._managed(key)
        if recording.state != RecordingState.READY:
            raise _not_ready(recording)
        return recording_rendering.to_links(await _answered(self._provider(key).recording_links(key, self._sight())))

    async def SetRecordingSharing(
        self, request: api.SetRecordingSharingRequest, context: rpc.Context
    ) -> api.SetRecordingSharingResponse:
        order = recording_requests.share_order(request, self._clock.now())
        return api.SetRecordingSharingResponse(act=recording_rendering.to_act(await self._do(order)))

    async def DeleteRecording(
        self, request: api.DeleteRecordingRequest, context: rpc.Context
    ) -> api.DeleteRecordingResponse:
        order = recording_requests.delete_order(request)
        return api.DeleteRecordingResponse(act=recording_rendering.to_act(await self._do(order)))

    async def _do(self, order: RecordingOrder) -> RecordingActRow:
        caller = audit.caller()
        if row := await self._control.earlier(order, caller):
            return row
        recording, _ = await self._managed(order.key)
        if recording.state == RecordingState.DELETED or (
            isinstance(order.what, Delete) and recording.state == RecordingState.RECORDING
        ):
            raise _not_ready(recording)
        known = {each.file_id for each in recording.files or ()}
        if order.what.file_id and order.what.file_id not in known:
            raise errors.not_found("file", message("the recording has no such file"))
        return await self._control.do(self._provider(order.key), order, recording, self._sight(), caller)

    def _sight(self) -> str:
        """Whose recordings the caller sees, who is the one to be asked for; "" is everybody's."""
        caller = rpc.principal()
        return "" if caller.everywhere(_ALL) else caller.account_id

    def _provider(self, key: RecordingKey) -> RecordingProvider:
        if key.provider in self._recordings:
            return self._recordings[key.provider]
        raise no_such_verb() if key.provider in self._providers.names else no_such_recording()

    def _asked(self, request: api.ListRecordingsRequest) -> Mapping[str, RecordingProvider]:
        """Which providers a list is about."""
        if request.HasField("meeting"):
            names = [requests.meeting_key(request.meeting).provider]
            if names[0] not in self._providers.names:
                raise listing.no_such_meeting()
        elif request.meeting_code:
            names = [self._providers.of_number(_code(request)).name]
        else:
            names = [*self._providers.names]
        asked = {name: self._recordings[name] for name in names if name in self._recordings}
        if not asked:
            raise no_such_verb()
        return asked

    def _meeting(self, request: api.ListRecordingsRequest) -> MeetingKey | None:
        if not request.HasField("meeting"):
            return None
        if request.meeting_code:
            raise errors.invalid("meeting_code", message("give either a meeting or a number"))
        return requests.meeting_key(request.meeting)

    async def _window(self, request: api.ListRecordingsRequest, key: MeetingKey | None) -> tuple[int, int]:
        """Defaults are full minutes, so that looks at the same are the same. Raises errors.invalid."""
        now = (self._clock.now() // MINUTE + 1) * MINUTE
        held = await self._database.read(lambda c: recording_acts.times(c, key)) if key else None
        first, last = held or (0, 0)
        since = errors.moment("start_time", request.start_time) if request.HasField("start_time") else None
        until = errors.moment("end_time", request.end_time) if request.HasField("end_time") else None
        if until is None:
            until = min(last + DAY, now) if held and since is None else now
            until = max(until, (since or first) + MINUTE)
        if since is None:
            since = max(first - DAY, until - recording_requests.LONGEST_WINDOW) if held else until - LONGEST_WINDOW
        if until <= since:
            raise errors.invalid("end_time", errors.LATER)
        if until - since > recording_requests.LONGEST_WINDOW:
            raise errors.invalid("start_time", message("at most 366 days can be looked at"))
        return max(since, 1), until

    async def _seen(self, key: RecordingKey) -> tuple[Recording, int | None]:
        """With when it was deleted, if it was. Raises NOT_FOUND, also for what is another's; UNAVAILABLE."""
        provider, own = self._provider(key), self._sight()
        self._restrain(own)
        try:
            found = await provider.recording(key, own)
        except (NoSuchRecordingError, NoSuchMeetingError, NotPermittedError) as error:
            return await self._deleted(key, own, error)
        except ProviderError as error:
            raise _to_rpc_error(error) from error
        [recording] = await self._with_creators([found])
        if own and recording.creator != own and not (not recording.creator and await self._is_of(key, own)):
            raise no_such_recording()
        return (replace(recording, creator=own) if own else recording), None

    async def _deleted(self, key: RecordingKey, own: str, error: ProviderError) -> tuple[Recording, int | None]:
        row = await self._database.read(lambda c: recording_acts.deletion(c, key))
        if row is None or (own and row.creator != own):
            if isinstance(error, NotPermittedError) and not own:
                raise _to_rpc_error(error) from error
            raise no_such_recording() from error
        return recording_rendering.deleted(row), row.finish_time

    async def _managed(self, key: RecordingKey) -> tuple[Recording, int | None]:
        """As _seen. Raises PERMISSION_DENIED for one that the caller only sees."""
        recording, delete_time = await self._seen(key)
        if not _may_manage(recording):
            raise errors.not_permitted(message("playing, sharing or deleting the recordings of others"), _MANAGE)
        return recording, delete_time

    async def _is_of(self, key: RecordingKey, account: str) -> bool:
        """Whether the account made the meeting, by what its provider says."""
        meeting = MeetingKey(key.provider, key.meeting_id)
        try:
            return (await self._providers.of_meeting(meeting).get(key.meeting_id, account)).creator == account
        except (NoSuchMeetingError, NotPermittedError):
            return False
        except ProviderError as error:
            raise _to_rpc_error(error) from error

    async def _with_creators(self, recordings: Sequence[Recording]) -> list[Recording]:
        """What the ledger knows comes before what is said of whoever asked."""
        if not recordings:
            return []
        provider, ids = recordings[0].key.provider, {each.key.meeting_id for each in recordings}
        known = await self._database.read(lambda c: recording_acts.creators(c, provider, ids))
        return [replace(each, creator=known.get(each.key.meeting_id, each.creator)) for each in recordings]

    def _restrain(self, own: str) -> None:
        if own and (seconds := self._calls.take(own)):
            words = message("too many questions about recordings: ask again in {seconds} s", seconds=int(seconds) + 1)
            raise errors.exhausted("RATE_LIMITED", words, int(seconds) + 1)


def _may_manage(recording: Recording) -> bool:
    caller = rpc.principal()
    return recording.creator == caller.account_id or caller.everywhere(_MANAGE)


def _code(request: api.ListRecordingsRequest) -> str:
    return invitations.meeting_code(request.meeting_code) if request.meeting_code else ""


async def _answered(question: Awaitable[T]) -> T:
    """Raises errors.RpcError."""
    try:
        return await question
    except ProviderError as error:
        raise _to_rpc_error(error) from error


def _to_rpc_error(error: ProviderError) -> errors.RpcError:
    log.warning("no recordings: %s", error)
    if isinstance(error, AwayError | IncompleteError):
        CALLS.count(QUESTION, "away")
        seconds = error.retry_seconds if isinstance(error, AwayError) else AwayError.retry_seconds
        return errors.unavailable("the meeting provider", seconds)
    CALLS.count(QUESTION, "refused")
    if isinstance(error, NoSuchRecordingError | NoSuchMeetingError):
        return no_such_recording()
    if isinstance(error, WrongStateError):
        return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "RECORDING_NOT_READY", NOT_READY)
    if isinstance(error, NotPermittedError):
        words = message("the meeting provider does not let us see recordings")
        return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, error.reason, words)
    words = message("the meeting provider does not understand our question; it was logged")
    return errors.failure(grpc.StatusCode.INTERNAL, "PROVIDER_REFUSED", words)


NOT_READY = message("the recording is not ready yet: its files are still being made")


def no_such_recording() -> errors.RpcError:
    return errors.not_found("recording", message("there is no such recording"))


def _not_ready(recording: Recording) -> errors.RpcError:
    if recording.state == RecordingState.DELETED:
        words = message("the recording was deleted")
        return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "RECORDING_DELETED", words)
    if recording.state == RecordingState.RECORDING:
        words = message("the meeting is still being recorded")
        return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "RECORDING_NOT_READY", words)
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "RECORDING_NOT_READY", NOT_READY)
