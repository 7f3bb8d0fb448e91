"""Everything fails at once: `make chaos KILLS=20 SEED=7`, or `python -m tests.faults.chaos --kills 20 --seed 7`.

People use the whole installation (people.py) while each of its programs is killed again and again, the ways between
them are cut, stall or are slow, the mail server misbehaves, and time jumps (siege.py). When all has come to rest,
what the people were told is compared with database, stream and mailbox (invariants.py).

The seed decides what is done to whom, and what the people want; when exactly, the machine decides. Interrupted, it
comes to rest and judges what there is.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sized
from functools import partial
from pathlib import Path

from services.platform.clock import DAY, DevelopmentClock
from tests.faults import answers, invariants
from tests.faults.invariants import Evidence, Verdict
from tests.faults.siege import Fault, Siege, besieged

SECONDS_A_KILL = 5.0
REST_SECONDS = 900.0
DUE = "SELECT count(*) FROM deadline WHERE due_time <= {}"


async def play(root: Path, reservations: int, kills: int, seed: int) -> Evidence:
    """To be judged; the databases stay in `root`. Raises TimeoutError when it does not come to rest."""
    async with besieged(root) as siege:
        began = time.monotonic()
        await under_fire(siege, reservations, kills, seed)
        tell(siege, time.monotonic() - began)
        await come_to_rest(siege)
        print(f"at rest after {time.monotonic() - began:.0f} s", flush=True)
        for days in (9, 9):  # whatever was reserved for later is over, and after that each suspension
            siege.pass_time(days * DAY)
            await come_to_rest(siege)
        return await gather(siege)


async def under_fire(siege: Siege, reservations: int, kills: int, seed: int) -> None:
    """Until all kills are done and all reservations made, or until it is interrupted."""
    people = await siege.people(reservations, kills * SECONDS_A_KILL, seed)
    weather = asyncio.create_task(siege.weather(random.Random(f"weather {seed}")))
    strikes = asyncio.create_task(siege.strike_at_random(kills, random.Random(f"kills {seed}")))
    gone = asyncio.create_task(people.wait())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, siege.enough.write_text, "now")
    await asyncio.wait([strikes, gone], return_when=asyncio.FIRST_COMPLETED)
    siege.enough.touch()
    await strikes
    code = await gone
    weather.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await weather
    siege.sink.answers.clear()
    assert code == 0, "the people could not go on; see what they said above"


async def come_to_rest(siege: Siege) -> None:
    """Until nothing is due, all is published and taken in, and each mail is sent."""
    for restless in (
        lambda: siege.count(DUE.format(now(siege))),
        lambda: siege.count("SELECT count(*) FROM outbox WHERE publish_time IS NULL"),
        siege.missing_from_inbox,
        lambda: siege.notices("state = 'queued'"),
    ):
        await siege.until(partial(is_over, restless), REST_SECONDS)


def is_over(restless: Callable[[], Sized | int]) -> bool:
    return not restless()


def now(siege: Siege) -> int:
    return DevelopmentClock(siege.state.clock).now()


async def gather(siege: Siege) -> Evidence:
    return Evidence(
        booking_url=siege.database_url,
        notifier_url=f"sqlite:///{siege.state.database('notifier')}",
        now=now(siege),
        answers=answers.read(siege.answers),
        visits=invariants.read_lines(siege.visits),
        stream=[(entity, event) for event, entity in await siege.published()],
        received=siege.sink.received,
        unanswered=siege.sink.unanswered,
        interruptions=[(each.began, each.ended) for each in siege.faults if concerns_mail(each)],
    )


def concerns_mail(fault: Fault) -> bool:
    """Whether it can keep the notifier from learning that a mail was taken."""
    killed = fault.kind == "kill" and fault.target in ("notifier", "mail")
    return killed or fault.target.endswith("to mail")


def tell(siege: Siege, seconds: float) -> None:
    kills = Counter(fault.target for fault in siege.faults if fault.kind == "kill")
    weather = Counter(fault.kind for fault in siege.faults if fault.kind != "kill")
    made = siege.count("SELECT count(*) FROM reservation")
    print(f"{made} reservations in {seconds:.0f} s", flush=True)
    print(f"kill -9: {sum(kills.values())}: {listed(kills)}", flush=True)
    print(f"between programs: {listed(weather)}", flush=True)


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "none"


def show(verdict: Verdict, seed: int) -> None:
    for line in verdict.lines():
        print(line)
    for breach in verdict.breaches:
        print(f"BREACH {breach.kind}: {breach.what}")
    print(f"{len(verdict.breaches)} breaches, seed {seed}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reservations", type=int, default=0, help="50 for each kill when not given")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="keep databases, logs and acknowledgements in this new folder")
    options = parser.parse_args()
    size = options.reservations or 50 * options.kills
    with tempfile.TemporaryDirectory() as folder:
        root = options.keep or Path(folder) / "state"
        evidence = asyncio.run(play(root, size, options.kills, options.seed))
        verdict = invariants.judge(evidence)
    show(verdict, options.seed)
    if verdict.breaches:
        print(f"again: make chaos KILLS={options.kills} SEED={options.seed} RESERVATIONS={size}")
    sys.exit(1 if verdict.breaches else 0)


if __name__ == "__main__":
    main()
