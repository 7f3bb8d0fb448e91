"""What the gateway receives from NATS: the questions of booking and the directory, each answered by one replica."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from faststream.nats import NatsBroker
from google.rpc import error_details_pb2
from yunhui.meetings.v1 import making_pb2, user_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as pb

from services.contracts import subjects
from services.meetings import requests, users
from services.meetings.gateway import Gateway
from services.meetings.making import Making
from services.platform.messaging import request_reply
from services.platform.serving import errors
from services.platform.settings import Settings

log = logging.getLogger(__name__)

AT_ONCE = 64

A = TypeVar("A", pb.LookUpMeetingReply, pb.ListParticipantsReply, user_pb2.ListUsersReply, making_pb2.MakingReply)


def create_broker(settings: Settings, gateway: Gateway, making: Making) -> NatsBroker:
    """A broker that answers; start and stop it. A question that waits for the provider keeps no other waiting."""
    broker = request_reply.create_broker(settings, "meetings")

    @request_reply.responder(broker, subjects.LOOK_UP, pb.LookUpMeetingRequest, at_once=AT_ONCE)
    async def on_look_up(asked: pb.LookUpMeetingRequest) -> pb.LookUpMeetingReply:
        return await look_up(gateway, asked)

    @request_reply.responder(broker, subjects.PARTICIPANTS, pb.ListParticipantsRequest, at_once=AT_ONCE)
    async def on_participants(asked: pb.ListParticipantsRequest) -> pb.ListParticipantsReply:
        return await participants(gateway, asked)

    @request_reply.responder(broker, subjects.USERS, user_pb2.ListUsersRequest, at_once=AT_ONCE)
    async def on_users(asked: user_pb2.ListUsersRequest) -> user_pb2.ListUsersReply:
        return await list_users(gateway, asked)

    @request_reply.responder(broker, subjects.MAKE_MEETING, making_pb2.MakeMeetingRequest, at_once=AT_ONCE)
    async def on_make(asked: making_pb2.MakeMeetingRequest) -> making_pb2.MakingReply:
        return await made(lambda: making.make(asked))

    @request_reply.responder(broker, subjects.MOVE_MEETING, making_pb2.MoveMeetingRequest, at_once=AT_ONCE)
    async def on_move(asked: making_pb2.MoveMeetingRequest) -> making_pb2.MakingReply:
        return await made(lambda: making.move(asked))

    @request_reply.responder(broker, subjects.UNMAKE_MEETING, making_pb2.UnmakeMeetingRequest, at_once=AT_ONCE)
    async def on_unmake(asked: making_pb2.UnmakeMeetingRequest) -> making_pb2.MakingReply:
        return await made(lambda: making.unmake(asked))

    return broker


async def made(ask: Callable[[], Awaitable[making_pb2.MakingResponse]]) -> making_pb2.MakingReply:
    async def answer() -> making_pb2.MakingReply:
        return making_pb2.MakingReply(response=await ask())

    return await _with_errors(making_pb2.MakingReply, answer)


async def look_up(gateway: Gateway, asked: pb.LookUpMeetingRequest) -> pb.LookUpMeetingReply:
    async def find() -> pb.LookUpMeetingReply:
        account = requests.account(asked.account_id)
        if not account and not asked.any_owner:
            raise errors.invalid("account_id", "is required: on whose behalf?")
        return pb.LookUpMeetingReply(response=await gateway.look_up(asked, account, limited=not asked.any_owner))

    return await _with_errors(pb.LookUpMeetingReply, find)


async def participants(gateway: Gateway, asked: pb.ListParticipantsRequest) -> pb.ListParticipantsReply:
    async def find() -> pb.ListParticipantsReply:
        return pb.ListParticipantsReply(response=await gateway.participants(asked, somebody=True))

    return await _with_errors(pb.ListParticipantsReply, find)


async def list_users(gateway: Gateway, asked: user_pb2.ListUsersRequest) -> user_pb2.ListUsersReply:
    async def find() -> user_pb2.ListUsersReply:
        return user_pb2.ListUsersReply(response=await users.list_users(gateway.providers, asked))

    return await _with_errors(user_pb2.ListUsersReply, find)


async def _with_errors(reply: type[A], find: Callable[[], Awaitable[A]]) -> A:
    """What `find` answers; what it raises is an answer, too."""
    try:
        return await find()
    except errors.RpcError as error:
        return reply(error=_error(error))
    except Exception:
        log.exception("%s failed", reply.DESCRIPTOR.name)
        return reply(error=_error(errors.failure(grpc.StatusCode.INTERNAL, "INTERNAL", errors.OURS)))


def _error(error: errors.RpcError) -> pb.MeetingsError:
    pauses = [each.retry_delay for each in error.details if isinstance(each, error_details_pb2.RetryInfo)]
    retry = pauses[0].ToMilliseconds() if pauses else 0
    return pb.MeetingsError(code=error.code.value[0], message=str(error), retry_after_ms=retry)
