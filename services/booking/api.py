"""All that booking does for callers, one method an RPC: check what came in, hand it on, answer."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import booking_service_pb2_grpc as api_grpc
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import (
    attendance,
    calendar_feeds,
    endings,
    escalations,
    handovers,
    history,
    listings,
    new_meetings,
    objections,
    queries,
    requests,
    rooms,
    series,
    standing,
    states,
    updates,
)
from services.booking.admission import Admission
from services.booking.answers import body_hash
from services.booking.escalations import Resolution
from services.booking.handovers import ComingPage, Handover
from services.booking.meeting_moves import MeetingMoves
from services.booking.meetings_client import MeetingsClient, with_meetings
from services.booking.new_meetings import NewMeetings
from services.booking.pool import read_pool, read_rooms
from services.booking.requests import FOR_OTHERS, ReservationInput, to_profile, with_caller
from services.booking.scopes import no_such_account, own_and_permitted, permitted
from services.booking.series import SeriesInput
from services.booking.transactions import Transactions
from services.booking.watchers import Watchers
from services.contracts import recurrence
from services.platform.clock import from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.data.database import ConflictError
from services.platform.serving import errors, pages, permissions, rpc
from services.platform.serving.grants import Grants
from services.platform.serving.identity import Principal
from services.platform.text.messages import message

SERVICE = "yunhui.booking.v1.BookingService"
NEEDED = permissions.of(SERVICE)


class BookingService(api_grpc.BookingServiceServicer):
    """Without a `gateway` meetings are not looked up in this installation; with it they are made and moved, too."""

    def __init__(
        self,
        transactions: Transactions,
        admission: Admission,
        gateway: MeetingsClient | None,
        watchers: Watchers,
        grants: Grants,
        made: NewMeetings | None = None,
        moves: MeetingMoves | None = None,
    ) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._clock = transactions.clock
        self._admission = admission
        self._gateway = gateway
        self._watchers = watchers
        self._grants = grants
        self._made = made
        self._moves = moves

    async def CreateReservation(
        self, request: api.CreateReservationRequest, context: rpc.Context
    ) -> api.CreateReservationResponse:
        wanted = await self._charged(self._to_input(request))
        if self._made and wanted.new_meeting:
            return await self._made.create(wanted)
        [found] = await with_meetings(self._gateway, [wanted])
        return await self._admission.create(found)

    async def CreateReservationSeries(
        self, request: api.CreateReservationSeriesRequest, context: rpc.Context
    ) -> api.CreateReservationSeriesResponse:
        if request.first.request_id:
            raise errors.invalid(
                "first.request_id",
                message("must be empty: give request_id for the whole series"),
            )
        if request.first.HasField("new_meeting"):
            words = message("cannot be asked for with a series: make a recurring meeting in the meeting client")
            raise errors.invalid("first.new_meeting", words)
        first = requests.to_input(request.first)
        starts = recurrence.occurrences(request.recurrence_rule, request.time_zone, first.start_time)
        length, charged = first.end_time - first.start_time, await self._charged(first)
        occurrences = [replace(charged, start_time=start, end_time=start + length) for start in starts]
        wanted = SeriesInput(
            request_id=requests.optional_id("request_id", request.request_id),
            body_hash=body_hash(request),
            occurrences=await with_meetings(self._gateway, occurrences),
            all_or_none=request.all_or_none,
        )
        return await series.create(self._transactions, wanted)

    async def CheckReservation(
        self, request: api.CheckReservationRequest, context: rpc.Context
    ) -> api.CheckReservationResponse:
        checked = replace(self._to_input(request.request, complete=False), request_id="")
        [found] = await with_meetings(self._gateway, [await self._charged(checked)])
        return await self._admission.check(found)

    def _to_input(self, request: api.CreateReservationRequest, *, complete: bool = True) -> ReservationInput:
        """Raises errors.RpcError."""
        if request.HasField("new_meeting") and not self._made:
            raise new_meetings.not_here()
        return requests.to_input(request, complete=complete)

    async def _charged(self, wanted: ReservationInput) -> ReservationInput:
        """With who asks. Raises errors.RpcError when they may not book for the account that was named."""
        caller = rpc.principal()
        charged, whose = with_caller(wanted, caller), own_and_permitted(caller, FOR_OTHERS)
        if charged.by and whose.scope is not None:
            await self._database.read(lambda c: whose.require(c, charged.account_id))
        return charged

    async def GetReservation(
        self, request: api.GetReservationRequest, context: rpc.Context
    ) -> api.GetReservationResponse:
        wanted = requests.required_id("reservation_id", request.reservation_id)
        whose = own_and_permitted(rpc.principal(), _SEES_ALL)
        record = await self._database.read(lambda c: queries.read_reservation(c, wanted, whose))
        if record is None:
            raise errors.not_found("reservation", message("there is no such reservation"))
        return api.GetReservationResponse(reservation=record)

    async def GetReservationHistory(
        self, request: api.GetReservationHistoryRequest, context: rpc.Context
    ) -> api.GetReservationHistoryResponse:
        wanted = requests.required_id("reservation_id", request.reservation_id)
        whose = own_and_permitted(rpc.principal(), FOR_OTHERS)
        found = await self._database.read(lambda c: history.read(c, wanted, whose))
        if found is None:
            raise errors.not_found("reservation", message("there is no such reservation"))
        return found

    async def ListReservations(
        self, request: api.ListReservationsRequest, context: rpc.Context
    ) -> api.ListReservationsResponse:
        size, caller = pages.size(request.page_size), rpc.principal()
        wanted = listings.ReservationFilter(
            account_id=shown_account(caller, request.account_id),
            states=[state_name(state) for state in request.states],
            after=optional_moment(request, "after"),
            before=optional_moment(request, "before"),
            before_key=pages.from_token(request.page_token),
            limit=size + 1,
            whose=own_and_permitted(caller, _SEES_ALL),
        )
        records = await self._database.read(lambda c: listings.list_reservations(c, wanted))
        more = pages.to_token(*page_key(records[size - 1])) if len(records) > size else ""
        return api.ListReservationsResponse(reservations=records[:size], next_page_token=more)

    async def UpdateReservation(
        self, request: api.UpdateReservationRequest, context: rpc.Context
    ) -> api.UpdateReservationResponse:
        caller = rpc.principal()
        whose, by = own_and_permitted(caller, FOR_OTHERS), audit.caller()
        return await updates.update(
            self._transactions, self._gateway, requests.to_change(request), whose, caller.account_id, by, self._moves
        )

    async def CheckUpdate(self, request: api.CheckUpdateRequest, context: rpc.Context) -> api.CheckUpdateResponse:
        caller, wanted = rpc.principal(), replace(requests.to_change(request.request), request_id="")
        whose, by = own_and_permitted(caller, FOR_OTHERS), audit.caller()
        return await updates.check(self._transactions, self._gateway, wanted, whose, caller.account_id, by)

    async def CancelReservation(
        self, request: api.CancelReservationRequest, context: rpc.Context
    ) -> api.CancelReservationResponse:
        caller = rpc.principal()
        return await endings.cancel(
            self._transactions,
            requests.required_id("reservation_id", request.reservation_id),
            own_and_permitted(caller, FOR_OTHERS),
            caller.account_id,
            requests.text("note", request.note, requests.MAX_NOTE),
            audit.caller(),
        )

    async def CancelComingReservations(
        self, request: api.CancelComingReservationsRequest, context: rpc.Context
    ) -> api.CancelComingReservationsResponse:
        note = requests.text("note", request.note, requests.MAX_NOTE)
        page, actor = to_coming_page(request), rpc.principal().account_id
        done, more = await handovers.cancel_all(self._transactions, page, actor, note, audit.caller())
        return api.CancelComingReservationsResponse(reservations=done, next_page_token=more)

    async def HandOverReservations(
        self, request: api.HandOverReservationsRequest, context: rpc.Context
    ) -> api.HandOverReservationsResponse:
        page, actor = to_coming_page(request), rpc.principal().account_id
        new_account_id = requests.required_account("new_account_id", request.new_account_id)
        if new_account_id == page.account_id:
            raise errors.invalid("new_account_id", message("must be another account"))
        if new_account_id == actor:
            words = message("they would be yours: somebody else of support has to hand them over")
            raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, "SECOND_PERSON_NEEDED", words)
        if page.whose.scope is not None:  # what nobody sees is not told of either, not even that it is disabled
            await self._database.read(lambda c: handovers.require_known(c, new_account_id, page.whose))
        if self._grants.is_shut_out(new_account_id):
            words = message("the new account may do nothing: hand over to another, or enable it first")
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_DISABLED", words)
        wanted = Handover(page.account_id, new_account_id, actor, page.whose, page.dry_run, audit.caller())
        done, more = await handovers.hand_over_all(self._transactions, page, wanted)
        return api.HandOverReservationsResponse(reservations=done, next_page_token=more)

    async def EndReservation(
        self, request: api.EndReservationRequest, context: rpc.Context
    ) -> api.EndReservationResponse:
        caller, wanted = rpc.principal(), requests.required_id("reservation_id", request.reservation_id)
        whose = own_and_permitted(caller, FOR_OTHERS)
        record = await endings.end(self._transactions, wanted, whose, caller.account_id, audit.caller())
        return api.EndReservationResponse(reservation=record)

    async def ResolveEscalation(
        self, request: api.ResolveEscalationRequest, context: rpc.Context
    ) -> api.ResolveEscalationResponse:
        resolution = Resolution(
            approve=request.approve,
            actor=rpc.principal().account_id,
            note=requests.text("note", request.note, requests.MAX_NOTE),
            room_id=requests.optional_id("room_id", request.room_id),
            version=request.version,
        )
        wanted = requests.required_id("reservation_id", request.reservation_id)
        whose = permitted(rpc.principal(), FOR_OTHERS)
        record = await escalations.resolve(self._transactions, wanted, resolution, whose, audit.caller())
        return api.ResolveEscalationResponse(reservation=record)

    async def ReportAttendance(
        self, request: api.ReportAttendanceRequest, context: rpc.Context
    ) -> api.ReportAttendanceResponse:
        entered = from_timestamp(requests.timestamp("enter_time", request.enter_time))
        if entered > self._clock.now():
            raise errors.invalid("enter_time", message("lies in the future"))
        wanted = requests.required_id("reservation_id", request.reservation_id)
        record = await attendance.report(
            self._transactions, wanted, entered, rpc.principal().account_id, by=audit.caller()
        )
        return api.ReportAttendanceResponse(reservation=record)

    async def GetStanding(self, request: api.GetStandingRequest, context: rpc.Context) -> api.GetStandingResponse:
        caller, now = rpc.principal(), self._clock.now()
        account_id, whose = request.account_id or caller.account_id, own_and_permitted(caller, _SEES_ALL)

        def read(connection: Connection) -> standing.StoredStanding:
            whose.require(connection, account_id)
            return standing.read(connection, account_id, now)

        record = await self._database.read(read)
        if account_id == caller.account_id:  # what the token says is newer than what was stored
            record.account.profile, record.account.roles = to_profile(caller), sorted(caller.roles)
        if record.account.profile is None:
            raise errors.not_found("account", message("there is no such account"))
        moment = optional_moment(request, "time")
        question = standing.to_usage_request(record, now if moment is None else moment, now)
        usage = await self._transactions.policy.usage(question)
        return api.GetStandingResponse(standing=standing.to_standing(record, usage))

    async def WaiveViolation(
        self, request: api.WaiveViolationRequest, context: rpc.Context
    ) -> api.WaiveViolationResponse:
        note = requests.text("note", request.note, requests.MAX_NOTE)
        if not note:
            raise errors.invalid("note", message("is required: say why the violation is waived"))
        wanted = requests.required_id("violation_id", request.violation_id)
        actor, whose = rpc.principal().account_id, permitted(rpc.principal(), _WAIVES)
        return await standing.waive(self._transactions, wanted, actor, note, whose, audit.caller())

    async def ObjectToViolation(
        self, request: api.ObjectToViolationRequest, context: rpc.Context
    ) -> api.ObjectToViolationResponse:
        text = requests.lines("text", request.text, requests.MAX_OBJECTION)
        if not text:
            raise errors.invalid("text", message("is required: say why the violation is wrong"))
        wanted = requests.required_id("violation_id", request.violation_id)
        violation = await objections.object_to(self._transactions, wanted, rpc.principal().account_id, text)
        return api.ObjectToViolationResponse(violation=violation)

    async def DismissObjection(
        self, request: api.DismissObjectionRequest, context: rpc.Context
    ) -> api.DismissObjectionResponse:
        note = requests.text("note", request.note, requests.MAX_NOTE)
        if not note:
            raise errors.invalid("note", message("is required: say why the violation stays"))
        wanted = requests.required_id("violation_id", request.violation_id)
        actor, whose = rpc.principal().account_id, permitted(rpc.principal(), _WAIVES)
        violation = await objections.dismiss(self._transactions, wanted, actor, note, whose, audit.caller())
        return api.DismissObjectionResponse(violation=violation)

    async def ListObjections(
        self, request: api.ListObjectionsRequest, context: rpc.Context
    ) -> api.ListObjectionsResponse:
        size = pages.size(request.page_size)
        wanted = listings.ObjectionFilter(
            outcomes=[outcome_name(outcome) for outcome in request.outcomes],
            after_key=pages.from_token(request.page_token),
            limit=size + 1,
            whose=permitted(rpc.principal(), _WAIVES),
        )
        found, more = await self._database.read(lambda c: objections.page(c, wanted))
        return api.ListObjectionsResponse(objections=found, next_page_token=pages.to_token(*more) if more else "")

    async def GetDecision(self, request: api.GetDecisionRequest, context: rpc.Context) -> api.GetDecisionResponse:
        wanted = requests.identifier("decision_id", request.decision_id)
        whose = own_and_permitted(rpc.principal(), _SEES_ALL)
        found = await self._database.read(lambda c: queries.read_decision_record(c, wanted, whose))
        if found is None:
            raise errors.not_found("decision", message("there is no such decision"))
        return found

    async def ListRooms(self, request: api.ListRoomsRequest, context: rpc.Context) -> api.ListRoomsResponse:
        return api.ListRoomsResponse(rooms=await self._database.read(read_rooms))

    async def CreateRoom(self, request: api.CreateRoomRequest, context: rpc.Context) -> api.CreateRoomResponse:
        return api.CreateRoomResponse(room=await rooms.create(self._database, request, audit.caller()))

    async def UpdateRoom(self, request: api.UpdateRoomRequest, context: rpc.Context) -> api.UpdateRoomResponse:
        return api.UpdateRoomResponse(room=await rooms.update(self._database, request, audit.caller()))

    async def SearchAvailability(
        self, request: api.SearchAvailabilityRequest, context: rpc.Context
    ) -> api.SearchAvailabilityResponse:
        start, end = requests.search_window(request.start_time, request.end_time)
        people = request.participant_count and requests.count(
            "participant_count", request.participant_count, requests.MAX_PARTICIPANTS
        )
        pool = await self._database.read(lambda c: read_pool(c, [(start, end)]))
        return api.SearchAvailabilityResponse(
            intervals=[to_free_interval(*each) for each in pool.free_intervals(start, end, people)]
        )

    async def WatchReservations(
        self, request: api.WatchReservationsRequest, context: rpc.Context
    ) -> AsyncIterator[api.WatchReservationsResponse]:
        caller = rpc.principal()
        account_id = shown_account(caller, request.account_id)

        async def admits(accounts: Sequence[str]) -> bool:
            """Now: what the caller may see, and who belongs where, changes while they watch."""
            whose = own_and_permitted(self._grants.of(caller), _SEES_ALL)
            known = whose.scope is None or whose.own in accounts
            return known or await self._database.read(lambda c: whose.includes(c, accounts))

        if account_id and not await admits([account_id]):
            raise no_such_account()
        async with self._watchers.watch(account_id, caller.seconds_left(), admits) as watcher:
            await context.send_initial_metadata(())  # says: from here on nothing is missed
            async for record in watcher:
                yield api.WatchReservationsResponse(reservation=record)

    async def GetCalendarFeed(
        self, request: api.GetCalendarFeedRequest, context: rpc.Context
    ) -> api.GetCalendarFeedResponse:
        account_id = rpc.principal().account_id
        return api.GetCalendarFeedResponse(feed=await self._database.read(lambda c: calendar_feeds.get(c, account_id)))

    async def CreateCalendarFeed(
        self, request: api.CreateCalendarFeedRequest, context: rpc.Context
    ) -> api.CreateCalendarFeedResponse:
        account_id, now = rpc.principal().account_id, self._clock.now()
        try:
            secret = await self._database.write(lambda c: calendar_feeds.create(c, account_id, now))
        except ConflictError as error:
            words = message("another was made at the same moment: look, and try again")
            raise errors.failure(grpc.StatusCode.ABORTED, "FEED_REPLACED", words) from error
        return api.CreateCalendarFeedResponse(feed=api.CalendarFeed(create_time=to_timestamp(now)), secret=secret)

    async def DeleteCalendarFeed(
        self, request: api.DeleteCalendarFeedRequest, context: rpc.Context
    ) -> api.DeleteCalendarFeedResponse:
        account_id = rpc.principal().account_id
        await self._database.write(lambda c: calendar_feeds.delete(c, account_id))
        return api.DeleteCalendarFeedResponse()


_SEES_ALL, _WAIVES = "reservations.view_all", "violations.waive"


def shown_account(caller: Principal, asked: str) -> str:
    """Whose data is asked for; "" is everybody's who may be seen, for who may see no more than their own that."""
    return asked if asked or caller.may(_SEES_ALL) else caller.account_id


def to_coming_page(request: api.CancelComingReservationsRequest | api.HandOverReservationsRequest) -> ComingPage:
    return ComingPage(
        account_id=requests.required_account("account_id", request.account_id),
        after=pages.from_token(request.page_token),
        size=pages.size(request.page_size, handovers.USUAL, handovers.MOST),
        dry_run=request.dry_run,
        whose=permitted(rpc.principal(), FOR_OTHERS),
    )


def to_free_interval(room: pb.Room, start: int, end: int) -> api.FreeInterval:
    return api.FreeInterval(room=room, start_time=to_timestamp(start), end_time=to_timestamp(end))


def state_name(state: int) -> str:
    try:
        return states.from_proto(state)
    except ValueError as error:
        raise errors.invalid("states", message("{state} is not a state", state=state)) from error


def outcome_name(outcome: int) -> str:
    if outcome not in pb.ObjectionOutcome.values() or not outcome:
        raise errors.invalid("outcomes", message("{outcome} is not an outcome", outcome=outcome))
    return pb.ObjectionOutcome.Name(pb.ObjectionOutcome.ValueType(outcome)).removeprefix("OBJECTION_OUTCOME_")


def optional_moment(request: Any, field: str) -> int | None:
    """Epoch ms of an optional Timestamp field."""
    if not request.HasField(field):
        return None
    value: Timestamp = getattr(request, field)
    return from_timestamp(requests.timestamp(field, value))


def page_key(last: pb.Reservation) -> tuple[int, str]:
    return from_timestamp(last.start_time), last.reservation_id
