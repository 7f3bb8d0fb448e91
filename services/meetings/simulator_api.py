"""What plays the people of the simulated provider for gRPC callers: only where that provider is in use."""

from collections.abc import Awaitable, Callable, Mapping

from yunhui.meetings.v1 import listed_meeting_pb2 as listed
from yunhui.meetings.v1 import simulator_service_pb2 as pb
from yunhui.meetings.v1 import simulator_service_pb2_grpc as pb_grpc

from services.contracts import invitations, recurrence
from services.meetings import requests, simulated_crowd
from services.meetings.gateway import to_proto
from services.meetings.people import Device
from services.meetings.provider import Meeting
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_scene import Visitor
from services.platform.serving import errors, rpc
from services.platform.text.messages import message

LONGEST_NAME = 64
DEVICES: Mapping[int, Device | None] = {
    number: Device(name.removeprefix("DEVICE_")) if number else None for name, number in listed.Device.items()
}
DEEDS: Mapping[int, Deed] = {pb.SimulatedAct.Value(f"SIMULATED_ACT_{deed}"): deed for deed in Deed}


class SimulatorService(pb_grpc.SimulatorServiceServicer):
    def __init__(self, provider: Simulated) -> None:
        self._provider = provider
        self._acts: Mapping[int, Callable[[str, str, str], Awaitable[Meeting]]] = {
            pb.SIMULATED_ACT_END: provider.end_by_host,
            pb.SIMULATED_ACT_CANCEL: provider.cancel,
        }

    async def CreateMeeting(self, request: pb.CreateMeetingRequest, context: rpc.Context) -> pb.CreateMeetingResponse:
        start, end = requests.interval(request.start_time, request.end_time)
        code = invitations.meeting_code(request.meeting_code) if request.meeting_code else ""
        creator = requests.account(request.account_id) or rpc.principal().account_id
        rule, zone = request.recurrence_rule, request.time_zone
        starts = recurrence.occurrences(rule, zone, start) if rule else []
        made = await self._provider.create(code, requests.subject(request.subject), creator, start, end, starts)
        return pb.CreateMeetingResponse(meeting=to_proto(made))

    async def ActInMeeting(self, request: pb.ActInMeetingRequest, context: rpc.Context) -> pb.ActInMeetingResponse:
        code = invitations.meeting_code(request.meeting_code)
        account = requests.account(request.account_id) or rpc.principal().account_id
        one = request.sub_meeting_id
        if request.act == pb.SIMULATED_ACT_MOVE:
            start = errors.moment("start_time", request.start_time)
            end = errors.moment("end_time", request.end_time) if request.HasField("end_time") else None
            after = await self._provider.move(code, start, end, one)
        elif request.act in self._acts:
            after = await self._acts[request.act](code, account, one)
        elif request.act in DEEDS:
            after = await self._provider.play(code, DEEDS[request.act], visitor(request, account), one)
        else:
            raise errors.invalid(
                "act",
                message("say what happens: ENTER, LEAVE, WAIT, END, CANCEL, MOVE or another one of SimulatedAct"),
            )
        return pb.ActInMeetingResponse(meeting=to_proto(after))

    async def PopulateMeeting(
        self, request: pb.PopulateMeetingRequest, context: rpc.Context
    ) -> pb.PopulateMeetingResponse:
        code = invitations.meeting_code(request.meeting_code)
        number = between("people_count", request.people_count, 1, simulated_crowd.LARGEST)
        waiting = between("waiting_count", request.waiting_count, 0, number)
        seed = between("seed", request.seed, 0, simulated_crowd.LAST_SEED)
        filled = await self._provider.populate(code, number, waiting, seed, request.sub_meeting_id)
        return pb.PopulateMeetingResponse(
            meeting=to_proto(filled.meeting), inside_count=filled.inside, waiting_count=filled.waiting
        )


def visitor(request: pb.ActInMeetingRequest, account: str) -> Visitor:
    name = request.display_name
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise errors.invalid(
            "display_name", message("must be at most {limit} printable characters", limit=LONGEST_NAME)
        )
    if request.guest and not name.strip():
        raise errors.invalid("display_name", errors.REQUIRED)
    return Visitor("" if request.guest else account, name.strip(), DEVICES.get(request.device))


def between(field: str, given: int, least: int, most: int) -> int:
    if not least <= given <= most:
        raise errors.invalid(field, message("must be {least} to {most}", least=least, most=most))
    return given
