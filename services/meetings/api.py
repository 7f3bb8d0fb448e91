"""All that the gateway does for gRPC callers, one method an RPC."""

from collections.abc import Awaitable, Callable

from yunhui.meetings.v1 import meeting_service_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2_grpc as pb_grpc
from yunhui.meetings.v1 import simulator_service_pb2 as simulator
from yunhui.meetings.v1 import simulator_service_pb2_grpc as simulator_grpc

from services.contracts import invitations, recurrence
from services.meetings import requests
from services.meetings.gateway import Gateway, to_proto
from services.meetings.provider import Meeting
from services.meetings.simulated import Simulated
from services.platform.serving import errors, permissions, rpc
from services.platform.text.messages import message

SERVICE = "yunhui.meetings.v1.MeetingService"
SIMULATOR = "yunhui.meetings.v1.SimulatorService"

_ALL_MEETINGS = "meetings.view_all"

NEEDED = {**permissions.of(SERVICE), **permissions.of(SIMULATOR)}


class MeetingService(pb_grpc.MeetingServiceServicer):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def LookUpMeeting(self, request: pb.LookUpMeetingRequest, context: rpc.Context) -> pb.LookUpMeetingResponse:
        caller = rpc.principal()
        account = requests.account(request.account_id) or caller.account_id
        trusted = caller.everywhere(_ALL_MEETINGS)
        if not trusted and (request.any_owner or account != caller.account_id):
            raise errors.not_permitted(message("looking up the meetings of others"), _ALL_MEETINGS)
        return await self._gateway.look_up(request, account, limited=not trusted)

    async def ListParticipants(
        self, request: pb.ListParticipantsRequest, context: rpc.Context
    ) -> pb.ListParticipantsResponse:
        return await self._gateway.participants(request)


class SimulatorService(simulator_grpc.SimulatorServiceServicer):
    """Only where the simulated provider is in use."""

    def __init__(self, provider: Simulated) -> None:
        self._provider = provider
        self._acts: dict[int, Callable[[str, str, str], Awaitable[Meeting]]] = {
            simulator.SIMULATED_ACT_ENTER: provider.enter,
            simulator.SIMULATED_ACT_LEAVE: provider.leave,
            simulator.SIMULATED_ACT_WAIT: provider.wait,
            simulator.SIMULATED_ACT_END: provider.end_by_host,
            simulator.SIMULATED_ACT_CANCEL: provider.cancel,
        }

    async def CreateMeeting(
        self, request: simulator.CreateMeetingRequest, context: rpc.Context
    ) -> simulator.CreateMeetingResponse:
        start, end = requests.interval(request.start_time, request.end_time)
        code = invitations.meeting_code(request.meeting_code) if request.meeting_code else ""
        creator = requests.account(request.account_id) or rpc.principal().account_id
        rule, zone = request.recurrence_rule, request.time_zone
        starts = recurrence.occurrences(rule, zone, start) if rule else []
        made = await self._provider.create(code, requests.subject(request.subject), creator, start, end, starts)
        return simulator.CreateMeetingResponse(meeting=to_proto(made))

    async def ActInMeeting(
        self, request: simulator.ActInMeetingRequest, context: rpc.Context
    ) -> simulator.ActInMeetingResponse:
        code = invitations.meeting_code(request.meeting_code)
        account = requests.account(request.account_id) or rpc.principal().account_id
        one = request.sub_meeting_id
        if request.act == simulator.SIMULATED_ACT_MOVE:
            start = errors.moment("start_time", request.start_time)
            end = errors.moment("end_time", request.end_time) if request.HasField("end_time") else None
            after = await self._provider.move(code, start, end, one)
        elif request.act in self._acts:
            after = await self._acts[request.act](code, account, one)
        else:
            raise errors.invalid(
                "act",
                message("say what happens: ENTER, LEAVE, WAIT, END, CANCEL or MOVE"),
            )
        return simulator.ActInMeetingResponse(meeting=to_proto(after))
