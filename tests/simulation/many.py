"""Histories of the whole system, each from its seed: `python -m tests.simulation.many --histories 1000 --seed 0`."""

import argparse
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from typing import Any

from tests.faults.checker import Breach
from tests.simulation.history import History, play, prepare

TOLD_SECONDS = 5.0
PARTS: list[Any] = []
"""What the histories of one worker share."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others follow")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.histories)
    total, failed, told = Counter[str](), 0, time.monotonic()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), begin) as pool:
        for number, (seed, tried, breaches) in enumerate(pool.imap_unordered(work, seeds), 1):
            total += tried
            failed += bool(breaches)
            show(seed, breaches)
            if time.monotonic() - told > TOLD_SECONDS:
                told = time.monotonic()
                print(f"... {number} of {options.histories}", file=sys.stderr, flush=True)
    print(", ".join(f"{number} {what}" for what, number in total.items()))
    print(f"{options.histories} histories, {failed} with breaches")
    sys.exit(1 if failed else 0)


def begin() -> None:
    logging.disable(logging.CRITICAL)
    PARTS.extend(prepare())


def work(seed: int) -> tuple[int, Counter[str], list[Breach]]:
    disks, policy = PARTS
    history, breaches = play(seed, disks, policy)
    return seed, count(history), breaches


def count(history: History) -> Counter[str]:
    """What has been tried."""
    world = history.world
    return Counter(
        answers=len(history.answers),
        deaths=sum(len(program.deaths) for program in world.programs.values()),
        events=sum(map(len, world.server.streams.values())),
        mails=len(world.mailbox.taken),
    )


def show(seed: int, breaches: list[Breach]) -> None:
    for breach in breaches:
        print(f"seed {seed}: BREACH {breach.kind}: {breach.what}")
    if breaches:
        print(f"again: python -m tests.simulation.many --histories 1 --seed {seed}", flush=True)


if __name__ == "__main__":
    main()
