"""What becomes of the coming reservations of a person who leaves: cancelled, or handed over, each by itself."""

import json
from typing import Any, cast

import grpc
import pytest
import sqlalchemy as sa
from yunhui.access.v1.access_pb2 import Grant
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy

from services.booking import handovers, models, queries
from services.booking.handovers import ComingPage, Handover
from services.booking.pool import read_pool
from services.booking.scopes import EVERYBODY
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, from_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.messaging.proto_json import from_json
from services.platform.serving import errors
from tests.booking.builders import TEN, create_request
from tests.booking.conftest import Booking
from tests.booking.served import Caller
from tests.booking.test_admission import create, rows
from tests.booking.test_transitions import made, pass_time

ANN, BOB = "ann", "bob"
HANDED_OVER, REFUSED = api.COMING_OUTCOME_HANDED_OVER, api.COMING_OUTCOME_REFUSED


class Desk:
    """Ann leaves; Bob is known, and Wei is of support."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.ann, self.bob = Caller(channel, "booker", ANN), Caller(channel, "booker", BOB)
        self.wei, self.lin = Caller(channel, "support", "wei"), Caller(channel, "support", "lin")

    async def hand_over(self, by: Caller | None = None, **fields: Any) -> api.HandOverReservationsResponse:
        answer = await (by or self.wei).ask("HandOverReservations", asking(**fields))
        return cast(api.HandOverReservationsResponse, answer)

    async def cancel(self, **fields: Any) -> api.CancelComingReservationsResponse:
        request = api.CancelComingReservationsRequest(**({"account_id": ANN} | fields))
        return cast(api.CancelComingReservationsResponse, await self.wei.ask("CancelComingReservations", request))


def asking(**fields: Any) -> api.HandOverReservationsRequest:
    return api.HandOverReservationsRequest(**({"account_id": ANN, "new_account_id": BOB} | fields))


@pytest.fixture
async def desk(channel: grpc.aio.Channel) -> Desk:
    desk = Desk(channel)
    await desk.bob.ask("CreateReservation", create_request(minutes=30))  # refused, and now the account is known
    return desk


async def reserved(who: Caller, **fields: Any) -> pb.Reservation:
    answer = await who.ask("CreateReservation", create_request(**fields))
    assert answer.HasField("reservation"), answer.decision.rules
    return cast(pb.Reservation, answer.reservation)


def outcomes(answer: Any) -> list[tuple[str, int, list[str]]]:
    return [
        (each.reservation.reservation_id, each.outcome, [rule.rule_id for rule in each.decision.rules])
        for each in answer.reservations
    ]


async def test_it_stays_what_it_is_and_is_anothers(booking: Booking, desk: Desk) -> None:
    before = await reserved(desk.ann)
    [handed] = (await desk.hand_over()).reservations
    after = handed.reservation
    assert handed.outcome == HANDED_OVER
    expected = pb.Reservation()
    expected.CopyFrom(before)
    expected.organizer.CopyFrom(after.organizer)
    expected.version, expected.decision_id = 2, handed.decision.decision_id
    assert after == expected
    assert after.organizer.account_id == BOB
    event = (await rows(booking.database, outbox.TABLE))[-1]
    assert event["subject"] == "yunhui.booking.reservation.handed_over"
    told = from_json(event["payload"], events_pb2.ReservationEvent)
    assert (told.reservation, told.former_organizer, told.actor) == (after, before.organizer, "wei")
    due = await rows(booking.database, models.DEADLINE)
    assert {row["account_id"] for row in due} == {BOB}
    one = api.GetReservationRequest(reservation_id=before.reservation_id)
    assert await desk.ann.refused("GetReservation", one) == ("NOT_FOUND", "RESERVATION_NOT_FOUND")
    assert (await desk.bob.ask("GetReservation", one)).reservation == after
    decision = api.GetDecisionRequest(decision_id=after.decision_id)
    assert (await desk.bob.ask("GetDecision", decision)).question.account.account_id == BOB


async def test_the_quota_comes_back_to_the_one_and_is_charged_to_the_other(booking: Booking, desk: Desk) -> None:
    for hour in range(3):
        await reserved(desk.ann, start=TEN + hour * 2 * HOUR)
    await reserved(desk.bob, start=TEN + 9 * HOUR)
    answer = await desk.hand_over()
    assert [(outcome, rules) for _, outcome, rules in outcomes(answer)] == [
        *((HANDED_OVER, []), (HANDED_OVER, [])),
        (REFUSED, ["DAILY_QUOTA"]),
    ]
    used = [await left(who) for who in (desk.ann, desk.bob)]
    assert used == [(1, 1), (3, 3)]
    again = await desk.hand_over()
    assert [outcome for _, outcome, _ in outcomes(again)] == [REFUSED]


async def left(who: Caller) -> tuple[int, int]:
    answer = await who.ask("GetStanding", api.GetStandingRequest(time=create_request().start_time))
    day, week = (quota.usage.used for quota in answer.standing.quotas)
    return day, week


async def test_a_suspended_account_takes_nothing_over(booking: Booking, desk: Desk) -> None:
    for hour in (0, 1):
        await reserved(desk.bob, start=TEN + hour * HOUR)
    await reserved(desk.ann, start=TEN + DAY)
    await pass_time(booking, TEN + 2 * HOUR)
    assert [rules for *_, rules in outcomes(await desk.hand_over())] == [["SUSPENSION"]]


async def test_a_disabled_account_takes_nothing_over(booking: Booking, desk: Desk) -> None:
    record = await reserved(desk.ann)
    booking.grants.put(BOB, Grant(version=1, disabled=True))
    assert await desk.wei.refused("HandOverReservations", asking()) == ("FAILED_PRECONDITION", "ACCOUNT_DISABLED")
    booking.grants.put(BOB, Grant(version=2))
    assert [id_ for id_, *_ in outcomes(await desk.hand_over())] == [record.reservation_id]


@pytest.mark.parametrize(("before", "rules"), [(30 * MINUTE, []), (30 * MINUTE - SECOND, ["BOOKING_CUTOFF"])])
async def test_after_the_cutoff_it_stays(booking: Booking, desk: Desk, before: int, rules: list[str]) -> None:
    await reserved(desk.ann)
    booking.clock.time = TEN - before
    assert [each for *_, each in outcomes(await desk.hand_over())] == [rules]


async def test_what_has_begun_is_left_out(booking: Booking, desk: Desk) -> None:
    await reserved(desk.ann)
    booking.clock.time = TEN
    assert not (await desk.hand_over()).reservations
    assert not (await desk.cancel()).reservations


async def test_nobody_hands_over_to_themselves(booking: Booking, desk: Desk) -> None:
    await reserved(desk.ann)
    await desk.wei.ask("CreateReservation", create_request(minutes=30))
    request = asking(new_account_id="wei")
    assert await desk.wei.refused("HandOverReservations", request) == ("PERMISSION_DENIED", "SECOND_PERSON_NEEDED")
    assert [outcome for _, outcome, _ in outcomes(await desk.hand_over(desk.lin, new_account_id="wei"))] == [
        HANDED_OVER
    ]


async def test_what_was_approved_needs_a_second_person_again(booking: Booking, desk: Desk) -> None:
    """Who asked for it hands over what the policy allows, and not what support had to approve."""
    large = await reserved(desk.wei, account_id=BOB, participant_count=120)
    small = await reserved(desk.wei, account_id=BOB, start=TEN + 2 * HOUR)
    answer = api.ResolveEscalationRequest(reservation_id=large.reservation_id, approve=True)
    room = (await desk.lin.ask("ResolveEscalation", answer)).reservation.room
    await desk.ann.ask("CreateReservation", create_request(minutes=30))
    request: dict[str, Any] = {"account_id": BOB, "new_account_id": ANN}
    for dry_run in (True, False):
        found = await desk.hand_over(dry_run=dry_run, **request)
        assert outcomes(found) == [
            (large.reservation_id, REFUSED, ["LARGE_MEETING"]),
            (small.reservation_id, HANDED_OVER, []),
        ]
        assert found.reservations[0].decision.effect == policy.EFFECT_ESCALATE
    [handed] = (await desk.hand_over(desk.lin, **request)).reservations
    assert (handed.outcome, handed.reservation.room) == (HANDED_OVER, room)
    assert handed.reservation.state == pb.RESERVATION_STATE_CONFIRMED


async def test_what_waits_for_support_waits_on(booking: Booking, desk: Desk) -> None:
    asked = await reserved(desk.ann, participant_count=120)
    [handed] = (await desk.hand_over()).reservations
    assert handed.reservation.state == pb.RESERVATION_STATE_PENDING_APPROVAL
    answer = api.ResolveEscalationRequest(reservation_id=asked.reservation_id, approve=True)
    assert await desk.wei.refused("ResolveEscalation", answer) == ("PERMISSION_DENIED", "SECOND_PERSON_NEEDED")
    assert (await desk.lin.ask("ResolveEscalation", answer)).reservation.organizer.account_id == BOB


async def test_a_dry_run_says_what_would_be_and_does_nothing(booking: Booking, desk: Desk) -> None:
    """Page by page too, with what the pages before would hand over counted."""
    for hour in range(3):
        await reserved(desk.ann, start=TEN + hour * 2 * HOUR)
    await reserved(desk.bob, start=TEN + 9 * HOUR)
    stored = await everything(booking)
    whole = outcomes(await desk.hand_over(dry_run=True))
    assert [outcome for _, outcome, _ in whole] == [HANDED_OVER, HANDED_OVER, REFUSED]
    assert await by_page(desk, dry_run=True) == whole
    assert [each.outcome for each in (await desk.cancel(dry_run=True)).reservations] == [
        api.COMING_OUTCOME_CANCELLED
    ] * 3
    assert stored == await everything(booking)
    assert await by_page(desk) == whole


async def everything(booking: Booking) -> list[list[Any]]:
    tables = (models.RESERVATION, models.DECISION, models.ACCOUNT, outbox.TABLE, audit.TABLE)
    return [await rows(booking.database, table) for table in tables]


async def by_page(desk: Desk, **fields: Any) -> list[tuple[str, int, list[str]]]:
    found, token = [], ""
    for _ in range(3):
        answer = await desk.hand_over(page_size=1, page_token=token, **fields)
        found += outcomes(answer)
        token = answer.next_page_token
    assert not token
    return found


async def test_all_are_cancelled_and_each_says_whether_its_quota_came_back(booking: Booking, desk: Desk) -> None:
    late = await reserved(desk.ann)
    early = await reserved(desk.ann, start=TEN + 2 * HOUR)
    waiting = await reserved(desk.ann, start=TEN + 4 * HOUR, participant_count=120)
    booking.clock.time = TEN - 30 * MINUTE + SECOND
    answer = await desk.cancel(note="ann has left")
    assert [(each.reservation.reservation_id, each.quota_returned) for each in answer.reservations] == [
        *((late.reservation_id, False), (early.reservation_id, True), (waiting.reservation_id, True)),
    ]
    assert {each.reservation.note for each in answer.reservations} == {"ann has left"}
    assert not (await desk.cancel()).reservations
    acts = await rows(booking.database, audit.TABLE)
    assert [(row["target_id"], row["account_id"]) for row in acts] == [
        (each.reservation_id, ANN) for each in (late, early, waiting)
    ]


async def test_each_is_noted_in_the_audit_log(booking: Booking, desk: Desk) -> None:
    for hour in range(3):
        await reserved(desk.ann, start=TEN + hour * 2 * HOUR)
    await reserved(desk.bob, start=TEN + 9 * HOUR)
    await desk.hand_over()
    acts = await rows(booking.database, audit.TABLE)
    assert [row["account_id"] for row in acts] == [BOB, BOB, ANN]
    details = [json.loads(row["detail"]) for row in acts]
    assert [(each["from"], each["to"], each["event"]) for each in details] == [
        *((ANN, BOB, "hand_over"), (ANN, BOB, "hand_over"), (ANN, BOB, None)),
    ]


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"account_id": ""}, ("INVALID_ARGUMENT", "account_id")),
        ({"new_account_id": ""}, ("INVALID_ARGUMENT", "new_account_id")),
        ({"new_account_id": ANN}, ("INVALID_ARGUMENT", "new_account_id")),
        ({"new_account_id": "nobody"}, ("NOT_FOUND", "ACCOUNT_NOT_FOUND")),
        ({"page_size": 51}, ("INVALID_ARGUMENT", "page_size")),
        ({"page_token": "mine"}, ("INVALID_ARGUMENT", "page_token")),
    ],
)
async def test_what_cannot_be_asked(booking: Booking, desk: Desk, fields: Any, about: tuple[str, str]) -> None:
    await reserved(desk.ann)
    assert await desk.wei.refused("HandOverReservations", asking(**fields)) == about


async def test_bookers_are_not_admitted(booking: Booking, desk: Desk) -> None:
    for method, request in (
        ("HandOverReservations", asking()),
        ("CancelComingReservations", api.CancelComingReservationsRequest(account_id=ANN)),
    ):
        assert await desk.ann.refused(method, request) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


async def test_who_has_nothing_coming_needs_no_answer(desk: Desk) -> None:
    assert not (await desk.cancel(account_id="never-seen")).reservations
    assert not (await desk.hand_over(account_id="never-seen")).reservations


async def test_when_the_policy_goes_away_the_answer_ends_and_the_next_tells_why(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is told as done."""
    first, second = [await made(booking, account_id=ANN, start=TEN + hour * 2 * HOUR) for hour in range(2)]
    await create(booking, account_id=BOB, minutes=30)
    carry_out = handovers._carry_out

    async def then_away(*given: Any) -> Any:
        booking.policy.away = True
        return await carry_out(*given)

    monkeypatch.setattr(handovers, "_carry_out", then_away)
    page, wanted = ComingPage(ANN, None, 20, dry_run=False, whose=EVERYBODY), Handover(ANN, BOB, "wei", whose=EVERYBODY)
    done, token = await handovers.hand_over_all(booking.transactions, page, wanted)
    assert [each.reservation.reservation_id for each in done] == [first.reservation_id]
    with pytest.raises(errors.RpcError) as caught:
        await handovers.hand_over_all(booking.transactions, page, wanted)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    booking.policy.away = False
    rest = await booking.database.read(
        lambda c: queries.read_coming(c, ANN, EVERYBODY, booking.clock.time, None, None, None)
    )
    assert [each.reservation_id for each in rest] == [second.reservation_id]
    assert token


async def test_the_room_is_never_free_in_between(booking: Booking, database_url: str) -> None:
    """Whatever is seen of the pool, at any moment, the room is held once."""
    record = await made(booking, account_id=ANN)
    await create(booking, account_id=BOB, minutes=30)
    interval = from_timestamp(record.start_time), from_timestamp(record.end_time)
    seen, other = list[bool](), sa.create_engine(database_url)

    def look(*_: Any) -> None:
        with other.connect() as connection:
            free = read_pool(connection, [interval]).free(*interval, 12)
            seen.append(record.room.room_id in {room.room_id for room in free})

    sa.event.listen(booking.database.engine, "before_cursor_execute", look)
    await handovers.hand_over(booking.transactions, record.reservation_id, Handover(ANN, BOB, "wei", whose=EVERYBODY))
    look()
    other.dispose()
    assert len(seen) > 3
    assert not any(seen)
