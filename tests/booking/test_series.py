"""Recurring requests: which times a rule means, and each occurrence decided by itself with those before it counted."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import pytest
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import models
from services.booking.series import SeriesInput
from services.booking.series import create as create_series
from services.contracts import recurrence
from services.platform.clock import DAY, HOUR, MINUTE
from services.platform.serving import errors
from tests.booking.builders import TEN, wanted
from tests.booking.conftest import Booking
from tests.booking.test_admission import create, rows, rule_ids
from tests.booking.test_transitions import made, subjects

SHANGHAI = "Asia/Shanghai"


def local(text: str, zone: str = SHANGHAI) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("rule", "zone", "days"),
    [
        ("FREQ=DAILY;COUNT=2", SHANGHAI, "2025-12-31 2026-01-01"),
        ("RRULE:FREQ=DAILY;COUNT=1", SHANGHAI, "2025-07-07"),
        ("freq=weekly;byday=mo,we;count=3", SHANGHAI, "2025-07-07 2025-07-09 2025-07-14"),
        ("FREQ=DAILY;BYDAY=FR,MO;COUNT=2", SHANGHAI, "2025-07-11 2025-07-14"),
        ("FREQ=DAILY;INTERVAL=3;UNTIL=20250710T020000Z", SHANGHAI, "2025-07-07 2025-07-10"),
        ("FREQ=DAILY;INTERVAL=3;UNTIL=20250710T015959Z", SHANGHAI, "2025-07-07"),
        ("FREQ=MONTHLY;BYDAY=-1MO;COUNT=2", SHANGHAI, "2025-07-28 2025-08-25"),
        ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2", SHANGHAI, "2025-08-31 2025-10-31"),
        ("FREQ=DAILY;COUNT=3", "Europe/Berlin", "2025-03-29 2025-03-30 2025-03-31"),
    ],
)
def test_a_rule_keeps_the_hour_of_its_zone(rule: str, zone: str, days: str) -> None:
    starts = [local(f"{day}T10:00", zone) for day in days.split()]
    assert recurrence.occurrences(rule, zone, starts[0]) == starts


def test_an_hour_that_a_day_does_not_have_is_read_with_the_offset_before() -> None:
    first, second = recurrence.occurrences(
        "FREQ=DAILY;COUNT=2", "Europe/Berlin", local("2025-03-29T02:30", "Europe/Berlin")
    )
    assert second - first == DAY


@pytest.mark.parametrize(
    "rule",
    [
        *("", "FREQ=DAILY", "COUNT=3", "FREQ=DAILY;COUNT=61", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=-1"),
        *("FREQ=SECONDLY;COUNT=3", "FREQ=DAILY;COUNT=3;UNTIL=20250801T000000Z", "FREQ=DAILY;UNTIL=20250801"),
        *("FREQ=DAILY;UNTIL=20259999T000000Z", "FREQ=DAILY;COUNT=3;COUNT=3", "FREQ=DAILY;COUNT=3;BYMONTH=2"),
        *("FREQ=DAILY;COUNT=3;BYSETPOS=9", "FREQ=DAILY;COUNT=3\nDTSTART:20250101T000000Z", "FREQ=DAILY;COUNT=３"),
        *("FREQ=DAILY;INTERVAL=7;BYDAY=TU;COUNT=2", "FREQ=DAILY;BYMONTHDAY=7;COUNT=2", "FREQ=WEEKLY;BYDAY=TU;COUNT=2"),
        *("FREQ=WEEKLY;BYDAY=2MO;COUNT=2", "FREQ=MONTHLY;BYDAY=MO;BYMONTHDAY=1;COUNT=2", "X" * 1000),
        *("FREQ=MONTHLY;BYMONTHDAY=0;COUNT=2", "FREQ=MONTHLY;BYDAY=9MO;COUNT=2"),
    ],
)
def test_a_rule_that_is_not_understood_names_the_field(rule: str) -> None:
    with pytest.raises(errors.RpcError) as caught:
        recurrence.occurrences(rule, SHANGHAI, TEN)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "recurrence_rule" in str(caught.value)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Asia", "x" * 5000, "a\0b"])
def test_an_unknown_zone_names_the_field(zone: str) -> None:
    with pytest.raises(errors.RpcError, match="time_zone"):
        recurrence.occurrences("FREQ=DAILY;COUNT=2", zone, TEN)


def series(*starts: int, all_or_none: bool = False, request_id: str = "", **fields: Any) -> SeriesInput:
    return SeriesInput(request_id, b"body", [wanted(start=start, **fields) for start in starts], all_or_none)


def outcomes(reply: api.CreateReservationSeriesResponse) -> list[pb.Outcome.ValueType]:
    return [each.outcome for each in reply.occurrences]


async def test_each_occurrence_counts_those_before_it(booking: Booking) -> None:
    reply = await create_series(booking.transactions, series(*(TEN + index * 2 * HOUR for index in range(5))))
    assert outcomes(reply) == [pb.OUTCOME_CONFIRMED] * 3 + [pb.OUTCOME_DENIED] * 2
    assert [rule.rule_id for rule in reply.occurrences[3].decision.rules] == ["DAILY_QUOTA"]
    assert [each.HasField("reservation") for each in reply.occurrences] == [True] * 3 + [False] * 2
    assert len(await rows(booking.database, models.RESERVATION)) == 3
    assert len(await rows(booking.database, models.DECISION)) == 5
    assert await subjects(booking) == ["reservation.confirmed"] * 3 + ["reservation.denied"] * 2


async def test_all_or_none_makes_nothing_when_one_is_refused(booking: Booking) -> None:
    reply = await create_series(
        booking.transactions, series(*(TEN + index * 2 * HOUR for index in range(4)), all_or_none=True)
    )
    assert outcomes(reply) == [pb.OUTCOME_CONFIRMED] * 3 + [pb.OUTCOME_DENIED]
    assert not any(each.HasField("reservation") for each in reply.occurrences)
    assert await rows(booking.database, models.RESERVATION) == []
    assert await subjects(booking) == ["reservation.denied"]
    reply = await create_series(booking.transactions, series(TEN, TEN + 2 * HOUR, all_or_none=True))
    assert all(each.HasField("reservation") for each in reply.occurrences)


async def test_a_large_occurrence_is_sent_to_support_and_counts(booking: Booking) -> None:
    reply = await create_series(
        booking.transactions, series(*(TEN + index * HOUR for index in range(4)), participant_count=120)
    )
    assert outcomes(reply) == [pb.OUTCOME_PENDING_APPROVAL] * 3 + [pb.OUTCOME_DENIED]


async def test_occurrences_that_overlap_get_rooms_of_their_own(booking: Booking) -> None:
    reply = await create_series(booking.transactions, series(TEN, TEN + 30 * MINUTE, TEN + 45 * MINUTE))
    assert len({each.reservation.room.room_id for each in reply.occurrences}) == 3


async def test_the_same_series_is_made_once(booking: Booking) -> None:
    wanted = [series(TEN, TEN + DAY, request_id="weekly") for _ in range(3)]
    replies = await asyncio.gather(*(create_series(booking.transactions, each) for each in wanted))
    assert all(reply == replies[0] for reply in replies)
    assert len(await rows(booking.database, models.RESERVATION)) == 2
    with pytest.raises(errors.RpcError) as caught:
        await create_series(booking.transactions, replace(wanted[0], body_hash=b"another"))
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS


async def test_series_and_single_requests_at_once_do_not_pass_the_quota(replicas: list[Booking]) -> None:
    for index, account in enumerate("abc"):
        day = TEN + index * DAY
        many = [create_series(each.transactions, series(day, day + 2 * HOUR, account_id=account)) for each in replicas]
        singles = [create(each, account_id=account, start=day + 4 * HOUR) for each in replicas]
        await asyncio.gather(*many, *singles)
    mine = [row["account_id"] for row in await rows(replicas[0].database, models.RESERVATION)]
    assert {account: mine.count(account) for account in "abc"} == {"a": 3, "b": 3, "c": 3}


async def test_without_the_policy_nothing_is_made(booking: Booking) -> None:
    booking.policy.away = True
    with pytest.raises(errors.RpcError):
        await create_series(booking.transactions, series(TEN, TEN + DAY))
    booking.policy.away = False
    await made(booking)
    assert rule_ids(await create(booking, start=TEN + 2 * HOUR)) == []
    assert len(await rows(booking.database, models.DECISION)) == 2
