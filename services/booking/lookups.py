"""Looks up the meeting of a request before it joins a batch: nobody waits for another's meeting."""

from collections.abc import Sequence
from dataclasses import replace

import grpc
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.booking import meetings
from services.booking.intake import Ask
from services.booking.meetings import Seen
from services.booking.meetings_client import MeetingsClient
from services.platform.clock import from_timestamp
from services.platform.serving import errors


class Lookups:
    """`client` None: meetings are not looked up in this installation."""

    def __init__(self, client: MeetingsClient | None) -> None:
        self._client = client

    async def attach(self, asks: Sequence[Ask]) -> None:
        """Gives each its occurrence of the meeting, or what stands in its way; all are of one account and number."""
        wish = asks[0].wish
        if not self._client or not wish.meeting_code:
            return
        on_behalf = asks[0].actor != asks[0].account_id  # only support and admin get so far
        try:
            found = await self._client.look_up(wish.meeting_code, asks[0].account_id, any_owner=on_behalf)
        except errors.RpcError as error:
            for ask in asks:
                ask.obstacle = error
        else:
            for ask in asks:
                _attach(ask, found)

    async def again(self, after: pb.Reservation) -> Seen | None:
        """The occurrence that a changed interval means. Raises errors.RpcError when it cannot be reserved for then."""
        if not self._client or not after.HasField("meeting"):
            return None
        found = await self._client.get(meetings.from_key(after.meeting.key))
        if found is None:
            words = "its meeting is no longer there: cancel the reservation, and make a new one for another meeting"
            chinese = "它的会议已不存在：请取消预约，并为另一场会议重新预定"
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "MEETING_NOT_FOUND", words, chinese)
        return meetings.choose(found, from_timestamp(after.start_time), from_timestamp(after.end_time))


def _attach(ask: Ask, found: meeting_pb2.Meeting) -> None:
    try:
        seen = meetings.choose(found, ask.wish.start_time, ask.wish.end_time)
    except errors.RpcError as error:
        ask.obstacle = error
    else:
        ask.wish = replace(ask.wish, meeting=seen)
