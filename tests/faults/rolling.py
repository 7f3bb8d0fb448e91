"""Two of each program, booking on PostgreSQL: told to end and started again, one after the other, under load.

A round is both of one program, the programs in turn.

`python -m tests.faults.rolling --rounds 20`: no call of a client that retries may fail, nothing may get lost, and each
program must end by itself, in good order.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from services.installation.registry import SERVICE_NAMES
from tests.faults import chaos, invariants
from tests.faults.checker import Breach
from tests.faults.invariants import Evidence, Verdict
from tests.faults.siege import Fault, Siege, besieged
from tests.postgres import create_database, running

TWINS = SERVICE_NAMES
SECONDS_A_ROUND = 10.0


async def play(
    root: Path, database_url: str, rounds: int, reservations: int, seed: int, twins: tuple[str, ...] = TWINS
) -> Verdict:
    """There are two of each of `twins`, and they are restarted in turn."""
    async with besieged(root, database_url, twins) as siege:
        people = await siege.people(reservations, rounds * SECONDS_A_ROUND, seed)
        found = []
        for number in range(rounds):
            found += await restart_twins(siege, twins[number % len(twins)])
        siege.enough.touch()
        assert await people.wait() == 0, "the people could not go on; see what they said above"
        await chaos.come_to_rest(siege)
        tell(siege)
        verdict = await asyncio.to_thread(invariants.judge, with_jumps(siege, await chaos.gather(siege)))
    verdict.breaches += found
    return verdict


def with_jumps(siege: Siege, evidence: Evidence) -> Evidence:
    """A clock that jumps past a lease lets the second notifier send what the first one is still sending."""
    moments = [each["moment"] for each in invariants.read_lines(siege.jumps)]
    jumps = [(moment, moment + invariants.ANSWER_LOST_SECONDS) for moment in moments]
    return replace(evidence, interruptions=evidence.interruptions + jumps)


async def restart_twins(siege: Siege, twins: str) -> list[Breach]:
    """What did not end by itself, or not in good order."""
    found = []
    for name in (f"{twins}-0", f"{twins}-1"):
        child, began = siege.programs[name], time.monotonic()
        await child.stop()
        siege.faults.append(Fault("stop", name, began, time.monotonic()))
        if child.code != 0:
            found.append(Breach("request failed", f"{name} ended with {child.code}: {child.tail()}"))
        await siege.begin(name)
    return found


def tell(siege: Siege) -> None:
    stops = [fault.ended - fault.began for fault in siege.faults if fault.kind == "stop"]
    print(f"{len(stops)} orderly stops, the longest {max(stops):.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--reservations", type=int, default=0, help="20 for each round when not given")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    size = options.reservations or 20 * options.rounds
    with tempfile.TemporaryDirectory() as folder, running() as server:
        url = create_database(server, "rolling")
        verdict = asyncio.run(play(Path(folder) / "state", url, options.rounds, size, options.seed))
    chaos.show(verdict, options.seed)
    sys.exit(1 if verdict.breaches else 0)


if __name__ == "__main__":
    main()
