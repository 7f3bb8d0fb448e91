"""Requests for rooms: what is answered, what is stored with it, and that no race breaks a quota or a room."""

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.json_format import Parse
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import models, queries, reservations
from services.booking.pool import CurrentPool
from services.booking.scopes import of_account
from services.platform.clock import DAY, HOUR, MINUTE
from services.platform.data.database import ConflictError, Database
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.booking.builders import MONDAY, TEN, wanted
from tests.booking.conftest import Booking


async def create(booking: Booking, **fields: Any) -> api.CreateReservationResponse:
    return await booking.admission.create(wanted(**fields))


async def rows(database: Database, table: sa.Table) -> list[Any]:
    """In the order of creation: our ids are."""
    query = sa.select(table).order_by(*table.primary_key)
    return await database.read(lambda c: list(c.execute(query).mappings()))


def rule_ids(reply: api.CreateReservationResponse | api.CheckReservationResponse) -> list[str]:
    return [rule.rule_id for rule in reply.decision.rules]


async def test_a_confirmed_reservation_is_stored_with_decision_event_and_deadlines(booking: Booking) -> None:
    reply = await create(booking)
    assert reply.outcome == pb.OUTCOME_CONFIRMED
    assert reply.reservation.room.room_id == "small-1"
    assert reply.reservation.release_time.seconds * 1000 == TEN + 30 * MINUTE
    [stored] = await rows(booking.database, models.RESERVATION)
    assert stored["reservation_id"] == reply.reservation.reservation_id
    [decision] = await rows(booking.database, models.DECISION)
    assert (decision["decision_id"], decision["effect"]) == (reply.decision.decision_id, "ALLOW")
    deadlines = {row["kind"]: row["due_time"] for row in await rows(booking.database, models.DEADLINE)}
    assert deadlines == {"attendance": TEN + 30 * MINUTE, "completion": TEN + HOUR}
    [event] = await rows(booking.database, outbox.TABLE)
    assert event["subject"] == "yunhui.booking.reservation.confirmed"
    assert event["entity_seq"] == 1
    told = Parse(event["payload"], events_pb2.ReservationEvent())
    assert told.reservation == reply.reservation
    assert told.decision == reply.decision


async def test_what_is_read_back_is_what_was_answered(booking: Booking) -> None:
    reply = await create(booking)
    record = await booking.database.read(
        lambda c: queries.read_reservation(c, reply.reservation.reservation_id, of_account("booker"))
    )
    assert record == reply.reservation


async def test_a_refusal_is_stored_and_told_but_reserves_nothing(booking: Booking) -> None:
    reply = await create(booking, minutes=30)
    assert reply.outcome == pb.OUTCOME_REDIRECTED
    assert rule_ids(reply) == ["SMALL_MEETING"]
    assert not reply.HasField("reservation")
    assert await rows(booking.database, models.RESERVATION) == []
    [decision] = await rows(booking.database, models.DECISION)
    assert (decision["effect"], decision["reservation_id"]) == ("REDIRECT", None)
    [event] = await rows(booking.database, outbox.TABLE)
    assert event["subject"] == "yunhui.booking.reservation.redirected"
    assert event["entity_id"] == reply.decision.decision_id


async def test_an_escalation_holds_no_room_and_expires_at_the_cutoff(booking: Booking) -> None:
    reply = await create(booking, participant_count=120)
    assert reply.outcome == pb.OUTCOME_PENDING_APPROVAL
    assert not reply.reservation.HasField("room")
    [deadline] = await rows(booking.database, models.DEADLINE)
    assert (deadline["kind"], deadline["due_time"]) == ("escalation", TEN - 30 * MINUTE)


async def test_a_check_stores_nothing(booking: Booking) -> None:
    reply = await booking.admission.check(wanted())
    assert (reply.outcome, reply.room.room_id) == (pb.OUTCOME_CONFIRMED, "small-1")
    for table in (models.RESERVATION, models.DECISION, models.ACCOUNT, outbox.TABLE):
        assert await rows(booking.database, table) == []


async def test_the_fourth_of_a_day_and_the_eleventh_of_a_week_are_refused(booking: Booking) -> None:
    day_starts = [TEN, TEN + 2 * HOUR, TEN + 4 * HOUR]
    outcomes = [rule_ids(await create(booking, start=start)) for start in [*day_starts, TEN + 6 * HOUR]]
    assert outcomes == [[], [], [], ["DAILY_QUOTA"]]
    for start in [time + days * DAY for days in (1, 2) for time in day_starts] + [TEN + 3 * DAY]:
        assert rule_ids(await create(booking, start=start)) == []
    assert rule_ids(await create(booking, start=TEN + 4 * DAY)) == ["WEEKLY_QUOTA"]
    assert rule_ids(await create(booking, start=TEN + 7 * DAY)) == []  # next Monday


async def test_no_room_free_is_a_refusal_with_a_reason(booking: Booking) -> None:
    for index in range(2):
        assert rule_ids(await create(booking, account_id=f"a{index}", participant_count=20)) == []
    assert rule_ids(await create(booking, account_id="a2", participant_count=20)) == []  # the large one
    assert rule_ids(await create(booking, account_id="a3", participant_count=20)) == ["NO_ROOM_FREE"]
    touching = await create(booking, account_id="a3", participant_count=20, start=TEN + HOUR)
    assert touching.reservation.room.room_id == "small-1"


async def test_the_same_request_id_has_the_same_answer_and_one_effect(booking: Booking) -> None:
    replies = await asyncio.gather(*(create(booking, request_id="key-1") for _ in range(5)))
    assert len({reply.SerializeToString(deterministic=True) for reply in replies}) == 1
    assert len(await rows(booking.database, models.RESERVATION)) == 1
    with pytest.raises(errors.RpcError) as caught:
        await create(booking, request_id="key-1", participant_count=13)
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert (await create(booking, account_id="other", request_id="key-1")).outcome == pb.OUTCOME_CONFIRMED


async def test_a_refusal_is_repeated_too(booking: Booking) -> None:
    first = await create(booking, minutes=30, request_id="key-2")
    assert await create(booking, minutes=30, request_id="key-2") == first
    assert len(await rows(booking.database, models.DECISION)) == 1


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        (grpc.StatusCode.NOT_FOUND, {"room_id": "nowhere"}),
        (grpc.StatusCode.INVALID_ARGUMENT, {"room_id": "small-1", "participant_count": 31}),
    ],
)
async def test_a_room_that_cannot_be_given(booking: Booking, code: grpc.StatusCode, fields: dict[str, Any]) -> None:
    with pytest.raises(errors.RpcError) as caught:
        await create(booking, **fields)
    assert caught.value.code is code


async def test_without_the_policy_nothing_is_accepted_and_it_recovers(booking: Booking) -> None:
    booking.policy.away = True
    with pytest.raises(errors.RpcError) as caught:
        await create(booking)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert await rows(booking.database, models.DECISION) == []
    booking.policy.away = False
    assert (await create(booking)).outcome == pb.OUTCOME_CONFIRMED


async def test_the_fault_of_one_does_not_fail_the_others(booking: Booking, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reservations.commit

    def commit(connection: Any, pool: Any, batch: Any, now: int) -> Any:
        if any(decided.profile.account_id == "guilty" for decided in batch):
            raise RuntimeError("broken")
        return whole(connection, pool, batch, now)

    monkeypatch.setattr(reservations, "commit", commit)
    asks = [create(booking, account_id=name) for name in ("a", "guilty", "b")]
    first, guilty, last = await asyncio.gather(*asks, return_exceptions=True)
    assert isinstance(guilty, RuntimeError)
    for reply in (first, last):
        assert isinstance(reply, api.CreateReservationResponse)
        assert reply.outcome == pb.OUTCOME_CONFIRMED


async def test_64_at_once_of_one_account_are_exactly_3(replicas: list[Booking]) -> None:
    starts = [TEN + index * HOUR for index in range(4)]
    requests = [create(replicas[index % 2], start=starts[index % 4], participant_count=12) for index in range(64)]
    outcomes = Counter(reply.outcome for reply in await asyncio.gather(*requests))
    assert outcomes == {pb.OUTCOME_CONFIRMED: 3, pb.OUTCOME_DENIED: 61}
    assert len(await rows(replicas[0].database, models.RESERVATION)) == 3


async def test_no_room_is_given_twice_under_load_from_two_replicas(replicas: list[Booking]) -> None:
    dice = random.Random(7)
    requests = [
        create(
            replicas[index % 2],
            account_id=f"account-{index % 60}",
            start=TEN + dice.randrange(16) * 30 * MINUTE,
            minutes=dice.choice([60, 90, 120]),
            participant_count=dice.choice([12, 40]),
        )
        for index in range(240)
    ]
    results = await asyncio.gather(*requests, return_exceptions=True)
    unexpected = [each for each in results if isinstance(each, Exception) and not is_contention(each)]
    assert unexpected == []
    stored = await rows(replicas[0].database, models.RESERVATION)
    assert len(stored) == sum(
        isinstance(each, api.CreateReservationResponse) and each.HasField("reservation") for each in results
    )
    assert count_overlaps(stored) == 0


def is_contention(error: Exception) -> bool:
    return isinstance(error, errors.RpcError) and error.code is grpc.StatusCode.ABORTED


def count_overlaps(stored: list[Any]) -> int:
    by_room = defaultdict(list)
    for row in stored:
        by_room[row["room_id"]].append((row["start_time"], row["end_time"]))
    return sum(
        earlier[1] > later[0]
        for held in by_room.values()
        for earlier, later in zip(sorted(held), sorted(held)[1:], strict=False)
    )


async def test_the_database_itself_refuses_an_overlap(booking: Booking) -> None:
    """The second wall: even a bug in our own code cannot double-book."""
    reply = await create(booking)

    def insert_again(connection: sa.Connection) -> None:
        row = dict(connection.execute(sa.select(models.RESERVATION)).mappings().one())
        row |= {"reservation_id": "rsv_again", "start_time": TEN + HOUR - 1, "end_time": TEN + 2 * HOUR}
        connection.execute(sa.insert(models.RESERVATION), [row])

    with pytest.raises(ConflictError):
        await booking.database.write(insert_again)
    [stored] = await rows(booking.database, models.RESERVATION)
    assert stored["reservation_id"] == reply.reservation.reservation_id


async def test_the_wall_itself_is_asked_when_the_pool_is_wrong(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the choice of rooms were broken, the request would fail and not double-book."""
    await create(booking, account_id="first")
    monkeypatch.setattr(CurrentPool, "_busy", lambda *_: set())
    with pytest.raises(errors.RpcError) as caught:
        await create(booking, account_id="second")
    assert is_contention(caught.value)
    assert len(await rows(booking.database, models.RESERVATION)) == 1


async def test_on_behalf_needs_an_account_that_is_known(booking: Booking) -> None:
    on_behalf = replace(wanted("support"), account_id="booker", profile=None, roles="")
    with pytest.raises(errors.RpcError) as caught:
        await booking.admission.create(on_behalf)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    await create(booking, minutes=30)  # refused, but now the account is known
    reply = await booking.admission.create(on_behalf)
    assert reply.reservation.organizer.email == "booker@example.org"
    assert reply.reservation.created_by == "support"


async def test_a_suspension_that_is_due_is_noticed_before_the_next_request(booking: Booking) -> None:
    """Even when the loop that watches the deadlines has not run yet."""
    for start in (TEN, TEN + 2 * HOUR):
        await create(booking, start=start)
    booking.clock.time = TEN + 2 * HOUR + 30 * MINUTE
    reply = await create(booking, start=MONDAY + DAY)
    assert rule_ids(reply) == ["SUSPENSION"]
