"""What the gateway receives from NATS: booking's two questions, each answered by one replica of the queue group."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from faststream.nats import NatsBroker
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as pb

from services.contracts import subjects
from services.meetings import requests
from services.meetings.gateway import Gateway
from services.platform.messaging import bus
from services.platform.messaging.consumer import TraceAnnotation
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.settings import Settings

log = logging.getLogger(__name__)

AT_ONCE = 64

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", pb.LookUpMeetingReply, pb.ListParticipantsReply)


def create_broker(settings: Settings, gateway: Gateway) -> NatsBroker:
    """A broker that answers; start and stop it. A question that waits for the provider keeps no other waiting."""
    broker = bus.create_broker(settings, "meetings")

    @bus.responder(broker, subjects.LOOK_UP, at_once=AT_ONCE)
    async def on_look_up(body: bytes, headers: TraceAnnotation) -> bytes:
        with traces.received("look up", headers.get(traces.HEADER, ""), "server"):
            return (await look_up(gateway, body)).SerializeToString()

    @bus.responder(broker, subjects.PARTICIPANTS, at_once=AT_ONCE)
    async def on_participants(body: bytes, headers: TraceAnnotation) -> bytes:
        with traces.received("who came", headers.get(traces.HEADER, ""), "server"):
            return (await participants(gateway, body)).SerializeToString()

    return broker


async def look_up(gateway: Gateway, body: bytes) -> pb.LookUpMeetingReply:
    async def ask(asked: pb.LookUpMeetingRequest) -> pb.LookUpMeetingReply:
        account = requests.account(asked.account_id)
        if not account and not asked.any_owner:
            raise errors.invalid("account_id", "is required: on whose behalf?", "")
        return pb.LookUpMeetingReply(response=await gateway.look_up(asked, account, limited=not asked.any_owner))

    return await _answered(body, pb.LookUpMeetingRequest, pb.LookUpMeetingReply, ask)


async def participants(gateway: Gateway, body: bytes) -> pb.ListParticipantsReply:
    async def ask(asked: pb.ListParticipantsRequest) -> pb.ListParticipantsReply:
        return pb.ListParticipantsReply(response=await gateway.participants(asked))

    return await _answered(body, pb.ListParticipantsRequest, pb.ListParticipantsReply, ask)


async def _answered(body: bytes, kind: type[Q], reply: type[A], ask: Callable[[Q], Awaitable[A]]) -> A:
    try:
        return await ask(kind.FromString(body))
    except DecodeError:
        log.error("%s: a message of %d bytes cannot be read", kind.DESCRIPTOR.name, len(body))
        return reply(error=_error(errors.invalid("request", "the bytes are not a message of this method", "")))
    except errors.RpcError as error:
        return reply(error=_error(error))
    except Exception:
        log.exception("%s failed", kind.DESCRIPTOR.name)
        return reply(error=_error(errors.failure(grpc.StatusCode.INTERNAL, "INTERNAL", *errors.OURS)))


def _error(error: errors.RpcError) -> pb.MeetingsError:
    pauses = [each.retry_delay for each in error.details if isinstance(each, error_details_pb2.RetryInfo)]
    retry = pauses[0].ToMilliseconds() if pauses else 0
    return pb.MeetingsError(code=error.code.value[0], message=str(error), retry_after_ms=retry)
