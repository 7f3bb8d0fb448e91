"""Asks the meetings gateway over NATS for meetings that are made here. Each may be asked again, to the same effect."""

import grpc
from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.errors import Error as NatsError
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import making_pb2 as making

from services.booking.meetings import GATEWAY
from services.booking.requests import ReservationInput
from services.contracts import subjects
from services.platform.clock import to_timestamp
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.text.messages import message

SECONDS = 22.0
"""The gateway takes 20 at most, and whoever waits 30."""


class MakingClient:
    """Booking's side of making.proto. All raise errors.RpcError when there is no answer, or none to rely on."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats

    async def make(self, making_id: str, wanted: ReservationInput) -> making.MakingResponse:
        asked = making.MakeMeetingRequest(
            making_id=making_id,
            creator_account_id=wanted.account_id,
            subject=wanted.subject,
            start_time=to_timestamp(wanted.start_time),
            end_time=to_timestamp(wanted.end_time),
            options=wanted.new_meeting,
        )
        return with_meeting(await self._ask(subjects.MAKE_MEETING, asked))

    async def move(self, making_id: str, record: pb.Reservation) -> making.MakingResponse:
        """To the times of that reservation."""
        asked = making.MoveMeetingRequest(making_id=making_id, start_time=record.start_time, end_time=record.end_time)
        return with_meeting(await self._ask(subjects.MOVE_MEETING, asked))

    async def unmake(self, making_id: str) -> making.MakingResponse:
        return await self._ask(subjects.UNMAKE_MEETING, making.UnmakeMeetingRequest(making_id=making_id))

    async def _ask(self, subject: str, asked: Message) -> making.MakingResponse:
        try:
            # a request into a broken connection would be buffered, and done when nobody expects it any more
            if not self._nats.is_connected:
                raise errors.unavailable(GATEWAY)
            body, trace = asked.SerializeToString(), traces.headers()
            answer = await self._nats.request(subject, body, timeout=SECONDS, headers=trace)
            reply = making.MakingReply.FromString(answer.data)
        except (NatsError, TimeoutError, DecodeError) as error:
            raise errors.unavailable(GATEWAY) from error
        if reply.HasField("error") and not reply.error.retry_after_ms:
            words, figures = message("the meetings service cannot answer"), {"said": reply.error.message}
            raise errors.failure(grpc.StatusCode.INTERNAL, "MEETINGS_REFUSED", words, figures=figures)
        if reply.HasField("error"):
            raise errors.unavailable("the meeting provider", max(1, reply.error.retry_after_ms // 1000))
        if not reply.HasField("response"):
            raise errors.unavailable(GATEWAY)
        return reply.response


def with_meeting(response: making.MakingResponse) -> making.MakingResponse:
    """Raises errors.unavailable for one that says DONE and shows nothing."""
    if response.outcome == making.MAKING_OUTCOME_DONE and not response.HasField("meeting"):
        raise errors.unavailable(GATEWAY)
    return response


def is_done(response: making.MakingResponse) -> bool:
    return response.outcome == making.MAKING_OUTCOME_DONE


def is_refused(response: making.MakingResponse) -> bool:
    """By the provider: what was unmade in between may be wanted again."""
    return response.outcome == making.MAKING_OUTCOME_REFUSED and response.refusal != "UNMADE"
