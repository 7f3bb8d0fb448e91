"""ControlService over gRPC: one method for each verb, all of one form, and what was done."""

from typing import Any

from yunhui.meetings.v1 import control_service_pb2 as pb
from yunhui.meetings.v1 import control_service_pb2_grpc as pb_grpc

from services.meetings import control_acts, listing, orders, rendering, requests
from services.meetings.control import Control
from services.meetings.listing import EVERYBODYS
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.serving import pages, permissions, rpc

SERVICE = "yunhui.meetings.v1.ControlService"
NEEDED = permissions.of(SERVICE)


class ControlService(pb_grpc.ControlServiceServicer):
    def __init__(self, control: Control, database: Database) -> None:
        self._control = control
        self._database = database

    async def _do(self, request: Any) -> pb.ControlAct:
        return rendering.to_act(await self._control.do(orders.read(request), audit.caller()))

    async def ChangeMeetingSettings(
        self, request: pb.ChangeMeetingSettingsRequest, context: rpc.Context
    ) -> pb.ChangeMeetingSettingsResponse:
        return pb.ChangeMeetingSettingsResponse(act=await self._do(request))

    async def MutePerson(self, request: pb.MutePersonRequest, context: rpc.Context) -> pb.MutePersonResponse:
        return pb.MutePersonResponse(act=await self._do(request))

    async def RemovePeople(self, request: pb.RemovePeopleRequest, context: rpc.Context) -> pb.RemovePeopleResponse:
        return pb.RemovePeopleResponse(act=await self._do(request))

    async def SetCoHost(self, request: pb.SetCoHostRequest, context: rpc.Context) -> pb.SetCoHostResponse:
        return pb.SetCoHostResponse(act=await self._do(request))

    async def AdmitPeople(self, request: pb.AdmitPeopleRequest, context: rpc.Context) -> pb.AdmitPeopleResponse:
        return pb.AdmitPeopleResponse(act=await self._do(request))

    async def PutInWaitingRoom(
        self, request: pb.PutInWaitingRoomRequest, context: rpc.Context
    ) -> pb.PutInWaitingRoomResponse:
        return pb.PutInWaitingRoomResponse(act=await self._do(request))

    async def TurnPeopleAway(
        self, request: pb.TurnPeopleAwayRequest, context: rpc.Context
    ) -> pb.TurnPeopleAwayResponse:
        return pb.TurnPeopleAwayResponse(act=await self._do(request))

    async def RenamePerson(self, request: pb.RenamePersonRequest, context: rpc.Context) -> pb.RenamePersonResponse:
        return pb.RenamePersonResponse(act=await self._do(request))

    async def StopVideo(self, request: pb.StopVideoRequest, context: rpc.Context) -> pb.StopVideoResponse:
        return pb.StopVideoResponse(act=await self._do(request))

    async def StopSharing(self, request: pb.StopSharingRequest, context: rpc.Context) -> pb.StopSharingResponse:
        return pb.StopSharingResponse(act=await self._do(request))

    async def InviteMembers(self, request: pb.InviteMembersRequest, context: rpc.Context) -> pb.InviteMembersResponse:
        return pb.InviteMembersResponse(act=await self._do(request))

    async def EndMeeting(self, request: pb.EndMeetingRequest, context: rpc.Context) -> pb.EndMeetingResponse:
        return pb.EndMeetingResponse(act=await self._do(request))

    async def ListControlActs(
        self, request: pb.ListControlActsRequest, context: rpc.Context
    ) -> pb.ListControlActsResponse:
        key, size = requests.meeting_key(request.meeting), pages.size(request.page_size, most=100)
        await listing.get(self._database, key, EVERYBODYS)
        return await self._database.read(lambda c: control_acts.list_(c, key, size, request.page_token))
