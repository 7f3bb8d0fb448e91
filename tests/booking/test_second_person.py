"""Who decides about whose reservation: a second person, by today's role, and not as often as a booker likes to ask."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import models, queries, second_person
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.platform.messaging import outbox
from services.platform.serving import errors
from services.policy.decisions import Policy
from tests.booking.builders import TEN, create_request
from tests.booking.conftest import Booking
from tests.booking.served import Caller
from tests.booking.test_admission import rows
from tests.booking.test_transitions import pass_time
from tests.policy.samples import SOURCE

ANOTHER = ("PERMISSION_DENIED", "SECOND_PERSON_NEEDED")
HIDDEN = ("NOT_FOUND", "RESERVATION_NOT_FOUND")
PER_DAY = 3


class People:
    """Lin has been of support; the callers of that name are one account with different tokens."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.ann = Caller(channel, "booker", "ann")
        self.lin, self.lin_as_admin = Caller(channel, "support", "lin"), Caller(channel, "admin", "lin")
        self.lin_of_today = Caller(channel, "booker", "lin")
        self.colleague, self.admin = Caller(channel, "support", "wei"), Caller(channel, "admin", "root")


@pytest.fixture
async def people(channel: grpc.aio.Channel) -> People:
    people = People(channel)
    await people.ann.ask("CreateReservation", create_request(minutes=30))  # refused, and now the account is known
    return people


async def asked(who: Caller, **fields: Any) -> pb.Reservation:
    answer = await who.ask("CreateReservation", create_request(**({"participant_count": 120} | fields)))
    assert answer.HasField("reservation"), answer.decision.rules
    return cast(pb.Reservation, answer.reservation)


def answering(record: pb.Reservation, *, approve: bool = True, version: int = 0) -> api.ResolveEscalationRequest:
    return api.ResolveEscalationRequest(reservation_id=record.reservation_id, approve=approve, version=version)


def changing(record: pb.Reservation, **fields: Any) -> api.UpdateReservationRequest:
    return api.UpdateReservationRequest(reservation_id=record.reservation_id, **fields)


async def test_nobody_answers_a_request_of_their_own(people: People) -> None:
    """Neither approves nor declines, whatever the role today; one's own is withdrawn by cancelling it."""
    record = await asked(people.lin)
    for who in (people.lin, people.lin_as_admin):
        for approve in (True, False):
            assert await who.refused("ResolveEscalation", answering(record, approve=approve)) == ANOTHER
    untouched = await people.lin.ask("GetReservation", api.GetReservationRequest(reservation_id=record.reservation_id))
    assert untouched.reservation == record
    approved = await people.colleague.ask("ResolveEscalation", answering(record))
    assert approved.reservation.state == pb.RESERVATION_STATE_CONFIRMED


async def test_an_admin_needs_a_second_person_too(people: People) -> None:
    record = await asked(people.admin)
    assert await people.admin.refused("ResolveEscalation", answering(record)) == ANOTHER
    declined = await people.lin.ask("ResolveEscalation", answering(record, approve=False))
    assert declined.reservation.state == pb.RESERVATION_STATE_DECLINED


async def test_who_asks_for_another_does_not_answer(people: People) -> None:
    record = await asked(people.lin, account_id="ann")
    assert await people.lin.refused("ResolveEscalation", answering(record)) == ANOTHER
    assert (await people.colleague.ask("ResolveEscalation", answering(record))).reservation.HasField("room")


async def test_who_changed_the_request_does_not_answer_even_if_it_was_changed_since(people: People) -> None:
    record = await asked(people.ann)
    await people.lin.ask("UpdateReservation", changing(record, participant_count=250))
    await people.ann.ask("UpdateReservation", changing(record, participant_count=240))
    assert await people.lin.refused("ResolveEscalation", answering(record)) == ANOTHER
    assert (await people.colleague.ask("ResolveEscalation", answering(record))).reservation.participant_count == 240


async def test_a_change_that_a_rule_refused_gives_no_part_in_it(people: People) -> None:
    record = await asked(people.ann)
    refused = await people.lin.ask("UpdateReservation", changing(record, participant_count=2))
    assert refused.outcome == pb.OUTCOME_REDIRECTED
    assert (await people.lin.ask("ResolveEscalation", answering(record))).reservation.HasField("room")


async def test_the_refusal_says_why_in_both_languages(people: People) -> None:
    record = await asked(people.lin)
    with pytest.raises(grpc.aio.AioRpcError, match="somebody else of support has to decide") as caught:
        await people.lin.ask("ResolveEscalation", answering(record))
    status = rpc_status.from_call(cast(grpc.Call, caught.value))
    assert status is not None
    assert errors.chinese_of(status) == "这项预约属于您，或由您提出或更改过：须由另一位技术支持人员处理"
    [info] = [each for each in status.details if each.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert b"SECOND_PERSON_NEEDED" in info.value


async def test_what_changed_since_it_was_looked_at_is_not_approved(people: People) -> None:
    """The mail says what was asked first; whoever decides must have seen what it is now."""
    record = await asked(people.ann)
    await people.ann.ask("UpdateReservation", changing(record, participant_count=250))
    assert await people.lin.refused("ResolveEscalation", answering(record, version=1)) == ("ABORTED", "VERSION")
    assert (await people.lin.ask("ResolveEscalation", answering(record, version=2))).reservation.HasField("room")


def waiving(violation_id: str) -> api.WaiveViolationRequest:
    return api.WaiveViolationRequest(violation_id=violation_id, note="a note")


def dismissing(violation_id: str) -> api.DismissObjectionRequest:
    return api.DismissObjectionRequest(violation_id=violation_id, note="a note")


@pytest.mark.parametrize("on_behalf", [False, True])
async def test_nobody_waives_or_answers_what_came_of_a_reservation_of_their_own(
    booking: Booking, people: People, on_behalf: bool
) -> None:
    await asked(people.lin, participant_count=12, account_id="ann" if on_behalf else "")
    await pass_time(booking, TEN + 31 * MINUTE)
    [violation] = await rows(booking.database, models.VIOLATION)
    victim, id_ = people.ann if on_behalf else people.lin_of_today, violation["violation_id"]
    await victim.ask("ObjectToViolation", api.ObjectToViolationRequest(violation_id=id_, text="I was there"))
    for who in (people.lin, people.lin_as_admin):
        assert await who.refused("WaiveViolation", waiving(id_)) == ANOTHER
        assert await who.refused("DismissObjection", dismissing(id_)) == ANOTHER
    dismissed = await people.colleague.ask("DismissObjection", dismissing(id_))
    assert dismissed.violation.objection.answered_by == "wei"
    assert (await people.colleague.ask("WaiveViolation", waiving(id_))).violation.waived


async def test_nobody_reports_their_own_coming(booking: Booking, channel: grpc.aio.Channel, people: People) -> None:
    """Attendance decides whether there is a violation: a program that books for itself is no witness."""
    record = await asked(people.lin, participant_count=12)
    booking.clock.time = TEN + MINUTE
    report = api.ReportAttendanceRequest(reservation_id=record.reservation_id, enter_time=to_timestamp(TEN))
    assert await Caller(channel, "service", "lin").refused("ReportAttendance", report) == ANOTHER
    told = await Caller(channel, "service", "gateway").ask("ReportAttendance", report)
    assert told.reservation.state == pb.RESERVATION_STATE_IN_USE


ABOUT_ONE: dict[str, Callable[[str], Message]] = {
    "GetReservation": lambda id_: api.GetReservationRequest(reservation_id=id_),
    "GetReservationHistory": lambda id_: api.GetReservationHistoryRequest(reservation_id=id_),
    "UpdateReservation": lambda id_: api.UpdateReservationRequest(reservation_id=id_, participant_count=20),
    "CancelReservation": lambda id_: api.CancelReservationRequest(reservation_id=id_),
    "EndReservation": lambda id_: api.EndReservationRequest(reservation_id=id_),
}


@pytest.mark.parametrize("method", ABOUT_ONE)
async def test_who_made_it_for_another_has_no_right_to_it_without_the_role(people: People, method: str) -> None:
    record = await asked(people.lin, participant_count=12, account_id="ann")
    request = ABOUT_ONE[method](record.reservation_id)
    assert await people.lin_of_today.refused(method, request) == HIDDEN
    unended = ("FAILED_PRECONDITION", "STATE")
    for who in (people.ann, people.lin):
        if method == "EndReservation":
            assert await who.refused(method, request) == unended
        else:
            await who.ask(method, request)


async def test_decisions_and_lists_follow_todays_role_too(people: People) -> None:
    record = await asked(people.lin, participant_count=12, account_id="ann")
    decision = api.GetDecisionRequest(decision_id=record.decision_id)
    assert (await people.lin_of_today.refused("GetDecision", decision))[0] == "NOT_FOUND"
    assert (await people.ann.ask("GetDecision", decision)).actor == "lin"
    assert not (await people.lin_of_today.ask("ListReservations", api.ListReservationsRequest())).reservations
    listed = api.ListReservationsRequest(account_id="ann")
    assert (await people.lin_of_today.refused("ListReservations", listed))[0] == "NOT_FOUND"


async def test_an_answer_given_to_support_is_not_repeated_to_who_no_longer_is(people: People) -> None:
    create = create_request(request_id="one", account_id="ann")
    record = (await people.lin.ask("CreateReservation", create)).reservation
    update = changing(record, request_id="two", participant_count=20)
    series = api.CreateReservationSeriesRequest(
        request_id="three",
        first=create_request(start=TEN + DAY, account_id="ann"),
        recurrence_rule="FREQ=DAILY;COUNT=2",
        time_zone="Asia/Shanghai",
    )
    given = [("CreateReservation", create), ("UpdateReservation", update), ("CreateReservationSeries", series)]
    first = [await people.lin.ask(*each) for each in given]
    assert first == [await people.lin.ask(*each) for each in given]
    told = [await people.lin_of_today.refused(*each) for each in given]
    assert [code for code, _ in told] == ["PERMISSION_DENIED", "NOT_FOUND", "PERMISSION_DENIED"]


async def test_a_change_is_decided_by_todays_roles_of_the_account(booking: Booking, people: People) -> None:
    """Numbers of a role that one has no longer are not one's own, though the store still has the role."""
    more = "overrides:\n  - {role: support, thresholds: {daily_quota: 4}}\n"
    booking.policy.policy = Policy.load(SOURCE + more, "default@2")
    for index in range(3):
        await asked(people.lin, participant_count=12, start=TEN + index * 2 * HOUR)
    tomorrow = await asked(people.lin, participant_count=12, start=TEN + DAY)
    today = changing(tomorrow, start_time=to_timestamp(TEN + 8 * HOUR), end_time=to_timestamp(TEN + 9 * HOUR))
    refused = await people.lin_of_today.ask("UpdateReservation", today)
    assert [rule.rule_id for rule in refused.decision.rules] == ["DAILY_QUOTA"]
    assert (await people.lin.ask("UpdateReservation", today)).outcome == pb.OUTCOME_CONFIRMED


async def test_changes_and_withdrawals_within_seconds_ask_support_no_more_often_than_the_limit(
    booking: Booking, people: People
) -> None:
    """The attack: ask, change five times, withdraw, and again. Changes ask nothing anew, asking again does."""
    outcomes = []
    for number in range(8):
        request = create_request(participant_count=120, start=TEN + DAY + number * MINUTE)
        answer = await people.ann.ask("CreateReservation", request)
        outcomes.append(answer.outcome)
        booking.clock.time += 100
        if not answer.HasField("reservation"):
            assert {rule.rule_id for rule in answer.decision.rules} == {"LARGE_MEETING", "ESCALATION_LIMIT"}
            continue
        for people_now in range(121, 126):
            changed = await people.ann.ask(
                "UpdateReservation", changing(answer.reservation, participant_count=people_now)
            )
            assert changed.outcome == pb.OUTCOME_PENDING_APPROVAL
        await people.ann.ask(
            "CancelReservation", api.CancelReservationRequest(reservation_id=answer.reservation.reservation_id)
        )
    assert outcomes == [pb.OUTCOME_PENDING_APPROVAL] * PER_DAY + [pb.OUTCOME_DENIED] * 5
    subjects = [row["subject"] for row in await rows(booking.database, outbox.TABLE)]
    assert sum(each.endswith(".pending_approval") for each in subjects) == PER_DAY
    booking.clock.time += DAY
    await asked(people.ann, start=TEN + 3 * DAY)


async def test_what_was_made_small_enough_for_no_approval_counts_all_the_same(booking: Booking, people: People) -> None:
    for number in range(PER_DAY):
        record = await asked(people.ann, start=TEN + DAY + number * HOUR)
        await people.ann.ask("UpdateReservation", changing(record, participant_count=12))
    answer = await people.ann.ask("CreateReservation", create_request(participant_count=120, start=TEN + 2 * DAY))
    assert {rule.rule_id for rule in answer.decision.rules} == {"ESCALATION_LIMIT", "LARGE_MEETING"}


async def test_who_has_a_part_is_read_from_what_was_taken_over(booking: Booking, people: People) -> None:
    record = await asked(people.lin, account_id="ann")
    await people.admin.ask("UpdateReservation", changing(record, participant_count=130))
    parties = await booking.database.read(lambda c: queries.read_parties(c, record.reservation_id))
    assert parties == {"ann", "lin", "root"}
    for stranger in ("wei", ""):
        await booking.database.read(
            partial(second_person.require, reservation_id=record.reservation_id, actor=stranger)
        )
