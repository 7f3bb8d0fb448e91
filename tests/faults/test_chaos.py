"""Everything fails at once, short: each program is killed while people use all of it, and every promise holds.

The same evidence damaged on purpose breaks the promise that it should; and the mutants still apply.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults import chaos, checker, invariants
from tests.faults.answers import Answer
from tests.faults.invariants import KINDS, Evidence
from tests.faults.mutants import MUTANTS, ROOT, Mutant
from tests.faults.test_checker import DAMAGE, damaged

pytestmark = pytest.mark.system

NO_SHOW = "SELECT reservation_id, start_time FROM reservation WHERE state = 'NO_SHOW' LIMIT 1"
BOOKING = {
    "no-show forgotten": ["UPDATE reservation SET state = 'COMPLETED', attendance = 'KNOWN' WHERE state = 'NO_SHOW'"],
    "suspension": ["DELETE FROM outbox WHERE subject LIKE '%.suspended'"],
    "booked while closed": [
        "UPDATE outbox SET seq = seq - 1000000 WHERE subject LIKE '%.suspended' OR subject LIKE '%.violation_recorded'"
    ],
    "not reinstated": ["DELETE FROM outbox WHERE subject LIKE '%.reinstated'"],
    "stream and outbox differ": ["DELETE FROM outbox WHERE seq = (SELECT max(seq) FROM outbox)"],
    "audit chain broken": ["DROP TRIGGER audit_no_update", "UPDATE audit SET actor = 'nobody' WHERE number = 1"],
    "act not recorded": ["DROP TRIGGER audit_no_delete", "DELETE FROM audit"],
}
NOTIFIER = {
    "inbox and outbox differ": ["DELETE FROM inbox WHERE seq = 1"],
    "no notice": ["DELETE FROM delivery"],
}
TOLD: dict[str, Callable[[Evidence], Evidence]] = {
    "request failed": lambda e: replace(e, answers=[*e.answers, Answer("CreateReservation", "x", "", "GAVE_UP")]),
    "no-show of somebody present": lambda e: replace(e, visits=[*e.visits, visit_of_a_no_show(e)]),
    "not mailed": lambda e: replace(e, received=e.received[1:]),
    "mailed without a notice": lambda e: replace(e, received=[*e.received, ("<stranger>", 1.0)]),
    "mailed again": lambda e: replace(e, received=[*e.received, e.received[-1]], interruptions=[], unanswered=[]),
}


def visit_of_a_no_show(evidence: Evidence) -> dict[str, Any]:
    engine = checker.connect(evidence.booking_url)
    with engine.connect() as connection:
        reservation_id, start = connection.exec_driver_sql(NO_SHOW).one()
    engine.dispose()
    return {"reservation_id": reservation_id, "asked": start, "told": start}


@pytest.fixture(scope="module")
async def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Short; in full it is `make chaos KILLS=100 RESERVATIONS=5000`."""
    return await chaos.play(tmp_path_factory.mktemp("chaos") / "state", reservations=60, kills=7, seed=7)


def found(evidence: Evidence) -> dict[str, int]:
    return checker.summary(invariants.judge(evidence).breaches)


@pytest.mark.long
def test_every_promise_holds_whatever_is_killed(evidence: Evidence) -> None:
    verdict = invariants.judge(evidence)
    assert verdict.breaches == [], "make chaos KILLS=7 SEED=7 RESERVATIONS=60"
    rare = {"mailed again only after a lost answer"}
    assert {promise for promise in KINDS if not verdict.seen[promise]} <= rare, "not everything was tried"


@pytest.mark.long
@pytest.mark.parametrize("kind", BOOKING)
def test_damage_in_booking_is_seen(kind: str, evidence: Evidence, tmp_path: Path) -> None:
    url = damaged(evidence.booking_url, tmp_path / "damaged.db", BOOKING[kind])
    assert kind in found(replace(evidence, booking_url=url))


@pytest.mark.long
@pytest.mark.parametrize("kind", NOTIFIER)
def test_damage_in_the_notifier_is_seen(kind: str, evidence: Evidence, tmp_path: Path) -> None:
    url = damaged(evidence.notifier_url, tmp_path / "damaged.db", NOTIFIER[kind])
    assert kind in found(replace(evidence, notifier_url=url))


@pytest.mark.long
@pytest.mark.parametrize("kind", TOLD)
def test_what_was_told_and_received_is_compared(kind: str, evidence: Evidence) -> None:
    assert kind in found(TOLD[kind](evidence))


def test_every_kind_of_breach_is_tried() -> None:
    """Here or in test_checker.py."""
    elsewhere = {*DAMAGE, "answered differently", "stored but not answered"}
    assert {kind for kinds in KINDS.values() for kind in kinds} == {*BOOKING, *NOTIFIER, *TOLD, *elsewhere}


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.what for mutant in MUTANTS])
def test_a_guard_that_is_taken_away_in_the_proof_is_there(mutant: Mutant) -> None:
    """What `make mutants` takes away and proves to be missed; that takes minutes, this does not."""
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
