"""Objections to violations, as bookers and support make them over gRPC."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import Parse
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import attendance, objections, standing
from services.booking.scopes import EVERYBODY
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from tests.booking.builders import MONDAY, TEN
from tests.booking.conftest import Booking
from tests.booking.served import Caller
from tests.booking.test_admission import rows
from tests.booking.test_standing import missed, violation_ids
from tests.booking.test_transitions import made, pass_time, subjects

WHY = "I was there from 9:58 on.\nThe list of participants shows me."
HOSTILE = "\u202e<script>alert(1)</script>'; DROP TABLE violation; -- {{ 7 * 7 }} %s\n\t".strip() + " \U0001f4a9"


class People:
    """Who has to do with a violation."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.booker, self.other = Caller(channel, "booker", "booker"), Caller(channel, "booker", "other")
        self.support = Caller(channel, "support", "helper")


@pytest.fixture
def people(channel: grpc.aio.Channel) -> People:
    return People(channel)


def objecting(violation_id: str, text: str = WHY) -> api.ObjectToViolationRequest:
    return api.ObjectToViolationRequest(violation_id=violation_id, text=text)


def dismissing(violation_id: str, note: str = "the list shows nobody") -> api.DismissObjectionRequest:
    return api.DismissObjectionRequest(violation_id=violation_id, note=note)


def waiving(violation_id: str) -> api.WaiveViolationRequest:
    return api.WaiveViolationRequest(violation_id=violation_id, note="you are right")


async def violated(booking: Booking) -> str:
    await missed(booking, TEN)
    [violation_id] = await violation_ids(booking)
    return violation_id


async def object_to(who: Caller, violation_id: str, text: str = WHY) -> pb.Violation:
    violation: pb.Violation = (await who.ask("ObjectToViolation", objecting(violation_id, text))).violation
    return violation


async def events_of(booking: Booking, name: str) -> list[events_pb2.AccountEvent]:
    stored = [row for row in await rows(booking.database, outbox.TABLE) if row["subject"].endswith(f".{name}")]
    return [Parse(row["payload"], events_pb2.AccountEvent()) for row in stored]


async def test_an_objection_is_stored_once_and_told_with_all_that_is_needed_to_decide(
    booking: Booking, people: People
) -> None:
    violation_id = await violated(booking)
    booking.clock.time += HOUR
    asked = await asyncio.gather(*(object_to(people.booker, violation_id) for _ in range(3)))
    objection = asked[0].objection
    assert all(each == asked[0] for each in asked)
    assert (objection.text, objection.outcome) == (WHY, pb.OBJECTION_OUTCOME_OPEN)
    assert objection.object_time == to_timestamp(booking.clock.time)
    [told] = await events_of(booking, "violation_objected")
    assert told.violation == asked[0]
    assert (told.reservation.reservation_id, told.actor) == (asked[0].reservation_id, "booker")
    assert [rule.rule_id for rule in told.decision.rules] == ["NO_SHOW"]
    standing = (await people.booker.ask("GetStanding", api.GetStandingRequest())).standing
    assert list(standing.violations) == [asked[0]]
    assert not await rows(booking.database, audit.TABLE)


async def test_another_text_is_refused_before_and_after_the_answer(booking: Booking, people: People) -> None:
    violation_id = await violated(booking)
    await object_to(people.booker, violation_id)
    other = objecting(violation_id, "something else")
    assert await people.booker.refused("ObjectToViolation", other) == ("FAILED_PRECONDITION", "OBJECTION_OPEN")
    dismissed = (await people.support.ask("DismissObjection", dismissing(violation_id))).violation
    assert await people.booker.refused("ObjectToViolation", other) == ("FAILED_PRECONDITION", "OBJECTION_ANSWERED")
    assert await object_to(people.booker, violation_id) == dismissed


async def test_only_the_own_violation_can_be_objected_to(booking: Booking, people: People) -> None:
    """Whether it exists is not told to others, nor to who booked it on behalf."""
    violation_id = await violated(booking)
    absent = ("NOT_FOUND", "VIOLATION_NOT_FOUND")
    assert await people.other.refused("ObjectToViolation", objecting(violation_id)) == absent
    assert await people.booker.refused("ObjectToViolation", objecting("vio_none")) == absent
    assert await people.support.refused("ObjectToViolation", objecting(violation_id)) == absent
    assert "account.violation_objected" not in await subjects(booking)


async def test_what_is_waived_needs_no_objection(booking: Booking, people: People) -> None:
    violation_id = await violated(booking)
    await people.support.ask("WaiveViolation", waiving(violation_id))
    refused = await people.booker.refused("ObjectToViolation", objecting(violation_id))
    assert refused == ("FAILED_PRECONDITION", "VIOLATION_WAIVED")


@pytest.mark.parametrize(("late", "accepted"), [(0, True), (1, False)])
async def test_after_35_days_it_is_too_late(booking: Booking, people: People, late: int, accepted: bool) -> None:
    """As long as the standing shows the violation."""
    violation_id = await violated(booking)
    await pass_time(booking, TEN + 30 * MINUTE + 35 * DAY + late)
    shown = (await people.booker.ask("GetStanding", api.GetStandingRequest())).standing.violations
    assert bool(shown) == accepted
    if accepted:
        assert (await object_to(people.booker, violation_id)).HasField("objection")
    else:
        refused = await people.booker.refused("ObjectToViolation", objecting(violation_id))
        assert refused == ("FAILED_PRECONDITION", "VIOLATION_TOO_OLD")


@pytest.mark.parametrize("text", ["", " \n ", "x" * 1001, "a\0b", "a\x1bb", "a\u2028b"])
async def test_a_text_that_cannot_be_is_refused(booking: Booking, people: People, text: str) -> None:
    request = objecting(await violated(booking), text)
    assert await people.booker.refused("ObjectToViolation", request) == ("INVALID_ARGUMENT", "text")


@pytest.mark.parametrize(
    ("text", "kept"), [("x", "x"), (" " + "长" * 1000, "长" * 1000), ("a\r\nb\r\n", "a\nb"), (HOSTILE, HOSTILE)]
)
async def test_a_text_is_kept_as_it_was_written(booking: Booking, people: People, text: str, kept: str) -> None:
    assert (await object_to(people.booker, await violated(booking), text)).objection.text == kept


@pytest.mark.parametrize("note", ["", " ", "x" * 501, "a\nb"])
async def test_a_dismissal_says_why(booking: Booking, people: People, note: str) -> None:
    violation_id = await violated(booking)
    await object_to(people.booker, violation_id)
    refused = await people.support.refused("DismissObjection", dismissing(violation_id, note))
    assert refused == ("INVALID_ARGUMENT", "note")


async def test_a_dismissed_objection_leaves_the_violation(booking: Booking, people: People) -> None:
    violation_id = await violated(booking)
    await object_to(people.booker, violation_id)
    booking.clock.time += HOUR
    asked = [(await people.support.ask("DismissObjection", dismissing(violation_id))).violation for _ in range(2)]
    answer = asked[0].objection
    assert asked[0] == asked[1]
    assert not asked[0].waived
    assert (answer.outcome, answer.answered_by, answer.answer_note) == (
        *(pb.OBJECTION_OUTCOME_DISMISSED, "helper", "the list shows nobody"),
    )
    assert answer.answer_time == to_timestamp(booking.clock.time)
    [told] = await events_of(booking, "objection_dismissed")
    assert (told.violation, told.actor) == (asked[0], "helper")
    [act] = await rows(booking.database, audit.TABLE)
    assert (act["actor"], act["target_id"], act["account_id"]) == ("helper", violation_id, "booker")


async def test_an_answer_cannot_be_another_one_later(
    booking: Booking, channel: grpc.aio.Channel, people: People
) -> None:
    violation_id, other = await violated(booking), Caller(channel, "support", "other-helper")
    refused = await people.support.refused("DismissObjection", dismissing(violation_id))
    assert refused == ("FAILED_PRECONDITION", "OBJECTION_MISSING")
    await object_to(people.booker, violation_id)
    await people.support.ask("DismissObjection", dismissing(violation_id))
    for who, request in ((people.support, dismissing(violation_id, "why not")), (other, dismissing(violation_id))):
        assert await who.refused("DismissObjection", request) == ("FAILED_PRECONDITION", "OBJECTION_ANSWERED")
    absent = ("NOT_FOUND", "VIOLATION_NOT_FOUND")
    assert await people.support.refused("DismissObjection", dismissing("vio_none")) == absent
    assert (await people.booker.refused("DismissObjection", dismissing(violation_id)))[0] == "PERMISSION_DENIED"


async def test_a_waiver_upholds_an_open_objection(booking: Booking, people: People) -> None:
    violation_id = await violated(booking)
    await object_to(people.booker, violation_id)
    asked = [await people.support.ask("WaiveViolation", waiving(violation_id)) for _ in range(2)]
    assert asked[0] == asked[1]
    answer = asked[0].violation.objection
    assert (answer.outcome, answer.answered_by, answer.answer_note) == (
        *(pb.OBJECTION_OUTCOME_UPHELD, "helper", "you are right"),
    )
    refused = await people.support.refused("DismissObjection", dismissing(violation_id))
    assert refused == ("FAILED_PRECONDITION", "OBJECTION_ANSWERED")
    assert len(await rows(booking.database, audit.TABLE)) == 1


async def test_a_late_proof_upholds_an_open_objection(booking: Booking, people: People) -> None:
    [record] = await missed(booking, TEN)
    [violation_id] = await violation_ids(booking)
    await object_to(people.booker, violation_id)
    await attendance.report(booking.transactions, record.reservation_id, TEN, "gateway")
    [told] = await events_of(booking, "violation_waived")
    answer = told.violation.objection
    assert (answer.outcome, answer.answered_by) == (pb.OBJECTION_OUTCOME_UPHELD, "system")


async def test_a_dismissed_objection_stays_dismissed_when_the_violation_is_waived_after_all(
    booking: Booking, people: People
) -> None:
    violation_id = await violated(booking)
    await object_to(people.booker, violation_id)
    await people.support.ask("DismissObjection", dismissing(violation_id))
    violation = (await people.support.ask("WaiveViolation", waiving(violation_id))).violation
    assert (violation.waived, violation.objection.outcome) == (True, pb.OBJECTION_OUTCOME_DISMISSED)


async def test_of_two_different_answers_at_once_one_holds(replicas: list[Booking]) -> None:
    violation_id = await violated(replicas[0])
    await objections.object_to(replicas[0].transactions, violation_id, "booker", WHY)
    dismissals = (
        objections.dismiss(each.transactions, violation_id, "helper", f"{number}", whose=EVERYBODY)
        for number, each in enumerate(replicas)
    )
    waiver = standing.waive(replicas[0].transactions, violation_id, "helper", "you are right", whose=EVERYBODY)
    await asyncio.gather(waiver, *dismissals, return_exceptions=True)
    told = await subjects(replicas[0])
    assert told.count("account.objection_dismissed") <= 1
    stored = await rows(replicas[0].database, outbox.TABLE)
    numbers = [row["entity_seq"] for row in stored if ".account." in row["subject"]]
    assert numbers == list(range(1, len(numbers) + 1))


async def objected(booking: Booking, people: People, count: int) -> list[str]:
    """Violations of another account each, objected to in this order."""
    for number in range(count):
        await made(booking, account_id=f"a{number}", start=TEN + number * HOUR)
    await pass_time(booking, MONDAY + DAY)
    found = await violation_ids(booking)
    for number, violation_id in enumerate(found):
        booking.clock.time += MINUTE
        await objections.object_to(booking.transactions, violation_id, f"a{number}", WHY)
    return found


async def listed(people: People, *outcomes: Any, size: int = 2) -> list[str]:
    """All pages."""
    request, found = api.ListObjectionsRequest(outcomes=outcomes, page_size=size), []
    while True:
        page = await people.support.ask("ListObjections", request)
        assert len(page.objections) <= size
        for each in page.objections:
            assert each.reservation.reservation_id == each.violation.reservation_id
            assert each.reservation.organizer.account_id == each.violation.account_id
        found += [each.violation.violation_id for each in page.objections]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_open_objections_are_listed_first_and_the_oldest_first(booking: Booking, people: People) -> None:
    first, second, third, fourth, fifth = await objected(booking, people, 5)
    await people.support.ask("DismissObjection", dismissing(second))
    await people.support.ask("WaiveViolation", waiving(first))
    assert await listed(people) == [third, fourth, fifth, first, second]
    assert await listed(people, pb.OBJECTION_OUTCOME_OPEN) == [third, fourth, fifth]
    assert await listed(people, pb.OBJECTION_OUTCOME_OPEN, size=3) == [third, fourth, fifth]
    assert await listed(people, pb.OBJECTION_OUTCOME_UPHELD, pb.OBJECTION_OUTCOME_DISMISSED) == [first, second]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"outcomes": [9]}, "outcomes"), ({"outcomes": [0]}, "outcomes"), ({"page_size": 501}, "page_size"),
     ({"page_token": "x"}, "page_token")],
)  # fmt: skip
async def test_a_list_that_cannot_be_is_refused(people: People, changes: dict[str, Any], field: str) -> None:
    request = api.ListObjectionsRequest(**changes)
    assert await people.support.refused("ListObjections", request) == ("INVALID_ARGUMENT", field)


async def test_only_support_reads_the_list(people: People) -> None:
    assert (await people.booker.refused("ListObjections", api.ListObjectionsRequest()))[0] == "PERMISSION_DENIED"
