"""The whole installation with a mail server of the test's own, each of whose programs may be killed and comes back."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from shutil import rmtree

from bench import bookers
from services.installation import development_clock, issuer, ports
from services.installation.programs import Plan
from services.installation.state import State
from services.installation.supervised_process import SupervisedProcess
from tests.faults import checker
from tests.faults.installation import Installation, declare_streams, start
from tests.faults.load import QUEUE_ROOMS
from tests.faults.mailbox import Mailbox
from tests.system.stack import MONDAY

VICTIMS = ("booking", "notifier", "nats")


@dataclass
class Whole(Installation):
    """`kills` are (program, monotonic seconds)."""

    plan: Plan = field(kw_only=True)
    programs: dict[str, SupervisedProcess] = field(kw_only=True)
    mailbox: Mailbox = field(kw_only=True)
    kills: list[tuple[str, float]] = field(default_factory=list)

    async def kill(self, name: str, pause: float = 0.0) -> None:
        """kill -9, and up again after a pause in seconds."""
        child = self.programs[name]
        child.kill()
        self.kills.append((name, time.monotonic()))
        await child.wait()
        await asyncio.sleep(pause)
        await child.start()
        await child.ready()

    async def kill_at_random(self, times: int, dice: random.Random) -> None:
        for _ in range(times):
            await asyncio.sleep(dice.uniform(0.2, 2.0))
            await self.kill(dice.choice(VICTIMS), dice.uniform(0, 0.5))

    async def stop(self, name: str) -> None:
        await self.programs[name].stop()

    async def begin(self, name: str) -> None:
        await self.programs[name].start()
        await self.programs[name].ready()

    async def lose_the_stream(self) -> None:
        """As when the disk of nats-server is gone; the streams are declared anew, and empty."""
        await self.stop("nats")
        rmtree(self.state.bus)
        await self.begin("nats")
        await declare_streams(self.plan)

    async def drain(self) -> None:
        """Until all is published, taken in, and mailed. Raises TimeoutError."""
        await self.settle()
        await self.until(lambda: not self.missing_from_inbox())
        await self.until(lambda: not self.notices("state = 'queued'"))

    def events(self) -> dict[str, list[str]]:
        """By entity, in order."""
        return checker.group(self.rows("SELECT entity_id, event_id FROM outbox ORDER BY entity_id, entity_seq"))

    def inbox(self) -> list[tuple[str, str]]:
        """(entity, event), in the order in which they were taken in."""
        return [
            (str(row[0]), str(row[1])) for row in self._notifier("SELECT entity_id, event_id FROM inbox ORDER BY seq")
        ]

    def missing_from_inbox(self) -> set[str]:
        stored = {str(row[0]) for row in self.rows("SELECT event_id FROM outbox")}
        return stored - {event for _, event in self.inbox()}

    def notices(self, condition: str) -> list[str]:
        """Message ids of mails to be, or that were."""
        query = f"SELECT message_id FROM delivery WHERE channel = 'mail' AND {condition}"
        return [str(row[0]) for row in self._notifier(query)]

    def _notifier(self, query: str) -> list[Sequence[object]]:
        engine = checker.connect(f"sqlite:///{self.state.database('notifier')}")
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(query)]
        finally:
            engine.dispose()


@asynccontextmanager
async def whole(
    root: Path, rooms: int = QUEUE_ROOMS, standin: str = "", *, restored: bool = False
) -> AsyncIterator[Whole]:
    """`standin` is the address of a stand-in for Tencent's cloud; without one no meeting is looked up.

    `restored`: the data is there already, and time goes on where it was.
    """
    state = State(root)
    state.prepare()
    issuer.prepare_keys(state)
    if not restored:
        development_clock.start_at(state, datetime.fromisoformat(MONDAY))
    mailbox = Mailbox()
    plan = Plan(
        state,
        {**ports.choose(auto=True), "mail": mailbox.port},
        standin=standin,
        meetings="required" if standin else "off",
    )
    started: list[SupervisedProcess] = []
    await mailbox.start()
    try:
        await start(plan.bus(), state, started)
        await declare_streams(plan)
        for program in plan.services():
            await start(program, state, started)
        url, bus = f"sqlite:///{state.database('booking')}", f"nats://{plan.address('nats')}"
        programs = {child.program.name: child for child in started}
        made = Whole(state, url, [plan.address("booking")], bus, plan=plan, programs=programs, mailbox=mailbox)
        if not restored:
            made.fill([bookers.CAPACITIES[number % len(bookers.CAPACITIES)] for number in range(rooms)])
        yield made
    finally:
        for child in reversed(started):
            await child.stop()
        await mailbox.stop()
