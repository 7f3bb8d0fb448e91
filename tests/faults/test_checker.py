"""The checker sees every kind of breach: real data is clean, and the same data damaged on purpose is not."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.faults import checker, invariants
from tests.faults.answers import Answer
from tests.faults.checker import Ledger, summary
from tests.faults.installation import replicated

pytestmark = [pytest.mark.system, pytest.mark.long]

Sample = tuple[str, list[Answer]]

ONE = "(SELECT min(reservation_id) FROM reservation WHERE state = 'CONFIRMED')"
NO_WALLS = ["DROP TRIGGER reservation_overlap_insert", "DROP TRIGGER reservation_overlap_update"]
DAMAGE = {
    "overlap": [
        *NO_WALLS,
        "UPDATE reservation SET room_id = 'stress-002', start_time = 1, end_time = 2 WHERE state = 'CONFIRMED'",
    ],
    "daily quota": ["UPDATE reservation SET account_id = 'greedy'"],
    "changed too late": [
        "UPDATE outbox SET payload = json_set(payload, '$.reservation.updateTime', json_extract(payload,"
        " '$.reservation.startTime'), '$.reservation.endTime', '2099-01-01T00:00:00Z') WHERE subject LIKE '%.updated'"
    ],
    "weekly quota": ["UPDATE reservation SET account_id = 'greedy'"],
    "no decision": [f"DELETE FROM decision WHERE reservation_id = {ONE}"],
    "decision not stored": [f"DELETE FROM decision WHERE reservation_id = {ONE}"],
    "room too small": ["UPDATE room SET capacity = 1"],
    "request stored twice": ["UPDATE reservation SET account_id = 'same', subject = 'same'"],
    "events out of sequence": ["UPDATE outbox SET entity_seq = entity_seq + 1"],
    "event repeated": [
        "INSERT INTO outbox (event_id, subject, entity_id, entity_seq, time, payload) SELECT event_id || 'x', subject,"
        " entity_id, entity_seq, time, payload FROM outbox WHERE subject LIKE '%.confirmed' LIMIT 1"
    ],
    "change without event": [f"UPDATE reservation SET version = version + 1 WHERE reservation_id = {ONE}"],
    "deadline of nothing": ["UPDATE reservation SET state = 'CANCELLED'"],
    "no-show without violation": [f"UPDATE reservation SET state = 'NO_SHOW' WHERE reservation_id = {ONE}"],
    "violation without no-show": [
        "INSERT INTO violation (violation_id, account_id, reservation_id, violation_time, decision_id, waived,"
        " waived_by, waive_note, waive_lifted, objection_text, objection_outcome, objection_answered_by,"
        " objection_answer_note) SELECT 'v', '', reservation_id, 1, '', 0, '', '', 0, '', '', '', ''"
        " FROM reservation LIMIT 1"
    ],
    "event and table differ": [f"UPDATE reservation SET start_time = start_time + 1 WHERE reservation_id = {ONE}"],
    "answered but not stored": [
        "CREATE TEMP TABLE gone AS SELECT reservation_id FROM reservation WHERE state = 'CONFIRMED' LIMIT 1",
        "DELETE FROM outbox WHERE entity_id IN (SELECT reservation_id FROM gone)",
        "DELETE FROM deadline WHERE entity_id IN (SELECT reservation_id FROM gone)",
        "DELETE FROM reservation WHERE reservation_id IN (SELECT reservation_id FROM gone)",
    ],
}


@pytest.fixture(scope="module")
async def sample(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sample]:
    """A database with a few hundred requests in it, and what their clients were told."""
    async with replicated(tmp_path_factory.mktemp("sample") / "state") as installation:
        _, answers = await installation.load("crowd", 150)
        yield installation.database_url, answers


def damaged(url: str, copy: Path, statements: list[str]) -> str:
    """A copy of the database after the statements."""
    change(url, [f"VACUUM INTO '{copy}'"])
    change(f"sqlite:///{copy}", statements)
    return f"sqlite:///{copy}"


def change(url: str, statements: list[str]) -> None:
    engine = checker.connect(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


async def test_what_is_whole_has_no_breach(sample: Sample) -> None:
    assert checker.check(*sample) == []


@pytest.mark.parametrize("kind", DAMAGE)
async def test_damage_is_seen(kind: str, sample: Sample, tmp_path: Path) -> None:
    url, answers = sample
    assert kind in summary(checker.check(damaged(url, tmp_path / "damaged.db", DAMAGE[kind]), answers))


def test_every_query_is_tried() -> None:
    assert checker.QUERIES.keys() <= DAMAGE.keys()


async def test_another_answer_to_the_same_request_is_seen(sample: Sample) -> None:
    url, answers = sample
    other = replace(next(each for each in answers if each.request_id and each.facts), facts=None)
    assert "answered differently" in summary(checker.check(url, [*answers, other]))


async def test_what_nobody_was_told_is_seen(sample: Sample) -> None:
    url, answers = sample
    made = next(each for each in answers if each.method == "CreateReservation")
    assert summary(checker.check(url, [each for each in answers if each.request_id != made.request_id])) == {
        "stored but not answered": 1
    }


async def test_a_stream_with_a_gap_or_in_another_order_is_seen(sample: Sample) -> None:
    url, _ = sample
    engine = checker.connect(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT event_id, entity_id FROM outbox ORDER BY seq"))
        stored = [(event, entity) for event, entity in rows]
    engine.dispose()
    assert checker.check_stream(url, [*stored, stored[0]]) == []
    assert summary(checker.check_stream(url, stored[1:])) == {"stream and table differ": 1}
    assert summary(checker.check_stream(url, stored[::-1])).keys() == {"stream and table differ"}


def test_a_breach_that_was_over_soon_is_seen() -> None:
    """Two held one room, and four counted on one day, until one was cancelled."""
    ledger = Ledger()
    for number in range(4):
        ledger.add(1, record(f"rsv_{number}", number // 2 * 3600))
    for number in range(4):
        ledger.add(2, record(f"rsv_{number}", number // 2 * 3600, state="CANCELLED"))
    assert summary(ledger.breaches) == {"overlap": 2, "daily quota": 1}


@pytest.mark.parametrize(
    ("changes", "breaches"),
    [
        ((("09:30:00", "14:00", "15:00"),), {}),
        ((("09:30:01", "14:00", "15:00"),), {"changed too late": 1}),
        ((("09:45:00", "10:00", "10:50"), ("10:20:00", "10:00", "10:45")), {}),
        ((("09:45:00", "10:15", "11:00"), ("09:59:00", "10:18", "11:00")), {}),
        ((("09:45:00", "10:15", "11:00"), ("10:00:01", "10:18", "11:00")), {"changed too late": 1}),
        ((("09:45:00", "10:00", "11:30"),), {"changed too late": 1}),
    ],
)
def test_a_change_that_comes_too_late_is_seen(
    changes: tuple[tuple[str, str, str], ...], breaches: dict[str, int]
) -> None:
    """Of an hour from ten on: when it was changed, and to what."""
    ledger, first = Ledger(), record("rsv", 0)
    ledger.add(1, first)
    for number, (moment, start, end) in enumerate(changes, 2):
        day = "2025-07-07T"
        times = {"updateTime": f"{day}{moment}Z", "startTime": f"{day}{start}:00Z", "endTime": f"{day}{end}:00Z"}
        ledger.add(number, first | times)
    assert summary(ledger.breaches) == breaches


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({}, False),
        ({"endTime": "2025-07-07T10:30:00Z"}, False),
        ({"endTime": "2025-07-07T11:00:01Z"}, True),
        ({"startTime": "2025-07-07T09:59:59Z"}, True),
        ({"room": {"roomId": "another"}}, True),
        ({"room": {}}, False),
    ],
)
def test_what_takes_more_is_told_from_what_gives_back(changed: dict[str, Any], more: bool) -> None:
    assert invariants.takes_more(record("rsv", 0), record("rsv", 0) | changed) == more


def test_a_room_for_what_had_none_is_more() -> None:
    assert invariants.takes_more(record("rsv", 0) | {"room": {}}, record("rsv", 0))


def record(reservation_id: str, start: int, state: str = "CONFIRMED") -> dict[str, Any]:
    """As in an event; `start` in seconds after ten."""
    begin = f"2025-07-07T{10 + start // 3600}:00:00Z"
    return {
        "reservationId": reservation_id,
        "version": "1",
        "state": f"RESERVATION_STATE_{state}",
        "organizer": {"accountId": "booker"},
        "room": {"roomId": "room"},
        "startTime": begin,
        "endTime": f"2025-07-07T{11 + start // 3600}:00:00Z",
        "updateTime": "2025-07-07T00:00:00Z",
    }


@pytest.mark.parametrize("granted", [2, 4])
def test_a_round_with_more_or_less_than_three_is_seen(granted: int) -> None:
    """The same request answered twice is one."""
    answers = [
        Answer("CreateReservation", "one", f"rush-0-{number}", "CONFIRMED" if number < granted else "DENIED")
        for number in range(64)
    ]
    assert len(checker.check_rounds([*answers, *answers])) == 1
