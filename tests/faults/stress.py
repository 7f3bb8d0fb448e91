"""The figures in full (`make stress`): a crowd of 20,000 requests and 200 rounds of a rush, on each arrangement.

Prints a table; ends with 1 when the checker finds a breach, or finds none where the guards were removed.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.faults import checker
from tests.faults.answers import Answer
from tests.faults.checker import Breach
from tests.faults.installation import Installation, replicated, upped
from tests.postgres import create_database, running

SEATS = "{:<32}{:<8}{:>9}{:>10}{:>9}{:>7}{:>10}"


@dataclass(frozen=True, slots=True)
class Run:
    """One load on one arrangement."""

    load: str
    seconds: float
    answers: list[Answer]
    breaches: list[Breach]

    def cells(self) -> list[object]:
        accepted = sum(each.accepted for each in self.asked() if each.method == "CreateReservation")
        again = sum(each.refused + each.lost for each in self.answers)
        return [self.load, len(self.asked()), accepted, f"{self.seconds:.0f}", again, len(self.breaches)]

    def asked(self) -> list[Answer]:
        """Without what was sent again at the end to compare the answers."""
        once = {each.request_id: each for each in self.answers if each.request_id}
        return [*once.values(), *(each for each in self.answers if not each.request_id)]

    def rules(self) -> str:
        refused = Counter(rule for each in self.asked() if not each.accepted for rule in each.rules)
        errors = Counter(each.outcome for each in self.asked() if not each.decision_id)
        return ", ".join(f"{name} {number}" for name, number in (refused + errors).most_common())


async def strain(installation: Installation, requests: int, rounds: int) -> list[Run]:
    """The rush first, for it wants the rooms free; then the crowd. The tables are checked after each."""
    rush_seconds, rush = await installation.load("rush", rounds)
    first = Run("rush", rush_seconds, rush, [*checker.check_rounds(rush), *failures(rush)])
    seconds, crowd = await installation.load("crowd", requests)
    await installation.settle()
    found = await asyncio.to_thread(checker.check, installation.database_url, [*rush, *crowd])
    found += checker.check_stream(installation.database_url, await installation.published())
    return [first, Run("crowd", seconds, crowd, [*found, *failures(crowd)])]


def failures(answers: Iterable[Answer]) -> list[Breach]:
    """FAILED_PRECONDITION is what one is told who wants to change what has been cancelled meanwhile."""
    expected = ("FAILED_PRECONDITION",)
    return [
        Breach("request failed", f"{each.request_id} {each.outcome}")
        for each in answers
        if not each.decision_id and each.outcome not in expected
    ]


Arrangement = Callable[[Path], AbstractAsyncContextManager[Installation]]


def arrangements(postgres: Callable[[], str]) -> dict[str, Arrangement]:
    """`postgres` gives the URL of an empty database."""
    return {
        "yunhui up on SQLite": upped,
        "two bookings on PostgreSQL": lambda root: replicated(root, postgres()),
        "two bookings on one SQLite file": replicated,
        "no guards, on PostgreSQL": lambda root: replicated(root, postgres(), "tests.faults.unguarded"),
    }


async def run_all(requests: int, rounds: int, chosen: str, postgres: Callable[[], str]) -> bool:
    """Whether everything is as it should be."""
    good = True
    print(SEATS.format("arrangement", "load", "requests", "accepted", "seconds", "again", "breaches"), flush=True)
    for name, arrangement in arrangements(postgres).items():
        if chosen not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            async with arrangement(Path(folder) / "state") as installation:
                runs = await strain(installation, requests, rounds)
        for run in runs:
            print(SEATS.format(name, *run.cells()), flush=True)
            print(f"    refused: {run.rules()}\n    breaches: {checker.summary(run.breaches)}", flush=True)
        good = good and any(run.breaches for run in runs) == name.startswith("no guards")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--only", default="", help="arrangements with this in their name")
    options = parser.parse_args()
    names = (f"stress_{number}" for number in itertools.count())
    with running() as url:
        good = asyncio.run(
            run_all(options.requests, options.rounds, options.only, lambda: create_database(url, next(names)))
        )
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
