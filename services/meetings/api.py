"""All that the gateway does for gRPC callers, one method an RPC; what plays meetings is in simulator_api.py."""

from yunhui.meetings.v1 import meeting_service_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2_grpc as pb_grpc
from yunhui.meetings.v1 import simulator_service_pb2

from services.meetings import requests
from services.meetings.gateway import Gateway
from services.platform.serving import errors, permissions, rpc
from services.platform.text.messages import message

SERVICE = "yunhui.meetings.v1.MeetingService"
SIMULATOR = simulator_service_pb2.DESCRIPTOR.services_by_name["SimulatorService"].full_name

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
