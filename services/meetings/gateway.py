"""The two questions that everybody asks, whoever provides the meetings: what is behind a number, and who came."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.contracts import invitations
from services.meetings import evidence, requests
from services.meetings.provider import (
    AwayError,
    Meeting,
    MeetingKey,
    NoSuchMeetingError,
    NotPermittedError,
    Participant,
    ProviderError,
    Stay,
)
from services.meetings.providers import Providers
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import to_timestamp
from services.platform.data.database import Database
from services.platform.observing import metrics
from services.platform.serving import errors
from services.platform.serving.rates import Rate
from services.platform.text.messages import Text, message

log = logging.getLogger(__name__)

LOOK_UPS, MISSES = 60, 20  # a minute, for each account
CALLS = metrics.counter("yunhui_meetings_provider_calls_total", "questions to the provider", "question", "outcome")
LOOK_UP, WHO_CAME = "look_up", "who_came"

NOT_FOUND = api.LookUpMeetingResponse(outcome=api.LOOK_UP_OUTCOME_NOT_FOUND)
ANOTHERS = api.LookUpMeetingResponse(outcome=api.LOOK_UP_OUTCOME_ANOTHERS)
SECOND_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """[since, until) in epoch ms; None is open."""

    since: int | None
    until: int | None

    def first_inside(self, participant: Participant) -> int | None:
        """The first moment of it at which somebody was inside; None when there is none."""
        moments = (self._first_of(stay) for stay in participant.stays)
        return min((moment for moment in moments if moment is not None), default=None)

    def _first_of(self, stay: Stay) -> int | None:
        """Who left as it began was not inside in it; who entered just then was, be it for less than a second."""
        first, left = max(stay.enter_time, self.since or 0), stay.leave_time
        stayed = first == stay.enter_time or left is None or left > first
        return first if stayed and (self.until is None or first < self.until) else None


class Gateway:
    """Asks the provider that holds the meeting, and the ledger where that is sure."""

    def __init__(
        self,
        providers: Providers,
        webhook_events: WebhookEvents,
        database: Database | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`database`: with the ledger, if that may answer."""
        self.providers = providers
        self._webhook_events = webhook_events
        self._database = database
        self._calls = Rate(LOOK_UPS, now)
        self._misses = Rate(MISSES, now)

    async def look_up(
        self, asked: api.LookUpMeetingRequest, account: str, *, limited: bool = False
    ) -> api.LookUpMeetingResponse:
        """On behalf of `account`. Raises errors.RpcError: INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE, INTERNAL.

        `limited`: nobody shall find out by trying which numbers are meetings, nor use up what the provider allows all.
        """
        if not limited:
            return await self._answer(asked, account)
        check(self._calls.take(account), LOOK_UPS, message("look-ups"))
        check(self._misses.take(account), MISSES, message("look-ups that find nothing"))
        answer = None
        try:
            answer = await self._answer(asked, account)
        finally:
            if answer is not NOT_FOUND and answer is not ANOTHERS:
                self._misses.give_back(account)
        return answer

    async def _answer(self, asked: api.LookUpMeetingRequest, account: str) -> api.LookUpMeetingResponse:
        try:
            meeting = await self._look_up(asked, None if asked.any_owner else account)
        except (NoSuchMeetingError, NotPermittedError) as error:
            CALLS.count(LOOK_UP, "not_found")
            log.info("not found: %s", error)
            return await self._second_look(asked)
        except AwayError as error:
            CALLS.count(LOOK_UP, "away")
            log.warning("no answer: %s", error)
            raise errors.unavailable("the meeting provider", error.retry_seconds) from error
        except ProviderError as error:
            CALLS.count(LOOK_UP, "refused")
            log.error("a look-up was refused: %s", error)
            words = message("the meeting provider does not understand our question; it was logged")
            raise errors.failure(grpc.StatusCode.INTERNAL, "PROVIDER_REFUSED", words) from error
        CALLS.count(LOOK_UP, "found")
        if not asked.any_owner and not meeting.belongs_to(account):
            return ANOTHERS if asked.meeting_code else NOT_FOUND
        return api.LookUpMeetingResponse(outcome=api.LOOK_UP_OUTCOME_FOUND, meeting=to_proto(meeting))

    async def _second_look(self, asked: api.LookUpMeetingRequest) -> api.LookUpMeetingResponse:
        """What the account may not see, may be another's: for a number that much is told, and nothing else of it."""
        if asked.any_owner or not asked.meeting_code:
            return NOT_FOUND
        try:
            async with asyncio.timeout(SECOND_LOOK_SECONDS):
                await self._look_up(asked, None)
        except (ProviderError, TimeoutError):
            return NOT_FOUND
        return ANOTHERS

    async def participants(
        self, asked: api.ListParticipantsRequest, *, somebody: bool = False
    ) -> api.ListParticipantsResponse:
        """Never raises for the provider's sake: what it cannot say is UNKNOWN. Raises errors.invalid.

        `somebody`: whether anybody was inside is all that matters; the provider is not asked where that is sure.
        """
        key = requests.meeting_key(asked.meeting)
        window = read_window(asked)
        if somebody and (sure := await self._sure(key, window)):
            return sure
        people: Present | None = None
        reason = ""
        try:
            people = present(await self._ask_who_came(key, window), window)
            CALLS.count(WHO_CAME, "known")
        except ProviderError as error:
            CALLS.count(WHO_CAME, "unknown")
            log.warning("who came is unknown: %s", error)
            reason = error.reason
        reported = await self._webhook_events.first_entry(key, window.since, window.until)
        return answer(people, reported, reason)

    async def _look_up(self, asked: api.LookUpMeetingRequest, account: str | None) -> Meeting:
        if bool(asked.meeting_code) == asked.HasField("meeting"):
            raise errors.invalid("meeting_code", message("give either meeting_code or meeting"))
        if asked.meeting_code:
            code = invitations.meeting_code(asked.meeting_code)
            return await self.providers.of_number(code).find(code, account)
        key = requests.meeting_key(asked.meeting)
        return await self.providers.of_meeting(key).get(key.meeting_id, account)

    async def _sure(self, key: MeetingKey, window: Window) -> api.ListParticipantsResponse | None:
        """Out of the ledger; None where the provider has to be asked."""
        since, until = window.since, window.until
        if self._database is None or since is None or until is None:
            return None
        found = await self._database.read(lambda connection: evidence.known(connection, key, since, until))
        reported = await self._webhook_events.first_entry(key, since, until)
        if found is None and reported is None:
            return None
        CALLS.count(WHO_CAME, "from the ledger")
        said = answer(present(found.people if found else (), window), reported, "")
        said.occupied = found is not None and found.occupied
        return said

    async def _ask_who_came(self, key: MeetingKey, window: Window) -> list[Participant]:
        return await self.providers.of_meeting(key).participants(key, window.since)


def check(seconds: float, limit: int, what: Text) -> None:
    """`seconds` to wait before there may be more; 0 is fine. Raises errors.RpcError RESOURCE_EXHAUSTED."""
    if seconds:
        words = message("more than {limit} {what} a minute: wait a little", limit=limit, what=what)
        raise errors.exhausted("TOO_MANY_LOOK_UPS", words, int(seconds) + 1)


def read_window(asked: api.ListParticipantsRequest) -> Window:
    since = errors.moment("start_time", asked.start_time) if asked.HasField("start_time") else None
    until = errors.moment("end_time", asked.end_time) if asked.HasField("end_time") else None
    if since is not None and until is not None and until <= since:
        raise errors.invalid("end_time", errors.LATER)
    return Window(since, until)


Present = Sequence[tuple[int, Participant]]
"""Who was inside in a window, with the first moment of it at which they were."""


def present(people: Sequence[Participant], window: Window) -> Present:
    return [(first, each) for each in people if (first := window.first_inside(each)) is not None]


def answer(people: Present | None, reported: int | None, reason: str) -> api.ListParticipantsResponse:
    """`people` None: the provider could not say. That somebody was reported to enter is known all the same."""
    if people is None and reported is None:
        return api.ListParticipantsResponse(knowledge=pb.KNOWLEDGE_UNKNOWN, unknown_reason=reason)
    entries = [first for first, _ in people or []] + ([reported] if reported is not None else [])
    return api.ListParticipantsResponse(
        knowledge=pb.KNOWLEDGE_KNOWN,
        participants=[_participant(each) for _, each in people or []],
        first_enter_time=to_timestamp(min(entries)) if entries else None,
        occupied=any(each.leave_time is None for _, each in people or []),
    )


def to_proto(meeting: Meeting) -> pb.Meeting:
    return pb.Meeting(
        provider=meeting.provider,
        meeting_id=meeting.meeting_id,
        meeting_code=meeting.meeting_code,
        subject=meeting.subject,
        creator_account_id=meeting.creator,
        host_account_ids=meeting.hosts,
        state=pb.MeetingState.Value(f"MEETING_STATE_{meeting.state}"),
        occurrences=[
            pb.Occurrence(
                sub_meeting_id=each.sub_meeting_id,
                start_time=to_timestamp(each.start_time),
                end_time=to_timestamp(each.end_time),
                cancelled=each.cancelled,
            )
            for each in meeting.occurrences
        ],
        more_occurrences=meeting.more_occurrences,
        recurring=meeting.recurring,
    )


def _participant(participant: Participant) -> pb.Participant:
    left = participant.leave_time
    return pb.Participant(
        account_id=participant.account,
        display_name=participant.display_name,
        enter_time=to_timestamp(participant.enter_time),
        leave_time=None if left is None else to_timestamp(left),
        inside=left is None,
    )
