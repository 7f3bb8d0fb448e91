"""Nothing is forgotten and nobody is written to twice: `python -m tests.faults.notices --reservations 3000 --kills 20`.

While reservations are made, booking, notifier and nats-server are killed at random. Then what is committed must be in
the stream and in the notifier's inbox, each reservation in order, and each notice must have been mailed once; more
often only where the notifier died after the mail server had taken it and before it had the answer. Then the stream is
lost and rebuilt from the outbox, and an hour of events passes while the notifier is away.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from yunhui.outbox.v1 import outbox_service_pb2 as outbox
from yunhui.outbox.v1.outbox_service_pb2_grpc import OutboxServiceStub

from services.cli.client import Connection
from services.cli.failures import CallError
from services.cli.reasons import FailureReason
from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.platform.clock import HOUR
from tests.faults import checker
from tests.faults.checker import Breach
from tests.faults.stress import failures
from tests.faults.whole import Whole, whole

ANSWER_LOST_SECONDS = 30.0
"""So long before a mail came again the notifier must have died for its answer to count as lost."""


async def play(root: Path, reservations: int, kills: int, seed: int) -> list[Breach]:
    """Breaches; prints what it did."""
    async with whole(root) as installation:
        found = await under_fire(installation, reservations, kills, seed)
        found += await rebuilt(installation)
        found += await after_an_hour(installation, max(reservations // 10, 20))
    return found


async def under_fire(installation: Whole, reservations: int, kills: int, seed: int) -> list[Breach]:
    load = asyncio.create_task(installation.load("queue", reservations, "under-fire"))
    await installation.kill_at_random(kills, random.Random(seed))
    _, answers = await load
    await installation.drain()
    tell("under fire", installation)
    return [
        *failures(answers),
        *checker.check(installation.database_url, answers),
        *await compare(installation),
        *check_mail(installation),
    ]


async def rebuilt(installation: Whole) -> list[Breach]:
    """The stream is lost; the outbox makes it anew, and nobody is written to again."""
    before = len(installation.mailbox.received)
    await installation.lose_the_stream()
    await installation.until(lambda: replayed(installation))
    await installation.drain()
    await installation.consumed()
    tell("rebuilt", installation)
    repeated = len(installation.mailbox.received) - before
    return [*await compare(installation), *([Breach("mailed again", str(repeated))] if repeated else [])]


def replayed(installation: Whole) -> bool:
    """Whoever hears that a part is away tries again: what may be done was in the bus, and comes back to it."""
    token = issuer.mint(installation.state, SampleAccount("admin", "admin"))
    with Connection(OutboxServiceStub, installation.addresses[0], token) as connection:
        try:
            connection.ask(connection.stub.ReplayOutbox, outbox.ReplayOutboxRequest())
        except CallError as error:
            if error.why is not FailureReason.AWAY:
                raise
            return False
    return True


async def after_an_hour(installation: Whole, reservations: int) -> list[Breach]:
    """The notifier is away while things happen; it catches up in order."""
    await installation.stop("notifier")
    await installation.load("queue", reservations, "away")
    installation.pass_time(HOUR)
    await installation.settle()
    await installation.begin("notifier")
    await installation.drain()
    tell("an hour later", installation)
    return [*await compare(installation), *check_mail(installation)]


async def compare(installation: Whole) -> list[Breach]:
    """Outbox, stream and inbox: the same events, each entity in order."""
    wanted = installation.events()
    stream = checker.group((entity, event) for event, entity in await installation.published())
    inbox = checker.group(installation.inbox())
    return [*differences("stream", wanted, stream), *differences("inbox", wanted, inbox)]


def differences(name: str, wanted: dict[str, list[str]], seen: dict[str, list[str]]) -> Iterator[Breach]:
    for entity in wanted.keys() | seen.keys():
        if wanted.get(entity) != seen.get(entity):
            yield Breach(f"{name} and outbox differ", f"{entity}: {wanted.get(entity)} {seen.get(entity)}")


def check_mail(installation: Whole) -> Iterator[Breach]:
    """Each notice once; a repeat needs a death of the notifier between the two."""
    received = Counter(name for name, _ in installation.mailbox.received)
    for notice in installation.notices("true"):
        if not received.pop(notice, 0):
            yield Breach("not mailed", notice)
    for stranger in received:
        yield Breach("mailed without a notice", stranger)
    deaths = [moment for name, moment in installation.kills if name == "notifier"]
    for name, moments in installation.mailbox.repeated().items():
        for first, second in itertools.pairwise(moments):
            if not any(first < death < min(second, first + ANSWER_LOST_SECONDS) for death in deaths):
                yield Breach("mailed again", name)


def tell(name: str, installation: Whole) -> None:
    events = sum(map(len, installation.events().values()))
    mails = len(installation.mailbox.received)
    again = sum(len(moments) - 1 for moments in installation.mailbox.repeated().values())
    deaths = ", ".join(f"{program} {number}" for program, number in Counter(n for n, _ in installation.kills).items())
    print(f"{name}: {events} events, {mails} mails, {again} of them again; killed: {deaths or 'none'}", flush=True)


def show(found: Iterable[Breach]) -> None:
    for breach in found:
        print(f"BREACH {breach.kind}: {breach.what}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reservations", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(play(Path(folder) / "state", options.reservations, options.kills, options.seed))
    show(found)
    print(f"{len(found)} breaches", flush=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
