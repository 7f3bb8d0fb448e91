"""The whole installation with two bookings, a proxy on every way between its programs, and bad weather by seed.

The mail server is the test's own: it refuses, breaks off, takes a mail and says nothing, or is gone for a while.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from bench import bookers
from services.installation import development_clock, die_with_parent, issuer, ports
from services.installation.programs import Plan, Program
from services.installation.state import State
from services.installation.supervised_process import StartError, SupervisedProcess
from tests.faults.installation import declare_streams, replica, start
from tests.faults.mailbox import Mailbox
from tests.faults.proxy import Proxy
from tests.faults.whole import Whole
from tests.system.stack import MONDAY

ROOMS = 150
BOOKINGS = ("booking-0", "booking-1")
VICTIMS = ("policy", "meetings", *BOOKINGS, "notifier", "nats", "mail")
SMTP_SECONDS = 5.0
READY_TRIES = 4
MISCHIEF = ("451 busy", "451 busy", "close", "lost", "stall")


class Sink(Mailbox):
    """A mail server that may be killed; `unanswered` are those of `received` whose sender was not told."""

    def __init__(self) -> None:
        super().__init__()
        self.unanswered: list[tuple[str, float]] = []
        self._sessions: list[SMTP] = []

    def _session(self) -> SMTP:
        self._sessions.append(super()._session())
        return self._sessions[-1]

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        planned = self.answers.pop(0) if self.answers else "250 taken"
        if planned in ("close", "lost") and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        if planned.startswith("250") or planned in ("lost", "stall"):
            name = str(BytesHeaderParser().parsebytes(envelope.content)["Message-ID"])
            self.received.append((name, time.monotonic()))
        if planned in ("lost", "stall"):
            self.unanswered.append(self.received[-1])
        if planned == "stall":
            await asyncio.sleep(2 * SMTP_SECONDS)
        return planned if planned[:1].isdigit() else "451 broken off"

    async def die(self, seconds: float) -> None:
        """And come back."""
        if self._server:
            self._server.close()
        for session in self._sessions:
            if isinstance(session.transport, asyncio.Transport):
                session.transport.abort()
        self._sessions.clear()
        await asyncio.sleep(seconds)
        await self.start()


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to whom, between two moments of the monotonic clock."""

    kind: str
    target: str
    began: float
    ended: float


@dataclass
class Siege(Whole):
    """`faults` is all that was done, kills too."""

    proxies: dict[str, Proxy] = field(kw_only=True)
    sink: Sink = field(kw_only=True)
    faults: list[Fault] = field(default_factory=list)

    async def strike(self, name: str, dice: random.Random) -> None:
        """kill -9, up again after a pause, in one case of six killed once more while it starts."""
        began = time.monotonic()
        if name == "mail":
            await self.sink.die(dice.uniform(0, 1))
        else:
            times = 2 if dice.random() < 1 / 6 else 1
            await self._strike_down(self.programs[name], times, dice)
        self.faults.append(Fault("kill", name, began, time.monotonic()))

    async def _strike_down(self, child: SupervisedProcess, times: int, dice: random.Random) -> None:
        for _ in range(times):
            child.kill()
            await child.wait()
            await asyncio.sleep(dice.uniform(0, 0.5))
            await child.start()
            await asyncio.sleep(dice.uniform(0.1, 0.8))
        await ready(child)

    async def begin(self, name: str) -> None:
        await self.programs[name].start()
        await ready(self.programs[name])

    async def strike_at_random(self, times: int, dice: random.Random) -> None:
        """Each program in turn, in an order of chance, so that a few kills reach as many programs as they can."""
        victims: list[str] = []
        for _ in range(times):
            if self.enough.exists():
                return
            victims = victims or dice.sample(VICTIMS, len(VICTIMS))
            await asyncio.sleep(dice.uniform(0.2, 2.0))
            await self.strike(victims.pop(), dice)

    async def weather(self, dice: random.Random) -> None:
        """Until cancelled: the net is cut, stalls or is slow, and the mail server misbehaves."""
        while True:
            await asyncio.sleep(dice.uniform(0.2, 1.5))
            if dice.random() < 0.3:
                self.sink.answers.append(dice.choice(MISCHIEF))
                continue
            began, name = time.monotonic(), dice.choice(sorted(self.proxies))
            kind = dice.choice(("cut", "stall", "delay"))
            await self._disturb(self.proxies[name], kind, dice)
            self.faults.append(Fault(kind, name, began, time.monotonic()))

    async def _disturb(self, proxy: Proxy, kind: str, dice: random.Random) -> None:
        if kind == "cut":
            proxy.cut()
        elif kind == "stall":
            await proxy.stall(dice.uniform(0.2, 3))
        else:
            await proxy.delay(dice.uniform(0.5, 3), dice.uniform(0.01, 0.1))

    async def people(self, size: int, seconds: float, seed: int) -> asyncio.subprocess.Process:
        """Starts tests/faults/people.py; its progress goes to our stderr."""
        doors = [self.proxies[name].address for name in BOOKINGS]
        gateways = [child.program.address for name, child in self.programs.items() if name.startswith("meetings")]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())),
            *(sys.executable, "-m", "tests.faults.people", "--state", str(self.state.root)),
            *("--log", str(self.answers), "--visits", str(self.visits), "--jumps", str(self.jumps)),
            *("--until", str(self.enough)),
            *("--size", str(size), "--seconds", str(seconds), "--seed", str(seed)),
            *("--meetings", *gateways, "--bookings", *doors),
        )

    @property
    def answers(self) -> Path:
        return self.state.root / "answers.jsonl"

    @property
    def visits(self) -> Path:
        return self.state.root / "visits.jsonl"

    @property
    def jumps(self) -> Path:
        return self.state.root / "jumps.jsonl"

    @property
    def enough(self) -> Path:
        """A file that tells everybody to come to an end; with a word in it, even if not all is done."""
        return self.state.root / "enough"


async def ready(child: SupervisedProcess) -> None:
    """A busy machine may need longer than a person would wait. Raises StartError."""
    for tries_left in reversed(range(READY_TRIES)):
        try:
            await child.ready()
            return
        except StartError:
            if child.code is not None or not tries_left:
                raise


@asynccontextmanager
async def besieged(root: Path, database_url: str = "", twins: Collection[str] = ("booking",)) -> AsyncIterator[Siege]:
    """`database_url` is that of booking, a SQLite file when empty; `twins` run twice on one database."""
    state = State(root)
    state.prepare()
    issuer.prepare_keys(state)
    development_clock.start_at(state, datetime.fromisoformat(MONDAY))
    sink = Sink()
    plan = Plan(state, {**ports.choose(auto=True), "mail": sink.port})
    proxies: dict[str, Proxy] = {}
    started: list[SupervisedProcess] = []
    await sink.start()
    try:
        await start(plan.bus(), state, started)
        await declare_streams(plan)
        url = database_url or f"sqlite:///{state.database('booking')}"
        for program in programs(plan, url, twins):
            child = SupervisedProcess(await behind_proxies(program, plan, proxies), state.log(program.name))
            started.append(child)
            await child.start()
            await ready(child)
        children = {child.program.name: child for child in started}
        doors, bus = [children[name].program.address for name in BOOKINGS], f"nats://{plan.address('nats')}"
        made = Siege(state, url, doors, bus, plan=plan, programs=children, mailbox=sink, proxies=proxies, sink=sink)
        capacities = [bookers.CAPACITIES[number % len(bookers.CAPACITIES)] for number in range(ROOMS)]
        await asyncio.to_thread(made.fill, capacities)  # the proxies go on meanwhile
        yield made
    finally:
        for child in reversed(started):
            await child.stop()
        for proxy in proxies.values():
            await proxy.stop()
        await sink.stop()


def programs(plan: Plan, url: str, twins: Collection[str]) -> list[Program]:
    """Two of each of the twins."""
    made = []
    for program in plan.services():
        place = url if program.name == "booking" else ""
        webhooks = {"YUNHUI_WEBHOOK_LISTEN": "127.0.0.1:0"} if program.name == "meetings" else {}
        single = replace(program, environment={**program.environment, **webhooks})
        made += [replica(single, number, place) for number in range(2)] if program.name in twins else [single]
    return made


async def behind_proxies(program: Program, plan: Plan, proxies: dict[str, Proxy]) -> Program:
    """Its way to the bus, and to whom else it asks, leads through proxies; callers of a booking come through one."""
    bus = proxies[f"{program.name} to nats"] = Proxy(plan.ports["nats"])
    await bus.start()
    environment = {**program.environment, "YUNHUI_NATS_URL": f"nats://{bus.address}"}
    if program.name.startswith("notifier"):
        mail = proxies[f"{program.name} to mail"] = Proxy(plan.ports["mail"])
        await mail.start()
        environment |= {
            "YUNHUI_SMTP_PORT": str(mail.port),
            "YUNHUI_SMTP_TIMEOUT_SECONDS": str(SMTP_SECONDS),
            "YUNHUI_MAILS_PER_SECOND": "500",
            "YUNHUI_RETRY_FIRST_SECONDS": "0.5",
            "YUNHUI_RETRY_LONGEST_SECONDS": "5",
            "YUNHUI_MAIL_GIVE_UP_HOURS": "10000",
        }
    if program.name.startswith("booking"):
        door = proxies[program.name] = Proxy(int(program.address.rpartition(":")[2]))
        await door.start()
    return replace(program, environment=environment)
