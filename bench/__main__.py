"""`make bench`: measures policy, booking, directory and pages; prints tables, and keeps those of a whole run."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import booking, directory, machine, policy, portal, postgres, refusals, report, telemetry

PARTS = ("policy", "sqlite", "refusals", "growth", "telemetry", "postgresql", "directory", "portal")
LEAST_ROUNDS = 5


def measure(parts: list[str], bench: booking.Bench) -> report.Results:
    results: report.Results = {"machine": machine.describe(bench.folder)}
    figures: dict[str, Any] = {"sqlite": {}, "postgresql": {}}
    if "policy" in parts:
        results["policy"] = policy.compare(number=3000, pairs=max(bench.rounds, LEAST_ROUNDS))
    if "sqlite" in parts:
        figures["sqlite"] = booking.measure(bench, "sqlite")
    if "refusals" in parts:
        figures["sqlite"] |= refusals.measure(bench)
    if "growth" in parts:
        figures["sqlite"] |= booking.grow(bench)
    if "telemetry" in parts:
        figures["sqlite"] |= telemetry.measure(bench)
    if "postgresql" in parts:
        with postgres.server(bench.folder / "postgresql") as server:
            figures["postgresql"] = booking.measure(bench, "postgresql", server)
    if "directory" in parts:
        figures["sqlite"] |= directory.measure(bench, "sqlite")
        with postgres.server(bench.folder / "postgresql-directory") as server:
            figures["postgresql"] |= directory.measure(bench, "postgresql", server)
    if "portal" in parts:
        figures["portal"] = portal.measure(bench)
    run = {"rounds": bench.rounds, "seconds": bench.seconds, "memory": " ".join(sorted(bench.kinds))}
    return results | figures | {"run": run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement with 32 calls in flight")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    options = parser.parse_args()
    err = Console(stderr=True)
    # not in /tmp, which may be memory: what is written must reach a disk
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=machine.ROOT) as folder:
        arguments = (Path(folder), options.rounds, options.seconds)
        with booking.prepared(*arguments, lambda what: err.print(what, highlight=False, soft_wrap=True)) as bench:
            results = measure(options.only or list(PARTS), bench)
    report.show(results)
    if options.only == ["directory"] and options.rounds >= LEAST_ROUNDS:
        report.write_directory(results)
    elif options.only or options.rounds < LEAST_ROUNDS:
        print("Not a whole run of 5 rounds or more: bench/results.json stays as it was.")
    else:
        report.write(results)


if __name__ == "__main__":
    main()
