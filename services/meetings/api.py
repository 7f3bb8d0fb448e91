"""All that the gateway does for gRPC callers, one method an RPC; what plays meetings is in simulator_api.py."""

from collections.abc import AsyncIterator

from yunhui.meetings.v1 import meeting_pb2, simulator_service_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2_grpc as pb_grpc

from services.meetings import control_api, listing, makings, rendering, requests
from services.meetings.gateway import Gateway
from services.meetings.ledger_models import MeetingRow
from services.meetings.listing import EVERYBODYS, Sight
from services.meetings.people_now import PeopleNow
from services.meetings.provider import ProviderError
from services.meetings.watchers import MeetingWatchers
from services.platform.clock import to_timestamp
from services.platform.data.database import Database
from services.platform.serving import errors, permissions, rpc
from services.platform.serving.grants import Grants
from services.platform.serving.identity import Principal
from services.platform.text.messages import message

SERVICE = "yunhui.meetings.v1.MeetingService"
SIMULATOR = simulator_service_pb2.DESCRIPTOR.services_by_name["SimulatorService"].full_name

_ALL_MEETINGS = "meetings.view_all"

MOST_WATCHED = 200

NEEDED = {**permissions.of(SERVICE), **control_api.NEEDED, **permissions.of(SIMULATOR)}


class MeetingService(pb_grpc.MeetingServiceServicer):
    def __init__(
        self,
        gateway: Gateway,
        database: Database,
        people: PeopleNow,
        watchers: MeetingWatchers,
        grants: Grants | None = None,
    ) -> None:
        """`grants`: of tokens alone when none are given."""
        self._gateway, self._providers = gateway, gateway.providers
        self._database, self._people, self._watchers = database, people, watchers
        self._grants = grants or Grants()

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

    async def ListMeetings(self, request: pb.ListMeetingsRequest, context: rpc.Context) -> pb.ListMeetingsResponse:
        caller = rpc.principal()
        sight = sight_of(caller)
        if sight.creator is not None and request.creator_account_id not in ("", sight.creator):
            raise errors.not_permitted(message("looking up the meetings of others"), _ALL_MEETINGS)
        return await listing.list_(self._database, request, sight, self._providers.names)

    async def GetMeeting(self, request: pb.GetMeetingRequest, context: rpc.Context) -> pb.GetMeetingResponse:
        row = await self._seen(request)
        key, account = rendering.key_of(row), rpc.principal().account_id
        return pb.GetMeetingResponse(
            meeting=rendering.to_meeting(row),
            verbs=rendering.verbs(self._providers.acts_of(key)),
            join_url=await self._database.read(lambda connection: makings.join_url(connection, key, account)),
        )

    async def WatchMeetings(
        self, request: pb.WatchMeetingsRequest, context: rpc.Context
    ) -> AsyncIterator[pb.WatchMeetingsResponse]:
        caller = rpc.principal()
        if len(request.meetings) > MOST_WATCHED:
            raise errors.invalid("meetings", message("at most {most} can be watched", most=MOST_WATCHED))
        keys = list(dict.fromkeys(requests.meeting_key(each, "meetings") for each in request.meetings))

        def admits(row: MeetingRow) -> bool:
            """Now: what the caller may see changes while they watch."""
            return sight_of(self._grants.of(caller)).includes(row)

        async with self._watchers.watch(keys, caller.seconds_left(), admits) as watcher:
            rows = [await listing.get(self._database, key, sight_of(caller)) for key in keys]
            known = {row.id: row.version for row in rows}
            await context.send_initial_metadata(())  # says: from here on nothing is missed
            for row in rows:
                yield pb.WatchMeetingsResponse(meeting=rendering.to_meeting(row))
            async for row in watcher:
                if row.version > known.get(row.id, 0):
                    yield pb.WatchMeetingsResponse(meeting=rendering.to_meeting(row))

    async def ListPeople(self, request: pb.ListPeopleRequest, context: rpc.Context) -> pb.ListPeopleResponse:
        row = await self._seen(request)
        key = rendering.key_of(row)
        try:
            people = await self._people.of(self._providers.of_meeting(key), key, row.creator)
        except ProviderError as error:
            return pb.ListPeopleResponse(knowledge=meeting_pb2.KNOWLEDGE_UNKNOWN, unknown_reason=error.reason)
        return pb.ListPeopleResponse(
            knowledge=meeting_pb2.KNOWLEDGE_KNOWN,
            people=[rendering.to_person(each) for each in people.inside],
            waiting=[rendering.to_waiting(each) for each in people.waiting or ()],
            as_of=to_timestamp(people.as_of),
            waiting_known=people.waiting is not None,
        )

    async def ListVisits(self, request: pb.ListVisitsRequest, context: rpc.Context) -> pb.ListVisitsResponse:
        return await listing.visits(self._database, request, sight_of(rpc.principal()))

    async def GetQuality(self, request: pb.GetQualityRequest, context: rpc.Context) -> pb.GetQualityResponse:
        return await listing.quality(self._database, request, sight_of(rpc.principal()))

    async def _seen(self, request: pb.GetMeetingRequest | pb.ListPeopleRequest) -> MeetingRow:
        key = requests.meeting_key(request.meeting)
        return await listing.get(self._database, key, sight_of(rpc.principal()))


def sight_of(caller: Principal) -> Sight:
    return EVERYBODYS if caller.everywhere(_ALL_MEETINGS) else Sight(caller.account_id)
