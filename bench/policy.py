"""What a whole decision costs over what durable-rules alone needs for it: a ratio measured in one run.

Bare: the engine asserts and retracts messages that are ready made. Ours: the same questions from the protobuf message
to the explained decision. Pairs are interleaved, the median of the ratios counts. Also the memory over many decisions.
"""

import argparse
import json
import random
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from durable import engine as durable
from yunhui.policy.v1 import policy_service_pb2 as pb

from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.policy import decisions
from services.policy.decisions import Policy

MONDAY = 1_751_846_400_000
RULES = Path(decisions.__file__).parent / "rules" / "default.yaml"


def questions(number: int, *, refused: float) -> list[pb.DecideRequest]:
    """Bookers with four reservations behind them; a share of the questions breaks one rule."""
    dice = random.Random(7)  # noqa: S311 - a fixed sample
    return [question(dice, bad=dice.random() < refused) for _ in range(number)]


def question(dice: random.Random, *, bad: bool) -> pb.DecideRequest:
    start = MONDAY + dice.randrange(1, 7) * DAY + dice.randrange(8) * HOUR
    past = [
        pb.PastReservation(
            reservation_id=f"rsv_{index}",
            status=pb.RESERVATION_STATUS_COMPLETED,
            start_time=to_timestamp(MONDAY - (index + 1) * DAY),
            end_time=to_timestamp(MONDAY - (index + 1) * DAY + HOUR),
        )
        for index in range(4)
    ]
    return pb.DecideRequest(
        decision_id=f"dec_{dice.randrange(10**9)}",
        action=pb.ACTION_CREATE,
        now=to_timestamp(MONDAY),
        account=pb.Account(account_id="booker", department="physics", roles=["booker"]),
        subject=pb.Subject(
            start_time=to_timestamp(start),
            end_time=to_timestamp(start + (30 if bad else 60) * MINUTE),
            participant_count=12,
            free_room_count=3,
        ),
        history=pb.History(reservations=past),
    )


def bare_messages(policy: Policy, asked: list[pb.DecideRequest]) -> tuple[Any, list[dict[str, Any]]]:
    """Our rulebook, and for each question the message that it gives the engine."""
    batch: Any = policy._compiled["CREATE"].rulebook._batches[0]
    messages: list[dict[str, Any]] = []
    run = batch._run

    def note(message: str) -> set[int]:
        messages.append(json.loads(message))
        fired: set[int] = run(message)
        return fired

    batch._run = note
    for each in asked:
        policy.decide(each)
    batch._run = run
    return batch, messages


class Bare:
    """The same rules in durable-rules as its own interface offers them: each action notes that it ran."""

    def __init__(self, batch: Any) -> None:
        self._fired: list[int] = []
        self._ruleset = durable.Ruleset(f"bare{id(batch)}", None, batch.definition(self._note))

    def _note(self, index: int) -> Callable[[object], None]:
        def run(_: object) -> None:
            self._fired.append(index)

        return run

    def run(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            self._fired.clear()
            self._ruleset.do_actions(self._ruleset.assert_fact(message), lambda error, _: None)
            self._ruleset.retract_fact({"sid": "0", "id": "0"})
            assert self._fired  # noqa: S101 - the sentinel always fires


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(name: str, refused: float, number: int, pairs: int) -> dict[str, Any]:
    policy = Policy.load(RULES.read_text(encoding="utf-8"), "default@1")
    asked = questions(number, refused=refused)
    batch, messages = bare_messages(policy, asked)
    bare_engine = Bare(batch)
    bare_engine.run(messages)  # warm
    ratios, ours, bares = [], [], []
    for done in range(pairs):
        bare = timed(lambda: bare_engine.run(messages))
        own = timed(lambda: deque(map(policy.decide, asked), maxlen=0))
        ratios.append(bare / own)
        ours.append(number / own)
        bares.append(number / bare)
        print(f"\r{name}: {done + 1}/{pairs}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {
        "name": name,
        "ratio": round(statistics.median(ratios), 3),
        "decide_per_second": round(statistics.median(ours)),
        "bare_per_second": round(statistics.median(bares)),
    }


def memory(number: int) -> dict[str, Any]:
    """Growth in MB between the first tenth and the end."""
    policy, asked = Policy.load(RULES.read_text(encoding="utf-8"), "default@1"), questions(1000, refused=0.2)
    early = 0.0
    for done in range(number):
        policy.decide(asked[done % 1000])
        if done == number // 10:
            early = resident_mb()
        if done % 50_000 == 0:
            print(f"\rmemory: {done:,}/{number:,}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {"name": f"growth_mb_over_{number}", "value": round(resident_mb() - early, 1)}


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=3000, help="questions a round")
    parser.add_argument("--pairs", type=int, default=7, help="rounds")
    parser.add_argument("--memory", type=int, default=0, help="also decide so many times and tell the growth")
    options = parser.parse_args()
    rows = compare(options.number, options.pairs)
    for row in rows:
        speeds = f"{row['decide_per_second']:>7,}/s of {row['bare_per_second']:,}/s"
        print(f"{row['name']:>24}  decide/bare {row['ratio']:.2f}  {speeds}")
    if options.memory:
        rows.append(memory(options.memory))
        print(rows[-1])
    print(json.dumps(rows))


def compare(number: int, pairs: int) -> list[dict[str, Any]]:
    """One row for each share of refused questions."""
    shares = (
        ("allowed", 0.0),
        ("one in ten redirected", 0.1),
        ("one in five redirected", 0.2),
        ("all redirected", 1.0),
    )
    return [measure(name, share, number, pairs) for name, share in shares]


if __name__ == "__main__":
    main()
