"""The whole system in one process, with everything going wrong by seed: the promises hold, and the checker can tell."""

import importlib.resources
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from services.booking import reservations
from services.notifier.inbox import InboxEntry
from services.notifier.subscriptions import EventReceiver
from services.policy.decisions import Policy
from tests.faults.unguarded import trust_accounts
from tests.simulation import chaos
from tests.simulation.disk import Disk
from tests.simulation.history import History, play, prepare

Parts = tuple[Mapping[str, Disk], Policy]
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))]


@pytest.fixture(scope="module")
def parts() -> Parts:
    return prepare()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Dying programs complain a lot."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", SEEDS)
def test_promises_hold_whatever_goes_wrong(seed: int, parts: Parts) -> None:
    """More of them: `make simulation`."""
    assert play(seed, *parts)[1] == []


@pytest.mark.long
def test_a_seed_tells_the_same_history_again(parts: Parts) -> None:
    assert outline(play(7, *parts)[0]) == outline(play(7, *parts)[0])


def outline(history: History) -> list[Any]:
    """Ids are random: events by their subject, answers by their outcome."""
    world = history.world
    deaths = {name: program.deaths for name, program in world.programs.items()}
    answers = [(answer.account_id, answer.method, answer.outcome) for answer in history.answers]
    return [deaths, answers, {name: [each.subject for each in all_] for name, all_ in world.server.streams.items()}]


def until_found(parts: Parts, kind: str) -> bool:
    return any(kind in {breach.kind for breach in play(seed, *parts)[1]} for seed in range(40))


def test_it_shows_when_the_inbox_takes_events_in_any_order(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InboxEntry, "before", lambda entry: None)
    assert until_found(parts, "inbox and outbox differ")


@pytest.mark.long
def test_it_shows_when_events_are_acknowledged_before_their_effect(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = EventReceiver.receive

    async def hasty(self: EventReceiver, messages: Sequence[Any]) -> None:
        for message in messages:
            await message.ack()
        await receive(self, messages)

    monkeypatch.setattr(EventReceiver, "receive", hasty)
    assert until_found(parts, "inbox and outbox differ")


@pytest.mark.long
def test_it_shows_when_a_commit_trusts_what_was_read_before(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bookings on one database; its walls against overlaps stand, so it is the quota that breaks."""
    monkeypatch.setattr(chaos, "SLOW", 0.9)
    monkeypatch.setattr(reservations, "_advance_accounts", trust_accounts)
    assert until_found(parts, "daily quota")


@pytest.mark.long
def test_it_shows_when_reservations_are_moved_too_late(parts: Parts) -> None:
    disks, _ = parts
    source = (importlib.resources.files("services.policy") / "rules" / "default.yaml").read_text()
    rule = source[source.index("  - id: LATE_CHANGE") : source.index("  - id: LARGE_MEETING")]
    without = Policy.load(source.replace(rule, ""), "default@1")
    assert until_found((disks, without), "changed too late")
