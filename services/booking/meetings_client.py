"""Asks the meetings gateway over NATS: what is behind a number, for whom it is reserved, and who came."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.errors import Error as NatsError
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as gateway

from services.booking import meetings
from services.booking.making_client import MakingClient
from services.booking.meetings import GATEWAY, OccurrenceKey, SeenOccurrence
from services.booking.requests import ReservationInput
from services.contracts import subjects
from services.platform.clock import from_timestamp, to_timestamp
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.text.messages import message

LOOK_UP_SECONDS = 8.0  # the gateway takes 10 at most, and whoever waits for a room has no more patience than that
PARTICIPANTS_SECONDS = 30.0  # the gateway takes 25 at most
MANY = message("meetings are looked up too often: wait a little")
GATEWAY_AWAY = "GATEWAY_AWAY"
INVALID, AWAY, EXHAUSTED = (
    grpc.StatusCode[name].value[0] for name in ("INVALID_ARGUMENT", "UNAVAILABLE", "RESOURCE_EXHAUSTED")
)

R = TypeVar("R", gateway.LookUpMeetingReply, gateway.ListParticipantsReply)


class MeetingsClient:
    """Booking's side of the gateway."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats
        self.makings = MakingClient(nats)

    async def look_up(self, meeting_code: str, account_id: str, *, any_owner: bool) -> meeting_pb2.Meeting:
        """The account's own meeting, or with `any_owner` any. Raises errors.RpcError."""
        asked = gateway.LookUpMeetingRequest(meeting_code=meeting_code, account_id=account_id, any_owner=any_owner)
        found = await self._look_up(asked)
        # the gateway has looked whose it is; a room is too scarce to be lent on one word
        if found is None or not (any_owner or meetings.belongs_to(found, account_id)):
            raise meetings.not_found(meeting_code)
        return found

    async def get(self, key: OccurrenceKey) -> meeting_pb2.Meeting | None:
        """A meeting found before; None when its provider no longer shows it. Raises errors.RpcError: nobody can say."""
        return await self._look_up(gateway.LookUpMeetingRequest(meeting=meetings.to_key(key), any_owner=True))

    async def participants(self, key: OccurrenceKey, since: int, until: int) -> gateway.ListParticipantsResponse:
        """Who was inside in [since, until), epoch ms. Whatever goes wrong is UNKNOWN, never nobody."""
        asked = gateway.ListParticipantsRequest(
            meeting=meetings.to_key(key), start_time=to_timestamp(since), end_time=to_timestamp(until)
        )
        try:
            reply = await self._ask(subjects.PARTICIPANTS, asked, gateway.ListParticipantsReply, PARTICIPANTS_SECONDS)
        except errors.RpcError:
            return _unknown(GATEWAY_AWAY)
        answered = reply.HasField("response") and reply.response.knowledge != meeting_pb2.KNOWLEDGE_UNSPECIFIED
        return reply.response if answered else _unknown(GATEWAY_AWAY)

    async def check(self) -> None:
        """Raises errors.unavailable when no question would be answered; a question about nothing is refused at once."""
        await self._ask(subjects.LOOK_UP, gateway.LookUpMeetingRequest(), gateway.LookUpMeetingReply, LOOK_UP_SECONDS)

    async def _look_up(self, asked: gateway.LookUpMeetingRequest) -> meeting_pb2.Meeting | None:
        reply = await self._ask(subjects.LOOK_UP, asked, gateway.LookUpMeetingReply, LOOK_UP_SECONDS)
        if reply.HasField("error"):
            raise _to_error(reply.error)
        if reply.response.outcome == gateway.LOOK_UP_OUTCOME_NOT_FOUND:
            return None
        if reply.response.outcome == gateway.LOOK_UP_OUTCOME_ANOTHERS:
            raise meetings.anothers(asked.meeting_code)
        if not reply.response.HasField("meeting"):
            raise errors.unavailable(GATEWAY)
        return reply.response.meeting

    async def _ask(self, subject: str, asked: Message, kind: type[R], seconds: float) -> R:
        try:
            # a request into a broken connection would be buffered and answered too late to be of use
            if not self._nats.is_connected:
                raise errors.unavailable(GATEWAY)
            body, trace = asked.SerializeToString(), traces.headers()
            reply = await self._nats.request(subject, body, timeout=seconds, headers=trace)
            return kind.FromString(reply.data)
        except (NatsError, TimeoutError, DecodeError) as error:
            raise errors.unavailable(GATEWAY) from error


async def with_meetings(client: MeetingsClient | None, wanted: Sequence[ReservationInput]) -> list[ReservationInput]:
    """Each with its occurrence of the meeting, or what stands in its way; all are of one account and number.

    Before they join a batch: nobody waits for another's meeting. Without a `client` meetings are not looked up.
    """
    first = wanted[0]
    if not client or not first.meeting_code:
        return list(wanted)
    on_behalf = first.actor != first.account_id  # only support and admin get so far
    try:
        found = await client.look_up(first.meeting_code, first.account_id, any_owner=on_behalf)
    except errors.RpcError as error:
        return [replace(each, obstacle=error) for each in wanted]
    return [with_occurrence(each, found) for each in wanted]


def with_occurrence(wanted: ReservationInput, found: meeting_pb2.Meeting) -> ReservationInput:
    try:
        return replace(wanted, meeting=meetings.choose(found, *wanted.interval))
    except errors.RpcError as error:
        return replace(wanted, obstacle=error)


async def find_again(client: MeetingsClient | None, after: pb.Reservation) -> SeenOccurrence | None:
    """The occurrence that a changed interval means. Raises errors.RpcError when it cannot be reserved for then."""
    if not client or not after.HasField("meeting"):
        return None
    found = await client.get(meetings.from_key(after.meeting.key))
    if found is None:
        words = message(
            "its meeting is no longer there: cancel the reservation, and make a new one for another meeting"
        )
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "MEETING_NOT_FOUND", words)
    return meetings.choose(found, from_timestamp(after.start_time), from_timestamp(after.end_time))


def _unknown(reason: str) -> gateway.ListParticipantsResponse:
    return gateway.ListParticipantsResponse(knowledge=meeting_pb2.KNOWLEDGE_UNKNOWN, unknown_reason=reason)


def _to_error(error: gateway.MeetingsError) -> errors.RpcError:
    if error.code == INVALID:
        return errors.invalid("meeting_code", message("the meetings service does not take this number"))
    if error.code == AWAY:
        return errors.unavailable("the meeting provider", max(1, error.retry_after_ms // 1000))
    if error.code == EXHAUSTED:
        return errors.exhausted("TOO_MANY_LOOK_UPS", MANY, max(1, error.retry_after_ms // 1000))
    words, figures = message("the meetings service cannot answer"), {"said": error.message}
    return errors.failure(grpc.StatusCode.INTERNAL, "MEETINGS_REFUSED", words, figures=figures)
